"""Requests that the gate signs towards upstream: as they go out, with a whole body, by the gate's own key."""

from typing import NamedTuple

from gateway.controls.signature import SignatureControl
from gateway.core.message import Headers, RequestHead
from gateway.core.outgoing import Fields, RequestSigner
from gateway.core.policy import Route
from gateway.core.reasons import Denied
from gateway.engine.gate import Handling

_SET_ANEW = frozenset({"content-length"})
"""Written by whoever writes the message."""


class Outgoing(NamedTuple):
    """A request as it goes upstream, but for the framing of its body."""

    head: RequestHead
    fields: Fields
    body: bytes


def outgoing(handling: Handling, signer: RequestSigner | None, fields: Fields, body: bytes) -> Outgoing | Denied:
    """Give the request as it goes upstream: as it is, or signed; or why it cannot be."""
    if signer is None:
        return Outgoing(_allowed(handling)[0], fields, body)
    try:
        return signed_request(handling, signer, fields, body)
    except Denied as denied:
        return denied


def signed_request(handling: Handling, signer: RequestSigner, fields: Fields, body: bytes) -> Outgoing:
    """Sign a request whose header section towards upstream is `fields`, Host among them.

    The caller's own signature and digest are left out: they are about another message, or say what nobody checked.
    Raises Denied(REQUEST_UNSIGNABLE).
    """
    received, route = _allowed(handling)
    removed = signer.replaces | _carriers(route)
    kept = [line for line in fields if line[0].lower() not in removed]
    head = received._replace(
        authority=next(value for name, value in fields if name == "host"),
        headers=Headers([*((name.lower(), value) for name, value in kept), ("content-length", str(len(body)))]),
        content_length=len(body),
        has_body=bool(body),
    )
    added = signer.sign(head, body, handling.stamp)
    own = [line for line in added.fields if line[0] not in _SET_ANEW]
    names = {name for name, _ in own}
    body = body if added.body is None else added.body
    sent = received._replace(target=added.target or received.target, has_body=received.has_body or bool(body))
    return Outgoing(sent, [*(line for line in kept if line[0].lower() not in names), *own], body)


def _allowed(handling: Handling) -> tuple[RequestHead, Route]:
    decision = handling.decision
    if decision is None or decision.exchange.route is None:
        raise RuntimeError("only an allowed request goes upstream")
    return decision.exchange.request, decision.exchange.route


def _carriers(route: Route) -> frozenset[str]:
    """Name the fields that carried the caller's signature."""
    schemes = [control.scheme for control in route.chain if isinstance(control, SignatureControl)]
    return frozenset(name for scheme in schemes for name in scheme.carriers)
