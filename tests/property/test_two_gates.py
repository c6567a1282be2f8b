"""Two gates on one store, in whatever order they ask: limits hold for both together, and no claim is new twice."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.chain import Claim, ClaimOnce, RateLimit, Take, TakeRate
from gateway.core.message import Instant
from tests.unit.state.valkey.conftest import Gate
from tests.valkey import Server, serving
from tests.world import NOW

FIXED = RateLimit("fixed", 5, 10, sliding=False)
SLIDING = RateLimit("sliding", 7, 10, sliding=True)

STEADY = RateLimit("steady", 3, 10, sliding=False, burst=4)

TURNS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.25, 1.0, 2.5, 9.75, 10.0, 20.0]),
        st.lists(
            st.tuples(
                st.integers(0, 1), st.sampled_from(["fixed", "sliding", "both", "steady", "claim"]), st.integers(0, 5)
            ),
            min_size=1,
            max_size=12,
        ),
    ),
    min_size=1,
    max_size=12,
)
"""Seconds that pass, and what is asked at once then: by which gate, what, and of which caller or nonce."""

ASKS = {
    "fixed": TakeRate((Take(FIXED, ("psp", "deposit", "fixed")),)),
    "sliding": TakeRate((Take(SLIDING, ("psp", "deposit", "sliding")),)),
    "steady": TakeRate((Take(STEADY, ("psp", "deposit", "steady")),)),
    "both": TakeRate((Take(FIXED, ("psp", "deposit", "fixed")), Take(SLIDING, ("psp", "deposit", "sliding")))),
}


def keeps_to_its_burst(admitted: list[float]) -> bool:
    """Whether within any t seconds there is no more than the burst, and what is refilled meanwhile."""
    assert STEADY.burst is not None
    return all(
        more <= STEADY.burst + (until - since) * STEADY.amount / STEADY.window
        for begins, since in enumerate(admitted)
        for more, until in enumerate(admitted[begins:], 1)
    )


@pytest.fixture(scope="module")
def store() -> Iterator[Server]:
    with serving() as made:
        yield made


@given(turns=TURNS)
@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_two_gates_are_one(store: Server, turns: list[tuple[float, list[tuple[int, str, int]]]]) -> None:
    store.ask("FLUSHALL")
    store.set_clock(NOW)
    admitted: dict[str, list[float]] = {"fixed": [], "sliding": [], "steady": []}
    claimed: Counter[int] = Counter()

    async def run() -> None:
        gates = [await Gate(store).start() for _ in range(2)]
        now = NOW + 100.0
        for seconds, asks in turns:
            now += seconds
            store.set_clock(now)

            async def ask(index: int, what: str, number: int, at: float = now) -> None:
                state = gates[index].state
                if what == "claim":
                    claim = ClaimOnce("acme", b"%d" % number, Instant(NOW + 100), Instant(NOW + 1_000))
                    claimed[number] += (await state.claim(claim, Instant(at))) is Claim.NEW
                elif (await state.take(ASKS[what], Instant(at))).allowed:
                    for name in ("fixed", "sliding") if what == "both" else (what,):
                        admitted[name].append(at)

            await asyncio.gather(*(ask(*each) for each in asks))
        for gate in gates:
            await gate.state.stop()

    asyncio.run(run())

    assert max(claimed.values(), default=0) <= 1
    # Fixed: a window begins with the first request in it, and holds exactly the limit at most.
    windows: list[list[float]] = []
    for at in admitted["fixed"]:
        if not windows or at >= windows[-1][0] + FIXED.window:
            windows.append([])
        windows[-1].append(at)
    assert all(len(window) <= FIXED.amount for window in windows)
    assert all(one[0] + FIXED.window <= other[0] for one, other in pairwise(windows))
    # Sliding: the limit at most in each window of the clock, and less than twice the limit in any other.
    sliding = admitted["sliding"]
    assert all(count <= SLIDING.amount for count in Counter(at // SLIDING.window for at in sliding).values())
    assert all(sum(at - SLIDING.window < other <= at for other in sliding) < 2 * SLIDING.amount for at in sliding)
    assert keeps_to_its_burst(admitted["steady"])
