"""The packed memory of nonces answers as a plain dictionary would that never forgets."""

from dataclasses import dataclass, field
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.chain import Claim, ClaimOnce
from gateway.core.message import Instant
from gateway.core.reasons import Unavailable
from gateway.state import space as space_module
from gateway.state.nonces import SLOW, Nonces
from gateway.state.space import FINGERPRINT_BYTES, RECORD_BYTES, Space

START = 1_795_352_400.0
WINDOW = 60.0
SPACES = ("acme", "blue")

KEYS = st.integers(0, 60)
STEPS = st.sampled_from([0.0, 0.4, 1.0, 5.0, 30.0, 61.0, 200.0])
EVENTS = st.one_of(
    st.tuples(st.just("burst"), KEYS, st.integers(1, 60), st.sampled_from([0.0, -5.0, 20.0, 59.0])),
    st.tuples(st.just("claim"), KEYS, st.just(1), st.sampled_from([-5.0, 0.0, 1.0, 59.5, 60.0])),
    st.tuples(st.just("undated"), KEYS, st.integers(1, 10), st.sampled_from([5.0, 60.0, 300.0])),
    st.tuples(st.just("clock"), st.just(0), st.just(0), STEPS | STEPS.map(lambda step: -step)),
    st.tuples(st.just("leap"), KEYS, st.integers(1, 60), STEPS),
    st.tuples(st.just("widen"), st.just(0), st.just(0), st.sampled_from([0.0, 90.0, 300.0])),
    st.tuples(st.just("restart"), st.just(0), st.just(0), st.just(0.0)),
)


@dataclass
class Model:
    """What a memory without bounds knows: the latest end of each key that was ever claimed."""

    ends: dict[tuple[str, bytes], int] = field(default_factory=dict)
    doubtful: set[tuple[str, bytes]] = field(default_factory=set)
    """Keys that may have been forgotten before all others were prolonged, and may be held for longer than `ends`."""

    def may_answer(self, ask: ClaimOnce, now: float, memory: Nonces) -> set[Claim]:
        """Give the answers that are right.

        SEEN may be answered in place of UNKNOWABLE only where the key is held, and UNKNOWABLE in place of NEW only
        by what the memory says it does not know.
        """
        known = self.ends.get((ask.space, ask.key))
        until = ask.until if ask.dated is None else max(ask.until, ask.dated + memory.max_age)
        if known is not None and known > now:
            # A clock that was ahead may have had it forgotten: then it is unknowable, but with another date, or a
            # minute before its end without one.
            later = int(until) + 1 > known if ask.dated is not None else known <= now + SLOW
            return {Claim.SEEN, Claim.UNKNOWABLE, Claim.NEW} if later else {Claim.SEEN, Claim.UNKNOWABLE}
        space = memory.held.spaces.get(ask.space, Space())
        if ask.dated is None:
            unknowable = space.forgotten > now + SLOW or 2 * now - until <= memory.lost
        else:
            unknowable = int(until) + 1 <= space.forgotten or ask.dated <= max(memory.floor, memory.lost)
        right = {Claim.UNKNOWABLE} if unknowable or int(until) + 1 <= now else {Claim.NEW}
        return right | {Claim.SEEN} if (ask.space, ask.key) in self.doubtful else right

    def prolong(self, seconds: int, latest: float) -> None:
        """Have every key end later, but for those that may be forgotten: the clock was past their end."""
        self.doubtful |= {key for key, ends in self.ends.items() if ends <= latest}
        self.ends = {key: ends + seconds * (key not in self.doubtful) for key, ends in self.ends.items()}


class Compared:
    """A memory beside its model."""

    def __init__(self) -> None:
        self.nonces = Nonces(10_000)
        self.nonces.widen(WINDOW)
        self.model = Model()
        self.now = START
        self.latest = START

    def claim(self, space: str, key: bytes, dated: float | None, until: float) -> None:
        ask = ClaimOnce(space, key, None if dated is None else Instant(dated), Instant(until))
        right = self.model.may_answer(ask, self.now, self.nonces)
        try:
            answer = self.nonces.claim(ask, Instant(self.now))
        except Unavailable:
            raise AssertionError("there is room") from None
        assert answer in right
        known = self.model.ends.get((space, key))
        if known is not None and known > self.latest and (space, key) not in self.model.doubtful:
            assert answer is Claim.SEEN  # no clock was ever past its end, so it cannot have been forgotten
        if answer is Claim.NEW:
            held = int(until if dated is None else max(until, dated + self.nonces.max_age)) + 1
            self.model.ends[space, key] = held
            self.model.doubtful.discard((space, key))

    def happen(self, event: tuple[str, int, int, float]) -> None:
        what, first, count, number = event
        if what == "clock":
            self.now += number
            self.latest = max(self.latest, self.now)
        elif what == "leap":
            self.happen(("burst", first, count, 0.0))
            self.happen(("clock", 0, 0, number))
            self.happen(("burst", 1000 + first, 60, 0.0))
            self.happen(("clock", 0, 0, -number))
            self.happen(("burst", first, count, 0.0))
        elif what == "widen":
            wider = number - self.nonces.max_age
            self.nonces.widen(number)
            if wider > 0:
                self.model.prolong(int(wider), self.latest)
        elif what == "restart":
            before = self.nonces
            self.nonces = Nonces(10_000)
            self.nonces.take_over(before.held, before.max_age)
            self.nonces.raise_floor(before.floor)
            self.nonces.lose(before.lost)
        else:
            for index in range(first, first + count):
                key, space = b"%d" % index, SPACES[index % 2]
                if what == "undated":
                    self.claim(space, b"undated " + key, None, self.now + number)
                else:
                    self.claim(space, key, self.now - number, self.now - number + WINDOW)

    def check(self) -> None:
        """Everything is in its bucket, once, and counted."""
        for space in self.nonces.held.spaces.values():
            records = [
                (index, bucket[at : at + FINGERPRINT_BYTES])
                for index, bucket in enumerate(space.buckets)
                for at in range(0, len(bucket), RECORD_BYTES)
            ]
            assert all(space.place(fingerprint) == index for index, fingerprint in records)
            assert len(records) == len({fingerprint for _, fingerprint in records}) == space.count


@given(st.lists(EVENTS, max_size=40))
@settings(deadline=None, max_examples=200)
def test_the_memory_answers_as_its_model(events: list[tuple[str, int, int, float]]) -> None:
    with patch.object(space_module, "FULL", 4), patch.object(space_module, "SPARSE", 2):
        compared = Compared()
        for event in events:
            compared.happen(event)
            compared.check()


def test_the_events_split_and_join_buckets() -> None:
    with patch.object(space_module, "FULL", 4), patch.object(space_module, "SPARSE", 2):
        compared = Compared()
        for first in range(0, 600, 60):
            compared.happen(("burst", first, 60, 0.0))
        spaces = compared.nonces.held.spaces
        assert len(spaces["acme"].buckets) > 16
        compared.happen(("clock", 0, 0, 200.0))
        compared.happen(("burst", 1000, 60, 0.0))
        compared.happen(("burst", 1100, 60, 0.0))
        compared.check()
        assert len(spaces["acme"].buckets) < 40
