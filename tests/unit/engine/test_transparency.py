import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from gateway.audit.events import ControlFailed, ControlRecovered
from gateway.audit.files import log_files
from gateway.audit.log import AuditLog
from gateway.audit.tlog.key import make_key
from gateway.audit.tlog.publisher import Publisher
from gateway.core.message import Instant
from gateway.core.policy import Policy
from gateway.core.publication import AuditSettings, Retention
from gateway.core.publication import Witness as WitnessSettings
from gateway.engine.gate import Clock, Gate, InForce
from gateway.engine.start import StartError
from gateway.engine.transparency import CONTROL, Transparency, published_size, signer_of
from gateway.engine.worker import Worker
from gateway.state.store import Store
from tests import world
from tests.unit.audit.examples import NOW, changed
from tests.unit.audit.logs import records
from tests.unit.audit.published import Published, events, published, signer, stranger, whole
from tests.unit.audit.witness import Witness, serving
from tests.unit.engine.gates import State

WORKER = Worker(2, 3, ())


def policy(**settings: object) -> Policy:
    return replace(world.policy(), audit=replace(AuditSettings(), **settings))


class Serving:
    """A gate whose log is published, the interval cut short by `turn`."""

    def __init__(self, log: AuditLog) -> None:
        self.log = log
        self.gate = Gate(InForce(policy(interval=3_600.0), {}), cast("Store", State()), log)
        self.transparency = Transparency(signer(), self.gate)

    async def turn(self) -> None:
        """Have it published once, and told what came of it."""
        self.transparency._tell(await asyncio.to_thread(self.transparency._publish))
        await asyncio.sleep(0)


def test_a_key_is_made_at_the_first_start(tmp_path: Path) -> None:
    first = signer_of(policy(), tmp_path, None)
    assert first.name == f"gateway/{world.policy().name}"
    assert (tmp_path / "audit.key").stat().st_mode & 0o777 == 0o600
    assert signer_of(policy(), tmp_path, None).public == first.public


def test_workers_share_a_key_and_have_names_of_their_own(tmp_path: Path) -> None:
    alone = signer_of(policy(), tmp_path, None)
    worker = signer_of(policy(), tmp_path / "worker-2", WORKER)
    assert worker.name == f"{alone.name}/worker-2"
    assert worker.public.split("+", 2)[2] == alone.public.split("+", 2)[2]


def test_the_policy_names_key_and_origin(tmp_path: Path) -> None:
    path = tmp_path / "own.key"
    made = make_key(path, "audit.example.com/psp")
    assert signer_of(policy(key=path), tmp_path, None).public == made.public
    assert signer_of(policy(key=path, origin="other"), tmp_path, None).name == "other"
    assert not (tmp_path / "audit.key").exists()


def test_a_key_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"key for checkpoints .*none\.key: No such file"):
        signer_of(policy(key=tmp_path / "none.key"), tmp_path, None)
    (tmp_path / "audit.key").write_text("rubbish")
    (tmp_path / "audit.key").chmod(0o600)
    with pytest.raises(StartError, match=r"audit\.key: it does not begin with"):
        signer_of(policy(), tmp_path, None)


def test_how_much_an_earlier_run_published(tmp_path: Path) -> None:
    assert published_size(tmp_path, signer()) == 0
    published(tmp_path, 7)
    assert published_size(tmp_path, signer()) == 7
    with pytest.raises(StartError, match="not signed by this log's key"):
        published_size(tmp_path, stranger())


async def test_what_is_left_is_published_at_the_stop(tmp_path: Path) -> None:
    with AuditLog(tmp_path) as log:
        serving = Serving(log)
        serving.transparency.start()
        log.append_all(events(40))
        await serving.transparency.stop()
        assert whole(tmp_path).size == 40


async def test_what_never_began_is_not_published(tmp_path: Path) -> None:
    with AuditLog(tmp_path) as log:
        await Serving(log).transparency.stop()
    assert not (tmp_path / "tlog").exists()


async def test_the_thread_publishes_at_every_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = asyncio.Event()
    loop = asyncio.get_running_loop()

    def publish(*_: object) -> None:
        loop.call_soon_threadsafe(turns.set)

    monkeypatch.setattr(Publisher, "publish", publish)
    with AuditLog(tmp_path) as log:
        serving = Serving(log)
        serving.gate.in_force = InForce(policy(interval=0.001), {})
        serving.transparency.start()
        for _ in range(3):
            await turns.wait()
            turns.clear()
        await serving.transparency.stop()


async def test_a_failure_and_its_end_are_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Published(tmp_path)
    log.grow(4)
    serving = Serving(log.log)
    recorded: list[object] = []
    monkeypatch.setattr(serving.gate.health, "_record", recorded.append)
    checkpoint = log.tlog / "checkpoint"
    note = checkpoint.read_text()
    checkpoint.write_text("rubbish")
    log.add(4)
    await serving.turn()
    await serving.turn()
    (failed,) = recorded
    assert isinstance(failed, ControlFailed)
    assert failed.control == CONTROL
    assert "not signed by this log's key" in failed.detail
    checkpoint.write_text(note)
    await serving.turn()
    assert isinstance(recorded[1], ControlRecovered)
    log.close()
    assert whole(tmp_path).size == 8


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device", "tile"), "No space left on device: tile"),
        (RuntimeError("secret"), r"RuntimeError at .*raising"),
    ],
)
async def test_what_went_wrong_is_told_at_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, told: str
) -> None:
    def raising(*_: object) -> None:
        raise error

    monkeypatch.setattr(Publisher, "publish", raising)
    with AuditLog(tmp_path) as log:
        serving = Serving(log)
        serving.transparency.start()
        await serving.transparency.stop()
    (line,) = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert line.startswith(CONTROL)
    assert re.search(told, line)


def test_a_loop_that_is_closed_is_not_told(tmp_path: Path) -> None:
    async def make() -> Transparency:
        with AuditLog(tmp_path) as log:
            return Serving(log).transparency

    asyncio.run(make())._tell(None)


async def test_copies_and_witnesses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(Witness(signer().public)) as witness, AuditLog(tmp_path / "log") as log:
        served = Serving(log)
        places = (f"file:{tmp_path / 'copies.txt'}", "stdout", f"file:{tmp_path / 'none' / 'copies.txt'}")
        away = WitnessSettings("http://127.0.0.1:1", Witness(signer().public, "away").public)
        settings = policy(copies=places, witnesses=(WitnessSettings(witness.url, witness.public), away))
        served.gate.in_force = InForce(settings, {})
        log.append_all(events(40))
        tried = await asyncio.to_thread(served.transparency._publish)
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
        assert await asyncio.to_thread(served.transparency._publish) == {CONTROL: None}
    whole(tmp_path / "log")


DAY = 86_400.0


def ten_days(log: AuditLog) -> None:
    for day in range(10):
        log.append_all([changed(event, at=Instant(event.at + day * DAY)) for event in events(100, 1 + day * 100)])


async def test_old_files_are_compressed_and_deleted_and_that_is_recorded(tmp_path: Path) -> None:
    with AuditLog(tmp_path) as log:
        ten_days(log)
        served = Serving(log)
        served.gate.in_force = InForce(policy(retention=Retention(2 * DAY, 5 * DAY)), {})
        served.gate.clock = Clock(now=lambda: Instant(NOW + 9 * DAY))
        assert await asyncio.to_thread(served.transparency._publish) == {CONTROL: None, "audit.retention": None}
        files = [file.path.name for file in log_files(tmp_path)]
        assert sum(name.endswith(".gz") for name in files) == 3
        assert len(files) == 7
        told = [(entry.kind, entry.get("unmapped", "last_sequence")) for entry in records(tmp_path)[-6:]]
        assert told == [
            ("log.sealed", 400), ("log.sealed", 500), ("log.sealed", 600),
            ("log.deleted", 100), ("log.deleted", 200), ("log.deleted", 300),
        ]  # fmt: skip
        # Not again before an hour has passed, and then nothing is due.
        await asyncio.to_thread(served.transparency._publish)
        served.gate.clock = Clock(now=lambda: Instant(NOW + 9 * DAY + 3_601))
        await asyncio.to_thread(served.transparency._publish)
        assert len(records(tmp_path)) == 706
    found = whole(tmp_path)
    assert "records 1 to 300 were deleted" in found.notices[0]


async def test_nothing_is_deleted_that_cannot_be_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with AuditLog(tmp_path) as log:
        ten_days(log)
        served = Serving(log)
        served.gate.in_force = InForce(policy(retention=Retention(5 * DAY, 5 * DAY)), {})
        served.gate.clock = Clock(now=lambda: Instant(NOW + 9 * DAY))
        monkeypatch.setattr(served.gate, "record", lambda _: False)
        tried = await asyncio.to_thread(served.transparency._publish)
        assert tried["audit.retention"] == "the log could not record it"
        assert len(log_files(tmp_path)) == 10
