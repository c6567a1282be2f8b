import h11
import pytest
from h11._receivebuffer import ReceiveBuffer
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.chunked import ChunkedBody, announces_trailers
from tests import vendors


def read(*pieces: bytes) -> tuple[list[bytes], bool, bytes]:
    """Feed pieces; gives the data, whether the body ended, and what was left unread."""
    buffer, body, parts = ReceiveBuffer(), ChunkedBody(), []
    for piece in pieces:
        buffer += piece
        while (part := body(buffer)) is not None:
            if isinstance(part, h11.EndOfMessage):
                return parts, True, bytes(buffer)
            parts.append(bytes(part.data))
    return parts, False, bytes(buffer)


MALFORMED = {
    "no size": b"\r\nabc",
    "sign": b"+3\r\nabc\r\n",
    "0x": b"0x3\r\nabc\r\n",
    "underscore": b"0_3\r\nabc\r\n",
    "space before": b" 3\r\nabc\r\n",
    "space behind": b"3 \r\nabc\r\n",
    "tab": b"3\t\r\nabc\r\n",
    "extension": b"3;a=b\r\nabc\r\n",
    "extension without a name": b"3;\r\nabc\r\n",
    "nine digits": b"000000003\r\nabc\r\n",
    "no digit": b"g\r\n",
    "other digits": "٣".encode() + b"\r\n",
    "bare LF behind the size": b"3\nabc\r\n",
    "bare CR behind the size": b"3\rabc\r\n",
    "size without end": b"3" * 20,
    "NUL": b"3\x00\r\nabc\r\n",
    "chunk longer than its size": b"3\r\nabcd\r\n",
    "chunk shorter than its size": b"4\r\nabc\r\n0\r\n\r\n",
    "bare LF behind the data": b"3\r\nabc\n0\r\n\r\n",
    "bare CR behind the data": b"3\r\nabc\r0\r\n\r\n",
    "trailers": b"0\r\nx-a: 1\r\n\r\n",
    "bare LF at the end": b"0\r\n\n",
    "extension of the last chunk": b"0;a\r\n\r\n",
}


@pytest.mark.parametrize(
    ("sent", "data"),
    [
        (b"0\r\n\r\n", b""),
        (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"00000003\r\nabc\r\n000\r\n\r\n", b"abc"),
        (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b"a\r\n0123456789\r\n1\r\n\n\r\n0\r\n\r\n", b"0123456789\n"),
        (b"7\r\n0\r\n\r\nab\r\n0\r\n\r\n", b"0\r\n\r\nab"),
    ],
)
def test_chunks_make_a_body(sent: bytes, data: bytes) -> None:
    parts, ended, rest = read(sent + b"GET ")
    assert (b"".join(parts), ended, rest) == (data, True, b"GET ")


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_chunk_is_refused(sent: bytes) -> None:
    with pytest.raises(h11.RemoteProtocolError, match=r"RFC 9112 7\.1"):
        read(sent)


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_chunk_is_refused_whichever_way_it_comes(sent: bytes) -> None:
    with pytest.raises(h11.RemoteProtocolError, match=r"RFC 9112 7\.1"):
        read(*(bytes([byte]) for byte in sent))


def test_a_chunk_is_given_as_it_comes() -> None:
    assert read(b"a\r\n0123", b"45", b"6789\r") == ([b"0123", b"45", b"6789"], False, b"\r")


def test_the_end_of_the_connection_ends_no_body() -> None:
    with pytest.raises(h11.RemoteProtocolError, match="ended within the body"):
        ChunkedBody().read_eof()


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.binary(max_size=8), st.data())
def test_pieces_make_no_difference(chunks: list[bytes], after: bytes, data: st.DataObject) -> None:
    sent = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent) - 1), max_size=6)))
    pieces = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    pieces[-1] += after
    parts, ended, rest = read(*pieces)
    assert (b"".join(parts), ended, rest) == (b"".join(chunks), True, after)


SIGNED = vendors.request("POST", "/", {"signature-input": 'sig1=("x-a";tr);created=1'}, b"{}").head


def test_trailers_are_read_where_a_signature_announces_them() -> None:
    assert announces_trailers(SIGNED)
    assert not announces_trailers(vendors.request("POST", "/", {"signature-input": 'sig1=("x-a")'}, b"{}").head)
    assert not announces_trailers(vendors.request("POST", "/", {}, b"{}").head)


def test_trailers_byte_by_byte() -> None:
    chunks, buffer = ChunkedBody(trailers=True), ReceiveBuffer()
    sent = b"3\r\nabc\r\n0\r\nX-A: 1\r\nx-b:\r\n\r\n"
    for at in range(len(sent)):
        buffer += sent[at : at + 1]
        found = chunks(buffer)
        assert isinstance(found, h11.EndOfMessage) == (at == len(sent) - 1)
    assert chunks.trailers == [(b"X-A", b" 1"), (b"x-b", b"")]


@pytest.mark.parametrize(
    "sent",
    [
        b"0\r\nno colon\r\n\r\n",
        b"0\r\nx-a: 1\nx-b: 2\r\n\r\n",
        b"0\r\nx-a: 1\rb\r\n\r\n",
        b"0\r\nx-a: \x00\r\n\r\n",
        b"0\r\nx-a: " + b"a" * 20_000,
        b"0\r\n" + b"x-a: 1\r\n" * 40 + b"\r\n",
    ],
)
def test_trailers_are_bounded_and_strict(sent: bytes) -> None:
    buffer = ReceiveBuffer()
    buffer += sent
    with pytest.raises(h11.RemoteProtocolError, match=r"RFC 9112 7\.1\.2"):
        ChunkedBody(trailers=True)(buffer)
