"""The section `audit`: how the log is kept, and how it is published as a transparency log."""

import re
from pathlib import Path

from gateway.core.policy import AuditSettings
from gateway.policy.nodes import Node
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader
from gateway.policy.references import OTHERS, named_file, read_named
from gateway.policy.values import Unfit, duration

MAX_KEY_BYTES = 4_096

LEAST_INTERVAL, MOST_INTERVAL = 1.0, 3_600.0
"""Seconds: each checkpoint brings some files to the disk; and until the next one, what is new is not bound by any."""

_ORIGIN = re.compile(r"[\x21-\x2a\x2c-\x7e]{1,200}\Z")  # C2SP signed-note: no spaces, no `+`
_PRIVATE = b"PRIVATE+KEY+"


def read_audit(reader: Reader, node: Node | None) -> AuditSettings:
    """Read it; what it does not say is as `AuditSettings` has it."""
    default = AuditSettings()
    fields = reader.fields(node, optional=("origin", "key", "interval", "durability")) or {}
    return AuditSettings(
        origin=reader.value(fields.get("origin"), _origin),
        key=_key(reader, fields.get("key")),
        interval=reader.value_or(fields.get("interval"), _interval, default.interval),
        durable=reader.choice(fields.get("durability"), ("os", "fsync"), "durability") == "fsync",
    )


def _origin(text: str) -> str:
    if not _ORIGIN.match(text):
        raise Unfit(
            f"{quoted(text)} cannot name a log", "expected a URL without its scheme, such as audit.example.com/psp"
        )
    return text


def _interval(text: str) -> float:
    seconds = duration(text)
    if not LEAST_INTERVAL <= seconds <= MOST_INTERVAL:
        raise Unfit(f"{quoted(text)} does not fit", "expected from 1s to 1h")
    return seconds


def _key(reader: Reader, node: Node | None) -> Path | None:
    path = named_file(reader, node)
    if node is None or path is None:
        return None
    data = read_named(reader, node, path, MAX_KEY_BYTES, OTHERS)
    if data is not None and not data.startswith(_PRIVATE):
        reader.error(node, "the file holds no key for checkpoints", "make one with `gateway audit key --new FILE`")
        return None
    return path
