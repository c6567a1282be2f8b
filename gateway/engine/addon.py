"""The addon: asks the core in mitmproxy's hooks. It lifts nothing; the layer forwards by `Handling.allowed` alone."""

from collections.abc import Awaitable

from mitmproxy import http

from gateway.core.chain import ReadBody
from gateway.core.decision import Decision
from gateway.core.message import RequestHead
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

    async def request(self, flow: http.HTTPFlow) -> None:
        """Go on with the body."""
        handling: Handling = flow.metadata[HANDLING]
        if handling.waits_for_body:
            await _settled(handling.resume(flow.request.data.content or b""))


async def _settled(step: Step | Awaitable[Step]) -> None:
    if not isinstance(step, Decision | ReadBody):
        await step
