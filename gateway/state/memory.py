"""The state of one process, in memory: rates for as long as it runs; claims, quotas and money across restarts."""

import os
from collections.abc import Awaitable, Iterable
from dataclasses import replace
from pathlib import Path

from gateway.core.chain import Claim, ClaimOnce, RateTaken, TakeRate
from gateway.core.counters import PartnerCounters
from gateway.core.holds import Charge, Enter, Entered, Leave, Remember, Remembered, Reserve, Reserved, Settlement
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.core.stores import StateSettings
from gateway.signing.window import Window
from gateway.state import run_file
from gateway.state.in_flight import InFlight
from gateway.state.looks import Used
from gateway.state.money import Money
from gateway.state.nonces import Nonces
from gateway.state.quotas import Quota
from gateway.state.rates import Rates
from gateway.state.restart import Reach, Restored, Run, resume, unreadable


class MemoryState:
    """Counters and claims of one process (`Store`). Claims are taken between `restore` and `save` only.

    1. `restore` before the first request
    2. `beat` every `restart.HEARTBEAT` seconds, `adopt` before a new policy comes into force
    3. `save` after the last request, then `close`

    Not for several threads.
    """

    def __init__(self, settings: StateSettings) -> None:
        self._rates = Rates()
        self._nonces = Nonces(settings.replay_entries)
        self._money = Money(settings)
        self._in_flight = InFlight()
        self._directory = Path()
        self._restored = False
        self._lock: int | None = None
        self._run: Run | None = None
        """What the file says; None where claims are not taken."""

    def take(self, ask: TakeRate, now: Instant) -> RateTaken | Awaitable[RateTaken]:
        """Take from every bucket, or from none.

        Raises Unavailable(STATE_UNAVAILABLE) where too many are counted, or a quota cannot be written.
        """
        taken = self._rates.take(ask, now)
        quotas = self._rates.quotas
        if quotas.behind:
            behind, quotas.behind = quotas.behind, []
            return self._written(taken, behind)
        return taken

    async def _written(self, taken: RateTaken, behind: list[Quota]) -> RateTaken:
        await self._rates.quotas.synced(behind)
        return taken

    def used(self, counters: Iterable[PartnerCounters], now: Instant) -> Used:
        """Tell what a partner has used, and change nothing."""
        listed = list(counters)
        limits = {one.route: {take.limit.name: self._rates.used(take, now) for take in one.takes} for one in listed}
        return Used(
            limits, {one.route: self._in_flight.taken(one.policy, one.route, one.partner, now) for one in listed}
        )

    def count(self, counters: Iterable[PartnerCounters]) -> int:
        """Tell how many counters would begin anew."""
        return self._rates.count(counters)

    def forget(self, counters: Iterable[PartnerCounters]) -> int:
        """Have rate counters begin anew; gives how many there were. Raises Unavailable(STATE_UNAVAILABLE)."""
        return self._rates.forget(counters)

    def claim(self, ask: ClaimOnce, now: Instant) -> Claim:
        """Claim a key.

        Raises Unavailable: REPLAY_MEMORY_FULL, or STATE_UNAVAILABLE before `restore` and after `save`.
        """
        if self._run is None:
            raise Unavailable(Reason.STATE_UNAVAILABLE, "the memory of nonces is not open")
        return self._nonces.claim(ask, now)

    def remember(self, ask: Remember, now: Instant) -> Remembered | Awaitable[Remembered]:
        """Take an idempotency key. Raises Unavailable: IDEMPOTENCY_FULL, STATE_UNAVAILABLE."""
        return self._money.remember(ask, now)

    def reserve(self, ask: Reserve, now: Instant) -> Reserved | Awaitable[Reserved]:
        """Reserve amounts. Raises Unavailable: VELOCITY_FULL, STATE_UNAVAILABLE."""
        return self._money.reserve(ask, now)

    def enter(self, ask: Enter, now: Instant) -> Entered:
        """Take a place among requests in flight."""
        return self._in_flight.enter(ask, now)

    def settle(self, settlement: Settlement, now: Instant) -> Awaitable[None] | None:
        """Note what became of a hold. Raises Unavailable(STATE_UNAVAILABLE): a charge that cannot be written."""
        if isinstance(settlement, Charge):
            self._rates.charge(settlement.takes, now)
            quotas = self._rates.quotas
            if quotas.behind:
                behind, quotas.behind = quotas.behind, []
                return quotas.synced(behind)
        elif isinstance(settlement, Leave):
            self._in_flight.leave(settlement)
        else:
            self._money.settle(settlement)
        return None

    def restore(self, directory: Path, now: Instant, widest: Window | None) -> Restored:
        """Take over what the last run left in `directory`, and open for claims. Call it once.

        `widest` is the widest window of the policy's routes; None where no route checks signatures. Raises OSError
        where the directory is in use, or its file can be neither read nor replaced.
        """
        if self._restored:
            raise RuntimeError("restored already")
        self._lock = run_file.lock(directory)
        self._directory, self._restored = directory, True
        try:
            last = run_file.read(directory)
        except run_file.DamagedError:
            last = unreadable(now)
        self._money.restore(directory, now)
        self._rates.quotas.restore(directory, now)
        restored, run = resume(self._nonces, last, _reach(widest), now)
        run_file.write(directory, run)
        self._run = run
        return restored

    def beat(self, now: Instant) -> None:
        """Write that the run lasts, so that a crash is dated even where the clock is wrong after it. Raises OSError."""
        self._write(self._opened().lasting(now))
        self._money.tidy(now)
        self._rates.quotas.tidy(now)

    def adopt(self, settings: StateSettings, widest: Window | None, now: Instant) -> None:
        """Prepare for a new policy, before it comes into force. Raises OSError; the old one can stay then.

        Where its window reaches further back than that of the old policy, requests from before the old window are
        refused as unknowable: their nonces are forgotten.
        """
        reach = _reach(widest)
        self._write(self._opened().lasting(now, reach))
        self._nonces.widen(reach.max_age)
        self._nonces.bound(settings.replay_entries)
        self._money.bound(settings)

    def save(self, now: Instant) -> None:
        """End the run in order: leave its claims to the next one, and take no more. Raises OSError."""
        nonces, run = self._nonces, self._opened().lasting(now)
        self._run = None
        stopped = replace(run, running=False, floor=nonces.floor, lost=nonces.lost, held=nonces.held)
        run_file.write(self._directory, stopped)
        try:
            self._rates.quotas.save()
        except Unavailable as error:
            raise OSError(error.detail) from error

    def close(self) -> None:
        """Let go of the directory. Without `save` before it, the next start takes this run for crashed."""
        self._run = None
        self._money.close()
        self._rates.quotas.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _write(self, run: Run) -> None:
        run_file.write(self._directory, run)
        self._run = run

    def _opened(self) -> Run:
        if self._run is None:
            raise RuntimeError("not restored, or saved already")
        return self._run


def _reach(widest: Window | None) -> Reach:
    return Reach() if widest is None else Reach(widest.max_age, widest.max_ahead)
