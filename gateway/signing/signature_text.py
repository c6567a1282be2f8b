"""From the text of a signature to its bytes, strictly and bounded."""

from dataclasses import dataclass, field
from typing import Never

from gateway.core.reasons import Reason
from gateway.signing.algorithms import MAX_SIGNATURE, der_to_raw, signature_size
from gateway.signing.encoding import Encoding, decode, encoded_length
from gateway.signing.scheme import refusal
from gateway.signing.secret_algorithms import SECRET_ALGORITHMS

MAX_SIGNATURES = 8
"""Signatures of one request that are tried: two while a key is rotated, and room."""


@dataclass(frozen=True, slots=True)
class SignatureText:
    """How a scheme writes its signatures."""

    algorithm: str
    encoding: Encoding
    der: bool = False
    prefix: str = ""
    """Text that stands before a signature in its field."""
    _length: int | None = field(init=False, repr=False)
    """Characters that every signature takes; None where they vary."""
    _longest: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        secret = SECRET_ALGORITHMS.get(self.algorithm)
        size = secret.size if secret is not None else signature_size(self.algorithm)
        length = None if size is None or self.der else encoded_length(size, self.encoding)
        object.__setattr__(self, "_length", length)
        object.__setattr__(self, "_longest", encoded_length(MAX_SIGNATURE, self.encoding))

    def read(self, text: str, where: str) -> bytes:
        """Read one signature with its prefix. Raises Denied(SIGNATURE_MALFORMED)."""
        if self.prefix:
            if not text.startswith(self.prefix):
                _refuse(f"{where} does not begin with {self.prefix!r}")
            text = text[len(self.prefix) :]
        return self.read_bare(text, where)

    def read_bare(self, text: str, where: str) -> bytes:
        """Read one signature whose prefix is gone. Raises Denied(SIGNATURE_MALFORMED)."""
        if self._length is not None and len(text) != self._length:
            _refuse(f"{where} has {len(text)} characters, expected {self._length} characters of {self.encoding}")
        if not 0 < len(text) <= self._longest:
            _refuse(f"{where} has {len(text)} characters, expected up to {self._longest} of {self.encoding}")
        try:
            raw = decode(text, self.encoding)
        except ValueError:
            _refuse(f"{where} is not {self.encoding}")
        if not self.der:
            return raw
        try:
            return der_to_raw(self.algorithm, raw)
        except ValueError:
            _refuse(f"{where} is no signature in DER")

    def read_several(self, texts: list[str], where: str) -> list[bytes]:
        """Read signatures whose prefixes are gone, any of which may count. Raises Denied(SIGNATURE_MALFORMED)."""
        if len(texts) > MAX_SIGNATURES:
            _refuse(f"{where} has {len(texts)} signatures, at most {MAX_SIGNATURES} are tried")
        return [self.read_bare(text, where) for text in texts]


def _refuse(detail: str) -> Never:
    raise refusal(Reason.SIGNATURE_MALFORMED, detail) from None
