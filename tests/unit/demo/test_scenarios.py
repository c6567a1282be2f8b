"""The demo plays what it must: every operation, and every way to be refused that its brief names."""

from itertools import pairwise

import pytest

from gateway.core.reasons import Reason
from gateway.demo.operations import OPERATIONS
from gateway.demo.scenarios import LEGITIMATE, SCENARIOS

NAMED = {
    "no certificate": Reason.TLS_NO_CERTIFICATE,
    "foreign CA": Reason.TLS_CERTIFICATE_UNTRUSTED,
    "expired certificate": Reason.TLS_CERTIFICATE_EXPIRED,
    "certificate of a trusted CA that is no partner": Reason.PARTNER_UNKNOWN,
    "partner not allowed on a route": Reason.PARTNER_NOT_ALLOWED,
    "wrong address": Reason.ADDRESS_NOT_ALLOWED,
    "no token": Reason.TOKEN_MISSING,
    "expired token": Reason.TOKEN_EXPIRED,
    "too-long-lived token": Reason.TOKEN_LIFETIME,
    "foreign token": Reason.TOKEN_SIGNATURE,
    "token of an unknown key": Reason.TOKEN_KEY_UNKNOWN,
    "wrong audience": Reason.TOKEN_AUDIENCE,
    "missing scope": Reason.TOKEN_SCOPE,
    "another partner's token": Reason.TOKEN_SUBJECT,
    "changed body": Reason.SIGNATURE_MISMATCH,
    "stale timestamp": Reason.SIGNATURE_STALE,
    "future timestamp": Reason.SIGNATURE_FUTURE,
    "replayed nonce": Reason.REPLAY_SEEN,
    "unknown key": Reason.SIGNATURE_KEY_UNKNOWN,
    "a retry": Reason.IDEMPOTENCY_ANSWERED,
    "another amount under the same reference": Reason.IDEMPOTENCY_KEY_REUSED,
    "too much money in a day": Reason.VELOCITY_EXCEEDED,
    "rate exceeded": Reason.RATE_EXCEEDED,
    "unknown route": Reason.ROUTE_UNKNOWN,
    "method not allowed": Reason.METHOD_NOT_ALLOWED,
    "smuggling": Reason.FRAMING_AMBIGUOUS,
    "two hosts": Reason.HOST_INVALID,
    "plaintext": Reason.TLS_PLAINTEXT,
    "oversized body": Reason.BODY_TOO_LARGE,
    "oversized head": Reason.HEAD_TOO_LARGE,
}


@pytest.mark.parametrize("reason", NAMED.values(), ids=NAMED.keys())
def test_a_named_refusal_is_played(reason: Reason) -> None:
    assert [scenario.title for scenario in SCENARIOS if scenario.expected is reason]


def test_every_operation_is_played_as_it_should_be() -> None:
    allowed = {scenario.call.operation for scenario in LEGITIMATE if scenario.expected is Reason.ALLOWED}
    assert allowed == {operation.name for operation in OPERATIONS}


def test_one_legitimate_call_is_http_2() -> None:
    assert [scenario.call.operation for scenario in LEGITIMATE if scenario.call.http2] == ["casino-launch"]


def test_there_are_enough() -> None:
    assert len(SCENARIOS) >= 25


@pytest.mark.parametrize("field", ["X-Forwarded-For", "X-Gateway-Partner"])
def test_a_spoofed_field_changes_nothing(field: str) -> None:
    spoofed = [scenario for scenario in SCENARIOS if dict(scenario.call.extra).get(field)]
    assert Reason.ALLOWED in {scenario.expected for scenario in spoofed}


def test_rows_have_titles_of_their_own() -> None:
    titles = [(scenario.group, scenario.title) for scenario in SCENARIOS]
    assert len(set(titles)) == len(titles)


def test_a_replay_follows_the_request_it_repeats() -> None:
    repeated = [(before, row) for before, row in pairwise(SCENARIOS) if row.again]
    assert len(repeated) == 2
    assert all(before.call is row.call and before.expected is Reason.ALLOWED for before, row in repeated)
    assert not SCENARIOS[0].again
