"""Lock-outs of two gates with one Valkey, each on a machine of its own: counted together, lifted once for both."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli.lockout import lockout
from gateway.core.message import Instant
from gateway.state.revocations import Entry, read_all
from gateway.state.valkey import script
from tests import world
from tests.engine.harness import Time, get, serving, until
from tests.engine.services import Folder, Served, again
from tests.engine.upstream import FakeUpstream
from tests.valkey import STILL, Server
from tests.valkey import serving as serving_store

pytestmark = pytest.mark.direct  # once: what is decided is counted in the same way on both

FORGED = get(authorization=f"Bearer {world.token(key=world.private_key('P-256', 'attacker'))}")

DENIED = "gate.state_unavailable"

STATE = """\
lockout: {{after: 4, within: 10m, for: 30m}}

state: {{store: valkey, url: "unix://{socket}", timeout: 1s{more}}}

issuers:
"""

OPEN = {
    'rate_limit: ["1000/second per partner"]': 'rate_limit: {off: "the upstream limits"}',
    "replay: required": 'replay: {off: "the upstream remembers"}',
}
"""So that nothing but the lock-out needs the store."""


class Pair:
    """Two gates."""

    def __init__(self, store: Server, stack: AsyncExitStack, upstream: FakeUpstream, directory: Path) -> None:
        self.store = store
        self.stack = stack
        self.upstream = upstream
        self.folders = [Folder(directory / name, upstream.port) for name in ("one", "two")]
        self.gates: list[Served] = []

    def put(self, more: str = "") -> None:
        """Write the policy of both."""
        state = STATE.format(socket=self.store.address.host, more=more)
        for folder in self.folders:
            folder.path.mkdir(exist_ok=True)
            folder.write()
            folder.put_policy(**{"issuers:\n": state, **OPEN})

    async def up(self) -> None:
        """Bring both up."""
        for folder in self.folders:
            time = Time(Instant(world.NOW))
            self.gates.append(await self.stack.enter_async_context(again(folder, self.upstream, time=time)))

    async def fail(self, gate: int, times: int = 1) -> list[str]:
        """Send so many forged tokens to one of them, one after the other; gives the codes."""
        return [(await self.gates[gate].send(FORGED)).code for _ in range(times)]

    async def good(self) -> list[Any]:
        """Send a good request to each."""
        answers = [await gate.send(get()) for gate in self.gates]
        return [answer.status if answer.status == 200 else answer.code for answer in answers]

    async def until_good(self, *expected: Any) -> None:
        """Wait until good requests are answered so."""
        while await self.good() != list(expected):
            pass

    def journal(self, gate: int) -> list[Entry]:
        """Give the lines of one of the journals."""
        return read_all(self.folders[gate].path / "state")

    async def until_written(self, *counts: int) -> None:
        """Wait until the journals have so many lines."""
        await until(lambda: [len(self.journal(gate)) for gate in (0, 1)] == list(counts))

    async def until_counted(self, count: int) -> None:
        """Wait until the store has counted so many failures of one caller."""
        await until(lambda: len(b" ".join(self.store.ask("HVALS", "gw:{psp:lockout}:failures")).split()) == count)

    def records(self, kind: str) -> list[dict[str, Any]]:
        """Give the records of a kind in both logs."""
        return [record for folder in self.folders for record in folder.records(kind)]

    def lift(self, gate: int) -> None:
        """Lift what stands last in a journal, by the command."""
        number, folder = self.journal(gate)[-1].number, self.folders[gate].path / "state"
        result = CliRunner().invoke(
            lockout, ["lift", str(number), "--because", "mended", "--by", "maria", "--state", str(folder)]
        )
        assert result.exit_code == 0, result.output


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(script, "CLOCK", STILL)
    with serving_store() as made:
        made.set_clock(world.NOW)
        yield made


@pytest.fixture
async def pair(tmp_path: Path, store: Server) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        yield Pair(store, stack, await stack.enter_async_context(serving()), tmp_path)


async def test_failures_count_together_and_the_lock_out_holds_everywhere(pair: Pair) -> None:
    pair.put()
    await pair.up()
    assert await pair.fail(0, 2) + await pair.fail(1, 2) == ["token.signature"] * 4
    await pair.until_good("lockout.locked", "lockout.locked")
    await pair.until_written(1, 1)
    (here,), (there,) = pair.journal(1), pair.journal(0)
    assert (here.value, here.by, here.elsewhere) == (world.PARTNER, "gate", False)
    assert (there.value, there.because, there.elsewhere) == (here.value, here.because, True)
    assert there.until == here.until == world.NOW + 1_800

    await until(lambda: len(pair.records("lockout.began")) == 1)
    pair.lift(0)  # on the other machine than the one where it began
    await pair.until_good(200, 200)
    await pair.until_written(2, 2)
    await until(lambda: len(pair.records("lockout.lifted")) == 1)
    assert len(pair.records("lockout.began")) == 1
    (lifted,) = pair.folders[0].records("lockout.lifted")
    assert lifted["actor"]["user"]["name"] == "maria"

    assert await pair.fail(0, 2) + await pair.fail(1, 2) == ["token.signature"] * 4  # and again, from the beginning
    await pair.until_good("lockout.locked", "lockout.locked")


async def test_who_authenticates_begins_anew_at_whichever_gate(pair: Pair) -> None:
    pair.put()
    await pair.up()
    for _ in range(3):
        await pair.fail(0, 3)
        await pair.until_counted(3)
        while pair.store.ask("HLEN", "gw:{psp:lockout}:failures"):  # the other gate hears of the failures, and tells
            assert (await pair.gates[1].send(get())).status == 200
    assert await pair.good() == [200, 200]


async def test_counts_and_lock_outs_outlive_a_restart_of_the_gates_and_lock_outs_the_store(pair: Pair) -> None:
    pair.put()
    await pair.up()
    await pair.fail(0, 3)
    await pair.until_counted(3)
    for gate in pair.gates:
        await gate.stop()
    pair.gates.clear()
    await pair.up()
    assert await pair.fail(1) == ["token.signature"]
    await pair.until_good("lockout.locked", "lockout.locked")
    await pair.until_written(1, 1)

    pair.store.ask("FLUSHALL")
    pair.store.set_clock(world.NOW)
    for gate in pair.gates:
        await gate.stop()
    pair.gates.clear()
    await pair.up()
    assert await pair.good() == ["lockout.locked"] * 2
    pair.lift(1)
    await pair.until_good(200, 200)
    assert len(pair.records("lockout.began")) == len(pair.records("lockout.lifted")) == 1


async def test_without_the_store_nobody_is_listened_to(pair: Pair) -> None:
    pair.put()
    await pair.up()
    assert await pair.good() == [200, 200]
    pair.store.kill()
    assert await pair.fail(0, 2) in (["token.signature", DENIED], [DENIED, DENIED])
    await pair.until_good(DENIED, DENIED)
    failed = [record["unmapped"]["control"] for record in pair.gates[0].folder.records("control.failed")]
    assert [one.split(" ")[0] for one in failed] == ["state.claims", "state.valkey"]
    pair.store.start()
    pair.store.set_clock(world.NOW)
    await pair.until_good(200, 200)


async def test_while_the_store_is_full_no_guess_goes_uncounted(pair: Pair) -> None:
    pair.put()
    await pair.up()
    assert await pair.good() == [200, 200]
    pair.store.ask("CONFIG", "SET", "maxmemory", 1)
    codes = await pair.fail(0, 40)
    assert codes.count("token.signature") <= 2  # before the store has said that it cannot count it
    assert set(codes[2:]) == {DENIED}
    pair.store.ask("CONFIG", "SET", "maxmemory", 0)
    await pair.until_good(200, 200)


async def test_without_the_store_each_counts_for_itself_where_the_policy_says_so(pair: Pair) -> None:
    pair.put(", nodes: 2, on_store_failure: {lockout: local}")
    await pair.up()
    assert await pair.good() == [200, 200]
    pair.store.kill()
    assert await pair.fail(0, 2) == ["token.signature"] * 2  # half of 4
    assert await pair.fail(1) == ["token.signature"]
    await pair.until_good("lockout.locked", 200)
    await pair.until_written(1, 0)
    assert pair.journal(0)[0].because.endswith(", while the store could not answer")
    pair.store.start()
    pair.store.set_clock(world.NOW)
    assert await pair.good() == ["lockout.locked", 200]  # it counted there only, and is lifted there
    pair.lift(0)
    await pair.until_good(200, 200)


async def test_without_the_store_nothing_counts_where_the_policy_says_so(pair: Pair) -> None:
    pair.put(', on_store_failure: {lockout: {allow: "risk R-9"}}')
    await pair.up()
    await pair.fail(0, 3)
    await pair.until_counted(3)
    pair.store.kill()
    assert await pair.fail(0, 5) == ["token.signature"] * 5
    assert await pair.good() == [200, 200]


async def test_a_gate_that_was_down_hears_what_happened_meanwhile(pair: Pair) -> None:
    pair.put()
    await pair.up()
    second = pair.gates.pop()
    await second.stop()
    await pair.fail(0, 4)
    await pair.until_good("lockout.locked")
    one = pair.stack.enter_async_context(again(pair.folders[1], pair.upstream, time=Time(Instant(world.NOW))))
    pair.gates.append(await one)
    assert await pair.good() == ["lockout.locked"] * 2
