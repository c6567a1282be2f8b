"""Asks a witness to sign a checkpoint (C2SP tlog-witness): it signs only what goes on from what it has seen."""

import base64
import binascii
import http.client
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.audit.tlog.note import Checkpoint

COSIGNATURE = b"\x04"
"""Type of a witness' signature (C2SP tlog-cosignature), in front of its key."""

TIMEOUT = 5.0
"""Seconds that a witness has for each step of its answer; the checkpoint waits meanwhile."""

DEADLINE = 15.0
"""Seconds that it has for all of an answer: one that sends a byte now and then holds up no checkpoint for longer."""

MAX_ANSWER = 65_536

_LATE = f"it has not answered as a whole within {DEADLINE:.0f} s"

type Prove = Callable[[int], list[bytes]]
"""Gives the proof that the tree goes on from one of that size."""


class WitnessError(Exception):
    """The witness did not sign; the message says why."""


class WitnessClient:
    """A witness, and what is known of what it has seen."""

    def __init__(self, url: str, key: str) -> None:
        """Take its address and its public key, `name+id+key`. Raises WitnessError."""
        self.name, _, rest = key.partition("+")
        key_id, _, encoded = rest.partition("+")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            raw = b""
        self._id = sha256(f"{self.name}\n".encode() + raw).digest()[:4]
        if len(raw) != 33 or raw[:1] != COSIGNATURE or self._id.hex() != key_id:
            raise WitnessError("its key is not one of a witness: name+id+key, for Ed25519 cosignatures")
        self._key = Ed25519PublicKey.from_public_bytes(raw[1:])
        self._url = urlsplit(url)
        self._seen = 0
        """Size of the last checkpoint that it has signed, as far as we know."""

    def cosign(self, checkpoint: Checkpoint, note: str, prove: Prove) -> str:
        """Give its signatures of a checkpoint, as lines of the note. Raises WitnessError and OSError."""
        status, body = self._add(note, min(self._seen, checkpoint.size), prove)
        if status == http.client.CONFLICT and body.strip().isdigit() and int(body) <= checkpoint.size:
            # It has seen another one: a gate that starts does not know which.
            self._seen = int(body)
            status, body = self._add(note, self._seen, prove)
        if status != http.client.OK:
            raise WitnessError(f"it answered {status}: {_words(body)}")
        lines = [line for line in body.decode("utf-8", "replace").splitlines() if self._signed(line, checkpoint.text)]
        if not lines:
            raise WitnessError("its answer holds no signature of its key over the checkpoint")
        self._seen = checkpoint.size
        return "".join(f"{line}\n" for line in lines)

    def _add(self, note: str, old: int, prove: Prove) -> tuple[int, bytes]:
        proof = [] if old == 0 else prove(old)
        lines = [f"old {old}", *(base64.b64encode(digest).decode() for digest in proof), ""]
        return self._post("\n".join(lines) + "\n" + note)

    def _post(self, body: str) -> tuple[int, bytes]:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            context = ssl.create_default_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=TIMEOUT, context=context
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
        late = threading.Event()
        timer = threading.Timer(DEADLINE, _cut, (connection, late))
        timer.start()
        try:
            connection.request("POST", f"{self._url.path.rstrip('/')}/add-checkpoint", body.encode())
            answer = connection.getresponse()
            read = answer.read(MAX_ANSWER)
        except (http.client.HTTPException, OSError) as error:
            if late.is_set():
                raise WitnessError(_LATE) from None
            if isinstance(error, ssl.SSLCertVerificationError):
                raise WitnessError(f"its certificate: {error.verify_message}") from None
            if isinstance(error, OSError):
                raise
            raise WitnessError(f"its answer cannot be read: {type(error).__name__}") from None
        finally:
            timer.cancel()
            connection.close()
        if late.is_set():
            raise WitnessError(_LATE)
        return answer.status, read

    def _signed(self, line: str, text: str) -> bool:
        """Whether a line is this witness' signature of the checkpoint's text."""
        dash, name, encoded = [*line.split(" "), "", ""][:3]
        if dash != "—" or name != self.name:
            return False
        try:
            signature = base64.b64decode(encoded, validate=True)
            time = int.from_bytes(signature[4:12], "big")
            self._key.verify(signature[12:], f"cosignature/v1\ntime {time}\n{text}".encode())
        except (binascii.Error, InvalidSignature):
            return False
        return signature[:4] == self._id


def _cut(connection: http.client.HTTPConnection, late: threading.Event) -> None:
    late.set()
    if connection.sock is not None:
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)


def _words(body: bytes) -> str:
    """Give the beginning of what a witness says, fit for a record."""
    text = body[:200].decode("utf-8", "replace").strip()
    return "".join(char if char.isprintable() else " " for char in text) or "nothing"
