"""HTTP/1.1 from the client: however its bytes come, they are read as one thing."""

import asyncio
from pathlib import Path

import pytest

from gateway.core.policy import Limits
from gateway.core.reasons import Reason
from tests import world
from tests.engine.harness import (
    SOON,
    Running,
    chunked,
    get,
    read_response,
    read_to_end,
    request,
    running,
    until,
)
from tests.engine.upstream import Held

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


async def test_requests_follow_each_other_on_one_connection(up: Running) -> None:
    reader, writer = await up.connect()

    for number in range(5):
        writer.write(request(world.World(nonce=f"nonce-{number}")))
        assert (await read_response(reader)).status == 200

    assert up.upstream.connections == 1
    assert up.finished == [Reason.ALLOWED] * 5


async def test_a_denied_request_leaves_the_connection_open(up: Running) -> None:
    reader, writer = await up.connect()
    writer.write(get(authorization=None))
    assert (await read_response(reader)).code == "token.missing"

    writer.write(get())

    assert (await read_response(reader)).status == 200


async def test_a_denied_request_whose_body_is_there_leaves_the_connection_open(up: Running) -> None:
    reader, writer = await up.connect()
    writer.write(request(world.World(fields={"authorization": None})) + get())

    assert [(await read_response(reader)).status for _ in range(2)] == [401, 200]


async def test_pipelined_requests_are_answered_in_order(up: Running) -> None:
    reader, writer = await up.connect()
    paths = ["/v1/balance?a=1", "/v1/nothing", "/v1/balance?a=2", "/v1/nothing", "/v1/balance?a=3"]

    writer.write(b"".join(get(path) for path in paths))

    assert [(await read_response(reader)).status for _ in paths] == [200, 404, 200, 404, 200]
    assert [head.split(b" ")[1] for head in up.upstream.heads] == [b"/v1/balance?a=%d" % n for n in (1, 2, 3)]


async def test_pipelined_requests_wait_for_the_answer_before_them(up: Running) -> None:
    held = Held(up.upstream)
    reader, writer = await up.connect()
    writer.write(get("/v1/balance?a=1") + get("/v1/balance?a=2"))

    await held.reached.wait()

    assert len(up.upstream.requests) == 1
    held.go_on.set()
    assert [(await read_response(reader)).status for _ in range(2)] == [200, 200]


@pytest.mark.layers
async def test_pipelined_requests_beyond_the_limit_end_the_connection(up: Running) -> None:
    held = Held(up.upstream)
    reader, writer = await up.connect()
    writer.write(get())
    await held.reached.wait()

    writer.write(get() * 40)

    assert await read_to_end(reader) == b""
    assert up.decided == [Reason.ALLOWED, Reason.HEAD_TOO_LARGE]
    assert up.finished == [Reason.CLIENT_CLOSED]


@pytest.mark.parametrize("made", [request(), chunked(world.BODY, size=9)], ids=["length", "chunked"])
async def test_bytes_may_come_one_by_one(up: Running, made: bytes) -> None:
    reader, writer = await up.connect()
    for byte in made:
        writer.write(bytes([byte]))
        await asyncio.sleep(0)

    assert (await read_response(reader)).status == 200
    assert up.upstream.bodies == [world.BODY]


@pytest.mark.layers
async def test_a_head_is_not_read_before_its_end(up: Running) -> None:
    made = get()
    ends = [place + 2 for place in range(len(made) - 4) if made[place : place + 2] == b"\r\n"]
    cuts = sorted({cut for end in ends for cut in (end - 1, end, end + 1)})
    reader, writer = await up.connect()

    for cut in cuts:
        writer.write(made[:cut])
        await arrived(up, cut)
        writer.write(made[cut:])
        assert (await read_response(reader)).status == 200, cut

    assert len(set(up.upstream.heads)) == len(cuts)  # they differ by their ids alone
    assert {len(head) for head in up.upstream.heads} == {len(up.upstream.heads[0])}


async def arrived(up: Running, size: int) -> None:
    """Wait until so many bytes of a head lie in the gate's reader."""
    await until(lambda: up.master.handlers)
    (handler,) = up.master.handlers
    reader = handler.layer.connections[handler.client]  # type: ignore[attr-defined]
    before = len(up.decided)
    await until(lambda: len(reader.buf) == size or len(up.decided) > before)
    assert len(reader.buf) == size


async def test_empty_lines_before_a_request_are_ignored(up: Running) -> None:
    assert (await up.send(b"\r\n\r\n" + get())).status == 200


async def test_an_empty_line_behind_each_request_is_ignored_however_many_they_are(up: Running) -> None:
    reader, writer = await up.connect()
    for _ in range(10):
        writer.write(get() + b"\r\n")
        assert (await read_response(reader)).status == 200


async def test_white_space_around_values_is_no_part_of_them(up: Running) -> None:
    await up.send(get(accept="  \t a/b \t "))

    assert ("accept", "a/b") in up.upstream.fields()


async def test_a_client_is_told_to_go_on_with_its_body(up: Running) -> None:
    head, _, body = request(world.World(fields={"expect": "100-continue"})).partition(b"\r\n\r\n")
    reader, writer = await up.connect()
    writer.write(head + b"\r\n\r\n")
    assert await reader.readexactly(len(CONTINUE)) == CONTINUE
    assert not up.decided

    writer.write(body)

    assert (await read_response(reader)).status == 200
    assert "expect" not in dict(up.upstream.fields())


async def test_connection_close_is_honoured(up: Running) -> None:
    for authorization, status in ((f"Bearer {world.World().token}", 200), ("Bearer x", 401)):
        reader, writer = await up.connect()
        writer.write(get(connection="close", authorization=authorization))

        response = await read_response(reader)
        assert (response.status, response.fields["connection"]) == (status, "close")
        assert await read_to_end(reader) == b""


async def test_a_client_that_leaves_while_the_upstream_works(up: Running) -> None:
    held = Held(up.upstream)
    _, writer = await up.connect()
    writer.write(request())
    await held.reached.wait()

    writer.transport.abort()

    await up.until_finished()
    (outcome,) = up.outcomes()
    assert (outcome.reason, outcome.status) == (Reason.CLIENT_CLOSED, None)
    assert outcome.upstream_seconds is not None


async def test_a_client_that_leaves_within_the_answer(up: Running) -> None:
    arrived = asyncio.Event()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345")
        arrived.set()
        await reader.read(1)

    up.upstream.behaviour = behave
    reader, writer = await up.connect()
    writer.write(get())
    await reader.readuntil(b"12345")

    writer.transport.abort()

    await up.until_finished()
    (outcome,) = up.outcomes()
    assert (outcome.reason, outcome.status, outcome.response_bytes) == (Reason.CLIENT_CLOSED, 200, 5)


async def test_a_client_that_leaves_within_its_body(up: Running) -> None:
    reader, writer = await up.connect()
    writer.write(request()[:-10])
    await until(lambda: up.master.handlers and next(iter(up.master.handlers)).open_requests)

    writer.close()

    await up.until_decided()
    assert await read_to_end(reader) == b""
    assert up.decided == [Reason.CLIENT_CLOSED]
    assert up.upstream.untouched


async def test_a_client_that_leaves_within_its_head(up: Running) -> None:
    reader, writer = await up.connect()
    writer.write(get()[:-10])

    writer.close()

    await up.until_decided()
    assert await read_to_end(reader) == b""
    assert up.decided == [Reason.MESSAGE_MALFORMED]


async def test_a_client_that_leaves_between_requests_leaves_no_record(up: Running) -> None:
    reader, writer = await up.connect()
    writer.write(get())
    await read_response(reader)
    before = len(up.log.events)

    writer.close()

    await until(lambda: not up.master.handlers)
    assert len(up.log.events) == before


async def test_an_idle_connection_is_closed(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(idle_timeout=SOON)) as up:
        reader, _ = await up.connect()

        assert await read_to_end(reader) == b""
        assert not up.log.events


async def test_a_connection_idle_after_a_request_is_closed(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(idle_timeout=SOON)) as up:
        reader, writer = await up.connect()
        writer.write(get())

        assert (await read_response(reader)).status == 200
        assert await read_to_end(reader) == b""


async def test_a_connection_that_waits_for_its_answer_is_not_idle(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(idle_timeout=SOON)) as up:
        held = Held(up.upstream)
        reader, writer = await up.connect()
        writer.write(get())
        await held.reached.wait()
        passed = asyncio.Event()
        asyncio.get_running_loop().call_later(2 * SOON, passed.set)
        await passed.wait()

        held.go_on.set()

        assert (await read_response(reader)).status == 200
