"""`gateway demo`: its exit code is the verdict, and its errors say what to do."""

import asyncio
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.demo.gate import DemoError
from gateway.demo.stage import Place

PLACE = Place(Path("policies"), Path("certs"), Path("var/demo"), 8443, 9000)


def demo(
    monkeypatch: pytest.MonkeyPatch, *arguments: str, ends: bool | BaseException = True
) -> tuple[Result, list[object]]:
    """Run the command with a stage that ends as told; gives what it was told."""
    told: list[object] = []

    def prepare(root: Path, port: int | None) -> Place:
        told.extend((root, port))
        if isinstance(ends, DemoError):
            raise ends
        return PLACE

    async def perform(place: Place, console: object, *, keep: bool) -> bool:
        del console
        told.extend((place, keep))
        if isinstance(ends, BaseException):
            raise ends
        return ends

    monkeypatch.setattr("gateway.demo.stage.prepare", prepare)
    monkeypatch.setattr("gateway.demo.stage.perform", perform)
    return CliRunner().invoke(main, ["demo", *arguments]), told


@pytest.mark.parametrize(("agreed", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_is_the_verdict(monkeypatch: pytest.MonkeyPatch, *, agreed: bool, code: int) -> None:
    assert demo(monkeypatch, ends=agreed)[0].exit_code == code


def test_it_works_in_this_folder_on_the_usual_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    assert demo(monkeypatch)[1] == [Path(), None, PLACE, False]


def test_options_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert demo(monkeypatch, "--keep", "--port", "0")[1] == [Path(), 0, PLACE, True]


def test_a_demo_that_cannot_run_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    result, _ = demo(monkeypatch, ends=DemoError("port taken: use --port"))
    assert (result.exit_code, result.output) == (1, "Error: port taken: use --port\n")


@pytest.mark.parametrize("end", [asyncio.CancelledError(), KeyboardInterrupt()], ids=["SIGTERM", "SIGINT"])
def test_an_interrupted_demo_did_not_agree(monkeypatch: pytest.MonkeyPatch, end: BaseException) -> None:
    result, _ = demo(monkeypatch, ends=end)
    assert (result.exit_code, result.output.strip()) == (1, "Aborted!")


def test_a_port_beyond_all_ports_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    result, told = demo(monkeypatch, "--port", "65536")
    assert (result.exit_code, told) == (2, [])


def test_without_the_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name == "gateway.demo" or name.startswith("gateway.demo.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "httpx", None)
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 1
    assert "gateway[demo]" in result.output
