"""What a client's connection on the HTTP/1.1 data path waits for, and the request that it has in hand."""

import asyncio
from collections.abc import Callable
from enum import Enum

from gateway.core.exchange import Exchange
from gateway.core.message import Peer, RequestHead
from gateway.core.policy import Limits, Upstream
from gateway.engine.body import BodyReader
from gateway.engine.client_transport import ClientTransport
from gateway.engine.deadline import Deadline
from gateway.engine.gate import Gate, Handling
from gateway.engine.passage import Passage

LINGER_BYTES = 1_048_576
LINGER_SECONDS = 5.0
"""How much of a refused body is thrown away, so that the client reads its answer before the connection closes."""


class State(Enum):
    """What the connection waits for."""

    HEAD = "a request's head"
    BODY = "its body, to be collected"
    STREAM = "its body, passed on as it comes"
    BUSY = "a decision, its record, or a response"
    TUNNEL = "whatever comes, once a WebSocket is open"
    LINGER = "the end of what a refused client still sends"


class ClientState(ClientTransport):
    """Keeps what is known between two events; what happens at each is `DataPath`'s."""

    def __init__(self, gate: Gate, peer: Peer, time_is_up: Callable[[str], None]) -> None:
        super().__init__()
        self._gate = gate
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        """Done once the connection is closed."""
        self._deadline = Deadline(self._loop, time_is_up)
        self._state = State.HEAD
        self._received = b""
        """Bytes that belong to no request yet."""
        self._empty_lines = 0
        """Empty lines that came since the last request."""
        self._discarded = 0
        self._draining = False
        self._closes = False
        """Whether the client asked for the connection to end with the response."""
        # of the request in hand
        self._handling: Handling | None = None
        self._head: RequestHead | None = None
        self._body: BodyReader | None = None
        self._collected: list[bytes] = []
        self._passage: Passage | None = None
        self._left_with: tuple[int | None] | None = None
        """The status that a client was sent which is gone while its request goes on; None: it is there."""

    @property
    def peer(self) -> Peer:
        """The other end."""
        return self._peer

    @property
    def open_requests(self) -> int:
        """Requests that are under way: one, or none."""
        return int(self._handling is not None)

    @property
    def tunnelled(self) -> Exchange | None:
        """The request that opened a WebSocket, where one is open."""
        if self._state is not State.TUNNEL or self._handling is None or self._handling.decision is None:
            return None
        return self._handling.decision.exchange

    @property
    def last(self) -> bool:
        """Whether the connection ends with this response."""
        return self._draining or self._closes or self._body is None or not self._body.ended

    @property
    def _limits(self) -> Limits:
        return self._gate.in_force.policy.listeners[self._peer.listener].limits

    def await_upstream(self, upstream: Upstream) -> None:
        """Let the upstream's time run from now; while the body still comes, the client's own time runs."""
        if self._body is None or self._body.ended:
            self._deadline.set("response", upstream.response_timeout)

    def _in_hand(self) -> tuple[Handling, BodyReader]:
        if self._handling is None or self._body is None:
            raise RuntimeError("no request is in hand")
        return self._handling, self._body

    def _keep(self, data: bytes) -> None:
        """Keep pipelined bytes for their turn; a client that sends more is made to wait."""
        self._received += data
        if len(self._received) > self._limits.head:
            self.hold()

    def _drop(self) -> int | None:
        """Break off what is under way upstream; gives the status that the client was sent already."""
        passage, self._passage = self._passage, None
        if passage is None:
            return None
        passage.drop()
        return passage.status

    def _linger(self) -> None:
        """Throw away what a refused client still sends."""
        self._state = State.LINGER
        self._discarded = 0
        self._deadline.set("linger", LINGER_SECONDS)
        self.go_on()
