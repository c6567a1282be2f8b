"""How a scheme's requests are signed, step by step and in no language: what the samples are written from."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.kit.answer_checks import AnswerKey
from gateway.signing import parts as p
from gateway.signing.composed import ComposedScheme
from gateway.signing.encoding import Encoding, TimestampFormat
from gateway.signing.httpsig.component import Component
from gateway.signing.httpsig.digest import CONTENT_DIGEST
from gateway.signing.httpsig.scheme import EXPIRES_AFTER, HttpMessageScheme
from gateway.signing.jws_payload import RequestPayload
from gateway.signing.jws_scheme import JwsScheme
from gateway.signing.places import InHeader, Place
from gateway.signing.scheme import Scheme

ALGORITHMS = (
    "hmac-sha256", "hmac-sha384", "hmac-sha512", "ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "rsa-pss-sha512",
    "rsa-v1_5-sha256", "rsa-pss-sha256", "rsa-v1_5-sha512", "ecdsa-p521-sha512",
)  # fmt: skip
"""Those that the samples can sign by."""

ENCODINGS = ("utf-8", "hex", "base64")
"""How the file of a shared secret may be written."""

BODY = "body"
"""The variable whose value is bytes."""


SCALAR_OCTETS: Mapping[str, int] = {"p256": 32, "p384": 48, "p521": 66}
"""Bytes of each number of an ECDSA signature, by curve."""


class Piece(NamedTuple):
    """A piece of text: as it is, or the value of a variable of the sample's."""

    text: str
    variable: bool = False


type Pieces = tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """The request that the samples send."""

    method: str
    path: str
    body: str
    fields: Mapping[str, str]
    """Fields beside those of the signature, by name; a value that begins with `$` is the environment's."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is signed, by what, and where it is put."""

    string: Pieces
    algorithm: str
    encoding: Encoding
    headers: tuple[tuple[str, Pieces], ...]
    """Fields to send, the signature's last; `signature` is a variable of theirs."""
    timestamp_format: TimestampFormat = "unix"
    der: bool = False
    """Whether an ECDSA signature goes out in DER."""
    expires_after: int = int(EXPIRES_AFTER)
    jose: Pieces = ()
    """The header of a JWS, as JSON; `jose` is a variable of what is signed and sent then."""
    payload: Pieces = ()
    """The payload of a JWS that is encoded; `payload` is a variable then."""
    sent: Pieces = ()
    """The body that is sent in place of `body`; empty where that is sent itself."""


class Given(NamedTuple):
    """What a sample is written from."""

    plan: Plan
    sample: Sample
    about: str
    """What it does, in a line."""
    base_url: str
    key_id: str
    secret_encoding: str = "utf-8"  # noqa: S105 - how one is written
    answers: AnswerKey | None = None
    """How the answers are signed; None where the sample does not check them."""


def text(*written: str) -> Pieces:
    """Give pieces of text, in which `{name}` stands for a variable and nothing else is special."""
    found: list[Piece] = []
    for each in written:
        variable = each.startswith("{") and each.endswith("}")
        found.append(Piece(each[1:-1], variable=True) if variable else Piece(each))
    return tuple(found)


def plan_of(scheme: Scheme[Any], algorithm: str, sample: Sample) -> Plan | None:
    """Give the plan of a scheme; None for one that the samples have no words for."""
    if algorithm not in ALGORITHMS:
        return None
    if isinstance(scheme, HttpMessageScheme):
        return _of_messages(scheme, algorithm, sample)
    if isinstance(scheme, JwsScheme):
        return _of_jws(scheme, algorithm)
    return _of_composed(scheme, sample) if isinstance(scheme, ComposedScheme) else None


# HTTP Message Signatures

_DERIVED = {
    "@method": "method", "@target-uri": "url", "@authority": "authority", "@request-target": "target", "@path": "path",
}  # fmt: skip


def _of_messages(scheme: HttpMessageScheme, algorithm: str, sample: Sample) -> Plan | None:
    covered = dict.fromkeys(scheme.covered)
    present = [name for name in scheme.covered_if_present if name in sample.fields]
    covered |= dict.fromkeys(Component.parse(name) for name in present)
    if sample.body:
        covered |= dict.fromkeys([Component.parse(CONTENT_DIGEST)])
    lines: list[str] = []
    for component in covered:
        value = _value(component, sample)
        if value is None:
            return None
        lines += [f"{component.identifier}: ", *value, "\n"]
    parameters = [";created=", "{timestamp}", ';keyid="', "{key_id}", '"']
    if scheme.expires_required:
        parameters += [";expires=", "{expires}"]
    parameters += [';nonce="', "{nonce}", '"']
    if scheme.tag is not None:
        parameters.append(f';tag="{scheme.tag}"')
    inner = f"({' '.join(each.identifier for each in covered)})"
    label = scheme.label or "sig1"
    digest = [(CONTENT_DIGEST, text("sha-256=:", "{digest_sha256_base64}", ":"))] if sample.body else []
    return Plan(
        string=text(*lines, f'"@signature-params": {inner}', *parameters),
        algorithm=algorithm,
        encoding="base64",
        headers=(
            *digest,
            ("signature-input", text(f"{label}={inner}", *parameters)),
            ("signature", text(f"{label}=:", "{signature}", ":")),
        ),
    )


def _value(component: Component, sample: Sample) -> list[str] | None:
    """Give the pieces of a component's value; None where the samples have none."""
    if component != Component(component.name):
        return None
    if component.name == CONTENT_DIGEST:
        return ["sha-256=:", "{digest_sha256_base64}", ":"]
    if component.name in _DERIVED:
        return [f"{{{_DERIVED[component.name]}}}"]
    if component.name == "@scheme":
        return ["https"]
    if component.name == "@query":
        return ["?"]
    return [f"{{{field_variable(component.name)}}}"] if component.name in sample.fields else None


def field_variable(name: str) -> str:
    """Name the variable of a field's value."""
    return "field_" + name.replace("-", "_").replace(".", "_")


# JSON Web Signatures

_OWN = re.compile(r'("\{timestamp\}"|\{key_id\}|\{nonce\})')
"""What differs from one header to the next; the time is a number."""


def _of_jws(scheme: JwsScheme, algorithm: str) -> Plan:
    header = scheme.header_of(algorithm, "{key_id}", "{timestamp}", "{nonce}")
    split = _OWN.split(json.dumps(header, separators=(",", ":")))
    jose = tuple(Piece(each.strip('"{}'), variable=True) if _OWN.match(each) else Piece(each) for each in split if each)
    carried = {scheme.created_field: "timestamp", scheme.nonce_field: "nonce"}
    signed: list[str] = []
    if isinstance(scheme.payload, RequestPayload):
        signed += ["{method}", " ", "{path}", "\n"]
        for name in scheme.payload.required:
            variable = carried.get(name.lower(), field_variable(name.lower()))
            signed += [f"{name}: ", f"{{{variable}}}", "\n"]
    unencoded = scheme.expected.unencoded is True
    payload = text(*signed, f"{{{BODY}}}")
    compact = text("{jose}", ".", *([] if scheme.carried == "detached" else ["{payload}"]), ".", "{signature}")
    own = tuple((name, text(f"{{{variable}}}")) for name, variable in carried.items() if name is not None)
    return Plan(
        string=text("{jose}", ".") + (payload if unencoded else text("{payload}")),
        algorithm=algorithm,
        encoding="base64url",
        headers=own if scheme.carried == "body" else (*own, (scheme.header_field, compact)),
        timestamp_format="unix" if scheme.created_field is None else "rfc3339",
        jose=jose,
        payload=() if unencoded else payload,
        sent=compact if scheme.carried == "body" else (),
    )


# Composed schemes

_PARTS: Mapping[type, str] = {
    p.Method: "method", p.Path: "path", p.Target: "target", p.Body: BODY, p.Timestamp: "timestamp", p.Nonce: "nonce",
}  # fmt: skip


def _of_composed(scheme: ComposedScheme, sample: Sample) -> Plan | None:
    places = (scheme.key_id, scheme.timestamp, scheme.nonce, scheme.signature)
    if scheme.key_id_until or any(place is not None and not isinstance(place, InHeader) for place in places):
        return None
    string: list[str] = []
    for index, part in enumerate(scheme.parts):
        found = _part(part, sample)
        if found is None:
            return None
        string += [*([scheme.separator.decode("latin-1")] if index and scheme.separator else []), *found]
    return Plan(
        string=text(*string),
        algorithm=scheme.algorithm,
        encoding=scheme.encoding,
        headers=tuple(_headers(places)),
        timestamp_format=scheme.timestamp_format,
        der=scheme.der,
    )


def _part(part: p.Part, sample: Sample) -> list[str] | None:
    if isinstance(part, p.Literal):
        return [part.text]
    if isinstance(part, p.Query):
        return []
    if isinstance(part, p.Header):
        known = part.name in sample.fields
        return ["{authority}"] if part.name == "host" else [f"{{{field_variable(part.name)}}}"] if known else None
    if isinstance(part, p.BodyDigest):
        known = part.encoding in ("hex", "base64")
        return [f"{{digest_{part.hash}_{part.encoding}}}"] if known else None
    return [f"{{{_PARTS[type(part)]}}}"] if type(part) in _PARTS else None


def _headers(places: tuple[Place | None, ...]) -> Iterator[tuple[str, Pieces]]:
    for place, variable in zip(places, ("key_id", "timestamp", "nonce", "signature"), strict=True):
        if isinstance(place, InHeader):
            yield place.name, text(*([place.prefix] if place.prefix else []), f"{{{variable}}}")


def digests(plan: Plan) -> list[tuple[str, str, str]]:
    """Give variable, hash and encoding of each digest of the body that a plan needs."""
    pieces = [*plan.string, *(piece for _, value in plan.headers for piece in value)]
    names = dict.fromkeys(piece.text for piece in pieces if piece.variable and piece.text.startswith("digest_"))
    return [(name, *name.removeprefix("digest_").split("_")) for name in names]  # type: ignore[misc]
