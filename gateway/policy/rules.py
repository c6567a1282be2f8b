"""What must hold between the parts of a policy: of a route's controls, of its partners, and of all routes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from gateway.controls.concurrency import Concurrency
from gateway.controls.idempotency import Idempotency, SignedKey
from gateway.controls.ip_allowlist import IpAllowlist
from gateway.controls.mutual_tls import MutualTls
from gateway.controls.partner_rates import PartnerRates
from gateway.controls.rate_limit import RateLimits, RouteLimit
from gateway.controls.replay import Replay
from gateway.controls.signature import SignatureControl
from gateway.controls.token import TokenControl
from gateway.controls.velocity import Velocity
from gateway.core.policy import Match, Partner, SwitchedOff
from gateway.core.routing import overlap
from gateway.policy.nodes import MappingNode, Node
from gateway.policy.partner_rates import check_own_limits, lists
from gateway.policy.partners import PartnerEntry
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader
from gateway.policy.routes import RouteEntry
from gateway.policy.token_settings import check_ties

SHARED_STATE_HINT = "write `state: {store: valkey, embedded: true}`, or run with --workers 1"


def check_route(reader: Reader, route: RouteEntry, everyone: Mapping[str, PartnerEntry]) -> None:
    """Complain of controls that need what the route does without, and of partners that cannot pass them."""
    _check_identification(reader, route)
    _check_rates(reader, route, everyone)
    _check_replay(reader, route)
    _check_money(reader, route)
    _check_token(reader, route)
    _check_partners(reader, route, everyone)


def _off(route: RouteEntry, *controls: str) -> bool:
    """Whether all of these controls are switched off in words."""
    return all(isinstance(route.settings.get(control), SwitchedOff) for control in controls)


def _check_identification(reader: Reader, route: RouteEntry) -> None:
    """Complain where nobody can be told from others: certificate comes first, then token, then a signature's key id."""
    signature = route.control(SignatureControl)
    if route.partners is not None and _off(route, "mutual_tls", "token", "signature"):
        hint = 'switch on mutual_tls, token or signature, or write `partners: {off: "the reason"}`'
        reader.error(route.nodes["partners"], "no control of the route can tell who calls", hint)
    allowlist = route.control(IpAllowlist)
    if allowlist is not None and allowlist.networks is None and _off(route, "mutual_tls"):
        hint = "list networks here: token and signature are checked later"
        reader.error(route.nodes["ip_allowlist"], "without mutual_tls, nobody knows yet whose networks count", hint)
    if signature is None:
        return
    if not signature.scheme.names_key and _off(route, "mutual_tls", "token"):
        hint = "switch on mutual_tls or token, or add `key_id` to the scheme"
        reader.error(route.nodes["signature"], "the scheme has no key id that would tell whose keys count", hint)
    carrier = "authorization"
    if carrier in signature.scheme.carriers and route.control(TokenControl) is not None:
        reader.error(route.nodes["signature"], f"field {quoted(carrier)} cannot carry both token and signature")


def _limits(route: RouteEntry, everyone: Mapping[str, PartnerEntry]) -> list[tuple[Node, RouteLimit]]:
    """Give every limit that can count on a route, and where it stands."""
    own = {entry.partner.name: entry.own for entry in route.entries(everyone)}
    found = lists(route.settings.get("rate_limit"), route.nodes.get("rate_limit"), route.name or "", own)
    return [pair for listed, rates in found for pair in zip(listed.items, rates.limits, strict=True)]


def _check_rates(reader: Reader, route: RouteEntry, everyone: Mapping[str, PartnerEntry]) -> None:
    for node, limit in _limits(route, everyone):
        if "token.sub" in limit.by and _off(route, "token"):
            reader.error(node, "counts by token.sub, and the route takes no token", "count by partner or address")
        if "partner" in limit.by and _off(route, "mutual_tls", "token"):
            hint = "count by address, or switch on mutual_tls or token: a signature is checked later"
            reader.error(node, "counts by partner, and nothing before it tells who calls", hint)


def _check_replay(reader: Reader, route: RouteEntry) -> None:
    replay = route.control(Replay)
    if replay is None:
        return
    node = route.nodes["replay"]
    if _off(route, "signature"):
        hint = 'switch on signature, or write `replay: {off: "the reason"}`'
        reader.error(node, "replay needs signature: only what is signed can be remembered", hint)
    signature = route.control(SignatureControl)
    if signature is not None and not signature.scheme.dated and replay.remember is None:
        reader.error(node, "the scheme has no timestamp, so requests never get too old", "expected {remember: 24h}")


def _check_money(reader: Reader, route: RouteEntry) -> None:
    """Complain of body rules that would never find what they go by."""
    concurrency = route.control(Concurrency)
    idempotency, velocity, replay = route.control(Idempotency), route.control(Velocity), route.control(Replay)
    if _off(route, "mutual_tls", "token", "signature"):
        for rule in (each.name for each in (concurrency, idempotency, velocity) if each is not None):
            hint = "switch on mutual_tls, token or signature"
            reader.error(route.nodes[rule], "belongs to a partner, and no control can tell who calls", hint)
    if idempotency is None:
        if replay is not None and replay.answers:
            hint = "expected idempotency: {key: signature, remember: 24h}"
            reader.error(route.nodes["replay"], "`replay-answer` needs idempotency, which stores the answers", hint)
    elif isinstance(idempotency.key, SignedKey):
        if _off(route, "signature"):
            reader.error(route.nodes["idempotency"], "the key is the signature's, and the route asks for none")
        elif replay is not None and not replay.answers:
            hint = "write `replay: {on_repeat: replay-answer}`"
            reader.error(route.nodes["replay"], "refuses the repetitions that idempotency would answer", hint)
    if velocity is not None and _off(route, "token"):
        by_subject = [limit.name for limit in velocity.limits if "token.sub" in limit.by]
        if by_subject:
            message = f"limit {quoted(by_subject[0])} counts by token.sub, and the route takes no token"
            reader.error(route.nodes["velocity"], message, "count by partner or by a JSON pointer")
    _check_repeatable(reader, route)


def _check_repeatable(reader: Reader, route: RouteEntry) -> None:
    if route.match is not None and route.control(Idempotency) is not None:
        reading = sorted(route.match.methods & {"GET", "HEAD", "OPTIONS"})
        if reading:
            hint = "remove it, or give these methods a route of their own"
            reader.error(
                route.nodes["idempotency"], f"{', '.join(reading)} does nothing that could be done twice", hint
            )


def _check_token(reader: Reader, route: RouteEntry) -> None:
    token = route.control(TokenControl)
    if token is not None and route.match is not None:
        check_ties(reader, token, route.nodes["token"], route.match.path)


@dataclass(frozen=True, slots=True)
class _Demand:
    """What a control asks of a partner."""

    control: str
    section: str
    """Key of the partner's definition where it stands."""
    what: str
    met: Callable[[Partner], bool]


def refuse_shared_state(reader: Reader, route: RouteEntry) -> None:
    """Complain of controls that count or remember, where each process would do so on its own.

    Not asked where the policy names a store that processes share. What a third party's control asks of the state is
    not known here: `gateway.state.unshared` denies it.
    """
    for kind in (RateLimits, PartnerRates, Replay, Concurrency, Idempotency, Velocity):
        if route.control(kind) is not None:
            message = f"route {quoted(route.name or '')}: several workers need a store they share for {kind.name}"
            reader.error(route.nodes[kind.name], message, SHARED_STATE_HINT)
    token = route.control(TokenControl)
    if token is not None and token.proofs is not None:
        message = f"route {quoted(route.name or '')}: several workers need a store they share for the proofs of DPoP"
        reader.error(route.nodes["token"], message, SHARED_STATE_HINT)


def refuse_shared_lockout(reader: Reader, section: Node) -> None:
    """Complain likewise of the section `lockout`: each worker would give a caller as many tries again."""
    reader.error(section, "several workers need a store they share to count failed authentications", SHARED_STATE_HINT)


def check_partner_limits(reader: Reader, routes: Sequence[RouteEntry], everyone: Mapping[str, PartnerEntry]) -> None:
    """Complain of tiers and routes that partners name for their limits, and that there are not."""
    known = [
        (
            route.name,
            frozenset(entry.partner.name for entry in route.entries(everyone)),
            route.settings.get("rate_limit"),
        )
        for route in routes
        if route.name is not None
    ]
    if len(known) == len(routes) and all(
        "rate_limit" not in each.nodes or each.settings["rate_limit"] for each in routes
    ):
        check_own_limits(reader, {name: entry.own for name, entry in everyone.items()}, known)


def check_shared_money(reader: Reader, route: RouteEntry, section: Node | None) -> None:
    """Complain where gates that share a store could not do so for money: `section` is the policy's `state`."""
    state = section.values if isinstance(section, MappingNode) else {}
    for kind in (Idempotency, Velocity):
        if route.control(kind) is None:
            continue
        if "secret" not in state:
            message = f"route {quoted(route.name or '')}: {kind.name} in a shared store needs `state.secret`"
            reader.error(route.nodes[kind.name], message, "keys and players are kept as digests that it keys")
        if "after_loss" not in state:
            message = f"route {quoted(route.name or '')}: {kind.name} in a shared store needs `state.after_loss`"
            hint = "how long unknown keys are refused after the store lost memory: as long as callers retry, such as 1h"
            reader.error(route.nodes[kind.name], message, hint)


def _check_partners(reader: Reader, route: RouteEntry, everyone: Mapping[str, PartnerEntry]) -> None:
    """Whoever may call must have what each control asks of them."""
    for demand in _demands(route):
        for node, entry in route.partners or ():
            if entry is not None and demand.section not in entry.faulty and not demand.met(entry.partner):
                message = f"partner {quoted(entry.partner.name)} has no {demand.what}"
                reader.error(node, message, f"`{demand.control}` asks for it; see {entry.node.place}")
        if route.partners_off is not None and not any(
            demand.section in entry.faulty or demand.met(entry.partner) for entry in everyone.values()
        ):
            reader.error(route.nodes[demand.control], f"no partner has any {demand.what}")


def _demands(route: RouteEntry) -> Iterator[_Demand]:
    if route.control(MutualTls) is not None:
        yield _Demand("mutual_tls", "certificate", "certificate", lambda partner: bool(partner.certificates))
    allowlist = route.control(IpAllowlist)
    if allowlist is not None and allowlist.networks is None:
        yield _Demand("ip_allowlist", "networks", "networks", lambda partner: bool(partner.networks))
    token = route.control(TokenControl)
    if token is not None:
        issuer = token.issuer.name
        what = f"subjects at issuer {quoted(issuer)}"
        yield _Demand("token", "subjects", what, lambda partner: bool(partner.subjects.get(issuer)))
    signature = route.control(SignatureControl)
    if signature is not None:
        algorithms = signature.scheme.algorithms
        what = f"signing key for {' or '.join(sorted(algorithms))}"
        yield _Demand("signature", "signing_keys", what, lambda partner: bool(algorithms & _algorithms(partner)))


def _algorithms(partner: Partner) -> set[str]:
    return {key.algorithm for key in partner.signing_keys.values()}


def check_keys(reader: Reader, routes: Sequence[RouteEntry], everyone: Mapping[str, PartnerEntry]) -> None:
    """Complain of signing keys that no scheme of their partner's routes can be used with."""
    algorithms: dict[str, set[str]] = {}
    for route in routes:
        signature = route.control(SignatureControl)
        if signature is None and not _off(route, "signature"):
            return  # Its scheme is not known, so nothing can be said.
        for entry in route.entries(everyone):
            signed = algorithms.setdefault(entry.partner.name, set())
            if signature is not None:
                signed.update(signature.scheme.algorithms)
    for name, signed in algorithms.items():
        entry = everyone[name]
        for key in entry.partner.signing_keys.values():
            node = entry.keys[key.id]
            if not signed:
                reader.warning(node, f"key {quoted(key.id)} is not used", "no route asks this partner for signatures")
            elif key.algorithm not in signed:
                hint = f"expected {', '.join(sorted(signed))}"
                reader.error(node, f"key {quoted(key.id)} fits no scheme of its partner's routes", hint)


def check_distinct(reader: Reader, routes: Sequence[RouteEntry]) -> None:
    """Complain of two routes that can be about the same request, neither of them being the more specific."""
    by_length: dict[int, list[tuple[RouteEntry, Match]]] = {}
    for route in routes:
        if route.match is not None:
            by_length.setdefault(route.match.path.count("/"), []).append((route, route.match))
    for group in by_length.values():
        for (one, first), (other, second) in combinations(group, 2):
            shared = first.methods & second.methods
            if shared and _share_host(first, second) and overlap(first.path, second.path):
                same = first.path == second.path
                what = "is also" if same else "can fit the same requests as"
                where = f"{quoted(first.path)} of route {quoted(one.name or '?')}"
                hint = f"for {', '.join(sorted(shared))}; see {_path_node(one).place}"
                reader.error(_path_node(other), f"{what} the path {where}" if same else f"{what} {where}", hint)


def _share_host(one: Match, other: Match) -> bool:
    """Whether some host fits both with the same precedence: routes with hosts go before those without."""
    if one.hosts is None or other.hosts is None:
        return one.hosts is other.hosts
    return bool(one.hosts & other.hosts)


def _path_node(route: RouteEntry) -> Node:
    match = route.nodes["match"]
    return match.values["path"] if isinstance(match, MappingNode) else match


def warn_of_open_networks(reader: Reader, routes: Sequence[RouteEntry], everyone: Mapping[str, PartnerEntry]) -> None:
    """Warn of allowlists that let every address pass."""
    for route in routes:
        allowlist = route.control(IpAllowlist)
        if allowlist is not None and allowlist.networks is not None:
            _warn_if_open(reader, route.nodes["ip_allowlist"], [each.prefixlen for each in allowlist.networks.networks])
    for entry in everyone.values():
        networks = entry.partner.networks.networks
        _warn_if_open(reader, entry.node.values.get("networks"), [each.prefixlen for each in networks])


def _warn_if_open(reader: Reader, node: Node | None, prefixes: list[int]) -> None:
    if node is not None and 0 in prefixes:
        reader.warning(node, "lets every address pass", 'switch ip_allowlist off in words instead: {off: "the reason"}')
