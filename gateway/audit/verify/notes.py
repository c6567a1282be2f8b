"""Checkpoints and their signatures: C2SP signed-note and tlog-checkpoint."""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MAX_NOTE = 65_536
"""Bytes of a checkpoint: room for a hundred signatures."""

_KEY = re.compile(r"(?P<name>[^\s+]+)\+(?P<id>[0-9a-f]{8})\+(?P<data>[A-Za-z0-9+/=]+)\Z")
_BODY = re.compile(
    r"(?P<origin>[^\n]+)\n(?P<size>0|[1-9][0-9]{0,18})\n(?P<root>[A-Za-z0-9+/]{43}=)\n(?:[^\n]+\n)*\Z", re.ASCII
)
_LINE = re.compile(r"— (?P<name>[^\s+]+) (?P<signature>[A-Za-z0-9+/=]+)\Z")


class InvalidNoteError(ValueError):
    """A key or a note that cannot be trusted; the message says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key, as `gateway audit key` and Go's sumdb/note write it: `name+id+key`."""

    name: str
    id: bytes
    public: bytes

    @classmethod
    def parse(cls, text: str) -> "Key":
        """Read it. Raises InvalidNoteError."""
        match = _KEY.match(text.strip())
        try:
            data = base64.b64decode(match["data"], validate=True) if match else b""
        except binascii.Error:
            data = b""
        if match is None or len(data) != 33 or data[0] != 1:
            raise InvalidNoteError("no public Ed25519 key in the form name+id+key")
        found = hashlib.sha256(f"{match['name']}\n".encode() + data).digest()[:4]
        if found.hex() != match["id"]:
            raise InvalidNoteError("the key's id is not that of its name and key")
        return cls(match["name"], found, data[1:])

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}"

    def named(self, name: str) -> "Key":
        """Give the same key under another name, as workers have it."""
        made = hashlib.sha256(f"{name}\n".encode() + b"\x01" + self.public).digest()[:4]
        return Key(name, made, self.public)

    def verifies(self, text: str, signature: bytes) -> bool:
        """Whether the signature is this key's over the text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """The public key of a witness (C2SP tlog-cosignature, for Ed25519)."""

    name: str
    id: bytes
    public: bytes

    @classmethod
    def parse(cls, text: str) -> "WitnessKey":
        """Read it. Raises InvalidNoteError."""
        match = _KEY.match(text.strip())
        try:
            data = base64.b64decode(match["data"], validate=True) if match else b""
        except binascii.Error:
            data = b""
        if match is None or len(data) != 33 or data[0] != 4:
            raise InvalidNoteError("no key of a witness in the form name+id+key")
        found = hashlib.sha256(f"{match['name']}\n".encode() + data).digest()[:4]
        if found.hex() != match["id"]:
            raise InvalidNoteError("the key's id is not that of its name and key")
        return cls(match["name"], found, data[1:])

    def signed(self, note: str) -> int | None:
        """Give the time at which the witness signed a note, in seconds; None where it has not."""
        body, _, tail = note.rpartition("\n\n")
        for line in tail.splitlines():
            match = _LINE.match(line)
            if match is None or match["name"] != self.name:
                continue
            signature = base64.b64decode(match["signature"])
            time = int.from_bytes(signature[4:12], "big")
            text = f"cosignature/v1\ntime {time}\n{body}\n"
            if signature[:4] == self.id and Key(self.name, self.id, self.public).verifies(text, signature[12:]):
                return time
        return None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint whose signature was verified."""

    origin: str
    size: int
    root: bytes
    key: Key
    text: str
    """The whole note, as it was given."""

    def __str__(self) -> str:
        return f"the checkpoint of {self.size} entries"


def read_checkpoint(text: str, keys: Iterable[Key]) -> Checkpoint:
    """Verify a note by one of the keys, and read it as a checkpoint. Raises InvalidNoteError."""
    body, key = read_note(text, keys)
    match = _BODY.match(body)
    if match is None:
        raise InvalidNoteError("it is signed, but no checkpoint")
    return Checkpoint(match["origin"], int(match["size"]), base64.b64decode(match["root"]), key, text)


def read_note(text: str, keys: Iterable[Key]) -> tuple[str, Key]:
    """Verify a note by one of the keys; gives what is signed, and by which. Raises InvalidNoteError."""
    body, blank, tail = text.rpartition("\n\n")
    body += "\n"
    if not blank or not tail.endswith("\n") or len(text) > MAX_NOTE:
        raise InvalidNoteError("it is no signed note")
    if any(char < " " and char != "\n" for char in text):
        raise InvalidNoteError("it has control characters")
    return body, _signed_by(body, tail, list(keys))


def _signed_by(body: str, tail: str, keys: list[Key]) -> Key:
    good: Key | None = None
    strangers: list[str] = []
    for line in tail.splitlines():
        match = _LINE.match(line)
        if match is None:
            raise InvalidNoteError("it has a signature that cannot be read")
        try:
            signature = base64.b64decode(match["signature"], validate=True)
        except binascii.Error:
            raise InvalidNoteError("it has a signature that is not base64") from None
        known = [key for key in keys if key.name == match["name"] and key.id == signature[:4]]
        if not known:
            strangers.append(f"{match['name']}+{signature[:4].hex()}")
        for key in known:
            if not key.verifies(body, signature[4:]):
                raise InvalidNoteError(f"the signature of {key.name}+{key.id.hex()} is not over this text")
            good = key
    if good is None:
        raise InvalidNoteError(f"it is signed by {', '.join(strangers) or 'nobody'}, and by no key that was given")
    return good


def notes_of(text: str) -> Iterator[str]:
    """Split a file of several notes, with or without empty lines between them."""
    note: list[str] = []
    for line in text.splitlines(keepends=True):
        ended = bool(note) and note[-1].startswith("— ") and "\n" in note
        if ended and not line.startswith("— "):
            yield "".join(note)
            note = []
        if note or line != "\n":
            note.append(line)
    if note:
        yield "".join(note)
