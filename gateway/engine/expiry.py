"""Warns in the service's log of keys and certificates that end soon: each at most once a day."""

from collections.abc import Iterable
from datetime import UTC, datetime

from gateway.core.message import Instant
from gateway.policy.inventory import Material

DAY = 86_400.0

AHEAD = 30 * DAY
"""Seconds before the end of what lives for months: time to renew it by hand, and to be asked for it twice."""

AHEAD_SHARE = 1 / 3
"""Of what lives for less than three months, the last third: a certificate of a day is not late all its life."""

MOST_LINES = 100
"""A policy of 10,000 partners whose keys end together does not fill the disk."""


class Expiries:
    """Knows what ends when, and what was told of already. Outlives reloads, so that these tell nothing twice."""

    def __init__(self) -> None:
        self._endings: tuple[tuple[str, Instant, float], ...] = ()
        """What, its end, and seconds before it from which on it is told of."""
        self._told: dict[tuple[str, Instant], Instant] = {}
        self._next = Instant(0.0)

    def adopt(self, material: Iterable[Material]) -> None:
        """Take over what a policy trusts or uses, in place of what the one before did."""
        found = {_ending(one) for one in material if one.not_after is not None}
        self._endings = tuple(sorted(found, key=lambda ending: (ending[1], ending[0])))
        known = {(what, ends) for what, ends, _ in self._endings}
        self._told = {key: when for key, when in self._told.items() if key in known}
        self._next = Instant(0.0)

    def due(self, now: Instant) -> list[str]:
        """Give the warnings to be given now; costs nothing where it was asked within the last hour."""
        if now < self._next:
            return []
        self._next = Instant(now + 3_600)
        told = self._told
        late = [
            (what, ends)
            for what, ends, ahead in self._endings
            if ends - ahead <= now and now - told.get((what, ends), -DAY) >= DAY
        ]
        told.update(dict.fromkeys(late, now))
        lines = [_line(what, ends, now) for what, ends in late[:MOST_LINES]]
        if len(late) > MOST_LINES:
            lines.append(f"and {len(late) - MOST_LINES} more: `gateway certs list` has them all")
        return lines


def _ending(one: Material) -> tuple[str, Instant, float]:
    assert one.not_after is not None
    ahead = AHEAD
    if one.not_before is not None:
        ahead = min(ahead, (one.not_after - one.not_before) * AHEAD_SHARE)
    where = f", {one.file}" if one.file else ""
    return f"{one.label} ({one.owner}{where})", one.not_after, ahead


def _line(what: str, ends: Instant, now: Instant) -> str:
    when = f"{datetime.fromtimestamp(ends, UTC):%Y-%m-%d %H:%M} UTC"
    if ends <= now:
        return f"{what} ended on {when}: replace or remove it"
    days = int((ends - now) // DAY)
    left = "less than a day" if days == 0 else f"{days} day{'' if days == 1 else 's'}"
    return f"{what} ends on {when}, {left} left: renew it"
