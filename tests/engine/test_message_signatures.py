"""HTTP Message Signatures end to end: a policy from a file, and a client that others wrote on both ends of its life."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_message_signatures import HTTPMessageSigner, HTTPSignatureKeyResolver, algorithms

from gateway.core.message import Headers
from gateway.core.syntax import read_head
from gateway.signing.httpsig.base import Covered
from gateway.signing.httpsig.component import Component
from gateway.signing.httpsig.digest import write_digest
from gateway.signing.httpsig.message import Request
from gateway.signing.httpsig.sign import sign
from tests import messages, world
from tests.engine import pki
from tests.engine.harness import serving
from tests.engine.http2 import Http2Client
from tests.engine.services import POLICY, Folder, Served, again
from tests.mint import private_key

ALGORITHMS: dict[str, Any] = {"ed25519": algorithms.ED25519, "rsa-pss-sha512": algorithms.RSA_PSS_SHA512}
POLICY_TEXT = POLICY.replace("{{", "{").replace("}}", "}")
COVERED = ["@method", "@target-uri", "authorization", "content-type"]

SCHEMES = """\
  partner:
    type: http-message-signatures
    covered: ["@method", "@target-uri", authorization]
    nonce: required
  bank: {preset: fapi2, nonce: required}
"""
KEYS = """\
      - {id: ed25519, algorithm: ed25519, public_key: ed25519.pem}
      - {id: rsa-pss-sha512, algorithm: rsa-pss-sha512, public_key: rsa.pem}
"""


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Served]:
    """A service whose partner signs by RFC 9421, with keys of both kinds."""
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port)
        folder.write()
        folder.put("ed25519.pem", messages.public_pem("ed25519"))
        folder.put("rsa.pem", messages.public_pem("rsa-pss-sha512"))
        write_policy(folder, "partner")
        async with again(folder, upstream) as service:
            yield service


def write_policy(folder: Folder, scheme: str) -> None:
    composed = POLICY_TEXT[POLICY_TEXT.index("  lines:") : POLICY_TEXT.index("\npartners:")]
    secret = '      - {id: acme-2026-11, algorithm: hmac-sha256, secret: "file:acme.secret"}\n'
    unused = SCHEMES[: SCHEMES.index("  bank")] if scheme == "partner" else SCHEMES[SCHEMES.index("  bank") :]
    changes = {composed: unused, secret: KEYS, "scheme: lines": f"scheme: {scheme}"}
    folder.put_policy(**changes)


class Keys(HTTPSignatureKeyResolver):
    """The partner's private keys."""

    def resolve_private_key(self, key_id: str) -> Any:
        return private_key(messages.KINDS[key_id], "partner")

    def resolve_public_key(self, key_id: str) -> Any:
        raise NotImplementedError


class Partner(httpx.Auth):
    """Signs every request, and then does to it what a test wants."""

    requires_request_body = True

    def __init__(self, algorithm: str, nonce: str, *, covered: list[str] | None = None, **fields: str) -> None:
        self._signer = HTTPMessageSigner(signature_algorithm=ALGORITHMS[algorithm], key_resolver=Keys())
        self._algorithm, self._nonce, self._fields, self._covered = algorithm, nonce, fields, covered or COVERED

    def auth_flow(self, request: httpx.Request) -> Any:
        self._signer.sign(
            request,
            key_id=self._algorithm,
            created=datetime.fromtimestamp(world.NOW, UTC),
            nonce=self._nonce,
            covered_component_ids=self._covered,
            body=request.content,
            tag="fapi-2-request",
        )
        for name, value in self._fields.items():
            request.headers[name.replace("_", "-")] = value
        yield request


async def post(up: Served, signer: Partner, *, protocol: str = "http1.1") -> httpx.Response:
    async with httpx.AsyncClient(
        verify=pki.client_context(up.directory),
        http1=protocol == "http1.1",
        http2=protocol == "http2",
        base_url=f"https://localhost:{up.port}",
        trust_env=False,
    ) as client:
        headers = {"authorization": f"Bearer {world.token()}", "content-type": "application/json"}
        return await client.post("/v1/deposits", content=world.BODY, headers=headers, auth=signer)


@pytest.mark.parametrize("protocol", ["http1.1", "http2"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_signed_request_is_forwarded_once(up: Served, algorithm: str, protocol: str) -> None:
    signer = Partner(algorithm, "nonce-1")
    answers = [await post(up, signer, protocol=protocol) for _ in range(2)]

    assert answers[0].json() == {"status": "ok"}
    assert (answers[1].status_code, answers[1].json()["code"]) == (409, "replay.seen")
    assert up.upstream.bodies == [world.BODY]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"content_digest": write_digest(b"other")}, "signature.digest_mismatch"),
        ({"content_type": "application/jsom"}, "signature.mismatch"),
        ({"signature": "pyhms=:AQI=:"}, "signature.mismatch"),
        ({"signature": "pyhms=1"}, "signature.malformed"),
        ({"signature_input": 'pyhms=("@method");created=1795352400;keyid="ed25519";nonce="n"'},
         "signature.coverage"),
        ({"signature_input": 'pyhms=("@method" "@target-uri" "authorization" "content-digest");'
          'created=1795352400;keyid="ed25519";nonce="n";alg="hmac-sha256"'}, "signature.algorithm"),
    ],
)  # fmt: skip
async def test_a_changed_request_is_refused(up: Served, algorithm: str, fields: dict[str, str], code: str) -> None:
    answer = await post(up, Partner(algorithm, "nonce-1", **fields))

    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert up.upstream.bodies == []


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_body_that_is_changed_on_the_way_is_refused(
    up: Served, algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = Partner(algorithm, "nonce-1")
    flow = signer.auth_flow

    def changed(request: httpx.Request) -> Any:
        (signed,) = flow(request)
        body = world.BODY.replace(b"1", b"9", 1)
        assert body != world.BODY
        assert len(body) == len(world.BODY)
        yield httpx.Request(signed.method, signed.url, headers=signed.headers, content=body)

    monkeypatch.setattr(signer, "auth_flow", changed)
    answer = await post(up, signer)

    assert (answer.status_code, answer.json()["code"]) == (401, "signature.digest_mismatch")
    assert up.upstream.bodies == []


async def test_the_profile_of_fapi_2(tmp_path: Path) -> None:
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port)
        folder.write()
        folder.put("ed25519.pem", messages.public_pem("ed25519"))
        folder.put("rsa.pem", messages.public_pem("rsa-pss-sha512"))
        write_policy(folder, "bank")
        async with again(folder, upstream) as up:
            allowed = await post(up, Partner("rsa-pss-sha512", "nonce-1"))
            less = await post(up, Partner("ed25519", "nonce-2", covered=["@method", "@target-uri"]))

    assert (allowed.status_code, less.json()["code"]) == (200, "signature.coverage")
    (denied,) = [record for record in folder.records("decision") if record["action_id"] == 2]
    assert 'does not cover "authorization"' in denied["status_detail"]


SUM = ("x-sum", "100.00")


def trailed(
    nonce: str, *, covered: tuple[str, ...] = ("x-sum",), trailers: tuple[tuple[str, str], ...] = (SUM,)
) -> Any:
    """Give the fields of a request whose signature covers trailers that follow its body."""
    fields = [
        ("host", "localhost"), ("authorization", f"Bearer {world.token()}"), ("content-type", "application/json"),
        ("transfer-encoding", "chunked"), ("content-digest", write_digest(world.BODY)),
    ]  # fmt: skip
    plain = read_head(
        method=b"POST", target=b"/v1/deposits", version="HTTP/1.1",
        fields=[(name.encode(), value.encode()) for name, value in fields],
    )._replace(trailers=Headers(trailers))  # fmt: skip
    components = messages.components("@method", "@target-uri", "authorization", "content-digest")
    components += tuple(Component.parse(f'"{name}";tr') for name in covered)
    made = sign(Request.of(plain), Covered(components), messages.terms(nonce=nonce), "sig1", messages.signer())
    return [*fields, *made]


def chunked(fields: list[tuple[str, str]], *trailers: tuple[str, str]) -> bytes:
    """Write it for HTTP/1.1."""
    lines = ["POST /v1/deposits HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
    behind = "".join(f"{name}: {value}\r\n" for name, value in trailers)
    body = b"%x\r\n%b\r\n0\r\n" % (len(world.BODY), world.BODY)
    return "\r\n".join(lines).encode() + body + behind.encode() + b"\r\n"


async def test_trailers_are_verified_and_go_no_further(up: Served) -> None:
    assert (await up.send(chunked(trailed("n-1"), SUM))).status == 200
    assert up.upstream.bodies == [world.BODY]
    assert b"\r\nx-sum:" not in b"".join(up.upstream.heads).lower()
    for number, (sent, reason) in enumerate(
        (
            (chunked(trailed("n-2"), ("x-sum", "100.01")), "signature.mismatch"),
            (chunked(trailed("n-3")), "signature.coverage"),
            (chunked(trailed("n-4"), SUM, ("x-more", "1")), "signature.coverage"),
            (chunked(trailed("n-5", covered=(), trailers=()), SUM), "http.malformed"),
            (chunked(trailed("n-6"), ("content-length", "3")), "http.field"),
            (chunked(trailed("n-7"), *[SUM] * 40), "http.malformed"),
            (chunked(trailed("n-1"), SUM), "replay.seen"),
        )
    ):
        assert (await up.send(sent)).code == reason, number
    assert len(up.upstream.bodies) == 1


async def test_trailers_in_http2(up: Served) -> None:
    async with Http2Client(up) as client:
        for nonce, value, status in (("n-1", "100.00", 200), ("n-2", "100.01", 401)):
            fields = [(name, text) for name, text in trailed(nonce) if name not in ("host", "transfer-encoding")]
            head = [(":method", "POST"), (":scheme", "https"), (":path", "/v1/deposits"), (":authority", "localhost")]
            stream = client.begin([*head, *fields], end=False)
            client.send(stream, world.BODY, end=False)
            client.h2.send_headers(stream, [("x-sum", value)], end_stream=True)
            client.flush()
            assert (await client.answer(stream)).status == status
    assert up.upstream.bodies == [world.BODY]
