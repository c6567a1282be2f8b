"""The recipes of docs/identity.md, driven: the real gate with each as it is written, but for names and addresses.

Tokens are a real issuer's, requests are signed by other libraries than the gate's.
"""

import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from http_message_signatures import HTTPMessageSigner, HTTPSignatureKeyResolver, algorithms
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from gateway.engine.service import Settings
from gateway.pki.authority import Names, Purpose
from gateway.signing.jose import encode_base64url
from tests import messages, proofs, world
from tests.engine import pki
from tests.engine.harness import serving
from tests.engine.services import Folder, Served, again
from tests.issuers.identity import IdentityProvider, providing
from tests.mint import private_key

pytestmark = pytest.mark.direct  # once: what is shown is the recipes

PAGE = (Path(__file__).parents[2] / "docs" / "identity.md").read_text()
SECRETS = {"BANK_SECRET": "b" * 32, "OLD_GAMES_SECRET": "o" * 32}
NOW = int(world.NOW)
PATH = "/v1/accounts/a-1/payments"
BODY = b'{"amount": "10.00"}'


def recipe(name: str) -> str:
    """Give a recipe's text."""
    (text,) = re.findall(rf"^```yaml\n(# {name}\.yaml\n.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return text


def open_banking() -> str:
    """Give the recipe for Open Banking: that for FAPI with another issuer and another token."""
    ((issuer, token),) = re.findall(
        r"^# issuers:\n(  bank:.*?)^# and on the route:\n(    token:.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
    )
    text = recipe("fapi")
    text = text[: text.index("  bank: {")] + issuer + text[text.index("\nschemes:") :]
    return text[: text.index("    token:\n")] + token + text[text.index("    rate_limit:") :]


@dataclass
class Recipes(Folder):
    """The folders that a recipe's paths lead to: `policies`, where it stands, and `certs`."""

    text: str = ""

    def write(self) -> None:
        """Write certificates and keys, and the recipe."""
        certs = self.path / "certs"
        certs.mkdir()
        pki.write(certs)
        (certs / "gateway.key").chmod(0o600)
        (certs / "fintech.pem").write_bytes(messages.public_pem("ed25519"))
        (self.path / "policies").mkdir()
        (self.path / "policies" / "policy.yaml").write_text(self.text)

    @property
    def policy(self) -> Path:
        """The recipe."""
        return self.path / "policies"

    def settings(self, **changes: Any) -> Settings:
        """Give the settings, with the secrets that the recipes name."""
        return Settings(self.policy, self.audit, self.path / "state", SECRETS, **changes)


@asynccontextmanager
async def following(directory: Path, text: str, **addresses: str) -> AsyncIterator[Served]:
    """Bring up a gate that follows a recipe; names and addresses alone are changed."""
    async with serving() as upstream:
        changes = {"127.0.0.1:8443": "127.0.0.1:0", "127.0.0.1:9000": f"127.0.0.1:{upstream.port}", **addresses}
        for old, new in changes.items():
            assert old in text, old
            text = text.replace(old, new)
        folder = Recipes(directory, upstream.port, text=text)
        folder.write()
        async with again(folder, upstream) as up:
            yield up


@asynccontextmanager
async def banking(
    directory: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Served, IdentityProvider]]:
    """Bring up a bank's issuer, and a gate that follows a recipe."""
    (directory / "idp").mkdir()
    async with providing(directory / "idp") as provider:
        # Recipes trust the CAs of the system, as issuers have certificates of one.
        monkeypatch.setenv("SSL_CERT_FILE", str(directory / "idp" / "operator-ca.pem"))
        async with following(directory, text, **{"https://idp.bank.example": provider.url}) as up:
            yield up, provider


def url_of(up: Served) -> str:
    """Give where the one listener of a recipe is."""
    (listener,) = up.service.master.listeners.values()
    return f"https://localhost:{listener.sockets[0].getsockname()[1]}"


class Keys(HTTPSignatureKeyResolver):
    """The fintech's private key."""

    def resolve_private_key(self, key_id: str) -> Any:
        assert key_id == "fintech-2026"
        return private_key(messages.KINDS["ed25519"], "partner")

    def resolve_public_key(self, key_id: str) -> Any:
        raise NotImplementedError


class Fapi(httpx.Auth):
    """Signs requests as the FAPI profile has it."""

    requires_request_body = True

    def __init__(self, nonce: str, covered: list[str]) -> None:
        self._signer = HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=Keys())
        self._nonce, self._covered = nonce, covered

    def auth_flow(self, request: httpx.Request) -> Any:
        self._signer.sign(
            request,
            key_id="fintech-2026",
            created=datetime.fromtimestamp(world.NOW, UTC),
            nonce=self._nonce,
            covered_component_ids=self._covered,
            body=request.content,
            tag="fapi-2-request",
        )
        yield request


def fintech() -> bytes:
    """Give the fintech's certificate and key."""
    issued = pki.pki().partners.issue(Names("fintech", dns=("api.fintech.example",)), Purpose.CLIENT, pki.VALID)
    return issued.certificate_pem() + issued.key_pem()


class Client:
    """The fintech: sends one request after the other, each with a nonce of its own."""

    def __init__(self, up: Served, directory: Path) -> None:
        pem = directory / "fintech-client.pem"
        pem.write_bytes(fintech())
        context = pki.client_context(directory / "certs", None)
        context.load_cert_chain(pem)
        self.thumbprint = encode_base64url(x509.load_pem_x509_certificate(pem.read_bytes()).fingerprint(SHA256()))
        self.url = url_of(up)
        self.http = httpx.AsyncClient(verify=context, trust_env=False, base_url=self.url)
        self._nonces = iter(range(1_000))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def pay(
        self, token: str, *, path: str = PATH, nonce: str | None = None, proof: str | None = None
    ) -> httpx.Response:
        """Pay, with a token; bound to the certificate, or with a proof."""
        covered = ["@method", "@target-uri", "authorization", *(["dpop"] if proof else [])]
        headers = {"authorization": f"{'DPoP' if proof else 'Bearer'} {token}", "content-type": "application/json"}
        headers |= {"dpop": proof} if proof else {}
        signer = Fapi(nonce or f"nonce-{next(self._nonces)}", covered)
        return await self.http.post(path, content=BODY, headers=headers, auth=signer)

    async def codes(self, *tokens: str) -> list[Any]:
        """Pay with each; gives the codes of refusals, and the status of what passed."""
        answers = [await self.pay(token) for token in tokens]
        return [answer.status_code if answer.is_success else answer.json()["code"] for answer in answers]


async def test_fapi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with banking(tmp_path, recipe("fapi"), monkeypatch) as (up, provider), AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(up, tmp_path))
        proven = ECKey.generate_key("P-256")

        def token(**changes: Any) -> str:
            claims = {
                "aud": "https://api.bank.example", "scope": "payments", "client_id": "fintech-client", "account": "a-1",
                "acr": "urn:bank:sca", "auth_time": NOW - 60, "cnf": {"x5t#S256": client.thumbprint},
            }  # fmt: skip
            return provider.token(**{**claims, **changes})

        answer = await client.pay(token(), nonce="once")
        assert answer.json() == {"status": "ok"}, answer.text
        assert (await client.pay(token(), nonce="once")).json()["code"] == "replay.seen"

        bound = token(cnf={"jkt": proven.thumbprint()})
        proof = proofs.proof(bound, proven, htu=client.url + PATH)
        assert (await client.pay(bound, proof=proof)).json() == {"status": "ok"}
        assert (await client.pay(bound, proof=proof)).json()["code"] == "token.proof_replayed"

        stolen = token(cnf={"x5t#S256": "A" * 43})
        assert await client.codes(token(cnf=None), bound, stolen) == ["token.binding"] * 3
        assert await client.codes(token(account="a-2"), token(scope="accounts"), token(client_id="other")) == [
            "token.resource", "token.scope", "token.subject",
        ]  # fmt: skip
        weak = await client.pay(token(auth_time=NOW - 400))
        assert weak.json()["code"] == "token.authentication"
        assert (
            'error="insufficient_user_authentication", acr_values="urn:bank:sca", max_age="300"'
            in (weak.headers["www-authenticate"])
        )
        key = provider.keys[-1]
        plain = jwt.encode({"alg": "ES256", "kid": key.kid, "typ": "JWT"}, {"iss": provider.url}, key)
        assert await client.codes(plain) == ["token.type"]
        forged = token(key=ECKey.generate_key("P-256", {"kid": key.kid}))
        codes = await client.codes(*[forged] * 11)
        assert codes[0] == "token.signature"
        assert codes[-1] == "lockout.locked"
        assert len(up.upstream.requests) == 2


async def test_open_banking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with banking(tmp_path, open_banking(), monkeypatch) as (up, provider), AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(up, tmp_path))
        key = RSAKey.generate_key(2_048, {"kid": "key-2", "use": "sig", "alg": "PS256"})
        provider.keys.append(key)  # type: ignore[arg-type]

        def token(consented: bool = True, **changes: Any) -> str:
            claims = {
                "iss": provider.url, "aud": "https://api.bank.example", "scope": "accounts", "account": "a-1",
                "client_id": "fintech-client", "openbanking_intent_id": "consent-1",
                "cnf": {"x5t#S256": client.thumbprint},
            }  # fmt: skip
            header = {"alg": "PS256", "kid": "key-2", "typ": "JWT"}
            made = jwt.encode(header, world.claims(**{**claims, **changes}), key, algorithms=["PS256"])
            if consented:
                provider.tokens[made] = {"active": True, "exp": NOW + 300}
            return made

        good = token()
        answer = await client.pay(good)
        assert answer.json() == {"status": "ok"}, answer.text
        ((fields, _),) = provider.sent
        assert fields["authorization"].startswith("Basic ")

        assert await client.codes(token(consented=False, jti="t-2"), token(openbanking_intent_id=None)) == [
            "token.inactive", "token.claim_rule",
        ]  # fmt: skip
        assert await client.codes(token(account="a-2"), token(cnf=None), provider.token(provider.keys[0])) == [
            "token.resource", "token.binding", "token.algorithm",
        ]  # fmt: skip
        provider.tokens.clear()  # the consent is withdrawn
        up.time.ahead += 10
        assert await client.codes(good) == ["token.inactive"]
        assert len(up.upstream.requests) == 1


async def test_a_vendor_of_the_time_of_api_keys(tmp_path: Path) -> None:
    networks = {"198.51.100.0/28": "127.0.0.0/28"}
    async with following(tmp_path, recipe("legacy"), **networks) as up:

        def fields(nonce: str, body: bytes, *, secret: str = SECRETS["OLD_GAMES_SECRET"]) -> dict[str, str]:
            text = b"\n".join([b"POST", b"/v1/rounds", b"%d" % NOW, nonce.encode(), body])
            mac = hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
            return {"x-api-key": "og-2026", "x-timestamp": str(NOW), "x-nonce": nonce, "x-signature": mac}

        async with httpx.AsyncClient(
            verify=pki.client_context(tmp_path / "certs", None), trust_env=False, base_url=url_of(up)
        ) as client:

            async def send(signed: dict[str, str], body: bytes = BODY) -> Any:
                answer = await client.post("/v1/rounds", content=body, headers=signed)
                return answer.status_code if answer.is_success else answer.json()["code"]

            good = fields("n-1", BODY)
            assert [await send(good), await send(good)] == [200, "replay.seen"]
            assert await send(fields("n-2", BODY), b"{}") == "signature.mismatch"
            assert await send({**good, "x-api-key": "nobody"}) == "signature.key_unknown"
            guesses = [await send(fields(f"g-{number}", BODY, secret="x" * 32)) for number in range(9)]
            assert guesses == ["signature.mismatch"] * 8 + ["lockout.locked"]
            assert await send(fields("n-3", BODY)) == "lockout.locked"
        assert len(up.upstream.requests) == 1
        (decided, *_) = up.folder.records("decision")
        off = json.dumps(decided)
        assert "risk R-114" in off
        assert "the vendor has no issuer" in off
