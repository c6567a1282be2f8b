"""An upstream that is down, slow or broken: 502 or 504, recorded, and the client's connection serves on."""

import asyncio
from pathlib import Path

import pytest

from gateway.core.reasons import Reason
from tests import world
from tests.engine.harness import SOON, Running, get, read_response, read_to_end, request, running, until
from tests.engine.upstream import Behaviour, Held, answers, hangs

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"


async def test_an_upstream_that_is_down(up: Running) -> None:
    await up.upstream.stop()

    response = await up.send(get())

    assert (response.status, response.code) == (502, "upstream.unreachable")
    (outcome,) = up.outcomes()
    assert (outcome.reason, outcome.status, outcome.upstream_seconds) == (Reason.UPSTREAM_UNREACHABLE, 502, None)
    assert outcome.detail == "connection refused"


async def test_an_upstream_that_comes_back_is_reached_on_the_same_connection(up: Running) -> None:
    reader, writer = await up.connect()
    writer.write(get())
    assert (await read_response(reader)).status == 200

    await up.upstream.stop()
    for _ in range(2):
        writer.write(get())
        assert (await read_response(reader)).status == 502
    await up.upstream.restart()

    writer.write(get())
    assert (await read_response(reader)).status == 200
    writer.write(get())
    assert (await read_response(reader)).status == 200
    assert up.upstream.connections == 2


async def test_an_upstream_that_does_not_answer(tmp_path: Path) -> None:
    async with running(tmp_path, to={"response_timeout": SOON}) as up:
        up.upstream.behaviour = hangs()
        reader, writer = await up.connect()
        writer.write(request())

        response = await read_response(reader)

        assert (response.status, response.code) == (504, "upstream.timeout")
        (outcome,) = up.outcomes()
        assert (outcome.reason, outcome.status) == (Reason.UPSTREAM_TIMEOUT, 504)
        assert outcome.upstream_seconds is not None
        up.upstream.behaviour = None
        writer.write(get())
        assert (await read_response(reader)).status == 200


async def test_an_upstream_that_stops_within_its_answer(tmp_path: Path) -> None:
    async with running(tmp_path, to={"response_timeout": SOON}) as up:
        up.upstream.behaviour = hangs(HEAD + b"12345")
        reader, writer = await up.connect()
        writer.write(get())

        assert (await read_to_end(reader)).endswith(b"12345")
        (outcome,) = up.outcomes()
        assert (outcome.reason, outcome.status, outcome.response_bytes) == (Reason.UPSTREAM_TIMEOUT, 200, 5)


async def test_each_part_of_an_answer_has_the_whole_time(tmp_path: Path) -> None:
    parts = 5

    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % parts)
        for _ in range(parts):
            passed = asyncio.Event()
            asyncio.get_running_loop().call_later(0.06, passed.set)
            await passed.wait()
            writer.write(b"x")

    async with running(tmp_path, to={"response_timeout": 0.2}) as up:
        up.upstream.behaviour = behave

        assert (await up.send(get())).body == b"x" * parts


async def test_an_upstream_that_does_not_finish_its_handshake(tmp_path: Path) -> None:
    async with running(tmp_path, to={"scheme": "https", "connect_timeout": SOON}) as up:
        response = await up.send(get())

        assert (response.status, response.code) == (502, "upstream.unreachable")
        assert up.outcomes()[0].detail == "no connection within 0.01 s"


BROKEN: dict[str, Behaviour] = {
    "nothing": answers(close=True),
    "half a head": answers(b"HTTP/1.1 200 OK\r\ncontent-", close=True),
    "no status line": answers(b"hello\r\n\r\n"),
    "another protocol": answers(b"SSH-2.0-OpenSSH_9.2p1\r\n", close=True),
    "another version": answers(b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n"),
    "a status that is none": answers(b"HTTP/1.1 999 OK\r\ncontent-length: 0\r\n\r\n"),
    "a switch of protocols": answers(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n"),
    "length and chunked": answers(HEAD[:-2] + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    "two lengths": answers(HEAD[:-2] + b"content-length: 3\r\n\r\n0123456789"),
    "a length that is none": answers(b"HTTP/1.1 200 OK\r\ncontent-length: +3\r\n\r\nabc"),
    "a coding unasked for": answers(b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "a folded field": answers(HEAD[:-2] + b"x-a: 1\r\n x-b: 2\r\n\r\n0123456789"),
    "a bare CR in a value": answers(HEAD[:-2] + b"x-a: 1\rset-cookie: a\r\n\r\n0123456789"),
    "a NUL in a value": answers(HEAD[:-2] + b"x-a: 1\x00\r\n\r\n0123456789"),
    "a name that is none": answers(HEAD[:-2] + b"x a: 1\r\n\r\n0123456789"),
    "a name beyond ASCII": answers(HEAD[:-2] + b"x-\xe9: 1\r\n\r\n0123456789"),
    "a line without a colon": answers(HEAD[:-2] + b"nothing\r\n\r\n0123456789"),
    "a head without end": answers(b"HTTP/1.1 200 OK\r\n" + b"x-a: " + b"a" * 70_000),
    "lines that end with a bare LF": answers(b"HTTP/1.1 200 OK\ncontent-length: 3\n\nabc"),
    "one line that ends with a bare LF": answers(HEAD[:-2] + b"x-a: 1\nset-cookie: a\r\n\r\n0123456789"),
    "a coding in HTTP/1.0": answers(b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    "a coding without a body": answers(b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n"),
    "a coding of an interim answer": answers(b"HTTP/1.1 103 Early Hints\r\ntransfer-encoding: chunked\r\n\r\n" + HEAD),
    "a length beyond all bounds": answers(b"HTTP/1.1 200 OK\r\ncontent-length: " + b"9" * 30 + b"\r\n\r\n"),
}


@pytest.mark.parametrize("behaviour", BROKEN.values(), ids=BROKEN)
async def test_a_broken_answer(up: Running, behaviour: Behaviour) -> None:
    up.upstream.behaviour = behaviour
    reader, writer = await up.connect()
    writer.write(get())

    response = await read_response(reader)

    assert (response.status, response.code) == (502, "upstream.broken")
    (outcome,) = up.outcomes()
    assert (outcome.reason, outcome.status) == (Reason.UPSTREAM_BROKEN, 502)
    up.upstream.behaviour = None
    writer.write(get())
    assert (await read_response(reader)).status == 200


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (HEAD + b"12345", b"12345"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\n12345", b"5\r\n12345\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n", b"5\r\n12345\r\n"),
    ],
    ids=["length", "chunk", "chunks"],
)
async def test_an_answer_that_breaks_off_is_not_made_whole(up: Running, answer: bytes, body: bytes) -> None:
    up.upstream.behaviour = answers(answer, close=True)
    reader, writer = await up.connect()
    writer.write(get())

    received = await read_to_end(reader)

    assert received.partition(b"\r\n\r\n")[2] == body
    (outcome,) = up.outcomes()
    assert (outcome.reason, outcome.status, outcome.response_bytes) == (Reason.UPSTREAM_BROKEN, 200, 5)


@pytest.mark.parametrize("chunks", [b"5\r\n12345\r\nzz\r\n", b"zz\r\n"], ids=["the second", "the first"])
async def test_a_malformed_chunk_ends_the_answer(up: Running, chunks: bytes) -> None:
    up.upstream.behaviour = answers(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunks)
    reader, writer = await up.connect()
    writer.write(get(connection="close"))

    received = await read_to_end(reader)

    assert not received.endswith(b"0\r\n\r\n")
    (outcome,) = up.outcomes()
    assert (outcome.reason, outcome.status) == (Reason.UPSTREAM_BROKEN, int(received.split(b" ")[1]))


async def test_interim_answers_are_dropped(up: Running) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    up.upstream.behaviour = answers(interim + b"HTTP/1.1 102 Processing\r\n", b"\r\n" + up.upstream.answer)

    response = await up.send(get())

    assert (response.status, response.body) == (200, b'{"status":"ok"}')
    assert "link" not in response.fields


async def test_an_upstream_that_says_more_than_it_was_asked(up: Running) -> None:
    up.upstream.behaviour = answers(up.upstream.answer + b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged")
    reader, writer = await up.connect()
    writer.write(get())
    assert (await read_response(reader)).body == b'{"status":"ok"}'

    up.upstream.behaviour = None
    writer.write(get())

    assert (await read_response(reader)).body == b'{"status":"ok"}'


@pytest.mark.layers
async def test_an_upstream_that_closes_between_requests(up: Running) -> None:
    reader, writer = await up.connect()
    for _ in range(3):
        up.upstream.behaviour = answers(up.upstream.answer, close=True)
        writer.write(get())
        assert (await read_response(reader)).status == 200
        (handler,) = up.master.handlers
        while len(handler.transports) > 1:  # noqa: ASYNC110 - nothing is set when it is gone
            await asyncio.sleep(0)

    assert up.upstream.connections == 3


async def test_an_upstream_that_announces_its_close_is_not_asked_again_on_it(up: Running) -> None:
    reader, writer = await up.connect()
    up.upstream.answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    for _ in range(2):
        writer.write(get())
        assert (await read_response(reader)).status == 200

    assert up.upstream.connections == 2


@pytest.mark.layers
async def test_an_answer_before_the_time_is_over_ends_the_time(tmp_path: Path) -> None:
    async with running(tmp_path, to={"response_timeout": 1.0}) as up:
        reader, writer = await up.connect()
        writer.write(get())
        await read_response(reader)

        (handler,) = up.master.handlers
        assert {key[0] for key in handler.connection.deadlines._timers} == {"idle"}


async def test_a_failure_after_the_allow_names_the_request_and_no_secret(up: Running) -> None:
    await up.upstream.stop()

    response = await up.send(request())

    assert response.fields["x-gateway-request-id"] == up.outcomes()[0].request_id
    assert world.SIGNING_KEY_ID.encode() not in response.body


async def test_one_client_does_not_wait_for_anothers_upstream(up: Running) -> None:
    held = Held(up.upstream)
    _, first = await up.connect()
    first.write(get())
    await held.reached.wait()

    up.upstream.behaviour = None
    assert (await up.send(get())).status == 200

    held.go_on.set()
    await up.until_finished(2)


async def test_a_client_that_leaves_while_the_upstream_is_connected_to(tmp_path: Path) -> None:
    async with running(tmp_path, to={"scheme": "https"}) as up:  # the upstream speaks no TLS, and so says nothing
        _, writer = await up.connect()
        writer.write(get())
        await until(lambda: up.upstream.connections)

        writer.transport.abort()

        await up.until_finished()
        (outcome,) = up.outcomes()
        assert (outcome.reason, outcome.status, outcome.upstream_seconds) == (Reason.CLIENT_CLOSED, None, None)
        assert not up.upstream.requests
