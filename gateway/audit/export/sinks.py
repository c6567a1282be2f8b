"""Where records are sent: standard output for a collector beside the gate, or syslog over TLS."""

import fcntl
import select
import socket
import ssl
import struct
import termios
import time
from collections.abc import Sequence
from typing import BinaryIO, Protocol

from gateway.audit.export.syslog import framed

ACCEPT_SECONDS = 30.0
"""What a receiver may take to accept a batch, or a connection."""

_LOOK_EVERY = 0.005


class Sink(Protocol):
    """Takes messages. `send` MUST NOT return before somebody else has them, as far as that can be known."""

    def send(self, messages: Sequence[bytes]) -> None:
        """Send them all. Raises OSError; then any number of them may have arrived."""
        ...

    def close(self) -> None:
        """End in good order; nothing is sent any more."""
        ...


class Lines:
    """A stream of lines."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def send(self, messages: Sequence[bytes]) -> None:
        """Write a line for each."""
        self._stream.write(b"".join(b"%b\n" % message for message in messages))
        self._stream.flush()

    def close(self) -> None:
        """Nothing is held."""


class SyslogTls:
    """A syslog receiver (RFC 5425). Connects when it has something to send, and again after a failure.

    Syslog knows no acknowledgement. So a batch counts as sent once the receiver's kernel has acknowledged all of it and
    the connection still stands; what is sent again after a failure has the same ids.
    """

    def __init__(self, host: str, port: int, context: ssl.SSLContext, server_name: str) -> None:
        self._address = host, port
        self._context = context
        self._server_name = server_name
        self._socket: ssl.SSLSocket | None = None

    def send(self, messages: Sequence[bytes]) -> None:
        """Send a frame for each, and wait until they are acknowledged."""
        try:
            connection = self._connected()
            connection.sendall(b"".join(framed(message) for message in messages))
            self._settle(connection)
        except OSError:
            self._drop()
            raise

    def close(self) -> None:
        """Say that nothing follows (RFC 5425, 4.4)."""
        if self._socket is not None:
            try:
                self._socket.settimeout(1.0)
                self._socket.unwrap().close()
            except OSError:
                pass  # the receiver has gone before
            self._drop()

    def _connected(self) -> ssl.SSLSocket:
        if self._socket is not None and self._ended(self._socket):
            self._drop()
        if self._socket is None:
            plain = socket.create_connection(self._address, ACCEPT_SECONDS)
            try:
                self._socket = self._context.wrap_socket(plain, server_hostname=self._server_name)
            except BaseException:
                plain.close()
                raise
        return self._socket

    def _settle(self, connection: ssl.SSLSocket) -> None:
        """Wait until the receiver's kernel has everything. Raises OSError."""
        deadline = time.monotonic() + ACCEPT_SECONDS
        while True:
            waiting = _unacknowledged(connection)
            error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error or self._ended(connection):  # looked at last: what was refused counts as acknowledged too
                raise ConnectionResetError(error, "the receiver ended the connection")
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"not acknowledged within {ACCEPT_SECONDS:.0f} s")
            time.sleep(_LOOK_EVERY)

    @staticmethod
    def _ended(connection: ssl.SSLSocket) -> bool:
        """Whether the receiver has ended the connection; it has nothing else to say."""
        while select.select([connection], [], [], 0)[0]:
            connection.settimeout(0.0)
            try:
                if not connection.recv(1):
                    return True
            except (ssl.SSLWantReadError, BlockingIOError):
                pass  # a session ticket of TLS 1.3
            finally:
                connection.settimeout(ACCEPT_SECONDS)
        return False

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _unacknowledged(connection: socket.socket) -> int:
    """Give the bytes that the other side's kernel has not acknowledged (tcp(7), SIOCOUTQ)."""
    (waiting,) = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, struct.pack("i", 0)))
    return int(waiting)


def syslog_tls(
    ca: str | None, certificate: str | None, key: str | None
) -> ssl.SSLContext:  # fmt: skip
    """Give TLS that verifies the receiver, by `ca` or by the system's. Raises OSError and ssl.SSLError."""
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context
