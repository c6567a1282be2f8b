"""The gate between engine and core: drives `decide`, answers what it asks, and records before anything is sent.

Both data paths work through `Handling`, one for each request: it holds no rules and no I/O of HTTP.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator

from gateway.audit.events import ConnectionRefused, Event, RequestDecided, RequestFinished
from gateway.audit.log import AuditLog
from gateway.core.barred import Barred
from gateway.core.chain import Answer, Ask, ClaimOnce, FetchKeys, Introspect, ReadBody, TakeRate
from gateway.core.decision import Decision
from gateway.core.exchange import decide, failure, refuse
from gateway.core.forwarding import upstream_fields, upstream_lines
from gateway.core.holds import Enter, Remember, Reserve, undone
from gateway.core.message import Address, Instant, Peer, RequestHead, Tls
from gateway.core.outgoing import Stamp
from gateway.core.reasons import Denied, Reason, Unavailable
from gateway.engine import problem
from gateway.engine.clock import Clock
from gateway.engine.commit import GroupCommit
from gateway.engine.health import Health
from gateway.engine.in_force import InForce, who_answers
from gateway.engine.request_id import new_request_id
from gateway.engine.settling import NOT_SENT, Capture, give, settle
from gateway.engine.signed_answers import answer_signer, signed_again, signed_refusal
from gateway.state.store import FULL, Store

logger = logging.getLogger(__name__)

type Step = Decision | ReadBody
"""Where a decision is: at its end, or waiting for the body."""

type Way = Generator[Ask, Answer, Decision]
type Question = TakeRate | ClaimOnce | FetchKeys | Introspect | Remember | Reserve | Enter

_METHODS = {TakeRate: "take", ClaimOnce: "claim", Remember: "remember", Reserve: "reserve", Enter: "enter"}
"""What of the store answers an ask."""

_OF_ISSUERS = (FetchKeys, Introspect)


class Gate:
    """What every request needs: the policy in force, the state, the log, the clock."""

    def __init__(self, in_force: InForce, state: Store, log: AuditLog, clock: Clock | None = None) -> None:
        self.in_force = in_force
        self.state = state
        self.log = log
        self.clock = clock or Clock()
        self.commit = GroupCommit(log, durable=in_force.policy.audit.durable)
        self.draining = False
        self.barred: Barred | None = None
        """What was taken out of use while the gate runs; None: nothing."""
        self.told: Callable[[Decision, Instant], None] | None = None
        """Hears of each decision; None while nobody is locked out by them."""
        self.health = Health(self.record)
        self.unfinished = 0
        """Requests that were allowed and have no outcome yet."""
        self.settling: set[asyncio.Task[None]] = set()
        """Settlements that a store has yet to take."""

    def record(self, event: Event) -> bool:
        """Append an event that nothing waits for, and what was queued before it; tells whether it is in the log.

        A log that cannot be written counts what it missed and reports it once it can.
        """
        error = self.commit.now(event)
        if error is not None:
            logger.error("audit: %s", error)
        return error is None

    def hear(self, name: str, failure: str | None) -> None:
        """Take note that what goes by this name failed, or that it works."""
        now, facts = self.clock.now(), self.in_force.facts
        if failure is None:
            self.health.worked([name], now, facts)
        else:
            self.health.failed(name, failure, now, facts)

    def refuse_connection(
        self, reason: Reason, detail: str, *, connection_id: str, listener: str, address: Address, port: int,
        tls: Tls | None = None,
    ) -> None:  # fmt: skip
        """Record a connection that is closed before a request could be read from it."""
        self.record(
            ConnectionRefused(
                at=self.clock.now(), policy=self.in_force.facts, connection_id=connection_id, listener=listener,
                address=address, port=port, reason=reason, detail=detail, tls=tls,
            )
        )  # fmt: skip


class Handling:
    """One request, from its head to its outcome.

    1. `begin` with the head: gives the decision, or ReadBody; `refuse` is for bytes that are no head
    2. `resume` with the body, or `deny` with what went wrong while it was read: gives the decision
    3. `authorise` records the decision, `authorise_soon` together with those of other requests; only if it is still
       an allow then may anything be forwarded
    4. `finish` records the outcome of an allow

    `begin` and `resume` give an awaitable instead where a store has to be waited for.
    """

    __slots__ = (
        "_answered", "_failed", "_finished", "_now", "_queued", "_recorded", "_then", "_unread", "_way",
        "capture", "decision", "gate", "in_force", "peer", "request_id", "response_bytes", "sent_upstream", "started",
        "waiting",
    )  # fmt: skip

    def __init__(self, gate: Gate, peer: Peer) -> None:
        self.gate = gate
        self.peer = peer
        self.in_force = gate.in_force
        self.request_id = new_request_id()
        self.decision: Decision | None = None
        self.started = gate.clock.monotonic()
        self.sent_upstream: float | None = None
        """When the first byte went upstream, on the monotonic clock."""
        self.response_bytes = 0
        self.capture: Capture | None = None
        """Takes note of upstream's answer, where the request holds something in the store."""
        self._way: Way | None = None
        self._now = gate.clock.now()
        self.waiting: ReadBody | None = None
        self._answered: set[str] | None = None
        """Who answered what the decision asked; noted only while something fails."""
        self._failed: set[str] | None = None
        """Who failed to."""
        self._recorded = self._queued = self._finished = False
        self._then: Callable[[], None] | None = None
        self._unread: str | None = None

    @property
    def allowed(self) -> bool:
        """Whether the request may be forwarded: it was allowed, and that is in the log."""
        return self._recorded and self.decision is not None and self.decision.allowed

    @property
    def recorded(self) -> bool:
        """Whether `authorise` has spoken."""
        return self._recorded

    @property
    def waits_for_body(self) -> bool:
        """Whether the decision goes on once the body is there."""
        return self.waiting is not None and self.decision is None

    @property
    def body_limit(self) -> int:
        """Bytes of body that may be read."""
        if self.waiting is not None:
            return self.waiting.limit
        route = None if self.decision is None else self.decision.exchange.route
        return 0 if route is None else route.body_limit

    @property
    def identity_field(self) -> str:
        """Name of the field that carries the request id."""
        return self.in_force.policy.identity.request_id

    def begin(self, head: RequestHead) -> Step | Awaitable[Step]:
        """Start the decision."""
        if self.gate.draining:
            denied = Denied(Reason.DRAINING, "the gate is stopping")
            return self._decided(refuse(self.in_force.policy, self.peer, self._now, denied))
        self._way = way = decide(self.in_force.policy, self.peer, head, self._now, self.gate.barred)
        return self._advance(way, None)

    def refuse(self, denied: Denied, unread: str) -> Decision:
        """Decide and record about bytes that could not be read as a request; `unread` is their printable start."""
        self._unread = unread
        self._decided(refuse(self.in_force.policy, self.peer, self._now, denied))
        return self.authorise()

    def resume(self, body: bytes) -> Step | Awaitable[Step]:
        """Go on with the body that was asked for. It is not asked for twice."""
        if self._way is None or self.waiting is None:
            raise RuntimeError("no decision waits for a body")
        self.waiting = None
        return self._advance(self._way, body)

    def deny(self, denied: Denied) -> Decision:
        """End the decision with what went wrong meanwhile; an allow that is not recorded yet is taken back."""
        if self._recorded or self._queued:
            raise RuntimeError("the decision is recorded already")
        if self.decision is not None:
            return self._decided(self.decision.exchange.deny(denied))
        if self._way is not None:
            try:
                self._way.throw(denied)
            except StopIteration as stop:
                return self._decided(stop.value)
            except Denied:  # thrown in before the way began
                pass
        return self._decided(refuse(self.in_force.policy, self.peer, self._now, denied))

    def _advance(self, way: Way, answer: Answer, failed: Unavailable | None = None) -> Step | Awaitable[Step]:
        try:
            ask = way.send(answer) if failed is None else way.throw(failed)
            while not isinstance(ask, ReadBody):
                try:
                    answer = self._answer(ask)
                except Exception as error:  # noqa: BLE001 - a store that fails in any way has not answered
                    ask = way.throw(self._unavailable(ask, error))
                    continue
                if hasattr(answer, "__await__"):
                    return self._wait(way, ask, answer)
                if self.gate.health.failing:
                    self._works(ask)
                ask = way.send(answer)
        except StopIteration as stop:
            return self._decided(stop.value)
        self.waiting = ask
        return ask

    async def _wait(self, way: Way, ask: Question, answer: Awaitable[Answer]) -> Step:
        """Go on once a store has answered."""
        answered: Answer = None
        failed: Unavailable | None = None
        try:
            answered = await answer
        except Exception as error:  # noqa: BLE001 - as above
            failed = self._unavailable(ask, error)
        else:
            self._works(ask)
        if self.decision is not None:
            give(self.gate, undone(ask, answered))
            return self.decision  # denied meanwhile
        step = self._advance(way, answered, failed)
        return step if isinstance(step, Decision | ReadBody) else await step

    def _answer(self, ask: Question) -> Answer:
        if isinstance(ask, _OF_ISSUERS):
            return self.in_force.answer(ask)
        return getattr(self.gate.state, _METHODS[type(ask)])(ask, self._now)

    def _works(self, ask: Question) -> None:
        self._answered = self._answered or set()
        self._answered.add(who_answers(ask))

    def _unavailable(self, ask: Ask, error: Exception) -> Unavailable:
        if isinstance(error, Unavailable):
            unavailable = error
        else:
            unavailable = Unavailable(Reason.STATE_UNAVAILABLE, failure(error).detail)
        if unavailable.reason not in FULL and not unavailable.told:
            control = who_answers(ask)
            self._failed = self._failed or set()
            self._failed.add(control)
            self.gate.health.failed(control, unavailable.detail, self._now, self.in_force.facts)
        return unavailable

    def _decided(self, decision: Decision) -> Decision:
        if (self._recorded or self._queued) and self.decision is not None:
            return self.decision  # what is in the log stands, whatever comes late
        self.decision = decision
        self._way = None
        if decision.reason is Reason.CONTROL_FAILED or self.gate.health.failing:
            self._tell_health(decision)
        if self.gate.told is not None:
            self.gate.told(decision, self._now)
        return decision

    def _tell_health(self, decision: Decision) -> None:
        """Note what failed in this decision, and what it showed to work again."""
        health, exchange = self.gate.health, decision.exchange
        if decision.reason is Reason.CONTROL_FAILED:
            control = decision.control or ("engine" if exchange.head is None else "policy")
            health.failed(control, decision.detail, self._now, self.in_force.facts)
        elif health.failing and exchange.head is not None:
            worked = {"engine", "policy", decision.control or "policy", *exchange.passed, *(self._answered or ())}
            health.worked(worked - (self._failed or set()), self._now, self.in_force.facts)

    def authorise(self) -> Decision:
        """Record the decision; gives it back, or a denial where an allow could not be recorded.

        This is the gate's last word: after it, `allowed` is what counts.
        """
        decision, event = self._decision_event()
        self.committed(self.gate.commit.now(event))
        return self.decision or decision

    def authorise_soon(self, then: Callable[[], None]) -> None:
        """Do as `authorise` in this turn of the loop, with one system call for all its requests; `then` is called."""
        _, event = self._decision_event()
        self._queued, self._then = True, then
        self.gate.commit.soon(event, self)

    def _decision_event(self) -> tuple[Decision, RequestDecided]:
        decision, clock = self.decision, self.gate.clock
        if decision is None or self._recorded or self._queued:
            raise RuntimeError("decided once, recorded once")
        reason = decision.reason
        status = None if reason is Reason.ALLOWED else reason.status
        if decision.answer is not None:
            status = decision.answer.status
        taken = clock.monotonic() - self.started
        return decision, RequestDecided(clock.now(), self.request_id, decision, taken, status, self._unread)

    def committed(self, error: Unavailable | None) -> None:
        """Take note that the decision is in the log; an allow, or an answer, that is not becomes a denial."""
        self._recorded, self._queued = True, False
        decision = self.decision
        if decision is None:
            return
        holds = decision.exchange.holds
        if decision.allowed and error is None:
            self.gate.unfinished += 1
            if holds:
                self.capture = Capture(holds)
            return
        if error is not None and (decision.allowed or decision.answer is not None):
            self.decision = decision.exchange.deny(Denied(Reason.AUDIT_UNAVAILABLE, error.detail))
        if holds:
            asyncio.get_running_loop().call_soon(settle, self.gate, decision.exchange, NOT_SENT)

    def go_on(self) -> None:
        """Go on as `authorise_soon` was told to."""
        then, self._then = self._then, None
        if then is not None:
            then()

    def settle(self) -> None:
        """Have what is queued recorded before anything else happens to the request."""
        if self._queued:
            self.gate.commit.flush()

    def sends_upstream(self) -> None:
        """Note that the first byte goes upstream now."""
        self.sent_upstream = self.gate.clock.monotonic()

    def crash(self, denied: Denied) -> None:
        """Record that an error of the gate's own, told in `denied`, ended the request."""
        self.settle()
        if not self._recorded:
            self.deny(denied)
            self.authorise()
        self.finish(denied.reason, denied.detail, None)

    def upstream_fields(self) -> list[tuple[str, str]]:
        """Header section towards upstream. Raises RuntimeError before the allow is recorded."""
        if not self.allowed or self.decision is None:
            raise RuntimeError("nothing is forwarded before its allow is recorded")
        return upstream_fields(self.decision.exchange, self.request_id)

    def upstream_lines(self) -> str:
        """Give the same as lines of HTTP/1.1. Raises RuntimeError before the allow is recorded."""
        if not self.allowed or self.decision is None:
            raise RuntimeError("nothing is forwarded before its allow is recorded")
        return upstream_lines(self.decision.exchange, self.request_id)

    def answer(self, reason: Reason | None = None) -> problem.Answer:
        """Give the refusal as the caller sees it; `reason` where it failed after the allow."""
        decision = self.decision
        if decision is None:
            return problem.problem(Reason.CONTROL_FAILED, self.request_id, self.identity_field)
        request_id, named, fields = self.request_id, self.identity_field, decision.response_fields
        signer = answer_signer(decision.exchange)
        if reason is None and decision.answer is not None:
            answer = problem.again(decision.answer, request_id, named, fields)
            otherwise = problem.problem(Reason.RESPONSE_UNSIGNABLE, request_id, named, fields)
            return answer if signer is None else signed_again(signer, decision.exchange, answer, self.stamp, otherwise)
        answer = problem.problem(reason or decision.reason, request_id, named, fields)
        return answer if signer is None else signed_refusal(signer, decision.exchange, answer, self.stamp)

    @property
    def signs_upstream(self) -> bool:
        """Whether the request is signed on its way upstream, which takes its whole body."""
        route = None if self.decision is None else self.decision.exchange.route
        return route is not None and route.upstream.signer is not None

    @property
    def stamp(self) -> Stamp:
        """What is new in a signature made for this request now."""
        return Stamp(self.gate.clock.now(), self.request_id)

    def finish(self, reason: Reason, detail: str, status: int | None) -> None:
        """Record the outcome of an allowed request, once; further calls change nothing."""
        self.settle()
        gate, decision = self.gate, self.decision
        if not self.allowed or self._finished or decision is None:
            return
        self._finished = True
        gate.unfinished -= 1
        if self.capture is not None:
            settle(gate, decision.exchange, self.capture.ended(sent=self.sent_upstream is not None))
        total = gate.clock.monotonic() - self.started
        upstream = None if self.sent_upstream is None else total - (self.sent_upstream - self.started)
        gate.commit.soon(
            RequestFinished(
                gate.clock.now(), self.request_id, decision, reason, detail, status, total - (upstream or 0.0),
                upstream, self.response_bytes,
            )
        )  # fmt: skip
