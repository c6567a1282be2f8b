"""Structured fields (RFC 9651), strictly read: what stands twice is refused, where the RFC lets the last one count."""

import binascii
import re
from typing import Literal, Never, cast

from http_sf import parse
from http_sf.innerlist import ser_item_or_inner_list
from http_sf.parameters import ser_params
from http_sf.types import BareItemType, ItemType, ParamsType

type Item = tuple[BareItemType, ParamsType]
type InnerList = tuple[list[Item], ParamsType]
type Member = Item | InnerList
type Kind = Literal["dictionary", "list", "item"]

KINDS: tuple[Kind, ...] = ("dictionary", "list", "item")

_ONE_OF_BYTES = re.compile(r"([a-z*][a-z0-9_\-.*]*)=:([A-Za-z0-9+/]*={0,2}):")

_FAULTS = (ValueError, OverflowError, ArithmeticError)
"""What http_sf raises for text that is no structured field: dates can be too large, decimals too long."""


def read_dictionary(text: str) -> dict[str, Member]:
    """Read a dictionary (RFC 9651 3.2). Raises ValueError, also where a key or a parameter stands twice."""
    return cast("dict[str, Member]", _read(text, "dictionary"))


def read_bytes(text: str) -> tuple[str, bytes] | None:
    """Give the key and the octets of a dictionary with one member, a byte sequence in its canonical form.

    None for any other text. Nearly all Signature and Content-Digest fields are of this form, which takes a tenth of the
    time to read.
    """
    match = _ONE_OF_BYTES.fullmatch(text)
    if match is None:
        return None
    key, encoded = match.groups()
    try:
        octets = binascii.a2b_base64(encoded, strict_mode=True)
    except binascii.Error:
        return None
    return (key, octets) if binascii.b2a_base64(octets, newline=False).decode("ascii") == encoded else None


def read_item(text: str) -> Item:
    """Read an item (RFC 9651 3.3). Raises ValueError as `read_dictionary` does."""
    return cast("Item", _read(text, "item"))


def rewrite(text: str, kind: Kind) -> str:
    """Give the one serialisation of a field's value (RFC 9651 4.1). Raises ValueError as `read_dictionary` does."""
    value = _read(text, kind)
    if kind == "item":
        return write(cast("Item", value))
    if kind == "list":
        return ", ".join(write(member) for member in cast("list[Member]", value))
    return ", ".join(_write_pair(key, member) for key, member in cast("dict[str, Member]", value).items())


def write(member: Member) -> str:
    """Write an item or an inner list with its parameters (RFC 9651 4.1)."""
    return ser_item_or_inner_list(cast("ItemType", member))


def write_parameters(parameters: ParamsType) -> str:
    """Write parameters, each after its semicolon (RFC 9651 4.1.1.2). Raises ValueError for what they cannot hold."""
    return ser_params(parameters)


def _write_pair(key: str, member: Member) -> str:
    value, parameters = member
    return f"{key}{write_parameters(parameters)}" if value is True else f"{key}={write(member)}"


def _read(text: str, kind: Kind) -> object:
    try:
        return parse(text.encode("latin-1"), tltype=kind, on_duplicate_key=_refuse)
    except _FAULTS as error:
        raise ValueError(f"no {kind} of RFC 9651: {_said(error)}") from None


def _refuse(key: str, where: str) -> Never:
    raise ValueError(f"{where} key {key!r} stands twice")


def _said(error: Exception) -> str:
    """Give the message, cut: it may quote what was sent."""
    return str(error)[:96]
