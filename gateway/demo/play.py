"""Plays scenarios one after the other, and judges each by three witnesses: the client, the audit log, the upstream."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.core.message import Instant
from gateway.core.reasons import Reason
from gateway.demo.calls import Call, Message
from gateway.demo.client import Answer, Client
from gateway.demo.credentials import Credentials
from gateway.demo.journal import DECISION, OUTCOME, REFUSED_CONNECTION, Entry, Journal
from gateway.demo.scenarios import Scenario
from gateway.demo.upstream import Received, Upstream


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one scenario."""

    scenario: Scenario
    answer: Answer
    reason: str
    """As the audit log has it."""
    sent: int
    problems: tuple[str, ...]
    """What does not agree; empty where all does."""


@dataclass(slots=True)
class Stage:
    """Everything that takes part."""

    client: Client
    credentials: Credentials
    journal: Journal
    upstream: Upstream
    now: Callable[[], Instant]
    seen: Counter[str] = field(default_factory=Counter)
    """Reasons as the client saw them; where it only saw an alert, the reason it had to expect."""
    _last: Message | None = None

    async def play(self, scenario: Scenario) -> Row:
        """Play one scenario."""
        problems: list[str] = []
        for sent in range(1, scenario.until_refused + 1):
            message = self._message(scenario)
            before = len(self.upstream.received)
            answer = await self.client.send(scenario.call, message)
            entries = await self.journal.wait(settled)
            refused = answer.status == scenario.expected.status or sent == scenario.until_refused
            expected = scenario.expected if refused else Reason.ALLOWED
            problems += judge(expected, scenario.call, answer, entries, self.upstream.received[before:])
            self._count(expected, answer)
            if refused:
                break
        return Row(scenario, answer, ", ".join(decided(entries)) or "no record", sent, tuple(problems))

    def _message(self, scenario: Scenario) -> Message:
        if not scenario.again:
            self._last = scenario.call.message(self.credentials, self.now())
        if self._last is None:
            raise RuntimeError(f"{scenario.title}: nothing was sent before")
        return self._last

    def _count(self, expected: Reason, answer: Answer) -> None:
        if answer.status is None:
            self.seen[expected.code] += 1
        else:
            self.seen[answer.code or ("allowed" if answer.status < 300 else f"status {answer.status}")] += 1


def settled(entries: Sequence[Entry]) -> bool:
    """Whether a request's records are complete: decided or refused, and an outcome to every allow."""
    finished = {entry.request_id for entry in entries if entry.kind == OUTCOME}
    return bool(decided(entries)) and all(
        entry.request_id in finished
        for entry in entries
        if entry.kind == DECISION and entry.reason == Reason.ALLOWED.code
    )


def decided(entries: Sequence[Entry]) -> list[str]:
    """Give the reasons of the decisions and refused connections."""
    return [entry.reason for entry in entries if entry.kind in (DECISION, REFUSED_CONNECTION)]


def judge(
    expected: Reason, call: Call, answer: Answer, entries: Sequence[Entry], received: Sequence[Received]
) -> list[str]:
    """Hold what client, log and upstream saw of one request against what was expected; gives what does not agree."""
    problems: list[str] = []
    reasons = decided(entries)
    if reasons != [expected.code]:
        problems.append(f"the log says {', '.join(reasons) or 'nothing'}, not {expected.code}")
    if expected is Reason.ALLOWED:
        return problems + _judge_allowed(call, answer, entries, received)
    if answer.status != expected.status or (expected.status is not None and answer.code != expected.code):
        problems.append(f"the client got {_shown(answer)}, not {expected.status or 'a closed connection'}")
    if received:
        problems.append(f"{len(received)} reached the upstream")
    return problems


def _judge_allowed(call: Call, answer: Answer, entries: Sequence[Entry], received: Sequence[Received]) -> list[str]:
    if len(received) != 1:
        return [f"{len(received)} reached the upstream, not one; the client got {_shown(answer)}"]
    (request,) = received
    problems: list[str] = []
    if answer.status != request.status or not 200 <= request.status < 300:
        problems.append(f"the client got {_shown(answer)}, the upstream gave {request.status}")
    if request.operation != call.operation:
        problems.append(f"the upstream was asked for {request.operation}, not {call.operation}")
    ids = [entry.request_id or "" for entry in entries if entry.kind == OUTCOME]
    told = {
        "x-gateway-partner": [call.party.name],
        "x-gateway-client-address": [call.source],
        "x-gateway-request-id": ids,
        "x-forwarded-for": [call.source],
    }
    problems += [
        f"the upstream was told {name}: {', '.join(request.identity.get(name, ['nothing']))}"
        for name, values in told.items()
        if request.identity.get(name) != values
    ]
    return problems


def _shown(answer: Answer) -> str:
    return answer.words if answer.status is None else f"{answer.status} {answer.code or ''}".strip()
