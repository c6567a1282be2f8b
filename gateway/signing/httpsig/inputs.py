"""The fields Signature-Input and Signature (RFC 9421 section 4), read strictly and within bounds."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gateway.core.message import Headers, Instant
from gateway.signing.httpsig import fields
from gateway.signing.httpsig.fields import Item, Member

MAX_BYTES = 8_192
"""Bytes of either field, all lines together: room for MAX_SIGNATURES by RSA keys of 4,096 bits."""

MAX_SIGNATURES = 8
"""Signatures on one message: the partner's, and those of proxies on the way."""

MAX_TEXT = 256
"""Characters of a nonce, key id or tag: longer ones identify nothing better, and cost memory and log space."""

MAX_INSTANT = 10**11
"""Seconds; beyond it, a time was meant in milliseconds."""

_ONE = re.compile(r'(?P<label>[a-z*][a-z0-9_\-.*]*)=(?P<covered>\((?:[^"()]|"(?:[^"\\]|\\.)*")*\))(?P<rest>.*)\Z')
"""A member whose value is an inner list: it ends with the first parenthesis outside of a string."""

_NUMBERS = ("created", "expires")
_TEXTS = ("nonce", "alg", "keyid", "tag")


class Parameters(NamedTuple):
    """A signature's parameters (RFC 9421 2.3): well-formed, unverified."""

    text: str
    """As they stand in the signature base."""
    created: Instant | None = None
    expires: Instant | None = None
    nonce: str | None = None
    alg: str | None = None
    keyid: str | None = None
    tag: str | None = None

    def __repr__(self) -> str:
        """Without the nonce: it opens the door until it is claimed."""
        return f"Parameters(created={self.created}, alg={self.alg!r}, keyid={self.keyid!r}, tag={self.tag!r})"


@dataclass(frozen=True, slots=True)
class Announced[C]:
    """A signature as Signature-Input announces it: `covered` is what the caller made of its components."""

    label: str
    covered: C
    parameters: Parameters


def joined(headers: Headers, name: str) -> str | None:
    """Give a field's value, its lines joined (RFC 9110 5.3); None where it is absent.

    Raises ValueError for more than MAX_BYTES.
    """
    lines = headers.all(name)
    if not lines:
        return None
    text = lines[0] if len(lines) == 1 else ", ".join(lines)
    if len(text) > MAX_BYTES:
        raise ValueError(f"{name} has {len(text)} bytes; at most {MAX_BYTES}")
    return text


def read_inputs[C](text: str, covered: Callable[[str], C]) -> Mapping[str, Announced[C]]:
    """Read Signature-Input; `covered` makes something of each inner list of components, given without parameters.

    Raises ValueError for what is no dictionary of inner lists, for a label or parameter that stands twice, for a
    parameter that RFC 9421 does not have, and for too many signatures; and what `covered` raises.
    """
    # The components repeat from request to request, where times and nonces do not: `covered` remembers them by text.
    match = _ONE.match(text)
    if match is not None:
        label, components, rest = match.groups()
        members = fields.read_dictionary(f"{label}=(){rest}")
        if len(members) == 1:
            return {label: Announced(label, covered(components), read_parameters(members[label]))}
    members = fields.read_dictionary(text)
    if len(members) > MAX_SIGNATURES:
        raise ValueError(f"{len(members)} signatures; at most {MAX_SIGNATURES}")
    return {label: _announced(label, member, covered) for label, member in members.items()}


def components_of(text: str) -> list[Item]:
    """Read an inner list of components without parameters. Raises ValueError."""
    value, parameters = fields.read_dictionary(f"a={text}")["a"]
    if not isinstance(value, list) or parameters:
        raise ValueError("covered components are no inner list (RFC 9421 4.1)")
    return value


def _announced[C](label: str, member: Member, covered: Callable[[str], C]) -> Announced[C]:
    value, _ = member
    if not isinstance(value, list):
        raise ValueError(f"signature {label!r} is announced by no inner list (RFC 9421 4.1)")  # noqa: TRY004 - a fault of the text
    return Announced(label, covered(fields.write((value, {}))), read_parameters(member))


def read_parameters(member: Member) -> Parameters:
    """Read the parameters of an announced signature.

    Raises ValueError for one that RFC 9421 does not have, and for values of another kind, empty or out of bounds.
    """
    value, parameters = member
    if not isinstance(value, list):
        raise ValueError("a signature is announced by no inner list (RFC 9421 4.1)")  # noqa: TRY004 - a fault of the text
    for name, given in parameters.items():
        if name in _NUMBERS:
            if type(given) is not int or not 0 <= given < MAX_INSTANT:
                raise ValueError(f"parameter {name} is no time in seconds (RFC 9421 2.3)")
        elif name not in _TEXTS:
            raise ValueError(f"unknown signature parameter {name[:MAX_TEXT]!r} (RFC 9421 2.3)")
        elif type(given) is not str or not 0 < len(given) <= MAX_TEXT:
            raise ValueError(f"parameter {name} is no string of 1 to {MAX_TEXT} characters (RFC 9421 2.3)")
    # Every value was checked above to be of the type that its place in `Parameters` states.
    found = Parameters(fields.write_parameters(parameters), **parameters)  # type: ignore[arg-type]
    if found.created is not None and found.expires is not None and found.expires < found.created:
        raise ValueError("the signature expires before it was created (RFC 9421 2.3)")
    return found


def read_signature(text: str, label: str) -> bytes | None:
    """Give the signature with a label out of the field Signature; None where it has none with that label.

    Raises ValueError for what is no dictionary, for more than MAX_SIGNATURES, and for a member that is no byte sequence
    in its canonical form: one signature has one spelling.
    """
    one = fields.read_bytes(text)
    if one is not None:
        return one[1] if one[0] == label else None
    members = fields.read_dictionary(text)
    if len(members) > MAX_SIGNATURES:
        raise ValueError(f"{len(members)} signatures; at most {MAX_SIGNATURES}")
    if label not in members:
        return None
    value, parameters = members[label]
    if not isinstance(value, bytes) or parameters or f"{label}={fields.write((value, {}))}" not in text:
        raise ValueError(f"signature {label!r} is no byte sequence in canonical base64 (RFC 9421 4.2)")
    return value
