"""The pool with a real upstream on loopback: how its connections are opened, shared, waited for and closed."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core.policy import Upstream
from gateway.core.reasons import Reason
from gateway.engine import upstream_pool
from gateway.engine.endpoints import Endpoints, UpstreamFailedError
from gateway.engine.upstream_connection import UpstreamConnection
from gateway.engine.upstream_pool import Pool, Pools
from gateway.engine.upstream_tls import UpstreamTls
from tests import world
from tests.engine import pki
from tests.engine.harness import until
from tests.engine.upstream import FakeUpstream, Held
from tests.unit.engine.gates import Made
from tests.unit.engine.test_upstream_connection import Sink

REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    made = FakeUpstream()
    await made.start()
    yield made
    await made.stop()


def pool_of(upstream: Upstream) -> Pool:
    """Make the pool of an upstream that speaks plain HTTP."""
    return Pool(Endpoints(upstream, None, Made().gate))


@pytest.fixture
async def pool(upstream: FakeUpstream) -> AsyncIterator[Pool]:
    made = pool_of(world.upstream(port=upstream.port))
    yield made
    for connection in list(made._all):
        connection.discard()
    await until(lambda: not made._all)


@pytest.fixture
def one_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """One connection to an upstream, and no more."""
    monkeypatch.setattr(upstream_pool, "MAX_CONNECTIONS", 1)


async def ask(connection: UpstreamConnection) -> Sink:
    """Send a request and wait for the end of its response."""
    sink = Sink()
    connection.send(sink, REQUEST, to_head=False, ends=True)
    await until(lambda: sink.ended or sink.failed)
    return sink


async def test_a_connection_is_opened_once_and_used_again(upstream: FakeUpstream, pool: Pool) -> None:
    assert pool.take() is None
    first = await pool.open()
    assert (await ask(first)).body == b'{"status":"ok"}'

    second = pool.take()

    assert second is first
    assert (await ask(second)).status == 200
    assert (upstream.connections, len(upstream.requests)) == (1, 2)


async def test_a_connection_that_is_given_back_meanwhile_is_as_good_as_a_new_one(
    upstream: FakeUpstream, pool: Pool
) -> None:
    first = await pool.open()
    pool.give_back(first)
    assert await pool.open() is first
    assert upstream.connections <= 1


async def test_the_connection_used_last_is_used_next(pool: Pool) -> None:
    first, second = await pool.open(), await pool.open()
    await ask(first)
    await ask(second)
    assert [pool.take(), pool.take(), pool.take()] == [second, first, None]


async def test_a_connection_that_the_upstream_closed_is_noticed(upstream: FakeUpstream, pool: Pool) -> None:
    connection = await pool.open()
    await ask(connection)
    await upstream.stop()
    await until(lambda: not pool._all)
    assert pool.take() is None
    assert not connection.alive


async def test_a_connection_that_was_closed_is_noticed_before_the_loop_knows(pool: Pool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        quiet, closed, told = [await accepted(pool, server) for _ in range(3)]
        assert all(connection.quiet for connection, _ in (quiet, closed, told))
        for connection, _ in (quiet, closed, told):
            pool.give_back(connection)

        closed[1].close()
        told[1].send(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")

        assert closed[0].alive
        assert pool.take() is quiet[0]
        assert pool.take() is None
        for connection, other in (quiet, closed, told):
            connection.discard()
            other.close()


async def accepted(pool: Pool, server: socket.socket) -> tuple[UpstreamConnection, socket.socket]:
    """Give a connection of the pool, and its other end."""
    (place,) = pool_of(world.upstream(port=server.getsockname()[1])).endpoints.places
    connection = await pool._connect(place)
    connection.place = pool.endpoints.places[0]
    return connection, server.accept()[0]


async def test_a_response_that_ends_with_its_connection(upstream: FakeUpstream, pool: Pool) -> None:
    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
        raise ConnectionError

    upstream.behaviour = behave
    sink = await ask(await pool.open())
    assert (sink.body, sink.ended) == (b"until the end", 1)
    await until(lambda: not pool._all)


async def test_a_response_that_breaks_off(upstream: FakeUpstream, pool: Pool) -> None:
    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nuntil")
        raise ConnectionError

    upstream.behaviour = behave
    sink = await ask(await pool.open())
    assert sink.failed is not None
    assert sink.failed[0] is Reason.UPSTREAM_BROKEN


async def test_an_upstream_that_is_down_is_unreachable(upstream: FakeUpstream, pool: Pool) -> None:
    await upstream.stop()
    with pytest.raises(UpstreamFailedError) as caught:
        await pool.open()
    assert (caught.value.reason, caught.value.detail) == (Reason.UPSTREAM_UNREACHABLE, "connection refused")
    assert pool._opening == 0


async def test_an_upstream_whose_name_is_none_is_unreachable() -> None:
    with pytest.raises(UpstreamFailedError) as caught:
        await pool_of(world.upstream(host="a" * 70 + ".example")).open()
    assert caught.value.reason is Reason.UPSTREAM_UNREACHABLE


@pytest.mark.parametrize(
    ("ca", "host", "words"),
    [
        ("operator-ca.pem", "127.0.0.1", None),
        ("operator-ca.pem", "127.0.0.2", "IP address mismatch"),
        ("partners-ca.pem", "127.0.0.1", "unable to get local issuer certificate"),
    ],
)
async def test_an_upstream_is_verified(tmp_path: Path, ca: str, host: str, words: str | None) -> None:
    pki.write(tmp_path)
    server = FakeUpstream()
    await server.start(pki.upstream_context(tmp_path), host=host)
    described = world.upstream(scheme="https", host=host, port=server.port, ca=tmp_path / ca)
    pool = Pools(UpstreamTls({"psp": described}), Made().gate).of(described)
    try:
        connection = await pool.open()
        assert (await ask(connection)).status == 200
        assert words is None
        connection.discard()
        await until(lambda: not pool._all)
    except UpstreamFailedError as error:
        assert words is not None
        assert error.detail.startswith("its certificate does not verify: ")  # noqa: PT017
        assert words in error.detail  # noqa: PT017
    await server.stop()


async def test_a_connection_that_is_closed_at_once_is_no_connection(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone:
        time = asyncio.get_running_loop().time

        async def create_connection(self, make: Any, *_: object, **__: object) -> tuple[None, UpstreamConnection]:
            return None, make()

    gone = Gone()
    with monkeypatch.context() as patched:
        patched.setattr(upstream_pool.asyncio, "get_running_loop", lambda: gone)
        with pytest.raises(UpstreamFailedError, match="closed the connection at once"):
            await pool.open()
    assert pool._all == set()


# At the limit


@pytest.mark.usefixtures("one_at_most")
async def test_a_request_beyond_the_limit_waits_for_the_one_before(upstream: FakeUpstream, pool: Pool) -> None:
    held = Held(upstream)
    first = await pool.open()
    asking = asyncio.ensure_future(ask(first))
    await held.reached.wait()
    waiting = [asyncio.ensure_future(pool.open()) for _ in range(2)]
    await until(lambda: len(pool._waiting) == 2)

    held.go_on.set()
    await asking

    assert await waiting[0] is first
    assert not waiting[1].done()
    await ask(first)
    assert await waiting[1] is first
    assert upstream.connections == 1


@pytest.mark.usefixtures("one_at_most")
async def test_a_request_beyond_the_limit_takes_the_place_of_a_connection_that_is_lost(
    upstream: FakeUpstream, pool: Pool
) -> None:
    first = await pool.open()
    waiting = asyncio.ensure_future(pool.open())
    await until(lambda: pool._waiting)

    first.discard()

    second = await waiting
    assert second is not first
    assert upstream.connections == 2
    assert pool._all == {second}


@pytest.mark.usefixtures("one_at_most")
async def test_a_request_beyond_the_limit_waits_for_the_time_to_connect_at_most(upstream: FakeUpstream) -> None:
    pool = pool_of(world.upstream(port=upstream.port, connect_timeout=0.01))
    first = await pool.open()
    with pytest.raises(UpstreamFailedError, match="no connection within"):
        await pool.open()
    await ask(first)
    assert pool.take() is first
    first.discard()
    await until(lambda: not pool._all)


@pytest.mark.usefixtures("one_at_most")
async def test_a_request_that_ends_as_its_turn_comes_leaves_the_connection_to_the_next(pool: Pool) -> None:
    first = await pool.open()
    waiting = [asyncio.ensure_future(pool.open()) for _ in range(2)]
    await until(lambda: len(pool._waiting) == 2)

    pool.give_back(first)
    waiting[0].cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    assert await waiting[1] is first


@pytest.mark.usefixtures("one_at_most")
async def test_a_request_that_ends_as_there_is_room_leaves_it_to_the_next(pool: Pool) -> None:
    first = await pool.open()
    waiting = [asyncio.ensure_future(pool.open()) for _ in range(2)]
    await until(lambda: len(pool._waiting) == 2)

    pool.lost(first)
    waiting[0].cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    assert await waiting[1] is not first
    first.discard()


@pytest.mark.usefixtures("one_at_most")
async def test_a_request_that_stopped_waiting_is_passed_over(pool: Pool) -> None:
    first = await pool.open()
    waiting = [asyncio.ensure_future(pool.open()) for _ in range(2)]
    await until(lambda: len(pool._waiting) == 2)
    waiting[0].cancel()
    await asyncio.wait([waiting[0]])

    pool.give_back(first)

    assert await waiting[1] is first


@pytest.mark.usefixtures("one_at_most")
async def test_a_request_that_waits_for_one_that_cannot_connect_is_not_left_waiting(
    upstream: FakeUpstream, pool: Pool
) -> None:
    await upstream.stop()
    failures = await asyncio.gather(*(pool.open() for _ in range(3)), return_exceptions=True)
    assert [str(failure) for failure in failures] == ["connection refused"] * 3


# The end


async def test_a_pool_that_is_closed_closes_what_is_idle_at_once_and_the_rest_after_use(
    upstream: FakeUpstream, pool: Pool
) -> None:
    held = Held(upstream)
    idle, used = await pool.open(), await pool.open()
    pool.give_back(idle)
    asking = asyncio.ensure_future(ask(used))
    await held.reached.wait()

    pool.close()

    assert (idle.alive, used.alive) == (False, True)
    held.go_on.set()
    assert (await asking).status == 200
    await until(lambda: not pool._all)
    assert pool.take() is None


def test_each_upstream_has_a_pool_until_it_changes() -> None:
    pools = Pools(UpstreamTls({}), Made().gate)
    first, other = world.upstream(), world.upstream(name="other")
    assert pools.of(first) is pools.of(first)
    assert pools.of(first) is not pools.of(other)

    kept, changed = pools.of(first), pools.of(world.upstream(port=9001))

    assert changed is not kept
    assert kept._closed
    assert changed.upstream.endpoints[0].port == 9001


def test_pools_that_are_closed_are_made_anew(tmp_path: Path) -> None:
    pki.write(tmp_path)
    secure = world.upstream(scheme="https", ca=tmp_path / "operator-ca.pem")
    pools = Pools(UpstreamTls({"psp": secure}), Made().gate)
    before = pools.of(secure)
    pools.close()
    assert before._closed
    assert pools.of(secure) is not before
    assert isinstance(before.endpoints.places[0].target["ssl"], ssl.SSLContext)
