from pathlib import Path

from gateway.console.archive import Archive, Reading
from gateway.console.history import history
from tests.unit.audit.examples import EVENTS, POLICY
from tests.unit.audit.query.logs import written


def test_the_policy_in_force_and_its_history(reading: Reading) -> None:
    seen = history(reading)
    assert seen.in_force is not None
    assert (seen.in_force["kind"], seen.in_force["policy_sha256"]) == ("policy.loaded", POLICY.digest)
    assert [change["kind"] for change in seen.changes] == ["policy.refused", "policy.loaded", "stop", "start"]
    assert seen.changes[0]["remarks"] == ["policies/psp.yaml:12:3: routes[0]: unknown key `metod`"]


def test_a_gate_that_stopped(tmp_path: Path) -> None:
    directory = written(tmp_path / "audit", [EVENTS["start"], EVENTS["stop"]])
    with Archive(directory, tmp_path / "index", lambda: 0.0) as archive, archive.read() as reading:
        assert history(reading).stopped


def test_nothing_yet(tmp_path: Path) -> None:
    with (
        Archive(written(tmp_path / "audit", []), tmp_path / "index", lambda: 0.0) as archive,
        archive.read() as reading,
    ):
        assert history(reading).in_force is None
