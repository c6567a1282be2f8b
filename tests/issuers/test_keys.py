"""Keys of a real identity provider, fetched by the gate: rotation, outages, garbage, and whom they delay."""

import asyncio
from pathlib import Path

import pytest

from gateway.core.reasons import Reason
from gateway.engine.remote_keys import OUT_OF_TURN
from tests.engine.harness import Response, Running, get, read_response, until
from tests.issuers.identity import IdentityProvider, page, trusting


async def call(up: Running, token: str) -> Response:
    return await up.send(get(authorization=f"Bearer {token}"))


@pytest.mark.parametrize("discovered", [False, True])
async def test_the_first_request_waits_for_the_keys(tmp_path: Path, discovered: bool) -> None:
    async with trusting(tmp_path, **({"url": None} if discovered else {})) as (up, provider, _):
        assert (await call(up, provider.token())).status == 200
        assert (await call(up, provider.token())).status == 200
        assert provider.asked == [*([] if not discovered else ["/.well-known/openid-configuration"]), "/jwks"]


async def test_a_new_key_is_fetched_when_it_is_first_used(tmp_path: Path) -> None:
    async with trusting(tmp_path) as (up, provider, _):
        assert (await call(up, provider.token())).status == 200
        old = provider.keys[0]
        provider.rotate()

        assert (await call(up, provider.token())).status == 200
        assert (await call(up, provider.token(old))).code == "token.key_unknown"


async def test_made_up_keys_have_the_issuer_asked_once_in_a_while(tmp_path: Path) -> None:
    async with trusting(tmp_path) as (up, provider, _):
        assert (await call(up, provider.token())).status == 200
        stranger = IdentityProvider()
        stranger.port = provider.port
        for number in range(8):
            stranger.keys = [stranger.rotate()]
            assert (await call(up, stranger.token())).code == "token.key_unknown", number
        assert provider.asked == ["/jwks", "/jwks"]

        up.time.move(OUT_OF_TURN)
        assert (await call(up, stranger.token())).code == "token.key_unknown"
        assert provider.asked == ["/jwks"] * 3


async def test_whoever_has_a_known_key_does_not_wait_for_a_slow_issuer(tmp_path: Path) -> None:
    async with trusting(tmp_path, timeout=30.0) as (up, provider, issuers):
        assert (await call(up, provider.token())).status == 200
        known, held = provider.token(), asyncio.Event()
        provider.held = held
        provider.rotate(keep=True)
        reader, writer = await up.connect()
        writer.write(get(authorization=f"Bearer {provider.token()}"))
        await until(lambda: provider.asked == ["/jwks", "/jwks"])

        for _ in range(5):
            assert (await call(up, known)).status == 200
        issuers.tick()
        assert provider.asked == ["/jwks", "/jwks"]
        held.set()

        assert (await read_response(reader)).status == 200


async def test_keys_go_on_counting_while_the_issuer_is_down_and_then_no_more(tmp_path: Path) -> None:
    async with trusting(tmp_path, stale=600.0, refresh=60.0) as (up, provider, issuers):
        assert (await call(up, provider.token())).status == 200
        await provider.stop()

        up.time.move(60)
        issuers.tick()
        await until(lambda: up.records("control.failed"))
        assert (await call(up, provider.token())).status == 200
        assert not up.records("control.recovered")

        up.time.move(600)
        issuers.tick()
        assert (await call(up, provider.token())).code == "token.keys_unavailable"

        await provider.restart()
        up.time.move(60)
        fresh = provider.token(iat=int(up.time.now), nbf=int(up.time.now), exp=int(up.time.now) + 60)
        assert (await call(up, fresh)).status == 200
        failed = {record["unmapped"]["control"] for record in up.records("control.failed")}
        recovered = {record["unmapped"]["control"] for record in up.records("control.recovered")}
        assert failed == recovered == {"token.fetch:operator", "token.keys:operator"}


GARBAGE = {
    "an error": page(500, b""),
    "a redirect": page(302, b"", {"location": "https://evil.example/jwks"}),
    "no JSON": page(200, b"<html>"),
    "no key set": page(200, b"{}"),
    "no keys": page(200, b'{"keys": []}'),
    "a private key": page(200, b'{"keys": [{"kty": "EC", "kid": "a", "d": "AA"}]}'),
    "too much": page(200, b" " * 300_000),
    "no HTTP": b"hello\r\n\r\n",
    "half an answer": b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_takes_no_keys_away_and_brings_none(tmp_path: Path, garbage: bytes) -> None:
    async with trusting(tmp_path) as (up, provider, issuers):
        assert (await call(up, provider.token())).status == 200
        provider.raw = garbage
        up.time.move(20)
        forged = IdentityProvider()
        forged.port = provider.port
        forged.rotate()
        sent = asyncio.ensure_future(call(up, forged.token()))
        await until(lambda: len(provider.asked) == 2)
        if garbage.startswith((b"hello", b"HTTP/1.1 200 OK\r\ncontent-length: 100")):
            await provider.stop()

        assert (await sent).code == "token.key_unknown"
        assert (await call(up, provider.token())).status == 200
        (failed,) = up.records("control.failed")
        assert failed["unmapped"]["control"] == "token.fetch:operator"
        assert issuers.keys["operator"].known.keys is not None


async def test_without_any_keys_nothing_is_let_through(tmp_path: Path) -> None:
    async with trusting(tmp_path) as (up, provider, _):
        provider.raw = GARBAGE["no JSON"]
        for _ in range(3):
            response = await call(up, provider.token())
            assert (response.status, response.code) == (503, "token.keys_unavailable")
        assert provider.asked == ["/jwks"]
        assert up.decided == [Reason.TOKEN_KEYS_UNAVAILABLE] * 3
        assert up.upstream.untouched


async def test_an_issuer_of_another_name_has_no_keys(tmp_path: Path) -> None:
    async with trusting(tmp_path, ca=tmp_path / "partners-ca.pem") as (up, provider, _):
        assert (await call(up, provider.token())).code == "token.keys_unavailable"
        (failed,) = [one for one in up.records("control.failed") if "fetch" in one["unmapped"]["control"]]
        assert "certificate" in failed["status_detail"]
        assert provider.asked == []


async def test_keys_that_rotate_under_load(tmp_path: Path) -> None:
    """Twice a minute, without notice: no token of a withdrawn key passes, and every good one does within its turn."""
    async with trusting(tmp_path) as (up, provider, issuers):
        reader, writer = await up.connect()

        async def status(token: str) -> int:
            writer.write(get(authorization=f"Bearer {token}"))
            return (await read_response(reader)).status

        withdrawn: list[str] = []
        for _ in range(12):
            up.time.move(30)
            issuers.tick()
            now = int(up.time.now)
            good = [provider.token(iat=now, nbf=now, exp=now + 600, jti=f"t-{number}") for number in range(20)]
            assert {await status(token) for token in good} == {200}
            assert {await status(token) for token in withdrawn} <= {401}
            withdrawn = good[:3]
            provider.rotate()
        assert len(provider.asked) <= 40
