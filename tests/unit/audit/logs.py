"""What tests of the log look at and bring about."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.events import Event
from gateway.audit.files import log_files
from gateway.audit.log import AuditLog
from gateway.audit.reader import Entry, read
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from tests.unit.audit.examples import NOW, changed


def records(directory: Path) -> list[Entry]:
    """Give the records; fails where one is damaged or missing."""
    entries = list(read(directory))
    whole = [entry for entry in entries if isinstance(entry, Entry)]
    assert whole == entries
    return whole


def kinds(directory: Path) -> list[str]:
    return [entry.kind for entry in records(directory)]


def names(directory: Path) -> list[str]:
    return [file.path.name for file in log_files(directory)]


def denied_append(log: AuditLog, event: Event) -> str:
    with pytest.raises(Unavailable) as raised:
        log.append(event)
    assert raised.value.reason is Reason.AUDIT_UNAVAILABLE
    return raised.value.detail


def synced_paths(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Give the files that are synced from now on."""
    synced: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(Path(f"/proc/self/fd/{fd}").readlink()))
    return synced


def later(event: Any, seconds: float) -> Any:
    return changed(event, at=Instant(NOW + seconds))


def failing(error: int) -> Callable[..., Any]:
    """Give a system call that fails."""

    def call(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    return call


def is_log(path: object) -> bool:
    return str(path).endswith(".jsonl")
