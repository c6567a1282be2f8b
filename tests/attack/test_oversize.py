"""Oversized heads and bodies: 431 and 413, before more than the limit is held."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.policy import Limits
from gateway.core.reasons import Reason
from tests import world
from tests.engine.harness import LIMITS, Running, chunked, get, read_response, request, running
from tests.engine.http2 import Http2Client, get_fields

SMALL = replace(LIMITS, head=2_000, fields=20)


@pytest.mark.parametrize(
    "sent",
    [
        get(x_a="a" * 2_000),
        get(x_a="a" * 20_000),
        get("/v1/balance?" + "a" * 2_000),
        get().replace(b"\r\n\r\n", b"\r\nx-a: 1" * 30 + b"\r\n\r\n"),
        b"GET /" + b"a" * 3_000,
        b"GET / HTTP/1.1\r\n" + b"x-a: 1\r\n" * 400,
    ],
    ids=["a value", "a huge value", "the target", "many fields", "a line without end", "fields without end"],
)
async def test_a_head_over_the_limits(tmp_path: Path, sent: bytes) -> None:
    async with running(tmp_path, limits=SMALL) as up:
        response = await up.send(sent)

        assert (response.status, response.code) == (431, "http.head_too_large")
        assert response.fields["connection"] == "close"
        assert up.decided == [Reason.HEAD_TOO_LARGE]
        assert up.upstream.untouched


async def test_a_head_at_the_limit(tmp_path: Path) -> None:
    room = 2_000 - len(get(x_a="")) + 2
    async with running(tmp_path, limits=SMALL) as up:
        assert (await up.send(get(x_a="a" * room))).status == 200
        assert (await up.send(get(x_a="a" * (room + 1)))).status == 431


@pytest.mark.parametrize(
    "extra",
    [[("x-a", "a" * 2_000)], [("x-a", "1")] * 30, [(f"x-{number}", "a" * 100) for number in range(15)]],
    ids=["a value", "many fields", "together"],
)
async def test_a_head_over_the_limits_in_http2(tmp_path: Path, extra: list[tuple[str, str]]) -> None:
    async with running(tmp_path, limits=SMALL) as up, Http2Client(up) as client:
        response = await client.answer(client.begin([*get_fields(), *extra]))

        assert (response.status, response.code) == (431, "http.head_too_large")
        assert (await client.answer(client.begin(get_fields()))).status == 200


async def test_a_head_that_unpacks_beyond_all_bounds_in_http2(up: Running) -> None:
    async with Http2Client(up) as client:
        client.begin([*get_fields(), *[("x-a", "a" * 4_000)] * 40])  # small on the wire by its index
        await client.read_to_end()

    assert up.decided == [Reason.MESSAGE_MALFORMED]
    assert up.upstream.untouched


async def test_a_declared_body_over_the_limit_is_refused_by_its_head(up: Running) -> None:
    head, _, _ = request(world.World(fields={"content-length": "70000"})).partition(b"\r\n\r\n")
    reader, writer = await up.connect()
    writer.write(head + b"\r\n\r\n")

    response = await read_response(reader)

    assert (response.status, response.code) == (413, "http.body_too_large")
    assert up.decided == [Reason.BODY_TOO_LARGE]
    assert up.upstream.untouched


async def test_a_chunked_body_over_the_limit_is_refused_where_it_passes_it(up: Running) -> None:
    made = chunked(b"x" * 70_000, size=1_000)
    reader, writer = await up.connect()
    writer.write(made[:68_000])

    response = await read_response(reader)

    assert (response.status, response.code) == (413, "http.body_too_large")
    assert up.decided == [Reason.BODY_TOO_LARGE]
    assert up.upstream.untouched


async def test_a_body_over_the_limit_where_no_control_reads_it(tmp_path: Path) -> None:
    unsigned = world.chain(signature=None, replay=None)
    async with running(tmp_path, route={"chain": unsigned, "body_limit": 100}) as up:
        assert (await up.send(chunked(b"x" * 101))).code == "http.body_too_large"
        assert (await up.send(chunked(b"x" * 100))).status == 200

        assert up.decided == [Reason.BODY_TOO_LARGE, Reason.ALLOWED]
        assert up.upstream.bodies == [b"x" * 100]


async def test_a_body_at_the_limit(tmp_path: Path) -> None:
    async with running(tmp_path, route={"body_limit": len(world.BODY)}) as up:
        assert (await up.send(request())).status == 200
        assert (await up.send(chunked(world.BODY, nonce="nonce-2"))).status == 200
        longer = world.World(body=world.BODY + b" ", nonce="nonce-3")
        assert (await up.send(request(longer))).status == 413
        assert (await up.send(chunked(world.BODY + b" ", nonce="nonce-4"))).status == 413

        assert up.upstream.bodies == [world.BODY] * 2


async def test_a_route_that_takes_no_body(tmp_path: Path) -> None:
    async with running(tmp_path, route={"body_limit": 0}) as up:
        assert (await up.send(request())).status == 413
        assert (await up.send(get())).status == 200


async def test_the_limit_is_the_listeners(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(head=300)) as up:
        assert (await up.send(get())).status == 431
