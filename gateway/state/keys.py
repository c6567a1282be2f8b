"""Idempotency keys of one process: what is known of each, and the answers that are given again.

A key is held as a keyed digest, so that nothing here tells a transaction id. Each partner has a share: so many keys,
and so many bytes of answers. Keys beyond it are refused; of the answers, those kept first make room, and their keys
stay: a repetition is told that it was answered, and is not forwarded.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush

from gateway.core.holds import KeyState, Remember, SettleKey
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable

SWEEP = 4
"""Keys past their time that are let go of with each ask, at most."""

LATER = 60.0
"""Seconds until a key that cannot be forgotten yet is looked at again."""


@dataclass(slots=True)
class Entry:
    """One key. An entry is its own token: whoever took the key into flight holds it."""

    sameness: bytes
    state: KeyState
    lease: float
    until: float
    answer: bytes | None = None
    """As `gateway.state.answers` packs it."""

    @property
    def over_at(self) -> float:
        """When it may be forgotten: in flight it is not, however long that takes, as this process will tell its end."""
        return float("inf") if self.state is KeyState.IN_FLIGHT else max(self.until, self.lease)


@dataclass(slots=True)
class _Share:
    """What one partner has."""

    entries: dict[bytes, Entry] = field(default_factory=dict)
    order: list[tuple[float, bytes]] = field(default_factory=list)
    """When each key may be forgotten, at the earliest."""
    answers: OrderedDict[bytes, int] = field(default_factory=OrderedDict)
    """Bytes of each answer, those kept first at the beginning."""
    bytes: int = 0


class Keys:
    """Keys by partner."""

    def __init__(self, most_keys: int, most_bytes: int) -> None:
        self.most_keys = most_keys
        self.most_bytes = most_bytes
        self._shares: dict[str, _Share] = {}

    def __len__(self) -> int:
        return sum(len(share.entries) for share in self._shares.values())

    def look(self, digest: bytes, ask: Remember, now: Instant) -> tuple[KeyState, Entry | None]:
        """Give what is known of a key, and its entry; ABSENT where nothing is.

        FREE and UNKNOWN are told only to requests that are the same; what is free and asked for by another one is
        ABSENT, as it was never used.
        """
        share = self._share(ask.partner, now)
        entry = share.entries.get(digest)
        if entry is not None and entry.over_at <= now:
            self._forget(share, digest)
            entry = None
        if entry is None:
            return KeyState.ABSENT, None
        same = entry.sameness == ask.sameness
        if entry.state is KeyState.FREE:
            return (KeyState.FREE if same else KeyState.ABSENT), entry
        if not same:
            return KeyState.OTHER, entry
        return entry.state, entry

    def check_room(self, digest: bytes, ask: Remember, now: Instant) -> None:
        """See that a key can be held. Raises Unavailable(IDEMPOTENCY_FULL)."""
        share = self._share(ask.partner, now)
        if digest not in share.entries and len(share.entries) >= self.most_keys:
            self._sweep(share, now, len(share.order))
            if len(share.entries) >= self.most_keys:
                raise Unavailable(Reason.IDEMPOTENCY_FULL, f"{self.most_keys} keys of {ask.partner} are remembered")

    def take(self, digest: bytes, ask: Remember) -> Entry:
        """Take a key into flight, for which there is room."""
        return self.put(ask.partner, digest, Entry(ask.sameness, KeyState.IN_FLIGHT, ask.lease, ask.until))

    def put(self, partner: str, digest: bytes, entry: Entry) -> Entry:
        """Hold an entry in place of what was there."""
        share = self._shares.setdefault(partner, _Share())
        self._drop_answer(share, digest)
        if digest not in share.entries:
            heappush(share.order, (max(entry.until, entry.lease), digest))
        share.entries[digest] = entry
        return entry

    def settle(self, digest: bytes, ask: SettleKey, answer: bytes | None) -> bool:
        """Settle a key that is in flight by its token; tells whether it was."""
        share = self._shares.get(ask.ask.partner)
        entry = None if share is None else share.entries.get(digest)
        if entry is None or entry is not ask.token or entry.state is not KeyState.IN_FLIGHT:
            return False
        forget = ask.state is KeyState.FREE and ask.forget
        self.restore(ask.ask.partner, digest, None if forget else ask.state, answer)
        return True

    def restore(self, partner: str, digest: bytes, state: KeyState | None, answer: bytes | None) -> None:
        """Have a key be in a state; None: it is forgotten."""
        share = self._shares.get(partner)
        entry = None if share is None else share.entries.get(digest)
        if share is None or entry is None:
            return
        if state is None:
            self._forget(share, digest)
            return
        entry.state = state
        if state is KeyState.ANSWERED and answer is not None:
            self._keep(share, digest, entry, answer)

    def entries(self) -> Iterator[Entry]:
        """Give all entries."""
        for share in self._shares.values():
            yield from share.entries.values()

    def bound(self, most_keys: int, most_bytes: int) -> None:
        """Have each partner hold so much at most; what is held beyond that stays."""
        self.most_keys, self.most_bytes = most_keys, most_bytes

    def _keep(self, share: _Share, digest: bytes, entry: Entry, answer: bytes) -> None:
        while share.answers and share.bytes + len(answer) > self.most_bytes:
            oldest = next(iter(share.answers))
            share.entries[oldest].state = KeyState.NOT_KEPT
            self._drop_answer(share, oldest)
        if share.bytes + len(answer) > self.most_bytes:
            entry.state, entry.answer = KeyState.NOT_KEPT, None
            return
        entry.answer = answer
        share.answers[digest] = len(answer)
        share.bytes += len(answer)

    def _drop_answer(self, share: _Share, digest: bytes) -> None:
        share.bytes -= share.answers.pop(digest, 0)
        if digest in share.entries:
            share.entries[digest].answer = None

    def _forget(self, share: _Share, digest: bytes) -> None:
        self._drop_answer(share, digest)
        del share.entries[digest]

    def _share(self, partner: str, now: Instant) -> _Share:
        share = self._shares.get(partner)
        if share is None:
            share = self._shares[partner] = _Share()
        self._sweep(share, now, SWEEP)
        return share

    def _sweep(self, share: _Share, now: float, most: int) -> None:
        order = share.order
        while order and order[0][0] <= now and most > 0:
            _, digest = heappop(order)
            most -= 1
            entry = share.entries.get(digest)
            if entry is None:
                continue
            if entry.over_at <= now:
                self._forget(share, digest)
            else:  # it is in flight, or was taken again meanwhile
                heappush(order, (max(entry.until, entry.lease, now + LATER), digest))
