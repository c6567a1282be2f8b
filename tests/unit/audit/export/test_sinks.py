"""Syslog over TLS, against a receiver of our own that reads frames as RFC 5425 has them."""

import io
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from gateway.audit.export.sinks import Lines, SyslogTls, syslog_tls


class Receiver:
    """Accepts connections one after the other, and keeps their frames."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.frames: list[bytes] = []
        self.ended: list[str] = []
        self.read_at_most = 10**9
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            try:
                with self._context.wrap_socket(plain, server_side=True) as connection:
                    self._read(connection)
            except OSError as error:
                self.ended.append(type(error).__name__)

    def _read(self, connection: ssl.SSLSocket) -> None:
        stream = connection.makefile("rb")
        for _ in range(self.read_at_most):
            length = b""
            while (digit := stream.read(1)).isdigit():
                length += digit
            if not length:
                self.ended.append("in order")
                return
            self.frames.append(stream.read(int(length)))

    def close(self) -> None:
        if self._thread.is_alive():
            self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
            self._thread.join()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def receiver(authority: trustme.CA) -> Iterator[Receiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    opened = Receiver(context)
    yield opened
    opened.close()


@pytest.fixture
def context(authority: trustme.CA, tmp_path: Path) -> ssl.SSLContext:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return syslog_tls(str(tmp_path / "ca.pem"), None, None)


def sink(receiver: Receiver, context: ssl.SSLContext, name: str = "localhost") -> SyslogTls:
    return SyslogTls("127.0.0.1", receiver.port, context, name)


def test_frames_arrive_whole_and_in_order(receiver: Receiver, context: ssl.SSLContext) -> None:
    sent = sink(receiver, context)
    messages = [b"<109>1 - %d" % number + b"x" * number for number in range(500)]
    sent.send(messages[:250])
    sent.send(messages[250:])
    sent.close()
    receiver.close()
    assert (receiver.frames, receiver.ended) == (messages, ["in order"])


def test_a_receiver_that_went_is_connected_to_anew(receiver: Receiver, context: ssl.SSLContext) -> None:
    sent = sink(receiver, context)
    receiver.read_at_most = 1
    for message in (b"one", b"two", b"three"):
        arrived = False
        while not arrived:  # that the receiver went meanwhile is an error, never a silent loss
            try:
                sent.send([message])
                arrived = True
            except OSError:
                pass
    receiver.read_at_most = 9
    sent.close()
    receiver.close()
    assert {b"one", b"two"} <= set(receiver.frames)


def test_a_stranger_is_sent_nothing(receiver: Receiver, context: ssl.SSLContext) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        sink(receiver, context, "elsewhere.example").send([b"x"])
    with pytest.raises(ssl.SSLCertVerificationError):
        sink(receiver, syslog_tls(None, None, None)).send([b"x"])
    receiver.close()
    assert receiver.frames == []


def test_nobody_there(context: ssl.SSLContext) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    sent = SyslogTls("127.0.0.1", port, context, "localhost")
    with pytest.raises(ConnectionRefusedError):
        sent.send([b"x"])
    sent.close()


def test_a_certificate_of_our_own(authority: trustme.CA, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    ours = authority.issue_cert("gate.example")
    paths = {name: str(tmp_path / name) for name in ("ca", "certificate", "key")}
    authority.cert_pem.write_to_path(paths["ca"])
    ours.cert_chain_pems[0].write_to_path(paths["certificate"])
    ours.private_key_pem.write_to_path(paths["key"])
    opened = Receiver(context)
    sent = sink(opened, syslog_tls(paths["ca"], paths["certificate"], paths["key"]))
    sent.send([b"mutual"])
    sent.close()
    opened.close()
    assert opened.frames == [b"mutual"]


def test_lines() -> None:
    stream = io.BytesIO()
    lines = Lines(stream)
    lines.send([b"one", b"two"])
    lines.close()
    assert stream.getvalue() == b"one\ntwo\n"
