"""Plaintext and garbage on the TLS port: refused, recorded, and never read as a request."""

import pytest

from gateway.core.reasons import Reason
from tests.engine.harness import Running, get, read_to_end

PLAINTEXT = {
    "a request": get(),
    "HTTP/2 by prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a proxy request": b"CONNECT api.psp.example:443 HTTP/1.1\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2p1\r\n",
}

GARBAGE = {
    "zeros": bytes(64),
    "ones": b"\xff" * 64,
    "an SSLv2 hello": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + b"\x01" * 40,
    "an alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "application data": b"\x17\x03\x03\x00\x10" + b"\x00" * 16,
    "an empty handshake record": b"\x16\x03\x01\x00\x00" * 5,
    "a hello that is none": b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
}


@pytest.mark.parametrize("sent", PLAINTEXT.values(), ids=PLAINTEXT)
async def test_plaintext_is_told_apart(up: Running, sent: bytes) -> None:
    reader, writer = await up.connect_plain()
    writer.write(sent)

    received = await read_to_end(reader)

    await up.until_refused()
    assert up.refused == [Reason.TLS_PLAINTEXT]
    assert b"HTTP" not in received
    assert not up.decided
    assert up.upstream.untouched


@pytest.mark.parametrize("sent", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_is_refused(up: Running, sent: bytes) -> None:
    reader, writer = await up.connect_plain()
    writer.write(sent)
    writer.write_eof()

    await read_to_end(reader)

    await up.until_refused()
    assert up.refused[0] in (Reason.TLS_PLAINTEXT, Reason.TLS_HANDSHAKE, Reason.TLS_VERSION)
    assert len(up.refused) == 1
    assert up.upstream.untouched


async def test_the_record_names_the_peer(up: Running) -> None:
    reader, writer = await up.connect_plain()
    port = writer.get_extra_info("sockname")[1]
    writer.write(get())
    await read_to_end(reader)
    await up.until_refused()

    (record,) = up.records("connection")
    assert record["src_endpoint"] == {"ip": "127.0.0.1", "port": port}
    assert record["status_code"] == "tls.plaintext"
