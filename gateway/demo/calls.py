"""Calls of the partners: valid in every part, so that a scenario changes exactly one thing (`dataclasses.replace`)."""

import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from gateway.core.message import Instant
from gateway.demo.credentials import Credentials, Party
from gateway.demo.signing import Fields, Stamp

type Sign = Callable[[bytes, Stamp, str, str, bytes], Fields]

NOBODY = ""
"""Instead of an identity: a client without a certificate."""


class Forgery(Enum):
    """How a token is not the operator's."""

    NONE = "signed by the operator"
    KNOWN_KEY_ID = "signed by another key under the operator's key id"
    UNKNOWN_KEY_ID = "signed by another key under its own id"
    UNSIGNED = "alg none"


@dataclass(frozen=True, slots=True)
class Token:
    """An access token to ask for."""

    audience: str
    scopes: str
    subject: str | None = None
    """None: the caller's own."""
    lifetime: float = 300.0
    """Seconds from iat to exp."""
    issued_ago: float = 0.0
    """Seconds; negative: in the future."""
    issuer: str | None = None
    """None: the operator."""
    forgery: Forgery = Forgery.NONE


@dataclass(frozen=True, slots=True)
class Message:
    """A request as it goes out."""

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    body: bytes
    version: str = "HTTP/1.1"

    def render(self, authority: str) -> bytes:
        """Write the message as it is, however wrong: framing fields are added where it has none."""
        fields = list(self.fields)
        names = {name.lower() for name, _ in fields}
        if "host" not in names:
            fields.insert(0, ("Host", authority))
        if not names & {"content-length", "transfer-encoding"}:
            fields.append(("Content-Length", str(len(self.body))))
        lines = [f"{self.method} {self.target} {self.version}", *(f"{name}: {value}" for name, value in fields)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


@dataclass(frozen=True, slots=True)
class Call:
    """A partner's call and the ways in which scenarios change it."""

    operation: str
    """Name of the route it is meant for."""
    party: Party
    method: str
    target: str
    token: Token | None
    """None: none is sent."""
    body: Mapping[str, object] | None = None
    sign: Sign | None = None
    """None: it is not signed."""
    identity: str | None = None
    """Whose certificate is presented; None: the party's own."""
    source: str = "127.0.0.1"
    """Address it is sent from."""
    http2: bool = False
    plaintext: bool = False
    key_id: str | None = None
    """None: the party's key in use."""
    signed_ago: float = 0.0
    """Seconds; negative: in the future."""
    extra: tuple[tuple[str, str], ...] = ()
    """Fields that are added after signing."""
    change: Callable[[Message], Message] | None = field(default=None, repr=False)
    """What happens to the message after signing; it is then sent by a bare socket."""

    @property
    def certificate(self) -> str:
        """The identity whose certificate is presented."""
        return self.party.name if self.identity is None else self.identity

    def message(self, credentials: Credentials, now: Instant) -> Message:
        """Make the message: a token, a nonce and a signature of its own each time."""
        body = b"" if self.body is None else json.dumps(_with_reference(self.body)).encode()
        fields: dict[str, str] = {} if self.body is None else {"Content-Type": "application/json"}
        if self.token is not None:
            fields["Authorization"] = f"Bearer {self._token_text(self.token, credentials, now)}"
        if self.sign is not None:
            fields |= self._signature(self.sign, credentials, now, body)
        message = Message(self.method, self.target, (*fields.items(), *self.extra), body)
        return message if self.change is None else self.change(message)

    def _signature(self, sign: Sign, credentials: Credentials, now: Instant, body: bytes) -> Fields:
        key_id = self.key_id or self.party.signing_keys[0]
        # A key id that the policy does not know comes with a secret that nobody knows.
        known = key_id in self.party.signing_keys
        secret = credentials.secret(key_id) if known else secrets.token_bytes(32)
        stamp = Stamp(key_id, int(now - self.signed_ago), secrets.token_hex(16))
        return sign(secret, stamp, self.method, self.target, body)

    def _token_text(self, token: Token, credentials: Credentials, now: Instant) -> str:
        issued = int(now - token.issued_ago)
        claims = {
            "iss": token.issuer or credentials.operator.url,
            "sub": token.subject or self.party.subject,
            "aud": token.audience,
            "scope": token.scopes,
            "iat": issued,
            "exp": issued + int(token.lifetime),
            "jti": secrets.token_hex(8),
        }
        match token.forgery:
            case Forgery.NONE:
                return credentials.operator.sign(claims)
            case Forgery.KNOWN_KEY_ID:
                return credentials.forger.sign(claims, key_id=credentials.operator.key_id)
            case Forgery.UNKNOWN_KEY_ID:
                return credentials.forger.sign(claims)
            case Forgery.UNSIGNED:
                header = {"alg": "none", "kid": credentials.operator.key_id}
                return f"{_part(header)}.{_part(claims)}."


def _with_reference(body: Mapping[str, object]) -> dict[str, object]:
    """Name each movement of money anew, unless it has a name: the upstream moves once a reference."""
    return {"reference": f"demo-{secrets.token_hex(8)}", **body} if "amount" in body else dict(body)


def _part(claims: Mapping[str, object]) -> str:
    return urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
