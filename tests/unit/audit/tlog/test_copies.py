import json
import os
import socket
from pathlib import Path

import pytest

from gateway.audit.tlog import copies
from gateway.audit.tlog.copies import send

NOTE = "log\n1\nroot\n\n— log signature\n"


def test_a_line_on_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    send("stdout", NOTE)
    assert json.loads(capsys.readouterr().out) == {"checkpoint": NOTE}


def test_a_line_to_syslog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "log")
    monkeypatch.setattr(copies, "SYSLOG_SOCKET", path)
    with pytest.raises(FileNotFoundError):
        send("syslog", NOTE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(path)
        send("syslog", NOTE)
        head, _, line = listening.recv(4_096).decode().partition(": ")
    assert head == f"<109>gateway[{os.getpid()}]"
    assert json.loads(line) == {"checkpoint": NOTE}


def test_one_behind_the_other_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "copies.txt"
    send(f"file:{path}", NOTE)
    send(f"file:{path}", NOTE)
    assert path.read_text() == f"{NOTE}\n{NOTE}\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        send(f"file:{tmp_path / 'none' / 'copies.txt'}", NOTE)
    monkeypatch.setattr(os, "write", lambda *_: 1)
    with pytest.raises(OSError, match="only a part"):
        send(f"file:{tmp_path / 'copies.txt'}", NOTE)
