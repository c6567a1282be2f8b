"""A real identity provider over TLS: publishes metadata and keys, issues tokens, rotates, and fails as it is told.

Keys and tokens are joserfc's, so that nothing of the gate judges itself.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from gateway.core.issuer import KeySource
from gateway.engine.clock import Clock
from gateway.engine.gate import InForce
from gateway.engine.issuers import Issuers
from tests import world
from tests.engine import pki
from tests.engine.harness import Running, running
from tests.engine.upstream import FakeUpstream


class IdentityProvider(FakeUpstream):
    """Serves `/jwks`, the metadata, and what tests put into `pages`."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[ECKey] = []
        self.fields: dict[str, str] = {}
        """Fields of the answer that has the keys."""
        self.raw: bytes | None = None
        """Sent in place of any answer."""
        self.held: asyncio.Event | None = None
        """While it is set to an event, answers wait for it."""
        self.metadata: dict[str, Any] = {}
        """Changes to the metadata."""
        self.asked: list[str] = []
        """Path of each request."""
        self.served: list[frozenset[str]] = []
        """Ids of the keys in each answer that had them, or that said they were still the same."""
        self.sent: list[tuple[dict[str, str], dict[str, str]]] = []
        """Fields and form of each request to the introspection endpoint."""
        self.tokens: dict[str, dict[str, Any]] = {}
        """What the introspection endpoint says of opaque tokens."""
        self.rotate()

    @property
    def url(self) -> str:
        """Its issuer identifier."""
        return f"https://localhost:{self.port}"

    def rotate(self, *, keep: bool = False) -> ECKey:
        """Publish a new key, in place of the old ones or beside them, and sign with it."""
        number = int(self.keys[-1].kid.removeprefix("key-")) + 1 if self.keys else 1
        key = ECKey.generate_key("P-256", {"kid": f"key-{number}", "use": "sig", "alg": "ES256"})
        self.keys = [*self.keys, key] if keep else [key]
        return key

    def token(self, key: ECKey | None = None, **changes: Any) -> str:
        """Issue a token."""
        key = key or self.keys[-1]
        claims = world.claims(**{"iss": self.url, **changes})
        return jwt.encode({"alg": "ES256", "kid": key.kid, "typ": "at+jwt"}, claims, key)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request, *lines = head[:-4].split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        path = request.split(" ")[1]
        self.requests.append(head.encode() + body)
        self.asked.append(path)
        if self.held is not None:
            await self.held.wait()
        writer.write(self.raw if self.raw is not None else self._answer(path, fields, body))
        await writer.drain()

    def _answer(self, path: str, fields: dict[str, str], body: bytes) -> bytes:
        if path == "/jwks":
            text = json.dumps(KeySet(self.keys).as_dict(private=False)).encode()
            tag = f'"{hash(text)}"'
            self.served.append(frozenset(str(key.kid) for key in self.keys))
            if fields.get("if-none-match") == tag:
                return page(304, b"", {"etag": tag, **self.fields})
            return page(200, text, {"etag": tag, **self.fields})
        if path == "/introspect":
            form = dict(parse_qsl(body.decode()))
            self.sent.append((fields, form))
            return page(200, json.dumps(self.tokens.get(form["token"], {"active": False})).encode())
        if path == self.metadata.get("at", "/.well-known/openid-configuration"):
            return page(200, json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/jwks", **self.metadata}).encode())
        return page(404, b"")


def page(status: int, body: bytes, fields: dict[str, str] | None = None) -> bytes:
    """Write an answer."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in (fields or {}).items())
    head = f"HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{lines}\r\n"
    return head.encode() + body


@asynccontextmanager
async def providing(directory: Path) -> AsyncIterator[IdentityProvider]:
    """Bring up an identity provider, and take it down."""
    pki.write(directory)
    provider = IdentityProvider()
    await provider.start(pki.upstream_context(directory))
    try:
        yield provider
    finally:
        if provider.held is not None:
            provider.held.set()
        await provider.stop()


def source(directory: Path, provider: IdentityProvider, **changes: Any) -> KeySource:
    """Give where the provider's keys are fetched."""
    return replace(KeySource(f"{provider.url}/jwks", directory / "operator-ca.pem"), **changes)


@asynccontextmanager
async def trusting(
    directory: Path, issuer: dict[str, Any] | None = None, route: dict[str, Any] | None = None, **changes: Any
) -> AsyncIterator[tuple[Running, IdentityProvider, Issuers]]:
    """Bring up a gate that takes the tokens of a provider; `changes` are those of its key source."""
    async with (
        providing(directory) as provider,
        serving_tokens(directory, provider, issuer, route, **changes) as (up, issuers),
    ):
        yield up, provider, issuers


@asynccontextmanager
async def serving_tokens(
    directory: Path,
    provider: IdentityProvider,
    issuer: dict[str, Any] | None,
    route: dict[str, Any] | None,
    *,
    keys: bool = True,
    **changes: Any,
) -> AsyncIterator[tuple[Running, Issuers]]:
    """Bring up a gate for a provider that is up; `issuer` and `route` change what they say of tokens."""
    fetched = {"keys": source(directory, provider, **changes)} if keys else {}
    known = world.issuer(**{"issuer": provider.url, **fetched, **(issuer or {})})
    control = world.token_control(issuer=known, **(route or {}))
    chain = world.chain(token=control, signature=None, replay=None, rate_limit=None)
    async with running(directory, route={"chain": chain}, issuers={"operator": known}) as up:
        policy = up.gate.in_force.policy
        # Both clocks stand until they are moved: what is due when is exact.
        up.gate.clock = Clock(now=lambda: up.time.now, monotonic=lambda: up.time.now - world.NOW)
        issuers = Issuers(policy, up.gate)
        up.gate.in_force = InForce(policy, issuers.key_sets({}), introspectors=issuers.introspectors)
        try:
            yield up, issuers
        finally:
            await issuers.close()
