"""The sections about who stands on the other side: `upstreams` and `issuers`."""

from ipaddress import ip_address

from gateway.core.policy import Issuer, Upstream
from gateway.policy.document import Definition
from gateway.policy.nodes import Node
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader, suggestion
from gateway.policy.references import authorities, key_set
from gateway.policy.values import Unfit, duration, duration_or_zero, origin
from gateway.signing.jwks import ALGORITHMS, KeySet

MAX_SKEW = 300.0
"""Seconds; FAPI 2.0 wants 10 and no more than 60 for what lies ahead."""


def read_upstream(reader: Reader, name: str, definition: Definition) -> Upstream | None:
    """Read one upstream."""
    fields = reader.fields(definition.node, required=("url",), optional=("ca", "timeout"))
    if fields is None:
        return None
    where = reader.value(fields.get("url"), origin)
    ca = authorities(reader, fields.get("ca"))
    timeouts = reader.fields(fields.get("timeout"), optional=("connect", "response")) or {}
    connect = reader.value_or(timeouts.get("connect"), duration, 2.0)
    response = reader.value_or(timeouts.get("response"), duration, 30.0)
    if where is None:
        return None
    scheme, host, port = where
    if scheme == "http" and "ca" in fields:
        reader.error(fields["ca"], "has no effect on an http:// upstream", "use https://, or remove it")
    if scheme == "http" and not _is_loopback(host):
        reader.warning(
            fields["url"], "requests leave this machine unencrypted", "use https://: PCI DSS 4.2.1 asks for it"
        )
    return Upstream(name, scheme, host, port, ca, connect, response)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_issuer(reader: Reader, name: str, definition: Definition) -> tuple[Issuer, KeySet] | None:
    """Read one issuer and its keys."""
    fields = reader.fields(
        definition.node, required=("issuer", "keys", "algorithms"), optional=("skew", "partner_claim")
    )
    if fields is None:
        return None
    claim = reader.text(fields.get("issuer"), "the iss claim of its tokens")
    keys = key_set(reader, fields.get("keys"))
    algorithms = reader.values(fields.get("algorithms"), _algorithm, "algorithms")
    skew = reader.value_or(fields.get("skew"), _skew, 10.0)
    partner_claim = reader.text(fields.get("partner_claim"), "the name of a claim") or "sub"
    if claim is None or keys is None or algorithms is None:
        return None
    _check_keys(reader, fields["algorithms"], algorithms, keys[1])
    return Issuer(name, claim, keys[0], frozenset(algorithms), skew, partner_claim), keys[1]


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
    offered = frozenset[str]().union(*(key.algorithms for key in keys.keys.values()))
    if not offered.intersection(algorithms):
        hint = f"its keys are for {', '.join(sorted(offered))}"
        reader.error(node, "the issuer has no key for any of these algorithms", hint)
