import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.chain import ReadBody
from gateway.core.message import RequestHead
from gateway.core.reasons import Denied, Reason
from gateway.core.syntax import read_head
from gateway.core.trailers import Trailers
from gateway.engine.body import BodyReader


def head(*fields: tuple[bytes, bytes], method: bytes = b"POST") -> RequestHead:
    return read_head(method=method, target=b"/", version="HTTP/1.1", fields=[(b"host", b"a"), *fields])


def of_length(length: int) -> BodyReader:
    return BodyReader(head((b"content-length", b"%d" % length)))


def in_chunks() -> BodyReader:
    return BodyReader(head((b"transfer-encoding", b"chunked")))


@pytest.mark.parametrize("fields", [(), ((b"content-length", b"0"),)], ids=["none", "length 0"])
def test_a_head_without_a_body_ends_with_itself(fields: tuple[tuple[bytes, bytes], ...]) -> None:
    body = BodyReader(head(*fields))
    assert (body.ended, body.chunked, body.size) == (True, False, 0)
    assert body.feed(b"GET ") == (b"", b"GET ")


def test_a_body_ends_at_its_length() -> None:
    body = of_length(5)
    assert (body.ended, body.declared, body.chunked) == (False, 5, False)
    assert body.feed(b"abc") == (b"abc", b"")
    assert not body.ended
    assert body.feed(b"deGET ") == (b"de", b"GET ")
    assert (body.ended, body.size) == (True, 5)
    assert body.feed(b"/") == (b"", b"/")


def test_a_body_in_chunks_ends_with_the_last_one() -> None:
    body = in_chunks()
    assert (body.ended, body.declared, body.chunked) == (False, None, True)
    assert body.feed(b"3\r\nab") == (b"ab", b"")
    assert body.feed(b"c\r\n2\r\nde\r\n0\r\n\r") == (b"cde", b"")
    assert not body.ended
    assert body.feed(b"\nGET ") == (b"", b"GET ")
    assert (body.ended, body.size) == (True, 5)


def test_nothing_is_read_of_a_body_without_bytes() -> None:
    assert of_length(5).feed(b"") == (b"", b"")
    assert in_chunks().feed(b"") == (b"", b"")


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"3;a=b\r\n", "chunk size that is not plain hexadecimal"),
        (b"3\r\nabcd", "chunk longer than its size"),
        (b"0\r\nx-a: 1\r\n", "trailers after the body that no signature covers"),
    ],
)
def test_a_malformed_chunk_is_refused(sent: bytes, words: str) -> None:
    with pytest.raises(Denied) as caught:
        in_chunks().feed(sent)
    assert caught.value.reason is Reason.MESSAGE_MALFORMED
    assert caught.value.detail == f"{words} (RFC 9112 7.1)"


@pytest.mark.parametrize(
    ("body", "sent", "rest", "ended"),
    [
        (of_length(3), b"abcGET ", b"GET ", True),
        (of_length(3), b"ab", b"", False),
        (in_chunks(), b"3\r\nabc\r\n0\r\n\r\nGET ", b"GET ", True),
        (in_chunks(), b"3\r\nabc\r\n", b"", False),
        (in_chunks(), b"3;a\r\nabc\r\n", b"3;a\r\nabc\r\n", False),
        (BodyReader(head()), b"GET ", b"GET ", True),
    ],
)
def test_a_body_that_nobody_waits_for_is_passed_over(body: BodyReader, sent: bytes, rest: bytes, ended: bool) -> None:
    assert (body.skip(sent), body.ended) == (rest, ended)


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=4), st.booleans(), st.binary(max_size=9), st.data())
def test_pieces_make_no_difference(chunks: list[bytes], declared: bool, after: bytes, data: st.DataObject) -> None:
    whole = b"".join(chunks)
    body = of_length(len(whole)) if declared else in_chunks()
    sent = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    sent = (whole if declared else sent) + after
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=5)))
    read, behind = b"", b""
    for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        part, rest = body.feed(sent[start:end])
        read, behind = read + part, behind + rest
    assert (read, behind, body.ended, body.size) == (whole, after, True, len(whole))


@pytest.mark.parametrize("at_once", [True, False])
def test_nothing_ends_a_body_that_was_malformed(at_once: bool) -> None:
    """Where it ends nobody can tell: what looks like its end may be the smuggled beginning of another request."""
    body, behind = in_chunks(), b"0\r\n\r\nGET / HTTP/1.1\r\n"
    with pytest.raises(Denied):
        body.feed(b"3;a=b\r\n" + (behind if at_once else b""))
    sent = b"" if at_once else behind
    assert (body.skip(sent), body.ended) == (sent, False)
    with pytest.raises(Denied):
        body.feed(sent)


class Waits:
    """A decision that waits for a body, with trailers or without."""

    def __init__(self, behind: Trailers | None) -> None:
        self.waiting = ReadBody(10, behind)


SIGNED = ((b"transfer-encoding", b"chunked"), (b"signature-input", b'a=("x-a";tr)'))


def test_trailers_go_to_whoever_waits_for_them() -> None:
    behind = Trailers()
    body = BodyReader(head(*SIGNED), Waits(behind))
    assert body.feed(b"3\r\nabc\r\n0\r\nx-a: 1\r\n\r\nGET ") == (b"abc", b"GET ")
    assert behind.headers is not None
    assert (body.ended, behind.headers.fields) == (True, (("x-a", "1"),))


def test_trailers_that_are_refused_end_the_reading() -> None:
    body = BodyReader(head(*SIGNED), Waits(None))
    for sent in (b"0\r\nx-a: 1\r\n\r\n", b"GET "):
        with pytest.raises(Denied, match="no signature covers"):
            body.feed(sent)
    with pytest.raises(Denied, match="no signature covers"):
        BodyReader(head(*SIGNED)).feed(b"0\r\nx-a: 1\r\n\r\n")
