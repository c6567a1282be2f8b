"""The endpoints of an upstream, without sockets: the clock is the test's, and so is what a connection comes to."""

import asyncio
import ssl
from collections.abc import Callable

import pytest

from gateway.audit.events import ControlFailed, ControlRecovered
from gateway.core.policy import Endpoint
from gateway.core.reasons import Reason
from gateway.engine.endpoints import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    Endpoints,
    Place,
    UpstreamFailedError,
    control_of,
    describe,
)
from tests import world
from tests.unit.engine.gates import Made

A, B, C = "http://a:80", "http://b:80", "http://c:80"
SOON = 0.01
"""Seconds to connect, where they are to pass."""


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


def alert() -> ssl.SSLError:
    error = ssl.SSLError(1, "alert")
    error.reason = "SSLV3_ALERT_HANDSHAKE_FAILURE"
    return error


class Run:
    """Endpoints that are tried in the order `tried`; those in `down` refuse, those in `silent` say nothing."""

    def __init__(self, *hosts: str, connect_timeout: float = 2.0) -> None:
        self.made = Made()
        endpoints = tuple(Endpoint(host, 80) for host in hosts)
        self.upstream = world.upstream(endpoints=endpoints, connect_timeout=connect_timeout)
        self.endpoints = Endpoints(self.upstream, None, self.made.gate)
        self.down: set[str] = set()
        self.silent: set[str] = set()
        self.tried: list[str] = []
        self.error: Callable[[], Exception] = lambda: ConnectionRefusedError(111, "Connection refused")

    async def make(self, place: Place) -> str:
        self.tried.append(place.url)
        if place.url in self.silent:
            await asyncio.Event().wait()
        if place.url in self.down:
            raise self.error()
        return place.url

    async def connect(self, count: int = 1) -> list[str]:
        """Connect so often; gives what was tried."""
        self.tried = []
        for _ in range(count):
            await self.endpoints.connect(self.make)
        return self.tried

    async def fail(self, count: int = 1) -> list[str]:
        """Fail to connect so often; gives what was tried."""
        self.tried = []
        for _ in range(count):
            with pytest.raises(UpstreamFailedError):
                await self.endpoints.connect(self.make)
        return self.tried

    def fail_at(self, number: int) -> None:
        """Have the endpoint of this number be out."""
        self.endpoints._failed(self.endpoints.places[number], "connection refused")

    def pass_time(self, seconds: float) -> None:
        self.made.time.move(seconds)

    @property
    def told(self) -> list[str]:
        """What the log was told: + for an end of a failure, - for its beginning."""
        signs = {ControlFailed: "-", ControlRecovered: "+"}
        return [
            signs[type(event)] + event.control
            for event in self.made.log.events
            if isinstance(event, ControlFailed | ControlRecovered)
        ]


# Turns


async def test_endpoints_take_turns() -> None:
    run = Run("a", "b", "c")
    assert await run.connect(5) == [A, B, C, A, B]


async def test_the_turn_stays_until_it_is_used() -> None:
    endpoints = Run("a", "b").endpoints
    first = endpoints.next()
    assert endpoints.next() is first
    endpoints.used(first)
    assert endpoints.next() is not first


def test_what_asyncio_needs_to_connect() -> None:
    context = ssl.create_default_context()
    gate = Made().gate
    plain, secure, named = (
        Endpoints(world.upstream(scheme="https", host="10.0.0.7", port=8443, server_name=name), tls, gate).places[0]
        for tls, name in ((None, None), (context, None), (context, "psp.internal"))
    )
    assert plain.target == {"host": "10.0.0.7", "port": 8443}
    assert secure.target == {**plain.target, "ssl": context, "server_hostname": "10.0.0.7"}
    assert named.target == {**plain.target, "ssl": context, "server_hostname": "psp.internal"}
    assert (plain.url, plain.control) == ("https://10.0.0.7:8443", "upstream:psp https://10.0.0.7:8443")


# Endpoints that fail


async def test_a_connection_that_fails_is_tried_at_one_other_endpoint() -> None:
    run = Run("a", "b", "c")
    run.down = {A}
    assert await run.connect() == [A, B]
    run.down = {A, B, C}
    assert await run.fail() == [C, B]
    assert await run.fail() == [C, A]  # all are out


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(111, "Connection refused"),
        TimeoutError(110, "Connection timed out"),
        untrusted(),
        UnicodeError("label too long"),
        OSError("multiple exceptions"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_keeps_a_connection_from_being_made_takes_the_endpoint_out(error: Exception) -> None:
    run = Run("a", "b")
    run.down, run.error = {A}, lambda: error
    assert await run.connect(3) == [A, B, B, B]
    assert (run.endpoints.out, run.endpoints.all_out) == (1, False)


async def test_a_fault_of_ours_is_no_failure_of_the_endpoint() -> None:
    run = Run("a", "b")
    run.down, run.error = {A}, ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        await run.connect()
    assert (run.tried, run.endpoints.out, run.told) == ([A], 0, [])


async def test_an_endpoint_that_is_out_is_tried_again_by_one_connection_after_its_time() -> None:
    run = Run("a", "b")
    run.down = {A}
    await run.connect()
    run.pass_time(FIRST_PAUSE - 0.1)
    assert await run.connect(2) == [B, B]
    run.pass_time(0.1)
    run.silent = {A}
    trying = asyncio.ensure_future(run.endpoints.connect(run.make))
    await asyncio.sleep(0)
    assert await run.connect(3) == [B, B, B]
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying
    run.silent, run.down = set(), set()
    assert await run.connect(3) == [A, B, A]
    assert (run.endpoints.out, run.endpoints.places[0].trying) == (0, 0)


async def test_the_time_out_doubles_up_to_its_bound() -> None:
    run = Run("a", "b")
    run.down = {A}
    pauses = []
    for _ in range(7):
        await run.connect(2)
        assert run.endpoints.places[0].pause
        pauses.append(run.endpoints.places[0].pause)
        run.pass_time(pauses[-1])
    assert pauses == [1, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE]
    run.down = set()
    assert A in await run.connect(2)
    run.down = {A}
    await run.connect(2)
    assert run.endpoints.places[0].pause == FIRST_PAUSE


async def test_failures_at_the_same_time_count_once() -> None:
    run = Run("a")
    run.down = {A}
    await asyncio.gather(*(run.fail() for _ in range(10)))
    assert run.endpoints.places[0].pause == FIRST_PAUSE
    run.pass_time(FIRST_PAUSE)
    await asyncio.gather(*(run.fail() for _ in range(10)))
    assert run.endpoints.places[0].pause == 2 * FIRST_PAUSE


async def test_nothing_is_refused_untried() -> None:
    run = Run("a")
    run.down = {A}
    assert await run.fail(3) == [A, A, A]
    run.down = set()
    assert await run.connect() == [A]
    assert not run.endpoints.all_out


async def test_where_all_are_out_the_first_whose_time_is_over_is_tried() -> None:
    run = Run("a", "b")
    run.down = {A}
    await run.connect()
    run.pass_time(0.5)
    run.down = {B}
    run.endpoints.places[0].until += 10.0
    assert await run.connect() == [B, A]
    run.down = {A}
    run.pass_time(0.5)
    assert await run.connect() == [A, B]  # A was in again


# The time to connect


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that each try is given; it has none of them, so that what is silent is late at once."""
    seconds: list[float] = []

    def timeout_at(ends: float) -> asyncio.Timeout:
        seconds.append(round(ends - asyncio.get_running_loop().time()))
        return asyncio.timeout(0)

    monkeypatch.setattr("gateway.engine.endpoints.asyncio.timeout_at", timeout_at)
    return seconds


async def test_an_endpoint_that_is_silent_has_half_of_the_time_where_another_is_in(given: list[float]) -> None:
    run = Run("a", "b", connect_timeout=60)
    run.silent = {A}
    assert await run.connect() == [A, B]
    assert given == [30, 60]  # as the first took none of its half, all is left


async def test_an_endpoint_has_all_of_the_time_where_no_other_is_in(given: list[float]) -> None:
    run = Run("a", "b", connect_timeout=60)
    run.fail_at(1)
    assert await run.connect() == [A]
    assert given == [60]


async def test_an_endpoint_without_others_has_all_of_the_time(given: list[float]) -> None:
    run = Run("a", connect_timeout=60)
    assert await run.connect() == [A]
    assert given == [60]


async def test_both_tries_have_the_time_of_one(given: list[float]) -> None:
    run = Run("a", "b", connect_timeout=60)
    run.silent = {A, B}
    with pytest.raises(UpstreamFailedError) as caught:
        await run.endpoints.connect(run.make, asyncio.get_running_loop().time() + 10)
    assert given == [5, 10]
    assert caught.value.reason is Reason.UPSTREAM_UNREACHABLE
    assert caught.value.detail == f"{A}: no connection within 30 s; {B}: no connection within 60 s"


async def test_nothing_is_tried_once_the_time_is_over() -> None:
    run = Run("a", "b", connect_timeout=SOON)
    run.fail_at(1)
    run.silent = {A}
    with pytest.raises(UpstreamFailedError) as caught:
        await run.endpoints.connect(run.make)
    assert run.tried == [A]
    assert caught.value.detail == f"{A}: no connection within 0.01 s"


async def test_with_one_endpoint_its_failure_is_the_detail() -> None:
    run = Run("a")
    run.down = {A}
    with pytest.raises(UpstreamFailedError, match=r"\Aconnection refused\Z"):
        await run.endpoints.connect(run.make)


# The log


async def test_the_log_has_the_beginning_and_the_end_of_a_failure() -> None:
    run = Run("a", "b")
    run.down = {A}
    for _ in range(4):
        await run.connect(2)
        run.pass_time(run.endpoints.places[0].pause)
    assert run.told == [f"-upstream:psp {A}"]
    run.down = set()
    await run.connect(4)
    assert run.told == [f"-upstream:psp {A}", f"+upstream:psp {A}"]
    (failed,) = run.made.log.of(ControlFailed)
    assert failed.detail == "connection refused"


async def test_a_failure_of_the_policy_before_ends_with_the_next_connection() -> None:
    run = Run("a", "b")
    run.down = {A}
    await run.connect()
    run.down = set()
    run.endpoints = Endpoints(run.upstream, None, run.made.gate)
    assert await run.connect(2) == [A, B]
    assert run.told == [f"-upstream:psp {A}", f"+upstream:psp {A}"]


def test_an_endpoint_is_named_with_its_upstream() -> None:
    upstream = world.upstream(host="::1", port=9000)
    assert control_of(upstream, upstream.endpoints[0]) == "upstream:psp http://[::1]:9000"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "no connection within 0.5 s"),
        (untrusted(), "its certificate does not verify: self-signed certificate"),
        (alert(), "TLS: SSLV3_ALERT_HANDSHAKE_FAILURE"),
        (ConnectionRefusedError(111, "Connection refused"), "connection refused"),
        (ConnectionResetError(), "it closed the connection during the TLS handshake"),
        (OSError("multiple exceptions"), "OSError"),
        (ValueError("secret"), "ValueError"),
    ],
)
def test_an_endpoint_that_cannot_be_reached_is_told_why(error: Exception, words: str) -> None:
    assert describe(error, 0.5) == words
