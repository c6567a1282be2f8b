"""What a request presents to a composed scheme, and how its texts are taken from their places."""

import re
from typing import NamedTuple

from gateway.core.message import Headers, Instant
from gateway.core.reasons import Denied, Reason
from gateway.signing.content import Content
from gateway.signing.places import InContent, Place
from gateway.signing.scheme import refusal

VISIBLE = re.compile(r"[\x21-\x7e]{1,128}\Z")
"""Key ids and nonces: longer ones identify nothing better, and cost memory and log space."""


class Presented(NamedTuple):
    """What a request presents as its signature: well-formed, unverified."""

    key_id: str | None
    timestamp: str
    created: Instant | None
    nonce: str | None
    signature: bytes
    others: tuple[bytes, ...] = ()
    """Further signatures, any of which will do."""
    content: Content | None = None
    """The message taken apart, where that was done already."""

    @property
    def trailers(self) -> bool:
        """No trailers are signed."""
        return False

    def __repr__(self) -> str:
        """Without the signature: it opens the door until it is claimed."""
        return f"Presented(key_id={self.key_id!r}, timestamp={self.timestamp!r}, nonce={self.nonce!r})"


LATER = Presented(None, "", None, None, b"")
"""Of a scheme that carries something in the body, before that was read."""


def required(headers: Headers, name: str, what: str) -> str:
    """Give the value of a field. Raises Denied: SIGNATURE_MISSING, FIELD_REPEATED."""
    value = headers.single(name)
    if value is None:
        raise refusal(Reason.SIGNATURE_MISSING, f"no {name} field for the {what}")
    return value


def text_at(place: Place, content: Content, what: str) -> str:
    """Give the one text at a place."""
    found = texts_at(place, content, what)
    if len(found) > 1:
        raise malformed(f"{len(found)} items of {place.name} could be the {what}")
    return found[0]


def texts_at(place: Place, content: Content, what: str) -> list[str]:
    """Give the texts at a place. Raises Denied: SIGNATURE_MISSING, FIELD_REPEATED, SIGNATURE_MALFORMED."""
    if isinstance(place, InContent):
        return [place.find(content, what)]
    found = place.find(content.head.headers, what)
    return found if isinstance(found, list) else [found]


def visible(text: str, place: Place) -> str:
    """Give a key id or nonce. Raises Denied(SIGNATURE_MALFORMED)."""
    if not VISIBLE.match(text):
        raise invisible(place.name)
    return text


def invisible(where: str) -> Denied:
    """Make the denial of a key id or nonce that is none."""
    return malformed(f"{where} is not 1 to 128 visible ASCII characters")


def malformed(detail: str) -> Denied:
    """Make the denial of what does not have its form."""
    return refusal(Reason.SIGNATURE_MALFORMED, detail)
