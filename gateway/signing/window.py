"""The time in which a signed request counts: two-sided, so that nobody can post-date one and keep it for later."""

from dataclasses import dataclass

from gateway.core.message import Instant
from gateway.core.reasons import Denied, Reason

CHALLENGE = ("www-authenticate", 'Signature realm="gateway"')
"""What every 401 about a signature carries (RFC 9110 11.6.1)."""

MAX_ZONE = 14
"""Hours: the zones furthest from UTC."""
ZONE_TOLERANCE = 30.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Window:
    """How far a signed timestamp may lie from the gate's time, in seconds, both ends included."""

    max_age: float
    max_ahead: float

    def __post_init__(self) -> None:
        if not (0 < self.max_age < float("inf") and 0 <= self.max_ahead < float("inf")):
            raise ValueError("a window needs a max_age above 0 s and a max_ahead of 0 s or more")

    def check(self, created: Instant, now: Instant) -> None:
        """Raise Denied(SIGNATURE_STALE or SIGNATURE_FUTURE) where `created` lies outside the window."""
        age = now - created
        if age > self.max_age:
            detail = f"dated {age:.0f} s ago, the window is {self.max_age:g} s{_hours(age)}"
            raise Denied(Reason.SIGNATURE_STALE, detail, (CHALLENGE,))
        if -age > self.max_ahead:
            clock = _hours(age) or ": its clock is ahead"
            detail = f"dated {-age:.0f} s ahead, the window is {self.max_ahead:g} s{clock}"
            raise Denied(Reason.SIGNATURE_FUTURE, detail, (CHALLENGE,))

    def end(self, created: Instant) -> Instant:
        """Give the last instant at which a request dated `created` counts."""
        return Instant(created + self.max_age)


def _hours(age: float) -> str:
    """Say where the difference is one of time zones: whole hours, but for what a request takes and clocks differ."""
    hours = round(age / 3_600)
    wrong = hours != 0 and abs(hours) <= MAX_ZONE and abs(age - hours * 3_600) <= ZONE_TOLERANCE
    return f": {abs(hours)} h, as if local time were taken for UTC" if wrong else ""
