import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from libvalkey import ReplyError

from gateway.core.secret import Secret
from gateway.core.stores import Login
from gateway.state.valkey.node import Access, Address, LostError, Node, RefusedError, code, connect, text
from gateway.state.valkey.places import fixed
from gateway.state.valkey.script import Script, command
from gateway.state.valkey.wire import Reply, Wire
from tests.engine.harness import until
from tests.valkey import Server, serving

ACCESS = Access(Login(), 0, None, None, timeout=20.0)
SECRET = Login("gate", Secret(b"secret-7f3a"))


class Echo:
    """Asks for an echo, and keeps the replies."""

    def __init__(self, what: bytes = b"here") -> None:
        self.what = what
        self.replies: list[Reply | Exception] = []

    def command(self, run: bytes) -> bytes:
        del run
        return command(b"ECHO", self.what)

    def __call__(self, reply: Reply | Exception) -> None:
        self.replies.append(reply)

    async def answer(self) -> Reply | Exception:
        await until(lambda: self.replies)
        (reply,) = self.replies
        return reply


@asynccontextmanager
async def kept(
    server: Server, access: Access = ACCESS, *, address: Address | None = None
) -> AsyncIterator[tuple[Node, list[str | None]]]:
    changes: list[str | None] = []

    async def prepare(node: Node, wire: Wire, run: bytes) -> None:
        assert await wire.ask(command(b"ECHO", run)) == run != node.name.encode()

    script = Script("one", b"return 1")
    locate = fixed(address or server.address)
    node = Node("one", locate, access, [script], prepare, lambda _, because: changes.append(because))
    node.start()
    try:
        yield node, changes
    finally:
        await node.close()
        await asyncio.sleep(0)


async def test_asks_wait_for_the_first_connection(server: Server) -> None:
    async with kept(server) as (node, changes):
        echo = Echo()
        node.send(echo)
        assert await echo.answer() == b"here"
        assert changes == [None]
        run = dict(line.split(b":") for line in server.ask("INFO", "server").split(b"\r\n") if line.startswith(b"run_"))
        assert node.run.startswith(run[b"run_id"])


async def test_a_connection_that_breaks_is_made_anew_while_asks_wait(server: Server) -> None:
    async with kept(server) as (node, changes):
        await until(lambda: node.wire)
        server.ask("CLIENT", "KILL", "TYPE", "normal")
        await until(lambda: node.wire is None)
        echo = Echo()
        node.send(echo)
        assert await echo.answer() == b"here"
        assert changes == [None, "the connection was closed", None]


async def test_without_a_server_asks_fail_soon_and_then_at_once(server: Server) -> None:
    nowhere = Address(str(server.folder / "nothing"))
    async with kept(server, address=nowhere) as (node, changes):
        first = Echo()
        node.send(first)
        assert str(await first.answer()) == "No such file or directory"
        assert not node.usable
        second = Echo()
        node.send(second)
        assert [str(reply) for reply in second.replies] == ["No such file or directory"]
        assert changes[0] == "No such file or directory"


async def test_a_server_that_stands_still_is_given_up_and_found_again(server: Server) -> None:
    async with kept(server, ACCESS._replace(timeout=0.02)) as (node, changes):
        await until(lambda: node.wire)
        server.pause()
        echo, waiting = Echo(), Echo()
        node.send(echo)
        assert str(await echo.answer()) == "no answer within 20 ms"
        node.send(waiting)
        assert isinstance(await waiting.answer(), LostError)
        await until(lambda: not node.usable)
        server.go_on()
        await until(lambda: node.wire)
        again = Echo()
        node.send(again)
        assert await again.answer() == b"here"
        assert changes[-1] is None


async def test_what_waits_is_bounded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.state.valkey.node.MOST_WAITING", 1)
    async with kept(server) as (node, _):
        echoes = [Echo(), Echo()]
        for echo in echoes:
            node.send(echo)
        assert [str(reply) for reply in echoes[1].replies] == ["not connected yet"]
        assert await echoes[0].answer() == b"here"


async def test_what_waits_fails_where_the_gate_stops(server: Server) -> None:
    async with kept(server) as (node, _):
        echo = Echo()
        node.send(echo)
    assert [str(reply) for reply in echo.replies] == ["the gate is stopping"]


async def test_a_replica_is_no_server_to_ask() -> None:
    with serving("--replicaof", "127.0.0.1", "1") as server:
        async with kept(server) as (node, changes):
            await until(lambda: changes)
            assert (changes[0], node.refused) == ("it is a replica", False)


async def test_a_server_that_may_drop_data_is_refused(server: Server) -> None:
    server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        async with kept(server) as (node, changes):
            await until(lambda: changes)
            assert "set maxmemory-policy noeviction (now allkeys-lru)" in str(changes[0])
            assert node.refused
    finally:
        server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")


async def test_a_login_and_a_database(server: Server) -> None:
    server.ask("ACL", "SETUSER", "gate", "on", ">secret-7f3a", "~*", "+@all")
    wire = await connect(server.address, ACCESS._replace(login=SECRET, database=3))
    assert await wire.ask(command(b"ACL", b"WHOAMI")) == b"gate"
    await wire.ask(command(b"SET", b"x", b"1"))
    assert b"db3:keys=1" in server.ask("INFO", "keyspace")
    wire.close("done")
    await asyncio.sleep(0)
    server.ask("ACL", "DELUSER", "gate")


async def test_a_login_that_is_refused_names_no_password(server: Server) -> None:
    with pytest.raises(RefusedError) as caught:
        await connect(server.address, ACCESS._replace(login=SECRET))
    assert str(caught.value) == "it refuses with WRONGPASS"
    await asyncio.sleep(0)
    async with kept(server, ACCESS._replace(login=SECRET)) as (node, changes):
        await until(lambda: changes)
        assert node.refused
        assert "7f3a" not in repr(node.access) + str(changes)


def test_an_address_is_shown_as_it_is_reached() -> None:
    assert [str(Address("::1", 6379)), str(Address("/run/s"))] == ["::1:6379", "unix:/run/s"]


@pytest.mark.parametrize("reply", [1, None, []])
def test_what_is_no_text_is_unexpected(reply: Reply) -> None:
    with pytest.raises(LostError, match="unexpected"):
        text(reply)


@pytest.mark.parametrize(
    ("said", "shown"), [("OOM command not allowed", "OOM"), ("user 'x' has", "an error"), ("", "an error")]
)
def test_of_an_error_its_code_is_told(said: str, shown: str) -> None:

    assert code(ReplyError(said)) == shown
