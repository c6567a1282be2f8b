"""The demo's place, and the whole of it against a real gate on free ports."""

import socket
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from gateway.core.reasons import Reason
from gateway.demo.gate import GATE_PORT, UPSTREAM_PORT, DemoError
from gateway.demo.report import WIDTH
from gateway.demo.scenarios import BALANCE, Scenario
from gateway.demo.stage import perform, prepare

POLICIES = Path(__file__).parents[3] / "policies"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "policies").symlink_to(POLICIES)
    return tmp_path


def test_without_a_port_it_works_on_the_policies_themselves(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.demo.gate.check_free", lambda _: None)
    place = prepare(root, None)
    assert (place.policies, place.certs) == (root / "policies", root / "certs")
    assert (place.gate_port, place.upstream_port) == (GATE_PORT, UPSTREAM_PORT)


def test_with_a_port_it_works_on_a_copy_with_keys_of_its_own(root: Path) -> None:
    place = prepare(root, 0)
    assert (place.policies, place.certs) == (root / "var/demo/policies", root / "var/demo/certs")
    assert f"127.0.0.1:{place.gate_port}" in (place.policies / "gateway.yaml").read_text()
    assert not (root / "certs").exists()


def test_it_starts_afresh(root: Path) -> None:
    (root / "var/demo/state").mkdir(parents=True)
    prepare(root, 0)
    assert not (root / "var/demo/state").exists()


def test_a_taken_port_leaves_everything_as_it_is(root: Path) -> None:
    (root / "var/demo/state").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(DemoError, match="cannot be used"):
        prepare(root, taken.getsockname()[1])
    assert (root / "var/demo/state").exists()


def test_elsewhere_it_says_where_to_go(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="in the folder of the repository"):
        prepare(tmp_path, 0)


@pytest.mark.parametrize(
    ("expected", "agreed", "verdict"),
    [(Reason.ALLOWED, True, "everything agrees"), (Reason.TOKEN_MISSING, False, "something does not agree")],
)
async def test_the_verdict_is_the_gates_own_doing(root: Path, expected: Reason, *, agreed: bool, verdict: str) -> None:
    output = StringIO()
    console = Console(file=output, width=WIDTH, highlight=False)
    scenarios = [Scenario("PAM", "balance", BALANCE, expected)]
    assert await perform(prepare(root, 0), console, keep=False, scenarios=scenarios) is agreed
    assert verdict in output.getvalue()
    assert "1 rows, 1 requests" in output.getvalue()
    assert "records, each as it was written, under 1 checkpoints" in output.getvalue()
