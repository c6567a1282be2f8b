"""Between mitmproxy's messages and the core's: translation only, no rules."""

from collections.abc import Iterable

from mitmproxy import http
from mitmproxy.proxy import events
from mitmproxy.proxy.layers.http._events import ResponseData, ResponseEndOfMessage, ResponseHeaders

from gateway.core.forwarding import response_fields
from gateway.core.message import RequestHead
from gateway.core.policy import Limits
from gateway.core.syntax import check_size, printable, read_head
from gateway.engine.problem import BODILESS, Answer
from gateway.engine.request_head import wants_close
from gateway.engine.settling import Capture


def head_of_http2(request: http.Request, limits: Limits, *, ends_with_head: bool) -> RequestHead:
    """Read the head of an HTTP/2 request. Raises Denied."""
    fields = request.headers.fields
    size = sum(len(name) + len(value) + 32 for name, value in fields) + len(request.data.path)  # RFC 9113 6.5.2
    check_size(size, len(fields), limits)
    return read_head(
        method=request.data.method,
        target=request.data.path,
        version="HTTP/2",
        fields=fields,
        authority=request.data.authority,
        ends_with_head=ends_with_head,
    )


def first_line(request: http.Request) -> str:
    """Printable method and path of a head that could not be read; without the query."""
    path, mark, _ = request.data.path.partition(b"?")
    return f"{printable(request.data.method, 16)} {printable(path)}{'?…' if mark else ''}"


def request_to_upstream(
    received: http.Request, head: RequestHead, key: str, fields: list[tuple[str, str]], body: bytes
) -> http.Request:
    """Write the request to upstream anew, from what the core read alone; the body is the bytes received.

    `key` names the upstream towards the connection handler.
    """
    lines = encoded(fields)
    if head.has_body or head.method in ("POST", "PUT", "PATCH"):
        lines.append((b"content-length", str(len(body)).encode("ascii")))
    return http.Request(
        host=key,
        port=0,
        method=head.method.encode("ascii"),
        scheme=b"http",  # the connection handler adds TLS, by the upstream's own context
        authority=b"",
        path=head.target.encode("ascii"),
        # mitmproxy keeps an upstream connection for one request where the client speaks HTTP/2, and tells by this.
        http_version=received.data.http_version,
        headers=http.Headers(lines),
        content=body,
        trailers=None,
        timestamp_start=received.data.timestamp_start,
        timestamp_end=received.data.timestamp_end,
    )


def response_to_client(
    received: http.Response, head: RequestHead, added: list[tuple[str, str]], *, close: bool
) -> http.Response:
    """Write the upstream's response anew for the client: hop-by-hop fields removed, the gate's own added."""
    fields = response_fields(received.status_code, decoded(received.headers.fields), added)
    if head.version == "1.1":
        bodiless = received.status_code in BODILESS or head.method == "HEAD"
        if not bodiless and not any(name.lower() == "content-length" for name, _ in fields):
            fields.append(("transfer-encoding", "chunked"))
        if close or wants_close(head):
            fields.append(("connection", "close"))
    return _response(received.status_code, fields, None, head.version)


def response_of(answer: Answer, version: str, *, close: bool) -> http.Response:
    """Write an answer of the gate's own."""
    fields = list(answer.fields)
    if answer.status not in BODILESS:  # RFC 9110 8.6
        fields.append(("content-length", str(len(answer.body))))
    if close and version == "1.1":
        fields.append(("connection", "close"))
    return _response(answer.status, fields, answer.body, version)


def proceed() -> http.Response:
    """Write what a client waits for before it sends a body."""
    response = http.Response.make(100)
    response.headers.clear()
    return response


def note_answer(capture: Capture | None, event: events.Event) -> None:
    """Have a part of the upstream's answer noted, before anything is made of it."""
    if capture is None:
        return
    if isinstance(event, ResponseHeaders):
        if event.response.status_code >= 200:
            capture.head(event.response.status_code, event.response.headers.fields)
    elif isinstance(event, ResponseData):
        capture.body(event.data)
    elif isinstance(event, ResponseEndOfMessage):
        capture.end()


def _response(status: int, fields: list[tuple[str, str]], body: bytes | None, version: str) -> http.Response:
    response = http.Response.make(status)
    response.headers = http.Headers(encoded(fields))
    response.data.content = body
    response.data.http_version = b"HTTP/1.1" if version == "1.1" else b"HTTP/2.0"
    return response


def decoded(fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Give field lines as text."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]


def encoded(fields: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Give field lines as bytes."""
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in fields]
