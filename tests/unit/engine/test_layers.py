import pytest
from mitmproxy.connection import ConnectionState, Server

from gateway.core.reasons import Reason
from gateway.engine.http1 import StrictHttp1Server
from gateway.engine.http2 import StrictHttp2Server
from gateway.engine.layers import GateHttpLayer
from tests import world
from tests.engine.harness import get
from tests.engine.upstream import OK
from tests.unit.engine.flows import Wire
from tests.unit.engine.gates import Made
from tests.unit.engine.test_stream import BALANCE


@pytest.fixture
def wire() -> Wire:
    return Wire(Made(policy=world.policy(world.route(), BALANCE))).start()


def layer_of(wire: Wire) -> GateHttpLayer:
    assert isinstance(wire.layer, GateHttpLayer)
    return wire.layer


def served(wire: Wire) -> Server:
    """Have one request answered; gives the upstream connection that it went over."""
    wire.receive(get())
    server = wire.open()
    wire.receive(OK, server)
    return server


@pytest.mark.parametrize(
    ("alpn", "reader"), [(b"h2", StrictHttp2Server), (b"http/1.1", StrictHttp1Server), (b"", StrictHttp1Server)]
)
def test_the_protocol_is_what_the_handshake_agreed_on(alpn: bytes, reader: type) -> None:
    wire = Wire(alpn=alpn).start()
    assert type(layer_of(wire).connections[wire.client]) is reader


def test_an_upstream_connection_is_used_again_once_its_answer_is_whole(wire: Wire) -> None:
    server = served(wire)
    wire.sent(server)
    wire.receive(get("/v1/balance?a=2"))
    assert wire.opening == []
    assert wire.sent(server).startswith(b"GET /v1/balance?a=2 ")


def test_an_upstream_connection_that_is_closed_is_forgotten(wire: Wire) -> None:
    server = served(wire)
    wire.leave(server)
    assert list(layer_of(wire).connections) == [wire.client]
    wire.receive(get())
    assert len(wire.opening) == 1


def test_an_upstream_connection_that_could_not_be_opened_is_tried_anew(wire: Wire) -> None:
    for _ in range(2):
        wire.receive(get())
        wire.open("connection refused")
        assert wire.sent().startswith(b"HTTP/1.1 502 ")
    assert list(layer_of(wire).connections) == [wire.client]


def test_what_comes_of_a_connection_that_is_done_with_is_nothing(wire: Wire) -> None:
    server = Server(address=("psp", 0))
    server.state = ConnectionState.OPEN
    wire.receive(OK, server)
    wire.leave(server)
    assert wire.sent() == b""
    assert not wire.closed()


def test_a_deadline_of_a_request_that_is_done_with_is_nothing(wire: Wire) -> None:
    served(wire)
    wire.sent()
    wire.deadline(("response", 1))
    assert wire.sent() == b""
    assert wire.made.log.finished == [Reason.ALLOWED]


def test_streams_are_forgotten(wire: Wire) -> None:
    for _ in range(2):
        server = served(wire)
        wire.leave(server)
    assert layer_of(wire).streams == {}
    assert layer_of(wire).command_sources == {}


# Faults of our own


class BrokenError(Exception):
    pass


def broken(*_: object, **__: object) -> None:
    raise BrokenError("secret")


def test_a_fault_before_the_decision_denies_and_ends_the_connection(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.engine.gate.Handling.authorise", broken)
    wire.receive(get())
    assert wire.closed()
    assert wire.sent() == b""
    assert wire.opening == []
    assert "BrokenError" in caplog.text


def test_a_fault_after_the_allow_is_the_requests_outcome(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wire.receive(get())
    monkeypatch.setattr("gateway.engine.gate.Handling.sends_upstream", broken)
    server = wire.open()
    assert wire.closed()
    assert wire.sent(server) == b""
    assert wire.made.log.finished == [Reason.CONTROL_FAILED]
    assert wire.made.gate.unfinished == 0
    assert "BrokenError" in caplog.text


def test_a_fault_without_a_request_is_recorded(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.engine.connection.Connection.head_begins", broken)
    wire.receive(b"GET")
    assert wire.closed()
    assert wire.made.log.decided == [Reason.CONTROL_FAILED]
    assert "BrokenError" in caplog.text


def test_nothing_happens_after_a_fault(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("gateway.engine.connection.Connection.head_begins", broken)
        wire.receive(b"GET")
    wire.receive(get())
    assert (wire.opening, wire.sent(), len(wire.made.log.events)) == ([], b"", 2)  # the failure, and its request
    assert len(caplog.records) == 1
