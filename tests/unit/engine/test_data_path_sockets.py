"""What the data path does beside mitmproxy's layers: bodies passed on as they come, upstream connections shared."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.core.reasons import Reason
from gateway.engine.data_path import STREAM_FROM, DataPath
from tests import world
from tests.engine.harness import Running, get, read_response, read_to_end, request, running, until
from tests.engine.upstream import OK, Held
from tests.world import World

UNSIGNED = world.chain(signature=None, replay=None, rate_limit=None)
BIG = bytes(range(256)) * (STREAM_FROM // 256 + 1)


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, flows=False, route={"chain": UNSIGNED, "body_limit": 2 * STREAM_FROM}) as gate:
        yield gate


def upload(**fields: str | None) -> bytes:
    """Write the head of a request with a long body."""
    sent = World(body=BIG, fields=fields)
    return request(sent)[: -len(BIG)]


async def read_chunks(reader: asyncio.StreamReader) -> bytes:
    """Read a body in chunks."""
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body


async def test_http1_takes_the_data_path(up: Running) -> None:
    await up.connect()
    await until(lambda: up.master.handlers)
    assert [type(handler) for handler in up.master.handlers] == [DataPath]


async def test_a_long_body_is_on_its_way_before_it_is_whole(up: Running) -> None:
    reader, writer = await up.connect()
    writer.write(upload() + BIG[:10])
    await up.until_decided()
    await until(lambda: up.upstream.connections)

    writer.write(BIG[10:])

    assert (await read_response(reader)).status == 200
    assert up.upstream.bodies == [BIG]


async def test_a_long_body_in_chunks_goes_both_ways(up: Running) -> None:
    received = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await read_chunks(reader))
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for part in (received[0][:9], received[0][9:]):
            writer.write(b"%x\r\n%b\r\n" % (len(part), part))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    up.upstream.behaviour = behave
    reader, writer = await up.connect()
    writer.write(upload(**{"content-length": None, "transfer-encoding": "chunked"}))
    for start in range(0, len(BIG), 100_000):
        part = BIG[start : start + 100_000]
        writer.write(b"%x\r\n%b\r\n" % (len(part), part))
        await writer.drain()
    writer.write(b"0\r\n\r\n")

    response = await read_response(reader)

    assert received == [BIG]
    assert response.body == BIG
    assert up.outcomes()[0].response_bytes == len(BIG)


async def test_a_client_that_does_not_read_makes_the_upstream_wait(up: Running) -> None:
    size = 16 * 1024 * 1024
    sent = 0

    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(bytes(65_536))
            sent += 65_536
            await writer.drain()

    up.upstream.behaviour = behave
    reader, writer = await up.connect()
    await until(lambda: up.master.handlers)
    (path,) = up.master.handlers
    writer.write(get())
    assert isinstance(path, DataPath)
    await until(lambda: path.slow)
    assert sent < size

    assert len((await read_response(reader)).body) == size


async def test_connections_to_the_upstream_are_shared_by_clients(up: Running) -> None:
    for _ in range(3):
        assert (await up.send(get())).status == 200
    assert up.upstream.connections == 1


async def test_an_answer_before_the_end_of_a_body_leaves_nothing_of_it_for_the_next_request(up: Running) -> None:
    port = await early_answer(up)
    reader, writer = await up.connect()
    writer.write(upload() + BIG[:10])
    assert (await read_response(reader)).status == 413
    writer.write(get("/v1/smuggled"))
    writer.close()
    await read_to_end(reader)
    await until(lambda: not up.master.handlers)
    await port.wait()

    up.upstream.answer = OK
    assert (await up.send(get())).status == 200
    assert [head.split(b" ")[1] for head in up.upstream.heads] == [b"/v1/balance"]
    assert up.upstream.connections == 2


async def early_answer(up: Running) -> asyncio.Event:
    """Have the upstream answer by the head alone; gives what is set once the gate gave the connection up."""
    gone = asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n")
        await read_to_end(reader)
        gone.set()
        raise ConnectionError

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up.upstream._serve = original  # type: ignore[method-assign]
        await accept(reader, writer)

    original = up.upstream._serve
    up.upstream._serve = serve  # type: ignore[method-assign]
    return gone


async def test_a_request_under_way_is_answered_before_its_connection_ends(up: Running) -> None:
    held = Held(up.upstream)
    reader, writer = await up.connect()
    idle, _ = await up.connect()
    writer.write(get())
    await held.reached.wait()
    up.gate.draining = True
    await until(lambda: len(up.master.handlers) == 2)

    for handler in list(up.master.handlers):
        handler.drain()

    assert await read_to_end(idle) == b""
    held.go_on.set()
    response = await read_response(reader)
    assert (response.status, response.fields["connection"]) == (200, "close")
    assert await read_to_end(reader) == b""
    assert up.finished == [Reason.ALLOWED]
