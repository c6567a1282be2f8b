"""Verifying what an authority signed (RFC 5280 section 4.1.1.3), with algorithms that can still be trusted."""

import hashlib
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)

type Parameters = padding.PKCS1v15 | padding.PSS | ec.ECDSA | None
"""What a signature's algorithm says beside its hash, as cryptography has it."""


class Signed:
    """Bytes with their signature. They are hashed when it is made, so that `by` takes microseconds, whatever the size.

    Raises ValueError where the algorithm is too weak or not known.
    """

    __slots__ = ("_algorithm", "_data", "_parameters", "_signature")

    def __init__(
        self, data: bytes, signature: bytes, algorithm: hashes.HashAlgorithm | None, parameters: Parameters
    ) -> None:
        if algorithm is not None and not isinstance(algorithm, _HASHES):
            raise ValueError(f"signed with {algorithm.name.upper()}, which is not taken: SHA-256 or longer is")
        self._signature = signature
        self._algorithm = algorithm
        self._parameters = parameters
        # hashlib lets other threads run meanwhile, cryptography does not.
        self._data = data if algorithm is None else hashlib.new(algorithm.name, data).digest()

    def by(self, key: object) -> bool:
        """Whether the signature is this public key's."""
        try:
            self._verify(key)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
            return False
        return True

    def _verify(self, key: object) -> None:
        match key, self._algorithm:
            case (ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey(), None):
                key.verify(self._signature, self._data)
            case (rsa.RSAPublicKey(), hashes.HashAlgorithm() as algorithm) if isinstance(
                self._parameters, padding.PKCS1v15 | padding.PSS
            ):
                key.verify(self._signature, self._data, self._parameters, Prehashed(algorithm))
            case (ec.EllipticCurvePublicKey(), hashes.HashAlgorithm() as algorithm):
                key.verify(self._signature, self._data, ec.ECDSA(Prehashed(algorithm)))
            case _:
                raise InvalidSignature


@lru_cache(maxsize=1_024)
def may_sign_lists(authority: x509.Certificate) -> bool:
    """Whether the authority's key usage, where it has one, lets it sign revocation lists (RFC 5280 section 6.3.3)."""
    try:
        return authority.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True
