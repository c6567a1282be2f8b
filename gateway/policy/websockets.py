"""`websocket` of a route: that its requests open WebSockets, and for how long."""

from collections.abc import Mapping

from gateway.controls.websocket import WebSocketHandshake
from gateway.core.policy import WebSocketSettings
from gateway.policy.nodes import MappingNode, Node, ScalarNode
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader
from gateway.policy.values import Unfit, duration, uri

IDLE = 60.0
LIFETIME = 14_400.0
"""Seconds: what counts where the route says nothing."""

UNFIT = ("idempotency", "velocity")
"""Controls that do not go with it."""

MOST = 86_400.0
"""Seconds that a WebSocket may be open: what was checked at its opening is then a day old."""


def read_websocket(
    reader: Reader, route: Mapping[str, Node], *, signed: bool
) -> tuple[WebSocketSettings, WebSocketHandshake] | None:
    """Read the setting of a route whose fields are given; None where it has none, or one that does not fit.

    `signed` where the answers of the route are signed.
    """
    node = route.get("websocket")
    fields = reader.fields(node, optional=("idle", "lifetime", "origins"))
    if node is None or fields is None:
        return None
    idle = reader.value_or(fields.get("idle"), _time, IDLE)
    lifetime = reader.value_or(fields.get("lifetime"), _time, LIFETIME)
    origins = reader.values(fields.get("origins"), _origin, "origins")
    _check_methods(reader, route.get("match"))
    for rule in UNFIT:
        if rule in route:
            reader.error(
                route[rule], f"`{rule}` on a route that opens WebSockets", "a handshake has neither body nor answer"
            )
    if signed:
        hint = 'what a WebSocket carries is not signed: expected `sign_responses: {off: "the reason"}` on the route'
        reader.error(node, "`websocket` on a route whose answers are signed", hint)
    return WebSocketSettings(idle, lifetime), WebSocketHandshake(None if origins is None else frozenset(origins))


def _check_methods(reader: Reader, match: Node | None) -> None:
    method = match.values.get("method", match.values.get("methods")) if isinstance(match, MappingNode) else None
    if method is None:
        return
    named = [method] if isinstance(method, ScalarNode) else reader.items(method, "methods") or ()
    for node in named:
        if isinstance(node, ScalarNode) and node.text != "GET":
            reader.error(node, f"a WebSocket is not opened with {quoted(node.text)}", "expected GET")


def _time(text: str) -> float:
    seconds = duration(text)
    if not 1 <= seconds <= MOST:
        raise Unfit(f"{quoted(text)} does not fit a WebSocket", "expected from 1s to 24h")
    return seconds


def _origin(text: str) -> str:
    """Read what a browser sends as Origin (RFC 6454 6.2)."""
    scheme, mark, rest = uri(text).partition("://")
    if scheme not in ("http", "https") or not mark or not rest or set("/?#@") & set(rest) or text != text.lower():
        raise Unfit(f"{quoted(text)} is no origin", "expected one such as https://play.example, in lower case")
    return text
