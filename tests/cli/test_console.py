"""`gateway console`; what it shows is tested in tests/unit/console and tests/console."""

import asyncio
import socket
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.console import console
from gateway.console import server
from gateway.console.archive import Archive
from gateway.console.door import Door
from tests.unit.audit.examples import decided
from tests.unit.audit.query.logs import written


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return written(tmp_path / "audit", [decided()])


def run(directory: Path, *options: str) -> Result:
    return CliRunner().invoke(console, ["--directory", str(directory), *options])


def test_the_link_is_printed_once_the_log_is_open(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve(archive: Archive, port: int, tls: object, opened: object, until: asyncio.Event) -> None:
        assert callable(opened)
        assert archive.directory == directory
        opened(Door(port, certificates=False))
        opened(Door(port, certificates=True))
        assert (tls, until.is_set()) == (None, False)

    monkeypatch.setattr(server, "serve", serve)
    first, second = run(directory, "--port", "8601").stdout.splitlines()
    assert first.startswith("http://127.0.0.1:8601/enter?token=")
    assert first.endswith("  (works once)")
    assert second == "https://127.0.0.1:8601/"


def test_a_port_that_is_taken(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run(directory, "--port", str(port))
    assert (result.exit_code, f"port {port}: Address already in use" in result.stderr) == (1, True)


def test_certificates_that_are_none(directory: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.pem"
    path.write_text("nothing")
    result = run(directory, "--tls", str(path), str(path), str(path))
    assert (result.exit_code, "--tls" in result.stderr) == (2, True)


def test_without_the_extra(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    assert "pip install 'gateway[audit]'" in run(directory).stderr
