"""What money routes keep in one process: idempotency keys and reserved amounts, in memory and in a journal.

A key that is taken and an amount that is reserved are on disk before the request goes on, so that none is forgotten by
a crash: after it, a key that was in flight is of unknown fate, and reserved amounts stay counted. What becomes of them
is written as well, and is not waited for: lost, it leaves a key unknown or an amount counted, which denies.
"""

from base64 import b64decode, b64encode
from collections.abc import Awaitable
from hashlib import blake2b
from pathlib import Path
from secrets import token_bytes
from typing import Any, cast

from gateway.core.holds import (
    GiveBack,
    KeyState,
    Remember,
    Remembered,
    Reserve,
    Reserved,
    SettleKey,
)
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.core.stores import StateSettings
from gateway.state.answers import Answers
from gateway.state.journal import Journal
from gateway.state.keys import Entry, Keys
from gateway.state.sums import Sums, over_at, part_of

NAME = "money"
"""Of the journal's files."""

_SECRET, _TAKEN, _SETTLED, _COUNTED = "secret", "taken", "settled", "counted"

_SECRET_BYTES = 32


class Money:
    """Keys and amounts (`Store`, in part). Not for several threads."""

    def __init__(self, settings: StateSettings) -> None:
        self._keys = Keys(settings.keys, settings.answer_bytes)
        self._sums = Sums(settings.counters)
        self._answers = Answers(settings.secret)
        self._journal: Journal | None = None
        self._secret: bytes | None = None
        """Keys the digests; every file of the journal begins with it."""
        self.lost = 0
        """Settlements that the journal did not take: after a crash, keys are unknown and amounts counted for them."""

    def restore(self, directory: Path, now: Instant) -> int:
        """Take over what earlier runs wrote; gives how many keys are of unknown fate. Raises OSError."""
        journal = Journal(directory, NAME)
        for over, entry in journal.read():
            self._apply(entry, over, now)
        self._secret = self._secret or token_bytes(_SECRET_BYTES)
        journal.first = [_SECRET, self._secret.hex()]
        self._journal = journal
        unknown = 0
        for key in self._keys.entries():
            if key.state is KeyState.IN_FLIGHT:
                key.state = KeyState.UNKNOWN
                unknown += 1
        return unknown

    def remember(self, ask: Remember, now: Instant) -> Remembered | Awaitable[Remembered]:
        """Answer an ask for a key. Raises Unavailable: IDEMPOTENCY_FULL, STATE_UNAVAILABLE."""
        digest = self._digest("key", ask.partner, ask.route, ask.key)
        state, entry = self._keys.look(digest, ask, now)
        free = state is KeyState.FREE or (state is KeyState.ABSENT and ask.fresh)
        if not free and not (state is KeyState.UNKNOWN and ask.again):
            if state is not KeyState.ANSWERED or entry is None:
                return Remembered(state)
            answer = None if entry.answer is None else self._answers.open(digest, entry.answer)
            return Remembered(KeyState.NOT_KEPT) if answer is None else Remembered(state, answer)
        self._keys.check_room(digest, ask, now)
        journal = self._opened()
        line = [_TAKEN, ask.partner, digest.hex(), ask.sameness.hex(), ask.lease, ask.until]
        journal.append(line, max(ask.until, ask.lease))
        taken = self._keys.take(digest, ask)
        given = KeyState.NEW if free else KeyState.AGAIN
        return self._remembered(journal, ask, Remembered(given, None, taken), state)

    async def _remembered(self, journal: Journal, ask: Remember, given: Remembered, before: KeyState) -> Remembered:
        try:
            await journal.synced()
        except Unavailable:
            # It is not forwarded, so it is again what it was.
            back = KeyState.UNKNOWN if before is KeyState.UNKNOWN else KeyState.FREE
            self.settle(SettleKey(ask, given.token, back, forget=before is KeyState.ABSENT))
            raise
        return given

    def reserve(self, ask: Reserve, now: Instant) -> Reserved | Awaitable[Reserved]:
        """Count against all limits or none. Raises Unavailable: VELOCITY_FULL, STATE_UNAVAILABLE."""
        digests = tuple(self._digest("sum", ask.partner, ask.route, *spend.key) for spend in ask.spends)
        counted = tuple(zip(digests, ask.spends, strict=True))
        reached = tuple(one.limit for digest, one in counted if not self._sums.fits(ask.partner, digest, one, now))
        if reached and not ask.even_if_reached:
            return Reserved(reached)
        self._sums.make_room(ask.partner, digests, now)
        journal = self._opened()
        parts = [(digest, one.limit.window, part_of(one.limit.window, now), one.amount) for digest, one in counted]
        over = max((over_at(window, part) for _, window, part, _ in parts), default=now)
        journal.append([_COUNTED, ask.partner, [[digest.hex(), *rest] for digest, *rest in parts]], over)
        for digest, window, part, amount in parts:
            self._sums.add(ask.partner, digest, window, part, amount)
        return self._reserved(journal, ask, Reserved(reached, parts))

    async def _reserved(self, journal: Journal, ask: Reserve, given: Reserved) -> Reserved:
        try:
            await journal.synced()
        except Unavailable:
            self.settle(GiveBack(ask, given.token))
            raise
        return given

    def settle(self, settlement: SettleKey | GiveBack) -> None:
        """Note what became of a hold."""
        if isinstance(settlement, SettleKey):
            self._settle_key(settlement)
        else:
            self._give_back(settlement)

    def _settle_key(self, settlement: SettleKey) -> None:
        ask = settlement.ask
        digest = self._digest("key", ask.partner, ask.route, ask.key)
        packed = None if settlement.answer is None else self._answers.pack(digest, settlement.answer)
        if self._keys.settle(digest, settlement, packed):
            state = None if settlement.state is KeyState.FREE and settlement.forget else settlement.state.value
            text = None if packed is None else b64encode(packed).decode("ascii")
            self._note([_SETTLED, ask.partner, digest.hex(), state, text], max(ask.until, ask.lease))

    def _give_back(self, settlement: GiveBack) -> None:
        partner = settlement.ask.partner
        parts = cast("list[tuple[bytes, int, int, int]]", settlement.token or [])
        for digest, window, part, amount in parts:
            self._sums.add(partner, digest, window, part, -amount)
        over = max((over_at(window, part) for _, window, part, _ in parts), default=0.0)
        lines = [[digest.hex(), window, part, -amount] for digest, window, part, amount in parts]
        self._note([_COUNTED, partner, lines], over)

    def tidy(self, now: Instant) -> None:
        """Delete what is over. Raises OSError."""
        if self._journal is not None:
            self._journal.tidy(now)

    def bound(self, settings: StateSettings) -> None:
        """Take over the bounds and the secret of a new policy."""
        self._keys.bound(settings.keys, settings.answer_bytes)
        self._sums.most = settings.counters
        self._answers = Answers(settings.secret)

    def close(self) -> None:
        """Take no more."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _note(self, entry: list[object], over: float) -> None:
        """Write what nobody waits for."""
        try:
            self._opened().append(entry, over)
        except Unavailable:
            self.lost += 1

    def _opened(self) -> Journal:
        if self._journal is None:
            raise Unavailable(Reason.STATE_UNAVAILABLE, "the journal of keys and amounts is not open")
        return self._journal

    def _digest(self, kind: str, partner: str, route: str, *values: str | bytes) -> bytes:
        if self._secret is None:
            raise Unavailable(Reason.STATE_UNAVAILABLE, "the journal of keys and amounts is not open")
        digest = blake2b(digest_size=16, key=self._secret)
        for value in (kind, partner, route, *values):
            raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
            digest.update(b"%d:%b" % (len(raw), raw))
        return digest.digest()

    def _apply(self, entry: list[Any], over: float, now: Instant) -> None:
        """Take over a line of the journal."""
        match entry:
            case [kind, secret] if kind == _SECRET:
                self._secret = bytes.fromhex(secret)
            case [kind, partner, digest, sameness, lease, until] if kind == _TAKEN and over > now:
                made = Entry(bytes.fromhex(sameness), KeyState.IN_FLIGHT, lease, until)
                self._keys.put(partner, bytes.fromhex(digest), made)
            case [kind, partner, digest, state, text] if kind == _SETTLED and over > now:
                answer = None if text is None else b64decode(text)
                self._keys.restore(partner, bytes.fromhex(digest), None if state is None else KeyState(state), answer)
            case [kind, partner, parts] if kind == _COUNTED and over > now:
                for digest, window, part, amount in parts:
                    self._sums.add(partner, bytes.fromhex(digest), window, part, amount)
            case _:
                pass  # it is over
