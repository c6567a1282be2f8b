"""Idempotency: a request that comes again is answered again, and forwarded once.

Keys belong to a partner and a route. What is stored under a key, and for which state which answer is given, stands in
`gateway.core.holds`; the field is that of draft-ietf-httpapi-idempotency-key-header-07.
"""

import re
from collections.abc import Generator
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, ClassVar

from gateway.core.chain import Answer, Ask, answered
from gateway.core.document import Pointer, canonical, is_plain
from gateway.core.holds import HeldKey, KeyState, Remember, Remembered, Statuses
from gateway.core.message import Instant
from gateway.core.reasons import Denied, Reason

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange

LEASE = 60.0
"""Seconds beyond the upstream's own times after which a key in flight is of unknown fate: the body has to come first,
and the answer may take longer than its head."""

REPLAYED = ("idempotent-replayed", "true")
"""The field that tells an answer given again from a first one."""

ALWAYS_KEPT = frozenset({"content-type", "content-encoding"})
"""Fields of an answer without which its body cannot be read."""

AGAIN = "idempotency.again"
"""Marks a request that is forwarded again, the outcome of the first being unknown."""

_STRING = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"\Z')
"""A string of RFC 9651 3.3.3."""

_REFUSALS = {
    KeyState.IN_FLIGHT: (Reason.IDEMPOTENCY_IN_FLIGHT, "the first request with this key has no outcome yet"),
    KeyState.UNKNOWN: (
        Reason.IDEMPOTENCY_UNKNOWN,
        "the first request with this key was sent; nobody knows its outcome",
    ),
    KeyState.NOT_KEPT: (Reason.IDEMPOTENCY_NOT_KEPT, "the first request with this key was answered"),
}


@dataclass(frozen=True, slots=True)
class FieldKey:
    """The key stands in a header field: a structured string, or bare text."""

    name: str

    def read(self, exchange: "Exchange") -> Generator[Ask, Answer, bytes]:
        """Read it. Raises Denied: IDEMPOTENCY_KEY_MISSING, IDEMPOTENCY_KEY_INVALID, FIELD_REPEATED."""
        yield from ()
        written = exchange.request.headers.single(self.name)
        if written is None:
            raise Denied(Reason.IDEMPOTENCY_KEY_MISSING, f"{self.name} is absent")
        quoted = _STRING.match(written)
        key = written if quoted is None else re.sub(r"\\(.)", r"\1", quoted[1])
        if not is_plain(key) or (quoted is None and not set(key).isdisjoint('"\\,;')):
            raise Denied(Reason.IDEMPOTENCY_KEY_INVALID, f"{self.name} is no key")
        return key.encode()


@dataclass(frozen=True, slots=True)
class BodyKey:
    """The key is a value of the body, as a transaction id is."""

    pointer: Pointer

    def read(self, exchange: "Exchange") -> Generator[Ask, Answer, bytes]:
        """Read it. Raises Denied: BODY_VALUE_MISSING, BODY_VALUE_TYPE, IDEMPOTENCY_KEY_INVALID."""
        document = yield from exchange.read_document()
        return self.pointer.text_in(document, Reason.IDEMPOTENCY_KEY_INVALID).encode()


@dataclass(frozen=True, slots=True)
class SignedKey:
    """The key is what tells one signed request from others: its nonce, or all that was signed."""

    def read(self, exchange: "Exchange") -> Generator[Ask, Answer, bytes]:
        """Read it. Raises Denied(SIGNATURE_MISSING) where no control verified a signature."""
        yield from ()
        if exchange.signature is None:
            raise Denied(Reason.SIGNATURE_MISSING, "no control verified a signature")
        return exchange.signature.identity


type Key = FieldKey | BodyKey | SignedKey


@dataclass(frozen=True, slots=True)
class Idempotency:
    """Takes the request's key into flight, or answers from what is stored under it."""

    key: Key
    remember: float
    """Seconds for which a key is remembered, from its first request on."""
    final: Statuses
    not_done: Statuses
    limit: int
    """Bytes of an answer that is kept at most."""
    fields: frozenset[str] = ALWAYS_KEPT
    """Fields that are kept of an answer, in lower case."""
    same: tuple[Pointer, ...] | None = None
    """What of the body must be the same; None: all of it, and the query as well."""
    again: bool = False
    """Whether a request whose first one has an unknown outcome is forwarded again."""

    name: ClassVar[str] = "idempotency"

    def check(self, exchange: "Exchange") -> Generator[Ask, Answer, None]:
        """Take the key.

        1. it is read: IDEMPOTENCY_KEY_MISSING, IDEMPOTENCY_KEY_INVALID and reasons of the body
        2. new, or known to be undone: it is in flight until the request has ended
        3. of another request: IDEMPOTENCY_KEY_REUSED; REPLAY_SEEN, where the key is the signature's
        4. answered: IDEMPOTENCY_ANSWERED, with that answer
        5. IDEMPOTENCY_IN_FLIGHT, IDEMPOTENCY_UNKNOWN, IDEMPOTENCY_NOT_KEPT otherwise; a request that came before, and
           whose key is not known any more: REPLAY_SEEN

        Raises Denied with those reasons, and PARTNER_UNKNOWN.
        """
        partner, route = exchange.partner, exchange.route
        if partner is None or route is None:
            raise Denied(Reason.PARTNER_UNKNOWN, "idempotency keys belong to a partner, and none was identified")
        key = exchange.operation = yield from self.key.read(exchange)
        sameness = yield from self._sameness(exchange)
        now, upstream = exchange.now, route.upstream
        lease = Instant(now + upstream.connect_timeout + upstream.response_timeout + LEASE)
        until, fresh = Instant(max(now + self.remember, lease)), not exchange.repeated
        ask = Remember(partner.name, route.name, key, sameness, lease, until, fresh, self.again)
        found = answered((yield ask), Remembered)
        match found.state:
            case KeyState.NEW | KeyState.AGAIN:
                before = KeyState.FREE
                if found.state is KeyState.AGAIN:
                    before = KeyState.UNKNOWN
                    exchange.marks += (AGAIN,)
                held = HeldKey(
                    ask, found.token, self.final, self.not_done, self.limit, self.fields, before,
                    forget=not isinstance(self.key, SignedKey) and fresh,
                )  # fmt: skip
                exchange.holds += (held,)
            case KeyState.ANSWERED if found.answer is not None:
                detail = f"upstream's answer was {found.answer.status}"
                raise Denied(Reason.IDEMPOTENCY_ANSWERED, detail, (REPLAYED,), found.answer)
            case KeyState.OTHER if isinstance(self.key, SignedKey):
                raise Denied(Reason.REPLAY_SEEN, "the nonce came before, with another request")
            case KeyState.OTHER:
                raise Denied(Reason.IDEMPOTENCY_KEY_REUSED, "the key came before, with another request")
            case KeyState.ABSENT:
                raise Denied(Reason.REPLAY_SEEN, "the request came before, and its answer is not known any more")
            case state if state in _REFUSALS:
                raise Denied(*_REFUSALS[state])
            case state:
                raise RuntimeError(f"a store must not answer {state}")

    def _sameness(self, exchange: "Exchange") -> Generator[Ask, Answer, bytes]:
        """Give the digest of what must be the same: method and path always, and the body or what was named of it."""
        head = exchange.request
        if self.same is None:
            target, content = head.target, (yield from exchange.read_body())
        else:
            document = yield from exchange.read_document()
            target, content = head.path, canonical([one.find(document) for one in self.same]).encode()
        return sha256(f"{head.method} {target}\n".encode() + content).digest()
