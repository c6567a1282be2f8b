"""Answers that the gate signs, verified by a client that others wrote: on both data paths, refusals too."""

from base64 import b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from http_message_signatures import HTTPMessageVerifier, HTTPSignatureKeyResolver, InvalidSignature, algorithms

from gateway.cli.partner import kit
from gateway.cli.verify import verify
from gateway.signing.httpsig.digest import check_digest, write_digest
from tests import world
from tests.engine import pki
from tests.engine.harness import serving
from tests.engine.services import Folder, Served, again
from tests.engine.upstream import answers
from tests.mint import private_key

KEYS = """\
gateway_keys:
  gate-2026-11: {algorithm: ed25519, private_key: answers.key}

sign_responses: {scheme: answers, key: gate-2026-11, limit: 64KiB}

schemes:
  answers:
    type: http-message-signatures
    covered: ["@method", "@target-uri"]
    responses: {tag: psp-answer, expires_after: 60s}
"""
MATCH = "    match: {method: GET, path: /v1/balance}\n"
OFF = '    sign_responses: {off: "streams statements"}\n'
TAG = "psp-answer"
BOUND = ("@status", "content-digest", '"@method";req', '"@target-uri";req')


def pem() -> bytes:
    """Give the gate's private key."""
    return private_key("Ed25519", "gate").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write(folder: Folder, **changes: str) -> None:
    """Write a policy whose answers are signed."""
    folder.write()
    folder.put("answers.key", pem())
    folder.put_policy(**{"schemes:\n": KEYS, **changes})


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port)
        write(folder)
        async with again(folder, upstream) as service:
            yield service


class Keys(HTTPSignatureKeyResolver):
    """The gate's public key."""

    def resolve_private_key(self, key_id: str) -> Any:
        raise NotImplementedError

    def resolve_public_key(self, key_id: str) -> Any:
        assert key_id == "gate-2026-11"
        return private_key("Ed25519", "gate").public_key()


class Verifier(HTTPMessageVerifier):
    """Whose clock is the world's."""

    def __init__(self) -> None:
        super().__init__(signature_algorithm=algorithms.ED25519, key_resolver=Keys())
        self.max_clock_skew = timedelta(days=36_500)


def verified(answer: httpx.Response, *tags: str) -> dict[str, list[str]]:
    """Give the covered components by label, of signatures that hold; the digest is checked too."""
    results = [
        result
        for tag in tags or (TAG,)
        for result in Verifier().verify(answer, max_age=timedelta(days=36_500), expect_tag=tag)
    ]
    check_digest("content-digest", answer.headers["content-digest"], answer.content)
    return {result.label: list(result.covered_components) for result in results}


async def ask(up: Served, path: str = "/v1/balance", method: str = "GET", http2: bool = False, **fields: str) -> Any:
    async with httpx.AsyncClient(
        verify=pki.client_context(up.directory), http1=not http2, http2=http2,
        base_url=f"https://localhost:{up.port}", trust_env=False,
    ) as client:  # fmt: skip
        headers = {"authorization": f"Bearer {world.token()}", "accept-encoding": "identity"}
        headers |= {name.replace("_", "-"): value for name, value in fields.items()}
        return await client.request(method, path, headers=headers)


async def outcome(up: Served) -> tuple[str, str]:
    """Give the reason and the detail of the last outcome, once every record is written."""
    await up.stop()
    record = up.folder.records("outcome")[-1]
    return record["status_code"], record["status_detail"]


@pytest.mark.parametrize("http2", [False, True])
async def test_answers_and_refusals_are_signed(up: Served, http2: bool) -> None:
    given = [
        await ask(up, http2=http2),
        await ask(up, "/nowhere", http2=http2),  # refused before there is a route
        await ask(up, "/v1/deposits", "POST", http2=http2),  # refused by a route
        await ask(up, method="HEAD", path="/v1/deposits", http2=http2),
    ]

    assert [answer.status_code for answer in given] == [200, 404, 401, 405]
    for answer in given:
        ((label, covered),) = verified(answer).items()
        assert label == "gateway"
        assert {part.strip('"') if ";" not in part else part for part in covered} >= set(BOUND)
        assert 'tag="psp-answer"' in answer.headers["signature-input"]
    assert "transfer-encoding" not in given[0].headers
    assert given[0].content == b'{"status":"ok"}'
    changed = given[0]
    changed.status_code = 201
    with pytest.raises(InvalidSignature):
        verified(changed)


async def test_a_refusal_of_what_cannot_be_read_covers_what_there_is(up: Served) -> None:
    answer = await up.send(b"GET / HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n\r\n")

    assert answer.status == 400
    assert 'gateway=("@status" "content-digest" "content-type");created' in answer.fields["signature-input"]
    check_digest("content-digest", answer.fields["content-digest"], answer.body)


async def test_a_signature_that_is_wished_for_stands_beside_the_gates(up: Served) -> None:
    wish = 'mine=("@status" "@path";req "cache-control");created;expires;nonce="n-1";keyid="gate-2026-11";tag="acme"'
    other = 'other=("@status");keyid="somebody-else"'
    refused = await ask(up, "/nowhere", accept_signature=f"{wish}, {other}")
    allowed = await ask(up, accept_signature='mine=("@status");nonce="n-2";tag="acme"')

    for answer in (refused, allowed):
        assert verified(answer, TAG, "acme").keys() == {"gateway", "mine"}
    expected = '("@status" "@path";req "cache-control");created=1795352400;keyid="gate-2026-11";expires=1795352460;'
    assert f'{expected}nonce="n-1";tag="acme"' in refused.headers["signature-input"]
    assert refused.headers["vary"] == "accept-signature"


async def test_the_upstreams_own_signature_makes_way(up: Served) -> None:
    up.upstream.answer = (
        b"HTTP/1.1 200 OK\r\nsignature: up=:AA==:\r\nSignature-Input: up=()\r\ncontent-length: 2\r\n"
        b"Content-Digest: crc32c=:AA==:\r\n\r\nok"
    )
    assert verified(await ask(up)).keys() == {"gateway"}


async def test_an_answer_without_a_body_is_signed(up: Served) -> None:
    up.upstream.answer = b"HTTP/1.1 204 No Content\r\n\r\n"
    answer = await ask(up)
    assert answer.status_code == 204
    assert verified(answer).keys() == {"gateway"}
    assert "content-length" not in answer.headers


async def test_an_answer_beyond_the_limit_is_withheld(up: Served) -> None:
    body = b"x" * 65_537
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    for framing, pieces in ((b"content-length: 65537", body), (b"transfer-encoding: chunked", chunk)):
        up.upstream.behaviour = answers(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n", pieces)
        for http2 in (False, True):
            answer = await ask(up, http2=http2)
            assert (answer.status_code, answer.json()["code"]) == (502, "response.too_large")
            assert verified(answer).keys() == {"gateway"}
    code, detail = await outcome(up)
    assert (code, detail) == ("response.too_large", "more than the 65536 bytes that are held to be signed")
    assert up.folder.kinds().count("outcome") == 4


async def test_an_answer_at_the_limit_is_passed_on(up: Served) -> None:
    up.upstream.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 65536\r\n\r\n" + b"x" * 65_536
    answer = await ask(up)
    assert (answer.status_code, len(answer.content)) == (200, 65_536)
    assert verified(answer).keys() == {"gateway"}


async def test_an_answer_that_belies_its_own_digest_is_not_signed(up: Served) -> None:
    digest = write_digest(b"something else").encode()
    up.upstream.answer = b"HTTP/1.1 200 OK\r\ncontent-digest: " + digest + b"\r\ncontent-length: 2\r\n\r\nok"
    answer = await ask(up)

    assert (answer.status_code, answer.json()["code"]) == (502, "upstream.broken")
    assert await outcome(up) == ("upstream.broken", "content-digest by sha-256 is not that of the 2 bytes received")


@pytest.mark.parametrize("http2", [False, True])
async def test_without_a_key_in_force_no_answer_is_passed_on(tmp_path: Path, http2: bool) -> None:
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port)
        write(folder, **{"private_key: answers.key": "private_key: answers.key, not_after: 2026-11-01"})
        async with again(folder, upstream) as up:
            answer = await ask(up, http2=http2)
            code, detail = await outcome(up)

    assert (answer.status_code, answer.json()["code"]) == (502, "response.unsignable")
    assert "signature" not in answer.headers
    assert (code, detail) == ("response.unsignable", "gateway key 'gate-2026-11' is not in force")


async def test_a_route_can_do_without(tmp_path: Path) -> None:
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port)
        write(
            folder,
            **{"    match: {method: GET, path: /v1/balance}\n": "    match: {method: GET, path: /v1/balance}\n" + OFF},
        )
        async with again(folder, upstream) as up:
            first = await ask(up)
            up.upstream.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 131072\r\n\r\n" + b"x" * 131_072
            large = await ask(up)
            elsewhere = await ask(up, "/nowhere")

    assert "signature" not in first.headers
    assert len(large.content) == 131_072
    assert verified(elsewhere).keys() == {"gateway"}
    (decision, *_) = folder.records("decision")
    assert {"control": "sign_responses", "because": "streams statements"} in decision["unmapped"]["controls_off"]


async def test_what_an_addon_changes_is_signed(tmp_path: Path) -> None:
    script = tmp_path / "addon.py"
    script.write_text("def responseheaders(flow):\n    flow.response.headers['location'] = '/elsewhere'\n")
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port)
        write(folder)
        async with again(folder, upstream, addons=(script,)) as up:
            answer = await ask(up)

    assert answer.headers["location"] == "/elsewhere"
    assert '"location"' in verified(answer)["gateway"]


async def test_a_vendors_own_scheme_signs_the_answers_too(tmp_path: Path) -> None:
    """Hub88 signs bodies in both directions, each side with its own RSA key."""
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port)
        rsa = private_key("RSA-2048", "gate")
        pem = rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        keys = KEYS.replace("ed25519", "rsa-v1_5-sha256").replace("scheme: answers", "scheme: hub")
        write(folder, **{"schemes:\n": keys[: keys.index("  answers:")] + "  hub: {preset: hub88}\n"})
        folder.put("answers.key", pem)
        async with again(folder, upstream) as up:
            given = [await ask(up), await ask(up, "/nowhere"), await ask(up, http2=True)]

    assert [answer.status_code for answer in given] == [200, 404, 200]
    for answer in given:
        assert "key        gate-2026-11, rsa-v1_5-sha256" in told(folder, answer, "hub")
        signature = b64decode(answer.headers["x-hub88-signature"], validate=True)
        rsa.public_key().verify(signature, answer.content, PKCS1v15(), SHA256())
    made = CliRunner().invoke(kit, [str(folder.policy), "acme-casino", "--output", str(tmp_path / "kit")])
    assert (made.exit_code, "--scheme hub" in (tmp_path / "kit" / "README.md").read_text()) == (0, True), made.output
    key = ["--public-key", str(tmp_path / "kit" / "gateway-key.pem")]
    assert "signature  right" in told(folder, given[0], "hub", tmp_path / "kit" / "schemes.yaml", *key)


async def test_a_detached_jws(tmp_path: Path) -> None:
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port)
        keys = KEYS[: KEYS.index("  answers:")].replace("scheme: answers", "scheme: jws")
        jws = "  jws: {type: jws, algorithms: [EdDSA], header: X-JWS-Signature, timestamp: {parameter: iat}}\n"
        write(folder, **{"schemes:\n": keys + jws})
        async with again(folder, upstream) as up:
            given = [await ask(up), await ask(up, "/nowhere"), await ask(up, http2=True)]

    public = private_key("Ed25519", "gate").public_key()
    for answer in given:
        header, payload, signature = answer.headers["x-jws-signature"].split(".")
        assert payload == ""
        whole = f"{header}.{urlsafe_b64encode(answer.content).decode().rstrip('=')}.{signature}"
        assert jwt.PyJWS().decode(whole, public, ["EdDSA"]) == answer.content
        assert jwt.get_unverified_header(whole)["kid"] == "gate-2026-11"
        assert "covered    JOSE header, body" in told(folder, answer, "jws")


async def test_answers_by_the_secret_of_the_caller(tmp_path: Path) -> None:
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port)
        folder.write()
        folder.put_policy(**{"schemes:\n": "sign_responses: {scheme: lines, key: partner}\n\nschemes:\n"})
        async with again(folder, upstream) as up:
            answer = await ask(up)
    assert f"key        {world.SIGNING_KEY_ID}, hmac-sha256" in told(folder, answer, "lines")


def told(folder: Folder, answer: httpx.Response, scheme: str, policy: Path | None = None, *key: str) -> str:
    """Have `gateway verify` check an answer by the keys of the policy, or by one; give what it says."""
    request, files = answer.request, [folder.path / "request.http", folder.path / "answer.http"]
    starts = (f"{request.method} {request.url.raw_path.decode()} HTTP/1.1", f"HTTP/1.1 {answer.status_code} OK")
    for file, start, message, body in zip(files, starts, (request, answer), (b"", answer.content), strict=True):
        dropped = ("transfer-encoding", "content-encoding")
        lines = [f"{name}: {value}" for name, value in message.headers.items() if name not in dropped]
        file.write_bytes("\r\n".join([start, *lines, "", ""]).encode("latin-1") + body)
    arguments = [str(policy or folder.policy), *key, "--request", str(files[0]), "--response", str(files[1])]
    result = CliRunner().invoke(verify, [*arguments, "--scheme", scheme, "--at", "2026-11-22T13:00:00Z"])
    assert (result.exit_code, "signature  right" in result.output) == (0, True), result.output
    return result.output
