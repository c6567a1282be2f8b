"""Digest Fields (RFC 9530): Content-Digest and Repr-Digest, checked over the bytes received."""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping
from typing import Literal

from gateway.core.message import Headers
from gateway.signing.httpsig.fields import Member, read_bytes, read_dictionary
from gateway.signing.httpsig.inputs import joined

type DigestAlgorithm = Literal["sha-256", "sha-512"]

HASHES: Mapping[str, str] = {"sha-256": "sha256", "sha-512": "sha512"}
"""The algorithms that count, with their names in hashlib: all others are insecure (RFC 9530 section 5)."""

CONTENT_DIGEST = "content-digest"
REPR_DIGEST = "repr-digest"

MAX_MEMBERS = 8
"""Digests in one field; a sender gives one, or both of those that count."""


class MismatchError(ValueError):
    """A digest that is not that of the body."""


def check_digests(headers: Headers, body: bytes) -> None:
    """Check every Content-Digest and Repr-Digest of a message against its body; none need be there.

    In a request Repr-Digest is about the representation sent (RFC 9530 section 3), which is the body unless
    Content-Range says that the body is a part of it.

    Raises MismatchError where a digest is another than the body's, and ValueError where a field is malformed or has no
    digest by sha-256 or sha-512.
    """
    for name in (CONTENT_DIGEST, REPR_DIGEST):
        if name in headers:
            text = joined(headers, name)
            if name == REPR_DIGEST and "content-range" in headers:
                raise ValueError("repr-digest of a part cannot be checked (RFC 9530 3)")
            check_digest(name, text or "", body)


def check_digest(name: str, text: str, body: bytes) -> None:
    """Check one field, as `check_digests` does: every digest of an algorithm that counts must be the body's."""
    one = read_bytes(text)
    members: Mapping[str, Member] = read_dictionary(text) if one is None else {one[0]: (one[1], {})}
    if len(members) > MAX_MEMBERS:
        raise ValueError(f"{name} has {len(members)} digests; at most {MAX_MEMBERS}")
    counted = 0
    for algorithm, (value, parameters) in members.items():
        if not isinstance(value, bytes) or parameters:
            raise ValueError(f"{name} is no dictionary of byte sequences (RFC 9530 2)")
        hash_name = HASHES.get(algorithm)
        if hash_name is None:
            continue
        counted += 1
        if not hmac.compare_digest(hashlib.new(hash_name, body).digest(), value):
            raise MismatchError(f"{name} by {algorithm} is not that of the {len(body)} bytes received")
    if not counted:
        raise ValueError(f"{name} has no digest by {' or '.join(HASHES)} (RFC 9530 5)")


def write_digest(body: bytes, algorithm: DigestAlgorithm = "sha-256") -> str:
    """Give the value of a digest field."""
    digest = hashlib.new(HASHES[algorithm], body).digest()
    return f"{algorithm}=:{b64encode(digest).decode('ascii')}:"
