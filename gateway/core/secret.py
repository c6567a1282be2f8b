"""Secrets of a policy: shown nowhere, and keyed for HMAC once."""

import hashlib
from typing import Never

_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


class Mac:
    """HMAC (RFC 2104) by one key, whose two blocks are hashed once and not for every message."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes, hash_name: str) -> None:
        """Key it. Raises ValueError for a hash that is not known."""
        size = hashlib.new(hash_name).block_size
        if len(key) > size:
            key = hashlib.new(hash_name, key).digest()
        block = key.ljust(size, b"\0")
        self._inner = hashlib.new(hash_name, block.translate(_INNER))
        self._outer = hashlib.new(hash_name, block.translate(_OUTER))

    def __reduce__(self) -> Never:
        raise TypeError("secrets are never written")

    def digest(self, message: bytes) -> bytes:
        """Give the code of a message."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()


class Secret:
    """Bytes that must not be shown: no repr, no equality, no hash, no copy by pickle."""

    __hash__ = None  # type: ignore[assignment]
    __slots__ = ("_macs", "_value")

    def __init__(self, value: bytes) -> None:
        self._value = value
        self._macs: dict[str, Mac] = {}

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        raise TypeError("secrets are compared in constant time, never by ==")

    def __reduce__(self) -> Never:
        raise TypeError("secrets are never written")

    def reveal(self) -> bytes:
        """Give the bytes themselves."""
        return self._value

    def mac(self, hash_name: str) -> Mac:
        """Give HMAC by this secret. Raises ValueError for a hash that is not known."""
        mac = self._macs.get(hash_name)
        if mac is None:
            mac = self._macs[hash_name] = Mac(self._value, hash_name)
        return mac
