"""The formats of an export: each turns a record into a line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.audit.export.cef import cef
from gateway.audit.export.ecs import ecs
from gateway.audit.export.table import HEADER, row
from gateway.audit.reader import Entry

type Name = Literal["ocsf", "ecs", "cef", "csv"]


@dataclass(frozen=True, slots=True)
class Format:
    """How records are written."""

    line: Callable[[Entry], bytes]
    """Gives the line of a record, without its end."""
    header: bytes = b""
    """The first line, where there is one."""


FORMATS: Mapping[Name, Format] = {
    "ocsf": Format(lambda entry: entry.raw),
    "ecs": Format(ecs),
    "cef": Format(cef),
    "csv": Format(row, HEADER),
}
