"""Make docs/img/demo.svg of what `gateway demo` prints: `make picture`."""

import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 136
HEAD_ROWS = 40
"""Rows of the table in the picture; the rest is left out with a word about it."""


def main() -> int:
    """Run the demo and write the picture; gives the demo's exit code."""
    environ = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    ran = subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--port", "0"],
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    plain = {line: Text.from_ansi(line).plain.strip() for line in ran.stdout.splitlines()}
    lines = [line for line, text in plain.items() if text and not text.startswith("playing")]
    shown = [*lines[:HEAD_ROWS], f"   … {len(lines) - HEAD_ROWS - 2} more lines", *lines[-2:]]
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True)
        console.print(Text("$ make demo", style="bold"))
        for line in shown:
            console.print(Text.from_ansi(line), overflow="crop", no_wrap=True)
        console.save_svg("docs/img/demo.svg", title="gateway demo")
    return ran.returncode


if __name__ == "__main__":
    sys.exit(main())
