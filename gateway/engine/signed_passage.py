"""A passage whose response is signed: it is held until it is whole, and then goes to the client at once."""

from gateway.core.decision import Decision
from gateway.core.forwarding import response_fields
from gateway.core.outgoing import AnswerSigner
from gateway.core.reasons import Denied, Reason
from gateway.engine.passage import Passage
from gateway.engine.response_head import ResponseFields, signed_bytes
from gateway.engine.signed_answers import HeldAnswer


class SignedPassage(Passage):
    """Holds what comes, within the limit; nothing of an answer goes out before all of it is there and signed."""

    _held: HeldAnswer | None = None

    def response_head(self, status: int, fields: ResponseFields, *, ends: bool) -> None:
        """Hold the head, with the gate's own fields."""
        decision, signer = self._signing()
        if self._capture is not None:
            self._capture.head(status, fields)
        own = (*decision.response_fields, (self._handling.identity_field, self._handling.request_id))
        listed = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]
        self._held = HeldAnswer(signer, status, response_fields(status, listed, own), bodiless=ends)

    def response_body(self, data: bytes) -> None:
        """Hold a part."""
        if self._capture is not None:
            self._capture.body(data)
        if self._held is not None:
            self._held.take(data)

    def response_flush(self) -> None:
        """Let the upstream's time run anew, and break off where the answer is too large."""
        self._client.await_upstream(self._pool.upstream)
        denied = None if self._held is None else self._held.too_large
        if denied is not None:
            self.drop()
            self._ended(denied.reason, denied.detail)

    def response_ended(self) -> None:
        """Sign the answer and send it."""
        held, self._connection = self._held, None
        if held is None:
            raise RuntimeError("an answer without a head")
        if self._capture is not None:
            self._capture.end()
        decision, _ = self._signing()
        try:
            fields, body = held.signed(decision.exchange, self._handling.stamp)
        except Denied as denied:
            self._ended(denied.reason, denied.detail)
            return
        self._handling.response_bytes += len(body)
        self._read = held.status
        self._out.append(signed_bytes(held.status, fields, body, close=self._client.last))
        self._send_back()
        self._ended(Reason.ALLOWED, "")

    def _signing(self) -> tuple[Decision, AnswerSigner]:
        decision = self._handling.decision
        route = None if decision is None else decision.exchange.route
        if decision is None or route is None or route.answers is None:
            raise RuntimeError("the route does not sign its answers")
        return decision, route.answers
