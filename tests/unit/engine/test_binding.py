import socket
from contextlib import closing
from errno import EADDRINUSE, EADDRNOTAVAIL

import pytest

from gateway.core.policy import Listener
from gateway.engine.binding import bound
from tests import world


def at(port: int = 0, address: str = "127.0.0.1") -> Listener:
    return world.listener(address=address, port=port)


def port_of(made: socket.socket) -> int:
    return int(made.getsockname()[1])


def test_an_address_is_bound_and_nobody_is_let_in_yet() -> None:
    with closing(bound(at())) as made, pytest.raises(ConnectionRefusedError):
        socket.create_connection(made.getsockname())


@pytest.mark.parametrize(("first", "second"), [(False, False), (False, True), (True, False)])
def test_an_address_is_not_shared_unless_both_say_so(first: bool, second: bool) -> None:
    with closing(bound(at(), shared=first)) as made:
        made.listen()
        with pytest.raises(OSError, match="in use") as caught:
            bound(at(port_of(made)), shared=second)
    assert caught.value.errno == EADDRINUSE


def test_an_address_is_shared_where_both_say_so() -> None:
    with closing(bound(at(), shared=True)) as made:
        made.listen()
        with closing(bound(at(port_of(made)), shared=True)) as second:
            second.listen()
            assert port_of(second) == port_of(made)


def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(OSError, match="assign") as caught:
        bound(at(address="192.0.2.1"))
    assert caught.value.errno == EADDRNOTAVAIL


def test_an_address_can_be_of_ipv6() -> None:
    with closing(bound(at(address="::1"))) as made:
        assert made.family == socket.AF_INET6
