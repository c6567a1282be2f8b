"""What an issuer's entry says of asking it about tokens."""

from collections.abc import Callable
from urllib.parse import urlsplit

from gateway.core.issuer import Introspection
from gateway.policy.document import Definition
from gateway.policy.inventory import Role, SystemAuthorities
from gateway.policy.nodes import Node
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader
from gateway.policy.references import authorities, key_pair
from gateway.policy.secrets import read_secret
from gateway.policy.values import Unfit, duration, duration_or_zero, is_loopback, url

LONGEST_CACHE = 300.0
"""Seconds; a token that its issuer revoked goes on counting for as long."""

LONGEST_NEGATIVE = 60.0
"""Seconds; a token that is good by now is refused for as long."""

LONGEST_QUESTION = 30.0
"""Seconds that a request waits."""

LEAST_SECRET = 16
"""Bytes; it is another's to choose."""


def read_introspection(reader: Reader, definition: Definition, node: Node | None) -> Introspection | None:
    """Read how an issuer is asked about tokens."""
    optional = ("client_id", "client_secret", "client", "ca", "cache", "cache_negative", "timeout", "plaintext")
    fields = reader.fields(node, required=("url",), optional=optional)
    if node is None or fields is None:
        return None
    errors = reader.errors
    address = reader.value(fields.get("url"), url)
    plaintext = reader.text(fields.get("plaintext"), "the reason in words")
    if address is not None:
        _check_scheme(reader, fields["url"], address, plaintext=plaintext is not None)
    client_id = reader.text(fields.get("client_id"), "the id of the gate at the issuer")
    secret = read_secret(reader, fields.get("client_secret"), "utf-8", LEAST_SECRET)
    if ("client_id" in fields) != ("client_secret" in fields):
        reader.error(node, "`client_id` and `client_secret` go together", "or `client`, the gate's own certificate")
    if not fields.keys() & {"client_id", "client_secret", "client"}:
        hint = "expected `client_id` and `client_secret`, or `client`"
        reader.error(node, "nothing authenticates the gate (RFC 7662 2.1)", hint)
    client = reader.fields(fields.get("client"), required=("certificate", "key"))
    pair = None if client is None else key_pair(reader, client.get("certificate"), client.get("key"))
    ca = authorities(reader, fields.get("ca"))
    if "ca" not in fields:
        reader.uses(definition.key, Role.AUTHORITY, SystemAuthorities())
    cache = reader.value_or(fields.get("cache"), lambda text: _at_most(text, duration_or_zero, LONGEST_CACHE), 30.0)
    negative = reader.value_or(
        fields.get("cache_negative"), lambda text: _at_most(text, duration_or_zero, LONGEST_NEGATIVE), 5.0
    )
    timeout = reader.value_or(fields.get("timeout"), lambda text: _at_most(text, duration, LONGEST_QUESTION), 2.0)
    if address is None or reader.errors > errors:
        return None
    certificate, key = pair or (None, None)
    return Introspection(address, client_id, secret, certificate, key, ca, cache, negative, timeout)


def _check_scheme(reader: Reader, node: Node, address: str, *, plaintext: bool) -> None:
    """Complain of tokens and secrets that would be sent without TLS."""
    parts = urlsplit(address)
    if parts.scheme == "https":
        if plaintext:
            reader.error(node, "`plaintext` has no effect on https://", "remove it")
    elif not is_loopback(parts.hostname or ""):
        reader.error(node, "tokens must not leave this machine without TLS", "expected https://")
    elif not plaintext:
        hint = 'write `plaintext: "the issuer runs on this machine"` beside it'
        reader.error(node, "tokens would be sent without TLS", hint)


def _at_most(text: str, read: Callable[[str], float], most: float) -> float:
    seconds = read(text)
    if seconds > most:
        raise Unfit(f"{quoted(text)} is too long", f"at most {most:.0f}s")
    return seconds
