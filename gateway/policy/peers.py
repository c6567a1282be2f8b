"""The section `upstreams`: where allowed requests go."""

from collections.abc import Mapping

from gateway.core.policy import ClientCertificate, Endpoint, Upstream
from gateway.policy.document import Definition
from gateway.policy.inventory import Role, SystemAuthorities
from gateway.policy.nodes import Node
from gateway.policy.outward import Outward
from gateway.policy.reader import Reader
from gateway.policy.references import authorities, key_pair
from gateway.policy.values import DEFAULT_PORTS, authority, duration, host, is_loopback, origin

PRESERVE, UPSTREAM = "preserve", "upstream"
"""In place of a host: the one that the caller named, or the one of the upstream's URL."""


def read_upstream(reader: Reader, name: str, definition: Definition, outward: Outward | None = None) -> Upstream | None:
    """Read one upstream; `outward` reads how requests to it are signed."""
    optional = ("url", "urls", "ca", "client", "server_name", "host", "timeout", "sign")
    fields = reader.fields(definition.node, optional=optional)
    if fields is None:
        return None
    origins = _read_origins(reader, definition.node, fields)
    ca = authorities(reader, fields.get("ca"))
    client = _read_client(reader, fields.get("client"))
    server_name = reader.value(fields.get("server_name"), host)
    said = reader.value(fields.get("host"), _named)
    timeouts = reader.fields(fields.get("timeout"), optional=("connect", "response")) or {}
    connect = reader.value_or(timeouts.get("connect"), duration, 2.0)
    response = reader.value_or(timeouts.get("response"), duration, 30.0)
    signer = None if outward is None else outward.requests(fields.get("sign"))
    if not origins:
        return None
    if said == UPSTREAM and len(origins) > 1:
        reader.error(fields["host"], "several endpoints have no one host", "write the host they all answer to")
    scheme = origins[0][0]
    for key in ("ca", "client", "server_name"):
        if scheme == "http" and key in fields:
            reader.error(fields[key], "has no effect on an http:// upstream", "use https://, or remove it")
    if scheme == "https" and "ca" not in fields:
        reader.uses(definition.key, Role.AUTHORITY, SystemAuthorities())
    return Upstream(
        name,
        scheme,
        tuple(Endpoint(named, port) for _, named, port in origins),
        ca,
        client,
        None if server_name is None else server_name.strip("[]"),
        _authority(said, *origins[0]),
        connect,
        response,
        signer,
    )


def _named(text: str) -> str:
    """Read which Host requests carry: the caller's, the URL's, or one that is written out."""
    return text if text in (PRESERVE, UPSTREAM) else authority(text)


def _authority(said: str | None, scheme: str, named: str, port: int) -> str | None:
    """Give the Host field; None for the caller's."""
    if said == UPSTREAM:
        bracketed = f"[{named}]" if ":" in named else named
        return bracketed if port == DEFAULT_PORTS[scheme] else f"{bracketed}:{port}"
    return None if said == PRESERVE else said


def _read_origins(reader: Reader, node: Node, fields: Mapping[str, Node]) -> list[tuple[str, str, int]] | None:
    """Read scheme, host and port of each endpoint; all have one scheme."""
    several = fields.get("urls")
    if several is None:
        if "url" not in fields:
            reader.error(node, "`url` is missing", "or `urls`, a list of endpoints")
        one = reader.value(fields.get("url"), origin)
        if one is None:
            return None
        _warn_of_plaintext(reader, fields["url"], one)
        return [one]
    if "url" in fields:
        reader.error(several, "`urls` beside `url`", "put all into `urls`")
    origins = reader.values(several, origin, "URLs")
    if origins is None:
        return None
    scheme = origins[0][0]
    for item, each in zip(reader.items(several, "URLs") or (), origins, strict=True):
        if each[0] != scheme:
            reader.error(item, f"is {each[0]}://, the first one {scheme}://", "one scheme for all endpoints")
        else:
            _warn_of_plaintext(reader, item, each)
    return origins


def _read_client(reader: Reader, node: Node | None) -> ClientCertificate | None:
    """Read the files of the gate's own certificate towards the upstream."""
    fields = reader.fields(node, required=("certificate", "key"))
    pair = None if fields is None else key_pair(reader, fields.get("certificate"), fields.get("key"))
    return None if pair is None else ClientCertificate(*pair)


def _warn_of_plaintext(reader: Reader, node: Node, where: tuple[str, str, int]) -> None:
    scheme, named, _ = where
    if scheme == "http" and not is_loopback(named):
        reader.warning(node, "requests leave this machine unencrypted", "use https://: PCI DSS 4.2.1 asks for it")
