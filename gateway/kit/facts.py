"""What the policy says about one partner, as far as the partner may know it: nothing of anybody else, and no secret."""

import re
from dataclasses import dataclass, replace
from typing import Any

from gateway.controls.mutual_tls import MutualTls
from gateway.controls.replay import Replay
from gateway.controls.signature import SignatureControl
from gateway.controls.token import TokenControl
from gateway.core.message import Instant
from gateway.core.policy import Partner, Policy, Route, SigningKey
from gateway.kit.answer_checks import AnswerKey, answer_key
from gateway.kit.composed_plan import headers_needed, sample_body
from gateway.kit.plan import Plan, Sample
from gateway.kit.plans import plan_of
from gateway.signing.composed import ComposedScheme
from gateway.signing.httpsig.scheme import HttpMessageScheme
from gateway.signing.jws_scheme import JwsScheme
from gateway.signing.scheme import Scheme

BODY = '{"sample":true}'

_WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")
_SAMPLE_VALUES = {"content-type": "application/json", "idempotency-key": '"sample-1"'}


@dataclass(frozen=True, slots=True)
class Signing:
    """How the requests of a route are signed, and the request that shows it."""

    route: Route
    control: SignatureControl
    key: SigningKey | None
    """The partner's key that is shown; None where it has none that is in force."""
    sample: Sample
    plan: Plan | None
    """None where the samples have no words for the scheme."""
    once: bool
    """Whether a request counts once."""

    @property
    def scheme(self) -> Scheme[Any]:
        """The scheme."""
        return self.control.scheme

    @property
    def algorithm(self) -> str:
        """What the partner signs by."""
        return self.key.algorithm if self.key is not None else min(self.scheme.algorithms)

    @property
    def key_id(self) -> str:
        """What the key is called."""
        return self.key.id if self.key is not None else "YOUR-KEY-ID"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a kit is made from."""

    policy: str
    partner: Partner
    routes: tuple[Route, ...]
    """Those that the partner may call."""
    base_url: str
    signing: Signing | None
    """None where no route asks the partner for signatures."""
    answers: AnswerKey | None = None
    """How the answers are signed that the samples get; None where the samples cannot check them."""
    secret_encoding: str = "utf-8"  # noqa: S105 - how one is written


def gather(policy: Policy, name: str, base_url: str, *, route: str | None, now: Instant) -> Facts:
    """Gather the facts. Raises ValueError for a partner or route that is not there."""
    if name not in policy.partners:
        raise ValueError(f"no partner {name!r}: the policy has {', '.join(policy.partners)}")
    partner = policy.partners[name]
    routes = tuple(each for each in policy.routes if each.partners is None or name in each.partners)
    if not routes:
        raise ValueError(f"no route lists the partner {name!r}")
    named = [each for each in routes if route in (None, each.name)]
    if not named:
        raise ValueError(f"{name!r} may call no route {route!r}: it may call {', '.join(each.name for each in routes)}")
    signed = [found for each in named if (found := _signing(each, partner, now)) is not None]
    signing = signed[0] if signed else None
    answers = None if signing is None else answer_key(signing.route)
    return Facts(policy.name, partner, routes, base_url, signing, answers)


def _signing(route: Route, partner: Partner, now: Instant) -> Signing | None:
    control = next((each for each in route.chain if isinstance(each, SignatureControl)), None)
    if control is None:
        return None
    fitting = [key for key in partner.signing_keys.values() if key.algorithm in control.scheme.algorithms]
    key = next((each for each in reversed(fitting) if each.in_force(now)), None)
    sample = _sample(route, control.scheme)
    signing = Signing(
        route, control, key, sample, None, once=any(isinstance(each, Replay) for each in route.chain)
    )  # fmt: skip
    return replace(signing, plan=plan_of(control.scheme, signing.algorithm, sample))


def _sample(route: Route, scheme: Scheme[Any]) -> Sample:
    method = min(route.match.methods)
    kind, body = sample_body(scheme, BODY) if isinstance(scheme, ComposedScheme) else ("application/json", BODY)
    if method not in _WITH_BODY or route.body_limit < len(body):
        body = ""
    fields: dict[str, str] = {"content-type": kind} if body else {}
    if any(isinstance(each, TokenControl) for each in route.chain):
        fields["authorization"] = "Bearer ${TOKEN:?an access token}"
    if isinstance(scheme, HttpMessageScheme):
        plain = [each.name for each in scheme.covered if each.whole_field and each.name != "content-digest"]
    elif isinstance(scheme, JwsScheme):
        plain = sorted(scheme.payload.fields - {scheme.created_field, scheme.nonce_field})
    else:
        plain = headers_needed(scheme) if isinstance(scheme, ComposedScheme) else []
    for name in plain:
        fields.setdefault(name, _SAMPLE_VALUES.get(name, "sample"))
    return Sample(method, re.sub(r"\{[^}]*\}", "1", route.match.path), body, fields)


def needs_certificate(facts: Facts) -> bool:
    """Whether any route of the partner asks for a client certificate."""
    return any(isinstance(control, MutualTls) for route in facts.routes for control in route.chain)
