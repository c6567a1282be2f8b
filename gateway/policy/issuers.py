"""The section `issuers`: whose access tokens count, and where their keys come from."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from gateway.core.issuer import Issuer, KeySource
from gateway.policy.document import Definition
from gateway.policy.introspection import read_introspection
from gateway.policy.inventory import Role, SystemAuthorities
from gateway.policy.nodes import MappingNode, Node, ScalarNode
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader, suggestion
from gateway.policy.references import authorities, key_set
from gateway.policy.values import Unfit, duration, duration_or_zero, is_loopback, url
from gateway.signing.jwks import ALGORITHMS, KeySet

MAX_SKEW = 300.0
"""Seconds for exp; what lies ahead is never taken by more than `claims.MAX_AHEAD`."""

SHORTEST_REFRESH = 30.0
"""Seconds; more often would be an attack on the issuer."""

LONGEST_STALE = 86_400.0
"""Seconds; a key that was withdrawn a day ago must not count."""

LONGEST_FETCH = 30.0
"""Seconds; requests wait as long, where no keys are there yet."""

DISCOVERY = "discovery"


def read_issuer(reader: Reader, name: str, definition: Definition) -> tuple[Issuer, KeySet | None] | None:
    """Read one issuer, and its keys where they stand in a file."""
    optional = ("keys", "algorithms", "introspection", "skew", "partner_claim", "profile")
    fields = reader.fields(definition.node, required=("issuer",), optional=optional)
    if fields is None:
        return None
    errors = reader.errors
    claim = reader.text(fields.get("issuer"), "the iss claim of its tokens")
    source, keys = _read_keys(reader, definition, fields.get("keys"), claim)
    algorithms = reader.values(fields.get("algorithms"), _algorithm, "algorithms")
    skew = reader.value_or(fields.get("skew"), _skew, 10.0)
    partner_claim = reader.text(fields.get("partner_claim"), "the name of a claim") or "sub"
    profile = reader.choice(fields.get("profile"), ("jwt", "rfc9068"), "profile") or "jwt"
    introspection = read_introspection(reader, definition, fields.get("introspection"))
    _check_whole(reader, definition.node, fields)
    if keys is not None and algorithms is not None:
        _check_keys(reader, fields["algorithms"], algorithms, keys[1])
    if claim is None or reader.errors > errors:
        return None
    where = source or (keys[0] if keys is not None else None)
    found = Issuer(
        name, claim, where, frozenset(algorithms or ()), skew, partner_claim, profile, introspection
    )  # fmt: skip
    return found, None if keys is None else keys[1]


def _check_whole(reader: Reader, node: Node, fields: Mapping[str, Node]) -> None:
    """Complain of what is missing beside what is there."""
    if not fields.keys() & {"keys", "algorithms", "introspection"}:
        reader.error(node, "`keys` is missing", "or `introspection`, where tokens are opaque")
    for one, other in (("keys", "algorithms"), ("algorithms", "keys")):
        if one in fields and other not in fields:
            reader.error(node, f"`{other}` is missing", f"it goes with `{one}`")
    if "profile" in fields and "keys" not in fields:
        reader.error(fields["profile"], "has no effect on opaque tokens", "remove it")


def _read_keys(
    reader: Reader, definition: Definition, node: Node | None, claim: str | None
) -> tuple[KeySource | None, tuple[Path, KeySet] | None]:
    """Read where keys are fetched, or a file of them."""
    fields: Mapping[str, Node] = {}
    written = node
    if isinstance(node, MappingNode):
        optional = ("ca", "refresh", "stale", "timeout", "plaintext")
        fields = reader.fields(node, required=("from",), optional=optional) or {}
        written = fields.get("from")
    if isinstance(written, ScalarNode) and written.text.startswith(("http:", "https:", DISCOVERY)):
        return _read_source(reader, definition, written, fields, claim), None
    for key in fields.keys() - {"from"}:
        reader.error(fields[key], "has no effect on a file", "files are read anew when they change")
    return None, key_set(reader, written)


def _read_source(
    reader: Reader, definition: Definition, written: ScalarNode, fields: Mapping[str, Node], claim: str | None
) -> KeySource | None:
    errors = reader.errors
    address = None
    if written.text == DISCOVERY:
        _check_discovery(reader, written, claim)
    else:
        address = reader.value(written, url)
    plaintext = reader.text(fields.get("plaintext"), "the reason in words")
    _check_scheme(reader, written, address or claim or "", plaintext=plaintext is not None)
    ca = authorities(reader, fields.get("ca"))
    if "ca" not in fields:
        reader.uses(definition.key, Role.AUTHORITY, SystemAuthorities())
    source = KeySource(
        address,
        ca,
        reader.value_or(fields.get("refresh"), _refresh, 600.0),
        reader.value_or(fields.get("stale"), _stale, 3_600.0),
        reader.value_or(fields.get("timeout"), _timeout, 5.0),
        plaintext is not None,
    )
    return source if reader.errors == errors else None


def _check_discovery(reader: Reader, node: Node, claim: str | None) -> None:
    if claim is None:
        return
    try:
        parts = urlsplit(url(claim))
        if not parts.query:
            return
    except Unfit:
        pass
    hint = "`issuer` must be a URL without query; or name the URL of the keys here"
    reader.error(node, "the issuer has no metadata (RFC 8414 2)", hint)


def _check_scheme(reader: Reader, node: Node, address: str, *, plaintext: bool) -> None:
    """Complain of what is fetched without TLS: whoever stands between could give the gate keys of their own."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return
    if parts.scheme == "https":
        if plaintext:
            reader.error(node, "`plaintext` has no effect on https://", "remove it")
    elif parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        reader.error(node, "keys must not be fetched without TLS", "expected https://")
    elif parts.scheme == "http" and not plaintext:
        hint = 'write {from: "http://…", plaintext: "the issuer runs on this machine"}'
        reader.error(node, "keys would be fetched without TLS", hint)


def _refresh(text: str) -> float:
    seconds = duration(text)
    if seconds < SHORTEST_REFRESH:
        raise Unfit(f"{quoted(text)} would ask the issuer too often", "at least 30s")
    return seconds


def _stale(text: str) -> float:
    seconds = duration_or_zero(text)
    if seconds > LONGEST_STALE:
        raise Unfit(f"{quoted(text)} would let withdrawn keys count for too long", "at most 24h")
    return seconds


def _timeout(text: str) -> float:
    seconds = duration(text)
    if seconds > LONGEST_FETCH:
        raise Unfit(f"{quoted(text)} is too long for callers to wait", "at most 30s")
    return seconds


def _algorithm(text: str) -> str:
    if text in ALGORITHMS:
        return text
    expected = f"expected some of {', '.join(sorted(ALGORITHMS))}"
    if text.lower() == "none":
        raise Unfit("tokens without a signature are never taken", expected)
    if text.upper().startswith("HS"):
        raise Unfit(f"{quoted(text)} is symmetric: whoever can verify could issue", expected)
    raise Unfit(f"{quoted(text)} is no algorithm for tokens", suggestion(text, ALGORITHMS, expected))


def _skew(text: str) -> float:
    seconds = duration_or_zero(text)
    if seconds > MAX_SKEW:
        raise Unfit(f"{quoted(text)} lets expired tokens live on", "at most 5m; 10s is usual")
    return seconds


def _check_keys(reader: Reader, node: Node, algorithms: list[str], keys: KeySet) -> None:
    offered = frozenset[str]().union(*(key.algorithms for key in keys.every))
    if not offered.intersection(algorithms):
        hint = f"its keys are for {', '.join(sorted(offered))}"
        reader.error(node, "the issuer has no key for any of these algorithms", hint)
