"""Lock-out after failed authentications (PCI DSS 8.3.4): who is counted, what counts, and when it is too much.

Counted is who failed, not whom they claimed to be. A partner counts only where its certificate proved in the handshake
that it is there; anybody can send a wrong token or signature in a partner's name, and must not be able to lock it out.
All others count by their address.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from gateway.core.barred import Caller, Thing, caller_of
from gateway.core.decision import Decision
from gateway.core.message import Instant
from gateway.core.networks import NetworkSet
from gateway.core.reasons import Reason

MOST_COUNTED = 10_000
"""Callers whose failures are counted; beyond that the one who failed longest ago is forgotten."""

COUNTED = frozenset(
    {
        Reason.TOKEN_MALFORMED, Reason.TOKEN_ALGORITHM, Reason.TOKEN_SIGNATURE, Reason.TOKEN_INACTIVE,
        Reason.TOKEN_BINDING, Reason.TOKEN_SUBJECT, Reason.TOKEN_PROOF,
        Reason.SIGNATURE_MALFORMED, Reason.SIGNATURE_KEY_UNKNOWN, Reason.SIGNATURE_ALGORITHM, Reason.SIGNATURE_MISMATCH,
    }
)  # fmt: skip
"""What guessing and forging look like. Not what an honest client does too: an expired token, a stale signature, a key
that was rotated a moment ago, no credentials at all."""


@dataclass(frozen=True, slots=True)
class Lockout:
    """After so many failures one after the other, within so many seconds, a caller is refused for so many."""

    after: int = 10
    within: float = 600.0
    seconds: float = 1_800.0
    excepted: NetworkSet = field(default_factory=NetworkSet)
    """Addresses that are never locked out, as many callers share them."""


def failed_by(decision: Decision, lockout: Lockout) -> Caller | None:
    """Give who is to be counted for a decision; None where it is no failure, or that of an address left out."""
    if decision.reason not in COUNTED:
        return None
    caller = caller_of(decision.exchange)
    if caller.thing is Thing.LOCKED_ADDRESS and decision.exchange.client_address in lockout.excepted:
        return None
    return caller


class Failures:
    """Counts failures of callers, in bounded memory."""

    def __init__(self) -> None:
        self._times: OrderedDict[Caller, deque[Instant]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._times)

    def decided(self, decision: Decision, lockout: Lockout, now: Instant) -> Caller | None:
        """Take note of a decision; gives the caller who is to be locked out by it."""
        if decision.reason is Reason.ALLOWED:
            if self._times:
                self.forget(caller_of(decision.exchange))
            return None
        caller = failed_by(decision, lockout)
        return caller if caller is not None and self.count(caller, lockout, now) else None

    def forget(self, caller: Caller) -> None:
        """Begin the count of a caller anew: it has authenticated."""
        self._times.pop(caller, None)

    def count(self, caller: Caller, lockout: Lockout, now: Instant) -> bool:
        """Count a failure; tells whether it was the last one that the caller may have."""
        times = self._times.get(caller)
        if times is None:
            while len(self._times) >= MOST_COUNTED:
                self._times.popitem(last=False)
            times = self._times[caller] = deque(maxlen=lockout.after)
        elif times.maxlen != lockout.after:
            times = self._times[caller] = deque(times, maxlen=lockout.after)
        self._times.move_to_end(caller)
        times.append(now)
        if len(times) < lockout.after or times[0] < now - lockout.within:
            return False
        del self._times[caller]
        return True
