"""How many connections a listener takes, and for how long."""

import asyncio
from pathlib import Path

from gateway.core.policy import Limits
from gateway.core.reasons import Reason
from tests.engine.harness import SOON, Running, get, read_response, read_to_end, running, until


async def test_connections_beyond_the_limit_are_closed_before_tls(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(connections=2)) as up:
        first = await up.connect()
        await up.connect()

        reader, _ = await up.connect_plain()

        assert await read_to_end(reader) == b""
        assert up.refused == [Reason.CONNECTION_LIMIT]
        first[1].write(get())
        assert (await read_response(first[0])).status == 200


async def test_a_connection_that_ends_makes_room(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(connections=1)) as up:
        for _ in range(3):
            reader, writer = await up.connect()
            writer.write(get())
            assert (await read_response(reader)).status == 200
            writer.close()
            await until(lambda: not up.master.listeners["public"].connections)

        assert not up.refused


async def test_an_unfinished_handshake_takes_its_place_for_a_time_only(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(handshake_timeout=SOON)) as up:
        reader, _ = await up.connect_plain()

        assert await read_to_end(reader) == b""
        await up.until_refused()
        assert up.refused == [Reason.TLS_TIMEOUT]
        await until(lambda: not up.master.listeners["public"].connections)


async def test_many_at_once(up: Running) -> None:
    async def one(number: int) -> int:
        return (await up.send(get(f"/v1/balance?n={number}"))).status

    assert await asyncio.gather(*(one(number) for number in range(20))) == [200] * 20
    assert len(set(up.upstream.heads)) == 20
