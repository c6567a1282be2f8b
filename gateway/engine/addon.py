"""The addon: asks the core in mitmproxy's hooks. It lifts nothing; the layer forwards by `Handling.allowed` alone."""

from collections.abc import Awaitable

from mitmproxy import http

from gateway.core.chain import ReadBody
from gateway.core.decision import Decision
from gateway.core.message import RequestHead
from gateway.core.reasons import Denied, Reason
from gateway.core.syntax import RawFields
from gateway.core.trailers import take_trailers
from gateway.engine.gate import Handling, Step

HANDLING = "gateway.handling"
HEAD = "gateway.head"
"""Keys of a flow's metadata."""


class CoreAddon:
    """Drives each request's decision: by its head first, then, where the chain asks for it, by its body."""

    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Begin the decision."""
        handling: Handling = flow.metadata[HANDLING]
        head: RequestHead = flow.metadata[HEAD]
        await _settled(handling.begin(head))
        _refuse_websocket(handling)

    async def request(self, flow: http.HTTPFlow) -> None:
        """Go on with the body."""
        handling: Handling = flow.metadata[HANDLING]
        if handling.waits_for_body:
            await _settled(handling.resume(flow.request.data.content or b""))
            _refuse_websocket(handling)


def trailed(handling: Handling, fields: RawFields) -> Denied | None:
    """Take trailers; give why they are refused."""
    waits = handling.waiting
    try:
        take_trailers(waits and waits.trailers, fields)
    except Denied as denied:
        return denied
    return None


async def _settled(step: Step | Awaitable[Step]) -> None:
    if not isinstance(step, Decision | ReadBody):
        await step


def _refuse_websocket(handling: Handling) -> None:
    """Take an allow back that would open a WebSocket, which mitmproxy's layers would forward without its upgrade."""
    decision = handling.decision
    route = None if decision is None or not decision.allowed else decision.exchange.route
    if route is not None and route.websocket is not None:
        handling.deny(Denied(Reason.WEBSOCKET_HANDSHAKE, "mitmproxy's layers, which flows need, open no WebSockets"))
