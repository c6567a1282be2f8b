import re

import pytest

from gateway.audit.export.cef import cef
from gateway.audit.reader import Entry
from gateway.core.message import Instant
from tests.unit.audit.export.entries import ENTRIES


def extension(line: str) -> dict[str, str]:
    """Read an extension as a collector does: a key, an unescaped `=`, a value up to the next key."""
    fields = re.split(r"(?:^| )([A-Za-z0-9]+)=", re.split(r"(?<!\\)\|", line, maxsplit=7)[7])
    return dict(zip(fields[1::2], fields[2::2], strict=True))


@pytest.mark.parametrize("name", ENTRIES)
def test_every_record_has_a_head_of_seven_fields(name: str) -> None:
    line = cef(ENTRIES[name]).decode()
    head = re.split(r"(?<!\\)\|", line, maxsplit=7)
    assert (head[0], head[1], head[2], len(head)) == ("CEF:0", "gateway", "gateway", 8)
    assert 0 <= int(head[6]) <= 10
    made = extension(line)
    assert all(f"{key}Label" in made for key in made if re.fullmatch(r"c[ns]\d", key))


def test_a_denial() -> None:
    line = cef(ENTRIES["decision, denied"]).decode()
    assert line.startswith("CEF:0|gateway|gateway|")
    assert "|decision:token.expired|Access token expired|4|" in line
    made = extension(line)
    assert (made["act"], made["reason"], made["src"]) == ("denied", "expired 65 s ago", "198.51.100.7")
    assert (made["suser"], made["cs6"], made["cs1"]) == ("acme-casino", "token", "deposit")


def test_what_would_break_the_format_is_escaped() -> None:
    record = {
        "metadata": {"product": {"name": "g|w", "vendor_name": "v\\", "version": "1"}, "event_code": "decision"},
        "message": "a|b\nc",
        "status_detail": "x=y\\z\r\nact=allowed",
    }
    line = cef(Entry(1, Instant(1.0), record, b"")).decode()
    assert line.startswith(r"CEF:0|v\\|g\|w|1|decision|a\|b c|5|")
    assert r"reason=x\=y\\z\r\nact\=allowed" in line
    assert "\n" not in line
