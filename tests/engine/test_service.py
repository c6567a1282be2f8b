"""The service: starts in order, drains, and takes everything down again."""

import asyncio
import socket
from pathlib import Path

import pytest

from gateway.engine import openssl
from gateway.engine.service import Service
from gateway.engine.start import StartError
from gateway.policy import PolicyInvalid
from tests import world
from tests.engine.harness import Time, get, read_response, read_to_end, request, serving, until
from tests.engine.http2 import fields_of
from tests.engine.services import Folder, again, served
from tests.engine.upstream import Held


async def test_a_run_begins_and_ends_in_the_log(tmp_path: Path) -> None:
    async with served(tmp_path) as up:
        assert (await up.send(request())).status == 200
        assert await up.stop("SIGTERM") == 0

        assert up.folder.kinds() == ["start", "decision", "outcome", "stop"]
        start, stop = up.folder.records("start")[0], up.folder.records("stop")[0]
        assert start["unmapped"]["listeners"] == ["public 127.0.0.1:0"]
        assert (stop["status_detail"], stop["unmapped"]["unfinished"]) == ("SIGTERM", 0)
        assert start["policy"] == stop["policy"]


async def test_a_running_request_is_finished(tmp_path: Path) -> None:
    async with served(tmp_path) as up:
        held = Held(up.upstream)
        reader, writer = await up.connect()
        writer.write(request())
        await held.reached.wait()

        up.service.stop("SIGTERM")
        await until(lambda: up.service.gate.draining)
        assert not up.running.done()
        held.go_on.set()

        response = await read_response(reader)
        assert (response.status, response.body) == (200, b'{"status":"ok"}')
        assert await read_to_end(reader) == b""
        assert await up.running == 0
        assert up.folder.kinds() == ["start", "decision", "outcome", "stop"]


async def test_new_connections_are_refused_while_it_drains(tmp_path: Path) -> None:
    async with served(tmp_path) as up:
        held = Held(up.upstream)
        port = up.port
        _, writer = await up.connect()
        writer.write(request())
        await held.reached.wait()
        up.service.stop("SIGTERM")
        await until(lambda: up.service.gate.draining)

        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

        held.go_on.set()
        await up.running
        writer.close()


async def test_new_requests_on_open_connections_are_refused_while_it_drains(tmp_path: Path) -> None:
    async with served(tmp_path) as up:
        held = Held(up.upstream)
        reader, writer = await up.connect()
        writer.write(get())
        await held.reached.wait()
        writer.write(get())
        up.service.stop("SIGTERM")
        await until(lambda: up.service.gate.draining)
        held.go_on.set()

        first = await read_response(reader)

        assert first.status == 200
        rest = await read_to_end(reader)
        assert b" 200 " not in rest
        await up.running
        assert len(up.upstream.requests) == 1


async def test_a_request_whose_body_was_not_complete_is_refused(tmp_path: Path) -> None:
    async with served(tmp_path) as up:
        reader, writer = await up.connect()
        writer.write(request()[:-5])
        await until(lambda: any(one.open_requests for one in up.service.master.handlers))
        up.service.stop("SIGTERM")
        await until(lambda: up.service.gate.draining)

        writer.write(request()[-5:])  # it was there before: it may finish

        assert (await read_response(reader)).status == 200
        assert await up.running == 0


async def test_idle_connections_are_closed_at_once(tmp_path: Path) -> None:
    async with served(tmp_path) as up:
        fresh, used = await up.connect(), await up.connect()
        used[1].write(get())
        await read_response(used[0])

        assert await up.stop() == 0

        for reader, writer in (fresh, used):
            assert await read_to_end(reader) == b""
            writer.close()


async def test_what_does_not_finish_in_time_is_cut_off_and_recorded(tmp_path: Path) -> None:
    async with served(tmp_path, drain_seconds=0.0) as up:
        held = Held(up.upstream)
        reader, writer = await up.connect()
        writer.write(get())
        await held.reached.wait()

        assert await up.stop() == 0

        assert await read_to_end(reader) == b""
        assert up.folder.kinds() == ["start", "decision", "outcome", "stop"]
        assert up.folder.records("stop")[0]["unmapped"]["unfinished"] == 1
        writer.close()


async def test_a_handshake_under_way_does_not_hold_it_up(tmp_path: Path) -> None:
    async with served(tmp_path) as up:
        reader, writer = await asyncio.open_connection("127.0.0.1", up.port)
        await until(lambda: up.service.master.listeners["public"].connections)

        assert await up.stop() == 0

        assert await read_to_end(reader) == b""
        writer.close()


async def test_nonces_outlive_an_orderly_restart(tmp_path: Path) -> None:
    async with served(tmp_path) as up:
        assert (await up.send(request())).status == 200
        await up.stop()

        async with again(up.folder, up.upstream) as second:
            assert (await second.send(request())).code == "replay.seen"


async def test_the_log_goes_on_over_a_restart(tmp_path: Path) -> None:
    async with served(tmp_path) as up:
        await up.stop()
        async with again(up.folder, up.upstream) as second:
            await second.stop()

            assert up.folder.kinds() == ["start", "stop"] * 2


async def test_two_gates_do_not_share_a_log(tmp_path: Path) -> None:
    async with served(tmp_path) as up:
        second = Service(up.folder.settings(clock=up.time.clock()))

        with pytest.raises(StartError, match="audit"):
            await second.run()


async def test_a_policy_with_errors_does_not_start(tmp_path: Path) -> None:
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port)
        folder.write()
        folder.put_policy(**{"mutual_tls: required": "mutual_tls: maybe"})

        with pytest.raises(PolicyInvalid):
            await Service(folder.settings()).run()

        assert not folder.audit.exists()


async def test_a_python_whose_openssl_cannot_be_reached_starts_no_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openssl, "_FUNCTIONS", (*openssl._FUNCTIONS, ("SSL_of_tomorrow", None)))
    openssl._library.cache_clear()
    try:
        folder = Folder(tmp_path, 9)
        folder.write()
        with pytest.raises(StartError, match=r"cannot be reached .*: use another build$"):
            await Service(folder.settings()).run()
    finally:
        openssl._library.cache_clear()


async def test_a_taken_port_does_not_start_and_harms_no_later_start(tmp_path: Path) -> None:
    async with serving() as upstream:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            folder = Folder(tmp_path, upstream.port, taken.getsockname()[1])
            folder.write()
            with pytest.raises(StartError, match=r"[Aa]ddress already in use"):
                await Service(folder.settings(clock=Time().clock())).run()

        async with again(folder, upstream) as up:
            assert (await up.send(request())).status == 200  # a crash would have made it unknowable


async def test_a_state_folder_that_cannot_be_made_does_not_start(tmp_path: Path) -> None:
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port)
        folder.write()
        (tmp_path / "state").write_bytes(b"")

        with pytest.raises(StartError, match="state"):
            await Service(folder.settings(clock=Time().clock())).run()


async def test_the_world_of_the_tests_is_the_policys(tmp_path: Path) -> None:
    async with served(tmp_path) as up:
        assert (await up.send(get())).status == 200
        assert (await up.send(request(world.World(fields={"x-signature": "0" * 64})))).code == "signature.mismatch"
        assert fields_of(world.World())
