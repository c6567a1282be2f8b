"""Stored answers as bytes, sealed where the policy gives a secret for it.

Sealed is by AES-256-GCM; the key is derived from the policy's secret (HKDF-SHA256), and the digest of the idempotency
key is authenticated with it, so that an answer cannot be put under another key. What cannot be opened is no answer.
"""

import os

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.core.holds import StoredAnswer
from gateway.core.secret import Secret

_CLEAR, _SEALED = b"\x00", b"\x01"
_NONCE_BYTES = 12


class Answers:
    """Packs and opens answers."""

    def __init__(self, secret: Secret | None) -> None:
        self._cipher: AESGCM | None = None
        if secret is not None:
            derived = HKDF(SHA256(), 32, salt=None, info=b"gateway stored answers 1").derive(secret.reveal())
            self._cipher = AESGCM(derived)

    def pack(self, digest: bytes, answer: StoredAnswer) -> bytes:
        """Write an answer."""
        head = orjson.dumps([answer.status, [[name, value] for name, value in answer.fields]])
        packed = head + b"\n" + answer.body
        if self._cipher is None:
            return _CLEAR + packed
        nonce = os.urandom(_NONCE_BYTES)
        return _SEALED + nonce + self._cipher.encrypt(nonce, packed, digest)

    def open(self, digest: bytes, packed: bytes) -> StoredAnswer | None:
        """Read an answer; None where it is damaged, sealed with another secret, or in clear where it must not be.

        What was stored before the policy had a secret is not given: it may have been put there.
        """
        kind, content = packed[:1], packed[1:]
        try:
            if self._cipher is not None:
                if kind != _SEALED:
                    return None
                content = self._cipher.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], digest)
            elif kind != _CLEAR:
                return None
            head, _, body = content.partition(b"\n")
            status, fields = orjson.loads(head)
            return StoredAnswer(int(status), tuple((str(name), str(value)) for name, value in fields), body)
        except (InvalidTag, ValueError, TypeError):
            return None
