import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.audit.files import log_files
from gateway.audit.log import AuditLog
from gateway.audit.tlog import process
from gateway.audit.tlog.key import make_key
from gateway.audit.tlog.process import CONTROL, Channel, Desk, Done, GateGoneError, Work, lock, message
from gateway.audit.tlog.publisher import Publisher
from gateway.core.message import Instant
from gateway.core.publication import Retention
from gateway.core.publication import Witness as WitnessSettings
from tests.unit.audit.examples import NOW, changed
from tests.unit.audit.published import ORIGIN, Published, events, signer, whole
from tests.unit.audit.witness import Witness, serving

DAY = 86_400.0


class Gate(Channel):
    """The gate's end, played: notes what it is told, and records what it is asked to."""

    def __init__(self) -> None:
        self.said: list[dict[str, object]] = []
        self.records = True

    def say(self, content: object) -> None:
        assert isinstance(content, dict)
        self.said.append(content)

    def progress(self, size: int | None = None) -> None:
        self.say({"at": size})

    def next(self) -> bytes:
        return message({"recorded": self.records})


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "audit.key"
    path.write_text(signer().private())
    path.chmod(0o600)
    return path


class Desks:
    """A desk with its gate."""

    def __init__(self, directory: Path, key: Path) -> None:
        self.gate = Gate()
        self.desk = Desk(directory, key, ORIGIN, self.gate)


@contextmanager
def desk(directory: Path, key: Path) -> Iterator[Desks]:
    made = Desks(directory, key)
    try:
        yield made
    finally:
        made.desk.close()


def test_work_is_read_as_it_was_written() -> None:
    work = Work(7, NOW, ("stdout",), (WitnessSettings("https://w.example", "w+1+x"),), Retention(1.0, 2.0))
    assert Work.read(work.line()) == work
    assert Work.read(Work(7, NOW).line()) == Work(7, NOW)


def test_what_is_on_the_disk_is_published(tmp_path: Path, key: Path) -> None:
    log = Published(tmp_path / "log")
    log.add(40)
    log.close()
    with desk(tmp_path / "log", key) as made:
        assert made.desk.do(Work(30, NOW)) == Done(30, {CONTROL: None})
        assert made.desk.do(Work(30, NOW)) == Done(30, {CONTROL: None})
        assert made.desk.do(Work(40, NOW)) == Done(40, {CONTROL: None})
        assert {"at": 30} in made.gate.said
    assert whole(tmp_path / "log").size == 40


def test_copies_and_witnesses(tmp_path: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = Published(tmp_path / "log")
    log.add(40)
    log.close()
    with serving(Witness(signer().public)) as witness, desk(tmp_path / "log", key) as made:
        places = (f"file:{tmp_path / 'copies.txt'}", "stdout", f"file:{tmp_path / 'none' / 'copies.txt'}")
        away = WitnessSettings("http://127.0.0.1:1", Witness(signer().public, "away").public)
        work = Work(40, NOW, places, (WitnessSettings(witness.url, witness.public), away))
        tried = made.desk.do(work).tried
        assert tried.pop("audit.witness:away") == "Connection refused"
        failed = tried.pop(f"audit.copy:{places[2]}")
        assert failed == f"No such file or directory: {tmp_path / 'none' / 'copies.txt'}"
        assert tried == {
            CONTROL: None, "audit.witness:witness.example/w1": None, f"audit.copy:{places[0]}": None,
            "audit.copy:stdout": None,
        }  # fmt: skip
        note = (tmp_path / "log/tlog/checkpoint").read_text()
        assert note.endswith(witness.cosignature(note))
        assert (tmp_path / "copies.txt").read_text() == f"{note}\n"
        assert capsys.readouterr().out.startswith('{"checkpoint": ')
        assert made.desk.do(work).tried == {CONTROL: None}
    whole(tmp_path / "log")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device", "tile"), "No space left on device: tile"),
        (RuntimeError("secret"), "RuntimeError at "),
    ],
)
def test_what_went_wrong_is_told(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    def raising(*_: object) -> None:
        raise error

    monkeypatch.setattr(Publisher, "publish", raising)
    with desk(tmp_path, key) as made:
        said = made.desk.do(Work(1, NOW)).tried[CONTROL]
    assert said is not None
    assert said.startswith(told)
    assert "secret" not in said


def test_a_key_that_is_gone_is_told_and_read_again(tmp_path: Path, key: Path) -> None:
    text = key.read_text()
    key.unlink()
    with desk(tmp_path, key) as made:
        assert made.desk.do(Work(0, NOW)) == Done(0, {CONTROL: f"No such file or directory: {key}"})
        key.write_text(text)
        key.chmod(0o644)
        assert "chmod 600" in (made.desk.do(Work(0, NOW)).tried[CONTROL] or "")
        key.chmod(0o600)
        assert made.desk.do(Work(0, NOW)).tried == {CONTROL: None}


def ten_days(directory: Path) -> None:
    with AuditLog(directory) as log:
        for day in range(10):
            log.append_all([changed(event, at=Instant(event.at + day * DAY)) for event in events(100, 1 + day * 100)])


def test_old_files_are_compressed_and_deleted_once_that_is_recorded(tmp_path: Path, key: Path) -> None:
    log = tmp_path / "log"
    ten_days(log)
    age = Retention(2 * DAY, 5 * DAY)
    with desk(log, key) as made:
        work = Work(1000, Instant(NOW + 9 * DAY), retention=age)
        assert made.desk.do(work) == Done(1000, {CONTROL: None, "audit.retention": None})
        files = [file.path.name for file in log_files(log)]
        assert sum(name.endswith(".gz") for name in files) == 3
        assert len(files) == 7
        asked = [one["record"] for one in made.gate.said if "record" in one]
        assert [(one["what"], one["last"]) for one in asked if isinstance(one, dict)] == [
            ("sealed", 400), ("sealed", 500), ("sealed", 600), ("deleted", 100), ("deleted", 200), ("deleted", 300),
        ]  # fmt: skip
        # Not again before an hour has passed, and then nothing is due.
        made.desk.do(work)
        made.desk.do(Work(1000, Instant(NOW + 9 * DAY + 3_601), retention=age))
        assert [one["record"] for one in made.gate.said if "record" in one] == asked


def test_nothing_is_deleted_that_cannot_be_recorded(tmp_path: Path, key: Path) -> None:
    log = tmp_path / "log"
    ten_days(log)
    with desk(log, key) as made:
        made.gate.records = False
        work = Work(1000, Instant(NOW + 9 * DAY), retention=Retention(5 * DAY, 5 * DAY))
        assert made.desk.do(work).tried["audit.retention"] == "the log could not record it"
    assert len(log_files(log)) == 10


def test_old_files_are_left_where_the_gate_stops(tmp_path: Path, key: Path) -> None:
    log = tmp_path / "log"
    ten_days(log)
    work = Work(1000, Instant(NOW + 9 * DAY), retention=Retention(2 * DAY, 5 * DAY))
    hurried = Desk(log, key, ORIGIN, Gate(), lambda: True)
    assert hurried.do(work) == Done(1000, {CONTROL: None, "audit.retention": None})
    hurried.close()
    assert len(log_files(log)) == 10
    assert not any(file.path.suffix == ".gz" for file in log_files(log))
    with desk(log, key) as made:
        made.desk.do(work)
    assert len(log_files(log)) == 7


def test_one_publisher_at_a_time(tmp_path: Path) -> None:
    first = lock(tmp_path / "tlog")
    turns: list[int] = []

    def leave() -> None:
        turns.append(1)
        if len(turns) == 2:
            os.close(first)

    second = lock(tmp_path / "tlog", leave)
    assert len(turns) == 2

    def give_up() -> None:
        raise GateGoneError

    with pytest.raises(GateGoneError):
        lock(tmp_path / "tlog", give_up)
    os.close(second)


def test_it_says_how_far_it_is_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(theirs)
        channel.progress(1)
        monkeypatch.setattr(process, "SAY_SECONDS", 0.0)
        channel.progress(2)
        assert ours.recv(100) == b'{"at": 2}\n'
        ours.close()
        with pytest.raises(GateGoneError):
            channel.progress(3)
        with pytest.raises(GateGoneError):
            channel.next()


def test_it_serves_until_the_gate_ends(tmp_path: Path, key: Path) -> None:
    log = Published(tmp_path / "log")
    log.add(3)
    log.close()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        thread = threading.Thread(target=process.serve, args=(tmp_path / "log", key, ORIGIN, theirs))
        thread.start()
        ours.sendall(Work(3, NOW).line())
        answers = ours.makefile("rb")
        assert json.loads(answers.readline()) == {"done": {"size": 3, "tried": {CONTROL: None}}}
        ours.shutdown(socket.SHUT_RDWR)
        thread.join()
    os.close(lock(tmp_path / "log/tlog"))  # it is free again


def test_the_program_ends_with_its_gate_and_not_by_what_stops_the_gate(tmp_path: Path) -> None:
    path = tmp_path / "own.key"
    own = make_key(path, ORIGIN)
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-P", "-m", "gateway.audit.tlog.process", tmp_path / "log", path, ORIGIN]
    with ours, subprocess.Popen(command, stdin=theirs) as child:
        theirs.close()
        log = Published(tmp_path / "log", key=own)
        log.add(3)
        log.close()
        ours.sendall(Work(3, NOW).line())
        answers = ours.makefile("rb")
        assert json.loads(answers.readline())["done"]["size"] == 3
        child.terminate()
        child.send_signal(process.HURRY)
        ours.sendall(Work(3, NOW).line())
        assert json.loads(answers.readline())["done"]["size"] == 3
        ours.shutdown(socket.SHUT_RDWR)
        assert child.wait() == 0
    assert (tmp_path / "log/tlog/log.vkey").read_text() == f"{own.public}\n"
