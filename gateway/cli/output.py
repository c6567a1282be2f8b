"""What commands about the log share: points in time, and text that is harmless in a terminal."""

import re
import time
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.text import Text

from gateway.core.message import Instant

PIPE_WIDTH = 200
"""Columns of a table where the output is no terminal."""

_RELATIVE = re.compile(r"(\d{1,6})([smhd])\Z", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class When(click.ParamType[Instant]):
    """A point in time: ISO 8601, UTC where it names no zone, or how long ago: 15m, 2h, 1d."""

    name = "time"

    def convert(self, value: str | Instant, param: click.Parameter | None, ctx: click.Context | None) -> Instant:
        """Give the instant; fails as a usage error."""
        if not isinstance(value, str):
            return value
        relative = _RELATIVE.match(value)
        if relative:
            return Instant(time.time() - int(relative[1]) * _SECONDS[relative[2]])
        try:
            read_time = datetime.fromisoformat(value)
            if read_time.tzinfo is None:
                read_time = read_time.replace(tzinfo=UTC)
            return Instant(read_time.timestamp())
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time: use 2026-11-22T13:00:00Z, 2026-11-22, or 15m, 2h, 1d ago", param, ctx)


def plain(value: object, style: str = "") -> Text:
    """Text without markup, and without what could steer the terminal: a log that was changed may hold anything."""
    return Text("".join(char if char.isprintable() else "�" for char in str(value)), style)


def console_for_tables() -> Console:
    """Give the console of standard output; wide where it is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)
