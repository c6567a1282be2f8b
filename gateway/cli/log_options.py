"""Options of the commands that read the audit log."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

type Option = Callable[[Callable[..., Any]], Callable[..., Any]]

directory_option: Option = click.option(
    "--directory",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path("var/audit"),
    show_default=True,
    help="Folder of the log (gateway run --audit).",
)

index_option: Option = click.option(
    "--index", type=click.Path(path_type=Path, file_okay=False), help="Folder of the index [default: DIRECTORY-index]."
)
