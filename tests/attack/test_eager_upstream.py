"""Eager upstream connections: nobody makes the gate connect upstream before a request is allowed."""

from tests import world
from tests.engine import pki
from tests.engine.harness import Running, get, read_response, request, until
from tests.engine.http2 import Http2Client, get_fields


async def test_a_bare_connection_opens_none(up: Running) -> None:
    await up.connect_plain()

    await until(lambda: up.master.listeners["public"].connections)
    assert up.upstream.untouched


async def test_a_finished_handshake_opens_none(up: Running) -> None:
    await up.connect()
    await up.connect(tls=pki.client_context(up.directory, alpn="h2"))

    await until(lambda: len(up.master.handlers) == 2)
    assert up.upstream.untouched


async def test_half_a_head_opens_none(up: Running) -> None:
    reader, writer = await up.connect()
    writer.write(get()[:-2])
    writer.write(b"x-a: 1\r\n")
    writer.write(b"\x00")

    assert (await read_response(reader)).status == 400
    assert up.upstream.untouched


async def test_a_body_that_is_awaited_opens_none(up: Running) -> None:
    head, _, _ = request(world.World(fields={"expect": "100-continue"})).partition(b"\r\n\r\n")
    reader, writer = await up.connect()
    writer.write(head + b"\r\n\r\n")

    assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
    assert up.upstream.untouched


async def test_a_denied_request_opens_none(up: Running) -> None:
    assert (await up.send(get(authorization=None))).status == 401

    assert up.upstream.untouched


async def test_a_denied_stream_opens_none(up: Running) -> None:
    async with Http2Client(up) as client:
        assert (await client.answer(client.begin(get_fields("/v1/nothing")))).status == 404

    assert up.upstream.untouched


async def test_an_allowed_request_opens_one(up: Running) -> None:
    await up.send(get())

    assert up.upstream.connections == 1
