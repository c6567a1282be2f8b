from typing import Any

import orjson
import pytest

from gateway.audit.events import RequestFinished
from gateway.core.policy import Match
from gateway.core.reasons import Reason, Unavailable
from gateway.engine.addon import HANDLING, CoreAddon
from tests import world
from tests.engine.harness import chunked, get, request
from tests.engine.upstream import OK
from tests.unit.engine.flows import Wire
from tests.unit.engine.gates import Made

BALANCE = world.route(
    name="balance",
    match=Match(frozenset({"GET", "HEAD"}), "/v1/balance"),
    chain=world.chain(signature=None, replay=None, rate_limit=None),
)

EXPECTS = request(world.World(fields={"expect": "100-continue"}))[: -len(world.BODY)]


@pytest.fixture
def wire() -> Wire:
    return Wire(Made(policy=world.policy(world.route(), BALANCE))).start()


def answer(wire: Wire) -> tuple[int, str]:
    """Read a refusal off the wire."""
    head, _, body = wire.sent().partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), orjson.loads(body)["code"]


def log(wire: Wire) -> tuple[list[Reason], list[Reason]]:
    return wire.made.log.decided, wire.made.log.finished


def test_an_allowed_request_goes_upstream_and_its_response_comes_back(wire: Wire) -> None:
    wire.receive(request())
    server = wire.open()
    sent = wire.sent(server)
    assert sent.startswith(b"POST /v1/deposits HTTP/1.1\r\nhost: api.psp.example\r\n")
    assert sent.endswith(b"\r\n\r\n" + world.BODY)

    wire.receive(OK, server)

    assert wire.sent().endswith(b'{"status":"ok"}')
    assert log(wire) == ([Reason.ALLOWED], [Reason.ALLOWED])
    assert wire.connection.open_requests == 0


def test_nothing_is_opened_for_a_denied_request(wire: Wire) -> None:
    wire.receive(get(authorization=None))
    assert answer(wire) == (401, "token.missing")
    assert wire.opening == []
    assert log(wire) == ([Reason.TOKEN_MISSING], [])


def test_nothing_is_opened_before_the_body_is_whole(wire: Wire) -> None:
    wire.receive(request()[:-1])
    assert (wire.opening, log(wire)) == ([], ([], []))
    wire.receive(request()[-1:])
    assert len(wire.opening) == 1


def test_nothing_is_opened_before_the_hook_is_done(wire: Wire) -> None:
    wire.holds_hooks = True
    wire.receive(get())
    assert (wire.opening, log(wire)) == ([], ([], []))
    wire.go_on()
    wire.go_on()
    assert len(wire.opening) == 1


class Silent(CoreAddon):
    """Decides nothing."""

    async def requestheaders(self, flow: Any) -> None:
        del flow


class Broken(CoreAddon):
    """Fails before it decides."""

    async def requestheaders(self, _: Any) -> None:
        raise ZeroDivisionError

    async def request(self, _: Any) -> None:
        raise ZeroDivisionError


class FailsLate(CoreAddon):
    """Begins, and fails before the end."""

    async def request(self, _: Any) -> None:
        raise ZeroDivisionError


@pytest.mark.parametrize("addon", [Silent(), Broken(), FailsLate()], ids=lambda addon: type(addon).__name__)
def test_a_hook_that_does_not_decide_denies(wire: Wire, addon: CoreAddon) -> None:
    wire.addon = addon
    wire.receive(request())
    assert answer(wire) == (503, "gate.control_failed")
    assert (wire.opening, log(wire)) == ([], ([Reason.CONTROL_FAILED], []))


class Meddles(CoreAddon):
    """Changes the flow after the decision, as other addons of mitmproxy do."""

    async def request(self, flow: Any) -> None:
        await super().request(flow)
        flow.request.host, flow.request.path = "evil.example", "/v1/admin"
        flow.request.headers["x-gateway-partner"] = "other"


def test_what_a_hook_does_to_the_request_does_not_go_upstream(wire: Wire) -> None:
    wire.addon = Meddles()
    wire.receive(request())
    sent = wire.sent(wire.open())
    assert sent.startswith(b"POST /v1/deposits HTTP/1.1\r\n")
    assert b"x-gateway-partner: acme-casino\r\n" in sent
    assert b"evil" not in sent


class Allows(CoreAddon):
    """Forges what a hook could forge: it has no decision to forge."""

    async def requestheaders(self, flow: Any) -> None:
        await super().requestheaders(flow)
        flow.response = None
        flow.metadata[HANDLING] = None


def test_a_hook_cannot_allow_what_was_denied(wire: Wire) -> None:
    wire.addon = Allows()
    wire.receive(get(authorization=None))
    assert answer(wire) == (401, "token.missing")
    assert wire.opening == []


def test_an_allow_that_cannot_be_recorded_goes_nowhere(wire: Wire) -> None:
    wire.made.log.error = Unavailable(Reason.AUDIT_UNAVAILABLE)
    wire.receive(request())
    assert answer(wire) == (503, "gate.audit_unavailable")
    assert wire.opening == []


def test_a_connection_that_ends_takes_no_further_request(wire: Wire) -> None:
    wire.connection.closing = True
    wire.receive(get())
    assert answer(wire) == (503, "gate.draining")
    assert (wire.opening, log(wire)) == ([], ([Reason.DRAINING], []))


# Bodies


@pytest.mark.parametrize("size", [world.route().body_limit + 1, 10 * world.route().body_limit])
def test_a_body_beyond_the_limit_is_refused_as_soon_as_that_is_seen(wire: Wire, size: int) -> None:
    wire.receive(chunked(b"a" * size)[:-5])
    assert answer(wire) == (413, "http.body_too_large")
    assert log(wire) == ([Reason.BODY_TOO_LARGE], [])


def test_a_body_that_does_not_come_is_refused(wire: Wire) -> None:
    wire.receive(request()[:-1])
    wire.deadline(("body", 1))
    assert answer(wire) == (408, "http.body_timeout")
    wire.deadline(("body", 1))
    assert log(wire) == ([Reason.BODY_TIMEOUT], [])


def test_the_time_of_a_body_begins_with_it_and_ends_with_it(wire: Wire) -> None:
    wire.receive(request()[:-1])
    assert len(wire.loop.timers) == 1
    wire.receive(request()[-1:])
    assert wire.loop.timers == []


def test_a_client_that_leaves_within_its_body_is_not_answered(wire: Wire) -> None:
    wire.receive(request()[:-1])
    wire.leave()
    assert wire.sent() == b""
    assert log(wire) == ([Reason.CLIENT_CLOSED], [])


# Clients that leave, upstreams that fail


def test_a_client_that_leaves_while_the_upstream_is_connected_is_not_forwarded(wire: Wire) -> None:
    wire.receive(get())
    wire.leave()
    server = wire.open()
    assert wire.sent(server) == b""
    assert log(wire) == ([Reason.ALLOWED], [Reason.CLIENT_CLOSED])


@pytest.mark.parametrize("sent", [get(), EXPECTS], ids=["whole", "waits to go on"])
def test_a_client_that_leaves_while_the_core_decides_is_denied(wire: Wire, sent: bytes) -> None:
    wire.holds_hooks = True
    wire.receive(sent)
    wire.leave()
    while wire.hooks:
        wire.go_on()
    assert (wire.opening, wire.sent(), log(wire)) == ([], b"", ([Reason.CLIENT_CLOSED], []))
    assert not wire.made.gate.unfinished


def test_a_client_is_told_to_go_on_with_its_body(wire: Wire) -> None:
    wire.receive(EXPECTS)
    assert wire.sent() == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_a_client_that_leaves_before_the_response_breaks_the_upstream_off(wire: Wire) -> None:
    wire.receive(get())
    server = wire.open()
    wire.leave()
    assert wire.closed(server)
    assert log(wire)[1] == [Reason.CLIENT_CLOSED]


def test_an_upstream_that_cannot_be_reached_is_answered(wire: Wire) -> None:
    wire.receive(get())
    wire.open("connection refused")
    assert answer(wire) == (502, "upstream.unreachable")
    assert log(wire)[1] == [Reason.UPSTREAM_UNREACHABLE]


def test_an_upstream_that_does_not_answer_in_time_is_dropped(wire: Wire) -> None:
    wire.receive(get())
    server = wire.open()
    wire.deadline(("response", 1))
    assert answer(wire) == (504, "upstream.timeout")
    assert wire.closed(server)
    assert log(wire)[1] == [Reason.UPSTREAM_TIMEOUT]


def test_a_response_that_stops_breaks_the_clients_off(wire: Wire) -> None:
    wire.receive(get())
    server = wire.open()
    wire.receive(OK[:-3], server)
    wire.deadline(("response", 1))
    assert wire.closed(server)
    assert wire.closed()
    (outcome,) = wire.made.log.of(RequestFinished)
    assert (outcome.reason, outcome.detail, outcome.status) == (Reason.UPSTREAM_TIMEOUT, "its answer stopped", 200)


@pytest.mark.parametrize(
    "sent", [b"HTTP/1.1 200 OK\r\nx-\xff: 1\r\n\r\n", b"\x16\x03\x01\x00\r\n\r\n", b"HTTP/1.1 101 Up\r\n\r\n"]
)
def test_an_upstream_that_answers_something_else_is_dropped(wire: Wire, sent: bytes) -> None:
    wire.receive(get())
    server = wire.open()
    wire.receive(sent, server)
    assert answer(wire) == (502, "upstream.broken")
    assert wire.closed(server)
    assert log(wire)[1] == [Reason.UPSTREAM_BROKEN]


def test_the_upstreams_time_begins_anew_with_each_part(wire: Wire) -> None:
    wire.receive(get())
    server = wire.open()
    for data in (OK[:-3], OK[-3:-1]):
        wire.loop.pass_time(29.0)
        wire.receive(data, server)
    wire.receive(OK[-1:], server)
    assert log(wire)[1] == [Reason.ALLOWED]
