from datetime import UTC, datetime

import pytest

from gateway.core.message import Instant
from gateway.core.periods import Calendar, period


@pytest.mark.parametrize(
    ("calendar", "now", "named", "until"),
    [
        ("day", "2026-11-23T00:00:00", "2026-11-23", "2026-11-24T00:00:00"),
        ("day", "2026-12-31T23:59:59.5", "2026-12-31", "2027-01-01T00:00:00"),
        ("month", "2026-11-23T01:02:03", "2026-11", "2026-12-01T00:00:00"),
        ("month", "2026-12-31T23:59:59.5", "2026-12", "2027-01-01T00:00:00"),
        ("month", "2027-01-01T00:00:00", "2027-01", "2027-02-01T00:00:00"),
        ("month", "2028-02-10T00:00:00", "2028-02", "2028-03-01T00:00:00"),
        ("month", "2100-02-28T23:00:00", "2100-02", "2100-03-01T00:00:00"),
    ],
)
def test_days_and_months_are_those_of_utc(calendar: Calendar, now: str, named: str, until: str) -> None:
    moment, end = (datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() for text in (now, until))
    assert period(calendar, Instant(moment)) == (named, end - moment)
