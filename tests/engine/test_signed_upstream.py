"""Requests that the gate signs towards upstream, verified there by code that others wrote."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from http_message_signatures import HTTPMessageVerifier, HTTPSignatureKeyResolver, algorithms

from gateway.engine import data_path
from tests import world
from tests.engine import harness, pki
from tests.engine.harness import serving
from tests.engine.services import Folder, Served, again
from tests.mint import private_key

KEYS = """\
gateway_keys:
  gate-2026-11: {algorithm: ed25519, private_key: upstream.key}
  vendor-7: {algorithm: hmac-sha256, secret: "file:acme.secret"}

schemes:
  standard: {type: http-message-signatures, covered: ["@method", "@target-uri", x-gateway-partner], nonce: required}
  vendor:
    algorithm: hmac-sha256
    string_to_sign: [timestamp, target, body]
    separator: "."
    timestamp: {header: X-Vendor-Time}
    signature: {header: X-Vendor-Sign}
"""
PLAIN = 'psp: {url: "http://127.0.0.1:'
SIGNING = 'psp: {sign: {scheme: standard, key: gate-2026-11}, url: "http://127.0.0.1:'


def folder_of(path: Path, port: int, **changes: str) -> Folder:
    folder = Folder(path, port)
    folder.write()
    key = private_key("Ed25519", "gate")
    folder.put("upstream.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    folder.put_policy(**{"schemes:\n": KEYS, PLAIN: SIGNING, **changes})
    return folder


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving() as upstream, again(folder_of(tmp_path, upstream.port), upstream) as service:
        yield service


class Keys(HTTPSignatureKeyResolver):
    def resolve_private_key(self, key_id: str) -> Any:
        raise NotImplementedError

    def resolve_public_key(self, key_id: str) -> Any:
        assert key_id == "gate-2026-11"
        return private_key("Ed25519", "gate").public_key()


def verified(up: Served) -> list[str]:
    """Give what the signature of the last request covers, as the upstream sees it."""
    head, body = up.upstream.heads[-1].decode(), up.upstream.bodies[-1]
    method, target, _ = head.splitlines()[0].split(" ")
    fields = up.upstream.fields()
    url = f"https://{dict(fields)['host']}{target}"
    message: Any = SimpleNamespace(method=method, url=url, headers=httpx.Headers(fields))
    verifier = HTTPMessageVerifier(signature_algorithm=algorithms.ED25519, key_resolver=Keys())
    verifier.max_clock_skew = timedelta(days=36_500)
    (result,) = verifier.verify(message, max_age=timedelta(days=36_500), body=body)
    return list(result.covered_components)


async def post(up: Served, nonce: str = "nonce-1", *, http2: bool = False, **fields: str) -> httpx.Response:
    async with httpx.AsyncClient(
        verify=pki.client_context(up.directory), http1=not http2, http2=http2,
        base_url=f"https://localhost:{up.port}", trust_env=False,
    ) as client:  # fmt: skip
        headers = {
            "authorization": f"Bearer {world.token()}",
            "content-type": "application/json",
            **world.signed(b"POST", b"/v1/deposits", world.BODY, nonce),
            **{name.replace("_", "-"): value for name, value in fields.items()},
        }
        return await client.post("/v1/deposits", content=world.BODY, headers=headers)


@pytest.mark.parametrize("http2", [False, True])
async def test_a_request_is_signed_with_the_gates_own_key(up: Served, http2: bool) -> None:
    answer = await post(up, http2=http2, signature="mine=:AA==:", content_digest="sha-256=:AA==:")

    assert answer.json() == {"status": "ok"}
    assert verified(up) == [
        '"@method"', '"@target-uri"', '"x-gateway-partner"', '"content-digest"', '"@signature-params"'
    ]  # fmt: skip
    fields = dict(up.upstream.fields())
    assert f'nonce="{fields["x-gateway-request-id"]}"' in fields["signature-input"]
    assert fields.keys().isdisjoint({"x-signature", "x-key-id"})  # the partner's, about another message
    assert up.upstream.bodies == [world.BODY]


@pytest.mark.parametrize("http2", [False, True])
async def test_the_host_that_a_vendor_is_known_by_is_signed(tmp_path: Path, http2: bool) -> None:
    async with serving() as upstream:
        vendor = SIGNING.replace("psp: {", "psp: {host: api.vendor.example, ")
        async with again(folder_of(tmp_path, upstream.port, **{PLAIN: vendor}), upstream) as up:
            assert (await post(up, http2=http2)).status_code == 200
            assert '"@target-uri"' in verified(up)
            assert dict(up.upstream.fields())["host"] == "api.vendor.example"


async def test_a_request_without_a_body_is_signed_too(up: Served) -> None:
    answer = await up.send(harness.get())
    assert answer.status == 200
    assert '"content-digest"' not in verified(up)


async def test_a_body_that_would_be_passed_on_as_it_comes_is_held(up: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_path, "STREAM_FROM", 1)
    assert (await post(up)).status_code == 200
    assert '"content-digest"' in verified(up)


@pytest.mark.parametrize("http2", [False, True])
async def test_a_key_that_is_not_in_force_keeps_the_upstream_untouched(tmp_path: Path, http2: bool) -> None:
    async with serving() as upstream:
        changes = {"private_key: upstream.key": "private_key: upstream.key, not_after: 2026-11-01"}
        folder = folder_of(tmp_path, upstream.port, **changes)
        async with again(folder, upstream) as up:
            answer = await post(up, http2=http2)

    assert (answer.status_code, answer.json()["code"]) == (502, "request.unsignable")
    assert upstream.untouched
    (outcome,) = folder.records("outcome")
    assert outcome["status_detail"] == "gateway key 'gate-2026-11' is not in force"


async def test_a_vendors_own_scheme(tmp_path: Path) -> None:
    async with serving() as upstream:
        vendor = SIGNING.replace("standard", "vendor").replace("gate-2026-11", "vendor-7")
        async with again(folder_of(tmp_path, upstream.port, **{PLAIN: vendor}), upstream) as up:
            assert (await post(up)).status_code == 200

    fields = dict(upstream.fields())
    text = f"{fields['x-vendor-time']}./v1/deposits.".encode() + upstream.bodies[-1]
    assert fields["x-vendor-sign"] == hmac.new(world.SIGNING_SECRET, text, hashlib.sha256).hexdigest()
