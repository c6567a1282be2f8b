"""Keyed digests of values that must not stand in the log, so that records about one player can be found together.

Who has the key can make the digest of a value and look for it; who has the log alone can neither read the values nor
try them out.
"""

from urllib.parse import parse_qsl

import orjson

from gateway.core.exchange import Exchange
from gateway.core.message import RequestHead
from gateway.core.publication import DigestOf, Digests

MOST_VALUES = 4
"""Digests of one place, where a value stands there several times."""
MOST_PARAMETERS = 256
"""Parameters of a query that are looked through; one with more has no digests."""


def digests(exchange: Exchange, settings: Digests) -> dict[str, str | list[str]]:
    """Give the digests of a request by the names that the policy gives the places; without what is absent."""
    made: dict[str, str | list[str]] = {}
    mac = settings.secret.mac("sha256")
    for of in settings.of:
        found = [mac.digest(value.encode("utf-8", "surrogatepass")).hex() for value in _values(exchange, of)]
        if found:
            made[of.label] = found[0] if len(found) == 1 else found[:MOST_VALUES]
    return made


def _values(exchange: Exchange, of: DigestOf) -> list[str]:
    """Give the values that stand at a place."""
    head, found = exchange.head, list[object]()
    if of.place == "claim":
        found = [] if exchange.claims is None else [exchange.claims.all.get(of.name)]
    elif head is None:
        return []
    elif of.place == "header":
        found = list(head.headers.all(of.name))
    elif of.place == "query":
        found = list(_parameters(head, of.name))
    elif exchange.body:
        found = [_pointed(exchange.body, of.name)]
    return [text for text in map(_text, found) if text is not None]


def _parameters(head: RequestHead, name: str) -> list[str]:
    try:
        pairs = parse_qsl(head.query or "", keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError:
        return []
    return [value for key, value in pairs if key == name]


def _pointed(body: bytes, pointer: str) -> object:
    """Give what a JSON pointer (RFC 6901) leads to; None where it leads nowhere, or the body is no JSON."""
    try:
        value = orjson.loads(body)
    except ValueError:
        return None
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and len(key) < 6 and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def _text(value: object) -> str | None:
    """Give text, and numbers as JSON writes them; nothing else has a digest."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return orjson.dumps(value).decode()
    return None
