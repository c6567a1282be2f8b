"""The sections about the gate itself: `listener`, `listeners`, `identity`, `state`."""

from collections.abc import Mapping
from dataclasses import fields as settings_of

from cryptography import x509

from gateway.core.forwarding import HOP_BY_HOP
from gateway.core.message import Address
from gateway.core.networks import Network, NetworkSet
from gateway.core.policy import IdentityFields, Limits, Listener, ListenerTls, NamedCertificate
from gateway.pki.inspect import dns_names
from gateway.policy.document import Definition
from gateway.policy.inventory import Owner
from gateway.policy.nodes import Node
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader
from gateway.policy.references import authorities, key_pair
from gateway.policy.revocation import read_revocation
from gateway.policy.values import Unfit, duration, field_name, network, size, socket_address

LEAST_HEAD = 1_024
"""Bytes: a smaller head takes no request with a token."""

PROFILES = {"modern": "1.3", "intermediate": "1.2"}
"""Mozilla's profiles of TLS, and the version with which each begins. Suites and groups are the same."""

PROTOCOLS = ("h2", "http/1.1")
"""What may be agreed on (ALPN), the preferred one first."""

_DURATIONS = tuple(each.name for each in settings_of(Limits) if each.name.endswith("_timeout"))


def read_listeners(reader: Reader, definitions: Mapping[str, Definition]) -> dict[str, Listener]:
    """Read every listener; two that want the same address are a problem."""
    found: dict[str, Listener] = {}
    taken: list[tuple[Address, int, Node]] = []
    for name, definition in definitions.items():
        reader.owner = Owner("listener", name)
        fields = reader.fields(
            definition.node, required=("address", "tls"), optional=("trusted_proxies", "proxy_protocol", "limits")
        )
        if fields is None:
            continue
        bound = reader.value(fields.get("address"), socket_address)
        if bound is not None:
            _check_free(reader, fields["address"], bound, taken)
        tls = _read_tls(reader, fields.get("tls"))
        proxies = NetworkSet(reader.values(fields.get("trusted_proxies"), _proxy, "networks") or ())
        required = _read_proxy_protocol(reader, fields)
        limits = _read_limits(reader, fields.get("limits"))
        if bound is not None and tls is not None:
            found[name] = Listener(name, str(bound[0]), bound[1], tls, proxies, required, limits)
    return found


def _check_free(reader: Reader, node: Node, bound: tuple[Address, int], taken: list[tuple[Address, int, Node]]) -> None:
    address, port = bound
    for other, other_port, first in taken:
        everywhere = address.is_unspecified or other.is_unspecified
        if port and port == other_port and (address == other or everywhere):
            reader.error(node, f"port {port} is taken by another listener", f"the one at {first.place}")
    taken.append((address, port, node))


def _read_tls(reader: Reader, node: Node | None) -> ListenerTls | None:
    fields = reader.fields(
        node,
        required=("certificate", "key", "client_ca"),
        optional=("minimum", "profile", "alpn", "certificates", "client_certificate", "revocation"),
    )
    if fields is None:
        return None
    pair = key_pair(reader, fields.get("certificate"), fields.get("key"))
    client_ca = authorities(reader, fields.get("client_ca"))
    minimum = _read_minimum(reader, fields)
    alpn = reader.values(fields.get("alpn"), _protocol, "protocols") or PROTOCOLS
    others = _read_others(reader, fields.get("certificates"))
    client = reader.choice(fields.get("client_certificate"), ("required", "optional"))
    revocation = read_revocation(reader, fields.get("revocation"))
    if pair is None or client_ca is None:
        return None
    return ListenerTls(*pair, client_ca, minimum, client != "optional", revocation, others, tuple(alpn))


def _read_minimum(reader: Reader, fields: Mapping[str, Node]) -> str:
    """Read the lowest version: that of the profile, unless `minimum` says it."""
    profile = reader.choice(fields.get("profile"), tuple(PROFILES), "profile") or "intermediate"
    minimum = reader.choice(fields.get("minimum"), ("1.2", "1.3"), "TLS version") or PROFILES[profile]
    if "minimum" in fields and minimum < PROFILES[profile]:
        reader.error(fields["minimum"], f"the profile {quoted(profile)} begins with {PROFILES[profile]}", "remove one")
    return minimum


def _protocol(text: str) -> str:
    if text not in PROTOCOLS:
        raise Unfit(f"{quoted(text)} is no protocol of the gate", f"expected {' or '.join(PROTOCOLS)}")
    return text


def _read_others(reader: Reader, node: Node | None) -> tuple[NamedCertificate, ...]:
    """Read further certificates; each is shown to whoever asks for one of its DNS names."""
    found: list[NamedCertificate] = []
    taken: dict[str, Node] = {}
    for item in reader.items(node, "certificates") or ():
        fields = reader.fields(item, required=("certificate", "key"))
        shown = len(reader.material)
        pair = None if fields is None else key_pair(reader, fields.get("certificate"), fields.get("key"))
        if pair is None:
            continue
        leaf = reader.material[shown].what
        names = tuple(dict.fromkeys(dns_names(leaf))) if isinstance(leaf, x509.Certificate) else ()
        if not names:
            reader.error(item, "the certificate has no DNS name", "nobody could ask for it: have it issued with one")
        for name in names:
            first = taken.setdefault(name, item)
            if first is not item:
                reader.error(item, f"{quoted(name)} is a name of another certificate too", f"see {first.place}")
        found.append(NamedCertificate(*pair, names))
    return tuple(found)


def _read_proxy_protocol(reader: Reader, fields: Mapping[str, Node]) -> bool:
    demanded = reader.choice(fields.get("proxy_protocol"), ("required", "off")) == "required"
    if demanded and "trusted_proxies" not in fields:
        reader.error(fields["proxy_protocol"], "needs `trusted_proxies`", "list the load balancer's addresses")
    return demanded


def _proxy(text: str) -> Network:
    proxy = network(text)
    if proxy.prefixlen == 0:
        raise Unfit("every caller could name its own address", "expected the load balancer's addresses")
    return proxy


def _read_limits(reader: Reader, node: Node | None) -> Limits:
    fields = reader.fields(node, optional=tuple(each.name for each in settings_of(Limits))) or {}
    default = Limits()
    head = reader.value_or(fields.get("head"), size, default.head)
    if head < LEAST_HEAD:
        reader.error(fields["head"], "too small for any request", "at least 1KiB")
    return Limits(
        head=head,
        fields=reader.whole_number(fields.get("fields"), 10, 1_000) or default.fields,
        connections=reader.whole_number(fields.get("connections"), 1, 1_000_000) or default.connections,
        **{name: reader.value_or(fields.get(name), duration, getattr(default, name)) for name in _DURATIONS},
    )


def read_identity(reader: Reader, node: Node | None) -> IdentityFields:
    """Read which fields only the gate may set. What is stripped anyway stays so; the policy adds to it."""
    default = IdentityFields()
    fields = reader.fields(node, optional=("prefix", "strip")) or {}
    prefix = reader.value_or(fields.get("prefix"), _field_prefix, default.prefix)
    patterns = reader.values(fields.get("strip"), _field_pattern, "field names") or []
    return IdentityFields(
        prefix=prefix,
        names=default.names | {pattern for pattern in patterns if not pattern.endswith("*")},
        prefixes=tuple(
            dict.fromkeys((prefix, *default.prefixes, *(pattern[:-1] for pattern in patterns if pattern.endswith("*"))))
        ),
    )


def _field_prefix(text: str) -> str:
    prefix = field_name(text)
    if not prefix.endswith("-"):
        raise Unfit(
            f"{quoted(text)} is no prefix of field names", "expected one that ends with `-`, such as x-gateway-"
        )
    return prefix


def _field_pattern(text: str) -> str:
    if text.endswith("*"):
        return _field_prefix(text[:-1]) + "*"
    named = field_name(text)
    if "*" in named:
        raise Unfit(f"{quoted(text)} has a `*` in the middle", "expected a field name, or a prefix such as x-foo-*")
    if named in HOP_BY_HOP or named in ("host", "content-length"):
        raise Unfit(f"{quoted(text)} is removed or set anew anyway")
    return named
