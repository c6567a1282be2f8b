from typing import Any

import pytest
from mitmproxy import http

from gateway.core.policy import Limits
from gateway.core.reasons import Denied, Reason
from gateway.engine import translate
from gateway.engine.problem import Answer
from tests import world
from tests.world import World


def received(**changes: Any) -> http.Request:
    """Give an HTTP/2 request as mitmproxy reads it."""
    values: dict[str, Any] = {
        "host": "", "port": 0, "method": b"POST", "scheme": b"https", "authority": world.HOST.encode(),
        "path": b"/v1/deposits?a=1", "http_version": b"HTTP/2.0", "headers": http.Headers([(b"accept", b"*/*")]),
        "content": None, "trailers": None, "timestamp_start": 1.0, "timestamp_end": None, **changes,
    }  # fmt: skip
    return http.Request(**values)


def test_a_head_of_http2_is_read_by_the_core() -> None:
    head = translate.head_of_http2(received(), Limits(), ends_with_head=False)
    assert (head.method, head.target, head.version, head.authority) == (
        "POST", "/v1/deposits?a=1", "2", world.HOST,
    )  # fmt: skip
    assert head.has_body


def test_a_head_of_http2_may_end_its_request() -> None:
    assert not translate.head_of_http2(received(), Limits(), ends_with_head=True).has_body


def test_fields_of_http2_are_sized_as_its_settings_do() -> None:
    fields = http.Headers([(b"aa", b"bbb")] * 10)
    size = 10 * (2 + 3 + 32) + len(b"/v1/deposits?a=1")
    request = received(headers=fields)
    translate.head_of_http2(request, Limits(head=size), ends_with_head=True)
    with pytest.raises(Denied) as caught:
        translate.head_of_http2(request, Limits(head=size - 1), ends_with_head=True)
    assert caught.value.reason is Reason.HEAD_TOO_LARGE


def test_fields_of_http2_are_counted() -> None:
    request = received(headers=http.Headers([(b"aa", b"b")] * 3))
    with pytest.raises(Denied) as caught:
        translate.head_of_http2(request, Limits(fields=2), ends_with_head=True)
    assert caught.value.reason is Reason.HEAD_TOO_LARGE


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (b"/v1/deposits?player=42", "'POST' '/v1/deposits'?…"),
        (b"/\x00\xff", "'POST' '/\\x00\\xff'"),
        (b"/" + b"a" * 99, f"'POST' '/{'a' * 63}'…"),
    ],
)
def test_a_head_that_cannot_be_read_is_shown_without_its_query(path: bytes, line: str) -> None:
    assert translate.first_line(received(path=path)) == line


def test_a_request_goes_upstream_from_what_the_core_read() -> None:
    head = World(target=b"/v1/deposits?a=%20").head()
    request = translate.request_to_upstream(received(path=b"/forged"), head, "psp@", [("host", "é")], b"{}")
    assert (request.host, request.method, request.data.path) == ("psp@", "POST", b"/v1/deposits?a=%20")
    assert request.headers.fields == ((b"host", b"\xe9"), (b"content-length", b"2"))
    assert request.content == b"{}"


@pytest.mark.parametrize(
    ("method", "length"),
    [(b"GET", None), (b"DELETE", None), (b"HEAD", None), (b"POST", "0"), (b"PUT", "0"), (b"PATCH", "0")],
)
def test_a_request_without_a_body_says_so_where_one_is_expected(method: bytes, length: str | None) -> None:
    head = World(method=method, body=b"", fields={"content-length": None}).head()
    request = translate.request_to_upstream(received(), head, "psp@", [], b"")
    assert request.headers.get("content-length") == length


def response(*fields: tuple[bytes, bytes], status: int = 200) -> http.Response:
    made = http.Response.make(status)
    made.headers = http.Headers(fields)
    return made


def test_a_response_is_written_anew() -> None:
    listed = ((b"Content-Length", b"2"), (b"Keep-Alive", b"1"), (b"X-A", b"\xe9"))
    sent = translate.response_to_client(response(*listed), World().head(), [("x-a-own", "1")], close=False)
    assert sent.headers.fields == ((b"Content-Length", b"2"), (b"X-A", b"\xe9"), (b"x-a-own", b"1"))
    assert (sent.status_code, sent.http_version) == (200, "HTTP/1.1")


@pytest.mark.parametrize(
    ("status", "method", "chunked"),
    [(200, b"POST", True), (204, b"POST", False), (304, b"GET", False), (200, b"HEAD", False)],
)
def test_a_body_without_a_length_goes_out_in_chunks(status: int, method: bytes, chunked: bool) -> None:
    head = World(method=method).head()
    sent = translate.response_to_client(response(status=status), head, [], close=False)
    assert ("transfer-encoding" in sent.headers) == chunked


def test_the_client_is_told_that_the_connection_ends() -> None:
    sent = translate.response_to_client(response(), World(method=b"HEAD").head(), [], close=True)
    assert sent.headers["connection"] == "close"


def test_http2_has_no_fields_of_a_connection() -> None:
    head = translate.head_of_http2(received(), Limits(), ends_with_head=True)
    sent = translate.response_to_client(response(), head, [], close=True)
    assert (sent.headers.fields, sent.http_version) == ((), "HTTP/2.0")


@pytest.mark.parametrize(("version", "close", "told"), [("1.1", True, True), ("1.1", False, False), ("2", True, False)])
def test_an_answer_of_the_gates_own_is_whole(version: str, close: bool, told: bool) -> None:
    sent = translate.response_of(Answer(403, (("x-a", "1"),), b"{}"), version, close=close)
    assert (sent.status_code, sent.content, sent.headers["x-a"], sent.headers["content-length"]) == (
        403,
        b"{}",
        "1",
        "2",
    )
    assert (sent.headers.get("connection") == "close") == told


def test_a_client_that_waits_is_told_to_go_on_and_nothing_else() -> None:
    response = translate.proceed()
    assert (response.status_code, list(response.headers.fields), response.content) == (100, [], b"")
