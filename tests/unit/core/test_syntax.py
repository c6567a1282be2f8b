from typing import Any

import pytest

from gateway.core import syntax
from gateway.core.message import RequestHead
from gateway.core.policy import Limits
from gateway.core.reasons import Denied, Reason
from gateway.core.syntax import KNOWN_METHODS, MAX_TARGET_BYTES, check_size, printable, read_head

HOST = (b"host", b"api.psp.example")
LONG = b"/" + b"a" * (MAX_TARGET_BYTES - 1)


def read(*fields: tuple[bytes, bytes], **parts: Any) -> RequestHead:
    valid: dict[str, Any] = {"method": b"POST", "target": b"/v1/deposits", "version": "HTTP/1.1"}
    return read_head(**valid | {"fields": fields or (HOST,)} | parts)


def reason(*fields: tuple[bytes, bytes], **parts: Any) -> Reason:
    with pytest.raises(Denied) as caught:
        read(*fields, **parts)
    assert caught.value.detail
    return caught.value.reason


def test_a_head_is_read() -> None:
    head = read(
        (b"Host", b"API.psp.example:8443"),
        (b"Content-Length", b"12"),
        (b"X-Trace", b" \t\xe9t\xe9\t "),
        target=b"/v1/a%20b/c?x=1?&y=%2F",
    )
    assert (head.method, head.version) == ("POST", "1.1")
    assert (head.target, head.path, head.query) == ("/v1/a%20b/c?x=1?&y=%2F", "/v1/a%20b/c", "x=1?&y=%2F")
    assert (head.authority, head.host) == ("API.psp.example:8443", "api.psp.example")
    assert (head.content_length, head.has_body) == (12, True)
    assert head.headers.fields[2] == ("x-trace", "\xe9t\xe9")


class TestVersionAndMethod:
    @pytest.mark.parametrize("method", sorted(KNOWN_METHODS))
    def test_known_methods_are_read(self, method: bytes) -> None:
        assert read(method=method).method == method.decode()

    @pytest.mark.parametrize(
        "method", [b"CONNECT", b"TRACE", b"post", b"Post", b"PROPFIND", b"", b"GET ", b"GE\0T", b"G:T", b"G\xc3\x89T"]
    )
    def test_other_methods_are_refused(self, method: bytes) -> None:
        assert reason(method=method) is Reason.METHOD_UNKNOWN

    @pytest.mark.parametrize(
        "version", ["HTTP/1.0", "HTTP/0.9", "HTTP/1.2", "HTTP/3", "HTTP/9.9", "http/1.1", "HTTP/1.1 ", "", "\udcff"]
    )
    def test_other_versions_are_refused(self, version: str) -> None:
        assert reason(version=version) is Reason.VERSION_UNSUPPORTED


class TestFields:
    @pytest.mark.parametrize(
        "name",
        [
            pytest.param(b"", id="empty"),
            pytest.param(b"x y", id="space"),
            pytest.param(b"x ", id="space before the colon"),
            pytest.param(b" x", id="leading space"),
            pytest.param(b"x\ty", id="tab"),
            pytest.param(b"x:y", id="colon"),
            pytest.param(b":path", id="pseudo-header"),
            pytest.param(b"x\0", id="NUL"),
            pytest.param(b"x\r", id="CR"),
            pytest.param(b"x\n", id="LF"),
            pytest.param(b"x\x7f", id="DEL"),
            pytest.param(b"x\xe9", id="latin-1"),
            pytest.param(b"x(y)", id="parentheses"),
            pytest.param(b'"x"', id="quotes"),
            pytest.param(b"x_y", id="underscore"),
            pytest.param(b"Transfer_Encoding", id="look-alike"),
        ],
    )
    def test_a_name_that_is_no_token_is_refused(self, name: bytes) -> None:
        assert reason(HOST, (name, b"1")) is Reason.FIELD_INVALID

    @pytest.mark.parametrize("octet", [*range(0x09), *range(0x0A, 0x20), 0x7F])
    @pytest.mark.parametrize("around", [b"%ca", b"a%c", b"a%cb", b"%c"])
    def test_control_characters_in_values_are_refused(self, octet: int, around: bytes) -> None:
        assert reason(HOST, (b"x-a", around % octet)) is Reason.FIELD_INVALID

    @pytest.mark.parametrize("fold", [b"a\r\n b", b"a\n b", b"a\r\n\tb", b"a\r b"])
    def test_folded_values_are_refused(self, fold: bytes) -> None:
        assert reason(HOST, (b"x-a", fold)) is Reason.FIELD_INVALID

    @pytest.mark.parametrize("value", [b"", b"a", b"a b\tc", b"\x80\xff", b"!~", b"a" * 10_000])
    def test_other_values_are_read_as_they_are(self, value: bytes) -> None:
        assert read(HOST, (b"x-a", value)).headers.single("x-a") == value.decode("latin-1")

    def test_white_space_around_a_value_is_not_part_of_it(self) -> None:
        assert read(HOST, (b"x-a", b"\t a b \t")).headers.single("x-a") == "a b"

    def test_a_no_break_space_is_part_of_it(self) -> None:
        assert read(HOST, (b"x-a", b"\xa0a\x85")).headers.single("x-a") == "\xa0a\x85"

    @pytest.mark.parametrize("options", [b"", b"close", b"Keep-Alive", b"keep-alive, Upgrade", b"TE, close,"])
    def test_connection_options_of_the_protocol_are_read(self, options: bytes) -> None:
        assert "connection" in read(HOST, (b"connection", options)).headers

    @pytest.mark.parametrize(
        "options", [b"x-signature", b"close, Authorization", b"content-length", b"close;x", b"\xa0"]
    )
    def test_connection_options_that_would_remove_a_field_are_refused(self, options: bytes) -> None:
        assert reason(HOST, (b"connection", options)) is Reason.FIELD_INVALID

    def test_every_connection_field_counts(self) -> None:
        fields = (b"connection", b"close"), (b"connection", b"x-signature")
        assert reason(HOST, *fields) is Reason.FIELD_INVALID

    @pytest.mark.parametrize("value", [b"100-continue", b"100-Continue"])
    def test_the_one_expectation_is_read(self, value: bytes) -> None:
        assert "expect" in read(HOST, (b"expect", value)).headers

    @pytest.mark.parametrize("value", [b"", b"200-ok", b"100-continue, 100-continue"])
    def test_other_expectations_are_refused(self, value: bytes) -> None:
        assert reason(HOST, (b"expect", value)) is Reason.EXPECTATION_UNKNOWN

    def test_two_expectations_are_refused(self) -> None:
        expect = (b"expect", b"100-continue")
        assert reason(HOST, expect, expect) is Reason.FIELD_REPEATED


class TestTarget:
    @pytest.mark.parametrize(
        ("target", "path", "query"),
        [
            (b"/", "/", None),
            (b"/a?", "/a", ""),
            (b"/a/", "/a/", None),
            (b"/a.b/..c/...", "/a.b/..c/...", None),
            (b"/a:b@c,d=e!$&'()*+", "/a:b@c,d=e!$&'()*+", None),
            (b"/%C3%A9%20%3F", "/%C3%A9%20%3F", None),
            (b"/a?b[]=/../;%00%2e", "/a", "b[]=/../;%00%2e"),
            (LONG, LONG.decode(), None),
        ],
    )
    def test_origin_form_is_read_as_it_is(self, target: bytes, path: str, query: str | None) -> None:
        head = read(target=target)
        assert (head.target, head.path, head.query) == (target.decode(), path, query)

    @pytest.mark.parametrize(
        ("target", "path", "query"),
        [
            (b"https://api.psp.example/v1?x", "/v1", "x"),
            (b"http://API.psp.example/v1", "/v1", None),
            (b"HTTPS://api.psp.example", "/", None),
            (b"https://api.psp.example?x", "/", "x"),
        ],
    )
    def test_an_absolute_form_that_agrees_becomes_origin_form(
        self, target: bytes, path: str, query: str | None
    ) -> None:
        head = read(target=target)
        assert (head.path, head.query) == (path, query)

    @pytest.mark.parametrize(
        "target",
        [
            b"https://evil.example/v1",
            b"https://api.psp.example:443/v1",
            b"https://user@api.psp.example/v1",
            b"https://api.psp.example@evil.example/v1",
            b"https:///v1",
        ],
    )
    def test_an_absolute_form_that_disagrees_with_host_is_refused(self, target: bytes) -> None:
        assert reason(target=target) is Reason.HOST_INVALID

    @pytest.mark.parametrize(
        "target",
        [
            pytest.param(b"", id="empty"),
            pytest.param(b"*", id="asterisk"),
            pytest.param(b"v1/deposits", id="relative"),
            pytest.param(b"api.psp.example:443", id="authority form"),
            pytest.param(b"ftp://api.psp.example/v1", id="another scheme"),
            pytest.param(b"https:/api.psp.example/v1", id="one slash"),
            pytest.param(b"/a b", id="space"),
            pytest.param(b"/a\tb", id="tab"),
            pytest.param(b"/a\0", id="NUL"),
            pytest.param(b"/a\r\nx: y", id="line end"),
            pytest.param(b"/a\\b", id="backslash"),
            pytest.param(b"/a#b", id="fragment"),
            pytest.param(b"/a?b#c", id="fragment in the query"),
            pytest.param(b"/\xc3\xa9", id="not ASCII"),
            pytest.param(b"/a?\xff", id="query not ASCII"),
            pytest.param(b"/a?b\0", id="NUL in the query"),
            pytest.param(b"/a?b c", id="space in the query"),
            pytest.param(b"/%", id="percent alone"),
            pytest.param(b"/%4", id="half an octet"),
            pytest.param(b"/%zz", id="no hex"),
            pytest.param(b"/%u0041", id="%u"),
            pytest.param(b"/a?%z", id="no hex in the query"),
            pytest.param(b'/"<>^`{|}', id="unsafe characters"),
            pytest.param(LONG + b"a", id="too long"),
        ],
    )
    def test_what_is_no_target_is_refused(self, target: bytes) -> None:
        assert reason(target=target) is Reason.TARGET_INVALID

    @pytest.mark.parametrize(
        "target",
        [
            pytest.param(b"//", id="empty segments"),
            pytest.param(b"//evil.example/v1", id="network path"),
            pytest.param(b"/v1//deposits", id="empty segment"),
            pytest.param(b"/.", id="dot"),
            pytest.param(b"/..", id="two dots"),
            pytest.param(b"/v1/./deposits", id="dot segment"),
            pytest.param(b"/v1/../admin", id="two-dot segment"),
            pytest.param(b"/v1/deposits/..", id="two dots at the end"),
            pytest.param(b"/v1/deposits;x=1", id="path parameter"),
            pytest.param(b"/v1/..;/admin", id="dots with a parameter"),
            pytest.param(b"/v1%2Fdeposits", id="encoded slash"),
            pytest.param(b"/v1%2fdeposits", id="encoded slash in lower case"),
            pytest.param(b"/v1%5Cdeposits", id="encoded backslash"),
            pytest.param(b"/v1/%2e%2e/admin", id="encoded dots"),
            pytest.param(b"/v1/%2E./admin", id="half-encoded dots"),
            pytest.param(b"/v1/%252e%252e/admin", id="encoded twice"),
            pytest.param(b"/v1/deposits%00.json", id="encoded NUL"),
            pytest.param(b"/v1/deposits%0d%0ax:y", id="encoded line end"),
            pytest.param(b"/v1/deposits%7F", id="encoded DEL"),
            pytest.param(b"/v1/%64eposits", id="encoded letter"),
            pytest.param(b"/v1/%44eposits", id="encoded capital"),
            pytest.param(b"/v1/%5a%7A", id="encoded last letters"),
            pytest.param(b"/v%31/deposits", id="encoded digit"),
            pytest.param(b"/v1/a%2Db", id="encoded hyphen"),
            pytest.param(b"/v1/a%5Fb", id="encoded underscore"),
            pytest.param(b"/v1/a%7eb", id="encoded tilde"),
            pytest.param(b"/v1/%C0%AFadmin", id="overlong slash"),
            pytest.param(b"/v1/%C0%AE%C0%AE/admin", id="overlong dots"),
            pytest.param(b"/v1/%E9", id="latin-1"),
            pytest.param(b"/v1/%ED%A0%80", id="surrogate"),
        ],
    )
    def test_a_path_with_two_readings_is_refused(self, target: bytes) -> None:
        assert reason(target=target) is Reason.TARGET_AMBIGUOUS
        assert reason(target=b"https://api.psp.example" + target) is Reason.TARGET_AMBIGUOUS

    @pytest.mark.parametrize("octet", range(0x100))
    def test_an_encoded_octet_is_read_where_decoding_it_changes_nothing(self, octet: int) -> None:
        plain = chr(octet) in "/\\%;-._~" or chr(octet).isalnum()
        readable = 0x20 <= octet < 0x7F and (chr(octet) == ";" or not plain)
        target = b"/a%%%02x" % octet
        if readable:
            assert read(target=target).target == target.decode()
        else:
            assert reason(target=target) is Reason.TARGET_AMBIGUOUS


class TestHost:
    @pytest.mark.parametrize(
        ("value", "host"),
        [
            (b"api.psp.example", "api.psp.example"),
            (b"API.PSP.example:8443", "api.psp.example"),
            (b"api.psp.example.", "api.psp.example"),
            (b"127.0.0.1:80", "127.0.0.1"),
            (b"[2001:DB8::1]:443", "[2001:db8::1]"),
            (b"a", "a"),
        ],
    )
    def test_a_host_is_read(self, value: bytes, host: str) -> None:
        head = read((b"host", value))
        assert (head.authority, head.host) == (value.decode(), host)

    @pytest.mark.parametrize(
        "value",
        [
            *(b"", b"a b", b"a,b", b"a/b", b"user@a", b"a:", b"a:b", b"a:65536", b"a:123456", b":80", b"-a"),
            *(b"[::1", b"::1", b"[::1]x", b"a..", b"\xe9", b"a" * 300),
        ],
    )
    def test_what_is_no_host_is_refused(self, value: bytes) -> None:
        assert reason((b"host", value)) is Reason.HOST_INVALID

    @pytest.mark.parametrize("second", [b"api.psp.example", b"evil.example"])
    def test_two_hosts_are_refused(self, second: bytes) -> None:
        assert reason(HOST, (b"Host", second)) is Reason.HOST_INVALID

    def test_no_host_is_refused(self) -> None:
        assert reason((b"x-a", b"1")) is Reason.HOST_INVALID

    def test_an_absolute_form_is_no_host_field(self) -> None:
        assert reason((b"x-a", b"1"), target=b"https://api.psp.example/") is Reason.HOST_INVALID


class TestFraming:
    @pytest.mark.parametrize(
        ("fields", "length", "has_body"),
        [
            ([], None, False),
            ([(b"content-length", b"0")], 0, False),
            ([(b"content-length", b"42")], 42, True),
            ([(b"content-length", b"9" * 18)], 10**18 - 1, True),
            ([(b"transfer-encoding", b"chunked")], None, True),
            ([(b"transfer-encoding", b"Chunked")], None, True),
        ],
    )
    def test_the_framing_is_read(self, fields: Any, length: int | None, has_body: bool) -> None:
        head = read(HOST, *fields)
        assert (head.content_length, head.has_body) == (length, has_body)

    @pytest.mark.parametrize(
        "value",
        [b"", b"+1", b"-1", b"1.0", b"0x10", b"1 2", b"1, 1", b"1,2", b"1e3", b"1_0", b"\xb2", b"9" * 19, b"NaN"],
    )
    def test_a_content_length_that_is_no_number_is_refused(self, value: bytes) -> None:
        assert reason(HOST, (b"content-length", value)) is Reason.FRAMING_AMBIGUOUS

    @pytest.mark.parametrize("second", [b"1", b"2"])
    def test_two_content_lengths_are_refused(self, second: bytes) -> None:
        fields = (b"content-length", b"1"), (b"Content-Length", second)
        assert reason(HOST, *fields) is Reason.FRAMING_AMBIGUOUS

    @pytest.mark.parametrize(
        "value", [b"", b"identity", b"gzip, chunked", b"chunked, chunked", b"chunked;x=1", b"xchunked", b"chunked,"]
    )
    def test_another_transfer_coding_than_chunked_is_refused(self, value: bytes) -> None:
        assert reason(HOST, (b"transfer-encoding", value)) is Reason.FRAMING_AMBIGUOUS

    def test_two_transfer_codings_are_refused(self) -> None:
        coding = (b"transfer-encoding", b"chunked")
        assert reason(HOST, coding, coding) is Reason.FRAMING_AMBIGUOUS

    @pytest.mark.parametrize("length", [b"0", b"5"])
    def test_a_length_beside_a_transfer_coding_is_refused(self, length: bytes) -> None:
        fields = (b"content-length", length), (b"transfer-encoding", b"chunked")
        assert reason(HOST, *fields) is Reason.FRAMING_AMBIGUOUS
        assert reason(HOST, *reversed(fields)) is Reason.FRAMING_AMBIGUOUS


class TestMemory:
    def test_callers_cannot_have_ever_more_remembered(self) -> None:
        for number in range(5_000):
            read((b"host", b"%d.example" % number), (b"x-%d" % number, b"1"), target=b"/%d" % number)
        assert all(0 < len(memo) <= 4_096 for memo in (syntax._NAMES, syntax._PATHS, syntax._HOSTS))

    def test_what_is_long_is_not_remembered(self) -> None:
        name, host = b"x-" + b"a" * 100, b"a" * 200
        read((b"host", host), (name, b"1"), target=LONG)
        assert name not in syntax._NAMES
        assert LONG not in syntax._PATHS
        assert host.decode() not in syntax._HOSTS

    def test_what_was_refused_is_refused_again(self) -> None:
        for _ in range(2):
            assert reason(target=b"/a//b") is Reason.TARGET_AMBIGUOUS
            assert reason((b"host", b"a..")) is Reason.HOST_INVALID
            assert reason(HOST, (b"x_a", b"1")) is Reason.FIELD_INVALID

    def test_a_name_known_from_http1_is_refused_in_http2_where_it_has_upper_case(self) -> None:
        assert "x-a" in read(HOST, (b"X-A", b"1")).headers
        assert reason(HOST, (b"X-A", b"1"), version="HTTP/2") is Reason.FIELD_INVALID


class TestSize:
    def test_a_head_of_the_most_allowed_passes(self) -> None:
        assert check_size(16_384, 100, Limits(head=16_384, fields=100)) is None

    @pytest.mark.parametrize(("size", "count"), [(16_385, 1), (1, 101)])
    def test_a_larger_head_is_refused(self, size: int, count: int) -> None:
        with pytest.raises(Denied) as caught:
            check_size(size, count, Limits(head=16_384, fields=100))
        assert caught.value.reason is Reason.HEAD_TOO_LARGE


@pytest.mark.parametrize(
    ("raw", "shown"),
    [(b"abc", "'abc'"), (b"\x1b[2J\n", "'\\x1b[2J\\n'"), (b"\xff", "'\\xff'"), (b"a" * 65, f"'{'a' * 64}'…")],
)
def test_untrusted_bytes_are_shown_escaped_and_cut(raw: bytes, shown: str) -> None:
    assert printable(raw) == shown


def test_no_refusal_shows_a_value() -> None:
    with pytest.raises(Denied) as caught:
        read(HOST, (b"authorization", b"Bearer s3cret\0"))
    assert "s3cret" not in str(caught.value)
