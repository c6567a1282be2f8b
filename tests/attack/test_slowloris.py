"""Slow senders: whoever sends a head or a body too slowly is answered 408 and closed."""

import asyncio
from pathlib import Path

import pytest

from gateway.core.policy import Limits
from gateway.core.reasons import Reason
from tests import world
from tests.engine.harness import SOON, Running, chunked, get, read_response, read_to_end, request, running


@pytest.mark.parametrize(
    "sent", [b"G", get()[:-2], get()[:40], b"\r\n\r\nGET "], ids=["a byte", "all but the end", "a part", "empty lines"]
)
async def test_a_head_that_does_not_end(tmp_path: Path, sent: bytes) -> None:
    async with running(tmp_path, limits=Limits(head_timeout=SOON)) as up:
        reader, writer = await up.connect()
        writer.write(sent)

        response = await read_response(reader)

        assert (response.status, response.code) == (408, "http.head_timeout")
        assert response.fields["connection"] == "close"
        assert up.decided == [Reason.HEAD_TIMEOUT]
        assert up.upstream.untouched


async def test_more_bytes_give_a_head_no_more_time(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(head_timeout=SOON)) as up:
        reader, writer = await up.connect()
        writer.write(b"GET /v1/balance HTTP/1.1\r\n")

        async def drip() -> None:
            while True:
                writer.write(b"x-a: 1\r\n")
                await asyncio.sleep(0)

        dripping = asyncio.create_task(drip())
        try:
            assert (await read_response(reader)).status in (408, 431)
        finally:
            dripping.cancel()
        assert up.upstream.untouched


async def test_a_second_head_has_its_own_time(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(head_timeout=SOON)) as up:
        reader, writer = await up.connect()
        writer.write(get() + b"GET ")

        assert (await read_response(reader)).status == 200
        assert (await read_response(reader)).code == "http.head_timeout"
        assert up.decided == [Reason.ALLOWED, Reason.HEAD_TIMEOUT]


async def test_empty_lines_without_end(up: Running) -> None:
    reader, writer = await up.connect()
    for _ in range(5):
        writer.write(b"\r\n" * 2)
        await asyncio.sleep(0)

    response = await read_response(reader)

    assert (response.status, response.code) == (400, "http.malformed")
    assert up.decided == [Reason.MESSAGE_MALFORMED]


@pytest.mark.parametrize(
    "sent",
    [request()[:-1], request()[: -len(world.BODY)], chunked(world.BODY)[:-2], chunked(world.BODY, size=5)[:-30]],
    ids=["all but a byte", "none of it", "all but the last CRLF", "some chunks"],
)
async def test_a_body_that_does_not_end(tmp_path: Path, sent: bytes) -> None:
    async with running(tmp_path, limits=Limits(body_timeout=SOON)) as up:
        reader, writer = await up.connect()
        writer.write(sent)

        response = await read_response(reader)

        assert (response.status, response.code) == (408, "http.body_timeout")
        assert response.fields["connection"] == "close"
        assert up.decided == [Reason.BODY_TIMEOUT]
        assert up.upstream.untouched


async def test_a_client_that_was_refused_cannot_go_on_sending(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(head_timeout=SOON)) as up:
        reader, writer = await up.connect()
        writer.write(b"GET ")
        assert (await read_response(reader)).status == 408

        writer.write(b"x" * 1_100_000)  # more than is thrown away

        assert await read_to_end(reader) == b""
        assert up.decided == [Reason.HEAD_TIMEOUT]


async def test_a_client_that_does_not_read_its_answer(tmp_path: Path) -> None:
    part = bytes(100_000)

    async with running(tmp_path, to={"response_timeout": 0.2}) as up:

        async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
            while True:
                writer.write(part)
                await writer.drain()

        up.upstream.behaviour = behave
        reader, writer = await up.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(get())

        await up.until_finished()

        assert up.outcomes()[0].response_bytes < 100_000_000
        writer.transport.abort()
        del reader
