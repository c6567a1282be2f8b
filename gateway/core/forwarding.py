"""The header section towards upstream and back: hop-by-hop fields removed, identity set by the gate alone."""

import re
from collections.abc import Iterable, Sequence

from gateway.core.exchange import Exchange
from gateway.core.memo import Memo
from gateway.core.networks import address_text

HOP_BY_HOP = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "http2-settings",
    }
)  # fmt: skip
"""RFC 9110 7.6.1, with the historic ones."""

_NOT_PASSED_ON = HOP_BY_HOP | {"host", "content-length", "expect", "x-forwarded-for", "x-forwarded-proto"}
"""Hop-by-hop fields, and those that are set anew."""

LOWERED = Memo[str | bytes, str](lambda name: _text(name).lower(), longest=64)
"""Names of fields in lower case, whether they came as text or as bytes."""

_NAMED = Memo[str | bytes, frozenset[str]](
    lambda value: frozenset(option.strip().lower() for option in _text(value).split(",")), longest=64
)
"""Names in values of Connection."""

_VISIBLE = re.compile(r"[!-$&-~]*\Z")
"""Visible ASCII but for the percent sign."""


def upstream_fields(exchange: Exchange, request_id: str) -> list[tuple[str, str]]:
    """Header section of the request to upstream, without framing, which whoever writes the message adds.

    The caller's own fields in order, less hop-by-hop and identity fields; then what the gate verified. Host is
    the caller's, since signatures and links depend on it, where the upstream is not known by another.
    """
    head, identity = exchange.request, exchange.policy.identity
    verified, _ = _verified(exchange)
    return [
        ("host", _host(exchange)),
        *[line for line in head.headers.fields if line[0] not in _NOT_PASSED_ON and not identity.covered[line[0]]],
        (identity.request_id, request_id),
        *verified,
    ]


def upstream_lines(exchange: Exchange, request_id: str) -> str:
    """Give the same section as HTTP/1.1 has it, each line with its end: put together at once, for every request."""
    head, identity = exchange.request, exchange.policy.identity
    covered = identity.covered
    passed_on = [
        f"{name}: {value}\r\n"
        for name, value in head.headers.fields
        if name not in _NOT_PASSED_ON and not covered[name]
    ]
    _, verified = _verified(exchange)
    return f"host: {_host(exchange)}\r\n{''.join(passed_on)}{identity.request_id}: {request_id}\r\n{verified}"


def field_lines(fields: Iterable[tuple[str, str]]) -> str:
    """Write field lines as HTTP/1.1 has them."""
    return "".join([f"{name}: {value}\r\n" for name, value in fields])


def _host(exchange: Exchange) -> str:
    named = None if exchange.route is None else exchange.route.upstream.authority
    return exchange.request.authority if named is None else named


def _verified(exchange: Exchange) -> tuple[tuple[tuple[str, str], ...], str]:
    """Give what the gate says of the caller, as fields and as a message has them."""
    address = address_text(exchange.client_address)
    partner = None if exchange.partner is None else exchange.partner.name
    subject = None if exchange.claims is None else exchange.claims.subject
    key_id = None if exchange.signature is None else exchange.signature.key_id
    verified = exchange.policy.identity.verified
    said = address, partner, subject, key_id, *exchange.marks
    known = verified.get(said)
    if known is None:
        fields = _fields_of(exchange, address)
        known = verified.keep(said, (fields, field_lines(fields)))
    return known


def _fields_of(exchange: Exchange, address: str) -> tuple[tuple[str, str], ...]:
    prefix = exchange.policy.identity.prefix
    fields = [
        (f"{prefix}client-address", address),
        ("x-forwarded-for", address),
        ("x-forwarded-proto", "https"),
    ]
    if exchange.partner is not None:
        fields.append((f"{prefix}partner", exchange.partner.name))
    if exchange.marks:
        fields.append((f"{prefix}marks", field_text(",".join(exchange.marks))))
    if exchange.claims is not None:
        fields.append((f"{prefix}token-subject", field_text(exchange.claims.subject)))
    if exchange.signature is not None:
        fields.append((f"{prefix}signing-key", exchange.signature.key_id))
    return tuple(fields)


def passed_back[Text: (str, bytes)](
    status: int, fields: Iterable[tuple[Text, Text]], own: Iterable[tuple[str, str]]
) -> list[tuple[str, tuple[Text, Text]]]:
    """Fields of an upstream's response that go on to the client, each with its name in lower case.

    Not those of its connection with the gate, nor those that the gate sets itself: `own`, names in lower case. Nor a
    length where the status allows none (RFC 9110 8.6).
    """
    removed = {name for name, _ in own}
    if status == 204 or status < 200:
        removed.add("content-length")
    listed = [(LOWERED[line[0]], line) for line in fields]
    for name, line in listed:
        if name == "connection":
            removed |= _NAMED[line[1]]
    return [one for one in listed if one[0] not in HOP_BY_HOP and one[0] not in removed]


def response_fields(
    status: int, fields: Iterable[tuple[str, str]], own: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Header section of the response to the client: what is passed back of the upstream's, then the gate's own."""
    return [*(line for _, line in passed_back(status, fields, own)), *own]


def _text(raw: str | bytes) -> str:
    return raw.decode("latin-1") if isinstance(raw, bytes) else raw


def field_text(value: str) -> str:
    """Text that is safe as a field value: what is not visible ASCII is percent-encoded (RFC 3986)."""
    if _VISIBLE.match(value):
        return value
    return "".join(
        char if "\x21" <= char <= "\x7e" and char != "%" else "".join(f"%{byte:02X}" for byte in char.encode())
        for char in value
    )
