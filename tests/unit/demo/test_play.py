"""Three witnesses: what they must agree on, and that a single one that does not is noticed."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.core.reasons import Reason
from gateway.demo.calls import Call, Message
from gateway.demo.client import Answer
from gateway.demo.credentials import Credentials
from gateway.demo.journal import Entry, Journal
from gateway.demo.play import Stage, decided, judge, settled
from gateway.demo.scenarios import BALANCE, DEPOSIT, RECONCILIATION, Scenario
from gateway.demo.upstream import Received, Upstream
from tests.unit.demo.world import NOW

ALLOWED = [Entry("decision", "allowed", "r-1"), Entry("outcome", "allowed", "r-1")]
MISSING = [Entry("decision", "token.missing", "r-1")]
IDENTITY = {
    "x-gateway-partner": ["acme-casino"],
    "x-gateway-client-address": ["127.0.0.1"],
    "x-gateway-request-id": ["r-1"],
    "x-forwarded-for": ["127.0.0.1"],
}
GOT_201 = Answer(201, None, "")
GOT_401 = Answer(401, "token.missing", "")
RECEIVED = Received("psp-deposit", 201, IDENTITY)


def allowed(
    answer: Answer = GOT_201, entries: list[Entry] = ALLOWED, received: tuple[Received, ...] = (RECEIVED,)
) -> list[str]:
    return judge(Reason.ALLOWED, DEPOSIT, answer, entries, received)


def refused(
    answer: Answer = GOT_401,
    entries: list[Entry] = MISSING,
    received: tuple[Received, ...] = (),
    expected: Reason = Reason.TOKEN_MISSING,
) -> list[str]:
    return judge(expected, DEPOSIT, answer, entries, received)


def test_an_allowed_request_that_all_saw_is_right() -> None:
    assert allowed() == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"answer": Answer(200, None, "")}, "the client got 200, the upstream gave 201"),
        ({"entries": MISSING}, "the log says token.missing, not allowed"),
        ({"entries": []}, "the log says nothing, not allowed"),
        ({"entries": [*ALLOWED, *ALLOWED]}, "the log says allowed, allowed, not allowed"),
        ({"received": ()}, "0 reached the upstream, not one; the client got 201"),
        ({"received": (RECEIVED, RECEIVED)}, "2 reached the upstream, not one; the client got 201"),
        (
            {"received": (Received("psp-withdrawal", 201, IDENTITY),)},
            "the upstream was asked for psp-withdrawal, not psp-deposit",
        ),
        (
            {"answer": Answer(422, None, ""), "received": (Received("psp-deposit", 422, IDENTITY),)},
            "the client got 422, the upstream gave 422",
        ),
    ],
)
def test_an_allowed_request_that_one_saw_otherwise_is_wrong(change: dict[str, object], problem: str) -> None:
    assert problem in allowed(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("x-gateway-partner", ["northstar-games"]),
        ("x-gateway-partner", ["acme-casino", "northstar-games"]),
        ("x-gateway-client-address", ["203.0.113.9"]),
        ("x-gateway-request-id", ["r-2"]),
        ("x-forwarded-for", ["203.0.113.9", "127.0.0.1"]),
    ],
)
def test_a_caller_who_tells_the_upstream_who_he_is_is_noticed(name: str, values: list[str]) -> None:
    problems = allowed(received=(Received("psp-deposit", 201, {**IDENTITY, name: values}),))
    assert problems == [f"the upstream was told {name}: {', '.join(values)}"]


def test_an_upstream_that_is_told_nothing_is_noticed() -> None:
    assert len(allowed(received=(Received("psp-deposit", 201, {}),))) == len(IDENTITY)


def test_a_refusal_that_all_saw_is_right() -> None:
    assert refused() == []


def test_a_refused_connection_is_right_without_an_answer() -> None:
    entries = [Entry("connection", "tls.plaintext", "c-1")]
    assert refused(Answer(None, None, "closed"), entries, expected=Reason.TLS_PLAINTEXT) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"answer": Answer(403, "token.scope", "")}, "the client got 403 token.scope, not 401"),
        ({"answer": Answer(401, "token.expired", "")}, "the client got 401 token.expired, not 401"),
        ({"answer": Answer(None, None, "connection closed")}, "the client got connection closed, not 401"),
        ({"entries": ALLOWED}, "the log says allowed, not token.missing"),
        ({"received": (RECEIVED,)}, "1 reached the upstream"),
    ],
)
def test_a_refusal_that_one_saw_otherwise_is_wrong(change: dict[str, object], problem: str) -> None:
    assert problem in refused(**change)  # type: ignore[arg-type]


def test_an_answer_where_the_connection_had_to_be_closed_is_wrong() -> None:
    entries = [Entry("connection", "tls.plaintext", "c-1")]
    problems = refused(Answer(400, "http.malformed", ""), entries, expected=Reason.TLS_PLAINTEXT)
    assert problems == ["the client got 400 http.malformed, not a closed connection"]


def test_records_are_complete_with_the_outcome_of_an_allow() -> None:
    assert settled(ALLOWED)
    assert settled(MISSING)
    assert not settled(ALLOWED[:1])
    assert not settled(ALLOWED[1:])
    assert not settled([])


def test_reasons_are_those_of_decisions_and_connections() -> None:
    assert decided([*ALLOWED, Entry("connection", "tls.plaintext", "c"), Entry("stop", "", None)]) == [
        "allowed",
        "tls.plaintext",
    ]


@dataclass
class StubGate:
    """In place of client, gate and upstream: answers, writes the log, and forwards what it allows."""

    upstream: Upstream
    log: Path
    allows: int
    """How many requests before it refuses."""
    sent: list[Message] = field(default_factory=list)

    async def send(self, call: Call, message: Message) -> Answer:
        self.sent.append(message)
        number = len(self.sent)
        refused = number > self.allows
        records = [("decision", "rate.exceeded" if refused else "allowed")]
        if not refused:
            records.append(("outcome", "allowed"))
            identity = {
                **IDENTITY, "x-gateway-partner": [call.party.name], "x-gateway-request-id": [f"r-{number}"],
            }  # fmt: skip
            self.upstream.received.append(Received(call.operation, 200, identity))
        with self.log.open("ab") as opened:
            for kind, reason in records:
                metadata = {"event_code": kind, "correlation_uid": f"r-{number}"}
                opened.write(json.dumps({"metadata": metadata, "status_code": reason}).encode() + b"\n")
        return Answer(429, "rate.exceeded", "") if refused else Answer(200, None, "")


def on_stage(credentials: Credentials, tmp_path: Path, allows: int) -> tuple[Stage, StubGate]:
    upstream = Upstream()
    gate = StubGate(upstream, tmp_path / "audit.jsonl", allows)
    journal = Journal(tmp_path, polls=0)
    return Stage(gate, credentials, journal, upstream, lambda: NOW), gate  # type: ignore[arg-type]


async def test_a_row_tells_what_became_of_a_request(credentials: Credentials, tmp_path: Path) -> None:
    stage, _ = on_stage(credentials, tmp_path, allows=1)
    row = await stage.play(Scenario("PAM", "balance", BALANCE, Reason.ALLOWED))
    assert (row.reason, row.sent, row.problems, row.answer.status) == ("allowed", 1, (), 200)
    assert stage.seen == {"allowed": 1}


async def test_a_repeated_request_is_the_same_to_the_byte(credentials: Credentials, tmp_path: Path) -> None:
    stage, gate = on_stage(credentials, tmp_path, allows=2)
    await stage.play(Scenario("Replay", "first", DEPOSIT, Reason.ALLOWED))
    await stage.play(Scenario("Replay", "again", DEPOSIT, Reason.REPLAY_SEEN, again=True))
    assert gate.sent[0] is gate.sent[1]


async def test_a_repetition_needs_something_to_repeat(credentials: Credentials, tmp_path: Path) -> None:
    stage, _ = on_stage(credentials, tmp_path, allows=1)
    with pytest.raises(RuntimeError, match="nothing was sent before"):
        await stage.play(Scenario("Replay", "again", DEPOSIT, Reason.REPLAY_SEEN, again=True))


async def test_requests_go_on_until_one_is_refused(credentials: Credentials, tmp_path: Path) -> None:
    stage, gate = on_stage(credentials, tmp_path, allows=4)
    row = await stage.play(Scenario("Rate", "many", RECONCILIATION, Reason.RATE_EXCEEDED, until_refused=25))
    assert (row.sent, row.problems, len({message.fields for message in gate.sent})) == (5, (), 5)
    assert stage.seen == {"allowed": 4, "rate.exceeded": 1}


async def test_requests_that_are_never_refused_are_wrong(credentials: Credentials, tmp_path: Path) -> None:
    stage, _ = on_stage(credentials, tmp_path, allows=99)
    row = await stage.play(Scenario("Rate", "many", RECONCILIATION, Reason.RATE_EXCEEDED, until_refused=3))
    assert row.problems == (
        "the log says allowed, not rate.exceeded",
        "the client got 200, not 429",
        "1 reached the upstream",
    )


async def test_a_request_without_a_record_is_wrong(credentials: Credentials, tmp_path: Path) -> None:
    stage, gate = on_stage(credentials, tmp_path, allows=1)
    gate.log = tmp_path / "elsewhere"
    row = await stage.play(Scenario("PAM", "balance", BALANCE, Reason.ALLOWED))
    assert row.reason == "no record"
    assert "the log says nothing, not allowed" in row.problems
