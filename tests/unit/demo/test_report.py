"""The tables say what happened."""

from collections import Counter
from io import StringIO

import pytest
from rich.console import Console
from rich.table import Table

from gateway.core.reasons import Reason
from gateway.demo.client import Answer
from gateway.demo.play import Row
from gateway.demo.report import WIDTH, console, counts_table, expected, requests_table
from gateway.demo.scenarios import BALANCE, Scenario


def text(table: Table) -> str:
    output = StringIO()
    Console(file=output, width=WIDTH, highlight=False).print(table)
    return output.getvalue()


def row(scenario: Scenario, answer: Answer, *problems: str, sent: int = 1) -> Row:
    return Row(scenario, answer, scenario.expected.code, sent, problems)


OK = row(Scenario("PAM", "balance [x]", BALANCE, Reason.ALLOWED), Answer(200, None, "", 1.26))
CLOSED = row(
    Scenario("Connection", "plaintext", BALANCE, Reason.TLS_PLAINTEXT), Answer(None, None, "bad record mac", 2.0)
)
WRONG = row(
    Scenario("Token", "none", BALANCE, Reason.TOKEN_MISSING), Answer(200, None, "", 3.0), "1 reached the upstream"
)


def lines(*rows: Row) -> list[str]:
    return [" ".join(line.split()) for line in text(requests_table(rows)).splitlines()]


def test_a_row_shows_request_expectation_answer_reason_and_time() -> None:
    assert "✓ PAM: balance [x] 2xx 200 allowed 1.3" in lines(OK)


def test_a_closed_connection_shows_what_the_client_saw() -> None:
    assert "✓ Connection: plaintext closed bad record mac tls.plaintext 2.0" in lines(CLOSED)


def test_a_mismatch_is_marked_and_explained_below() -> None:
    shown = lines(OK, WRONG)
    at = shown.index("✗ Token: none 401 200 token.missing 3.0")
    assert shown[at + 1] == "1 reached the upstream"


def test_a_row_of_many_requests_says_how_many() -> None:
    scenario = Scenario("Rate", "many", BALANCE, Reason.RATE_EXCEEDED, until_refused=25)
    assert "✓ Rate: many (11 sent) 429 429 rate.exceeded 1.0" in lines(
        row(scenario, Answer(429, "rate.exceeded", "", 1.0), sent=11)
    )


@pytest.mark.parametrize(
    ("reason", "words"), [(Reason.ALLOWED, "2xx"), (Reason.TLS_PLAINTEXT, "closed"), (Reason.TOKEN_SCOPE, "403")]
)
def test_what_is_expected_is_said_in_the_clients_terms(reason: Reason, words: str) -> None:
    assert expected(reason) == words


def test_counts_stand_side_by_side_and_differences_are_marked() -> None:
    shown = text(counts_table(Counter({"allowed": 3, "token.missing": 1}), Counter({"allowed": 2, "tls.plaintext": 1})))
    rows = [" ".join(line.split()) for line in shown.splitlines()]
    assert {"✗ allowed 3 2", "✗ tls.plaintext 0 1", "✗ token.missing 1 0", "all 4 3"} <= set(rows)


def test_counts_that_agree_are_marked_so() -> None:
    assert "✗" not in text(counts_table(Counter({"allowed": 3}), Counter({"allowed": 3})))


def test_a_log_is_wide_enough_for_the_table() -> None:
    assert console(is_terminal=False).width == WIDTH
