import re

import pytest

from gateway.audit.query.questions import BY_NAME
from gateway.console.archive import Reading
from gateway.console.charts import Span
from gateway.console.evidence import REQUIREMENTS, Requirement, evidence
from gateway.core.message import Instant
from gateway.core.reasons import Reason
from tests.unit.audit.examples import EVENTS, NOW
from tests.unit.audit.query.logs import HOUR

ALL = Span(Instant(NOW - 1), Instant(NOW + 2 * HOUR))


def shown(reading: Reading, number: str) -> str:
    return next(one.shown for one in evidence(reading, ALL) if one.requirement.number == number)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        ("1.3.1, 1.4.2", "2 requests and 1 connections refused; 0 requests allowed without a rule"),
        ("4.2.1", "7 requests over TLS, 0 of them below 1.2; 1 connections refused for TLS or certificate"),
        ("6.5.1", "1 policies came into force, 1 were refused, each with digest and cause"),
        ("10.7.1, 10.7.2, 10.7.3", "1 failures began, 1 ended; the longest took 12.5 s"),
        (
            "10.2.1, 10.2.2",
            f"{len(EVENTS) + 6} records with time and kind; 0 decisions without result, reason or origin",
        ),
        (
            "10.6.1, 10.6.3",
            (
                "of 2 looks at the machine's clock 1 found it synchronised; it was set 1 times;"
                " 99 % of 5 signatures are dated within 3601.13 s of it"
            ),
        ),
    ],
)
def test_what_the_log_shows(reading: Reading, number: str, says: str) -> None:
    assert shown(reading, number) == says


def test_a_time_without_records_shows_nothing(reading: Reading) -> None:
    found = evidence(reading, Span(Instant(0.0), Instant(1.0)))
    assert len(found) == len(REQUIREMENTS)
    assert [one.shown for one in found if one.requirement.number == "10.5.1"] == [
        "in this report's time the log holds none to none"
    ]


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.number)
def test_commands_and_reasons_are_real(requirement: Requirement) -> None:
    for name in re.findall(r"gateway audit query ([a-z][a-z-]*)", requirement.records):
        assert name in BY_NAME
    codes = {reason.code for reason in Reason}
    for code in re.findall(r"'([a-z]+\.[a-z_]+)'", requirement.counts):
        assert code in codes | {"policy.loaded", "policy.refused", "control.failed", "control.recovered"}
    for family in re.findall(r"'([a-z]+\.[a-z_]*)[%*]'", f"{requirement.counts} {requirement.records}"):
        assert any(code.startswith(family) for code in codes)
