import weakref

import pytest

from gateway.engine.client_transport import ClientTransport
from gateway.engine.upstream_connection import HIGH_WATER
from tests.unit.engine.transports import FakeTransport, connected


@pytest.fixture
def client() -> tuple[ClientTransport, FakeTransport]:
    return connected(ClientTransport())


type Client = tuple[ClientTransport, FakeTransport]


def test_what_waits_to_be_sent_is_bounded(client: Client) -> None:
    assert client[1].high == HIGH_WATER


def test_what_is_written_is_sent(client: Client) -> None:
    client[0].write(b"HTTP/1.1 ")
    assert client[1].written == b"HTTP/1.1 "


def test_nothing_is_sent_on_a_connection_that_ends(client: Client) -> None:
    client[0].close()
    client[0].write(b"HTTP/1.1 ")
    assert client[1].written == b""


def test_a_client_is_held_once_and_let_go_once(client: Client) -> None:
    made, transport = client
    made.hold()
    made.hold()  # a transport that is paused may not be paused again
    assert transport.paused
    made.go_on()
    assert not transport.paused
    transport.paused = True  # by somebody else
    made.go_on()
    assert transport.paused


def test_a_connection_that_ends_is_not_read_again(client: Client) -> None:
    made, transport = client
    made.hold()
    transport.close()
    made.go_on()
    assert transport.paused


def test_a_connection_ends_now_or_once_all_is_sent(client: Client) -> None:
    made, transport = client
    made.close()
    assert (transport.closing, transport.aborted) == (True, False)
    made.abort()
    assert transport.aborted


def test_a_client_that_stops_sending_leaves(client: Client) -> None:
    assert client[0].eof_received() is False


def test_before_there_is_a_connection_there_is_nothing_to_do() -> None:
    made = ClientTransport()
    for call in (made.hold, made.go_on, made.close, made.abort, lambda: made.write(b"")):
        call()
    assert not made.slow


class Reader(ClientTransport):
    def __init__(self) -> None:
        super().__init__()
        self.received: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self.received.append(data)


def test_what_came_is_copied_out_of_the_buffer_that_connections_share() -> None:
    one, other = Reader(), Reader()
    for reader, data in ((one, b"GET / HTTP/1.1"), (other, b"POST")):
        buffer = reader.get_buffer(-1)
        buffer[: len(data)] = data
        reader.buffer_updated(len(data))
    assert one.received == [b"GET / HTTP/1.1"]
    assert other.received == [b"POST"]


def test_a_lost_connection_lets_go_of_its_transport_at_once() -> None:
    made, transport = connected(ClientTransport())
    gone = weakref.ref(transport)
    transport.protocol = None
    made.connection_lost(None)
    del transport
    assert gone() is None
    made.write(b"late")
    made.abort()
