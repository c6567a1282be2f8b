"""A client that leaves: its request goes on where the store waits for what becomes of it."""

from pathlib import Path

from gateway.core.reasons import Reason
from gateway.engine.data_path import DataPath
from tests.engine.harness import Running, read_to_end, request, running, until
from tests.engine.money import chain, debit, idempotency
from tests.engine.upstream import Held


async def left(up: Running, raw: bytes) -> Held:
    """Have a client send a request, and leave while upstream is at work."""
    held = Held(up.upstream)
    reader, writer = await up.connect()
    writer.write(raw)
    await held.reached.wait()
    writer.close()
    await read_to_end(reader)
    return held


async def test_what_a_client_did_not_wait_for_is_brought_to_its_end_and_answered_later(tmp_path: Path) -> None:
    async with running(tmp_path, flows=False, route={"chain": chain(idempotency())}) as up:
        held = await left(up, debit(1))
        early = await up.send(debit(2))
        held.go_on.set()
        await up.until_finished()
        late = await up.send(debit(3))

        assert early.code == "idempotency.in_flight"
        assert (late.status, late.body) == (200, b'{"status":"ok"}')
        (outcome,) = up.outcomes()
        assert (outcome.reason, outcome.status) == (Reason.CLIENT_CLOSED, None)
        assert outcome.detail == "before its answer was complete; upstream: allowed"
        assert len(up.upstream.requests) == 1


async def test_an_upstream_that_fails_when_the_client_is_gone_leaves_the_outcome_unknown(tmp_path: Path) -> None:
    async with running(tmp_path, flows=False, route={"chain": chain(idempotency())}) as up:
        await left(up, debit(1))
        await up.upstream.stop()
        await up.until_finished()
        await up.upstream.restart()
        assert "upstream: upstream.broken" in up.outcomes()[0].detail
        assert (await up.send(debit(2))).code == "idempotency.unknown"


async def test_an_upstream_that_hangs_when_the_client_is_gone_has_its_time(tmp_path: Path) -> None:
    async with running(tmp_path, flows=False, route={"chain": chain(idempotency())}) as up:
        await left(up, debit(1))
        (handler,) = up.master.handlers
        assert isinstance(handler, DataPath)
        handler._time_is_up("response")
        await up.until_finished()
        assert "upstream did not answer in time" in up.outcomes()[0].detail
        assert (await up.send(debit(2))).code == "idempotency.unknown"


async def test_a_gate_that_stops_does_not_wait_for_ever(tmp_path: Path) -> None:
    async with running(tmp_path, flows=False, route={"chain": chain(idempotency())}) as up:
        await left(up, debit(1))
        (handler,) = up.master.handlers
        handler.abort()
        await until(lambda: not up.master.handlers)
        assert up.finished == [Reason.CLIENT_CLOSED]
        assert (await up.send(debit(2))).code == "idempotency.unknown"


async def test_a_route_without_keys_breaks_off_as_ever(tmp_path: Path) -> None:
    async with running(tmp_path, flows=False) as up:
        await left(up, request())
        await up.until_finished()
        assert up.outcomes()[0].detail == "before its answer was complete"
