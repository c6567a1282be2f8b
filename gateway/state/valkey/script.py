"""Scripts that run in the store: what one of them reads and writes, no other command comes between."""

from dataclasses import dataclass, field
from hashlib import sha1
from pathlib import Path

_FOLDER = Path(__file__).parent

CLOCK = (_FOLDER / "clock.lua").read_text(encoding="utf-8")
"""Defines `clock()` for the scripts, by the store's own."""


def command(*parts: bytes) -> bytes:
    """Write a command as the protocol has it (RESP: an array of bulk strings)."""
    return b"*%d\r\n" % len(parts) + b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts])


@dataclass(frozen=True, slots=True)
class Script:
    """A script, loaded into each server when a connection to it is made, and called by its digest."""

    name: str
    source: bytes = field(repr=False)
    digest: bytes = field(init=False)

    def __post_init__(self) -> None:
        digest = sha1(self.source, usedforsecurity=False).hexdigest()
        object.__setattr__(self, "digest", digest.encode())

    @classmethod
    def read(cls, name: str, clock: str | None = None) -> "Script":
        """Read `name.lua` of this folder; `clock` stands in for CLOCK in tests."""
        return cls(name, ((clock or CLOCK) + (_FOLDER / f"{name}.lua").read_text(encoding="utf-8")).encode())

    @property
    def load(self) -> bytes:
        """Give the command that loads it."""
        return command(b"SCRIPT", b"LOAD", self.source)

    def call(self, keys: tuple[bytes, ...], *arguments: bytes) -> bytes:
        """Give the command that calls it. All keys MUST have the same hash tag."""
        return command(b"EVALSHA", self.digest, b"%d" % len(keys), *keys, *arguments)
