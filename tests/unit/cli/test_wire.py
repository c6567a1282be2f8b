import click
import pytest

from gateway.cli.wire import split_message

CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_start_fields_and_body() -> None:
    found = split_message(b"POST /a HTTP/1.1\ncontent-length: 2\nX-A: b\n\nhi\n")
    assert found == (b"POST /a HTTP/1.1", [(b"content-length", b"2"), (b"X-A", b"b")], b"hi", None)
    assert split_message(b"HTTP/1.1 204\ncontent-length: 5\n\n", bodiless=True).body == b""


@pytest.mark.parametrize("ends", [b"\r\n", b"\n"])
def test_chunks_and_trailers(ends: bytes) -> None:
    written = b"3\r\na\nb\r\n1\r\nc\r\n0\r\nX-Sum: 1\r\n\r\n"
    found = split_message(CHUNKED + written.replace(b"\r\n", ends))
    assert found.body == b"a\nbc"
    assert found.trailers is not None
    assert found.trailers.fields == (("x-sum", "1"),)
    assert split_message(CHUNKED + b"1\r\nc\r\n0\r\n\r\n").trailers is None


@pytest.mark.parametrize("body", [b"", b"x\r\n", b"3\r\nab", b"3\r\nabcd\r\n0\r\n\r\n"])
def test_no_chunks(body: bytes) -> None:
    with pytest.raises(click.UsageError, match="no chunk of RFC 9112"):
        split_message(CHUNKED + body)


def test_what_is_not_read() -> None:
    with pytest.raises(click.ClickException, match="refuses such trailers"):
        split_message(CHUNKED + b"0\r\nhost: a\r\n\r\n")
    with pytest.raises(click.UsageError, match="no other Transfer-Encoding"):
        split_message(CHUNKED.replace(b"chunked", b"gzip"))
    with pytest.raises(click.UsageError, match="the body in the file has 3 bytes"):
        split_message(b"POST / HTTP/1.1\ncontent-length: 1\n\nabc")
