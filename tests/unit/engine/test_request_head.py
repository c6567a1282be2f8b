"""Two readers of one head: llhttp's way must give what the strict reader gives, the same head or the same reason."""

from collections.abc import Callable
from typing import Any

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.message import RequestHead
from gateway.core.policy import Limits
from gateway.core.reasons import Denied, Reason
from gateway.engine.request_head import (
    MAX_EMPTY_LINES,
    check_raw,
    first_line_of,
    parse,
    read_strictly,
    skip_empty_lines,
)

LINE = b"GET /v1/balance HTTP/1.1"
HOST = b"host: api.psp.example"
LIMITS = Limits(head=600, fields=6)

type Read = tuple[Any, ...] | Reason


def raw(*lines: bytes) -> bytes:
    return b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def outcome(read: Callable[[], RequestHead]) -> Read:
    try:
        head = read()
    except Denied as denied:
        return denied.reason
    return (
        head.method, head.target, head.path, head.query, head.version, head.authority, head.host, head.headers.fields,
        head.content_length, head.has_body,
    )  # fmt: skip


def by_llhttp(sent: bytes, limits: Limits = LIMITS) -> Read:
    return outcome(lambda: parse(sent, limits))


def strictly(sent: bytes, limits: Limits = LIMITS) -> Read:
    def read() -> RequestHead:
        check_raw(sent[:-2], limits)
        return read_strictly(sent[:-2])

    return outcome(read)


@pytest.mark.parametrize(
    ("received", "before", "rest", "lines"),
    [
        (b"\r\nGET", 0, b"GET", 1),
        (b"\r\n\r\nGET", 6, b"GET", 8),
        (b"\r\n\r\n", 1, b"", 3),
        (b"\r\n\r", 0, b"\r", 1),
        (b"\r\n" * MAX_EMPTY_LINES, 0, b"", MAX_EMPTY_LINES),
    ],
)
def test_empty_lines_before_a_request_are_skipped(received: bytes, before: int, rest: bytes, lines: int) -> None:
    assert skip_empty_lines(received, before) == (rest, lines)


@pytest.mark.parametrize(("lines", "before"), [(MAX_EMPTY_LINES + 1, 0), (1, MAX_EMPTY_LINES), (10_000, 0)])
def test_empty_lines_have_an_end(lines: int, before: int) -> None:
    with pytest.raises(Denied) as denied:
        skip_empty_lines(b"\r\n" * lines, before)
    assert denied.value.reason is Reason.MESSAGE_MALFORMED


VALID = {
    "no fields but Host": raw(LINE, HOST),
    "white space around a value": raw(LINE, HOST, b"x-a: \t b \t"),
    "no white space": raw(LINE, b"host:a"),
    "an empty value": raw(LINE, HOST, b"x-a:", b"x-b: "),
    "upper case": raw(LINE, HOST.upper(), b"X-A: B"),
    "a field twice": raw(LINE, HOST, b"x-a: 1", b"x-a: 2"),
    "obs-text": raw(LINE, HOST, b"x-a: \xe9\xff"),
    "a colon in a value": raw(LINE, HOST, b"x-a: :b:"),
    "absolute form": raw(b"GET https://api.psp.example/v1/balance?a=1 HTTP/1.1", HOST),
    "absolute form without a path": raw(b"GET http://api.psp.example HTTP/1.1", HOST),
    "a length": raw(b"POST / HTTP/1.1", HOST, b"content-length: 5"),
    "no length": raw(b"POST / HTTP/1.1", HOST, b"content-length: 0"),
    "chunks": raw(b"POST / HTTP/1.1", HOST, b"transfer-encoding: Chunked"),
    "100-continue": raw(b"POST / HTTP/1.1", HOST, b"content-length: 5", b"expect: 100-continue"),
    "upgrade": raw(LINE, HOST, b"connection: upgrade", b"upgrade: websocket"),
    "upgrade with a body": raw(b"POST / HTTP/1.1", HOST, b"connection: upgrade", b"upgrade: h2c", b"content-length: 5"),
    "upgrade that is not named": raw(LINE, HOST, b"upgrade: h2c"),
    "close": raw(LINE, HOST, b"connection: close"),
    "proxy-connection": raw(LINE, HOST, b"proxy-connection: keep-alive"),
}

MALFORMED = {
    "HTTP/0.9": (raw(b"GET /"), Reason.MESSAGE_MALFORMED),
    "two spaces before the target": (raw(b"GET  / HTTP/1.1", HOST), Reason.MESSAGE_MALFORMED),
    "two spaces behind the target": (raw(b"GET /  HTTP/1.1", HOST), Reason.MESSAGE_MALFORMED),
    "space before the method": (raw(b" GET / HTTP/1.1", HOST), Reason.MESSAGE_MALFORMED),
    "space behind the version": (raw(b"GET / HTTP/1.1 ", HOST), Reason.MESSAGE_MALFORMED),
    "space in the target": (raw(b"GET /a b HTTP/1.1", HOST), Reason.MESSAGE_MALFORMED),
    "tab": (raw(b"GET\t/ HTTP/1.1", HOST), Reason.MESSAGE_MALFORMED),
    "version in lower case": (raw(b"GET / http/1.1", HOST), Reason.MESSAGE_MALFORMED),
    "version of three digits": (raw(b"GET / HTTP/1.11", HOST), Reason.MESSAGE_MALFORMED),
    "leading zero": (raw(b"GET / HTTP/01.1", HOST), Reason.MESSAGE_MALFORMED),
    "ICE": (raw(b"SOURCE / ICE/1.0", HOST), Reason.MESSAGE_MALFORMED),
    "RTSP": (raw(b"DESCRIBE / RTSP/1.0", HOST), Reason.MESSAGE_MALFORMED),
    "a response": (raw(b"HTTP/1.1 200 OK", HOST), Reason.MESSAGE_MALFORMED),
    "bytes": (raw(b"\x16\x03\x01"), Reason.MESSAGE_MALFORMED),
    "bare LF in the request line": (raw(LINE + b"\n" + HOST), Reason.MESSAGE_MALFORMED),
    "bare LF in a field": (raw(LINE, HOST, b"x-a: 1\nx-b: 2"), Reason.MESSAGE_MALFORMED),
    "bare CR in a field": (raw(LINE, HOST, b"x-a: 1\rx-b: 2"), Reason.MESSAGE_MALFORMED),
    "CR CR LF": (raw(LINE, HOST, b"x-a: 1\r"), Reason.MESSAGE_MALFORMED),
    "NUL": (raw(LINE, HOST, b"x-a: \x00"), Reason.MESSAGE_MALFORMED),
    "HTTP/1.0": (raw(b"GET / HTTP/1.0", HOST), Reason.VERSION_UNSUPPORTED),
    "HTTP/1.2": (raw(b"GET / HTTP/1.2", HOST), Reason.VERSION_UNSUPPORTED),
    "HTTP/2.0": (raw(b"GET / HTTP/2.0", HOST), Reason.VERSION_UNSUPPORTED),
    "prior knowledge": (raw(b"PRI * HTTP/2.0"), Reason.VERSION_UNSUPPORTED),
    "method in lower case": (raw(b"get / HTTP/1.1", HOST), Reason.METHOD_UNKNOWN),
    "a method nobody knows": (raw(b"FETCH / HTTP/1.1", HOST), Reason.METHOD_UNKNOWN),
    "a method that llhttp knows": (raw(b"M-SEARCH / HTTP/1.1", HOST), Reason.METHOD_UNKNOWN),
    "TRACE": (raw(b"TRACE / HTTP/1.1", HOST), Reason.METHOD_UNKNOWN),
    "CONNECT": (raw(b"CONNECT a:443 HTTP/1.1", HOST), Reason.METHOD_UNKNOWN),
    "asterisk form": (raw(b"OPTIONS * HTTP/1.1", HOST), Reason.TARGET_INVALID),
    "authority form": (raw(b"GET a:443 HTTP/1.1", HOST), Reason.TARGET_INVALID),
    "fragment": (raw(b"GET /#a HTTP/1.1", HOST), Reason.TARGET_INVALID),
    "target beyond ASCII": (raw(b"GET /\xe9 HTTP/1.1", HOST), Reason.TARGET_INVALID),
    "control character in the target": (raw(b"GET /\x01 HTTP/1.1", HOST), Reason.TARGET_INVALID),
    "dot segment": (raw(b"GET /a/../b HTTP/1.1", HOST), Reason.TARGET_AMBIGUOUS),
    "no Host": (raw(LINE), Reason.HOST_INVALID),
    "Host twice": (raw(LINE, HOST, HOST), Reason.HOST_INVALID),
    "Host that differs from the target": (raw(b"GET http://a/ HTTP/1.1", HOST), Reason.HOST_INVALID),
    "folded field": (raw(LINE, HOST, b"x-a: 1", b" 2"), Reason.FIELD_INVALID),
    "folded first field": (raw(LINE, b" " + HOST), Reason.FIELD_INVALID),
    "no colon": (raw(LINE, HOST, b"x-a"), Reason.FIELD_INVALID),
    "no name": (raw(LINE, HOST, b": 1"), Reason.FIELD_INVALID),
    "space before the colon": (raw(LINE, HOST, b"x-a : 1"), Reason.FIELD_INVALID),
    "name with an underscore": (raw(LINE, HOST, b"x_a: 1"), Reason.FIELD_INVALID),
    "name beyond ASCII": (raw(LINE, HOST, b"x-\xe9: 1"), Reason.FIELD_INVALID),
    "control character in a value": (raw(LINE, HOST, b"x-a: \x01"), Reason.FIELD_INVALID),
    "DEL in a value": (raw(LINE, HOST, b"x-a: \x7f"), Reason.FIELD_INVALID),
    "Connection that names a field": (raw(LINE, HOST, b"connection: x-a"), Reason.FIELD_INVALID),
    "length twice": (raw(LINE, HOST, b"content-length: 1", b"content-length: 1"), Reason.FRAMING_AMBIGUOUS),
    "length as a list": (raw(LINE, HOST, b"content-length: 1, 1"), Reason.FRAMING_AMBIGUOUS),
    "length with a sign": (raw(LINE, HOST, b"content-length: +1"), Reason.FRAMING_AMBIGUOUS),
    "length without end": (raw(LINE, HOST, b"content-length: " + b"9" * 30), Reason.FRAMING_AMBIGUOUS),
    "empty length": (raw(LINE, HOST, b"content-length:"), Reason.FRAMING_AMBIGUOUS),
    "length and chunks": (
        raw(LINE, HOST, b"content-length: 1", b"transfer-encoding: chunked"), Reason.FRAMING_AMBIGUOUS,
    ),
    "chunks twice": (
        raw(LINE, HOST, b"transfer-encoding: chunked", b"transfer-encoding: chunked"), Reason.FRAMING_AMBIGUOUS,
    ),
    "a coding before chunked": (raw(LINE, HOST, b"transfer-encoding: gzip, chunked"), Reason.FRAMING_AMBIGUOUS),
    "an unknown coding": (raw(LINE, HOST, b"transfer-encoding: xchunked"), Reason.FRAMING_AMBIGUOUS),
    "an empty coding": (raw(LINE, HOST, b"transfer-encoding:"), Reason.FRAMING_AMBIGUOUS),
    "an expectation": (raw(LINE, HOST, b"expect: 200-ok"), Reason.EXPECTATION_UNKNOWN),
    "too many fields": (raw(LINE, HOST, *[b"x-a: 1"] * 6), Reason.HEAD_TOO_LARGE),
    "too many bytes": (raw(LINE, HOST, b"x-a: " + b"a" * 600), Reason.HEAD_TOO_LARGE),
}  # fmt: skip


@pytest.mark.parametrize("sent", VALID.values(), ids=VALID)
def test_a_head_is_read(sent: bytes) -> None:
    read = by_llhttp(sent)
    assert not isinstance(read, Reason)
    assert read == strictly(sent)


@pytest.mark.parametrize(("sent", "reason"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_head_is_refused(sent: bytes, reason: Reason) -> None:
    assert (by_llhttp(sent), strictly(sent)) == (reason, reason)


def test_a_head_at_its_limits_is_read() -> None:
    head = raw(LINE, HOST, *[b"x-a: 1"] * 4, b"x-b: ")
    filled = head.replace(b"x-b: ", b"x-b: " + b"a" * (LIMITS.head + 2 - len(head)))
    assert not isinstance(by_llhttp(filled), Reason)
    assert by_llhttp(filled.replace(b"x-b: ", b"x-b: a")) is Reason.HEAD_TOO_LARGE


METHODS = st.sampled_from([b"GET", b"POST", b"HEAD", b"TRACE", b"CONNECT", b"PRI", b"PROPFIND", b"get", b"G(T", b""])
TARGETS = st.sampled_from(
    [b"/", b"/v1?a=b", b"//", b"/..", b"*", b"a:1", b"http://a/", b"https://api.psp.example", b"ftp://a/", b"/#"]
) | st.binary(max_size=6)  # fmt: skip
VERSIONS = st.sampled_from([b"HTTP/1.1"] * 4 + [b"HTTP/1.0", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b"ICE/1.0", b""])
NAMES = st.sampled_from(
    [
        b"host", b"Host", b"content-length", b"Transfer-Encoding", b"connection", b"upgrade", b"expect", b"x-a",
        b"x-a ", b" x-a", b"\tx", b"x_a", b"", b"te", b"proxy-connection",
    ]
) | st.binary(max_size=3)  # fmt: skip
VALUES = st.sampled_from(
    [
        b"api.psp.example", b"a", b"0", b"5", b"5 ", b"+5", b"5,5", b"chunked", b"chunked, chunked", b"gzip", b"close",
        b"upgrade", b"keep-alive, te", b"h2c", b"100-continue", b"", b" \t", b"\x00", b"a\nb", b"a\rb", b"a\r", b"\x7f",
    ]
) | st.binary(max_size=4)  # fmt: skip
FIELDS = st.tuples(NAMES, st.sampled_from([b":", b": ", b":\t", b"", b" : "]), VALUES).map(b"".join)
ENDS = st.sampled_from([b"\r\n"] * 8 + [b"\n", b"\r"])


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """Draw bytes up to the first empty line: a head, or nearly one."""
    line = b" ".join((draw(METHODS), draw(TARGETS), draw(VERSIONS)))
    fields = draw(st.lists(FIELDS, max_size=5))
    host = draw(st.sampled_from([[HOST], [HOST], []]))
    sent = b"".join(part + draw(ENDS) for part in (line, *host, *fields))
    return sent.partition(b"\r\n\r\n")[0].lstrip(b"\r\n").removesuffix(b"\r\n") + b"\r\n\r\n"


@settings(deadline=None, max_examples=500)
@given(heads() | st.binary(max_size=60).map(lambda sent: sent.replace(b"\r\n", b"").lstrip(b"\r\n") + b"\r\n\r\n"))
def test_both_readers_agree(sent: bytes) -> None:
    assert by_llhttp(sent) == strictly(sent)


@given(st.binary(max_size=120))
def test_any_bytes_that_may_become_a_head_are_checked_or_refused(received: bytes) -> None:
    bare = b"\x00" in received or received.count(b"\n") > received.count(b"\r\n")
    try:
        check_raw(received, LIMITS)
    except Denied:
        return
    assert not bare


def test_a_cr_may_still_have_its_lf() -> None:
    check_raw(LINE + b"\r", LIMITS)
    with pytest.raises(Denied):
        check_raw(LINE + b"\rh", LIMITS)


def test_what_llhttp_refuses_and_the_strict_reader_would_take_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refuses:
        def __init__(self, _: object) -> None:
            pass

        def feed_data(self, _: bytes) -> None:
            raise httptools.HttpParserError

    monkeypatch.setattr(httptools, "HttpRequestParser", Refuses)
    assert by_llhttp(raw(LINE, HOST)) is Reason.MESSAGE_MALFORMED


@pytest.mark.parametrize(
    ("received", "line"),
    [
        (raw(b"GET /v1/players?name=x HTTP/1.1", HOST), "'GET /v1/players'?…"),
        (raw(LINE, b"cookie: secret"), "'GET /v1/balance HTTP/1.1'"),
        (b"\x16\x03\x01", "'\\x16\\x03\\x01'"),
        (b"a" * 99, f"'{'a' * 64}'…"),
        (b"", "''"),
    ],
)
def test_what_cannot_be_read_is_shown_by_its_first_line_without_the_query(received: bytes, line: str) -> None:
    assert first_line_of(received) == line
