import h2.config
import h2.connection
import h2.events
import pytest

from gateway.core.policy import Match
from gateway.core.reasons import Reason
from gateway.engine.http2 import MAX_FRAME, StrictHttp2Server
from gateway.engine.layers import GateHttpLayer
from tests import world
from tests.engine.upstream import OK
from tests.unit.engine.flows import Wire
from tests.unit.engine.gates import Made

ROUTE = world.route(
    name="balance",
    match=Match(frozenset({"GET", "POST"}), "/v1/balance"),
    chain=world.chain(signature=None, replay=None, rate_limit=None, token=None),
)


class Run(Wire):
    """A client that speaks HTTP/2 with the gate's layers."""

    def __init__(self) -> None:
        super().__init__(Made(policy=world.policy(ROUTE)), alpn=b"h2")
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.events: list[h2.events.Event] = []
        self.start()
        self.h2.initiate_connection()
        self.exchange()

    def exchange(self) -> None:
        """Send what the client has to say, and read what comes back."""
        self.receive(self.h2.data_to_send())
        self.events += self.h2.receive_data(self.sent())

    def ask(self, stream: int = 1, *, ends: bool = True, method: str = "GET") -> None:
        """Send a request."""
        pseudo = [(":method", method), (":scheme", "https"), (":authority", world.HOST), (":path", "/v1/balance")]
        self.h2.send_headers(stream, pseudo, end_stream=ends)
        self.exchange()

    @property
    def reader(self) -> StrictHttp2Server:
        assert isinstance(self.layer, GateHttpLayer)
        reader = self.layer.connections[self.client]
        assert isinstance(reader, StrictHttp2Server)
        return reader

    def of(self, kind: type) -> list[h2.events.Event]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def run() -> Run:
    return Run()


def test_a_request_goes_upstream_and_its_response_comes_back(run: Run) -> None:
    run.ask()
    run.receive(OK, run.open())
    run.exchange()
    assert len(run.of(h2.events.StreamEnded)) == 1
    assert run.made.log.finished == [Reason.ALLOWED]


def test_a_stream_is_forgotten_once_it_is_answered(run: Run) -> None:
    for stream in (1, 3):
        run.ask(stream)
        run.receive(OK, run.open())
    assert run.reader.streams == {}


def test_a_stream_that_is_answered_before_its_end_is_forgotten(run: Run) -> None:
    run.made.gate.draining = True
    run.ask(ends=False, method="POST")
    assert run.reader.streams == {}
    assert run.made.log.decided == [Reason.DRAINING]


def test_a_stream_that_is_reset_with_its_end_goes_nowhere(run: Run) -> None:
    run.ask(ends=False, method="POST")
    run.h2.end_stream(1)
    run.h2.reset_stream(1)
    run.exchange()
    while run.opening:
        assert run.sent(run.open()) == b""
    assert Reason.ALLOWED not in run.made.log.finished
    assert run.made.gate.unfinished == 0


def test_an_idle_connection_is_told_which_requests_were_taken(run: Run) -> None:
    run.ask()
    run.receive(OK, run.open())
    run.deadline(("idle", 0))
    run.events += run.h2.receive_data(run.sent())
    assert run.closed()
    (goaway,) = run.of(h2.events.ConnectionTerminated)
    assert isinstance(goaway, h2.events.ConnectionTerminated)
    assert (goaway.error_code, goaway.last_stream_id) == (0, 1)


def test_a_connection_does_not_idle_while_a_request_is_open(run: Run) -> None:
    run.ask()
    run.deadline(("idle", 0))
    assert not run.closed()


def test_a_connection_that_breaks_the_protocol_leaves_a_record(run: Run) -> None:
    run.receive(b"\x00\x00\x00\x07\x00\x00\x00\x00\x00")  # GOAWAY without its fields
    assert run.closed()
    assert run.made.log.decided == [Reason.MESSAGE_MALFORMED]


def test_a_frame_longer_than_was_announced_is_not_waited_for(run: Run) -> None:
    run.ask(ends=False, method="POST")
    run.receive((MAX_FRAME + 1_000).to_bytes(3) + b"\x00\x00" + (1).to_bytes(4) + b"a" * MAX_FRAME)
    run.receive(b"a")
    assert run.closed()
    assert Reason.MESSAGE_MALFORMED in run.made.log.decided


def test_a_frame_of_the_size_that_was_announced_is_read(run: Run) -> None:
    run.ask(ends=False, method="POST")
    run.receive(MAX_FRAME.to_bytes(3) + b"\x00\x00" + (1).to_bytes(4) + b"a" * MAX_FRAME)
    assert not run.closed()
