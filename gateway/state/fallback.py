"""What is done while a store cannot answer, control by control, as the policy says.

- deny: nothing is answered, and the request is denied
- local, for rates: buckets in the memory of this process, each of the limit divided by the processes that share a store
- local, for claims: nonces in the memory of this process. What is dated before the outage may have been claimed in the
  store, and is unknowable. Once the store is back, what was claimed here is not known there: it takes what is dated up
  to then for unknowable, too
- allow: everything is answered as if it were new

Meanwhile each process is for itself: what counts once in the store counts once in each.
"""

from collections.abc import Awaitable, Iterable
from dataclasses import replace

from gateway.core.chain import Claim, ClaimOnce, RateLimit, RateState, RateTaken, Take, TakeRate
from gateway.core.counters import PartnerCounters
from gateway.core.holds import Charge, Enter, Entered, Remember, Remembered, Reserve, Reserved, Settlement
from gateway.core.memo import Bounded
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.core.stores import OnFailure, StateSettings
from gateway.signing.window import Window
from gateway.state.nonces import Nonces
from gateway.state.rates import Rates
from gateway.state.valkey.store import ValkeyState


class Fallback:
    """A store, and what stands in for it (`Store`)."""

    def __init__(self, store: ValkeyState, settings: StateSettings, widest: Window | None) -> None:
        self.store = store
        self._rates = Rates()
        self._nonces = Nonces(settings.replay_entries)
        self._shares = Bounded[int, tuple[TakeRate, TakeRate]](size=int.bit_length)
        """What is asked of the own buckets, by the identity of the ask that is held with it."""
        self._out = False
        """Whether claims are answered here, and were so with the last one."""
        self._use(settings, widest)

    def take(self, ask: TakeRate, now: Instant) -> RateTaken | Awaitable[RateTaken]:
        """Take from the store, or as the policy says without it."""
        if self._modes.rate_limit is OnFailure.DENY:
            return self.store.take(ask, now)
        try:
            return self._taken(self.store.take(ask, now), ask, now)
        except Unavailable:
            return self._take_here(ask, now)

    def claim(self, ask: ClaimOnce, now: Instant) -> Claim | Awaitable[Claim]:
        """Claim in the store, or as the policy says without it."""
        if self._modes.replay is OnFailure.DENY:
            return self.store.claim(ask, now)
        try:
            return self._claimed(self.store.claim(ask, now), ask, now)
        except Unavailable:
            return self._claim_here(ask, now)

    def remember(self, ask: Remember, now: Instant) -> Remembered | Awaitable[Remembered]:
        """Ask the store: nothing stands in for it."""
        return self.store.remember(ask, now)

    def reserve(self, ask: Reserve, now: Instant) -> Reserved | Awaitable[Reserved]:
        """Ask the store likewise."""
        return self.store.reserve(ask, now)

    def enter(self, ask: Enter, now: Instant) -> Entered | Awaitable[Entered]:
        """Ask the store likewise."""
        return self.store.enter(ask, now)

    def settle(self, settlement: Settlement, now: Instant) -> Awaitable[None] | None:
        """Tell the store likewise. What a request turned out to cost is taken where its rate is taken now."""
        if isinstance(settlement, Charge) and self._modes.rate_limit is not OnFailure.DENY:
            return self._charge(settlement, now)
        return self.store.settle(settlement, now)

    async def _charge(self, charge: Charge, now: Instant) -> None:
        try:
            await self.store.charge(charge)
        except Unavailable:
            if self._modes.rate_limit is OnFailure.LOCAL:
                nodes = self._modes.nodes
                self._rates.charge(tuple(take._replace(limit=_part(take.limit, nodes)) for take in charge.takes), now)

    def forget(self, counters: Iterable[PartnerCounters]) -> int:
        """Have own buckets begin anew; those of the store are reset there."""
        return self._rates.forget(counters)

    def adopt(self, settings: StateSettings, widest: Window | None, now: Instant) -> None:
        """Prepare for a new policy."""
        self.store.adopt(settings, widest, now)
        self._use(settings, widest)

    def beat(self, now: Instant) -> None:
        """Do nothing: what a crash loses here is in the store."""

    def close(self) -> None:
        """Let go of the store."""
        self.store.close()

    @property
    def meanwhile(self) -> str:
        """Say what is done while the store cannot answer; nothing where all is denied."""
        modes, because = self._modes, dict(self._modes.because)
        said = [
            f"{name}: {mode.value}{f' ({because[name]})' if name in because else ''}"
            for name, mode in (("rate_limit", modes.rate_limit), ("replay", modes.replay), ("lockout", modes.lockout))
            if mode is not OnFailure.DENY
        ]
        return ", ".join(said)

    def _use(self, settings: StateSettings, widest: Window | None) -> None:
        self._modes = settings.on_failure
        self._ahead = 0.0 if widest is None else widest.max_ahead
        self._nonces.bound(settings.replay_entries)
        self._nonces.widen(0.0 if widest is None else widest.max_age)
        self._shares.clear()

    # Rates

    async def _taken(self, answer: Awaitable[RateTaken], ask: TakeRate, now: Instant) -> RateTaken:
        try:
            return await answer
        except Unavailable:
            return self._take_here(ask, now)

    def _take_here(self, ask: TakeRate, now: Instant) -> RateTaken:
        if self._modes.rate_limit is OnFailure.ALLOW:
            states = [
                RateState(take.limit, allowed=True, remaining=take.limit.room, reset_after=0.0) for take in ask.takes
            ]
            return RateTaken(True, tuple(states))
        known = self._shares.get(id(ask))
        share = known[1] if known is not None else self._shares.keep(id(ask), (ask, self._share(ask)))[1]
        if any(take.limit.room < take.cost or not take.limit.amount for take in share.takes):
            raise Unavailable(Reason.STATE_UNAVAILABLE, "a limit is too small to be divided", told=True)
        taken = self._rates.take(share, now)
        pairs = zip(ask.takes, taken.states, strict=True)
        return RateTaken(taken.allowed, tuple([state._replace(limit=take.limit) for take, state in pairs]))

    def _share(self, ask: TakeRate) -> TakeRate:
        nodes = self._modes.nodes
        return TakeRate(tuple(Take(_part(take.limit, nodes), take.key, take.cost) for take in ask.takes))

    # Claims

    async def _claimed(self, answer: Awaitable[Claim], ask: ClaimOnce, now: Instant) -> Claim:
        try:
            claimed = await answer
        except Unavailable as unavailable:
            if unavailable.reason is not Reason.STATE_UNAVAILABLE:
                raise
            return self._claim_here(ask, now)
        self._out = False
        return claimed

    def _claim_here(self, ask: ClaimOnce, now: Instant) -> Claim:
        self.store.stray()
        if self._modes.replay is OnFailure.ALLOW:
            return Claim.NEW
        if not self._out:
            self._out = True
            # The store may have been asked just now, for what was dated ahead.
            self._nonces.lose(now + self._ahead)
        return self._nonces.claim(ask, now)


def _part(limit: RateLimit, nodes: int) -> RateLimit:
    burst = None if limit.burst is None else limit.burst // nodes
    return replace(limit, amount=limit.amount // nodes, burst=burst)
