"""TLS of the listener: versions, protocols, resumption, and certificates that expire while a connection stands."""

import asyncio
import socket
import ssl
import warnings
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.core.message import Instant
from gateway.core.policy import NamedCertificate
from gateway.core.reasons import Reason
from tests import world
from tests.engine import pki
from tests.engine.harness import SAFETY, Running, get, read_response, read_to_end, running, until

YEARS = timedelta(days=3650).total_seconds()


def outdated() -> ssl.SSLContext:
    """Give the context of a client that speaks TLS 1.1 at most."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


async def test_tls_1_1_is_refused(up: Running) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await up.connect(tls=outdated())

    await up.until_refused()
    assert up.refused == [Reason.TLS_VERSION]
    assert up.upstream.untouched


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_1_2_and_1_3_are_spoken(up: Running, version: ssl.TLSVersion) -> None:
    context = pki.client_context(up.directory)
    context.minimum_version = context.maximum_version = version

    assert (await up.send(get(), tls=context)).status == 200

    (record,) = up.records("decision")
    assert record["unmapped"]["tls"]["version"] == f"TLSv1.{version - 0x301}"


async def test_the_record_tells_of_certificate_and_handshake(up: Running) -> None:
    await up.send(get())

    (record,) = up.records("decision")
    told = record["unmapped"]["tls"]
    assert told["sni"] == "localhost"
    assert {"type": "URI", "name": pki.PARTNER_URI} in told["certificate"]["sans"]


async def test_ciphers_without_forward_secrecy_are_refused(up: Running) -> None:
    context = pki.client_context(up.directory)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES256-GCM-SHA384")

    with pytest.raises((ssl.SSLError, ConnectionError)):
        await up.connect(tls=context)

    await up.until_refused()
    assert up.refused == [Reason.TLS_HANDSHAKE]


async def test_a_client_that_agrees_on_no_protocol_speaks_http_1(up: Running) -> None:
    context = ssl.create_default_context(cafile=str(up.directory / "operator-ca.pem"))
    context.load_cert_chain(up.directory / "partner.pem")

    assert (await up.send(get(), tls=context)).status == 200


async def test_a_certificate_that_expires_while_the_connection_stands(up: Running) -> None:
    reader, writer = await up.connect()
    writer.write(get())
    assert (await read_response(reader)).status == 200

    up.time.move(YEARS)
    writer.write(get())

    assert (await read_response(reader)).code == "certificate.expired"
    assert up.decided == [Reason.ALLOWED, Reason.CERTIFICATE_EXPIRED]


async def test_a_certificate_that_is_not_valid_yet_by_the_gates_clock(up: Running) -> None:
    up.time.move(-YEARS)

    assert (await up.send(get())).code == "certificate.expired"


class Resumed:
    """A TLS 1.2 client that comes back with its session."""

    def __init__(self, up: Running) -> None:
        self._up = up
        self._context = pki.client_context(up.directory)
        self._context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.session: ssl.SSLSession | None = None
        self.reused: bool | None = None

    async def send(self) -> bytes:
        """Send a request on a connection of its own; give what comes back."""
        return await asyncio.to_thread(self._send)

    def _send(self) -> bytes:
        with (
            socket.create_connection(("127.0.0.1", self._up.port), SAFETY) as tcp,
            self._context.wrap_socket(tcp, server_hostname="localhost", session=self.session) as tls,
        ):
            self.session, self.reused = tls.session, tls.session_reused
            received = b""
            try:
                tls.sendall(get(connection="close"))
                while part := tls.recv(65_536):
                    received += part
            except (ConnectionError, ssl.SSLError):
                pass
            return received


async def test_a_resumed_session_is_the_same_partners(up: Running) -> None:
    client = Resumed(up)
    assert b" 200 OK" in await client.send()

    assert b" 200 OK" in await client.send()

    assert client.reused is True
    first, second = up.records("decision")
    assert first["actor"]["app_uid"] == second["actor"]["app_uid"]


async def test_a_resumed_session_is_validated_again(up: Running) -> None:
    client = Resumed(up)
    await client.send()

    up.time.move(YEARS)
    received = await client.send()

    assert client.reused is True
    assert b"certificate.expired" in received


async def test_a_session_whose_chain_is_forgotten_is_refused(up: Running) -> None:
    client = Resumed(up)
    await client.send()
    up.master.contexts["public"]._chains.clear()

    assert await client.send() == b""

    assert client.reused is True
    assert up.refused == [Reason.TLS_RESUMPTION]
    assert len(up.decided) == 1


async def test_the_end_of_the_chain_counts_in_a_resumed_session(up: Running) -> None:
    client = Resumed(up)
    await client.send()
    chains = up.master.contexts["public"]._chains
    (leaf, chain), ended = next(iter(chains.items())), Instant(up.time.now - 1)  # as if an issuer of it had ended
    chains[leaf] = replace(chain, facts=replace(chain.facts, not_after=ended))

    assert b"certificate.expired" in await client.send()


async def test_a_session_is_not_resumed_under_a_new_context(up: Running) -> None:
    from gateway.engine.master import make_contexts  # noqa: PLC0415 - named as the reload does it

    client = Resumed(up)
    await client.send()
    up.master.listeners["public"].context = make_contexts(up.gate.in_force.policy)["public"]

    assert b" 200 OK" in await client.send()

    assert client.reused is False


async def test_tls_1_3_sessions_are_not_resumed(up: Running) -> None:
    client = Resumed(up)
    client._context.minimum_version = client._context.maximum_version = ssl.TLSVersion.TLSv1_3
    await client.send()
    await client.send()

    assert client.reused is False


async def test_a_handshake_that_breaks_off(up: Running) -> None:
    _, writer = await up.connect_plain()
    writer.write(b"\x16\x03\x01\x02\x00\x01")
    writer.close()

    await up.until_refused()
    assert up.refused == [Reason.TLS_HANDSHAKE]


async def test_a_connection_that_says_nothing_and_leaves(up: Running) -> None:
    _, writer = await up.connect_plain()
    writer.close()

    await up.until_refused()
    assert up.refused == [Reason.TLS_HANDSHAKE]


async def test_a_refused_connection_is_closed_and_forgotten(up: Running) -> None:
    reader, writer = await up.connect_plain()
    writer.write(b"GET / HTTP/1.1\r\n\r\n")

    await read_to_end(reader)

    await until(lambda: not up.master.listeners["public"].connections)
    assert up.refused == [Reason.TLS_PLAINTEXT]


# Names, protocols


@pytest.fixture
async def named(tmp_path: Path) -> AsyncIterator[Running]:
    """A gate with a second certificate, for `api.psp.example`; both are good for all names of the tests."""
    other = NamedCertificate(tmp_path / "upstream.pem", tmp_path / "upstream.key", (world.HOST,))
    tls = replace(pki.write(tmp_path), certificates=(other,), alpn=("http/1.1",))
    async with running(tmp_path, listener={"tls": tls}) as up:
        yield up


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(("asked", "shown"), [("localhost", "server"), (world.HOST, "upstream")])
async def test_who_asks_for_a_name_is_shown_its_certificate(
    named: Running, version: ssl.TLSVersion, asked: str, shown: str
) -> None:
    context = pki.client_context(named.directory)
    context.minimum_version = context.maximum_version = version
    reader, writer = await asyncio.open_connection("127.0.0.1", named.port, ssl=context, server_hostname=asked)

    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.write(get())

    assert ssl.DER_cert_to_PEM_cert(der).encode() == getattr(pki.pki(), shown).certificate_pem()
    assert (await read_response(reader)).status == 200  # the partner's certificate was verified all the same
    writer.close()
    assert named.records("decision")[0]["unmapped"]["tls"]["sni"] == asked


@pytest.mark.parametrize("asked", ["localhost", world.HOST])
async def test_a_strangers_certificate_is_refused_whatever_name_it_asks_for(named: Running, asked: str) -> None:
    context = pki.client_context(named.directory, "foreign")
    reader, writer = await asyncio.open_connection("127.0.0.1", named.port, ssl=context, server_hostname=asked)
    writer.write(get())

    assert await read_to_end(reader) == b""
    await named.until_refused()
    assert named.refused == [Reason.TLS_CERTIFICATE_UNTRUSTED]
    writer.close()


async def test_a_protocol_that_the_listener_leaves_out_is_not_agreed_on(named: Running) -> None:
    context = pki.client_context(named.directory)
    context.set_alpn_protocols(["h2", "http/1.1"])
    _, writer = await named.connect(tls=context)

    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
