"""Every kind of record as it is read back."""

from gateway.audit.reader import Entry, entry_of
from gateway.audit.record import line
from tests.unit.audit.examples import EVENTS


def entry(name: str) -> Entry:
    number = list(EVENTS).index(name) + 1
    found = entry_of(line(EVENTS[name], number, "5b1f0c9d2e7a"))
    assert found is not None
    return found


ENTRIES = {name: entry(name) for name in EVENTS}
