"""Accept-Signature (RFC 9421 section 5): the signature that somebody wishes for, and the one that the gate asks for."""

from collections.abc import Sequence
from dataclasses import dataclass

from http_sf.types import ParamsType

from gateway.core.message import Headers, Instant
from gateway.signing.httpsig.component import Component
from gateway.signing.httpsig.fields import Member, read_dictionary, write_parameters
from gateway.signing.httpsig.inputs import MAX_TEXT, joined
from gateway.signing.httpsig.sign import Terms

FIELD = "accept-signature"

MAX_WISHES = 2
"""Signatures that one request may wish for: each costs as much as the gate's own."""

MAX_WISHED_COMPONENTS = 16

DEFAULT_EXPIRY = 300.0
"""Seconds that a signature counts whose wish asks for `expires`, where the policy says nothing."""

_STATED = ("created", "expires")
"""Parameters whose value is the signer's (RFC 9421 5.1)."""
_TEXTS = ("nonce", "alg", "keyid", "tag")


@dataclass(frozen=True, slots=True)
class Wish:
    """A signature that a request wishes its response to have."""

    label: str
    components: tuple[Component, ...]
    created: bool
    expires: bool
    nonce: str | None
    alg: str | None
    key_id: str | None
    tag: str | None

    def __repr__(self) -> str:
        """Without the nonce."""
        return f"Wish({self.label!r}, {[each.identifier for each in self.components]}, tag={self.tag!r})"

    def fits(self, key_id: str, algorithm: str) -> bool:
        """Whether a key and its algorithm are those that are wished for, or none are."""
        return self.key_id in (None, key_id) and self.alg in (None, algorithm)

    def terms(self, own: Terms, algorithm: str) -> Terms:
        """Give the parameters of the signature: those that are wished for, and the gate's `created` and `keyid`."""
        expires = own.expires
        if self.expires and expires is None and own.created is not None:
            expires = Instant(own.created + DEFAULT_EXPIRY)
        alg = None if self.alg is None else algorithm
        return Terms(own.created, own.key_id, alg, expires, self.nonce, self.tag)


def read_wishes(headers: Headers) -> Sequence[Wish]:
    """Give the wishes of a request's Accept-Signature that a response can fulfil; others are passed over (5.2).

    `@status` must be among the components, so that what the gate signs can never pass for a request of its own.
    """
    try:
        text = joined(headers, FIELD)
        members = read_dictionary(text) if text is not None else {}
    except ValueError:
        return ()
    if len(members) > MAX_WISHES:
        return ()
    found = (_wish(label, member) for label, member in members.items())
    return tuple(wish for wish in found if wish is not None)


def _wish(label: str, member: Member) -> Wish | None:
    value, parameters = member
    if not isinstance(value, list) or not 0 < len(value) <= MAX_WISHED_COMPONENTS:
        return None
    for name, given in parameters.items():
        stated = name in _STATED and given is True
        if not stated and (name not in _TEXTS or not isinstance(given, str) or not 0 < len(given) <= MAX_TEXT):
            return None
    try:
        components = tuple(Component.of(item) for item in value)
    except ValueError:
        return None
    if not any(each.name == "@status" for each in components):
        return None
    text = {name: str(parameters[name]) if name in parameters else None for name in _TEXTS}
    return Wish(
        label, components, created="created" in parameters, expires="expires" in parameters, nonce=text["nonce"],
        alg=text["alg"], key_id=text["keyid"], tag=text["tag"],
    )  # fmt: skip


def write_demand(label: str, components: Sequence[Component], *, tag: str | None, expires: bool) -> str:
    """Give the Accept-Signature of a refusal: how the next request is to be signed."""
    parameters: ParamsType = {"created": True, **({"expires": True} if expires else {})}
    if tag is not None:
        parameters["tag"] = tag
    return f"{label}=({' '.join(each.identifier for each in components)}){write_parameters(parameters)}"
