"""What a signature that does not match would have matched: for the operator's log, never for the caller.

Vendors and partners get integrations wrong in the same few ways. Each is tried once, with the request changed as the
signer seems to have seen it:

1. another of the partner's keys, in force or not
2. the body without or with a line feed at its end
3. JSON written anew: without white space, with the white space of many libraries
4. the path with or without a slash at its end
5. the target without its query
6. the host with or without a port
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.core.message import Headers, Instant, RequestHead
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied, Reason
from gateway.signing.scheme import Scheme
from gateway.signing.window import Window

MAX_ATTEMPTS = 8
"""Signatures that are checked to explain one that does not match."""

MAX_OTHER_KEYS = 3

MAX_BODY = 65_536
"""Bytes of a body that is looked at: a longer one is not written anew."""

EVERY = 1.0
"""Seconds between two explanations for one partner: bad signatures are refused as fast as good ones are taken."""

MAX_PARTNERS = 4_096

EXPLAINED = frozenset({Reason.SIGNATURE_MISMATCH, Reason.SIGNATURE_DIGEST})


class Variant(NamedTuple):
    """A request as its signer may have seen it."""

    words: str
    head: RequestHead
    body: bytes
    keys: tuple[SigningKey, ...]


class Failed(NamedTuple):
    """A check that failed."""

    scheme: Scheme[Any]
    presented: object
    keys: tuple[SigningKey, ...]
    window: Window


def explain(failed: Failed, head: RequestHead, body: bytes, others: Iterable[SigningKey], now: Instant) -> str:
    """Say what the signature matches instead; nothing where it matches nothing that was tried."""
    scheme, presented, keys, window = failed
    for count, variant in enumerate(variants(head, body, keys, others, now)):
        if count == MAX_ATTEMPTS:
            break
        try:
            scheme.match(variant.head, variant.body, presented, variant.keys, window)
        except (Denied, ValueError, TypeError):
            continue
        return variant.words
    return ""


def variants(
    head: RequestHead, body: bytes, keys: tuple[SigningKey, ...], others: Iterable[SigningKey], now: Instant
) -> Iterator[Variant]:
    """Give what is tried, the likeliest first."""
    algorithms = {key.algorithm for key in keys}
    tried = {key.id for key in keys}
    fitting = [key for key in others if key.id not in tried and key.algorithm in algorithms]
    for key in fitting[:MAX_OTHER_KEYS]:
        yield Variant(f"matches with {_named(key, now)}", head, body, (key,))
    for words, changed in _bodies(body):
        yield Variant(f"matches {words}", head, changed, keys)
    for words, other in _heads(head):
        yield Variant(f"matches {words}", other, body, keys)


def _named(key: SigningKey, now: Instant) -> str:
    if key.in_force(now):
        return f"the partner's key {key.id!r}"
    if key.not_after is not None and key.not_after <= now:
        return f"the previous key {key.id!r}, which ended {now - key.not_after:.0f} s ago"
    return f"the coming key {key.id!r}, which begins in {(key.not_before or now) - now:.0f} s"


def _bodies(body: bytes) -> Iterator[tuple[str, bytes]]:
    if not body or len(body) > MAX_BODY:
        return
    stripped = body.rstrip(b"\r\n")
    if stripped != body:
        yield "without the trailing newline", stripped
    else:
        yield "with a trailing newline", body + b"\n"
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return
    if not isinstance(value, dict | list):
        return
    for words, separators in (("without white space", (",", ":")), ("with white space", (", ", ": "))):
        try:
            text = json.dumps(value, separators=separators, ensure_ascii=False).encode()
        except (ValueError, RecursionError):  # lone surrogates, among others
            return
        if text != body:
            yield f"the re-serialised JSON, {words}", text


def _heads(head: RequestHead) -> Iterator[tuple[str, RequestHead]]:
    path = head.path[:-1] if head.path.endswith("/") and head.path != "/" else f"{head.path}/"
    words = "without the trailing slash of its path" if len(path) < len(head.path) else "with a slash after its path"
    yield words, _targeted(head, path, head.query)
    if head.query is not None:
        yield "without its query", _targeted(head, head.path, None)
    port = head.authority.removeprefix(head.host)
    if head.authority.lower() != head.host:
        yield "without the port in its host", _hosted(head, head.authority.removesuffix(port))
    else:
        yield "with the port 443 in its host", _hosted(head, f"{head.authority}:443")


def _targeted(head: RequestHead, path: str, query: str | None) -> RequestHead:
    return head._replace(path=path, query=query, target=path if query is None else f"{path}?{query}")


def _hosted(head: RequestHead, authority: str) -> RequestHead:
    fields = [(name, authority if name == "host" else value) for name, value in head.headers.fields]
    return head._replace(authority=authority, headers=Headers(fields))


@dataclass(slots=True)
class Explanations:
    """Explains failed signatures, no more often than EVERY for each partner.

    It keeps when each partner's last one was explained, and nothing else.
    """

    _last: dict[str, Instant] = field(default_factory=dict)

    def may_explain(self, partner: str, now: Instant) -> bool:
        """Whether a failure of the partner is explained now; counts it."""
        last = self._last.get(partner)
        if last is not None and 0 <= now - last < EVERY:
            return False
        if len(self._last) >= MAX_PARTNERS:
            self._last.clear()
        self._last[partner] = now
        return True
