import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from libvalkey import ReplyError

from gateway.state.valkey.script import command
from gateway.state.valkey.wire import LostError, Wire, described
from tests.engine.harness import until
from tests.valkey import Server

PING = command(b"PING")


@asynccontextmanager
async def wired(server: Server, *, within: float = 20.0) -> AsyncIterator[tuple[Wire, list[LostError]]]:
    lost: list[LostError] = []
    loop = asyncio.get_running_loop()
    _, wire = await loop.create_unix_connection(lambda: Wire(within, lost.append), server.address.host)
    yield wire, lost
    wire.close("end of the test")
    await asyncio.sleep(0)


@asynccontextmanager
async def answering(answer: Callable[[bytes], bytes]) -> AsyncIterator[Wire]:
    """Give a wire to a server that answers by a function; nothing is a closed connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1024):
            if not (said := answer(data)):
                break
            writer.write(said)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    _, wire = await asyncio.get_running_loop().create_connection(lambda: Wire(20.0, lambda _: None), host, port)
    yield wire
    wire.close("end of the test")
    await asyncio.sleep(0)
    server.close()
    await server.wait_closed()


async def test_replies_come_in_the_order_of_the_commands(server: Server) -> None:
    async with wired(server) as (wire, lost):
        asked = [wire.ask(command(b"ECHO", b"%d" % number)) for number in range(100)]
        assert await asyncio.gather(*asked) == [b"%d" % number for number in range(100)]
        assert not lost


async def test_what_is_sent_in_one_turn_goes_out_together() -> None:
    got: list[bytes] = []

    def answer(data: bytes) -> bytes:
        got.append(data)
        return b"+PONG\r\n" * data.count(b"PING")

    async with answering(answer) as wire:
        await asyncio.gather(*(wire.ask(PING) for _ in range(10)))
    assert got == [PING * 10]


async def test_an_error_of_one_command_is_its_reply_and_nobody_elses(server: Server) -> None:
    async with wired(server) as (wire, lost):
        wrong, right = await asyncio.gather(wire.ask(command(b"NONSENSE")), wire.ask(PING))
        assert isinstance(wrong, ReplyError)
        assert right == b"PONG"
        assert not lost


async def test_a_command_without_an_answer_fails_in_time_and_all_after_it(server: Server) -> None:
    async with wired(server, within=0.01) as (wire, lost):
        server.pause()
        asked = [wire.ask(PING) for _ in range(3)]
        results = await asyncio.gather(*asked, return_exceptions=True)
        server.go_on()
    assert [str(result) for result in results] == ["no answer within 10 ms"] * 3
    assert [str(error) for error in lost] == ["no answer within 10 ms"]


async def test_an_answer_in_time_leaves_the_rest_their_own_time(server: Server) -> None:
    async with wired(server) as (wire, lost):
        assert await wire.ask(PING) == b"PONG"
        wire._look()
        asked = wire.ask(PING)
        wire._look()
        assert await asked == b"PONG"
        assert not lost


@pytest.mark.parametrize(
    ("answer", "because"),
    [
        (b"", "the connection was closed"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what came is not the protocol of Valkey"),
        (b"+PONG\r\n+PONG\r\n", "a reply that nothing was sent for"),
    ],
)
async def test_what_no_server_says_ends_the_connection(answer: bytes, because: str) -> None:
    async with answering(lambda _: answer) as wire:
        lost: list[LostError] = []
        wire._lost = lost.append
        first = wire.ask(PING)
        await asyncio.wait((first,))
        await until(lambda: lost)
        assert str(lost[0]) == because
        assert first.exception() is None or str(first.exception()) == because
        with pytest.raises(LostError, match="the connection is lost"):
            await wire.ask(PING)


async def test_a_server_that_ends_is_told_of_once(server: Server) -> None:
    async with wired(server) as (wire, lost):
        asked = wire.ask(command(b"BLPOP", b"nothing", b"0"))
        server.ask("CLIENT", "KILL", "TYPE", "normal")
        with pytest.raises(LostError):
            await asked
        wire.close("again")
        assert len(lost) == 1


async def test_who_gave_up_waiting_is_left_alone(server: Server) -> None:
    async with wired(server) as (wire, lost):
        asked = wire.ask(PING)
        asked.cancel()
        assert await wire.ask(PING) == b"PONG"
        assert not lost


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (LostError("closed"), "closed"),
        (ValueError("password=1"), "ValueError"),
    ],
)
def test_errors_are_described_without_the_words_of_others(error: Exception, said: str) -> None:
    assert described(error) == said
