from pathlib import Path

from gateway.audit.events import ControlFailed, ControlRecovered
from gateway.core.issuer import KeySource
from gateway.engine.issuers import Issuers
from gateway.engine.remote_keys import RemoteKeys
from tests import world
from tests.unit.engine.gates import Made

NOWHERE = KeySource("https://127.0.0.1:1/jwks", timeout=1.0)


def made() -> Made:
    issuers = {"operator": world.issuer(), "remote": world.issuer(name="remote", keys=NOWHERE)}
    return Made(policy=world.policy(issuers=issuers))


async def test_keys_that_are_fetched_stand_beside_those_from_files() -> None:
    gates = made()
    issuers = Issuers(gates.policy, gates.gate)
    sets = issuers.key_sets({"operator": world.key_set()})
    assert list(issuers.keys) == ["remote"]
    assert sets["operator"] is world.key_set()
    assert isinstance(sets["remote"], RemoteKeys)
    await issuers.close()


async def test_a_failure_and_its_end_are_recorded() -> None:
    gates = made()
    issuers = Issuers(gates.policy, gates.gate)
    issuers.tick()
    await issuers.keys["remote"].fetch()
    (failed,) = gates.log.of(ControlFailed)
    assert (failed.control, failed.detail) == ("token.fetch:remote", "no connection could be made")
    gates.gate.hear("token.fetch:remote", None)
    (recovered,) = gates.log.of(ControlRecovered)
    assert recovered.control == "token.fetch:remote"
    await issuers.close()


async def test_a_new_policy_follows_the_old_one(tmp_path: Path) -> None:
    del tmp_path
    gates = made()
    old, new = Issuers(gates.policy, gates.gate), Issuers(gates.policy, gates.gate)
    old.keys["remote"].known.keys = world.key_set()
    new.follow(old)
    assert new.keys["remote"].known.keys is world.key_set()
    old.retire()
    await new.close()
