"""Warnings of what ends soon: each once a day."""

from pathlib import Path

import pytest

from gateway.core.message import Instant
from gateway.core.policy import SigningKey
from gateway.core.secret import Secret
from gateway.engine.expiry import DAY, MOST_LINES, Expiries
from gateway.policy.inventory import Crypto, Material, Owner, Role, SystemAuthorities
from gateway.policy.nodes import TOP, Place

NOW = Instant(1_795_352_400.0)
"""2026-11-22T13:00:00Z."""


def key(ends: float, begins: float | None = None, name: str = "k") -> SigningKey:
    """A key that ends so many seconds from now."""
    start = None if begins is None else Instant(NOW + begins)
    return SigningKey(name, "hmac-sha256", Secret(b"x" * 32), start, Instant(NOW + ends))


def used(*what: Crypto, file: str = "") -> list[Material]:
    place = Place(Path("p.yaml"), 1, 1)
    return [Material(Owner("partner", "acme"), Role.SIGNATURES, one, place, TOP, file) for one in what]


def after(*what: Crypto, file: str = "") -> list[str]:
    expiries = Expiries()
    expiries.adopt(used(*what, file=file))
    return expiries.due(NOW)


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        (29 * DAY, "key k (partner acme) ends on 2026-12-21 13:00 UTC, 29 days left: renew it"),
        (DAY, "key k (partner acme) ends on 2026-11-23 13:00 UTC, 1 day left: renew it"),
        (60, "key k (partner acme) ends on 2026-11-22 13:01 UTC, less than a day left: renew it"),
        (0, "key k (partner acme) ended on 2026-11-22 13:00 UTC: replace or remove it"),
    ],
)
def test_what_ends_soon_is_told_of(ends: float, said: str) -> None:
    assert after(key(ends)) == [said]


def test_the_file_is_named() -> None:
    (said,) = after(key(60), file="certs/gateway.pem")
    assert said.startswith("key k (partner acme, certs/gateway.pem) ends on")


def test_what_ends_later_or_never_is_not_told_of() -> None:
    assert after(key(31 * DAY), SystemAuthorities()) == []


def test_what_lives_briefly_is_told_of_in_its_last_third() -> None:
    assert after(key(5 * DAY, -2 * DAY)) == []
    assert len(after(key(2 * DAY, -5 * DAY))) == 1


def test_each_is_told_of_once_a_day_and_the_first_to_end_comes_first() -> None:
    expiries = Expiries()
    expiries.adopt(used(key(2 * DAY, name="b"), key(DAY / 2, name="a"), key(2 * DAY, name="b")))
    assert [line[:5] for line in expiries.due(NOW)] == ["key a", "key b"]
    assert expiries.due(Instant(NOW + 60)) == []
    assert expiries.due(Instant(NOW + DAY - 60)) == []
    assert len(expiries.due(Instant(NOW + 2 * DAY))) == 2


def test_a_reload_tells_nothing_twice_and_tells_what_is_new() -> None:
    expiries = Expiries()
    expiries.adopt(used(key(60, name="a")))
    assert len(expiries.due(NOW)) == 1
    expiries.adopt(used(key(60, name="a"), key(60, name="b")))
    (said,) = expiries.due(NOW)
    assert said.startswith("key b")


def test_what_was_renewed_is_forgotten() -> None:
    expiries = Expiries()
    expiries.adopt(used(key(60)))
    assert expiries.due(NOW)
    expiries.adopt(used(key(365 * DAY)))
    assert expiries.due(Instant(NOW + 2 * DAY)) == []


def test_many_at_once_do_not_fill_the_log() -> None:
    said = after(*(key(60, name=f"k{number}") for number in range(MOST_LINES + 5)))
    assert len(said) == MOST_LINES + 1
    assert said[-1] == "and 5 more: `gateway certs list` has them all"
