import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.audit.log import AuditLog


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "audit"


@pytest.fixture
def log(directory: Path) -> Iterator[AuditLog]:
    opened = AuditLog(directory)
    yield opened
    opened.close()


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """A disk that is full while this is set."""
    state = threading.Event()
    real = os.write

    def write(fd: int, data: bytes) -> int:
        if state.is_set():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)
    return state
