"""A compiled policy in words: what each route asks for, control by control."""

from collections.abc import Mapping

from gateway.controls.charged_rates import AnswerCost, ChargedRates
from gateway.controls.concurrency import Concurrency
from gateway.controls.demands import Demand, TokenBody
from gateway.controls.idempotency import BodyKey, FieldKey, Idempotency, SignedKey
from gateway.controls.ip_allowlist import IpAllowlist
from gateway.controls.mutual_tls import MutualTls
from gateway.controls.partner_rates import PartnerRates
from gateway.controls.priced_rates import PricedRates
from gateway.controls.rate_limit import RateLimits, RouteLimit
from gateway.controls.replay import Replay
from gateway.controls.signature import SignatureControl
from gateway.controls.token import TokenControl
from gateway.controls.velocity import Velocity, VelocityLimit
from gateway.controls.websocket import WebSocketHandshake
from gateway.core.chain import BODY_RULES, ORDER, Control, RateLimit
from gateway.core.document import Pointer
from gateway.core.policy import Listener, Policy, Route, SwitchedOff, WebSocketSettings
from gateway.core.stores import EmbeddedSettings, Layout, OnFailure, ValkeySettings

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
_WORDS = {1: "second", 60: "minute", 3_600: "hour", 86_400: "day"}
_BINDINGS = {"certificate": "the certificate", "dpop": "a key (DPoP)", "either": "the certificate or a key (DPoP)"}
_SHOWN = 3
"""Networks shown before the rest is only counted."""


def describe(route: Route) -> dict[str, str]:
    """Give who may call, under `partners`, and what each control asks for, in the order of the chain.

    What is switched off says `off: ` and why.
    """
    said = {control.name: _described(control) for control in route.chain}
    said |= {off.control: f"off: {off.because}" for off in route.switched_off}
    said.setdefault("partners", ", ".join(sorted(route.partners or ())))
    if route.answers is not None:
        said["sign_responses"] = route.answers.described
    if route.websocket is not None:
        said["websocket"] = _websocket(route, route.websocket)
    known = ("partners", *ORDER, *BODY_RULES)
    return {name: said[name] for name in (*known, *sorted(said.keys() - set(known))) if name in said}


def _websocket(route: Route, settings: WebSocketSettings) -> str:
    origins = [control.origins or () for control in route.chain if isinstance(control, WebSocketHandshake)]
    times = f"idle {duration(settings.idle)}, lifetime {duration(settings.lifetime)}"
    return ", ".join([times, *(f"from {origin}" for listed in origins for origin in sorted(listed))])


def described_match(route: Route) -> str:
    """Give what the route is about."""
    methods, hosts = ", ".join(sorted(route.match.methods)), ", ".join(sorted(route.match.hosts or ()))
    return f"{methods} {route.match.path}" + (f" at {hosts}" if hosts else "")


def described_upstream(route: Route) -> str:
    """Give where the route leads: the upstream's endpoints, and what of its TLS is not as usual."""
    upstream = route.upstream
    said = [f"{upstream.name}: {', '.join(map(upstream.url, upstream.endpoints))}"]
    if upstream.server_name is not None:
        said.append(f"verified as {upstream.server_name}")
    if upstream.authority is not None:
        said.append(f"asked for {upstream.authority}")
    if upstream.client is not None:
        said.append("with the gate's own certificate")
    if upstream.signer is not None:
        said.append(f"signed with {upstream.signer.described}")
    return ", ".join(said)


def described_state(policy: Policy) -> str:
    """Give where counters and nonces live, and what that means for workers."""
    modes = policy.state.on_failure
    given = (("rate_limit", modes.rate_limit), ("replay", modes.replay))
    said = ", ".join(f"{name} {mode.value}" for name, mode in given if mode is not OnFailure.DENY)
    otherwise = f"; while it cannot answer: {said}" if said else ""
    match policy.state.store:
        case ValkeySettings() as store:
            where = ", ".join(f"{one.host}:{one.port}" if one.port else f"unix:{one.host}" for one in store.servers)
            kind = "" if store.layout is Layout.SINGLE else f" ({store.layout.value})"
            return f"Valkey at {where}{kind}{', TLS' if store.tls else ''}: shared by workers and machines{otherwise}"
        case EmbeddedSettings():
            return f"Valkey run by the gate: shared by its workers{otherwise}"
    counting = (RateLimits, PartnerRates, Replay, Concurrency, Idempotency, Velocity)
    needs = [route.name for route in policy.routes if any(isinstance(one, counting) for one in route.chain)]
    if not needs:
        return "the memory of the process: nothing is counted or remembered, so workers need no store"
    return "the memory of the process: --workers 1 only, as routes count or remember"


def described_lockout(policy: Policy) -> str:
    """Give who is locked out when."""
    lockout = policy.lockout
    if lockout is None:
        return "nobody is locked out"
    failures = f"{lockout.after} failures within {duration(lockout.within)}"
    return f"for {duration(lockout.seconds)} after {failures}"


def described_revocation(listener: Listener) -> str:
    """Give how it is looked up whether a client certificate was taken back."""
    settings = listener.tls.revocation
    if settings is None:
        return "not looked up: a certificate is good until it ends"
    said = []
    if settings.files:
        said.append(f"lists in {len(settings.files)} file{'' if len(settings.files) == 1 else 's'}")
    if settings.point_hosts:
        said.append(f"lists from {', '.join(sorted(settings.point_hosts))}")
    if settings.responder is not None or settings.ocsp_hosts:
        said.append(f"OCSP by {settings.responder or ', '.join(sorted(settings.ocsp_hosts))}")
    said.append("the client's certificate only" if settings.leaf_only else "the whole chain")
    stale = f"what is out of date counts for {duration(settings.stale_for)}"
    said.append(stale if settings.stale_for else "what is out of date does not count")
    return ", ".join(said)


def described_audit(policy: Policy) -> str:
    """Give how the audit log is kept and published, and what leaves the machine of it."""
    audit = policy.audit
    said = [
        "each allow on the disk before it is forwarded" if audit.durable else "each allow with the kernel",
        f"a checkpoint every {duration(audit.interval)}",
        f"as {audit.origin}" if audit.origin is not None else "",
        f"{audit.key} takes over from {audit.previous_key}" if audit.previous_key is not None else "",
        f"copies to {', '.join(audit.copies)}" if audit.copies else "",
        f"witnessed by {', '.join(witness.name for witness in audit.witnesses)}" if audit.witnesses else "",
        f"digests of {', '.join(of.label for of in audit.digests.of)}" if audit.digests is not None else "",
    ]
    kept = "nothing is deleted"
    if audit.retention is not None:
        kept = f"compressed after {duration(audit.retention.at_hand)}, deleted after {duration(audit.retention.keep)}"
    if not audit.copies and not audit.witnesses:
        kept += "; no checkpoint leaves the machine"
    return ", ".join([*filter(None, said), kept])


def _described(control: Control) -> str:
    match control:
        case MutualTls(authorities=frozenset() as authorities):
            said = f"required, from {len(authorities)} CA{'' if len(authorities) == 1 else 's'}"
        case IpAllowlist():
            said = _allowlist(control)
        case TokenControl():
            said = _token(control)
        case TokenBody():
            said = ", ".join(f"{tie.claim} is {tie.member}" for tie in control.ties)
        case RateLimits() | PartnerRates() | Concurrency():
            said = _rates(control)
        case SignatureControl():
            said = _signature(control)
        case Replay(remember=remember, answers=answers) if remember is not None or answers:
            said = ", ".join(
                ([] if remember is None else [f"remembered for {duration(remember)}"])
                + (["answered as before"] if answers else [])
            )
        case Idempotency():
            said = _idempotency(control)
        case Velocity():
            said = "; ".join(_velocity(limit, control.digits or {}) for limit in control.limits)
            said += " (marked, not denied)" if control.marks else ""
        case _:
            said = "required"
    return said


def _allowlist(control: IpAllowlist) -> str:
    if control.networks is None:
        return "the partner's networks"
    networks = control.networks.networks
    shown = ", ".join(str(network) for network in networks[:_SHOWN])
    return shown if len(networks) <= _SHOWN else f"{shown} and {len(networks) - _SHOWN} more"


def _token(control: TokenControl) -> str:
    said = [f"{control.issuer.name} for {control.audience}"]
    if control.scopes:
        said.append(f"scopes {' '.join(sorted(control.scopes))}")
    if control.max_lifetime is not None:
        said.append(f"lives {duration(control.max_lifetime)}")
    if isinstance(control.bound_to, SwitchedOff):
        said.append(f"bindings not checked: {control.bound_to.because}")
    elif control.bound_to is not None:
        said.append(f"bound to {_BINDINGS[control.bound_to]}")
    said += [_demand(demand) for demand in control.demands]
    said += [f"{tie.claim} is {{{tie.parameter}}}" for tie in control.path_ties]
    wanted = control.authentication
    if wanted.acr:
        said.append(f"acr {' or '.join(wanted.acr)}")
    if wanted.max_age is not None:
        said.append(f"authenticated within {duration(wanted.max_age)}")
    return ", ".join(said)


def _demand(demand: Demand) -> str:
    if demand.forbidden:
        return f"no {demand.claim}"
    if demand.values is None:
        return f"with {demand.claim}"
    return f"{demand.claim} {' or '.join(sorted(demand.values))}"


def _signature(control: SignatureControl) -> str:
    origin = getattr(control.scheme, "origin", "")
    name = f"{control.scheme.name} ({origin})" if origin else control.scheme.name
    if not control.scheme.dated:
        return name
    window = control.window
    return f"{name}, {duration(window.max_age)} old, {duration(window.max_ahead)} ahead"


def _idempotency(control: Idempotency) -> str:
    match control.key:
        case FieldKey(name=name):
            said = [f"by field {name}"]
        case BodyKey(pointer=pointer):
            said = [f"by {pointer.text}"]
        case SignedKey():
            said = ["by signature"]
    said.append(f"for {duration(control.remember)}")
    if control.again:
        said.append("forwarded again where the outcome is unknown")
    return ", ".join(said)


def _velocity(limit: VelocityLimit, digits: Mapping[str, int]) -> str:
    by = ", ".join(one.text if isinstance(one, Pointer) else one for one in limit.by)
    if limit.sums is None:
        return f"{limit.count}/{_WORDS.get(limit.window) or duration(limit.window)} per {by}"
    sums = " or ".join(f"{_amount(units, digits[currency])} {currency}" for currency, units in limit.sums.items())
    return f"{sums}/{_WORDS.get(limit.window) or duration(limit.window)} per {by}"


def _amount(units: int, digits: int) -> str:
    written = str(units).rjust(digits + 1, "0")
    return f"{written[:-digits]}.{written[-digits:]}" if digits else written


def _rates(control: RateLimits | PartnerRates | Concurrency) -> str:
    """Give the limits of everyone, of each tier and who is in it, and of partners with their own."""
    if isinstance(control, Concurrency):
        return f"{control.most} in flight per partner, lease {duration(control.lease)}"
    if isinstance(control, RateLimits):
        prices = control.prices if isinstance(control, PricedRates) else {}
        charges = control.charges if isinstance(control, ChargedRates) else {}
        return "; ".join(
            _route_limit(each, prices.get(each.limit.name), charges.get(each.limit.name)) for each in control.limits
        )
    said = [_rates(control.default)]
    members = {
        id(rates): [name for name, own in control.partners.items() if own is rates] for rates in control.tiers.values()
    }
    for tier, rates in control.tiers.items():
        who = ", ".join(sorted(members[id(rates)])) or "nobody"
        said.append(f"tier {tier} ({who}): {_rates(rates)}")
    for name, rates in sorted(control.partners.items()):
        if id(rates) not in members:
            said.append(f"{name}: {_rates(rates)}")
    return " | ".join(said)


def _route_limit(each: RouteLimit, field: str | None, charge: AnswerCost | None) -> str:
    if charge is not None:
        return f"{described_rate(each.limit)} per {', '.join(each.by)}, {_charge(each.cost, charge)}"
    if field is not None:
        return f"{described_rate(each.limit)} per {', '.join(each.by)}, {field} a request (at most {each.cost})"
    cost = "" if each.cost == 1 else f", {each.cost} a request"
    return f"{described_rate(each.limit)} per {', '.join(each.by)}{cost}"


def _charge(least: int, charge: AnswerCost) -> str:
    """Say what a request takes once its answer is known."""
    if charge.statuses is not None:
        prices = sorted({cost for cost in charge.statuses.values() if cost > least})
        return f"{least} a request, {' or '.join(map(str, prices))} by the answer's status"
    what = charge.field if charge.pointer is None else charge.pointer.text
    return f"{what} of the answer a request ({least} to {charge.most})"


def described_rate(limit: RateLimit) -> str:
    """Give amount and window, as a policy has them."""
    if limit.calendar:
        return f"{limit.amount}/calendar-{limit.calendar}"
    written = f"{limit.amount}/{_WORDS.get(limit.window) or duration(limit.window)}"
    if limit.burst is not None:
        return f"{written} (burst {limit.burst})"
    return written if limit.sliding else f"{written} (fixed)"


def duration(seconds: float) -> str:
    """Write a duration in its largest whole unit, as a policy would."""
    for unit, word in _UNITS:
        if seconds >= unit and seconds % unit == 0:
            return f"{int(seconds // unit)}{word}"
    return f"{round(seconds * 1_000)}ms" if seconds else "0s"
