from pathlib import Path

import pytest

from gateway.audit.reader import UNFINISHED
from gateway.console.archive import Reading
from gateway.console.story import Story, story
from gateway.core.message import Instant
from gateway.core.reasons import Reason
from tests.unit.audit.examples import CONNECTION_ID, REQUEST_ID


def told(reading: Reading, directory: Path, request_id: str) -> Story:
    found = story(reading, directory, request_id)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("request_id", "verdict", "reason"),
    [
        ("whole", "allowed", "allowed"),
        ("failed", "failed", "upstream.timeout"),
        ("denied", "refused", "token.expired"),
        ("cut-off", "unfinished", UNFINISHED),
        ("answered", "answered", "idempotency.answered"),
        (CONNECTION_ID, "refused", "certificate.revoked"),
    ],
)
def test_what_became_of_it(reading: Reading, directory: Path, request_id: str, verdict: str, reason: str) -> None:
    found = told(reading, directory, request_id)
    assert (found.verdict, found.reason) == (verdict, reason)


def test_the_chain_of_an_allow(reading: Reading, directory: Path) -> None:
    steps = told(reading, directory, "whole").steps
    assert [(step.control, step.state) for step in steps] == [
        ("mutual_tls", "passed"),
        ("ip_allowlist", "passed"),
        ("token", "passed"),
        ("rate_limit", "off"),
        ("signature", "passed"),
        ("replay", "passed"),
    ]
    findings = [step.finding for step in steps]
    assert findings[0] == "bet-nord by certificate CN=casino,O=Acme, issued by CN=Partners CA"
    assert findings[1] == "198.51.100.7 is allowed"
    assert findings[2] == "subject acme-backend of issuer operator, ends 2026-11-22 13:04:00 UTC"
    assert findings[3] == "the PSP limits on its own"
    assert findings[4] == "matches under key acme-2026-11, dated 2026-11-22 12:59:59 UTC"
    assert findings[5] == "not seen before; SHA-256 of its nonce 895e2dcc7918d58e…"


def test_the_chain_of_a_denial_ends_where_it_was_denied(reading: Reading, directory: Path) -> None:
    found = told(reading, directory, "denied")
    assert [(step.state, step.finding) for step in found.steps[2:]] == [
        ("refused", "expired 65 s ago"),
        ("off", "the PSP limits on its own"),
        ("not reached", ""),
        ("not reached", ""),
    ]
    assert found.words is Reason.TOKEN_EXPIRED


def test_a_refused_connection_has_no_chain(reading: Reading, directory: Path) -> None:
    assert told(reading, directory, CONNECTION_ID).steps == ()


def test_facts_are_those_of_the_records(reading: Reading, directory: Path) -> None:
    facts = told(reading, directory, "whole").facts
    assert facts["Request"]["Request"] == "POST /v1/deposits"
    assert facts["Caller"]["Certificate ends"] == "2027-02-04 21:20:00 UTC"
    assert facts["Answer"] == {
        "Status": "201", "Upstream": "psp", "Answer's body": "118 bytes", "Gate": "4.20 ms",
        "Upstream took": "41.00 ms",
    }  # fmt: skip


def test_records_are_read_from_the_log(reading: Reading, directory: Path) -> None:
    records = told(reading, directory, "whole").records
    assert [held.entry.kind for held in records] == ["decision", "outcome"]
    lines = (directory / records[0].file).read_bytes().splitlines()
    assert records[0].entry.raw in lines
    assert '"event_code": "decision"' in records[0].pretty


def test_a_request_that_is_not_in_the_log(reading: Reading, directory: Path) -> None:
    assert story(reading, directory, "nothing") is None


def test_an_unread_request(reading: Reading, directory: Path) -> None:
    found = told(reading, directory, REQUEST_ID)
    assert found.records[0].entry.at == Instant(1_795_352_400.125)
