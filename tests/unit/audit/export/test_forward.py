from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.audit.export.follow import read_positions
from gateway.audit.export.forward import Forwarder, Outcome, Settings
from gateway.audit.files import log_files
from gateway.audit.reader import Entry
from gateway.core.message import Instant
from tests.unit.audit.examples import DENIED, NOW, decided
from tests.unit.audit.query.logs import written


class Receiver:
    """Takes messages, or fails so many times before."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.got: list[str] = []

    def send(self, messages: Sequence[bytes]) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionRefusedError(111, "Connection refused")
        self.got += [message.decode() for message in messages]

    def close(self) -> None:
        pass


def said(entry: Entry, worker: str) -> bytes:
    return f"{worker}:{entry.kind}:{entry.sequence}".encode()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return written(tmp_path / "audit", [decided(), DENIED])


def forwarder(
    directory: Path, receiver: Receiver, *, waits: int = 0, once: bool = True, now: float = NOW, max_lag: float = 60.0
) -> Forwarder:
    """Give a forwarder that is told to stop with the wait after so many."""
    left = iter([False] * waits)
    settings = Settings(directory, directory.with_name("forward.json"), said, max_lag, once)
    return Forwarder(settings, receiver, lambda: Instant(now), lambda _: next(left, True))


def test_all_there_is_is_sent_once(directory: Path) -> None:
    receiver = Receiver()
    assert forwarder(directory, receiver).run() == Outcome(sent=2)
    assert receiver.got == [":decision:1", ":decision:2"]
    assert forwarder(directory, receiver).run() == Outcome()
    written(directory, [DENIED])
    assert forwarder(directory, receiver).run() == Outcome(sent=1)


def test_the_logs_of_workers(tmp_path: Path) -> None:
    for number in (1, 2):
        written(tmp_path / "audit" / f"worker-{number}", [DENIED])
    receiver = Receiver()
    forwarder(tmp_path / "audit", receiver).run()
    assert receiver.got == ["worker-1:decision:1", "worker-2:decision:1"]
    assert sorted(read_positions(tmp_path / "forward.json")) == ["worker-1", "worker-2"]


def test_nothing_is_left_out_where_the_receiver_fails(directory: Path) -> None:
    receiver = Receiver(failures=3)
    assert forwarder(directory, receiver, waits=3, once=False).run() == Outcome(sent=2)
    assert receiver.got == [":decision:1", ":decision:2"]


def test_what_was_not_sent_is_sent_by_the_next(directory: Path) -> None:
    receiver = Receiver(failures=1)
    assert forwarder(directory, receiver).run() == Outcome(unsent=True)
    assert forwarder(directory, receiver).run() == Outcome(sent=2)


def test_being_told_to_stop_meanwhile(directory: Path) -> None:
    assert forwarder(directory, Receiver(failures=9), once=False).run() == Outcome(unsent=True)


def test_losses_are_told_where_they_are(directory: Path) -> None:
    path = log_files(written(directory, [DENIED]))[0].path
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[2]]))
    receiver = Receiver()
    assert forwarder(directory, receiver).run() == Outcome(sent=2, lost=1)
    assert receiver.got == [":decision:1", ":forward.lost:0", ":decision:3"]


def test_being_behind_is_told_and_so_is_its_end(directory: Path) -> None:
    receiver = Receiver(failures=1)
    assert forwarder(directory, receiver, waits=1, once=False, now=NOW + 61).run() == Outcome(sent=2)
    assert receiver.got == [":forward.behind:0", ":decision:1", ":decision:2", ":forward.caught_up:0"]


def test_a_log_that_grows_meanwhile(directory: Path) -> None:
    receiver = Receiver()
    made = forwarder(directory, receiver, once=False)
    grown = iter([False])

    def wait(_: float) -> bool:
        written(directory, [DENIED])
        return next(grown, True)

    made.wait = wait
    assert made.run() == Outcome(sent=3, unsent=True)
