"""The section `schemes`: composed signature schemes, HTTP Message Signatures, JWS, and presets of all of them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from gateway.core.message import Instant
from gateway.policy.composed_parts import read_parts
from gateway.policy.document import Definition
from gateway.policy.jws_schemes import TYPE as JWS
from gateway.policy.jws_schemes import read_jws_scheme
from gateway.policy.message_schemes import TYPE, read_message_scheme
from gateway.policy.nodes import MappingNode, Node
from gateway.policy.presets import merged, preset_names
from gateway.policy.presets import preset as load_preset
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader, suggestion
from gateway.policy.scheme_places import read_place
from gateway.policy.sigv4_schemes import TYPE as SIGV4
from gateway.policy.sigv4_schemes import read_sigv4_scheme
from gateway.policy.values import instant
from gateway.policy.weaknesses import warn_of
from gateway.signing import parts as p
from gateway.signing.algorithms import PUBLIC_KEY_ALGORITHMS
from gateway.signing.composed import ComposedScheme
from gateway.signing.composition import signs, weakness_of
from gateway.signing.encoding import Encoding, TimestampFormat
from gateway.signing.httpsig.profiles import PROFILES
from gateway.signing.places import Place
from gateway.signing.scheme import Scheme
from gateway.signing.secret_algorithms import SECRET_ALGORITHMS

COMPOSED = "composed"

DAY = 86_400.0

ENDS_SOON = 30 * DAY
"""Seconds before the end of an exception from which on it is warned of."""

_ENCODINGS: tuple[Encoding, ...] = ("hex", "hex-upper", "base64", "base64url")
_TIMES: tuple[TimestampFormat, ...] = ("unix", "unix-ms", "rfc3339")

KEYS = (
    "type", "preset", "encoding", "separator", "key_id", "timestamp", "nonce", "ecdsa", "allow_weak", "settings",
)  # fmt: skip
"""What a composed scheme may have beside what it must have."""

type Read = Callable[[Reader, str, Definition], Scheme[Any] | None]


def read_scheme(reader: Reader, name: str, definition: Definition) -> Scheme[Any] | None:
    """Read one scheme of any type: composed where it names no other.

    One that is made of a preset says so in its `origin`.
    """
    chosen = ""
    named = definition.node.values if isinstance(definition.node, MappingNode) else {}
    preset = named.get("preset")
    if preset is not None:
        chosen = reader.text(preset, "the name of a preset") or ""
        if chosen in PROFILES:
            return read_message_scheme(reader, name, definition)
        if chosen not in preset_names():
            if chosen:
                hint = suggestion(chosen, (*PROFILES, *preset_names()), "docs/signatures.md lists them")
                reader.error(preset, f"{quoted(chosen)} is no preset", hint)
            return None
        definition = merged(chosen, definition)
        named = definition.node.values if isinstance(definition.node, MappingNode) else {}
    written = reader.choice(named.get("type"), tuple(_TYPES), "type of schemes")
    if "type" in named and written is None:
        return None
    scheme = _TYPES[written or COMPOSED](reader, name, definition)
    if scheme is None or not chosen:
        return scheme
    return replace(cast("ComposedScheme", scheme), origin=f"preset {chosen}, {load_preset(chosen).standing}")


def _read_composed(reader: Reader, name: str, definition: Definition) -> ComposedScheme | None:
    """Read a composed scheme.

    What it leaves unprotected is warned of; a timestamp or nonce left unsigned is an error.
    """
    fields = reader.fields(definition.node, required=("algorithm", "string_to_sign", "signature"), optional=KEYS)
    if fields is None:
        return None
    errors = reader.errors
    algorithm = reader.choice(
        fields.get("algorithm"), (*SECRET_ALGORITHMS, *PUBLIC_KEY_ALGORITHMS), "algorithm of signatures"
    )
    encoding = reader.choice(fields.get("encoding"), _ENCODINGS, "encoding of signatures") or "hex"
    separator = reader.raw_text(fields.get("separator"), 'a text in quotes such as "\\n"')
    der = reader.choice(fields.get("ecdsa"), ("raw", "der"), "form of ECDSA signatures") == "der"
    parts = read_parts(reader, fields.get("string_to_sign"), fields.get("settings"))
    signature, until = read_place(reader, fields.get("signature"), "key_id_until")
    key_id, _ = read_place(reader, fields.get("key_id"))
    timestamp, form = read_place(reader, fields.get("timestamp"), "format")
    nonce, _ = read_place(reader, fields.get("nonce"))
    ends = reader.raw_text(until, "the text after the key id") or ""
    stated = reader.choice(form, _TIMES, "form of timestamps") or "unix"
    weak_until = _read_allow_weak(reader, definition, fields, algorithm)
    if parts is not None:
        _check_signed(reader, fields, parts, {"timestamp": timestamp, "nonce": nonce})
    if reader.errors > errors or algorithm is None or parts is None or signature is None:
        return None
    try:
        scheme = ComposedScheme(
            name=name,
            parts=parts,
            separator=("\n" if separator is None else separator).encode(),
            algorithm=algorithm,
            encoding=encoding,
            signature=signature,
            key_id=key_id,
            timestamp=timestamp,
            timestamp_format=stated,
            nonce=nonce,
            der=der,
            key_id_until=ends,
            weak_until=weak_until,
        )
    except ValueError as error:
        reader.error(definition.key, str(error))
        return None
    warn_of(reader, definition, scheme)
    return scheme


def _read_allow_weak(
    reader: Reader, definition: Definition, fields: Mapping[str, Node], algorithm: str | None
) -> Instant | None:
    """Read who answers for a weak algorithm, and until when; without that it is an error."""
    node = fields.get("allow_weak")
    why = weakness_of(algorithm) if algorithm is not None else ""
    written = reader.fields(node, required=("owner", "until"))
    until = reader.value(written.get("until"), instant) if written is not None else None
    if written is not None:
        reader.text(written.get("owner"), "who answers for it")
    if algorithm is None:
        return None
    if why and node is None:
        hint = "expected `allow_weak: {owner: WHO, until: 2027-06-30}` beside it, or another algorithm"
        reader.error(fields.get("algorithm", definition.key), f"{algorithm} is weak: {why}", hint)
    elif not why and node is not None:
        reader.error(node, f"{algorithm} is not weak", "remove `allow_weak`")
    if until is not None and reader.now is not None and written is not None:
        if until <= reader.now:
            reader.warning(written["until"], "the exception has ended", "requests by this scheme are refused")
        elif until - reader.now < ENDS_SOON:
            days = int((until - reader.now) // DAY)
            reader.warning(written["until"], f"the exception ends in {days} days", "requests are refused from then on")
    return until


_TYPES: Mapping[str, Read] = {
    COMPOSED: _read_composed,
    TYPE: read_message_scheme,
    JWS: read_jws_scheme,
    SIGV4: read_sigv4_scheme,
}


def _check_signed(
    reader: Reader, fields: Mapping[str, Node], parts: tuple[p.Part, ...], places: Mapping[str, Place | None]
) -> None:
    for what, part in (("timestamp", p.Timestamp()), ("nonce", p.Nonce())):
        place = places[what]
        if place is not None and part not in parts and not signs(parts, place):
            hint = f"add `{what}` to string_to_sign"
            reader.error(fields[what], f"the {what} is not signed, so anyone could change it", hint)
        if what not in fields and part in parts:
            hint = f"expected `{what}: {{header: NAME}}` beside string_to_sign"
            reader.error(fields["string_to_sign"], f"the {what} is signed, but no field carries it", hint)
