"""HTTP Message Signatures by two packages of npm: what they sign we verify, and the other way round."""

from collections.abc import Mapping
from typing import Any

import pytest

from gateway.core.message import Instant, RequestHead
from gateway.core.reasons import Denied, Reason
from gateway.core.syntax import read_head
from tests import messages, node
from tests.messages import KINDS, SECRET, WINDOW
from tests.mint import private_key

NOW = Instant(1_700_000_000.0)
TARGET = "/v1/deposits?dry=no&note=a%20b"
BODY = '{"amount": "10.00", "currency": "EUR", "name": "Zoë"}'
COVERED = ["@method", "@target-uri", "@authority", "@scheme", "@path", "@query", "content-type", "content-digest"]
SIGNERS = [
    *(("http-message-signatures", algorithm) for algorithm in KINDS if algorithm in messages.ALGORITHMS),
    ("http-message-signatures", "hmac-sha256"),
    ("http-message-sig", "ed25519"),
    ("http-message-sig", "rsa-pss-sha512"),
]
OWN_SALT = ("http-message-signatures", "rsa-pss-sha512")
"""It leaves the salt's length to OpenSSL, which takes the longest that fits; RFC 9421 3.3.1 has 64 octets."""


def job(by: str, algorithm: str) -> dict[str, Any]:
    key = SECRET.decode() if algorithm == "hmac-sha256" else node.pem(private_key(KINDS[algorithm], "partner"))
    return {
        "by": by, "algorithm": algorithm, "key": key, "keyId": algorithm,
        "method": "POST", "url": f"https://{messages.HOST}{TARGET}", "body": BODY,
        "headers": {"content-type": "application/json"}, "covered": COVERED,
        "created": int(NOW), "expires": int(NOW) + 300, "nonce": 'n "1" \\', "tag": "wallet",
    }  # fmt: skip


@pytest.fixture(scope="module")
def signed(npm: node.Packages) -> Mapping[tuple[str, str], Mapping[str, str]]:
    """What each package adds to the request, by each of its algorithms."""
    return dict(zip(SIGNERS, npm.run(*(job(*signer) for signer in SIGNERS)), strict=True))


def outcome(fields: Mapping[str, str], body: str = BODY, *, method: str = "POST", target: str = TARGET) -> str:
    """Give the reason of a refusal, or the key by whose signature it passes."""
    scheme = messages.scheme(*COVERED[:-1], tag="wallet")
    try:
        return scheme.verify(read(fields, body, method, target), body.encode(), messages.keys(), WINDOW, NOW).key_id
    except Denied as denied:
        return denied.reason.code


def read(fields: Mapping[str, str], body: str, method: str, target: str) -> RequestHead:
    given = {"host": messages.HOST, "content-length": str(len(body.encode())), **fields}
    lines = [(name.lower().encode(), value.encode()) for name, value in given.items()]
    return read_head(method=method.encode(), target=target.encode(), version="HTTP/1.1", fields=lines)


def other(text: str, at: int) -> str:
    """Change one byte."""
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


@pytest.mark.parametrize("signer", [each for each in SIGNERS if each != OWN_SALT], ids=" ".join)
def test_we_verify_what_they_sign(signer: tuple[str, str], signed: Any) -> None:
    fields = {"content-type": "application/json", **signed[signer]}
    mismatch = Reason.SIGNATURE_MISMATCH.code
    assert outcome(fields) == signer[1]
    assert outcome(fields, BODY.replace("10.00", "90.00")) == Reason.SIGNATURE_DIGEST.code
    assert outcome(fields, method="PUT") == mismatch
    assert outcome(fields, target=TARGET.replace("no", "on")) == mismatch
    assert outcome({**fields, "content-type": "application/jsom"}) == mismatch
    for name, old, new, code in (
        ("signature-input", 'nonce="n', 'nonce="m', mismatch),
        ("signature-input", ";tag", ";tug", Reason.SIGNATURE_MALFORMED.code),
        ("signature-input", '"@path"', '"@puth"', Reason.SIGNATURE_MALFORMED.code),
        ("signature", None, None, mismatch),
    ):
        own = next(each for each in fields if each.lower() == name)
        text = fields[own]
        changed = text.replace(old, new) if old else other(text, text.index(":") + 1)
        assert changed != text
        assert outcome({**fields, own: changed}) == code


def test_a_salt_of_another_length_is_refused(signed: Any, npm: node.Packages) -> None:
    fields = {"content-type": "application/json", **signed[OWN_SALT]}
    with pytest.raises(Denied, match="salt of another length than the 64 octets") as caught:
        messages.scheme(*COVERED[:-1]).verify(
            read(fields, BODY, "POST", TARGET), BODY.encode(), messages.keys(), WINDOW, NOW
        )
    assert caught.value.reason is Reason.SIGNATURE_MISMATCH
    (mended,) = npm.run({**job(*OWN_SALT), "saltLength": 64})
    assert outcome({"content-type": "application/json", **mended}) == "rsa-pss-sha512"


def test_they_verify_what_we_sign(npm: node.Packages) -> None:
    jobs = []
    for algorithm in messages.ALGORITHMS:
        head = messages.signed(
            messages.head(("content-type", "application/json"), target=TARGET),
            by=messages.scheme(*COVERED),
            algorithm=algorithm,
            created=NOW,
            nonce='n "1" \\',
            tag="wallet",
        )
        key = SECRET.decode() if algorithm == "hmac-sha256" else messages.public_pem(algorithm).decode()
        headers = dict(head.headers.fields)
        right = {
            "by": "http-message-signatures verifies", "algorithm": algorithm, "key": key,
            "method": "POST", "url": f"https://{messages.HOST}{TARGET}", "headers": headers,
        }  # fmt: skip
        jobs += [right, {**right, "headers": {**headers, "content-type": "application/jsom"}}]
    assert npm.run(*jobs) == [True, False] * len(messages.ALGORITHMS)
