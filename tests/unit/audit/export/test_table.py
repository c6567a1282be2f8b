import csv
import io

import pytest

from gateway.audit.export.table import HEADER, harmless, row
from tests.unit.audit.export.entries import ENTRIES


def cells(name: str) -> dict[str, str]:
    header, values = csv.reader(io.StringIO(f"{HEADER.decode()}\n{row(ENTRIES[name]).decode()}\n"))
    return dict(zip(header, values, strict=True))


def test_a_decision() -> None:
    made = cells("decision")
    assert made["time"] == "2026-11-22T13:00:00.125Z"
    assert (made["denied"], made["success"], made["sequence"], made["gate_ms"]) == ("no", "yes", "1", "3.1")
    assert made["controls_passed"] == "mutual_tls; ip_allowlist; token; signature; replay"
    assert made["controls_off"] == "rate_limit: the PSP limits on its own"
    assert made["certificate_sha256"] == "d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592"
    assert made["proxy"] == ""


def test_what_has_no_route_has_an_empty_one() -> None:
    assert cells("decision, unread")["route"] == ""
    assert cells("start")["denied"] == ""


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_no_formula(text: str) -> None:
    assert harmless(text) == f"'{text}"
    assert harmless(f"x{text}") == f"x{text}"
