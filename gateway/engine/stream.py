"""One request and its response, in mitmproxy's terms: denied until its allow is in the log.

mitmproxy swallows what an addon raises and goes on; so the stream does not trust the hook: what it forwards depends
on `Handling.allowed` alone, which is false until the core allowed the request and the log took the record.
"""

from functools import partial
from typing import TYPE_CHECKING, cast

from mitmproxy import http
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http import DropStream, GetHttpConnection, HttpLayer, HttpStream, SendHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)
from mitmproxy.proxy.layers.http._hooks import HttpRequestHeadersHook, HttpRequestHook

from gateway.core.message import RequestHead
from gateway.core.reasons import Denied, Reason
from gateway.engine import translate
from gateway.engine.addon import HANDLING, HEAD, trailed
from gateway.engine.deadlines import DeadlinePassed
from gateway.engine.gate import Handling
from gateway.engine.http1 import ReadRequestHeaders
from gateway.engine.problem import Answer
from gateway.engine.request_head import wants_close
from gateway.engine.signed_answers import HeldAnswer, held_answer
from gateway.engine.signed_requests import outgoing
from gateway.engine.user_flows import AddonFlow, AddonsHook

if TYPE_CHECKING:
    from gateway.engine.connection import Connection


class GateStream(HttpStream):
    """One request and its response.

    1. the head is read strictly; what cannot be read is refused
    2. the requestheaders hook asks the core; a denial is answered without waiting for the body
    3. the body is collected within the route's limit and time
    4. the request hook gives it to the core
    5. user addons look at what the core allowed: they may deny it, not allow what it denied
    6. the decision is recorded; only an allow that is in the log goes on
    7. request and response are written anew; the outcome is recorded
    """

    def __init__(self, context: Context, stream_id: int, connection: "Connection") -> None:
        super().__init__(context, stream_id)
        self.connection = connection
        self.handling: Handling | None = None
        self.head: RequestHead | None = None
        self._shown: AddonFlow | None = None
        """The request as user addons see it, once they were asked."""
        self._answered = False
        self._collected = 0
        self._ended = False
        self._held: HeldAnswer | None = None

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, DeadlinePassed):
            yield from self._time_out(event.key[0])
        else:
            translate.note_answer(None if self.handling is None else self.handling.capture, event)
            yield from super()._handle_event(event)

    def state_wait_for_request_headers(self, event: RequestHeaders) -> CommandGenerator[None]:
        """Take the head, ask the core, and go on to the body or to the answer."""
        self.connection.begins()
        handling = self.handling = self.connection.handling()
        self.flow = http.HTTPFlow(self.context.client, self.context.server)
        self.flow.request = event.request
        self.flow.live = True
        try:
            if self.connection.closing:
                raise Denied(Reason.DRAINING, "the connection ends with the requests that are under way")  # noqa: TRY301
            if isinstance(event, ReadRequestHeaders):
                self.head = event.head
            else:
                self.head = translate.head_of_http2(
                    event.request, self.connection.limits, ends_with_head=event.end_stream
                )
        except Denied as denied:
            handling.refuse(denied, translate.first_line(event.request))
            yield from self._answer(handling.answer(), "2")
            return
        self.flow.metadata |= {HANDLING: handling, HEAD: self.head}
        yield HttpRequestHeadersHook(self.flow)
        may_go_on = handling.waits_for_body or (handling.decision is not None and handling.decision.allowed)
        if self._gone() or not may_go_on:
            yield from self._conclude()
            return
        if self.head.has_body:
            self.connection.deadlines.set(("body", self.stream_id), self.connection.limits.body_timeout)
            if "expect" in self.head.headers:
                yield SendHttp(ResponseHeaders(self.stream_id, translate.proceed()), self.context.client)
        self.client_state = self.state_consume_request_body
        self.server_state = self.state_wait_for_response_headers

    def state_consume_request_body(self, event: events.Event) -> CommandGenerator[None]:
        """Collect the body within its limit; at its end, decide, record, and forward or answer."""
        if isinstance(event, RequestData):
            self._collected += len(event.data)
            limit = self._must_handle().body_limit
            if self._collected > limit:
                yield from self._refuse(Denied(Reason.BODY_TOO_LARGE, f"more than the route's {limit} bytes"))
                return
            self.request_body_buf += event.data
        elif isinstance(event, RequestTrailers):
            if (denied := trailed(self._must_handle(), event.trailers.fields)) is not None:
                yield from self._refuse(denied)
        elif isinstance(event, RequestEndOfMessage):
            self.connection.deadlines.clear(("body", self.stream_id))
            self.flow.request.data.content = bytes(self.request_body_buf)
            self.request_body_buf.clear()
            self.client_state = self.state_done
            yield HttpRequestHook(self.flow)
            yield from self._conclude()

    def _conclude(self) -> CommandGenerator[None]:
        """Forward what is allowed and recorded; answer everything else with its denial."""
        handling = self._must_handle()
        if handling.decision is None:
            # The hook was to decide; whatever kept it from that, the request is denied.
            handling.deny(Denied(Reason.CONTROL_FAILED, "no decision was made"))
        if not handling.recorded:
            yield from self._ask_addons(handling)
            if self._gone():
                handling.deny(Denied(Reason.CLIENT_CLOSED, "before the decision"))
            handling.authorise()
        if handling.allowed:
            yield from self._forward(handling)
        elif self._gone():
            yield from self._done()
        else:
            yield from self._answer(handling.answer(), self._version())

    def _ask_addons(self, handling: Handling) -> CommandGenerator[None]:
        """Have user addons look at a request that is allowed and not recorded yet; what they refuse is denied."""
        inspection, decision = self.connection.inspection, handling.decision
        if inspection is None or decision is None or not decision.allowed or self._gone():
            return
        addons, client = inspection
        shown = self._shown = AddonFlow(addons, client, handling, self.flow.request)
        yield AddonsHook(shown.ask)
        if shown.refusal is not None:
            handling.deny(shown.refusal)

    def _forward(self, handling: Handling) -> CommandGenerator[None]:
        decision, head = handling.decision, self.head
        if decision is None or head is None or decision.exchange.route is None:
            raise RuntimeError("allowed without a decision")
        upstream = decision.exchange.route.upstream
        key = self.connection.upstream_key(upstream)
        body = self.flow.request.data.content or b""
        fields = handling.upstream_fields() + (self._shown.added if self._shown is not None else [])
        made = outgoing(handling, upstream.signer, fields, body)
        if isinstance(made, Denied):
            yield from self._fail(made.reason, made.detail)
            return
        head, fields, body = made
        request = self.flow.request = translate.request_to_upstream(self.flow.request, head, key, fields, body)
        connection, error = yield GetHttpConnection((key, 0), False, None)
        if self._gone():
            yield from self._fail(Reason.CLIENT_CLOSED, "before anything was sent upstream")
            return
        if error is not None or connection is None:
            yield from self._fail(Reason.UPSTREAM_UNREACHABLE, error or "")
            return
        self.context.server = self.flow.server_conn = connection
        handling.sends_upstream()
        self.connection.deadlines.set(("response", self.stream_id), upstream.response_timeout)
        yield SendHttp(RequestHeaders(self.stream_id, request, not body), connection)
        if body:
            yield SendHttp(RequestData(self.stream_id, body), connection)
        yield SendHttp(RequestEndOfMessage(self.stream_id), connection)

    def state_wait_for_response_headers(self, event: ResponseHeaders) -> CommandGenerator[None]:
        """Pass the response's head on, written anew; its body is streamed."""
        handling, head = self._must_handle(), self.head
        self.flow.response = event.response
        if head is None or handling.decision is None or event.response.status_code < 200:
            yield from self._fail(Reason.UPSTREAM_BROKEN, f"status {event.response.status_code}", drop_upstream=True)
            return
        added = [*handling.decision.response_fields, (handling.identity_field, handling.request_id)]
        try:
            response = translate.response_to_client(event.response, head, added, close=self.connection.closing)
        except UnicodeError:
            yield from self._fail(Reason.UPSTREAM_BROKEN, "a field name is not ASCII", drop_upstream=True)
            return
        if self._shown is not None:
            own = frozenset(name.lower() for name, _ in added)
            refusal = yield from self._show_answer(self._shown, response, own)
            if refusal is not None:
                yield from self._fail(refusal.reason, refusal.detail, drop_upstream=True)
                return
        self.flow.response = response
        self._await_more()
        self._held = held_answer(handling.decision.exchange, response.status_code, response.headers.fields)
        if self._held is not None:
            self.server_state = self.state_hold_response_body
            return
        self._answered = True
        yield SendHttp(ResponseHeaders(self.stream_id, response, event.end_stream), self.context.client)
        self.server_state = self.state_stream_response_body

    def state_hold_response_body(self, event: events.Event) -> CommandGenerator[None]:
        """Hold the answer until it can be signed."""
        held, handling, response = self._held, self._must_handle(), self.flow.response
        if held is None or handling.decision is None or response is None:
            raise RuntimeError("no answer is held")
        if isinstance(event, ResponseData):
            self._await_more()
            held.take(event.data)
            if (denied := held.too_large) is not None:
                yield from self._fail(denied.reason, denied.detail, drop_upstream=True)
        elif isinstance(event, ResponseEndOfMessage):
            try:
                fields, body = held.signed(handling.decision.exchange, handling.stamp)
            except Denied as denied:
                yield from self._fail(denied.reason, denied.detail)
                return
            response.headers = http.Headers(translate.encoded(fields))
            self._answered = True
            yield SendHttp(ResponseHeaders(self.stream_id, response, not body), self.context.client)
            if body:
                yield from self.state_stream_response_body(ResponseData(self.stream_id, body))
            yield from self.state_stream_response_body(event)

    def _show_answer(
        self, shown: AddonFlow, response: http.Response, own: frozenset[str]
    ) -> CommandGenerator[Denied | None]:
        """Have user addons look at the answer's head, and take over their edits; gives why it goes no further."""
        self.connection.deadlines.clear(("response", self.stream_id))  # the upstream is not who is waited for
        shown.show_answer(response, own)
        yield AddonsHook(shown.ask_about_answer)
        if self._gone():
            return Denied(Reason.CLIENT_CLOSED, "while addons looked at the answer")
        if shown.refusal is None:
            response.headers = http.Headers(translate.encoded(shown.fields))
        return shown.refusal

    def state_stream_response_body(self, event: events.Event) -> CommandGenerator[None]:
        """Pass the body on as it comes."""
        handling = self._must_handle()
        if isinstance(event, ResponseData):
            self._await_more()
            handling.response_bytes += len(event.data)
            yield SendHttp(event, self.context.client)
        elif isinstance(event, ResponseTrailers):
            pass  # RFC 9110 6.5.1: trailers may be discarded
        elif isinstance(event, ResponseEndOfMessage):
            notes = ""
            if self._shown is not None:
                self.connection.deadlines.clear(("response", self.stream_id))
                yield AddonsHook(self._shown.tell_of_answer)
                notes = self._shown.notes
            handling.finish(Reason.ALLOWED, notes, self._sent_status())
            self.server_state = self.state_done
            yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)
            yield from self._done()

    def handle_protocol_error(self, event: RequestProtocolError | ResponseProtocolError) -> CommandGenerator[None]:
        """End the request because one side failed: a fault of the client's is refused, of the upstream's answered."""
        if self._ended:
            return
        if isinstance(event, ResponseProtocolError):
            yield from self._fail(Reason.UPSTREAM_BROKEN, event.message)
            return
        reads_body = self.client_state == self.state_consume_request_body
        if reads_body and self._is_malformed(event):
            yield from self._refuse(Denied(Reason.MESSAGE_MALFORMED, event.message))
            return
        handling = self._must_handle()
        if handling.recorded:
            handling.finish(Reason.CLIENT_CLOSED, event.message, self._sent_status())
            yield from self._tell_addons(event.message)
        else:
            handling.deny(Denied(Reason.CLIENT_CLOSED, event.message))
            handling.authorise()
        if self.client_state == self.state_done and self.flow.server_conn in self._connections():
            yield SendHttp(event, self.flow.server_conn)
        yield from self._done()

    def _refuse(self, denied: Denied) -> CommandGenerator[None]:
        handling = self._must_handle()
        if not handling.recorded:
            handling.deny(denied)
            handling.authorise()
        yield from self._answer(handling.answer(), self._version())

    def _fail(self, reason: Reason, detail: str, *, drop_upstream: bool = False) -> CommandGenerator[None]:
        """End a request that was allowed and came to nothing."""
        handling = self._must_handle()
        yield from self._tell_addons(detail or reason.title)
        if drop_upstream and self.flow.server_conn.connected:
            yield commands.CloseConnection(self.flow.server_conn)
        if self._answered:
            handling.finish(reason, detail, self._sent_status())
            yield SendHttp(ResponseProtocolError(self.stream_id, detail, ErrorCode.KILL), self.context.client)
            yield from self._done()
        elif reason is Reason.CLIENT_CLOSED:
            handling.finish(reason, detail, None)
            yield from self._done()
        else:
            handling.finish(reason, detail, reason.status)
            yield from self._answer(handling.answer(reason), self._version())

    def _tell_addons(self, words: str) -> CommandGenerator[None]:
        """Tell user addons that a request they saw came to nothing; nobody waits for them."""
        if self._shown is not None and self._must_handle().allowed:
            hook = AddonsHook(partial(self._shown.tell_of_error, words))
            hook.blocking = False
            yield hook

    def _time_out(self, what: str) -> CommandGenerator[None]:
        if self._ended:
            return
        if what == "body" and self.client_state == self.state_consume_request_body:
            yield from self._refuse(Denied(Reason.BODY_TIMEOUT, "the body was not complete in time"))
        elif what == "response":
            detail = "its answer stopped" if self._answered else "no answer in time"
            yield from self._fail(Reason.UPSTREAM_TIMEOUT, detail, drop_upstream=True)

    def _answer(self, answer: Answer, version: str) -> CommandGenerator[None]:
        unread = (
            self.client_state != self.state_done
            and self.head is not None
            and self.head.has_body
            and not any(isinstance(event, RequestEndOfMessage) for event in self._paused_event_queue)
        )
        close = unread or self.connection.closing or (self.head is not None and wants_close(self.head))
        self.flow.response = response = translate.response_of(answer, version, close=close)
        self._answered = True
        body = b"" if self.head is not None and self.head.method == "HEAD" else answer.body
        yield SendHttp(ResponseHeaders(self.stream_id, response, not body), self.context.client)
        if body:
            yield SendHttp(ResponseData(self.stream_id, body), self.context.client)
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)
        yield from self._done()

    def _done(self) -> CommandGenerator[None]:
        if self._ended:
            return
        self._ended = True
        self.client_state = self.server_state = self.state_errored
        for what in ("body", "response"):
            self.connection.deadlines.clear((what, self.stream_id))
        self.flow.live = False
        if self._shown is not None:
            self._shown.flow.live = False
        self.connection.ends()
        yield DropStream(self.stream_id)

    def _await_more(self) -> None:
        handling = self._must_handle()
        if handling.decision is not None and handling.decision.exchange.route is not None:
            timeout = handling.decision.exchange.route.upstream.response_timeout
            self.connection.deadlines.set(("response", self.stream_id), timeout)

    def _sent_status(self) -> int | None:
        """Give the status that the client was sent; None where none was."""
        return self.flow.response.status_code if self._answered and self.flow.response is not None else None

    def _gone(self) -> bool:
        """Whether the client went away while a hook or a connection was waited for."""
        return any(
            isinstance(event, RequestProtocolError) and not self._is_malformed(event)
            for event in self._paused_event_queue
        )

    def _is_malformed(self, event: RequestProtocolError) -> bool:
        """Whether the body cannot be read and the client still waits for an answer.

        HTTP/2 gives the same code for a stream that was reset: there nobody is left to be answered.
        """
        return event.code is ErrorCode.GENERIC_CLIENT_ERROR and self._version() == "1.1"

    def _version(self) -> str:
        return self.head.version if self.head is not None else "2"

    def _connections(self) -> dict[object, object]:
        parent = self.context.layers[self.context.layers.index(self) - 1]
        return cast("dict[object, object]", cast("HttpLayer", parent).connections)

    def _must_handle(self) -> Handling:
        if self.handling is None:
            raise RuntimeError("a stream without a request head")
        return self.handling
