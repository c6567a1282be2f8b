"""What a JWS over a message signs: the body; or method, path, named fields and body, as TrueLayer does it."""

import re
from dataclasses import dataclass
from typing import Protocol

from gateway.core.message import RequestHead
from gateway.core.reasons import Reason
from gateway.signing.jws_header import JoseHeader
from gateway.signing.scheme import refusal

MAX_FIELDS = 16

_NAME = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z-]{1,64}\Z")


class Payload(Protocol):
    """A way to make the payload."""

    def check(self, header: JoseHeader, head: RequestHead) -> None:
        """Raise Denied where the header and the head cannot give one: before the body is asked for."""
        ...

    def build(self, header: JoseHeader, head: RequestHead, body: bytes) -> bytes:
        """Give it."""
        ...

    def parameters(self) -> dict[str, object]:
        """Give the parameters that a signer adds to the header."""
        ...

    @property
    def signs_target(self) -> bool:
        """Whether method and path are signed."""
        ...

    @property
    def fields(self) -> frozenset[str]:
        """Names of fields that every signature covers, in lower case."""
        ...


@dataclass(frozen=True, slots=True)
class BodyPayload:
    """The body as received."""

    signs_target = False
    fields = frozenset[str]()

    def check(self, header: JoseHeader, head: RequestHead) -> None:
        """There is nothing to check."""

    def build(self, _header: JoseHeader, _head: RequestHead, body: bytes) -> bytes:
        """Give the body."""
        return body

    def parameters(self) -> dict[str, object]:
        """There are none."""
        return {}


@dataclass(frozen=True, slots=True)
class RequestPayload:
    """`METHOD /path`, a line `Name: value` for each field that the header names, and the body.

    Names are as the header has them, values as received; `tl_version` must be 2, as version 1 signs the body only.
    """

    required: tuple[str, ...] = ()
    """Names of fields that must be among them, as a signer writes them."""

    signs_target = True

    @property
    def fields(self) -> frozenset[str]:
        """Those that must be among them."""
        return frozenset(name.lower() for name in self.required)

    def check(self, header: JoseHeader, head: RequestHead) -> None:
        """Raise Denied: SIGNATURE_MALFORMED, SIGNATURE_COVERAGE, FIELD_REPEATED."""
        names = [name.lower() for name in _names(header)]
        if header.parameters.get("tl_version") != "2":
            raise refusal(Reason.SIGNATURE_COVERAGE, "tl_version is not 2, and version 1 signs the body only")
        if len(set(names)) < len(names):
            raise refusal(Reason.SIGNATURE_MALFORMED, "tl_headers names a field twice")
        uncovered = sorted(self.fields - set(names))
        absent = sorted(name for name in names if head.headers.single(name) is None)
        if uncovered or absent:
            what = f"does not cover {', '.join(uncovered)}" if uncovered else f"covers {', '.join(absent)}, absent here"
            raise refusal(Reason.SIGNATURE_COVERAGE, f"the signature {what}")

    def build(self, header: JoseHeader, head: RequestHead, body: bytes) -> bytes:
        """Give the lines and the body."""
        lines = [f"{head.method} {head.path}"]
        lines += [f"{name}: {head.headers.single(name.lower()) or ''}" for name in _names(header)]
        return "".join(f"{line}\n" for line in lines).encode("latin-1") + body

    def parameters(self) -> dict[str, object]:
        """Name the fields."""
        return {"tl_version": "2", "tl_headers": ",".join(self.required)}


def _names(header: JoseHeader) -> list[str]:
    listed = header.parameters.get("tl_headers", "")
    names = [name.strip(" ") for name in listed.split(",", MAX_FIELDS)] if isinstance(listed, str) and listed else []
    if not isinstance(listed, str) or len(names) > MAX_FIELDS or not all(map(_NAME.match, names)):
        raise refusal(Reason.SIGNATURE_MALFORMED, f"tl_headers is no list of up to {MAX_FIELDS} field names")
    return names
