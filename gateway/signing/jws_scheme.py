"""JSON Web Signatures over messages (RFC 7515, detached as in its appendix F, or attached), unencoded by RFC 7797.

A check comes in the three steps of every scheme:

1. `read`: the field or the body holds one compact JWS, within bounds, whose header is what the scheme asks for
2. `admit`: the key is known, in force and for the header's `alg`; the time that was stated lies within the window
3. `match`: the signature is the key's over header and payload, which is made from the bytes received
"""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal, NamedTuple

from gateway.core.facts import VerifiedSignature
from gateway.core.message import Instant, RequestHead
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied, Reason
from gateway.signing.algorithms import MAX_SIGNATURE
from gateway.signing.encoding import read_timestamp, write_timestamp
from gateway.signing.jose import decode_base64url, encode_base64url
from gateway.signing.jws_header import MAX_HEADER, Expected, JoseHeader
from gateway.signing.jws_payload import BodyPayload, Payload
from gateway.signing.own import OwnKey, Signed
from gateway.signing.places import InHeader
from gateway.signing.presented import visible
from gateway.signing.scheme import Known, inactive, refusal
from gateway.signing.secret_algorithms import SECRET_ALGORITHMS
from gateway.signing.window import Window

JOSE_ALGORITHMS: Mapping[str, str] = {
    "PS256": "rsa-pss-sha256",
    "PS512": "rsa-pss-sha512",
    "ES256": "ecdsa-p256-sha256",
    "ES384": "ecdsa-p384-sha384",
    "ES512": "ecdsa-p521-sha512",
    "EdDSA": "ed25519",
    "RS256": "rsa-v1_5-sha256",
    "RS512": "rsa-v1_5-sha512",
    "HS256": "hmac-sha256",
    "HS384": "hmac-sha384",
    "HS512": "hmac-sha512",
}
"""Algorithms of keys by the names of RFC 7518 and RFC 8037."""

_NAMES = {algorithm: name for name, algorithm in JOSE_ALGORITHMS.items()}

_MAX_SIGNATURE_TEXT = 4 * MAX_SIGNATURE // 3 + 2

type Carried = Literal["detached", "attached", "body"]
"""In a field without payload; in a field with the body as its payload; as the whole body."""


class PresentedJws(NamedTuple):
    """The JWS of a request: well-formed, unverified."""

    key_id: str | None
    header: JoseHeader
    created: Instant | None
    nonce: str | None
    payload: str
    """In base64url; empty where it is detached."""
    signature: bytes

    @property
    def trailers(self) -> bool:
        """No trailers are signed."""
        return False

    def __repr__(self) -> str:
        """Without the signature."""
        return f"PresentedJws(header={self.header!r}, nonce={self.nonce!r})"


_NO_HEADER = JoseHeader("", None, unencoded=False, parameters={}, text="")
_LATER = PresentedJws(None, _NO_HEADER, None, None, "", b"")


@dataclass(frozen=True, slots=True)
class JwsScheme:
    """A use of JWS. Raises ValueError where it asks for what cannot be."""

    name: str
    algorithms: frozenset[str]
    """By the names of keys."""
    header_field: str = ""
    """Field that carries it, in lower case; empty where the body does."""
    carried: Carried = "detached"
    expected: Expected = field(default_factory=Expected)
    payload: Payload = field(default_factory=BodyPayload)
    key_named: bool = True
    """Whether the header must have `kid`."""
    created_parameter: str | None = None
    """Parameter of the header that states the time, in Unix seconds."""
    created_field: str | None = None
    """Signed field that states the time by RFC 3339."""
    nonce_parameter: str | None = None
    nonce_field: str | None = None
    origin: str = ""
    """The preset that it is made of, for people."""

    needs_body = True

    def __post_init__(self) -> None:
        unknown = self.algorithms - _NAMES.keys()
        if unknown or not self.algorithms:
            raise ValueError(f"algorithms {sorted(unknown)} are none of {', '.join(_NAMES)}")
        if bool(self.header_field) == (self.carried == "body"):
            raise ValueError("a JWS stands in a field, or is the body")
        for what, parameter, name in (
            ("timestamp", self.created_parameter, self.created_field),
            ("nonce", self.nonce_parameter, self.nonce_field),
        ):
            if parameter is not None and name is not None:
                raise ValueError(f"the {what} stands in one place")
            if name is not None and name not in self.payload.fields:
                raise ValueError(f"the {what} of {name} is not signed, so anyone could change it: require the field")
        if self.carried != "detached" and self.expected.unencoded is not False:
            raise ValueError("only a detached payload can be unencoded")

    @property
    def carried_in_body(self) -> bool:
        """Whether the body is the JWS."""
        return self.carried == "body"

    @property
    def names_key(self) -> bool:
        """Whether every signature names its key."""
        return self.key_named

    @property
    def dated(self) -> bool:
        """Whether every signature states its time."""
        return self.created_parameter is not None or self.created_field is not None

    @property
    def carriers(self) -> frozenset[str]:
        """The field that carries it."""
        return frozenset({self.header_field}) if self.header_field else frozenset()

    @property
    def sets(self) -> frozenset[str]:
        """That field, and those of timestamp and nonce."""
        return frozenset(name for name in (self.header_field, self.created_field, self.nonce_field) if name)

    def weaknesses(self) -> tuple[str, ...]:
        """Give what the scheme leaves unprotected, one sentence each with the way to mend it; for the linter."""
        found = []
        if not self.payload.signs_target:
            found.append("the method is not signed, so a request can be turned into another: sign it too")
            found.append("the path is not signed, so a request can be sent to another resource: sign it too")
        found.append("the query is not signed, so it can be changed: take no parameters there")
        if not self.dated:
            found.append("there is no timestamp, so a request counts for ever once its replay memory ends: add one")
        if self.nonce_parameter is None and self.nonce_field is None:
            found.append("there is no nonce, so a repeated request cannot be told from a replayed one: add one")
        return tuple(found)

    def read(self, head: RequestHead, _known: Known | None = None, /) -> PresentedJws:
        """Read what the request presents.

        Raises Denied: SIGNATURE_MISSING, FIELD_REPEATED, SIGNATURE_MALFORMED, SIGNATURE_COVERAGE.
        """
        if self.carried == "body":
            return _LATER
        text = head.headers.single(self.header_field)
        if text is None:
            raise refusal(Reason.SIGNATURE_MISSING, f"no {self.header_field} field for the signature")
        return self._read(text, head, self.header_field)

    def read_body(
        self, presented: PresentedJws, head: RequestHead, body: bytes, _known: Known | None = None, /
    ) -> PresentedJws:
        """Read the body as a JWS, where the scheme has it there. Raises Denied as `read`."""
        if self.carried != "body":
            return presented
        if not body:
            raise refusal(Reason.SIGNATURE_MISSING, "no body that could be a signature")
        return self._read(body.decode("latin-1"), head, "body")

    def _read(self, text: str, head: RequestHead, where: str) -> PresentedJws:
        parts = text.split(".", 3)
        if len(parts) != 3:
            raise refusal(Reason.SIGNATURE_MALFORMED, f"{where} has not the three parts of a JWS (RFC 7515 7.1)")
        encoded, payload, signature = parts
        if bool(payload) == (self.carried == "detached"):
            what = "a payload of its own" if payload else "no payload"
            raise refusal(Reason.SIGNATURE_MALFORMED, f"{where} has {what}")
        if len(signature) > _MAX_SIGNATURE_TEXT or (self.carried == "detached" and len(encoded) > MAX_HEADER):
            raise refusal(Reason.SIGNATURE_MALFORMED, f"{where} is too long")
        try:
            header = JoseHeader.read(encoded, self.expected)
            raw = decode_base64url(signature)
            created, nonce = self._created(header, head), self._nonce(header, head)
        except ValueError as error:
            raise refusal(Reason.SIGNATURE_MALFORMED, f"{where}: {error}") from None
        if self.key_named and header.key_id is None:
            raise refusal(Reason.SIGNATURE_MISSING, f"{where} names no key: its header has no kid")
        self.payload.check(header, head)
        return PresentedJws(header.key_id if self.key_named else None, header, created, nonce, payload, raw)

    def _created(self, header: JoseHeader, head: RequestHead) -> Instant | None:
        if self.created_parameter is not None:
            value = header.parameters.get(self.created_parameter)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 10**11:
                raise ValueError(f"{self.created_parameter} is missing, or no time in whole seconds")
            return Instant(float(value))
        if self.created_field is not None:
            text = head.headers.single(self.created_field)
            if text is None:
                raise refusal(Reason.SIGNATURE_MISSING, f"no {self.created_field} field for the timestamp")
            return read_timestamp(text, "rfc3339")
        return None

    def _nonce(self, header: JoseHeader, head: RequestHead) -> str | None:
        if self.nonce_parameter is not None:
            value = header.parameters.get(self.nonce_parameter)
            return visible(value if isinstance(value, str) else "", InHeader(self.nonce_parameter))
        if self.nonce_field is not None:
            value = head.headers.single(self.nonce_field)
            if value is None:
                raise refusal(Reason.SIGNATURE_MISSING, f"no {self.nonce_field} field for the nonce")
            return visible(value, InHeader(self.nonce_field))
        return None

    def admit(
        self, presented: PresentedJws, keys: Mapping[str, SigningKey], window: Window, now: Instant
    ) -> tuple[SigningKey, ...]:
        """Give the keys that may have made the signature: the one that is named, or all in force.

        Raises Denied: SIGNATURE_KEY_UNKNOWN, SIGNATURE_ALGORITHM, SIGNATURE_KEY_INACTIVE, SIGNATURE_STALE or
        SIGNATURE_FUTURE.
        """
        stated = JOSE_ALGORITHMS.get(presented.header.algorithm, "")
        known = [key for key in keys.values() if not self.key_named or key.id == presented.key_id]
        fitting = [key for key in known if key.algorithm in self.algorithms]
        if not fitting:
            who = f"key {presented.key_id!r}" if self.key_named else "no key"
            raise refusal(Reason.SIGNATURE_KEY_UNKNOWN, f"{who} is one of the partner's for {self._listed()}")
        right = [key for key in fitting if key.algorithm == stated]
        if not right:
            detail = f"alg is {presented.header.algorithm!r}, the key is for {fitting[0].algorithm}"
            raise refusal(Reason.SIGNATURE_ALGORITHM, detail)
        admitted = tuple(key for key in right if key.in_force(now))
        if not admitted:
            raise refusal(Reason.SIGNATURE_KEY_INACTIVE, ", ".join(inactive(key, now) for key in right))
        if presented.created is not None:
            window.check(presented.created, now)
        return admitted

    def _listed(self) -> str:
        return " or ".join(sorted(self.algorithms))

    def match(
        self,
        head: RequestHead,
        body: bytes,
        presented: PresentedJws,
        keys: tuple[SigningKey, ...],
        window: Window,
    ) -> VerifiedSignature:
        """Verify the signature. Raises Denied(SIGNATURE_MISMATCH)."""
        if self.carried == "attached" and presented.payload != encode_base64url(body):
            raise refusal(Reason.SIGNATURE_MISMATCH, "the payload that was signed is not the body")
        signed = self.string_to_sign(head, body, presented)
        for key in keys:
            if _verifies(key, signed, presented.signature):
                nonce, created = presented.nonce, presented.created
                # Neither key id nor nonce holds a line feed, so no other pair gives the same bytes.
                identity = sha256(signed).digest() if nonce is None else f"{key.id}\n{nonce}".encode()
                end = None if created is None else window.end(created)
                return VerifiedSignature(key.id, created, nonce, identity, end)
        raise refusal(Reason.SIGNATURE_MISMATCH, f"is not the key's over the {len(signed)} bytes of the signing input")

    def string_to_sign(self, head: RequestHead, body: bytes, presented: PresentedJws, /) -> bytes:
        """Give the signing input (RFC 7515 5.1)."""
        if self.carried == "body":
            return f"{presented.header.text}.{presented.payload}".encode("latin-1")
        payload = self.payload.build(presented.header, head, body)
        if not presented.header.unencoded:
            payload = encode_base64url(payload).encode("ascii")
        return presented.header.text.encode("ascii") + b"." + payload

    def sign(self, head: RequestHead, body: bytes, *, key: OwnKey, now: Instant, nonce: str) -> Signed:
        """Give the field that a client adds, or its body. Raises ValueError as every scheme does."""
        if key.algorithm not in self.algorithms:
            raise ValueError(f"key {key.id!r} is for {key.algorithm}, not for {self._listed()}")
        fields = [(self.nonce_field, nonce)] if self.nonce_field is not None else []
        if self.created_field is not None:
            fields.append((self.created_field, write_timestamp(now, "rfc3339")))
        head, _ = Signed(fields).applied(head, body)
        parameters = self.header_of(key.algorithm, key.id, int(now), nonce)
        text = encode_base64url(json.dumps(parameters, separators=(",", ":")).encode())
        try:
            header = JoseHeader.read(text, self.expected)
            self.payload.check(header, head)
            payload = encode_base64url(body) if self.carried != "detached" else ""
            presented = PresentedJws(key.id, header, now, nonce, payload, b"")
            raw = _sign(key, self.string_to_sign(head, body, presented))
            jws = f"{text}.{payload}.{encode_base64url(raw)}"
            if self.carried == "body":
                return Signed(fields, body=jws.encode("ascii"))
            made = Signed([*fields, (self.header_field, jws)])
            self.read(made.applied(head, body)[0])
        except (Denied, ValueError) as error:
            detail = error.detail if isinstance(error, Denied) else str(error)
            raise ValueError(f"scheme {self.name} would refuse the request: {detail}") from None
        return made

    def header_of(self, algorithm: str, key_id: str, created: object, nonce: str) -> dict[str, object]:
        """Give the header that a client sends."""
        unencoded = self.expected.unencoded is True
        required = {name: text if text is not None else key_id for name, text in self.expected.required.items()}
        critical = [*(["b64"] if unencoded else []), *sorted(self.expected.critical)]
        return {
            "alg": _NAMES[algorithm],
            **({"kid": key_id} if self.key_named else {}),
            **({"b64": False} if unencoded else {}),
            **required,
            **({self.created_parameter: created} if self.created_parameter is not None else {}),
            **({self.nonce_parameter: nonce} if self.nonce_parameter is not None else {}),
            **({"crit": critical} if critical else {}),
            **self.payload.parameters(),
        }


def _verifies(key: SigningKey, signed: bytes, signature: bytes) -> bool:
    secret = SECRET_ALGORITHMS.get(key.algorithm)
    if secret is not None:
        return hmac.compare_digest(secret.digest(key.secret, signed), signature)
    return key.public.verifies(signed, signature)


def _sign(key: OwnKey, signed: bytes) -> bytes:
    secret = SECRET_ALGORITHMS.get(key.algorithm)
    return key.private.sign(signed) if secret is None else secret.digest(key.secret, signed)
