import re

import pytest

from gateway.audit.export.syslog import framed, message, name
from gateway.audit.reader import Entry
from gateway.core.message import Instant
from tests.unit.audit.export.entries import ENTRIES

HEADER = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ([!-~]{1,255}) gateway ([!-~]{1,128}) ([!-~]{1,32})"
    rb' \[meta sequenceId="(\d+)"\] (.*)\Z',
    re.DOTALL,
)


@pytest.mark.parametrize("name", ENTRIES)
def test_every_record_has_a_header(name: str) -> None:
    match = HEADER.match(message(ENTRIES[name], b"text", "gate.example", "worker-1"))
    assert match
    assert match[5].decode() == ENTRIES[name].kind
    assert (match[3], match[4], match[7]) == (b"gate.example", b"worker-1", b"text")


@pytest.mark.parametrize(
    ("example", "severity"), [("decision", 6), ("decision, denied", 5), ("connection", 4), ("policy.refused", 3)]
)
def test_severities(example: str, severity: int) -> None:
    assert message(ENTRIES[example], b"", "h", "").startswith(b"<%d>1 " % (13 * 8 + severity))


@pytest.mark.parametrize(("sequence", "told"), [(1, 1), (2_147_483_647, 2_147_483_647), (2_147_483_648, 1)])
def test_sequences_go_round(sequence: int, told: int) -> None:
    made = message(Entry(sequence, Instant(1.0), {}, b""), b"", "h", "")
    assert b'sequenceId="%d"' % told in made
    assert b" gateway - - [" in made


def test_frames_are_counted_in_bytes() -> None:
    assert framed("é".encode()) == "2 é".encode()


@pytest.mark.parametrize(("text", "made"), [("", "-"), ("a b\nc", "abc"), ("ü", "-"), ("x" * 300, "x" * 255)])
def test_names(text: str, made: str) -> None:
    assert name(text, 255) == made
