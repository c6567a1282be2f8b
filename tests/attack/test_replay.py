"""Replay: a signed request counts once, whichever way it comes again."""

from pathlib import Path

import pytest

from gateway.core.reasons import Reason
from tests import world
from tests.engine.harness import Running, chunked, read_response, request, running
from tests.engine.http2 import Http2Client


async def test_on_the_same_connection(up: Running) -> None:
    reader, writer = await up.connect()
    writer.write(request() * 3)

    assert [(await read_response(reader)).status for _ in range(3)] == [200, 409, 409]
    assert up.decided == [Reason.ALLOWED, Reason.REPLAY_SEEN, Reason.REPLAY_SEEN]
    assert len(up.upstream.requests) == 1


async def test_on_another_connection(up: Running) -> None:
    assert (await up.send(request())).status == 200

    assert (await up.send(request())).code == "replay.seen"
    assert len(up.upstream.requests) == 1


async def test_over_another_protocol(up: Running) -> None:
    assert (await up.send(request())).status == 200

    async with Http2Client(up) as client:
        assert (await client.answer(client.post())).code == "replay.seen"
    assert len(up.upstream.requests) == 1


async def test_framed_in_another_way(up: Running) -> None:
    assert (await up.send(request())).status == 200

    assert (await up.send(chunked(world.BODY, size=3))).code == "replay.seen"


async def test_many_at_once(up: Running) -> None:
    async with Http2Client(up) as client:
        streams = [client.post() for _ in range(20)]
        statuses = [(await client.answer(stream)).status for stream in streams]

    assert sorted(statuses) == [200] + [409] * 19
    assert len(up.upstream.requests) == 1


async def test_with_another_nonce_the_signature_does_not_match(up: Running) -> None:
    assert (await up.send(request())).status == 200

    response = await up.send(request(world.World(fields={"x-nonce": "nonce-2"})))

    assert response.code == "signature.mismatch"


async def test_after_its_window(up: Running) -> None:
    assert (await up.send(request())).status == 200

    up.time.move(61)

    assert (await up.send(request())).code == "signature.stale"


async def test_before_its_window(up: Running) -> None:
    up.time.move(-6)

    assert (await up.send(request())).code == "signature.future"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"x-signature": "0" * 64}, Reason.SIGNATURE_MISMATCH),
        ({"x-timestamp": str(int(world.NOW) - 100)}, Reason.SIGNATURE_STALE),
        ({"x-key-id": "blue-1"}, Reason.SIGNATURE_KEY_UNKNOWN),
        ({"x-signature": "zz"}, Reason.SIGNATURE_MALFORMED),
        ({"x-nonce": None}, Reason.SIGNATURE_MISSING),
    ],
)
async def test_a_refused_request_uses_up_no_nonce(up: Running, broken: dict[str, str | None], reason: Reason) -> None:
    assert (await up.send(request(world.World(fields=broken)))).code == reason.code

    assert (await up.send(request())).status == 200


async def test_a_changed_body_uses_up_no_nonce(up: Running) -> None:
    made = request().replace(b'"amount":2500', b'"amount":9999')

    assert (await up.send(made)).code == "signature.mismatch"
    assert (await up.send(request())).status == 200
    assert up.upstream.bodies == [world.BODY]


async def test_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as up:
        assert (await up.send(request())).status == 200
        up.state.save(up.time.now)

    async with running(tmp_path, audit="audit-2") as up:
        assert (await up.send(request())).code == "replay.seen"
        assert up.upstream.untouched


async def test_after_a_crash(tmp_path: Path) -> None:
    async with running(tmp_path) as up:
        assert (await up.send(request())).status == 200

    async with running(tmp_path, audit="audit-2") as up:
        assert (await up.send(request())).code == "replay.unknowable"
        assert up.upstream.untouched


async def test_an_upstream_that_failed_makes_no_replay_good(up: Running) -> None:
    await up.upstream.stop()
    assert (await up.send(request())).status == 502
    await up.upstream.restart()

    assert (await up.send(request())).code == "replay.seen"
    assert not up.upstream.requests
