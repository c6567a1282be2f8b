"""Connections to upstreams, shared by all clients: kept alive, bounded, and one request at a time on each.

A connection that the upstream closed leaves the pool at once, since it is always read from, and its socket is looked at
once more before it is used. Nothing is sent twice: once a byte was given to a socket, a failure is the request's own,
whatever its method. A connection that is not there yet may be tried at a second endpoint (`Endpoints.connect`).
"""

import asyncio
import errno
from collections import deque
from collections.abc import Iterable

from gateway.core.policy import Upstream
from gateway.core.reasons import Reason
from gateway.engine.endpoints import CONTROL, Endpoints, Place, UpstreamFailedError, control_of, describe
from gateway.engine.gate import Gate
from gateway.engine.upstream_connection import UpstreamConnection
from gateway.engine.upstream_tls import UpstreamTls

MAX_CONNECTIONS = 512
"""Connections to one upstream; requests beyond that wait for the connect time-out at most."""

IDLE_SECONDS = 50.0
"""How long a connection is kept without use: below the 60 s after which most servers close."""


class Pool:
    """Connections to one upstream, as one policy has it."""

    def __init__(self, endpoints: Endpoints) -> None:
        self.upstream = endpoints.upstream
        self.endpoints = endpoints
        self._idle: dict[Place, deque[UpstreamConnection]] = {place: deque() for place in endpoints.places}
        """What waits for use, by endpoint; the one used last stands at the end."""
        self._all: set[UpstreamConnection] = set()
        self._waiting: deque[asyncio.Future[UpstreamConnection | None]] = deque()
        self._opening = 0
        self._closed = False
        self._sweeper: asyncio.TimerHandle | None = None

    def take(self) -> UpstreamConnection | None:
        """Give a connection that waits for use; None where there is none, and one must be opened.

        It is one of the endpoint whose turn it is. Those of an endpoint that is out wait, unless all are out.
        """
        endpoints = self.endpoints
        place = endpoints.next()
        if place.pause:
            return self._take_any() if endpoints.all_out else None
        connection = self._take_of(place)
        if connection is not None:
            endpoints.used(place)
        return connection

    def _take_of(self, place: Place) -> UpstreamConnection | None:
        idle = self._idle[place]
        while idle:
            connection = idle.pop()  # the one used last: the others may go idle
            if connection.quiet:
                return connection
            connection.discard()
        return None

    def _take_any(self) -> UpstreamConnection | None:
        """Give one of any endpoint; what waits there is better than what may not be made."""
        for place in self._idle:
            connection = self._take_of(place)
            if connection is not None:
                return connection
        return None

    async def open(self) -> UpstreamConnection:
        """Give a new connection, or one that was given back meanwhile. Raises UpstreamFailedError."""
        connection = self.take()
        if connection is not None:
            return connection
        ends = asyncio.get_running_loop().time() + self.upstream.connect_timeout
        if len(self._all) + self._opening >= MAX_CONNECTIONS:
            connection = await self._room(ends)
            if connection is not None:
                return connection
        self._opening += 1
        try:
            connection = await self.endpoints.connect(self._connect, ends)
        except BaseException:
            self._wake(None)
            raise
        finally:
            self._opening -= 1
        self._all.add(connection)
        return connection

    async def _connect(self, place: Place) -> UpstreamConnection:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: UpstreamConnection(self, place), **place.target
        )
        if not connection.alive:
            raise OSError(errno.ECONNABORTED, "it closed the connection at once")
        return connection

    async def _room(self, ends: float) -> UpstreamConnection | None:
        """Wait for a connection, or for room for a new one: then None. Raises UpstreamFailedError."""
        try:
            async with asyncio.timeout_at(ends):
                while len(self._all) + self._opening >= MAX_CONNECTIONS:
                    given = self._take_any() or await self._given()
                    if given is not None and given.alive:
                        return given
        except TimeoutError as error:
            late = f"{describe(error, self.upstream.connect_timeout)}: all {MAX_CONNECTIONS} are in use"
            raise UpstreamFailedError(Reason.UPSTREAM_UNREACHABLE, late) from None
        return None

    async def _given(self) -> UpstreamConnection | None:
        """Wait for a connection that is given back; None where there is room for a new one instead."""
        waiting: asyncio.Future[UpstreamConnection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():  # it came in the very moment: the next one's turn
                given = waiting.result()
                if given is not None and given.alive:
                    self.give_back(given)
                else:
                    self._wake(None)
            raise

    def _wake(self, connection: UpstreamConnection | None) -> bool:
        """Let the next that waits go on; tells whether somebody does."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(connection)
                return True
        return False

    def give_back(self, connection: UpstreamConnection) -> None:
        """Take a connection back whose response is complete."""
        if self._waiting and self._wake(connection):
            return
        if self._closed:
            connection.discard()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle[connection.place].append(connection)
        if self._sweeper is None:
            self._sweeper = loop.call_later(IDLE_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Close what waited too long; one timer for all, so that a request needs none."""
        loop = asyncio.get_running_loop()
        before = loop.time() - IDLE_SECONDS
        oldest: list[float] = []
        for idle in self._idle.values():
            while idle and idle[0].idle_since <= before:
                idle.popleft().discard()
            if idle:
                oldest.append(idle[0].idle_since)
        self._sweeper = loop.call_at(min(oldest) + IDLE_SECONDS, self._sweep) if oldest else None

    def lost(self, connection: UpstreamConnection) -> None:
        """Forget a connection that is closed."""
        self._all.discard(connection)
        idle = self._idle[connection.place]
        if connection in idle:
            idle.remove(connection)
        self._wake(None)

    def close(self) -> None:
        """Close what waits for use; what is in use closes when it is given back."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for idle in self._idle.values():
            for connection in list(idle):
                connection.discard()


class Pools:
    """The pool of each upstream, until a reload, after which all connections are made anew.

    What is known of the endpoints is in there too, and so ends with the reload: each is tried again at once.
    """

    def __init__(self, tls: UpstreamTls, gate: Gate) -> None:
        self._tls = tls
        self._gate = gate
        self._pools: dict[str, Pool] = {}

    def of(self, upstream: Upstream) -> Pool:
        """Give the upstream's pool."""
        pool = self._pools.get(upstream.name)
        if pool is None or pool.upstream is not upstream:
            if pool is not None:
                pool.close()
            pool = self._pools[upstream.name] = Pool(Endpoints(upstream, self._tls.context(upstream), self._gate))
        return pool

    def forget_others(self, upstreams: Iterable[Upstream]) -> None:
        """Record the end of the failures of endpoints that are not among those of `upstreams`."""
        gate = self._gate
        named = {control_of(upstream, endpoint) for upstream in upstreams for endpoint in upstream.endpoints}
        gone = [one for one in gate.health.failing if one.startswith(CONTROL) and one not in named]
        gate.health.worked(gone, gate.clock.now(), gate.in_force.facts, "no longer in the policy")

    def close(self) -> None:
        """Close what waits for use; what is in use closes when it is given back."""
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
