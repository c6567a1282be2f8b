"""Algorithms by a shared secret, by the names that policies give them."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from gateway.core.secret import Secret


class SecretAlgorithm(NamedTuple):
    """HMAC, or a plain hash over a string that holds the secret."""

    hash: str
    size: int
    """Bytes of its value."""
    keyed: bool
    """Whether it is HMAC. Else the secret is a part of the string."""
    weak: str = ""
    """Why it should no longer be used; empty where it is sound."""

    def digest(self, secret: Secret, signed: bytes) -> bytes:
        """Give the value over a string, which holds the secret where the algorithm is not keyed."""
        if self.keyed:
            return secret.mac(self.hash).digest(signed)
        return hashlib.new(self.hash, signed, usedforsecurity=True).digest()


_PLAIN = "a hash over secret and message is no HMAC, and where the secret comes first, the message can be extended"

SECRET_ALGORITHMS: Mapping[str, SecretAlgorithm] = {
    "hmac-sha256": SecretAlgorithm("sha256", 32, keyed=True),
    "hmac-sha384": SecretAlgorithm("sha384", 48, keyed=True),
    "hmac-sha512": SecretAlgorithm("sha512", 64, keyed=True),
    "hmac-sha1": SecretAlgorithm("sha1", 20, keyed=True, weak="SHA-1 is broken for signatures, and withdrawn by NIST"),
    "hmac-md5": SecretAlgorithm("md5", 16, keyed=True, weak="MD5 is broken"),
    "digest-sha512": SecretAlgorithm("sha512", 64, keyed=False, weak=_PLAIN),
    "digest-sha256": SecretAlgorithm("sha256", 32, keyed=False, weak=_PLAIN),
    "digest-sha1": SecretAlgorithm("sha1", 20, keyed=False, weak=f"SHA-1 is broken, and {_PLAIN}"),
    "digest-md5": SecretAlgorithm("md5", 16, keyed=False, weak=f"MD5 is broken, and {_PLAIN}"),
}
"""Those of RFC 9421 and of careful vendors first, those that need `allow_weak` after."""

MAX_LEAST = 32
"""Bytes that are enough for a secret of any algorithm: nobody guesses 256 bits."""


LEAST_WHSEC = 24
"""Bytes of a secret of Standard Webhooks, by its specification."""


def least_secret(algorithm: str, encoding: str = "") -> int:
    """Give how many bytes a secret must have (RFC 2104 3: not less than the hash's value, as far as that helps)."""
    return LEAST_WHSEC if encoding == "whsec" else min(SECRET_ALGORITHMS[algorithm].size, MAX_LEAST)
