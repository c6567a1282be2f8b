"""Days and months of the calendar, in UTC whatever the clock of the machine shows."""

from datetime import UTC, datetime
from typing import Literal

from gateway.core.message import Instant

type Calendar = Literal["day", "month"]

DAY = 86_400
"""Seconds, in POSIX time, which has no leap seconds."""


def period(calendar: Calendar, now: Instant) -> tuple[str, float]:
    """Name the period that `now` lies in, such as `2026-11`, and give the seconds until the next one begins."""
    moment = datetime.fromtimestamp(now, UTC)
    if calendar == "day":
        return f"{moment:%Y-%m-%d}", DAY - now % DAY
    year, month = divmod(moment.year * 12 + moment.month, 12)  # month counts from 1, so this is the next one
    following = datetime(year, month + 1, 1, tzinfo=UTC)
    return f"{moment:%Y-%m}", following.timestamp() - now
