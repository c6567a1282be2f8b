"""HTTP/2 from the client: streams side by side, each with its own decision and outcome."""

import asyncio
from pathlib import Path

import pytest

from gateway.core.policy import Limits
from gateway.core.reasons import Reason
from tests import world
from tests.engine.harness import SOON, Running, running, until
from tests.engine.http2 import Http2Client, fields_of, get_fields
from tests.engine.upstream import Held, answers, hangs


async def test_a_request_with_a_body(up: Running) -> None:
    async with Http2Client(up) as client:
        response = await client.answer(client.post())

    assert (response.status, response.body) == (200, b'{"status":"ok"}')
    assert up.upstream.bodies == [world.BODY]
    sent = dict(up.upstream.fields())
    assert (sent["host"], sent["content-length"]) == (world.HOST, str(len(world.BODY)))
    assert sent["x-gateway-partner"] == world.PARTNER
    assert up.upstream.heads[0].startswith(b"POST /v1/deposits HTTP/1.1\r\n")
    assert not [name for name in sent if name.startswith(":")]


async def test_a_request_that_ends_with_its_head(up: Running) -> None:
    async with Http2Client(up) as client:
        response = await client.answer(client.begin(get_fields()))

    assert response.status == 200
    assert up.upstream.bodies == [b""]
    assert up.records("decision")[0]["http_request"]["version"] == "2"


async def test_a_body_without_a_declared_length(up: Running) -> None:
    async with Http2Client(up) as client:
        stream = client.begin(fields_of(world.World(fields={"content-length": None})), end=False)
        for place in range(0, len(world.BODY), 10):
            client.send(stream, world.BODY[place : place + 10], end=False)
        client.send(stream, b"")

        assert (await client.answer(stream)).status == 200

    assert up.upstream.bodies == [world.BODY]
    assert dict(up.upstream.fields())["content-length"] == str(len(world.BODY))


async def test_a_body_that_turns_out_empty(up: Running) -> None:
    made = world.World(body=b"", fields={"content-length": None})
    async with Http2Client(up) as client:
        stream = client.begin(fields_of(made), end=False)
        client.send(stream, b"")

        assert (await client.answer(stream)).status == 200

    assert dict(up.upstream.fields())["content-length"] == "0"


async def test_many_streams_at_once(up: Running) -> None:
    held = Held(up.upstream)
    async with Http2Client(up) as client:
        streams = [client.begin(get_fields(f"/v1/balance?n={number}")) for number in range(10)]
        await until(lambda: len(up.upstream.requests) == 10)
        assert not any(client.streams[stream].fields for stream in streams)

        held.go_on.set()

        assert [(await client.answer(stream)).status for stream in streams] == [200] * 10
    assert up.finished == [Reason.ALLOWED] * 10


async def test_a_denial_beside_an_allow(up: Running) -> None:
    held = Held(up.upstream)
    async with Http2Client(up) as client:
        allowed = client.begin(get_fields())
        await held.reached.wait()
        denied = client.begin(get_fields("/v1/nothing"))

        assert (await client.answer(denied)).code == "route.unknown"

        held.go_on.set()
        assert (await client.answer(allowed)).status == 200


async def test_requests_follow_each_other(up: Running) -> None:
    async with Http2Client(up) as client:
        for number in range(5):
            response = await client.answer(client.post(world.World(nonce=f"nonce-{number}")))
            assert response.status == 200

        (handler,) = up.master.handlers
        server = handler.layer.connections[handler.client]  # type: ignore[attr-defined]
        assert not server.streams
        assert not handler.layer.streams  # type: ignore[attr-defined]


async def test_a_stream_that_is_reset_while_the_upstream_works(up: Running) -> None:
    held = Held(up.upstream)
    async with Http2Client(up) as client:
        stream = client.post()
        other = client.begin(get_fields())
        await until(lambda: len(up.upstream.requests) == 2)

        client.reset(stream)

        await up.until_finished()
        (outcome,) = up.outcomes()
        assert (outcome.reason, outcome.status) == (Reason.CLIENT_CLOSED, None)
        held.go_on.set()
        assert (await client.answer(other)).status == 200


@pytest.mark.parametrize("code", [0, 1, 8, 0xD, 99], ids=["no error", "protocol", "cancel", "1.1 required", "unknown"])
async def test_a_stream_that_is_reset_within_its_body(up: Running, code: int) -> None:
    async with Http2Client(up) as client:
        stream = client.begin(fields_of(world.World()), end=False)
        client.send(stream, world.BODY[:10], end=False)
        await until(lambda: up.master.handlers and next(iter(up.master.handlers)).connection.open_requests)

        client.reset(stream, code)

        await up.until_decided()
        assert up.decided == [Reason.CLIENT_CLOSED]
        assert (await client.answer(client.begin(get_fields()))).status == 200
    assert len(up.upstream.requests) == 1


async def test_a_body_over_the_limit(up: Running) -> None:
    async with Http2Client(up) as client:
        stream = client.begin(fields_of(world.World(fields={"content-length": None})), end=False)
        for _ in range(5):
            client.send(stream, b"x" * 16_000, end=False)

        assert (await client.answer(stream)).code == "http.body_too_large"
        assert (await client.answer(client.begin(get_fields()))).status == 200

    assert up.decided == [Reason.BODY_TOO_LARGE, Reason.ALLOWED]
    assert len(up.upstream.requests) == 1


async def test_a_declared_length_over_the_limit_is_refused_before_its_body(up: Running) -> None:
    async with Http2Client(up) as client:
        stream = client.begin(fields_of(world.World(fields={"content-length": "70000"})), end=False)

        assert (await client.answer(stream)).code == "http.body_too_large"


async def test_a_slow_body(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(body_timeout=SOON)) as up, Http2Client(up) as client:
        stream = client.begin(fields_of(world.World()), end=False)

        assert (await client.answer(stream)).code == "http.body_timeout"
        assert (await client.answer(client.begin(get_fields()))).status == 200


async def test_a_client_is_told_to_go_on_with_its_body(up: Running) -> None:
    async with Http2Client(up) as client:
        stream = client.begin(fields_of(world.World(fields={"expect": "100-continue"})), end=False)
        await client.read(lambda: client.streams[stream].interim)
        client.send(stream, world.BODY)

        assert (await client.answer(stream)).status == 200
        assert client.streams[stream].interim == ["100"]


async def test_an_answer_to_head(up: Running) -> None:
    up.upstream.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n"
    async with Http2Client(up) as client:
        response = await client.answer(client.begin(get_fields(method="HEAD")))

    assert (response.status, response.body) == (200, b"")


async def test_a_denied_head_has_no_body(up: Running) -> None:
    async with Http2Client(up) as client:
        response = await client.answer(client.begin(get_fields("/v1/nothing", method="HEAD")))

    assert (response.status, response.body) == (404, b"")


async def test_an_answer_without_a_body(up: Running) -> None:
    up.upstream.answer = b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n"
    async with Http2Client(up) as client:
        response = await client.answer(client.begin(get_fields()))

    assert (response.status, response.fields["x-a"]) == (204, "1")


async def test_a_large_chunked_answer_is_streamed(up: Running) -> None:
    part = b"%x\r\n" % 40_000 + bytes(40_000) + b"\r\n"
    up.upstream.behaviour = answers(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[part] * 20, b"0\r\n\r\n"
    )
    async with Http2Client(up) as client:
        response = await client.answer(client.begin(get_fields()))

    assert response.body == bytes(40_000 * 20)
    assert "transfer-encoding" not in response.fields


async def test_an_answer_that_breaks_off_resets_its_stream_alone(up: Running) -> None:
    async with Http2Client(up) as client:
        up.upstream.behaviour = answers(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345", close=True)
        stream = client.begin(get_fields())
        await client.read(lambda: client.streams[stream].reset is not None)
        up.upstream.behaviour = None

        assert (await client.answer(client.begin(get_fields()))).status == 200
    assert up.finished == [Reason.UPSTREAM_BROKEN, Reason.ALLOWED]


async def test_an_upstream_that_is_down_and_comes_back(up: Running) -> None:
    await up.upstream.stop()
    async with Http2Client(up) as client:
        assert (await client.answer(client.post())).code == "upstream.unreachable"
        await up.upstream.restart()

        assert (await client.answer(client.begin(get_fields()))).status == 200


async def test_an_upstream_that_does_not_answer(tmp_path: Path) -> None:
    async with running(tmp_path, to={"response_timeout": SOON}) as up, Http2Client(up) as client:
        up.upstream.behaviour = hangs()

        assert (await client.answer(client.begin(get_fields()))).code == "upstream.timeout"


async def test_a_client_that_leaves_with_open_streams(up: Running) -> None:
    held = Held(up.upstream)
    async with Http2Client(up) as client:
        for _ in range(3):
            client.begin(get_fields())
        await until(lambda: len(up.upstream.requests) == 3)

    await up.until_finished(3)
    assert up.finished == [Reason.CLIENT_CLOSED] * 3
    assert not held.go_on.is_set()


async def test_an_idle_connection_is_ended_in_order(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(idle_timeout=SOON)) as up, Http2Client(up) as client:
        assert (await client.answer(client.begin(get_fields()))).status == 200

        await client.read_to_end()

        assert client.goaway is not None
        assert (client.goaway.error_code, client.goaway.last_stream_id) == (0, 1)


async def test_a_connection_with_an_open_stream_is_not_idle(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(idle_timeout=SOON)) as up, Http2Client(up) as client:
        held = Held(up.upstream)
        stream = client.begin(get_fields())
        await held.reached.wait()
        passed = asyncio.Event()
        asyncio.get_running_loop().call_later(2 * SOON, passed.set)
        await passed.wait()

        held.go_on.set()

        assert (await client.answer(stream)).status == 200


async def test_cookies_are_joined_towards_the_upstream(up: Running) -> None:
    async with Http2Client(up) as client:
        await client.answer(client.begin([*get_fields(), ("cookie", "a=1"), ("cookie", "b=2")]))

    assert [value for name, value in up.upstream.fields() if name.lower() == "cookie"] == ["a=1; b=2"]
