"""What the memory of nonces costs, and what it takes two keys for."""

import sys
import tracemalloc
from contextlib import suppress
from hashlib import blake2b
from random import Random

import pytest

from gateway.core.chain import Claim, ClaimOnce
from gateway.core.message import Instant
from gateway.core.reasons import Unavailable
from gateway.state.nonces import LOOKS, SECRET_BYTES, TURN, Held, Nonces
from gateway.state.space import FINGERPRINT_BYTES, FULL, RECORD_BYTES, SPARSE, Space

NOW = 1_795_352_400.0
AGE = 60.0


def claim(
    nonces: Nonces, key: bytes = b"key", *, now: float = NOW, until: float | None = None, space: str = "acme"
) -> Claim:
    return nonces.claim(
        ClaimOnce(space, key, Instant(now), Instant(now + AGE if until is None else until)), Instant(now)
    )


@pytest.mark.parametrize("spaces", [1, 5])
def test_the_memory_shrinks_under_load_and_in_spaces_nobody_claims_in(spaces: int) -> None:
    nonces = Nonces(10_000)
    for index in range(5000):
        claim(nonces, b"%d" % index, space=f"idle-{index % spaces}")
    for index in range(5000 // FULL * TURN):
        claim(nonces, b"%d" % index, now=NOW + 100)
    assert len(nonces) == 5000 // FULL * TURN
    assert len(nonces.held.spaces["acme"].buckets) <= len(nonces) // SPARSE


def test_what_is_over_takes_little_memory_while_as_much_comes_as_ends() -> None:
    """Half of the claims end after one window, half after three: no bucket has its records in their order."""
    nonces, most = Nonces(100_000), 0.0
    for index in range(40_000):
        now = NOW + index / 50
        claim(nonces, b"%d" % index, now=now, until=now + (60 if index % 2 else 180))
        if index > 20_000:
            most = max(most, len(nonces))
    assert most < 1.35 * (60 + 180) / 2 * 50


class Counting(Space):
    """Counts the buckets that are looked after."""

    __slots__ = ("forgets", "tends")

    def __init__(self) -> None:
        super().__init__()
        self.tends = self.forgets = 0

    def tend(self, now: float) -> tuple[int, int]:
        self.tends += 1
        return super().tend(now)

    def forget(self, index: int, now: float) -> int:
        self.forgets += 1  # a search comes here too
        return super().forget(index, now)


def test_no_claim_does_more_than_a_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.state.nonces.Space", Counting)
    nonces = Nonces(4000)
    random = Random(7)  # noqa: S311 - the same choices in each run
    now, done, largest = NOW, 0, 0
    for index in range(30_000):
        now += random.choice([0.0, 0.001, 0.01, 0.01, 0.01]) + (500.0 if index % 10_000 == 0 else 0.0)
        with suppress(Unavailable):
            claim(nonces, b"%d" % index, now=now, until=now + random.choice([20, 60]), space="ab"[index % 2])
        spaces = [space for space in nonces.held.spaces.values() if isinstance(space, Counting)]
        before, done = done, sum(space.tends + space.forgets for space in spaces)
        assert done - before <= 2 * (LOOKS + 1)
        largest = max(largest, *(len(bucket) for space in spaces for bucket in space.buckets[:: max(1, index % 97)]))
    assert largest // RECORD_BYTES < 5 * FULL


# Memory


def sizes(nonces: Nonces) -> int:
    """Give the bytes that all spaces take, what the allocator rounds up included."""
    total = 0
    for space in nonces.held.spaces.values():
        objects = (space, space.buckets, *filter(None, space.buckets))
        total += sum(-(-(sys.getsizeof(each) + 8) // 16) * 16 for each in objects)
    return total


def fill(nonces: Nonces, claims: int) -> None:
    for index in range(claims):
        dated = Instant(NOW + index / claims * 299)
        nonces.claim(ClaimOnce("acme", b"%d" % index, dated, Instant(dated + 300)), dated)


def test_a_million_claims_take_less_than_16_bytes_each() -> None:
    nonces = Nonces(1_000_000)
    fill(nonces, 1_000_000)
    assert len(nonces) == 1_000_000
    assert sizes(nonces) < 14_000_000


def test_nothing_beside_the_spaces_grows() -> None:
    tracemalloc.start()
    try:
        nonces = Nonces(100_000)
        before, _ = tracemalloc.get_traced_memory()
        fill(nonces, 100_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1_600_000


def test_ten_thousand_spaces_with_a_few_claims_each_take_little() -> None:
    nonces = Nonces(1_000_000)
    for index in range(50_000):
        claim(nonces, b"%d" % index, space=f"partner-{index % 10_000}")
    assert sizes(nonces) < 10_000 * 450


# Fingerprints


class Truncated:
    """Makes fingerprints of which only so many different ones exist."""

    def __init__(self, kinds: int) -> None:
        self.kinds, self.key = kinds, b""

    def copy(self) -> "Truncated":
        return Truncated(self.kinds)

    def update(self, key: bytes) -> None:
        self.key = key

    def digest(self) -> bytes:
        return (int.from_bytes(blake2b(self.key, digest_size=8).digest()) % self.kinds).to_bytes(8)


@pytest.mark.parametrize("kinds", [1, 300, 70_000])
def test_keys_with_one_fingerprint_are_denied_and_replays_are_not_taken(kinds: int) -> None:
    nonces = Nonces(100_000)
    vars(nonces)["_blank"] = Truncated(kinds)
    taken, collided, random = set[bytes](), 0, Random(kinds)  # noqa: S311 - as above
    for index in range(3000):
        key, now = b"%d" % random.randrange(2000), NOW + index / 100
        answer = claim(nonces, key, now=now, until=NOW + 100)
        assert (answer is Claim.NEW) <= (key not in taken)
        assert answer in {Claim.NEW, Claim.SEEN}
        collided += answer is Claim.SEEN and key not in taken
        taken |= {key} if answer is Claim.NEW else set()
    assert len(nonces) == len(taken) <= kinds
    assert collided > 0 or kinds == 70_000


def test_nobody_else_can_make_the_same_fingerprints() -> None:
    buckets = []
    for _ in range(2):
        nonces = Nonces(10)
        claim(nonces)
        buckets.append(nonces.held.spaces["acme"].buckets[0][:FINGERPRINT_BYTES])
    assert buckets[0] != buckets[1] != b""


def test_both_halves_of_the_secret_count() -> None:
    secrets = [b"a" * SECRET_BYTES, b"b" + b"a" * (SECRET_BYTES - 1), b"a" * (SECRET_BYTES - 1) + b"b"]
    kept = set()
    for secret in secrets:
        nonces = Nonces(10)
        nonces.take_over(Held(secret, {}), AGE)
        claim(nonces)
        kept.add(nonces.held.spaces["acme"].buckets[0])
    assert len(kept) == 3
