"""Vendors' schemes end to end: signatures in JSON, in a form, and as a detached JWS."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.core.secret import Secret
from gateway.policy.presets import preset
from gateway.signing.own import OwnKey
from tests import messages, vendors, world
from tests.engine import pki
from tests.engine.harness import serving
from tests.engine.services import POLICY, Folder, Served, again
from tests.vendors import Request, request

POLICY_TEXT = POLICY.replace("{{", "{").replace("}}", "}")
SCHEME = POLICY_TEXT[POLICY_TEXT.index("  lines:") : POLICY_TEXT.index("\npartners:")]
SECRET_KEY = '{id: acme-2026-11, algorithm: hmac-sha256, secret: "file:acme.secret"}'
NAMES = ["gitslotpark", "pragmatic", "uk-open-banking"]


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """A preset of each kind."""
    return str(request.param)


@pytest.fixture
async def up(tmp_path: Path, name: str) -> AsyncIterator[Served]:
    """A service whose partner signs as the vendor does."""
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port)
        folder.write()
        found = preset(name)
        algorithm = found.key["algorithm"]
        material = 'secret: "file:acme.secret"'
        if not vendors.is_secret(algorithm):
            folder.put("vendor-key.pem", messages.public_pem(algorithm))
            material = "public_key: vendor-key.pem"
        weak = ", allow_weak: {owner: tests, until: 2100-01-01}" if vendors.weak(found) else ""
        dated = vendors.scheme(name).dated
        window, replay = (", max_age: 60s", "required") if dated else ("", "{remember: 1h}")
        folder.put_policy(
            **{
                SCHEME: f"  vendor: {{preset: {name}{weak}}}\n",
                SECRET_KEY: f"{{id: acme-2026-11, algorithm: {algorithm}, {material}}}",
                "{scheme: lines, max_age: 60s, max_ahead: 5s}": f"{{scheme: vendor{window}}}",
                "replay: required": f"replay: {replay}",
            }
        )
        async with again(folder, upstream) as service:
            yield service


def made(name: str) -> Request:
    """Give the vendor's sample for the route, signed."""
    found = preset(name)
    plain = request("POST", "/v1/deposits", found.sample.fields, found.sample.body.encode())
    algorithm = found.key["algorithm"]
    own = vendors.own_key(algorithm)
    material = Secret(world.SIGNING_SECRET) if vendors.is_secret(algorithm) else own.private
    key = OwnKey(world.SIGNING_KEY_ID, algorithm, material)
    return Request(*vendors.scheme(name).sign(*plain, key=key, now=world.NOW, nonce="n-1").applied(*plain))


async def post(up: Served, sent: Request, *, protocol: str = "http1.1") -> httpx.Response:
    async with httpx.AsyncClient(
        verify=pki.client_context(up.directory),
        http1=protocol == "http1.1",
        http2=protocol == "http2",
        base_url=f"https://localhost:{up.port}",
        trust_env=False,
    ) as client:
        fields = {name: value for name, value in sent.head.headers.fields if name not in ("host", "content-length")}
        headers = {"authorization": f"Bearer {world.token()}", **fields}
        return await client.post("/v1/deposits", content=sent.body, headers=headers)


@pytest.mark.parametrize("protocol", ["http1.1", "http2"])
async def test_a_vendors_request_is_forwarded_once_and_as_it_came(up: Served, name: str, protocol: str) -> None:
    sent = made(name)
    answers = [await post(up, sent, protocol=protocol) for _ in range(2)]
    assert answers[0].json() == {"status": "ok"}
    assert (answers[1].status_code, answers[1].json()["code"]) == (409, "replay.seen")
    assert up.upstream.bodies == [sent.body]


async def test_a_changed_request_is_not_forwarded(up: Served, name: str) -> None:
    sent = made(name)
    place = len(sent.body) // 2
    other = sent.body[:place] + bytes([sent.body[place] ^ 1]) + sent.body[place + 1 :]
    answer = await post(up, sent._replace(body=other))
    assert answer.status_code in (400, 401)
    assert answer.json()["code"] in {"signature.mismatch", "signature.malformed", "signature.content"}
    assert up.upstream.bodies == []
