"""Binding a listener's address."""

import socket

from gateway.core.policy import Listener


def bound(listener: Listener, *, shared: bool = False) -> socket.socket:
    """Give a socket that is bound to the listener's address, and does not listen yet.

    `shared` lets other processes of this user bind the same address, each with a socket of its own, if they say so
    too (SO_REUSEPORT); the kernel spreads connections over them. Raises OSError where the address is taken, or not
    this machine's.
    """
    family = socket.AF_INET6 if ":" in listener.address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((listener.address, listener.port))
    except OSError:
        made.close()
        raise
    return made
