"""Replay: a signed request counts once."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gateway.core.chain import Answer, Ask, Claim, ClaimOnce, answered
from gateway.core.facts import VerifiedSignature
from gateway.core.message import Instant
from gateway.core.reasons import Denied, Reason
from gateway.signing.window import CHALLENGE

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange


@dataclass(frozen=True, slots=True)
class Replay:
    """Claims a request's nonce, or where its scheme has none, what was signed; a second claim denies, or is answered.

    Raises ValueError where `remember` is not positive.
    """

    remember: float | None = None
    """Seconds to remember a request of a scheme without timestamp, which must have it. With a timestamp, a request
    is remembered until it leaves its window, and for this long from its date where that is longer."""
    answers: bool = False
    """Whether a request that comes again is let through to `idempotency`, which answers it as before."""

    name: ClassVar[str] = "replay"

    def __post_init__(self) -> None:
        if self.remember is not None and not 0 < self.remember < float("inf"):
            raise ValueError("remember must be more than 0 s, and finite")

    def check(self, exchange: "Exchange") -> Generator[Ask, Answer, None]:
        """Claim the request.

        Raises Denied(REPLAY_SEEN or REPLAY_UNKNOWABLE), and SIGNATURE_MISSING where no control verified a signature:
        what anyone could write into a request is not claimed.
        """
        signature, partner = exchange.signature, exchange.partner
        if signature is None or partner is None:
            raise Denied(Reason.SIGNATURE_MISSING, "no control verified a signature to claim", (CHALLENGE,))
        until = self._until(signature, exchange.now)
        claim = ClaimOnce(partner.name, signature.identity, signature.created, until)
        answer = answered((yield claim), Claim)
        what = "nonce" if signature.nonce is not None else "signed text"
        if answer is Claim.SEEN and self.answers:
            exchange.repeated = True
            return
        if answer is Claim.SEEN:
            raise Denied(Reason.REPLAY_SEEN, f"the {what} came before, signed with key {signature.key_id!r}")
        if answer is not Claim.NEW:
            detail = f"whether the {what} came before cannot be told: the memory does not reach back that far"
            raise Denied(Reason.REPLAY_UNKNOWABLE, detail, (CHALLENGE,))

    def _until(self, signature: VerifiedSignature, now: Instant) -> Instant:
        created, end = signature.created, signature.window_end
        if self.remember is None:
            if end is None:
                raise RuntimeError("the scheme has no timestamp: replay needs `remember`")
            return end
        if created is None or end is None:
            return Instant(now + self.remember)
        return Instant(max(end, created + self.remember))
