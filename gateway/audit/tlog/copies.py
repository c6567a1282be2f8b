"""Copies of checkpoints, to where the log's keepers cannot change them."""

import json
import os
import socket
import sys
from pathlib import Path

STDOUT, SYSLOG, FILE = "stdout", "syslog", "file:"

SYSLOG_SOCKET = "/dev/log"

_NOTICE = 13 * 8 + 5
"""Facility 13 (log audit), severity notice (RFC 5424, section 6.2.1)."""


def send(where: str, note: str) -> None:
    """Send a checkpoint: as a line of JSON to `stdout` and `syslog`, as it is behind others to a file.

    Raises OSError.
    """
    if where == STDOUT:
        sys.stdout.write(f"{_line(note)}\n")
        sys.stdout.flush()
    elif where == SYSLOG:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(SYSLOG_SOCKET)
            sender.send(f"<{_NOTICE}>gateway[{os.getpid()}]: {_line(note)}".encode())
    else:
        _append(Path(where.removeprefix(FILE)), f"{note}\n".encode())


def _line(note: str) -> str:
    return json.dumps({"checkpoint": note}, ensure_ascii=False)


def _append(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        if os.write(fd, data) < len(data):
            raise OSError(28, "only a part of it could be written", str(path))
        os.fsync(fd)
    finally:
        os.close(fd)
