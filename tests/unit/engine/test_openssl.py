"""OpenSSL is told what Python's ssl has no words for; shown by handshakes in memory."""

import ctypes
import ssl
import sys
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from gateway.core.policy import ListenerTls
from gateway.core.reasons import Denied, Reason
from gateway.engine import openssl
from gateway.engine.openssl import Context, OfferRefused
from gateway.engine.tls_contexts import server_contexts
from gateway.pki.offered import MAX_BYTES, MAX_CERTIFICATES
from tests import offers
from tests.engine import pki

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Pair:
    """A client and the gate's side, whose bytes are carried by hand."""

    def __init__(self, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
        self.bios = [ssl.MemoryBIO() for _ in range(4)]
        received, sent, arrived, answered = self.bios
        self.client = client.wrap_bio(received, sent, server_hostname="localhost")
        self.server = server.wrap_bio(arrived, answered, server_side=True)

    def carry(self) -> None:
        received, sent, arrived, answered = self.bios
        arrived.write(sent.read())
        received.write(answered.read())

    def shake_hands(self) -> None:
        """Make the handshake. Raises what the gate's side raises."""
        for _ in range(10):
            done = True
            for side in (self.client, self.server):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    done = False
                self.carry()
            if done:
                return
        raise RuntimeError("the handshake does not end")


@pytest.fixture
def settings(tmp_path: Path) -> ListenerTls:
    return pki.write(tmp_path)


def pair(settings: ListenerTls, client: ssl.SSLContext, version: ssl.TLSVersion = VERSIONS[1]) -> Pair:
    client.maximum_version = version
    return Pair(server_contexts(settings)[0], client)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_ordinary_handshake(settings: ListenerTls, tmp_path: Path, version: ssl.TLSVersion) -> None:
    made = pair(settings, pki.client_context(tmp_path), version)
    made.shake_hands()
    assert made.server.getpeercert(binary_form=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_openssl_reads_nothing_of_what_is_refused(
    settings: ListenerTls, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    made = pair(settings, offers.client(tmp_path, offers.certificate(offers.spelt_out())), version)
    with pytest.raises(OfferRefused) as caught:
        made.shake_hands()
    assert caught.value.denied.reason is Reason.TLS_CERTIFICATE_COSTLY
    seen = caught.value.__cause__
    assert isinstance(seen, ssl.SSLError)
    # It failed over the list's length or the context before it, and did not come to a certificate.
    assert seen.reason in {"LENGTH_MISMATCH", "INVALID_CONTEXT"}


def test_the_next_handshake_is_not_blamed(settings: ListenerTls, tmp_path: Path) -> None:
    with pytest.raises(OfferRefused):
        pair(settings, offers.client(tmp_path, offers.certificate(offers.spelt_out()))).shake_hands()
    with pytest.raises(ssl.SSLError) as caught:
        pair(settings, pki.client_context(tmp_path, None)).shake_hands()
    assert not isinstance(caught.value, OfferRefused)
    pair(settings, pki.client_context(tmp_path)).shake_hands()


@pytest.mark.parametrize("version", VERSIONS)
def test_more_bytes_than_can_be_needed_are_not_even_received(
    settings: ListenerTls, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    big = offers.certificate(offers.good_key(), extra=MAX_BYTES)
    with pytest.raises(ssl.SSLError) as caught:
        pair(settings, offers.client(tmp_path, big), version).shake_hands()
    assert caught.value.reason == "EXCESSIVE_MESSAGE_SIZE"


def hello(client: ssl.SSLContext) -> bytes:
    """Give what a client begins with: one record."""
    client.maximum_version = VERSIONS[0]
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        client.wrap_bio(received, sent, server_hostname="localhost").do_handshake()
    return sent.read()


def certificates() -> bytes:
    """Give a Certificate message that must not be read, in the clear as TLS 1.2 has it."""
    body = offers.message(offers.certificate(offers.spelt_out()), with_context=False)
    return b"\x0b" + len(body).to_bytes(3) + body


def record(content: bytes) -> bytes:
    return b"\x16\x03\x03" + len(content).to_bytes(2) + content


def step(connection: ssl.SSLObject, bio: ssl.MemoryBIO, data: bytes) -> None:
    bio.write(data)
    connection.do_handshake()


@pytest.mark.parametrize("way", ["behind it", "in its record", "bit by bit", "in pieces that look like records"])
def test_certificates_that_come_with_the_hello_are_looked_at_too(
    settings: ListenerTls, tmp_path: Path, way: str
) -> None:
    first, bio = hello(pki.client_context(tmp_path)), ssl.MemoryBIO()
    connection = server_contexts(settings)[0].wrap_bio(bio, ssl.MemoryBIO(), server_side=True)
    parts = {
        "behind it": [first + record(certificates())],
        "in its record": [record(first[5:] + certificates())],
        "bit by bit": [bytes((octet,)) for octet in first + record(certificates())],
        "in pieces that look like records": [first[:7], first[7:], record(certificates())],
    }[way]
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    for part in parts[:-1]:
        with pytest.raises(ssl.SSLWantReadError):
            step(connection, bio, part)
    with pytest.raises(OfferRefused):
        step(connection, bio, parts[-1])


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03", b"\x16\x03\x01\0\0", b"\x16\x03\x01\0\x04\x01\0\0\0"]
)
def test_what_is_no_hello_is_openssls_to_refuse(settings: ListenerTls, data: bytes) -> None:
    bio = ssl.MemoryBIO()
    connection = server_contexts(settings)[0].wrap_bio(bio, ssl.MemoryBIO(), server_side=True)
    with pytest.raises(ssl.SSLError):
        step(connection, bio, data)


def test_the_gates_own_messages_are_not_looked_at(
    settings: ListenerTls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []

    def watch(written: int, version: int, kind: int, *others: Any) -> None:
        seen.append((written, kind))
        openssl._arrived(written, version, kind, *others)

    monkeypatch.setattr(openssl, "_ON_MESSAGE", openssl._MESSAGE(watch))
    for version in VERSIONS:
        pair(settings, pki.client_context(tmp_path), version).shake_hands()
        assert seen.count((0, 22)) == 2, "the hello, and the certificates"
        assert not [each for each in seen if each[0]]
        seen.clear()


def test_certificates_are_looked_at_whatever_name_was_asked_for(settings: ListenerTls, tmp_path: Path) -> None:
    first, other = server_contexts(settings)[0], server_contexts(settings)[0]

    def choose(connection: Any, *_: object) -> None:
        connection.context = other

    first.sni_callback = choose
    many = [offers.certificate(offers.good_key())] * MAX_CERTIFICATES
    with pytest.raises(OfferRefused):
        Pair(first, offers.client(tmp_path, *many)).shake_hands()


def test_a_context_changes_in_the_handshake_only(settings: ListenerTls, tmp_path: Path) -> None:
    made = pair(settings, pki.client_context(tmp_path))
    with pytest.raises(ssl.SSLError, match="only while its handshake"):
        made.server.context = made.server.context


def test_nothing_is_looked_at_after_the_handshake(settings: ListenerTls, tmp_path: Path) -> None:
    for version in VERSIONS:
        made = pair(settings, pki.client_context(tmp_path), version)
        made.shake_hands()
        made.client.write(b"GET / HTTP/1.1\r\n\r\n")
        made.carry()
        called: list[str] = []

        def watch(frame: FrameType, event: str, _: Any, called: list[str] = called) -> None:
            if event == "call":
                called.append(frame.f_code.co_name)

        sys.setprofile(watch)
        try:
            made.server.read(100)
            made.server.write(b"HTTP/1.1 200 OK\r\n\r\n")
        finally:
            sys.setprofile(None)
        assert set(called) == {"read", "write"}


def test_whatever_goes_wrong_over_a_message_it_is_not_read(
    settings: ListenerTls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(openssl, "examine", fail)
    with pytest.raises(OfferRefused) as caught:
        pair(settings, pki.client_context(tmp_path)).shake_hands()
    denied = caught.value.denied
    assert (denied.reason, denied.detail) == (
        Reason.TLS_CERTIFICATE_INVALID, "cannot be looked at: KeyboardInterrupt",
    )  # fmt: skip


def test_a_handshake_that_succeeds_all_the_same_does_not(
    settings: ListenerTls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "memset", lambda *_: None)  # an OpenSSL that reads a copy
    with pytest.raises(OfferRefused):
        pair(settings, offers.client(tmp_path, offers.certificate(offers.spelt_out()))).shake_hands()


def test_a_compressed_certificate_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    body = ctypes.create_string_buffer(b"\x19\0\0\x05\0\1abc", 9)
    ended: list[object] = []
    library: Any = type("Library", (), {"SSL_set_msg_callback": lambda *facts: ended.append(facts)})
    monkeypatch.setattr(openssl, "_library", lambda: library)
    openssl._arrived(0, 0x0304, 22, ctypes.addressof(body), 9, 1, 0)
    assert body.raw == b"\x19\0\0\x05" + b"\xff" * 5
    refused = openssl._here.refused
    assert isinstance(refused, Denied)
    assert refused.reason is Reason.TLS_CERTIFICATE_COSTLY
    assert len(ended) == 1


@pytest.mark.parametrize(
    ("group", "version", "taken"),
    [
        ("prime256v1", VERSIONS[0], True), ("prime256v1", VERSIONS[1], True), ("secp384r1", VERSIONS[1], True),
        ("secp521r1", VERSIONS[0], False), ("secp521r1", VERSIONS[1], False),
    ],
)  # fmt: skip
def test_key_exchanges_are_by_mozillas_groups_only(
    settings: ListenerTls, tmp_path: Path, group: str, version: ssl.TLSVersion, taken: bool
) -> None:
    client = pki.client_context(tmp_path)
    client.set_ecdh_curve(group)
    made = pair(settings, client, version)
    if taken:
        made.shake_hands()
    else:
        with pytest.raises(ssl.SSLError):
            made.shake_hands()


def test_the_first_list_of_groups_that_openssl_knows_counts() -> None:
    assert Context().set_groups("nonsense:P-256", "P-384", "X25519") == "P-384"
    with pytest.raises(ssl.SSLError, match="none of the groups"):
        Context().set_groups("nonsense")


def test_without_openssls_functions_there_is_no_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openssl, "_FUNCTIONS", (*openssl._FUNCTIONS, ("SSL_of_tomorrow", None)))
    openssl._library.cache_clear()
    try:
        with pytest.raises(ssl.SSLError, match=r"cannot be reached .*SSL_of_tomorrow.*: use another build"):
            Context()
    finally:
        openssl._library.cache_clear()


def test_another_openssl_than_pythons_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openssl, "_here", SimpleNamespace(made=None))
    monkeypatch.setattr(openssl, "_ServerContext", lambda _: None)
    with pytest.raises(ssl.SSLError, match="not the one that Python's ssl uses"):
        Context()


def test_a_place_that_is_no_context_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    library: Any = type("Library", (), {"SSL_CTX_set_options": lambda *_: 0})
    openssl._library()
    monkeypatch.setattr(openssl, "_library", lambda: library)
    with pytest.raises(ssl.SSLError, match="not the one that was made"):
        Context()
