"""The header section towards upstream and back: hop-by-hop fields removed, identity set by the gate alone."""

from collections.abc import Iterable

from gateway.core.exchange import Exchange

HOP_BY_HOP = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "http2-settings",
    }
)  # fmt: skip
"""RFC 9110 7.6.1, with the historic ones."""

_SET_ANEW = frozenset({"host", "content-length", "expect", "x-forwarded-for", "x-forwarded-proto"})


def upstream_fields(exchange: Exchange, request_id: str) -> list[tuple[str, str]]:
    """Header section of the request to upstream, without framing, which whoever writes the message adds.

    The caller's own fields in order, less hop-by-hop and identity fields; then what the gate verified. Host is
    the caller's: signatures and links depend on it.
    """
    head = exchange.request
    identity = exchange.policy.identity
    fields = [("host", head.authority)]
    fields += [
        (name, value)
        for name, value in head.headers.fields
        if name not in HOP_BY_HOP and name not in _SET_ANEW and not identity.covers(name)
    ]
    prefix = identity.prefix
    fields.append((f"{prefix}request-id", request_id))
    fields.append((f"{prefix}client-address", str(exchange.client_address)))
    fields.append(("x-forwarded-for", str(exchange.client_address)))
    fields.append(("x-forwarded-proto", "https"))
    if exchange.partner is not None:
        fields.append((f"{prefix}partner", exchange.partner.name))
    if exchange.claims is not None:
        fields.append((f"{prefix}token-subject", field_text(exchange.claims.subject)))
    if exchange.signature is not None:
        fields.append((f"{prefix}signing-key", exchange.signature.key_id))
    return fields


def response_fields(fields: Iterable[tuple[str, str]], added: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Header section of the response to the client: the upstream's less hop-by-hop, then the gate's own.

    A field that the gate sets replaces the upstream's of the same name.
    """
    listed = list(fields)
    own = list(added)
    replaced = {name for name, _ in own}
    named = {
        option.strip().lower() for name, value in listed if name.lower() == "connection" for option in value.split(",")
    }
    return [
        (name, value)
        for name, value in listed
        if name.lower() not in HOP_BY_HOP and name.lower() not in named and name.lower() not in replaced
    ] + own


def field_text(value: str) -> str:
    """Text that is safe as a field value: what is not visible ASCII is percent-encoded (RFC 3986)."""
    return "".join(
        char if "\x21" <= char <= "\x7e" and char != "%" else "".join(f"%{byte:02X}" for byte in char.encode())
        for char in value
    )
