from pathlib import Path

from gateway.audit.events import ControlFailed
from gateway.core.barred import Barred, Thing, Unreadable
from gateway.core.lockout import Lockout
from gateway.core.reasons import Reason
from gateway.engine.lockouts import Lockouts
from gateway.state.revocations import NAME, read_all
from tests import world
from tests.unit.engine.gates import Made, decided, denial
from tests.world import NOW, World

FORGED = world.token(key=world.private_key("P-256", "attacker"))


def made(folder: Path) -> tuple[Made, Lockouts]:
    gates = Made(policy=world.policy(lockout=Lockout(2, 60.0, 1_800.0)))
    lockouts = Lockouts(gates.gate, folder)
    gates.gate.told = lockouts.decided
    return gates, lockouts


async def test_who_fails_too_often_is_locked_out_at_once_and_in_the_journal(tmp_path: Path) -> None:
    gates, lockouts = made(tmp_path)
    reasons = [denial(await decided(gates, World(token=FORGED))) for _ in range(3)]
    assert reasons == [Reason.TOKEN_SIGNATURE, Reason.TOKEN_SIGNATURE, Reason.LOCKED_OUT]
    await lockouts.close()
    (entry,) = read_all(tmp_path)
    assert (entry.thing, entry.value, entry.by) == (Thing.LOCKED_PARTNER, world.PARTNER, "gate")
    assert entry.until == NOW + 1_800
    assert entry.because == "2 failed authentications within 60 s, at last token.signature"


async def test_a_journal_that_cannot_be_written_locks_out_all_the_same(tmp_path: Path) -> None:
    gates, lockouts = made(tmp_path)
    (tmp_path / NAME).write_text("damaged\n")
    for _ in range(2):
        await decided(gates, World(token=FORGED))
    await lockouts.close()
    assert denial(await decided(gates)) is Reason.LOCKED_OUT
    (failed,) = gates.log.of(ControlFailed)
    assert failed.control == "lockouts"


async def test_what_is_not_known_stays_unknown(tmp_path: Path) -> None:
    gates, lockouts = made(tmp_path)
    await decided(gates, World(token=FORGED))
    gates.gate.barred = Unreadable("damaged")
    await decided(gates, World(token=FORGED))
    await lockouts.close()
    assert isinstance(gates.gate.barred, Unreadable)


async def test_a_policy_without_lock_out_counts_nothing(tmp_path: Path) -> None:
    gates = Made()
    lockouts = Lockouts(gates.gate, tmp_path)
    gates.gate.told = lockouts.decided
    for _ in range(20):
        await decided(gates, World(token=FORGED))
    await lockouts.close()
    assert gates.gate.barred is None
    assert not isinstance(gates.gate.barred, Barred)
    assert read_all(tmp_path) == []
