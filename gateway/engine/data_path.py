"""HTTP/1.1 without mitmproxy: llhttp on both sides, straight into the core.

One object a connection; one request at a time, pipelined ones wait their turn:

1. a whole head is cut out of what came, within the limits, and read by llhttp and by the core
2. the core decides; where it asks for the body, the body is collected within its limit
3. the decision is recorded, with those that other connections came to in this turn; a denial is answered
4. an allowed request goes to the upstream and its response comes back (`Passage`), each written anew
5. the outcome is recorded, and the next request's turn comes
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from gateway.core.chain import ReadBody
from gateway.core.decision import Decision
from gateway.core.exchange import failure
from gateway.core.message import Peer
from gateway.core.reasons import Denied, Reason
from gateway.engine.body import BodyReader
from gateway.engine.client_state import LINGER_BYTES, ClientState, State
from gateway.engine.gate import Gate, Handling, Step
from gateway.engine.passage import Passage
from gateway.engine.problem import Answer
from gateway.engine.request_head import check_raw, first_line_of, parse, skip_empty_lines, wants_close
from gateway.engine.response_head import HEAD_OF_CONTINUE, answer_bytes
from gateway.engine.signed_passage import SignedPassage
from gateway.engine.tunnel import Tunnel
from gateway.engine.upstream_pool import Pools

logger = logging.getLogger(__name__)

STREAM_FROM = 1_048_576
"""Length from which a body that no control needs is passed on as it comes: the declared one, or, for chunks, the one
the route takes at most. A smaller one is collected, so that one beyond the limit never reaches upstream in part."""

_STEPS = (Decision, ReadBody)
_TAKES_BODY = (State.BODY, State.STREAM)


class DataPath(ClientState):
    """A client's connection after its handshake."""

    def __init__(self, gate: Gate, peer: Peer, pools: Callable[[], Pools]) -> None:
        super().__init__(gate, peer, self._time_is_up)
        self._pools = pools

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._deadline.set("idle", self._limits.idle_timeout)

    def data_received(self, data: bytes) -> None:
        """Take what came, by what is waited for."""
        try:
            if self._state is State.BUSY or (self._state is State.HEAD and self.slow):
                self._keep(data)
            elif self._state is State.HEAD:
                self._received = self._received + data if self._received else data
                self._read_head()
            elif self._state is State.TUNNEL:
                self._to_tunnel(data)
            elif self._state is State.LINGER:
                self._discarded += len(data)
                if self._discarded > LINGER_BYTES:
                    self.close()
            else:
                self._take_body(data)
        except Exception as error:  # noqa: BLE001 - a fault of ours must end the connection
            self.crash(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Record what the client did not wait for."""
        super().connection_lost(exc)
        if self._passage is not None and self._passage.outlives_client():
            self._left_with, self.slow = (self._passage.status,), False
            self.await_upstream(self._passage.upstream)
        else:
            self._left("before its answer was complete")

    def _left(self, detail: str) -> None:
        """Record that the client did not wait for its answer, and be done."""
        self._deadline.clear()
        try:
            handling, passage, status = self._handling, self._passage, self._drop()
            if self._left_with is not None:
                (status,) = self._left_with
            if handling is not None:
                handling.settle()
                if not handling.recorded:
                    handling.deny(Denied(Reason.CLIENT_CLOSED, "before the decision"))
                    handling.authorise()
                if isinstance(passage, Tunnel) and passage.opened:
                    handling.finish(Reason.ALLOWED, passage.story("the client"), status)
                else:
                    handling.finish(Reason.CLIENT_CLOSED, detail, status)
            elif self._state is State.HEAD and self._received:
                denied = Denied(Reason.MESSAGE_MALFORMED, "the connection ended within the head")
                Handling(self._gate, self._peer).refuse(denied, first_line_of(self._received))
        except Exception:
            logger.exception("connection %s", self._peer.connection_id)
        finally:
            self._handling = None
            self._received = b""
            if not self.ended.done():
                self.ended.set_result(None)

    def pause_writing(self) -> None:
        """Have the upstream wait, and further requests: the client is slow."""
        self.slow = True
        if self._passage is not None:
            self._passage.client_slow()

    def resume_writing(self) -> None:
        """Have them go on."""
        self.slow = False
        if self._passage is not None:
            self._passage.client_ready()
        self._read_on()

    def abort(self) -> None:
        """End the connection now, and a request that goes on without it."""
        super().abort()
        if self._left_with is not None and not self.ended.done():
            self._left("before its answer was complete")

    # the service's side

    def drain(self) -> None:
        """End the connection as soon as no request is open."""
        self._draining = True
        passage = self._passage
        if self._handling is None:
            self.close()
        elif isinstance(passage, Tunnel) and passage.opened:
            passage.end("the gate ends the connection")

    # the passage's side

    def switched(self) -> None:
        """Have what the client sends from now on given to the tunnel; the connection serves no other request."""
        self._state = State.TUNNEL
        self._closes = True
        self._deadline.clear()
        received, self._received = self._received, b""
        self.go_on()
        if received:
            self._to_tunnel(received)

    def _to_tunnel(self, data: bytes) -> None:
        if isinstance(self._passage, Tunnel):
            self._passage.from_client(data)

    def crash(self, error: Exception) -> None:
        """End the connection after a fault of the gate's own; what was under way is recorded."""
        logger.error("connection %s", self._peer.connection_id, exc_info=error)
        handling, self._handling = self._handling, None
        received, self._received = self._received, b""
        with contextlib.suppress(Exception):
            self._drop()
        with contextlib.suppress(Exception):
            if handling is not None:
                handling.crash(failure(error))
            else:
                Handling(self._gate, self._peer).refuse(failure(error), first_line_of(received))
        self.abort()

    # 1 the head

    def _read_head(self) -> None:
        received = self._received
        try:
            if received.startswith(b"\r\n"):
                self._received, self._empty_lines = skip_empty_lines(received, self._empty_lines)
                received = self._received
            if not received:
                return
            end = received.find(b"\r\n\r\n")
            if end < 0:
                check_raw(received, self._limits)
                self._deadline.set_unless("head", self._limits.head_timeout)
                return
            head = parse(received[: end + 4], self._limits)
        except Denied as denied:
            self._refuse_unreadable(denied)
            return
        self._received, self._empty_lines = received[end + 4 :], 0
        self._state = State.BUSY
        self._head = head
        self._closes = "connection" in head.headers and wants_close(head)
        self._handling = handling = Handling(self._gate, self._peer)
        self._body = BodyReader(head, handling)
        self._collected = []
        self._ask(handling.begin, head, self._begun)

    # 2 the decision

    def _ask[T](self, core: Callable[[T], Step | Awaitable[Step]], what: T, then: Callable[[Step], None]) -> None:
        """Ask the core, and take its answer; at once, where nothing of it waits for another process."""
        try:
            step = core(what)
        except Exception as error:  # noqa: BLE001 - a fault of the core's must deny
            self._deny(error)
            return
        if isinstance(step, _STEPS):
            then(step)
        else:
            asyncio.ensure_future(step).add_done_callback(lambda done: self._answered(done, then))

    def _answered(self, task: "asyncio.Future[Step]", then: Callable[[Step], None]) -> None:
        error = task.exception()
        if self._handling is None:
            return  # the client left meanwhile
        try:
            if error is None:
                then(task.result())
            else:
                self._deny(error)
        except Exception as fault:  # noqa: BLE001 - a fault of ours must end the connection
            self.crash(fault)

    def _deny(self, error: BaseException) -> None:
        handling, _ = self._in_hand()
        logger.error("connection %s", self._peer.connection_id, exc_info=error)
        handling.deny(failure(error))
        self._authorise(handling)

    def _begun(self, step: Step) -> None:
        handling, body = self._in_hand()
        decided = isinstance(step, Decision)
        if isinstance(step, Decision) and not step.allowed:
            self._authorise(handling)
            return
        if body.ended:
            self._body_ended(handling)
            return
        if self._head is not None and "expect" in self._head.headers and not self._received:
            self.write(HEAD_OF_CONTINUE)
        least = handling.body_limit if body.declared is None else body.declared
        if decided and least >= STREAM_FROM and not handling.signs_upstream:
            self._state = State.STREAM
            handling.authorise()
            self._go(handling)
        else:
            self._state = State.BODY
        received, self._received = self._received, b""
        if received and self._state in _TAKES_BODY:
            self._take_body(received)
        if self._state in _TAKES_BODY:
            self._deadline.set("body", self._limits.body_timeout)

    def _take_body(self, data: bytes) -> None:
        handling, body = self._in_hand()
        try:
            part, self._received = body.feed(data)
            if body.size > handling.body_limit:
                raise Denied(Reason.BODY_TOO_LARGE, f"more than the route's {handling.body_limit} bytes")  # noqa: TRY301
        except Denied as denied:
            self._refuse_body(denied)
            return
        if self._state is State.BODY:
            self._collected.append(part)
            if body.ended:
                self._body_ended(handling)
        elif self._passage is not None:
            if body.ended:
                self._state = State.BUSY
                self.await_upstream(self._passage.upstream)
            self._passage.body_part(part)

    def _body_ended(self, handling: Handling) -> None:
        self._state = State.BUSY
        if handling.waits_for_body:
            self._ask(handling.resume, b"".join(self._collected), self._resumed)
        else:
            self._authorise(handling)

    def _resumed(self, _: Step) -> None:
        self._authorise(self._in_hand()[0])

    def _refuse_body(self, denied: Denied) -> None:
        handling, _ = self._in_hand()
        if handling.recorded:
            self._fail(handling, self._drop(), denied.reason, denied.detail)
        else:
            handling.deny(denied)
            self._authorise(handling)

    # 3 to 5 the decision's consequences

    def _authorise(self, handling: Handling) -> None:
        """Go on once the decision is recorded, with those of other connections."""
        self._state = State.BUSY
        handling.authorise_soon(self._authorised)

    def _authorised(self) -> None:
        handling = self._handling
        if handling is None:
            return  # the client left meanwhile
        try:
            self._go(handling)
        except Exception as error:  # noqa: BLE001 - a fault of ours must end the connection
            self.crash(error)

    def _go(self, handling: Handling) -> None:
        decision = handling.decision
        if decision is None or not handling.allowed:
            self._answer(handling.answer())
            return
        route, (_, body) = decision.exchange.route, self._in_hand()
        if route is None:
            raise RuntimeError("allowed without a route")
        pool = self._pools().of(route.upstream)
        kind = Tunnel if route.websocket is not None else Passage if route.answers is None else SignedPassage
        self._passage = passage = kind(self, handling, pool, body, self._passed)
        passage.begin(b"".join(self._collected), route.upstream.signer)
        self._collected = []

    def _passed(self, reason: Reason, detail: str) -> None:
        """Go on after a passage."""
        if self._left_with is not None:
            self._left(f"before its answer was complete; upstream: {reason.code} {detail}".rstrip())
            return
        handling, _ = self._in_hand()
        status = self._passage.status if self._passage is not None else None
        self._passage = None
        if reason is Reason.ALLOWED:
            handling.finish(reason, detail, status)
            self._next(close=self.last)
        else:
            self._fail(handling, status, reason, detail)

    def _fail(self, handling: Handling, status: int | None, reason: Reason, detail: str) -> None:
        """End a request that was allowed and came to nothing: with an answer, where none has begun."""
        if status is not None:
            handling.finish(reason, detail, status)
            self._handling = None
            self.abort()
        else:
            handling.finish(reason, detail, reason.status)
            self._answer(handling.answer(reason))

    def _answer(self, answer: Answer) -> None:
        if self._body is not None and self._state is State.BUSY:
            self._received = self._body.skip(self._received)
        close = self.last
        to_head = self._head is not None and self._head.method == "HEAD"
        self.write(answer_bytes(answer, close=close, bodiless=to_head))
        self._next(close=close)

    def _next(self, *, close: bool) -> None:
        body, self._handling, self._head, self._body = self._body, None, None, None
        if body is not None and not body.ended:
            self._linger()
        elif close:
            self.close()
        else:
            self._state = State.HEAD
            self._deadline.set("idle", self._limits.idle_timeout)
            if self._received:
                # Not from within the callback that ended this request: deep pipelines would nest as deeply.
                self._loop.call_soon(self._read_on)
            self.go_on()

    def _read_on(self) -> None:
        if self._state is State.HEAD and not self.slow:
            self.go_on()
            self.data_received(b"")

    def _refuse_unreadable(self, denied: Denied) -> None:
        handling = Handling(self._gate, self._peer)
        try:
            handling.refuse(denied, first_line_of(self._received))
        except Exception:  # the answer is then that the gate failed
            logger.exception("connection %s", self._peer.connection_id)
        self._received = b""
        self.write(answer_bytes(handling.answer(), close=True, bodiless=False))
        self._linger()

    def _time_is_up(self, what: str) -> None:
        try:
            if what == "head" and self._state is State.HEAD:
                self._refuse_unreadable(Denied(Reason.HEAD_TIMEOUT, "the head was not complete in time"))
            elif what == "body" and self._state in _TAKES_BODY:
                self._refuse_body(Denied(Reason.BODY_TIMEOUT, "the body was not complete in time"))
            elif what == "response" and self._left_with is not None:
                self._left("before its answer was complete; upstream did not answer in time")
            elif what == "response" and self._handling is not None and self._passage is not None:
                status = self._drop()
                late = "no answer in time" if status is None else "its answer stopped"
                self._fail(self._handling, status, Reason.UPSTREAM_TIMEOUT, late)
            elif self._handling is None:  # else a request came in the moment that it passed
                self.close()
        except Exception as error:  # noqa: BLE001 - a fault of ours must end the connection
            self.crash(error)
