"""What the policy says about one partner, as far as the partner may know it: nothing of anybody else, and no secret."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gateway.controls.mutual_tls import MutualTls
from gateway.controls.replay import Replay
from gateway.controls.signature import SignatureControl
from gateway.controls.token import TokenControl
from gateway.core.message import Instant
from gateway.core.policy import Partner, Policy, Route, SigningKey
from gateway.kit import composed_plan, message_plan, sigv4_plan
from gateway.kit.answer_checks import AnswerKey, answer_key
from gateway.kit.plan import Plan, Sample
from gateway.kit.plans import plan_of
from gateway.signing.composed import ComposedScheme
from gateway.signing.httpsig.scheme import HttpMessageScheme
from gateway.signing.jws_scheme import JwsScheme
from gateway.signing.scheme import Scheme
from gateway.signing.sigv4 import SigV4Scheme

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
    plan: Plan
    once: bool
    """Whether a request counts once."""

    @property
    def scheme(self) -> Scheme[Any]:
        """The scheme."""
        return self.control.scheme

    @property
    def algorithm(self) -> str:
        """What the partner signs by."""
        return _algorithm(self.scheme, self.key)

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
    signing = next((found for each in named if (found := _signing(each, partner, now)) is not None), None)
    answers = None if signing is None else answer_key(signing.route)
    return Facts(policy.name, partner, routes, base_url, signing, answers)


def _signing(route: Route, partner: Partner, now: Instant) -> Signing | None:
    control = next((each for each in route.chain if isinstance(each, SignatureControl)), None)
    if control is None:
        return None
    fitting = [key for key in partner.signing_keys.values() if key.algorithm in control.scheme.algorithms]
    key = next((each for each in reversed(fitting) if each.in_force(now)), None)
    sample = _sample(route, control.scheme)
    plan = plan_of(control.scheme, _algorithm(control.scheme, key), sample)
    return Signing(route, control, key, sample, plan, once=any(isinstance(each, Replay) for each in route.chain))


def _algorithm(scheme: Scheme[Any], key: SigningKey | None) -> str:
    return key.algorithm if key is not None else min(scheme.algorithms)


def _sample(route: Route, scheme: Scheme[Any]) -> Sample:
    method = min(route.match.methods)
    kind, body = "application/json", BODY
    if isinstance(scheme, ComposedScheme):
        kind, body = composed_plan.sample_body(scheme, BODY)
    if method not in _WITH_BODY or route.body_limit < len(body):
        body = ""
    fields: dict[str, str] = {"content-type": kind} if body else {}
    if any(isinstance(each, TokenControl) for each in route.chain):
        fields["authorization"] = "Bearer ${TOKEN:?an access token}"
    for name, value in _fields(scheme):
        fields.setdefault(name, value)
    query, digests = "", dict[str, tuple[str, ...]]()
    if isinstance(scheme, HttpMessageScheme):
        query, digests = message_plan.sample_query(scheme), message_plan.sample_digests(scheme, body=bool(body))
    elif isinstance(scheme, SigV4Scheme):
        query = sigv4_plan.QUERY
    elif isinstance(scheme, ComposedScheme):
        query = composed_plan.sample_query(scheme)
    return Sample(method, re.sub(r"\{[^}]*\}", "1", route.match.path), body, fields, query, digests)


def _fields(scheme: Scheme[Any]) -> Iterable[tuple[str, str]]:
    """Give the fields that the scheme signs, and that it does not write itself."""
    if isinstance(scheme, HttpMessageScheme):
        return message_plan.sample_fields(scheme)
    names: Iterable[str] = ()
    if isinstance(scheme, JwsScheme):
        names = sorted(scheme.payload.fields - {scheme.created_field, scheme.nonce_field})
    elif isinstance(scheme, ComposedScheme):
        names = composed_plan.headers_needed(scheme)
    return [(name, _SAMPLE_VALUES.get(name, "sample")) for name in names]


def needs_certificate(facts: Facts) -> bool:
    """Whether any route of the partner asks for a client certificate."""
    return any(isinstance(control, MutualTls) for route in facts.routes for control in route.chain)
