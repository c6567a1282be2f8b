"""Schemes at work outward: the gate signs its answers to callers, and its requests to upstreams."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from gateway.core.message import Instant, RequestHead
from gateway.core.outgoing import Answered, Stamp
from gateway.core.reasons import Denied, Reason
from gateway.signing.own import OwnKey, Signed
from gateway.signing.scheme import Scheme, as_answered

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange

ANSWER_LIMIT = 1_048_576
"""Bytes of an answer's body that are held until it is signed, where the policy says nothing."""

_DIGESTS = frozenset({"content-digest", "repr-digest"})
"""Of the caller's body, perhaps checked by nobody."""


class SignsAnswers(Protocol):
    """A scheme that says itself how responses are signed."""

    def sign_answer(self, answer: Answered, request: RequestHead | None, *, key: OwnKey, now: Instant) -> Signed:
        """Give what to change of a response. Raises ValueError where it cannot be signed."""
        ...


@dataclass(frozen=True, slots=True)
class SignedAnswers:
    """Signs answers by one scheme: with the gate's own key, or with the secret that the caller shares with it."""

    scheme: Scheme[Any]
    key: OwnKey | None
    """None: the caller's secret, so that no partner can sign what another would believe."""
    algorithms: frozenset[str]
    """Of the caller's secrets that count."""
    limit: int = ANSWER_LIMIT

    @property
    def described(self) -> str:
        """Say how, for people."""
        return f"{self.scheme.name} by " + ("the caller's secret" if self.key is None else f"key {self.key.id}")

    def sign(self, exchange: "Exchange", answer: Answered, stamp: Stamp) -> Signed | None:
        """Give what to change; None for an answer of the gate's own to somebody who shares no secret.

        Raises Denied(RESPONSE_UNSIGNABLE).
        """
        key = self.key or self._shared(exchange, stamp.now)
        if key is None:
            if answer.own:
                return None
            raise Denied(Reason.RESPONSE_UNSIGNABLE, "the caller has no secret in force that it could be signed with")
        if not key.in_force(stamp.now):
            raise Denied(Reason.RESPONSE_UNSIGNABLE, f"gateway key {key.id!r} is not in force")
        try:
            return self._signed(answer, exchange.head, key, stamp)
        except ValueError as error:
            raise Denied(Reason.RESPONSE_UNSIGNABLE, str(error)) from None

    def _signed(self, answer: Answered, request: RequestHead | None, key: OwnKey, stamp: Stamp) -> Signed | None:
        scheme: object = self.scheme
        if hasattr(scheme, "sign_answer"):
            return cast("SignsAnswers", scheme).sign_answer(answer, request, key=key, now=stamp.now)
        if request is None:
            return None
        head = as_answered(self.scheme, request, answer.fields)
        signed = self.scheme.sign(head, answer.body, key=key, now=stamp.now, nonce=stamp.nonce)
        if signed.target is not None:
            raise ValueError(f"scheme {self.scheme.name} puts its signature into the query, which no response has")
        return signed

    def _shared(self, exchange: "Exchange", now: Instant) -> OwnKey | None:
        """Give the key of the verified signature, or the newest secret of a caller who is known otherwise."""
        if exchange.partner is None:
            return None
        keys = exchange.partner.signing_keys
        named = keys.get(exchange.signature.key_id) if exchange.signature is not None else None
        for key in (named, *reversed(list(keys.values()))):
            if key is not None and key.algorithm in self.algorithms and key.in_force(now):
                found = OwnKey.shared(key)
                if found is not None:
                    return found
        return None


@dataclass(frozen=True, slots=True)
class SignedRequests:
    """Signs requests to an upstream by one scheme, with the gate's own key."""

    scheme: Scheme[Any]
    key: OwnKey

    @property
    def described(self) -> str:
        """Say how, for people."""
        return f"{self.scheme.name} by key {self.key.id}"

    @property
    def replaces(self) -> frozenset[str]:
        """Fields of the scheme's own, and the digest, which is written anew over the body that goes out."""
        return frozenset(self.scheme.carriers) | _DIGESTS

    def sign(self, head: RequestHead, body: bytes, stamp: Stamp) -> Signed:
        """Give what to change of a request. Raises Denied(REQUEST_UNSIGNABLE)."""
        if not self.key.in_force(stamp.now):
            raise Denied(Reason.REQUEST_UNSIGNABLE, f"gateway key {self.key.id!r} is not in force")
        try:
            return self.scheme.sign(head, body, key=self.key, now=stamp.now, nonce=stamp.nonce)
        except ValueError as error:
            raise Denied(Reason.REQUEST_UNSIGNABLE, str(error)) from None
