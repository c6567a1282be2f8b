"""A store that fails in any way has not answered: denied, recorded, and no connection to the upstream."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.core.chain import Claim, ClaimOnce, RateTaken, TakeRate
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from tests import world
from tests.engine.harness import Running, read_response, read_to_end, request, until
from tests.engine.http2 import Http2Client

ERRORS: list[Exception] = [
    Unavailable(Reason.STATE_UNAVAILABLE, "no connection"),
    OSError(111, "secret-7f3a"),
    TimeoutError(),
    RuntimeError("secret-7f3a"),
    asyncio.IncompleteReadError(b"", 1),
]

METHODS = ["take", "claim"]


def raising(error: Exception) -> Callable[..., object]:
    def answer(*_: object) -> object:
        raise error

    return answer


def raising_later(error: Exception) -> Callable[..., Awaitable[object]]:
    async def answer(*_: object) -> object:
        await asyncio.sleep(0)
        raise error

    return answer


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("make", [raising, raising_later], ids=["at once", "after a round trip"])
async def test_a_store_that_raises(
    up: Running,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    error: Exception,
    make: Callable[[Exception], Callable[..., object]],
) -> None:
    monkeypatch.setattr(up.state, method, make(error), raising=True)

    response = await up.send(request())

    assert (response.status, response.code) == (503, "gate.state_unavailable")
    assert up.decided == [Reason.STATE_UNAVAILABLE]
    (failed,) = up.records("control.failed")
    assert failed["unmapped"]["control"] == "state"
    assert "secret-7f3a" not in failed.get("status_detail", "")
    assert up.upstream.untouched


@pytest.mark.parametrize("answer", [None, True, "new", 1, Claim, RateTaken(True, ()), RateTaken(False, ())])
@pytest.mark.parametrize("method", METHODS)
async def test_a_store_that_answers_something_else(
    up: Running, monkeypatch: pytest.MonkeyPatch, method: str, answer: object
) -> None:
    monkeypatch.setattr(up.state, method, lambda *_: answer)

    response = await up.send(request())

    assert response.status == 503
    assert up.decided == [Reason.CONTROL_FAILED]
    assert up.upstream.untouched


async def test_a_full_memory_is_told_apart(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Unavailable(Reason.REPLAY_MEMORY_FULL, "1000000 nonces of acme-casino")
    monkeypatch.setattr(up.state, "claim", raising(full))

    assert (await up.send(request())).code == "replay.memory_full"

    assert not up.records("control.failed")  # the store works; it is full
    assert up.upstream.untouched


async def test_an_unknowable_claim_denies(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up.state, "claim", lambda *_: Claim.UNKNOWABLE)

    assert (await up.send(request())).code == "replay.unknowable"
    assert up.upstream.untouched


@pytest.mark.parametrize("method", METHODS)
async def test_a_store_that_works_again(up: Running, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    reader, writer = await up.connect()
    with monkeypatch.context() as patched:
        patched.setattr(up.state, method, raising(OSError()))
        for number in range(3):
            writer.write(request(world.World(nonce=f"failed-{number}")))
            assert (await read_response(reader)).status == 503

    for number in range(3):
        writer.write(request(world.World(nonce=f"nonce-{number}")))
        assert (await read_response(reader)).status == 200

    assert len(up.records("control.failed")) == len(up.records("control.recovered")) == 1


async def test_a_store_that_answers_later(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = asyncio.Event()
    claim = up.state.claim

    async def later(ask: ClaimOnce, now: Instant) -> Claim:
        await go_on.wait()
        return claim(ask, now)

    monkeypatch.setattr(up.state, "claim", later)
    reader, writer = await up.connect()
    writer.write(request())
    await until(lambda: up.master.handlers and next(iter(up.master.handlers)).open_requests)
    assert up.upstream.untouched

    go_on.set()

    assert (await read_response(reader)).status == 200


@pytest.mark.parametrize("protocol", ["1.1", "2"])
async def test_a_client_that_leaves_while_the_store_is_asked(
    up: Running, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()
    take = up.state.take

    async def later(ask: TakeRate, now: Instant) -> RateTaken:
        asked.set()
        await go_on.wait()
        return take(ask, now)

    monkeypatch.setattr(up.state, "take", later)
    if protocol == "1.1":
        reader, writer = await up.connect()
        writer.write(request())
        await asked.wait()
        writer.close()
        await read_to_end(reader)
    else:
        async with Http2Client(up) as client:
            client.post()
            await asked.wait()

    go_on.set()

    await up.until_decided()
    assert up.decided == [Reason.CLIENT_CLOSED]
    assert up.upstream.untouched
