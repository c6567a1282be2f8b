"""Request signatures: the bytes received are those that a partner signed, lately, with a key in force."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from gateway.controls.token import TokenControl
from gateway.core.chain import Answer, Ask
from gateway.core.policy import Partner, Policy, SigningKey
from gateway.core.reasons import Denied, Reason
from gateway.signing.diagnosis import EXPLAINED, Explanations, Failed, explain
from gateway.signing.scheme import Scheme
from gateway.signing.window import CHALLENGE, Window

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange


@dataclass(frozen=True, slots=True)
class SignatureControl:
    """Verifies a request's signature by a partner's keys, and identifies the partner where nobody has yet."""

    scheme: Scheme[Any]
    window: Window
    explanations: Explanations = field(default_factory=Explanations, compare=False, repr=False)
    """How often failures are explained in the log."""

    name: ClassVar[str] = "signature"

    def check(self, exchange: "Exchange") -> Generator[Ask, Answer, None]:
        """Check the signature.

        1. its fields are there, once, in their form: SIGNATURE_MISSING, FIELD_REPEATED, SIGNATURE_MALFORMED; it covers
           what the scheme asks for: SIGNATURE_COVERAGE
        2. the key is the caller's, or where no control identified the caller, one partner's of the route:
           SIGNATURE_KEY_UNKNOWN, SIGNATURE_KEY_INACTIVE, PARTNER_UNKNOWN; it is for the signature's algorithm:
           SIGNATURE_ALGORITHM
        3. the timestamp lies within the window: SIGNATURE_STALE, SIGNATURE_FUTURE
        4. only then the body is asked for, where the scheme signs it, so that a stranger cannot have the gate hold it;
           a scheme that carries signature or key id in the body needs it before 1 is done
        5. its digests are the body's: SIGNATURE_DIGEST; the signature is the key's over what was received:
           SIGNATURE_MISMATCH; where trailers may follow, every one is covered: SIGNATURE_COVERAGE

        Raises Denied with those reasons.
        """
        if exchange.barred is not None:
            exchange.barred.check_locked(exchange)
        head, scheme = exchange.request, self.scheme

        def known(key_id: str) -> bool:
            return self._may_be_meant(exchange, key_id)

        presented = scheme.read(head, known)
        if scheme.carried_in_body:
            presented = scheme.read_body(presented, head, (yield from exchange.read_body()), known)
        partner = exchange.partner or self._claimed_partner(exchange, presented.key_id)
        keys: Mapping[str, SigningKey] = partner.signing_keys
        admitted = scheme.admit(presented, keys, self.window, exchange.now)
        body = (yield from exchange.read_body(trailers=presented.trailers)) if scheme.needs_body else b""
        try:
            exchange.signature = scheme.match(exchange.request, body, presented, admitted, self.window)
        except Denied as denied:
            raise self._explained(denied, exchange, partner, Failed(scheme, presented, admitted, self.window)) from None
        exchange.identify(partner, Reason.SIGNATURE_KEY_UNKNOWN)

    def _explained(self, denied: Denied, exchange: "Exchange", partner: Partner, failed: Failed) -> Denied:
        """Give the denial with what the signature matches instead, for the log."""
        if denied.reason not in EXPLAINED or not self.explanations.may_explain(partner.name, exchange.now):
            return denied
        others = partner.signing_keys.values()
        words = explain(failed, exchange.request, exchange.body or b"", others, exchange.now)
        return Denied(denied.reason, f"{denied.detail}; it {words}", denied.fields) if words else denied

    def _may_be_meant(self, exchange: "Exchange", key_id: str) -> bool:
        """Whether a key is one that this request may be signed with, where it carries several signatures."""
        if exchange.partner is not None:
            return key_id in exchange.partner.signing_keys
        return bool(_owners(exchange, key_id))

    def _claimed_partner(self, exchange: "Exchange", key_id: str | None) -> Partner:
        """Give the partner of the route that the key id belongs to; the signature has yet to prove it."""
        if key_id is None:
            raise Denied(Reason.PARTNER_UNKNOWN, f"scheme {self.scheme.name} names no key, and nobody was identified")
        names = _owners(exchange, key_id)
        if not names:
            detail = f"key {key_id!r} belongs to no partner of the route"
            raise Denied(Reason.SIGNATURE_KEY_UNKNOWN, detail, (CHALLENGE,))
        if len(names) > 1:
            detail = f"key {key_id!r} belongs to {', '.join(sorted(names))}: key ids must be unique here"
            raise Denied(Reason.SIGNATURE_KEY_UNKNOWN, detail, (CHALLENGE,))
        return exchange.policy.partners[names[0]]


def _owners(exchange: "Exchange", key_id: str) -> list[str]:
    """Name the partners of the route that a key id belongs to."""
    listed = exchange.route.partners if exchange.route is not None else frozenset()
    partners = exchange.policy.partners
    return [name for name in (partners if listed is None else listed) if key_id in partners[name].signing_keys]


def widest_window(policy: Policy) -> Window | None:
    """Give the largest age and the largest lead that any route of a policy takes; None where none looks at either.

    Signatures count, and proofs of possession. The window bounds what the replay memory must remember, and what it
    cannot know after a crash.
    """
    controls = [one for route in policy.routes for one in route.chain]
    windows = [one.window for one in controls if isinstance(one, SignatureControl)]
    windows += [one.proofs.window for one in controls if isinstance(one, TokenControl) and one.proofs is not None]
    if not windows:
        return None
    return Window(max(one.max_age for one in windows), max(one.max_ahead for one in windows))
