"""Signed notes (C2SP signed-note) and checkpoints (C2SP tlog-checkpoint), as the log writes them.

Keys are written as Go's sumdb/note writes them, so that other people's tools take them: `PRIVATE+KEY+name+id+key` and
`name+id+key`, the key being a byte for Ed25519 and its 32 bytes.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ED25519 = b"\x01"
"""Type of the signature, in front of the key."""

_PRIVATE = "PRIVATE+KEY+"
_NAME = re.compile(r"[^\s+]{1,255}\Z")
_SIZE = re.compile(r"(0|[1-9][0-9]{0,18})\Z", re.ASCII)


class NoteError(ValueError):
    """A key or a note that is not what it should be; the message says what is wrong, and holds no secret."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint says: so many entries, under this root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


class Signer:
    """Signs as `name`. Its secret is shown nowhere."""

    __slots__ = ("_key", "_public", "key_id", "name")

    def __init__(self, name: str, seed: bytes) -> None:
        """Take a key of 32 bytes. Raises NoteError."""
        if not _NAME.match(name) or not name.isprintable():
            raise NoteError("a name has no spaces, no `+`, and at most 255 characters")
        self.name = name
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = ED25519 + self._key.public_key().public_bytes_raw()
        self.key_id = sha256(name.encode() + b"\n" + self._public).digest()[:4]

    @classmethod
    def generate(cls, name: str) -> "Signer":
        """Make a new key."""
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> "Signer":
        """Read a private key. Raises NoteError."""
        if not text.startswith(_PRIVATE):
            raise NoteError("it does not begin with `PRIVATE+KEY+`")
        name, _, rest = text.removeprefix(_PRIVATE).strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            key = b""
        if len(key) != 33 or key[:1] != ED25519:
            raise NoteError("it holds no Ed25519 key")
        # The id is of name and public key; a name that was edited shows.
        signer = cls(name, key[1:])
        if signer.key_id.hex() != key_id:
            raise NoteError("its id does not fit its name and key: was the name changed?")
        return signer

    def __repr__(self) -> str:
        return f"Signer({self.public})"

    @property
    def id(self) -> str:
        """Name and number of the key."""
        return f"{self.name}+{self.key_id.hex()}"

    @property
    def public(self) -> str:
        """The public key, for whoever verifies."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(self._public).decode()}"

    def private(self) -> str:
        """Give the private key as it stands in its file."""
        seed = base64.b64encode(ED25519 + self._key.private_bytes_raw()).decode()
        return f"{_PRIVATE}{self.name}+{self.key_id.hex()}+{seed}"

    def named(self, name: str) -> "Signer":
        """Give the same key under another name."""
        return Signer(name, self._key.private_bytes_raw())

    def sign(self, text: str) -> str:
        """Give the note of a text: the text, and a line with the signature."""
        signature = base64.b64encode(self.key_id + self._key.sign(text.encode())).decode()
        return f"{text}\n— {self.name} {signature}\n"

    def read(self, note: str) -> Checkpoint:
        """Read a checkpoint of ours. Raises NoteError where it is none, or another key has signed it."""
        text, found, signatures = note.rpartition("\n\n")
        text += "\n"
        if not found or not self._signed(text, signatures.splitlines()):
            raise NoteError(f"it is not signed by this log's key, {self.name}+{self.key_id.hex()}")
        origin, size, root = text.split("\n")[:3] if text.count("\n") >= 3 else ("", "", "")
        try:
            decoded = base64.b64decode(root, validate=True)
        except binascii.Error:
            decoded = b""
        if not origin or not _SIZE.match(size) or len(decoded) != 32:
            raise NoteError("it is no checkpoint")
        return Checkpoint(origin, int(size), decoded)

    def _signed(self, text: str, lines: list[str]) -> bool:
        for line in lines:
            dash, name, encoded = [*line.split(" "), "", ""][:3]
            if dash != "—" or name != self.name:
                continue
            try:
                signature = base64.b64decode(encoded, validate=True)
                if signature[:4] == self.key_id:
                    self._key.public_key().verify(signature[4:], text.encode())
                    return True
            except (binascii.Error, InvalidSignature):
                return False
        return False
