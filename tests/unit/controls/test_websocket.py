import pytest

from gateway.controls.websocket import WebSocketHandshake, accept_of
from gateway.core.exchange import Exchange
from gateway.core.message import RequestHead
from gateway.core.reasons import Denied, Reason
from gateway.core.syntax import read_head
from tests import world

HANDSHAKE = {
    "host": "api.example",
    "upgrade": "websocket",
    "connection": "keep-alive, Upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def head(*, method: str = "GET", extra: list[tuple[str, str]] | None = None, **changes: str | None) -> RequestHead:
    fields = HANDSHAKE | {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [(name, value) for name, value in fields.items() if value is not None] + (extra or [])
    raw = [(name.encode(), value.encode()) for name, value in lines]
    return read_head(method=method.encode(), target=b"/v1/feed", version="HTTP/1.1", fields=raw)


def check(request: RequestHead, origins: frozenset[str] | None = None) -> None:
    exchange = Exchange(world.policy(), world.peer(), request, world.NOW)
    assert WebSocketHandshake(origins).check(exchange) == ()


def refusal(request: RequestHead, origins: frozenset[str] | None = None) -> Denied:
    with pytest.raises(Denied) as denied:
        check(request, origins)
    return denied.value


def test_the_answer_to_a_key_is_that_of_the_standard() -> None:
    assert accept_of("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 1.3


def test_a_handshake_passes() -> None:
    check(head())
    check(head(upgrade="WebSocket, h2c", connection="upgrade"))


@pytest.mark.parametrize(
    ("request_head", "fault"),
    [
        (head(method="POST"), "GET"),
        (head(content_length="3"), "GET"),
        (head(upgrade="websockets"), "Upgrade"),
        (head(connection="close"), "Connection"),
        (head(sec_websocket_version="13, 8"), "Sec-WebSocket-Version"),
        (head(extra=[("sec-websocket-version", "8")]), "Sec-WebSocket-Version"),
        (head(extra=[("sec-websocket-key", HANDSHAKE["sec-websocket-key"])]), "Sec-WebSocket-Key"),
        (head(sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ"), "Sec-WebSocket-Key"),
        (head(sec_websocket_key="dGhlIHNhbXBsZSBub25jZTEy"), "Sec-WebSocket-Key"),
        (head(sec_websocket_key="dGhlIHNhbXBs!SBub25jZQ=="), "Sec-WebSocket-Key"),
    ],
)
def test_what_is_no_handshake_is_refused(request_head: RequestHead, fault: str) -> None:
    denied = refusal(request_head)
    assert denied.reason is Reason.WEBSOCKET_HANDSHAKE
    assert fault in denied.detail
    assert ("upgrade", "websocket") in denied.fields


def test_http2_opens_none_and_is_not_told_of_fields_that_it_may_not_have() -> None:
    request = read_head(
        method=b"GET", target=b"/v1/feed", version="HTTP/2", fields=[], authority=b"api.example", ends_with_head=True
    )
    denied = refusal(request)
    assert (denied.reason, denied.fields) == (Reason.WEBSOCKET_HANDSHAKE, ())


@pytest.mark.parametrize("sent", [[], ["https://evil.example"], ["null"], ["https://a.example", "https://a.example"]])
def test_where_origins_are_listed_others_are_refused(sent: list[str]) -> None:
    request = head(extra=[("origin", origin) for origin in sent])
    assert refusal(request, frozenset({"https://a.example"})).reason is Reason.WEBSOCKET_ORIGIN


def test_a_listed_origin_passes_and_without_a_list_any_does() -> None:
    check(head(origin="https://a.example"), frozenset({"https://a.example"}))
    check(head(origin="https://evil.example"))
