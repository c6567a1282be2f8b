"""The gate between engine and core: drives `decide`, answers what it asks, and records before anything is sent.

Both data paths work through `Handling`, one for each request: it holds no rules and no I/O of HTTP.
"""

import logging
import os
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from inspect import isawaitable

from gateway.audit.events import ConnectionRefused, Event, PolicyFacts, RequestDecided, RequestFinished
from gateway.audit.log import AuditLog
from gateway.core.chain import Answer, Ask, ClaimOnce, FetchKeys, ReadBody, TakeRate
from gateway.core.decision import Decision
from gateway.core.exchange import decide, failure, refuse
from gateway.core.forwarding import upstream_fields
from gateway.core.message import Address, Instant, Peer, RequestHead, Tls
from gateway.core.policy import Policy
from gateway.core.reasons import Denied, Reason, Unavailable
from gateway.engine import problem
from gateway.engine.health import Health
from gateway.signing.jwks import KeySet
from gateway.state.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Clock:
    """Where time comes from: replaced in tests."""

    now: Callable[[], Instant] = field(default=lambda: Instant(time.time()))
    monotonic: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class InForce:
    """One policy and what was read with it; swapped whole on a reload."""

    policy: Policy
    key_sets: Mapping[str, KeySet]

    @property
    def facts(self) -> PolicyFacts:
        """The policy's name and digest, for records."""
        return PolicyFacts(self.policy.name, self.policy.digest)


class Gate:
    """What every request needs: the policy in force, the state, the log, the clock."""

    def __init__(self, in_force: InForce, state: Store, log: AuditLog, clock: Clock | None = None) -> None:
        self.in_force = in_force
        self.state = state
        self.log = log
        self.clock = clock or Clock()
        self.draining = False
        self.health = Health(self.record)
        self.unfinished = 0
        """Requests that were allowed and have no outcome yet."""

    def record(self, event: Event) -> bool:
        """Append an event that nothing waits for; tells whether it is in the log.

        A log that cannot be written counts what it missed and reports it once it can.
        """
        try:
            self.log.append(event)
        except Exception as error:  # noqa: BLE001 - the log's failure must not become the connection's
            logger.error("audit: %s", error)  # noqa: TRY400 - a traceback for each request would fill the disk
            return False
        return True

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
    3. `authorise` records the decision; only if it is still an allow may anything be forwarded
    4. `finish` records the outcome of an allow
    """

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
        self._way: Generator[Ask, Answer, Decision] | None = None
        self._now = gate.clock.now()
        self._waiting: ReadBody | None = None
        self._answered: set[str] = set()
        self._failed: set[str] = set()
        """Who answered what the decision asked, and who failed to."""
        self._recorded = False
        self._finished = False
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
        return self._waiting is not None and self.decision is None

    @property
    def body_limit(self) -> int:
        """Bytes of body that may be read."""
        if self._waiting is not None:
            return self._waiting.limit
        route = None if self.decision is None else self.decision.exchange.route
        return 0 if route is None else route.body_limit

    @property
    def identity_field(self) -> str:
        """Name of the field that carries the request id."""
        return f"{self.in_force.policy.identity.prefix}request-id"

    async def begin(self, head: RequestHead) -> Decision | ReadBody:
        """Start the decision."""
        if self.gate.draining:
            denied = Denied(Reason.DRAINING, "the gate is stopping")
            return self._decided(refuse(self.in_force.policy, self.peer, self._now, denied))
        self._way = decide(self.in_force.policy, self.peer, head, self._now)
        return await self._advance(None)

    def refuse(self, denied: Denied, unread: str) -> Decision:
        """Decide and record about bytes that could not be read as a request; `unread` is their printable start."""
        self._unread = unread
        self._decided(refuse(self.in_force.policy, self.peer, self._now, denied))
        return self.authorise()

    async def resume(self, body: bytes) -> Decision:
        """Go on with the body that was asked for."""
        result = await self._advance(body)
        if isinstance(result, ReadBody):
            raise RuntimeError("the body was asked for twice")  # noqa: TRY004 - a fault of ours, not of a type
        return result

    def deny(self, denied: Denied) -> Decision:
        """End the decision with what went wrong meanwhile; an allow that is not recorded yet is taken back."""
        if self._recorded:
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

    async def _advance(self, answer: Answer) -> Decision | ReadBody:
        way = self._way
        if way is None:
            raise RuntimeError("no decision is under way")
        try:
            ask = way.send(answer)
            while not isinstance(ask, ReadBody):
                failed: Unavailable | None = None
                try:
                    answer = self._answer(ask)
                    if isawaitable(answer):
                        answer = await answer
                except Exception as error:  # noqa: BLE001 - a store that fails in any way has not answered
                    failed = self._unavailable(ask, error)
                else:
                    self._answered.add(_who_answers(ask))
                if self.decision is not None:
                    return self.decision  # denied while the answer was waited for
                ask = way.send(answer) if failed is None else way.throw(failed)
        except StopIteration as stop:
            return self._decided(stop.value)
        self._waiting = ask
        return ask

    def _answer(self, ask: TakeRate | ClaimOnce | FetchKeys) -> Answer:
        if isinstance(ask, TakeRate):
            return self.gate.state.take(ask, self._now)
        if isinstance(ask, ClaimOnce):
            return self.gate.state.claim(ask, self._now)
        keys = self.in_force.key_sets.get(ask.issuer)
        if keys is None:
            raise Unavailable(Reason.TOKEN_KEYS_UNAVAILABLE, f"no key set of {ask.issuer}")
        return keys

    def _unavailable(self, ask: Ask, error: Exception) -> Unavailable:
        if isinstance(error, Unavailable):
            unavailable = error
        else:
            unavailable = Unavailable(Reason.STATE_UNAVAILABLE, failure(error).detail)
        if unavailable.reason is not Reason.REPLAY_MEMORY_FULL:
            control = _who_answers(ask)
            self._failed.add(control)
            self.gate.health.failed(control, unavailable.detail, self._now, self.in_force.facts)
        return unavailable

    def _decided(self, decision: Decision) -> Decision:
        if self._recorded and self.decision is not None:
            return self.decision  # what is in the log stands, whatever comes late
        self.decision = decision
        self._way = None
        self._tell_health(decision)
        return decision

    def _tell_health(self, decision: Decision) -> None:
        """Note what failed in this decision, and what it showed to work again."""
        health, exchange = self.gate.health, decision.exchange
        if decision.reason is Reason.CONTROL_FAILED:
            control = decision.control or ("engine" if exchange.head is None else "policy")
            health.failed(control, decision.detail, self._now, self.in_force.facts)
        elif health.failing and exchange.head is not None:
            worked = {"engine", "policy", decision.control or "policy", *exchange.passed, *self._answered}
            health.worked(worked - self._failed, self._now, self.in_force.facts)

    def authorise(self) -> Decision:
        """Record the decision; gives it back, or a denial where an allow could not be recorded.

        This is the gate's last word: after it, `allowed` is what counts.
        """
        decision = self.decision
        if decision is None or self._recorded:
            raise RuntimeError("decided once, recorded once")
        event = RequestDecided(
            at=self.gate.clock.now(),
            request_id=self.request_id,
            decision=decision,
            gate_seconds=self.gate.clock.monotonic() - self.started,
            status=None if decision.allowed else decision.reason.status,
            unread=self._unread,
        )
        self._recorded = True
        try:
            self.gate.log.append(event)
        except Exception as error:  # noqa: BLE001 - what cannot be recorded is not forwarded, whatever the cause
            if decision.allowed:
                detail = error.detail if isinstance(error, Unavailable) else failure(error).detail
                decision = self.decision = decision.exchange.deny(Denied(Reason.AUDIT_UNAVAILABLE, detail))
        else:
            if decision.allowed:
                self.gate.unfinished += 1
        return decision

    def sends_upstream(self) -> None:
        """Note that the first byte goes upstream now."""
        self.sent_upstream = self.gate.clock.monotonic()

    def crash(self, denied: Denied) -> None:
        """Record that an error of the gate's own, told in `denied`, ended the request."""
        if not self._recorded:
            self.deny(denied)
            self.authorise()
        self.finish(denied.reason, denied.detail, None)

    def upstream_fields(self) -> list[tuple[str, str]]:
        """Header section towards upstream. Raises RuntimeError before the allow is recorded."""
        if not self.allowed or self.decision is None:
            raise RuntimeError("nothing is forwarded before its allow is recorded")
        return upstream_fields(self.decision.exchange, self.request_id)

    def answer(self, reason: Reason | None = None) -> problem.Answer:
        """Give the refusal as the caller sees it; `reason` where it failed after the allow."""
        decision = self.decision
        if decision is None:
            return problem.problem(Reason.CONTROL_FAILED, self.request_id, self.identity_field)
        reason = reason or decision.reason
        return problem.problem(reason, self.request_id, self.identity_field, decision.response_fields)

    def finish(self, reason: Reason, detail: str, status: int | None) -> None:
        """Record the outcome of an allowed request, once; further calls change nothing."""
        if not self.allowed or self._finished or self.decision is None:
            return
        self._finished = True
        self.gate.unfinished -= 1
        ended = self.gate.clock.monotonic()
        upstream = None if self.sent_upstream is None else ended - self.sent_upstream
        event = RequestFinished(
            at=self.gate.clock.now(),
            request_id=self.request_id,
            decision=self.decision,
            reason=reason,
            detail=detail,
            status=status,
            gate_seconds=ended - self.started - (upstream or 0.0),
            upstream_seconds=upstream,
            response_bytes=self.response_bytes,
        )
        self.gate.record(event)


def new_request_id() -> str:
    """Make a random UUID (RFC 9562, version 4) as text; the standard library's own takes three times as long."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def _who_answers(ask: Ask) -> str:
    """Name what answers an ask, as records of its failure do."""
    return f"token.keys:{ask.issuer}" if isinstance(ask, FetchKeys) else "state"
