"""The endpoints of one upstream: whose turn it is, which are out, and connecting to one of them.

Requests go to the endpoints in turn. What takes an endpoint out is a connection that could not be made: refused, not
ready in time, or TLS that failed. Answers do not count, whatever they are: a caller that can provoke an error or a
slow answer must not be able to take the upstream away from everybody.

An endpoint that is out is left out for 1 s, and for twice as long after each further failure, 30 s at most. Then one
connection tries it; the requests that come meanwhile go to the others. Where all are out, the one whose time is over
first is tried all the same, by each request: nothing is refused untried, and with one endpoint there is no waiting.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.core.policy import Endpoint, Upstream
from gateway.core.reasons import Reason
from gateway.engine.gate import Gate

FIRST_PAUSE = 1.0
"""Seconds for which an endpoint is left out that could not be connected to: a restart takes about as long."""

LONGEST_PAUSE = 30.0
"""Seconds for which it is left out at most: what comes back is found within this time."""

LEAST_PART = 0.1
"""Part of the time to connect below which no second try is made: it would only be held against the endpoint."""

CONTROL = "upstream:"
"""What the names begin with under which the log has the endpoints that fail."""


class UpstreamFailedError(Exception):
    """An upstream could not be reached, or did not answer; `reason` says which."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class _EndpointFailedError(Exception):
    """A connection to one endpoint could not be made; says why."""


class Place:
    """One endpoint and what is known of it."""

    __slots__ = ("after", "control", "pause", "target", "trying", "until", "url")

    def __init__(self, upstream: Upstream, endpoint: Endpoint, after: int, tls: ssl.SSLContext | None) -> None:
        self.url = upstream.url(endpoint)
        self.control = control_of(upstream, endpoint)
        self.after = after
        """Index of the place whose turn comes next."""
        self.target: Mapping[str, Any] = {"host": endpoint.host, "port": endpoint.port}
        """What asyncio needs to connect: where to, the TLS context, and the name to verify (by default the host)."""
        if tls is not None:
            self.target = {**self.target, "ssl": tls, "server_hostname": upstream.server_name or endpoint.host}
        self.pause = 0.0
        """Seconds for which it is left out; 0: it is in."""
        self.until = 0.0
        """When that is over, on the gate's monotonic clock."""
        self.trying = 0
        """Connections to it that are being made."""

    def ready(self, now: float) -> bool:
        """Whether its turn may come: it is in, or its time is over and nobody tries it yet."""
        return not self.pause or (now >= self.until and not self.trying)


class Endpoints:
    """The endpoints of one upstream. What is known of them is shared by every way on which requests go there."""

    def __init__(self, upstream: Upstream, tls: ssl.SSLContext | None, gate: Gate) -> None:
        self.upstream = upstream
        count = len(upstream.endpoints)
        self.places = tuple(
            Place(upstream, endpoint, (number + 1) % count, tls) for number, endpoint in enumerate(upstream.endpoints)
        )
        self.out = 0
        """How many are out."""
        self._turn = 0
        self._gate = gate

    @property
    def all_out(self) -> bool:
        """Whether no endpoint is in."""
        return self.out == len(self.places)

    def next(self) -> Place:
        """Give the place whose turn it is, which stays so until `used`."""
        if not self.out:
            return self.places[self._turn]
        return self._best(self.places[self._turn :] + self.places[: self._turn])

    def used(self, place: Place) -> None:
        """Note that a request goes there: the turn is the next one's."""
        self._turn = place.after

    def _best(self, places: tuple[Place, ...]) -> Place:
        now = self._gate.clock.monotonic()
        for place in places:
            if place.ready(now):
                return place
        return min(places, key=lambda place: place.until)

    def _other_than(self, first: Place) -> Place | None:
        at = first.after
        others = tuple(place for place in self.places[at:] + self.places[:at] if place is not first)
        return self._best(others) if others else None

    async def connect[C](self, make: Callable[[Place], Awaitable[C]], ends: float | None = None) -> C:
        """Give what `make` makes of the place whose turn it is or, where that fails, of one other.

        Only here a request is tried twice: nothing of it was sent yet. Both tries are over at `ends` on the loop's
        clock, by default after the upstream's time to connect; the first has half of it where another endpoint is
        in. Raises UpstreamFailedError.
        """
        loop = asyncio.get_running_loop()
        whole = self.upstream.connect_timeout
        began = loop.time()
        ends = began + whole if ends is None else ends
        first = self.next()
        second = self._other_than(first)
        half = second is not None and not second.pause
        try:
            return await self._try(first, make, (began + ends) / 2 if half else ends, whole / 2 if half else whole)
        except _EndpointFailedError as failed:
            why = str(failed)
        second = self._other_than(first)  # what was known of it may have changed
        if second is None:
            raise UpstreamFailedError(Reason.UPSTREAM_UNREACHABLE, why)
        why = f"{first.url}: {why}"
        if ends - loop.time() < whole * LEAST_PART:
            raise UpstreamFailedError(Reason.UPSTREAM_UNREACHABLE, why)
        try:
            return await self._try(second, make, ends, whole)
        except _EndpointFailedError as failed:
            why = f"{why}; {second.url}: {failed}"
        raise UpstreamFailedError(Reason.UPSTREAM_UNREACHABLE, why)

    async def _try[C](self, place: Place, make: Callable[[Place], Awaitable[C]], ends: float, seconds: float) -> C:
        self.used(place)
        place.trying += 1
        try:
            async with asyncio.timeout_at(ends):
                made = await make(place)
        except (OSError, ValueError) as error:  # TLS's errors and time-outs are OSErrors, a bad name a ValueError
            why = describe(error, seconds)
            self._failed(place, why)
            raise _EndpointFailedError(why) from None
        finally:
            place.trying -= 1
        self._worked(place)
        return made

    def _failed(self, place: Place, why: str) -> None:
        now = self._gate.clock.monotonic()
        if not place.pause:
            self.out += 1
            place.pause, place.until = FIRST_PAUSE, now + FIRST_PAUSE
        elif now >= place.until:  # else it failed before its time was over, and that says nothing new
            place.pause = min(2 * place.pause, LONGEST_PAUSE)
            place.until = now + place.pause
        self._gate.health.failed(place.control, why, self._gate.clock.now(), self._gate.in_force.facts)

    def _worked(self, place: Place) -> None:
        if place.pause:
            self.out -= 1
            place.pause = 0.0
        gate = self._gate
        if gate.health.failing:  # also where it failed under the policy before
            gate.health.worked((place.control,), gate.clock.now(), gate.in_force.facts)


def control_of(upstream: Upstream, endpoint: Endpoint) -> str:
    """Give the name under which the log has the failure of an endpoint, and its end."""
    return f"{CONTROL}{upstream.name} {upstream.url(endpoint)}"


def describe(error: Exception, seconds: float) -> str:
    """Say for the log why a connection could not be made, for which there were so many seconds."""
    if isinstance(error, TimeoutError):
        return f"no connection within {seconds:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate does not verify: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, ConnectionError):  # the loop's own words for a handshake that was broken off
        return "it closed the connection during the TLS handshake"
    return type(error).__name__
