from types import SimpleNamespace

import click
import pytest

from gateway.cli import output
from gateway.cli.output import PIPE_WIDTH, When, console_for_tables, plain
from gateway.core.message import Instant


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-22T13:00:00Z", 1_795_352_400.0),
        ("2026-11-22T15:00:00+02:00", 1_795_352_400.0),
        ("2026-11-22", 1_795_305_600.0),
        ("90s", 910.0),
        ("15m", 100.0),
        ("1h", -2600.0),
    ],
)
def test_a_time(text: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "time", SimpleNamespace(time=lambda: 1000.0))
    assert When().convert(text, None, None) == Instant(seconds)


def test_a_time_that_was_read_stays() -> None:
    assert When().convert(Instant(5.0), None, None) == 5.0


@pytest.mark.parametrize("text", ["yesterday", "5w", "2026-13-01", ""])
def test_no_time(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no time"):
        When().convert(text, None, None)


def test_text_that_could_steer_a_terminal() -> None:
    assert plain("a\x1b[2J\u202eb [red]").plain == "a�[2J�b [red]"


def test_a_pipe_gets_wide_tables() -> None:
    assert console_for_tables().width == PIPE_WIDTH
