"""HTTP/2 downgrade: what HTTP/2 can carry and HTTP/1.1 would read as something else does not reach the upstream."""

import pytest

from gateway.core.reasons import Reason
from tests import world
from tests.engine import pki
from tests.engine.harness import Running, read_to_end
from tests.engine.http2 import Fields, Http2Client, fields_of, get_fields

SMUGGLED = "\r\n\r\nGET /v1/smuggled HTTP/1.1\r\nhost: a"


def pseudo(**changes: str | None) -> Fields:
    """Give a valid GET with changed pseudo fields; one changed to None is left out."""
    changed = {f":{name}": value for name, value in changes.items()}
    fields = [(name, changed.get(name, value)) for name, value in get_fields()]
    return [(name, value) for name, value in fields if value is not None]


BROKEN: dict[str, Fields] = {
    "transfer-encoding": [*get_fields(), ("transfer-encoding", "chunked")],
    "connection": [*get_fields(), ("connection", "close")],
    "keep-alive": [*get_fields(), ("keep-alive", "timeout=5")],
    "proxy-connection": [*get_fields(), ("proxy-connection", "close")],
    "upgrade": [*get_fields(), ("upgrade", "h2c")],
    "te": [*get_fields(), ("te", "chunked")],
    "CRLF in a value": [*get_fields(), ("x-a", f"1{SMUGGLED}")],
    "LF in a value": [*get_fields(), ("x-a", "1\ntransfer-encoding: chunked")],
    "CR in a value": [*get_fields(), ("x-a", "1\rtransfer-encoding: chunked")],
    "NUL in a value": [*get_fields(), ("x-a", "1\x00")],
    "CRLF in a name": [*get_fields(), ("x-a: 1\r\ntransfer-encoding", "chunked")],
    "colon in a name": [*get_fields(), ("x-a:b", "1")],
    "space in a name": [*get_fields(), ("x a", "1")],
    "upper case in a name": [*get_fields(), ("X-A", "1")],
    "empty name": [*get_fields(), ("", "1")],
    "CRLF in :path": pseudo(path=f"/v1/balance HTTP/1.1\r\nx-a: 1{SMUGGLED}"),
    "space in :path": pseudo(path="/v1/balance HTTP/1.1"),
    "NUL in :path": pseudo(path="/v1/balance\x00"),
    "empty :path": pseudo(path=""),
    "no :path": pseudo(path=None),
    ":path without a slash": pseudo(path="v1/balance"),
    ":path with a host": pseudo(path="https://other.example/v1/balance"),
    ":path of a star": pseudo(path="*"),
    ":path with a fragment": pseudo(path="/v1/balance#a"),
    "CRLF in :method": pseudo(method="GET / HTTP/1.1\r\nx-a: 1\r\n"),
    "space in :method": pseudo(method="GET /v1/smuggled"),
    "no :method": pseudo(method=None),
    "CONNECT": [(":method", "CONNECT"), (":authority", world.HOST)],
    "CRLF in :authority": pseudo(authority=f"{world.HOST}{SMUGGLED}"),
    "space in :authority": pseudo(authority="api.psp.example x"),
    "user in :authority": pseudo(authority="a@api.psp.example"),
    "no :authority": pseudo(authority=None),
    "CRLF in :scheme": pseudo(scheme="https://x/\r\nx-a: 1\r\n"),
    "no :scheme": pseudo(scheme=None),
    "unknown pseudo field": [(":smuggled", "1"), *get_fields()],
    "pseudo field of answers": [(":status", "200"), *get_fields()],
    "pseudo field twice": [(":path", "/v1/smuggled"), *get_fields()],
    "pseudo field after the others": [*get_fields()[1:], (":method", "GET")],
    "host that disagrees": [*get_fields(), ("host", "other.example")],
    "two hosts": [*get_fields(), ("host", world.HOST), ("host", world.HOST)],
    "two lengths": [*get_fields(), ("content-length", "0"), ("content-length", "0")],
    "length that is none": [*get_fields(), ("content-length", "+0")],
}


@pytest.mark.parametrize("fields", BROKEN.values(), ids=BROKEN)
async def test_a_head_that_breaks_the_protocol_goes_nowhere(up: Running, fields: Fields) -> None:
    async with Http2Client(up) as client:
        stream = client.begin(fields)
        await client.read(lambda: client.streams[stream].ended or client.goaway)

    assert len(up.decided) == 1
    (reason,) = up.decided
    assert reason in {
        Reason.MESSAGE_MALFORMED, Reason.FIELD_INVALID, Reason.FRAMING_AMBIGUOUS, Reason.HOST_INVALID,
        Reason.TARGET_INVALID, Reason.METHOD_UNKNOWN,
    }  # fmt: skip
    if not client.goaway:
        assert client.streams[stream].response().code == reason.code
    assert up.upstream.untouched


async def test_a_body_longer_than_declared(up: Running) -> None:
    async with Http2Client(up) as client:
        stream = client.begin(fields_of(world.World()), end=False)
        client.send(stream, world.BODY + b"GET /v1/smuggled HTTP/1.1\r\n\r\n")
        await client.read_to_end()

    assert Reason.MESSAGE_MALFORMED in up.decided
    assert Reason.ALLOWED not in up.decided
    assert up.upstream.untouched


async def test_a_body_shorter_than_declared(up: Running) -> None:
    async with Http2Client(up) as client:
        stream = client.begin(fields_of(world.World()), end=False)
        client.send(stream, world.BODY[:-1])
        await client.read_to_end()

    assert Reason.ALLOWED not in up.decided
    assert up.upstream.untouched


async def test_a_declared_body_that_does_not_follow(up: Running) -> None:
    async with Http2Client(up) as client:
        stream = client.begin(fields_of(world.World()), end=True)
        await client.read(lambda: client.streams[stream].ended or client.goaway)

    assert Reason.ALLOWED not in up.decided
    assert len(up.decided) == 1
    assert up.upstream.untouched


async def test_trailers(up: Running) -> None:
    async with Http2Client(up) as client:
        stream = client.begin(fields_of(world.World()), end=False)
        client.send(stream, world.BODY, end=False)
        client.h2.send_headers(stream, [("x-sum", "1")], end_stream=True)
        client.flush()

        assert (await client.answer(stream)).code == "http.malformed"

    assert up.decided == [Reason.MESSAGE_MALFORMED]
    assert up.upstream.untouched


async def test_a_length_of_a_get_without_a_body_does_not_go_on(up: Running) -> None:
    async with Http2Client(up) as client:
        assert (await client.answer(client.begin([*get_fields(), ("content-length", "0")]))).status == 200

    assert "content-length" not in dict(up.upstream.fields())
    assert up.upstream.bodies == [b""]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 20_000,
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x01a"),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x05\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff\xff",
    ],
    ids=["HTTP/1.1", "no frames", "data without a head", "no HPACK"],
)
async def test_what_is_no_http2_ends_the_connection_with_a_record(up: Running, sent: bytes) -> None:
    reader, writer = await up.connect(tls=pki.client_context(up.directory, alpn="h2"))
    writer.write(sent)

    await read_to_end(reader)

    assert up.decided == [Reason.MESSAGE_MALFORMED]
    assert up.upstream.untouched


async def test_a_flood_of_continuations_ends_the_connection(up: Running) -> None:
    async with Http2Client(up) as client:
        block = client.h2.encoder.encode(get_fields())
        client.writer.write(len(block).to_bytes(3) + b"\x01\x01\x00\x00\x00\x01" + block)
        for _ in range(200):
            client.writer.write(b"\x00\x00\x00\x09\x00\x00\x00\x00\x01")
        await client.read_to_end()

    assert up.decided == [Reason.MESSAGE_MALFORMED]
    assert up.upstream.untouched


async def test_streams_reset_as_soon_as_they_begin_reach_nobody(up: Running) -> None:
    async with Http2Client(up) as client:
        for _ in range(10):  # few enough for one TLS record
            stream = client.h2.get_next_available_stream_id()
            client.h2.send_headers(stream, get_fields(), end_stream=True)
            client.h2.reset_stream(stream)
        client.flush()
        await up.until_decided(10)

        assert (await client.answer(client.begin(get_fields()))).status == 200

    assert set(up.decided[:10]) == {Reason.CLIENT_CLOSED}
    assert len(up.upstream.requests) == up.decided.count(Reason.ALLOWED) == 1
