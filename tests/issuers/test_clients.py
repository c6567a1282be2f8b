"""curl and httpx as clients, with tokens of a real issuer that are theirs alone."""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import ECKey

from gateway.controls.dpop import Proofs
from gateway.core.secret import Secret
from gateway.signing.jose import encode_base64url
from tests import proofs, world
from tests.attack.test_tokens import ATTACKS
from tests.engine import pki
from tests.issuers.identity import trusting


def bound_to(client: str) -> dict[str, str]:
    return {"x5t#S256": encode_base64url(pki.pki().clients[client].certificate.fingerprint(SHA256()))}


async def curl(folder: Path, port: int, certificate: str, token: str) -> str:
    program = shutil.which("curl")
    assert program is not None
    process = await asyncio.create_subprocess_exec(
        program, "--silent", "--output", "/dev/null", "--write-out", "%{http_code} %header{www-authenticate}",
        "--cacert", folder / "operator-ca.pem", "--cert", folder / f"{certificate}.pem",
        "--header", "@-", f"https://localhost:{port}/v1/balance",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    written, _ = await process.communicate(f"Authorization: Bearer {token}\n".encode())
    return written.decode()


async def test_curl_with_a_token_of_its_certificate(tmp_path: Path) -> None:
    async with trusting(tmp_path, {"profile": "rfc9068"}, {"bound_to": "certificate"}) as (up, provider, _):
        token = provider.token(cnf=bound_to("partner"), client_id="acme")
        stolen = provider.token(cnf=bound_to("other"), client_id="blue")

        assert await curl(tmp_path, up.port, "partner", token) == "200 "
        assert await curl(tmp_path, up.port, "partner", stolen) == ('401 Bearer realm="gateway", error="invalid_token"')


async def by_curl(folder: Path, port: int, tokens: Sequence[str]) -> list[str]:
    """Send a request with each token; gives the status and the code of each answer."""
    program = shutil.which("curl")
    assert program is not None
    config = ["silent", f'cacert = "{folder / "operator-ca.pem"}"', f'cert = "{folder / "partner.pem"}"']
    for token in tokens:
        # A config file escapes quotes and backslashes; nothing else of a token is special in it.
        quoted = token.replace("\\", "\\\\").replace('"', '\\"')
        config += [f'url = "https://localhost:{port}/v1/balance"', f'header = "Authorization: Bearer {quoted}"']
        config += ['write-out = "\\n%{http_code}\\n"', "next", *config[:3]]
    process = await asyncio.create_subprocess_exec(
        program, "--config", "-", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate("\n".join(config[:-4]).encode())
    bodies = said.decode().splitlines()
    return [f"{status} {json.loads(body)['code']}" for body, status in zip(bodies[::2], bodies[1::2], strict=True)]


async def by_httpx(folder: Path, port: int, tokens: Sequence[str]) -> list[str]:
    """Do likewise with httpx."""
    async with httpx.AsyncClient(verify=pki.client_context(folder), trust_env=False) as client:
        url = f"https://localhost:{port}/v1/balance"
        answers = [await client.get(url, headers={"authorization": f"Bearer {token}"}) for token in tokens]
    return [f"{answer.status_code} {answer.json()['code']}" for answer in answers]


@pytest.mark.parametrize("send", [by_curl, by_httpx])
async def test_hostile_tokens(tmp_path: Path, send: Callable[[Path, int, Sequence[str]], Awaitable[list[str]]]) -> None:
    """Each that the attacks know, with the keys of a real issuer: its reason, and nothing reaches upstream."""
    async with trusting(tmp_path, {"issuer": world.ISSUER}) as (up, provider, _):
        provider.keys = [ECKey.import_key(world.jwk(world.private_key()), {"kid": world.KEY_ID})]
        expected = [f"{reason.status} {reason.code}" for _, reason in ATTACKS.values()]
        found = await send(tmp_path, up.port, [token for token, _ in ATTACKS.values()])

        assert dict(zip(ATTACKS, found, strict=True)) == dict(zip(ATTACKS, expected, strict=True))
        assert up.upstream.untouched
        assert provider.asked.count("/jwks") <= 2


async def test_httpx_with_a_key_of_its_own_and_the_nonces_it_is_given(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"bound_to": "dpop", "proofs": Proofs(nonce=Secret(b"n" * 32))}
    async with trusting(tmp_path, None, settings) as (up, provider, _):
        key = ECKey.generate_key("P-256")
        token = provider.token(cnf={"jkt": key.thumbprint()})
        url = f"https://localhost:{up.port}/v1/balance"
        nonce: str | None = None
        seen: list[int] = []
        async with httpx.AsyncClient(verify=pki.client_context(tmp_path), trust_env=False) as client:
            for number in range(4):
                proof = proofs.proof(token, key, htm="GET", htu=url, jti=f"proof-{number}", nonce=nonce)
                response = await client.get(url, headers={"authorization": f"DPoP {token}", "dpop": proof})
                nonce = response.headers.get("dpop-nonce", nonce)
                seen.append(response.status_code)
        assert seen == [401, 200, 200, 200]
        assert len(up.upstream.requests) == 3
