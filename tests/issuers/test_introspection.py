"""Opaque tokens, and JWTs that may be revoked: a real issuer is asked about them."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.core.issuer import Introspection
from gateway.core.reasons import Reason
from gateway.core.secret import Secret
from tests import world
from tests.engine.harness import Response, Running, get, until
from tests.issuers.identity import IdentityProvider, page, providing, serving_tokens

SECRET = b"correct horse battery"


@asynccontextmanager
async def asking(
    directory: Path, *, keys: bool = False, **changes: Any
) -> AsyncIterator[tuple[Running, IdentityProvider]]:
    """Bring up a gate that asks a provider about tokens."""
    async with providing(directory) as provider:
        settings = Introspection(
            f"{provider.url}/introspect", "gateway", Secret(SECRET), ca=directory / "operator-ca.pem", **changes
        )
        issuer = {"issuer": provider.url, "introspection": settings}
        if not keys:
            issuer |= {"keys": None, "algorithms": frozenset()}
        async with serving_tokens(directory, provider, issuer, None, keys=keys) as (up, _):
            yield up, provider


def vouched(provider: IdentityProvider, up: Running, **changes: Any) -> dict[str, Any]:
    """Give what the provider says of a good token."""
    now = int(up.time.now)
    valid = {"active": True, "iat": now - 10, "exp": now + 300, "iss": provider.url}
    return {**world.claims(), "nbf": now - 10, **valid, **changes}


async def call(up: Running, token: str = "opaque-1") -> Response:  # noqa: S107 - made up
    return await up.send(get(authorization=f"Bearer {token}"))


async def test_a_token_that_its_issuer_vouches_for(tmp_path: Path) -> None:
    async with asking(tmp_path) as (up, provider):
        provider.tokens["opaque-1"] = vouched(provider, up)
        assert [(await call(up)).status for _ in range(3)] == [200, 200, 200]
        ((fields, form),) = provider.sent
        assert form == {"token": "opaque-1", "token_type_hint": "access_token"}
        assert b64decode(fields["authorization"].removeprefix("Basic ")) == b"gateway:correct+horse+battery"
        log = b"".join(file.read_bytes() for file in (tmp_path / "audit").glob("*.jsonl"))
        assert b"opaque-1" not in log


async def test_a_token_that_it_does_not_vouch_for(tmp_path: Path) -> None:
    async with asking(tmp_path) as (up, provider):
        for _ in range(3):
            response = await call(up)
            assert (response.status, response.code) == (401, "token.inactive")
            assert response.fields["www-authenticate"] == 'Bearer realm="gateway", error="invalid_token"'
        assert len(provider.sent) == 1
        assert up.upstream.untouched


async def test_a_token_that_is_revoked_counts_no_longer_than_stated(tmp_path: Path) -> None:
    async with asking(tmp_path, cache=30.0) as (up, provider):
        provider.tokens["opaque-1"] = vouched(provider, up)
        assert (await call(up)).status == 200
        del provider.tokens["opaque-1"]
        up.time.move(30)
        assert (await call(up)).code == "token.inactive"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://evil.example"}, Reason.TOKEN_ISSUER),
        ({"aud": "pam"}, Reason.TOKEN_AUDIENCE),
        ({"aud": None}, Reason.TOKEN_CLAIM),
        ({"exp": None}, Reason.TOKEN_CLAIM),
        ({"exp": "soon"}, Reason.TOKEN_CLAIM),
        ({"exp": int(world.NOW) - 11, "iat": int(world.NOW) - 100}, Reason.TOKEN_EXPIRED),
        ({"iat": None}, Reason.TOKEN_CLAIM),
        ({"exp": int(world.NOW) + 100_000}, Reason.TOKEN_LIFETIME),
        ({"scope": "openid"}, Reason.TOKEN_SCOPE),
        ({"sub": "nobody"}, Reason.TOKEN_SUBJECT),
        ({"cnf": {"x5t#S256": "A" * 43}}, Reason.TOKEN_BINDING),
        ({"active": "true"}, Reason.TOKEN_INTROSPECTION_UNAVAILABLE),
    ],
)
async def test_what_the_issuer_says_is_judged_like_a_jwt(
    tmp_path: Path, changes: dict[str, Any], reason: Reason
) -> None:
    async with asking(tmp_path) as (up, provider):
        provider.tokens["opaque-1"] = vouched(provider, up, **changes)
        assert (await call(up)).code == reason.code
        assert up.upstream.untouched


async def test_several_requests_at_once_ask_once(tmp_path: Path) -> None:
    async with asking(tmp_path) as (up, provider):
        provider.tokens["opaque-1"] = vouched(provider, up)
        provider.held = held = asyncio.Event()
        sent = [asyncio.ensure_future(call(up)) for _ in range(4)]
        await until(lambda: provider.asked)
        held.set()
        assert [response.status for response in await asyncio.gather(*sent)] == [200] * 4
        assert len(provider.sent) == 1


OUTAGES = {
    "an error": page(500, b""),
    "garbage": page(200, b"<html>"),
    "refused credentials": page(401, b""),
    "no HTTP": b"hello\r\n\r\n",
}


@pytest.mark.parametrize("raw", [*OUTAGES.values(), None], ids=[*OUTAGES, "down"])
async def test_an_issuer_that_does_not_answer_lets_nothing_through(tmp_path: Path, raw: bytes | None) -> None:
    async with asking(tmp_path) as (up, provider):
        provider.tokens["opaque-1"] = vouched(provider, up)
        assert (await call(up)).status == 200
        provider.raw = raw
        if raw is None:
            await provider.stop()
        response = await call(up, "opaque-2")
        assert (response.status, response.code) == (503, "token.introspection_unavailable")
        assert (await call(up)).status == 200  # its answer is known
        (failed,) = up.records("control.failed")
        assert failed["unmapped"]["control"] == "token.introspection:operator"

        provider.raw = None
        if raw is None:
            await provider.restart()
        assert (await call(up, "opaque-3")).code == "token.inactive"
        assert len(up.records("control.recovered")) == 1


async def test_a_jwt_is_verified_and_asked_about(tmp_path: Path) -> None:
    async with asking(tmp_path, keys=True) as (up, provider):
        token = provider.token()
        assert (await call(up, token)).code == "token.inactive"
        up.time.move(5)
        provider.tokens[token] = {"active": True, "exp": int(up.time.now) + 60}
        assert (await call(up, token)).status == 200
        assert (await call(up, "opaque-1")).code == "token.malformed"
        assert len(provider.sent) == 2
