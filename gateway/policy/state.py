"""The section `state`: where counters and nonces live."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from gateway.core.policy import ClientCertificate, Endpoint
from gateway.core.stores import EmbeddedSettings, FailModes, Layout, Login, OnFailure, StateSettings, ValkeySettings
from gateway.policy.inventory import Role, SystemAuthorities
from gateway.policy.nodes import MappingNode, Node
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader
from gateway.policy.references import authorities, key_pair
from gateway.policy.secrets import read_secret
from gateway.policy.values import Unfit, duration, duration_or_zero, host, name, size

DEFAULT_PORT = 6379
SENTINEL_PORT = 26379

MAX_DATABASE = 15

LONGEST_TIMEOUT = 5.0
"""Seconds; every request may wait for as long twice."""

_SCHEMES = {"valkey": False, "valkeys": True, "redis": False, "rediss": True, "unix": False}
"""Of URLs, and whether they mean TLS."""

_REMOTE = ("layout", "service", "sentinel", "user", "password", "ca", "client", "server_name", "url", "urls")
_WHY = 'the reason in words, such as {allow: "the upstream limits as well"}'
_NODES = "expected how many processes share the store: workers, on all machines"

_LETS_PASS = {
    "": "{} lets everything pass while the store cannot answer",
    "lockout": "failed authentications are not counted while the store cannot answer",
}

_STORE = ("embedded", "sync", "timeout", "on_store_failure", "nodes", "after_loss", *_REMOTE)
_BOUNDS = ("replay_entries", "idempotency", "velocity", "secret")
_EXPECTED = "expected a URL such as valkeys://state.internal:6379, or unix:///run/valkey.sock"


def read_state(reader: Reader, node: Node | None) -> StateSettings:
    """Read the whole section."""
    fields = reader.fields(node, optional=(*_BOUNDS, "store", *_STORE)) or {}
    after_loss = reader.value_or(fields.get("after_loss"), duration_or_zero, 0.0)
    store = _read_store(reader, node, fields)
    bounds = _read_bounds(reader, fields)
    return replace(bounds, store=store, on_failure=_read_modes(reader, fields), after_loss=after_loss)


def _read_bounds(reader: Reader, fields: Mapping[str, Node]) -> StateSettings:
    keys = reader.fields(fields.get("idempotency"), optional=("keys", "answers")) or {}
    counters = reader.fields(fields.get("velocity"), optional=("counters",)) or {}
    default = StateSettings()
    return StateSettings(
        reader.whole_number(fields.get("replay_entries"), 1_000, 100_000_000) or default.replay_entries,
        reader.whole_number(keys.get("keys"), 1_000, 100_000_000) or default.keys,
        reader.value_or(keys.get("answers"), size, default.answer_bytes),
        reader.whole_number(counters.get("counters"), 1_000, 100_000_000) or default.counters,
        read_secret(reader, fields.get("secret"), "utf-8", 32),
    )


def _read_store(
    reader: Reader, node: Node | None, fields: Mapping[str, Node]
) -> ValkeySettings | EmbeddedSettings | None:
    kind = reader.choice(fields.get("store"), ("memory", "valkey")) or "memory"
    if kind == "memory":
        _refuse(reader, fields, _STORE, "goes with `store: valkey`")
        return None
    assert isinstance(node, MappingNode)
    timeout = reader.value_or(fields.get("timeout"), _timeout, EmbeddedSettings().timeout)
    embedded = reader.choice(fields.get("embedded"), ("true", "false")) == "true"
    if not embedded:
        _refuse(reader, fields, ("sync",), "goes with `embedded: true`")
        return _read_remote(reader, node, fields, timeout)
    _refuse(reader, fields, _REMOTE, "does not go with `embedded: true`")
    sync = reader.choice(fields.get("sync"), ("always", "everysec")) or "always"
    return EmbeddedSettings(sync == "always", timeout)


def _read_modes(reader: Reader, fields: Mapping[str, Node]) -> FailModes:
    """Read what controls do without their store, and for how many processes each limit must be enough then."""
    given = reader.fields(fields.get("on_store_failure"), optional=("rate_limit", "replay", "lockout")) or {}
    because: list[tuple[str, str]] = []
    modes: dict[str, OnFailure] = {}
    for control, node in given.items():
        if isinstance(node, MappingNode):
            reason = reader.text((reader.fields(node, required=("allow",)) or {}).get("allow"), _WHY)
            modes[control] = OnFailure.ALLOW
            because.append((control, reason or ""))
            reader.warning(node, _LETS_PASS.get(control, _LETS_PASS[""]).format(control), reason or "")
            continue
        choice = reader.choice(node, ("deny", "local"), "mode")
        modes[control] = OnFailure.DENY if choice is None else OnFailure(choice)
    nodes = reader.whole_number(fields.get("nodes"), 1, 10_000)
    if nodes is None and "nodes" not in fields and OnFailure.LOCAL in (modes.get("rate_limit"), modes.get("lockout")):
        reader.error(fields["on_store_failure"], "`local` without `nodes`", _NODES)
    return FailModes(**modes, nodes=nodes or 1, because=tuple(because))


def _refuse(reader: Reader, fields: Mapping[str, Node], keys: tuple[str, ...], why: str) -> None:
    for key in keys:
        if key in fields:
            reader.error(fields[key], f"`{key}` {why}")


def _read_remote(
    reader: Reader, node: MappingNode, fields: Mapping[str, Node], timeout: float
) -> ValkeySettings | None:
    layout = Layout(reader.choice(fields.get("layout"), [one.value for one in Layout]) or Layout.SINGLE.value)
    urls = _read_urls(reader, node, fields, layout)
    service = reader.value(fields.get("service"), name)
    if layout is Layout.SENTINEL and "service" not in fields:
        reader.error(node, "`service` is missing", "expected the name by which the Sentinels know the primary")
    if layout is not Layout.SENTINEL:
        _refuse(reader, fields, ("service", "sentinel"), "goes with `layout: sentinel`")
    login = _login(reader, fields)
    sentinel = reader.fields(fields.get("sentinel"), optional=("user", "password")) or {}
    sentinel_login = _login(reader, sentinel)
    ca, client = authorities(reader, fields.get("ca")), _client(reader, fields.get("client"))
    server_name = reader.value(fields.get("server_name"), host)
    if not urls:
        return None
    tls = urls[0][0]
    if not tls:
        _refuse(reader, fields, ("ca", "client", "server_name"), "has no effect without TLS: write valkeys://")
    elif "ca" not in fields:
        reader.uses(node, Role.AUTHORITY, SystemAuthorities())
    databases = {database for _, _, database in urls}
    return ValkeySettings(
        tuple(server for _, server, _ in urls), layout, service or "", login, sentinel_login, max(databases), tls, ca,
        client, server_name, timeout,
    )  # fmt: skip


type _Url = tuple[bool, Endpoint, int]
"""Whether TLS is spoken, the server, and the number of the database."""


def _read_urls(reader: Reader, node: MappingNode, fields: Mapping[str, Node], layout: Layout) -> list[_Url]:
    def parse(text: str) -> _Url:
        return _url(text, SENTINEL_PORT if layout is Layout.SENTINEL else DEFAULT_PORT)

    if "urls" in fields and "url" in fields:
        reader.error(fields["urls"], "`urls` beside `url`", "put all into `urls`")
        return []
    if "urls" in fields:
        urls = reader.values(fields["urls"], parse, "URLs") or []
        items = list(reader.items(fields["urls"], "URLs") or ())
    else:
        if "url" not in fields:
            reader.error(node, "`url` is missing", "or `embedded: true`, and the gate runs a Valkey of its own")
        one = reader.value(fields.get("url"), parse)
        urls, items = ([], []) if one is None else ([one], [fields["url"]])
    if layout is Layout.SINGLE and len(urls) > 1:
        hint = "write `layout: cluster`, or `layout: sentinel` where these are Sentinels"
        reader.error(fields["urls"], "several servers that are not said to belong together", hint)
    _check_urls(reader, items, urls, layout)
    return urls


def _check_urls(reader: Reader, items: list[Node], urls: list[_Url], layout: Layout) -> None:
    for item, (tls, server, database) in zip(items, urls, strict=False):
        if (tls, database) != (urls[0][0], urls[0][2]):
            reader.error(item, "has another scheme or database than the first one")
        elif not server.port and layout is not Layout.SINGLE:
            reader.error(item, "a socket is no place for several servers")
        elif database and layout is Layout.CLUSTER:
            reader.error(item, "a Cluster has one database only", "leave its number out")
        elif not tls and server.port and not _is_here(server.host):
            hint = "write valkeys:// unless the network between is yours alone"
            reader.warning(item, "goes to another machine in plain text", hint)


def _url(text: str, default_port: int) -> _Url:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Unfit("is no URL", _EXPECTED) from None
    if parts.username is not None or parts.password is not None:
        raise Unfit("credentials do not belong into a URL", "expected `user` and `password` beside it")
    if parts.scheme not in _SCHEMES or "?" in text or "#" in text:
        raise Unfit(f"{quoted(text)} is no URL of a store", _EXPECTED)
    if parts.scheme == "unix":
        path = unquote(parts.path)
        if parts.netloc or not path.startswith("/"):
            raise Unfit(f"{quoted(text)} names no socket", "expected one such as unix:///run/valkey.sock")
        return False, Endpoint(path, 0), 0
    digits = parts.path.strip("/")
    if not parts.hostname or port == 0 or (digits and not (digits.isdecimal() and int(digits) <= MAX_DATABASE)):
        raise Unfit(f"{quoted(text)} is no URL of a store", _EXPECTED)
    named = host(f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname).strip("[]")
    return _SCHEMES[parts.scheme], Endpoint(named, port or default_port), int(digits or 0)


def _is_here(named: str) -> bool:
    try:
        return ip_address(named).is_loopback
    except ValueError:
        return named == "localhost"


def _login(reader: Reader, fields: Mapping[str, Node]) -> Login:
    password = read_secret(reader, fields.get("password"), "utf-8", 1)
    user = reader.value(fields.get("user"), name)
    if "user" in fields and "password" not in fields:
        reader.error(fields["user"], "a user without `password`", "expected `password: env:NAME` or `file:PATH`")
    return Login(user, password)


def _client(reader: Reader, node: Node | None) -> ClientCertificate | None:
    fields = reader.fields(node, required=("certificate", "key"))
    pair = None if fields is None else key_pair(reader, fields.get("certificate"), fields.get("key"))
    return None if pair is None else ClientCertificate(*pair)


def _timeout(text: str) -> float:
    seconds = duration(text)
    if seconds > LONGEST_TIMEOUT:
        raise Unfit(f"{quoted(text)} is too long", "at most 5s: a request may wait for as long twice")
    return seconds
