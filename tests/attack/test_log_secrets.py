"""Card numbers, security codes, tokens and keys, in every place of a request: no byte of them reaches the log's folder.

The whole gate takes the requests; then every file below the folder is searched, entries and proofs included.
"""

import base64
import re
from collections.abc import Sequence
from pathlib import Path

from tests import world
from tests.engine.harness import get, request
from tests.engine.services import served

CARDS = ("4111111111111111", "378282246310005", "6011000990139424", "5555555555554444", "4000056655665556122")
"""Published test numbers, and one of 19 digits; each passes the Luhn check."""
WRITTEN = (
    "4111 1111 1111 1111", "4111-1111-1111-1111", "4111.1111.1111.1111", "4111%201111%201111%201111",
    "4111%2d1111%2D1111%2d1111", "3782 822463 10005", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
)  # fmt: skip
CODES = ("cvv=7391", "CVC2:7392", "security_code=7393", "password=tr0ub4dor", "api-key='zwieback'")
KEY = "5eb63bbbe01eeed093cb22bb8f5acdc3c1f3e2a7"
PASSWORD = "correct-horse-battery-staple"


def secrets() -> list[str]:
    token = world.token(world.claims(jti="t-other"))
    head, claims, signature = token.split(".")
    return [*CARDS, *WRITTEN, *CODES, KEY, PASSWORD, token, head, claims, signature]


SOAP = """<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><Pay>
<CardNumber>4111111111111111</CardNumber><CVV2>7391</CVV2><Password>correct-horse-battery-staple</Password>
</Pay></soap:Body></soap:Envelope>"""
JSON = '{"card":{"number":"4111 1111 1111 1111","cvv":"7391"},"pan":4111111111111111,"key":"KEY"}'.replace("KEY", KEY)
FORM = f"card_number=4111%201111%201111%201111&cvv=7391&password={PASSWORD}"


def fitting(text: str) -> str:
    """Give text as it may stand in a target."""
    return text.replace(" ", "%20")


def requests() -> Sequence[bytes]:
    """Every secret in every place: allowed, denied, and such that cannot be read."""
    made: list[bytes] = []
    for number, secret in enumerate(secrets()):
        where = fitting(secret)
        made += [
            get(f"/v1/balance?card={where}"),
            get(f"/v1/balance?{where}"),
            get(f"/v1/cards/{telling(where)}"),
            get(x_card=secret, cookie=f"session={secret}", user_agent=secret, referer=f"https://a.example/?{where}"),
            get(authorization=f"Bearer {secret}"),
            get(authorization=f"Basic {base64.b64encode(f'user:{secret}'.encode()).decode()}"),
            request(world.World(nonce=f"n-{number}", fields={"x-signature": secret})),
            request(world.World(nonce=f"{secret}{number}", fields={"x-key-id": telling(secret)})),
            request(world.World(nonce=f"b-{number}", body=f'{{"pan":"{secret}"}}'.encode())),
            f"GET /v1/balance?{where} HTTP/1.1\r\nHost: a\r\nHost: {secret}\r\n\r\n".encode(),
            f"GET /{telling(where)} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {secret}\r\n\r\n".encode(),
            f"{telling(secret).partition(' ')[0]} / HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
        ]
    for number, (kind, body) in enumerate(
        [("application/json", JSON), ("text/xml", SOAP), ("application/soap+xml", SOAP),
         ("application/x-www-form-urlencoded", FORM)]
    ):  # fmt: skip
        changed = {"content-type": kind}
        made += [
            request(world.World(nonce=f"w-{number}", body=body.encode(), fields=changed)),
            request(world.World(nonce=f"d-{number}", body=body.encode(), fields={**changed, "x-signature": "0" * 64})),
        ]
    return made


def telling(text: str) -> str:
    """Leave out what no rule can tell from a name where names stand: a bare password in a path, as a method."""
    return "none" if text in (KEY, PASSWORD) else text


async def test_no_secret_reaches_the_logs_folder(tmp_path: Path) -> None:
    sent = requests()
    async with served(tmp_path) as up:
        statuses = [(await up.send(raw)).status for raw in sent]
    assert {200, 400, 401, 404} <= set(statuses)
    folder = tmp_path / "audit"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any("entries" in str(path) for path in files)
    everything = b"".join(path.read_bytes() for path in files)
    assert everything.count(b'"decision"') >= len(sent)
    found = [secret for secret in secrets() for form in forms(secret) if form in everything]
    assert found == []


def forms(secret: str) -> list[bytes]:
    """How a secret may be written: as it is, in base64 and in hex; of a name with a value, the value."""
    data = re.split(r"[=:]'?", secret)[-1].rstrip("'").encode()
    return [data, base64.b64encode(data).rstrip(b"=")[:-1], data.hex().encode()] if len(data) > 4 else [secret.encode()]
