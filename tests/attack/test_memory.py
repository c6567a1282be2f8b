"""Memory: what is done with is let go of, however many requests come."""

import gc
import weakref
from collections import Counter

import pytest
from mitmproxy.http import HTTPFlow

from gateway.engine.gate import Handling
from gateway.engine.stream import GateStream
from tests.engine.harness import Running, get, read_response, request, until
from tests.engine.http2 import Http2Client, get_fields

KINDS = (HTTPFlow, Handling, GateStream)


def alive() -> Counter[str]:
    """Count what a request is made of."""
    gc.collect()
    return Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, KINDS))


async def test_denied_requests_leave_nothing(up: Running) -> None:
    reader, writer = await up.connect()
    writer.write(get("/v1/nothing"))
    await read_response(reader)
    before = alive()

    for _ in range(100):
        writer.write(get("/v1/nothing"))
        await read_response(reader)

    assert alive() <= before


async def test_denied_streams_leave_nothing(up: Running) -> None:
    async with Http2Client(up) as client:
        await client.answer(client.begin(get_fields("/v1/nothing")))
        before = alive()

        for _ in range(100):
            await client.answer(client.begin(get_fields("/v1/nothing")))

        assert alive() <= before
        (handler,) = up.master.handlers
        assert not handler.layer.streams  # type: ignore[union-attr]
        assert not handler.layer.connections[handler.client].streams  # type: ignore[union-attr]


async def test_allowed_requests_leave_nothing(up: Running) -> None:
    reader, writer = await up.connect()
    writer.write(get())
    await read_response(reader)
    before = alive()

    for _ in range(100):
        writer.write(get())
        await read_response(reader)

    assert alive() <= before


@pytest.mark.layers
async def test_failed_upstream_connections_leave_nothing(up: Running) -> None:
    await up.upstream.stop()
    reader, writer = await up.connect()
    writer.write(get())
    await read_response(reader)
    before = alive()

    for _ in range(50):
        writer.write(get())
        assert (await read_response(reader)).status == 502

    assert alive() <= before
    (handler,) = up.master.handlers
    assert len(handler.layer.connections) == 1  # type: ignore[union-attr]
    assert len(handler.transports) == 1  # type: ignore[union-attr]


async def test_a_connection_that_ends_leaves_nothing(up: Running) -> None:
    before = alive()
    reader, writer = await up.connect()
    writer.write(request() + get("/v1/nothing"))
    await read_response(reader)
    await read_response(reader)
    handler = weakref.ref(next(iter(up.master.handlers)))

    writer.close()
    await until(lambda: not up.master.handlers)
    up.log.events.clear()
    await until(lambda: gc.collect() is not None and handler() is None)

    assert handler() is None
    assert alive() <= before


async def test_refused_connections_leave_nothing(up: Running) -> None:
    for _ in range(20):
        reader, writer = await up.connect_plain()
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await reader.read()

    await up.until_refused(20)
    await until(lambda: not up.master.listeners["public"].connections)
    assert not up.master.handlers
