"""Request smuggling: bytes that two programs would take for different requests are taken for none."""

import pytest

from gateway.core.reasons import Reason
from tests import world
from tests.engine.harness import Running, chunked, get, read_response, read_to_end, request, until

SMUGGLED = b"GET /v1/smuggled HTTP/1.1\r\nhost: api.psp.example\r\n\r\n"


def with_fields(*lines: bytes, body: bytes = world.BODY, length: bool = True) -> bytes:
    """Write the world's request with field lines of one's own after the others."""
    fields = {} if length else {"content-length": None}
    head, _, _ = request(world.World(fields=fields)).partition(b"\r\n\r\n")
    return head + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


LENGTH = b"content-length: %d" % len(world.BODY)

FRAMING = {
    "CL.TE": with_fields(b"transfer-encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED),
    "TE.CL": with_fields(b"transfer-encoding: chunked", body=b"5c\r\n" + SMUGGLED + b"0\r\n\r\n"),
    "TE.TE two lines": with_fields(b"transfer-encoding: chunked", b"transfer-encoding: identity", length=False),
    "TE.TE twice chunked": with_fields(b"transfer-encoding: chunked", b"transfer-encoding: chunked", length=False),
    "TE.TE list": with_fields(b"transfer-encoding: gzip, chunked", length=False),
    "TE.TE chunked twice in a list": with_fields(b"transfer-encoding: chunked, chunked", length=False),
    "TE unknown": with_fields(b"transfer-encoding: xchunked", length=False),
    "TE quoted": with_fields(b'transfer-encoding: "chunked"', length=False),
    "TE identity": with_fields(b"transfer-encoding: identity", length=False),
    "TE with a parameter": with_fields(b"transfer-encoding: chunked;q=1", length=False),
    "TE empty": with_fields(b"transfer-encoding:", length=False),
    "CL twice": with_fields(LENGTH),
    "CL twice, different": with_fields(b"content-length: 0"),
    "CL list": with_fields(LENGTH + b", %d" % len(world.BODY), length=False),
    "CL plus": with_fields(b"content-length: +67", length=False),
    "CL minus": with_fields(b"content-length: -1", length=False),
    "CL hex": with_fields(b"content-length: 0x43", length=False),
    "CL underscore digits": with_fields(b"content-length: 6_7", length=False),
    "CL float": with_fields(b"content-length: 67.0", length=False),
    "CL empty": with_fields(b"content-length:", length=False),
    "CL inner space": with_fields(b"content-length: 6 7", length=False),
    "CL beyond all numbers": with_fields(b"content-length: " + b"9" * 40, length=False),
    "CL of other digits": with_fields(b"content-length: \xb2", length=False),
}

FIELDS = {
    "space before the colon": with_fields(b"transfer-encoding : chunked", length=False),
    "tab before the colon": with_fields(b"transfer-encoding\t: chunked", length=False),
    "folded TE": with_fields(b"transfer-encoding:", b" chunked", length=False),
    "folded CL": with_fields(b"content-length:", b"\t67", length=False),
    "folded first field": request().replace(b"\r\nhost:", b"\r\n host:", 1),
    "look-alike of TE": with_fields(b"transfer_encoding: chunked"),
    "look-alike of CL": with_fields(b"content_length: 0"),
    "TE with a vertical tab": with_fields(b"transfer-encoding: \x0bchunked", length=False),
    "TE with a form feed": with_fields(b"transfer-encoding: chunked\x0c", length=False),
    "line without a colon": with_fields(b"transfer-encoding chunked"),
    "line without a name": with_fields(b": chunked"),
    "name beyond ASCII": with_fields(b"transfer-encod\xefng: chunked"),
    "Connection that names a length": with_fields(b"connection: close, content-length"),
}

MALFORMED = {
    "bare LF": request().replace(b"\r\n", b"\n"),
    "bare LF in the request line": request().replace(b" HTTP/1.1\r\n", b" HTTP/1.1\n", 1),
    "bare LF before a field": with_fields(b"x-a: 1\ntransfer-encoding: chunked"),
    "bare CR before a field": with_fields(b"x-a: 1\rtransfer-encoding: chunked"),
    "bare CR at the end of a line": with_fields(b"x-a: 1\r"),
    "NUL in a value": with_fields(b"x-a: 1\x00"),
    "NUL in a name": with_fields(b"content-length\x00: 0"),
    "NUL in the request line": request(path="/v1/deposits\x00"),
    "LF LF as the end": get()[:-4] + b"\n\n",
    "LF CR LF as the end": get()[:-4] + b"\n\r\n",
    "no request line": b"\x01\x02\x03\r\n\r\n",
    "two spaces": request().replace(b"POST /", b"POST  /", 1),
    "tab as a space": request().replace(b"POST /", b"POST\t/", 1),
    "space at the end of the line": request().replace(b" HTTP/1.1\r\n", b" HTTP/1.1 \r\n", 1),
    "space before the method": b" " + request(),
    "too many empty lines before it": b"\r\n" * 9 + get(),
    "HTTP/0.9": b"GET /v1/balance\r\n\r\n",
    "lower-case version": request().replace(b"HTTP/1.1", b"http/1.1", 1),
    "version without a digit": request().replace(b"HTTP/1.1", b"HTTP/1.", 1),
}

VERSIONS = {
    "HTTP/1.0": request().replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "HTTP/1.2": request().replace(b"HTTP/1.1", b"HTTP/1.2", 1),
    "HTTP/2.0": request().replace(b"HTTP/1.1", b"HTTP/2.0", 1),
    "HTTP/9.9": request().replace(b"HTTP/1.1", b"HTTP/9.9", 1),
    "HTTP/2 by prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        *(pytest.param(sent, Reason.FRAMING_AMBIGUOUS, id=name) for name, sent in FRAMING.items()),
        *(pytest.param(sent, Reason.FIELD_INVALID, id=name) for name, sent in FIELDS.items()),
        *(pytest.param(sent, Reason.MESSAGE_MALFORMED, id=name) for name, sent in MALFORMED.items()),
        *(pytest.param(sent, Reason.VERSION_UNSUPPORTED, id=name) for name, sent in VERSIONS.items()),
    ],
)
async def test_an_ambiguous_head_is_refused_and_ends_the_connection(up: Running, sent: bytes, reason: Reason) -> None:
    reader, writer = await up.connect()
    writer.write(sent)

    response = await read_response(reader)

    assert (response.status, response.code) == (reason.status, reason.code)
    assert response.fields["connection"] == "close"
    writer.write(SMUGGLED + get())
    writer.close()
    assert await read_to_end(reader) == b""
    assert up.decided == [reason]
    assert up.upstream.untouched


CHUNKS = {
    "extension": b"43;a=b\r\n" + world.BODY + b"\r\n0\r\n\r\n",
    "extension without a name": b"43;\r\n" + world.BODY + b"\r\n0\r\n\r\n",
    "extension in quotes": b'43;a="\r\n0\r\n\r\n' + SMUGGLED + b'"\r\n' + world.BODY + b"\r\n0\r\n\r\n",
    "extension with a bare LF": b"43;\n\r\n" + world.BODY + b"\r\n0\r\n\r\n",
    "extension of the last chunk": b"43\r\n" + world.BODY + b"\r\n0;a\r\n\r\n",
    "extension without end": b"43;" + b"a" * 20_000,
    "size without end": b"0" * 20_000,
    "size beyond all limits": b"fffffffffffffff0\r\n",
    "size of many zeros": b"0000000000000043\r\n" + world.BODY + b"\r\n0\r\n\r\n",
    "size with a sign": b"+43\r\n" + world.BODY + b"\r\n0\r\n\r\n",
    "size with 0x": b"0x43\r\n" + world.BODY + b"\r\n0\r\n\r\n",
    "size with spaces": b" 43 \r\n" + world.BODY + b"\r\n0\r\n\r\n",
    "size with underscores": b"4_3\r\n" + world.BODY + b"\r\n0\r\n\r\n",
    "no size": b"\r\n" + world.BODY + b"\r\n0\r\n\r\n",
    "bare LF after the size": b"43\n" + world.BODY + b"\r\n0\r\n\r\n",
    "bare LF after the data": b"43\r\n" + world.BODY + b"\n0\r\n\r\n",
    "bare LF at the end": b"43\r\n" + world.BODY + b"\r\n0\r\n\n",
    "bare LFs at the end": b"43\r\n" + world.BODY + b"\r\n0\n\n",
    "chunk longer than its size": b"42\r\n" + world.BODY + b"\r\n0\r\n\r\n",
    "chunk shorter than its size": b"44\r\n" + world.BODY + b"\r\n0\r\n\r\n",
    "trailers": b"43\r\n" + world.BODY + b"\r\n0\r\nx-a: 1\r\n\r\n",
    "trailers that frame": b"43\r\n" + world.BODY + b"\r\n0\r\ncontent-length: 9\r\n\r\n",
    "trailers without end": b"43\r\n" + world.BODY + b"\r\n0\r\nx-a: " + b"a" * 20_000,
    "smuggled in a trailer": b"43\r\n" + world.BODY + b"\r\n0\r\n" + SMUGGLED,
}


@pytest.mark.parametrize("body", CHUNKS.values(), ids=CHUNKS)
@pytest.mark.parametrize("together", [True, False], ids=["with the head", "after the head"])
async def test_an_ambiguous_chunk_is_refused_and_ends_the_connection(up: Running, body: bytes, together: bool) -> None:
    head, _, _ = chunked(b"").partition(b"\r\n\r\n")
    signed = world.signed(b"POST", b"/v1/deposits", world.BODY)["x-signature"].encode()
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"x-signature")]
    head = b"\r\n".join([*lines, b"x-signature: " + signed]) + b"\r\n\r\n"
    reader, writer = await up.connect()
    if together:
        writer.write(head + body)
    else:
        writer.write(head)
        await until(lambda: up.master.handlers and next(iter(up.master.handlers)).open_requests)
        writer.write(body)

    response = await read_response(reader)

    assert (response.status, response.code) == (400, "http.malformed")
    assert response.fields["connection"] == "close"
    writer.write(SMUGGLED)
    writer.close()
    assert await read_to_end(reader) == b""
    assert up.decided == [Reason.MESSAGE_MALFORMED]
    assert up.upstream.untouched


async def test_what_follows_a_body_is_a_request_of_its_own(up: Running) -> None:
    reader, writer = await up.connect()
    writer.write(chunked(world.BODY) + SMUGGLED)

    assert [(await read_response(reader)).status for _ in range(2)] == [200, 404]
    assert up.decided == [Reason.ALLOWED, Reason.ROUTE_UNKNOWN]
    assert up.upstream.bodies == [world.BODY]


async def test_a_body_that_was_not_declared_is_a_request_of_its_own(up: Running) -> None:
    reader, writer = await up.connect()
    writer.write(get() + SMUGGLED)

    assert [(await read_response(reader)).status for _ in range(2)] == [200, 404]
    assert up.upstream.bodies == [b""]


async def test_a_smuggled_request_in_a_body_stays_a_body(up: Running) -> None:
    assert (await up.send(request(world.World(body=SMUGGLED)))).status == 200

    assert up.upstream.bodies == [SMUGGLED]


async def test_a_refused_body_is_thrown_away(up: Running) -> None:
    reader, writer = await up.connect()
    head, _, body = request(world.World(fields={"authorization": None})).partition(b"\r\n\r\n")
    writer.write(head + b"\r\n\r\n" + body[:5])
    assert (await read_response(reader)).code == "token.missing"

    writer.write(SMUGGLED)
    writer.close()

    assert await read_to_end(reader) == b""
    assert up.decided == [Reason.TOKEN_MISSING]
