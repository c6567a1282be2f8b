"""Ports, copies of the policies, and a gate as a process: here a stub that behaves as told."""

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from gateway.demo.gate import DemoError, check_free, command, copy_policies, free_port, running
from gateway.demo.journal import Journal

POLICIES = Path(__file__).parents[3] / "policies"

GOOD = """
import pathlib, signal, sys
log = pathlib.Path(sys.argv[1])
log.mkdir()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
(log / "audit.jsonl").write_text('{"metadata": {"event_code": "start"}}\\n')
signal.pause()
"""


def stub(program: str, audit: Path) -> list[str | Path]:
    return [sys.executable, "-c", program, audit]


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_taken_port_is_told_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DemoError, match=f"127.0.0.1:{port} cannot be used .*--port"):
            check_free([port])


def test_a_free_port_can_be_used() -> None:
    port = free_port()
    check_free([port])
    with socket.create_server(("127.0.0.1", port)) as server:
        assert server.getsockname()[1] == port


def test_policies_are_copied_with_other_ports(tmp_path: Path) -> None:
    copy_policies(POLICIES, tmp_path / "policies", 18443, 19000)
    text = "".join(file.read_text() for file in (tmp_path / "policies").iterdir())
    assert (text.count("127.0.0.1:18443"), text.count("http://127.0.0.1:19000")) == (1, 3)
    assert ":8443" not in text
    assert ":9000" not in text


def test_all_else_is_copied_as_it_is(tmp_path: Path) -> None:
    copy_policies(POLICIES, tmp_path / "policies", 18443, 19000)
    for file in POLICIES.glob("*.yaml"):
        copied = (tmp_path / "policies" / file.name).read_text()
        assert copied.replace("18443", "8443").replace("19000", "9000") == file.read_text()


def test_policies_with_ports_of_their_own_are_told_of(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("listener: {address: 127.0.0.1:7443}\n")
    with pytest.raises(DemoError, match=r"does not name 127\.0\.0\.1:8443: .*without --port"):
        copy_policies(tmp_path, tmp_path / "copy", 18443, 19000)


def test_the_command_is_this_interpreters_gateway(tmp_path: Path) -> None:
    assert command(Path("policies"), tmp_path / "audit", tmp_path / "state") == [
        sys.executable, "-m", "gateway", "run", Path("policies"),
        "--audit", tmp_path / "audit", "--state", tmp_path / "state",
    ]  # fmt: skip


async def test_a_gate_runs_meanwhile(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "audit")
    async with running(stub(GOOD, tmp_path / "audit"), journal, tmp_path / "gate.log") as pid:
        assert runs(pid)
        assert journal.read() == []  # the start was read
    assert not runs(pid)


async def test_a_gate_that_does_not_start_is_told_with_its_own_words(tmp_path: Path) -> None:
    program = "import sys; print('policies/gateway.yaml:1:1: wrong', file=sys.stderr); sys.exit(2)"
    with pytest.raises(DemoError, match=r"(?s)did not start \(exit code 2\):.*gateway\.yaml:1:1: wrong"):
        async with running(stub(program, tmp_path), Journal(tmp_path / "audit"), tmp_path / "gate.log"):
            pytest.fail("it never started")


async def test_a_gate_that_says_nothing_is_told_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"it printed nothing to .*gate\.log"):
        async with running(stub("raise SystemExit(3)", tmp_path), Journal(tmp_path), tmp_path / "gate.log"):
            pytest.fail("it never started")


async def test_a_gate_that_does_not_end_in_good_order_is_told_of(tmp_path: Path) -> None:
    program = GOOD.replace("sys.exit(0)", "sys.exit(5)")
    with pytest.raises(DemoError, match="ended with exit code 5"):
        async with running(stub(program, tmp_path / "audit"), Journal(tmp_path / "audit"), tmp_path / "gate.log"):
            pass


async def test_a_gate_that_was_killed_meanwhile_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="ended with exit code -9"):
        async with running(stub(GOOD, tmp_path / "audit"), Journal(tmp_path / "audit"), tmp_path / "gate.log") as pid:
            os.kill(pid, signal.SIGKILL)


async def test_an_error_of_the_demo_ends_the_gate_and_comes_through(tmp_path: Path) -> None:
    pids: list[int] = []

    async def fail() -> None:
        async with running(stub(GOOD, tmp_path / "audit"), Journal(tmp_path / "audit"), tmp_path / "gate.log") as pid:
            pids.append(pid)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert not runs(pids[0])
