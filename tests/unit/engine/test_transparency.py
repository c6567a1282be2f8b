import asyncio
import os
import signal
import ssl
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import trustme

from gateway.audit.events import ControlFailed, ControlRecovered, Event
from gateway.audit.log import AuditLog
from gateway.audit.tlog.key import make_key
from gateway.audit.tlog.process import CONTROL, Done
from gateway.audit.verify.check import check
from gateway.audit.verify.notes import Key, WitnessKey
from gateway.core.message import Instant
from gateway.core.policy import Policy
from gateway.core.publication import AuditSettings, Retention
from gateway.core.publication import Witness as WitnessSettings
from gateway.engine.gate import Clock, Gate, InForce
from gateway.engine.health import Health
from gateway.engine.start import StartError
from gateway.engine.transparency import LogKey, Transparency, key_of, signer_of
from gateway.engine.worker import Worker
from gateway.state.store import Store
from tests import world
from tests.unit.audit.examples import NOW, changed
from tests.unit.audit.logs import records
from tests.unit.audit.published import ORIGIN, Published, events, published, signer, stranger, verified, whole
from tests.unit.audit.witness import Witness, serving
from tests.unit.engine.gates import State

WORKER = Worker(2, 3, ())


def policy(**settings: object) -> Policy:
    return replace(world.policy(), audit=replace(AuditSettings(), **settings))


class Serving:
    """A gate whose log is published, the interval cut short by `turn`."""

    def __init__(self, log: AuditLog, directory: Path) -> None:
        self.log = log
        self.recorded: list[Event] = []
        self.gate = Gate(InForce(policy(interval=3_600.0), {}), cast("Store", State()), log)
        self.gate.health = Health(self.recorded.append)
        self.key = directory / "audit.key"
        if not self.key.exists():
            self.key.write_text(signer().private())
            self.key.chmod(0o600)
        self.transparency = Transparency(LogKey(self.key, ORIGIN, signer().public, 0, signer().id), self.gate)

    async def turn(self) -> None:
        """Have it published once, and told what came of it."""
        await self.transparency._publish()


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


def test_the_key_of_a_log_and_how_much_it_signed(tmp_path: Path) -> None:
    first = key_of(policy(), tmp_path / "log", tmp_path, None, NOW)
    assert (first.path, first.name, first.size) == (tmp_path / "audit.key", f"gateway/{world.policy().name}", 0)
    (tmp_path / "audit.key").write_text(signer().private())
    published(tmp_path / "log", 7)
    assert key_of(policy(), tmp_path / "log", tmp_path, None, NOW) == LogKey(
        tmp_path / "audit.key", ORIGIN, signer().public, 7, signer().id
    )
    assert key_of(policy(), tmp_path / "other", tmp_path / "worker-2", WORKER, NOW).path == tmp_path / "audit.key"
    (tmp_path / "audit.key").write_text(stranger().private())
    with pytest.raises(StartError, match="not signed by this log's key"):
        key_of(policy(), tmp_path / "log", tmp_path, None, NOW)


def test_a_new_key_takes_over_at_the_start(tmp_path: Path) -> None:
    old, new = tmp_path / "old.key", tmp_path / "new.key"
    former, later = make_key(old, ORIGIN), make_key(new, ORIGIN)
    log = Published(tmp_path / "log", key=former)
    log.grow(7)
    log.close()
    rotated = policy(key=new, previous_key=old)
    assert key_of(rotated, tmp_path / "log", tmp_path, None, NOW) == LogKey(new, ORIGIN, later.public, 7, later.id)
    assert key_of(policy(key=new), tmp_path / "log", tmp_path, None, NOW).size == 7
    for key in (former, later):
        assert verified(tmp_path / "log", key=key).problems == []
    old.unlink()
    with pytest.raises(StartError, match=r"key for checkpoints .*old\.key: No such file"):
        key_of(rotated, tmp_path / "log", tmp_path, None, NOW)


async def test_what_is_left_is_published_at_the_stop(tmp_path: Path) -> None:
    with AuditLog(tmp_path) as log:
        serving = Serving(log, tmp_path)
        serving.transparency.start()
        log.append_all(events(40))
        await serving.transparency.stop()
        assert whole(tmp_path).size == log.published == 40


async def test_what_never_began_is_not_published(tmp_path: Path) -> None:
    with AuditLog(tmp_path) as log:
        await Serving(log, tmp_path).transparency.stop()
    assert not (tmp_path / "tlog").exists()


async def test_it_publishes_at_every_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = asyncio.Semaphore(0)

    async def do(*_: object) -> Done:
        turns.release()
        return Done()

    with AuditLog(tmp_path) as log:
        serving = Serving(log, tmp_path)
        monkeypatch.setattr(serving.transparency._process, "do", do)
        serving.gate.in_force = InForce(policy(interval=0.001), {})
        serving.transparency.start()
        for _ in range(3):
            await turns.acquire()
        await serving.transparency.stop()


async def test_a_failure_and_its_end_are_recorded(tmp_path: Path) -> None:
    log = Published(tmp_path)
    log.grow(4)
    serving = Serving(log.log, tmp_path)
    checkpoint = log.tlog / "checkpoint"
    note = checkpoint.read_text()
    checkpoint.write_text("rubbish")
    log.add(4)
    await serving.turn()
    await serving.turn()
    (failed,) = serving.recorded
    assert isinstance(failed, ControlFailed)
    assert failed.control == CONTROL
    assert "not signed by this log's key" in failed.detail
    checkpoint.write_text(note)
    await serving.turn()
    assert isinstance(serving.recorded[1], ControlRecovered)
    await serving.transparency.stop()
    log.close()
    assert whole(tmp_path).size == 8


async def test_a_process_that_was_killed_is_recorded_and_replaced_at_once(tmp_path: Path) -> None:
    with AuditLog(tmp_path) as log:
        serving = Serving(log, tmp_path)
        log.append_all(events(4))
        await serving.turn()
        child = serving.transparency._process.process_id
        assert child is not None
        os.kill(child, signal.SIGKILL)
        log.append_all(events(4, 5))
        await serving.turn()
        assert log.published == 8
        assert [type(event) for event in serving.recorded] == [ControlFailed, ControlRecovered]
        assert isinstance(serving.recorded[0], ControlFailed)
        assert serving.recorded[0].detail == "its process ended by signal 9"
        await serving.transparency.stop()
    assert whole(tmp_path).size == 8


async def test_a_process_that_cannot_be_started_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with AuditLog(tmp_path) as log:
        serving = Serving(log, tmp_path)
        log.append_all(events(4))
        with monkeypatch.context() as patched:
            patched.setattr("sys.executable", str(tmp_path / "none"))
            await serving.turn()
        (failed,) = serving.recorded
        assert isinstance(failed, ControlFailed)
        assert failed.detail == "its process cannot be started: No such file or directory"
        assert log.published == 0
        await serving.turn()
        assert log.published == 4
        await serving.transparency.stop()


async def test_what_goes_wrong_at_the_stop_is_told_on_standard_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with AuditLog(tmp_path) as log:
        serving = Serving(log, tmp_path)
        log.append_all(events(4))
        serving.key.unlink()
        serving.transparency.start()
        await serving.transparency.stop()
    (line,) = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert line == f"{CONTROL}: No such file or directory: {serving.key}"
    assert serving.recorded == []


async def test_a_witness_over_tls_its_outage_and_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    one = Witness(signer().public)
    checkpoint = tmp_path / "tlog/checkpoint"
    with AuditLog(tmp_path) as log:
        served = Serving(log, tmp_path)
        with serving(one, tls):
            witness = WitnessSettings(one.url, one.public)
            served.gate.in_force = InForce(policy(witnesses=(witness,)), {})
            log.append_all(events(300))
            await served.turn()
            assert checkpoint.read_text().endswith(one.cosignature(checkpoint.read_text()))
        log.append_all(events(300, 301))
        await served.turn()
        assert checkpoint.read_text().count("— ") == 1  # without it, and published all the same
        with serving(one, tls, int(one.url.rpartition(":")[2].partition("/")[0])):
            log.append_all(events(2, 601))
            await served.turn()
        await served.transparency.stop()
    failed, recovered = served.recorded
    assert isinstance(failed, ControlFailed)
    assert (failed.control, failed.detail) == ("audit.witness:witness.example/w1", "Connection refused")
    assert isinstance(recovered, ControlRecovered)
    assert one.size == 602
    key = WitnessKey.parse(one.public)
    assert check(tmp_path, [Key.parse(signer().public)], witnesses=[key]).count == 0


DAY = 86_400.0


async def test_old_files_are_compressed_and_deleted_and_that_is_recorded(tmp_path: Path) -> None:
    with AuditLog(tmp_path) as log:
        for day in range(10):
            log.append_all([changed(event, at=Instant(event.at + day * DAY)) for event in events(100, 1 + day * 100)])
        serving = Serving(log, tmp_path)
        serving.gate.in_force = InForce(policy(retention=Retention(2 * DAY, 5 * DAY)), {})
        serving.gate.clock = Clock(now=lambda: Instant(NOW + 9 * DAY))
        await serving.turn()
        told = [(entry.kind, entry.get("unmapped", "last_sequence")) for entry in records(tmp_path)[-6:]]
        assert told == [
            ("log.sealed", 400), ("log.sealed", 500), ("log.sealed", 600),
            ("log.deleted", 100), ("log.deleted", 200), ("log.deleted", 300),
        ]  # fmt: skip
        await serving.transparency.stop()
    assert "records 1 to 300 were deleted" in whole(tmp_path).notices[0]


@pytest.mark.parametrize("about", [{"what": "other"}, {"what": "sealed", "file": 1}])
async def test_only_what_is_understood_is_recorded(tmp_path: Path, about: dict[str, object]) -> None:
    with AuditLog(tmp_path) as log:
        serving = Serving(log, tmp_path)
        assert not await serving.transparency._record(about)
        good = {"what": "sealed", "file": "a", "first": 1, "last": 2, "sha256": "0" * 64}
        assert await serving.transparency._record(good)
        serving.transparency._stopping.set()
        assert not await serving.transparency._record(good)
        assert log.sequence == 1
