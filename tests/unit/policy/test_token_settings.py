import pytest

from gateway.controls.credentials import Authentication
from gateway.controls.demands import BodyTie, Demand, PathTie
from gateway.controls.dpop import Proofs
from gateway.controls.token import TokenControl
from gateway.core.policy import SwitchedOff
from gateway.policy.reader import Reader
from gateway.policy.tables import Table
from gateway.policy.token_settings import TokenSettings, check_ties
from gateway.signing.window import Window
from tests import world
from tests.policy.reading import node, problems, reader, scalar


def settings(used: Reader) -> TokenSettings:
    issuers = Table("issuer")
    issuers.add("operator", scalar("operator"), world.issuer())
    return TokenSettings(used, issuers)


def read(more: str) -> TokenControl:
    used = reader()
    found = settings(used).read(node(f"{{issuer: operator, audience: psp, {more}}}"))
    assert used.problems == []
    assert found is not None
    return found


def complaints(more: str) -> list[str]:
    used = reader()
    assert settings(used).read(node(f"{{issuer: operator, audience: psp, {more}}}")) is None
    return problems(used)


def test_tokens_bound_to_certificates() -> None:
    assert read("bound_to: certificate").bound_to == "certificate"


def test_tokens_bound_to_keys() -> None:
    assert read("bound_to: dpop").proofs == Proofs()
    found = read(
        "bound_to: either, dpop: {max_age: 30s, max_ahead: 5s, algorithms: [ES256], nonce: env:ACME_SIGNING_KEY}"
    )
    assert found.proofs == Proofs(Window(30.0, 5.0), frozenset({"ES256"}))
    assert found.proofs is not None
    assert found.proofs.nonce is not None
    assert read("bound_to: certificate").proofs is None


def test_bindings_that_are_not_looked_at() -> None:
    found = read('bound_to: {off: "TLS ends before the gate"}').bound_to
    assert found == SwitchedOff("token.bound_to", "TLS ends before the gate")


def test_rules_about_claims() -> None:
    found = read(
        "claims: {tenant: {is: acme}, roles: {is: [a, b]}, jti: required, act: forbidden, "
        "player_id: {path: player}, account: {body: /account/id}}"
    )
    assert found.demands == (
        Demand("tenant", frozenset({"acme"})),
        Demand("roles", frozenset({"a", "b"})),
        Demand("jti"),
        Demand("act", forbidden=True),
    )
    assert found.path_ties == (PathTie("player_id", "player"),)
    assert found.body_ties == (BodyTie("account", "/account/id"),)


def test_authentication() -> None:
    assert read("authentication: {acr: [urn:sca], max_age: 5m}").authentication == Authentication(("urn:sca",), 300)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("bound_to: cert", "`cert` is no binding"),
        ("bound_to: off", "switched off without a reason"),
        ("dpop: {}", "has no effect"),
        ("bound_to: certificate, dpop: {max_age: 30s}", "has no effect"),
        ("bound_to: dpop, dpop: {max_age: 6m}", "lets copied proofs live on"),
        ("bound_to: dpop, dpop: {max_ahead: 2m}", "made in advance"),
        ("bound_to: dpop, dpop: {algorithms: [HS256]}", "`HS256` is no algorithm for proofs"),
        ("bound_to: dpop, dpop: {nonce: hunter2}", "a secret does not stand in a policy"),
        ("claims: [a]", "found a list"),
        ("claims: {iss: required}", "`iss` is always checked"),
        ("claims: {a: maybe}", "`maybe` is no rule"),
        ("claims: {a: {}}", "is no one rule"),
        ("claims: {a: {is: b, path: c}}", "is no one rule"),
        ("claims: {a: {is: []}}", "an empty list of values"),
        ("claims: {a: {path: /x}}", "`/x` is no parameter of a path"),
        ("claims: {a: {body: /}}", "`/` is no JSON pointer"),
        ("claims: {/a//b: required}", "`/a//b` is no JSON pointer"),
        ("authentication: {}", "asks for nothing"),
        ("authentication: {max_age: 1500ms}", "not a whole number of seconds"),
        ('authentication: {acr: ["a b"]}', "`a b` is no value of acr"),
    ],
)
def test_what_does_not_fit(more: str, said: str) -> None:
    (found,) = complaints(more)
    assert said in found


def test_a_tie_to_a_parameter_that_the_path_lacks() -> None:
    used, written = reader(), node("{issuer: operator, audience: psp, claims: {a: {path: b}}}")
    found = settings(used).read(written)
    assert found is not None
    check_ties(used, found, written, "/v1/{b}")
    assert used.problems == []
    check_ties(used, found, written, "/v1/{c}")
    check_ties(used, found, written, "/v1")
    one, other = problems(used)
    assert "the path has no parameter `b` (expected one of `c`)" in one
    assert "the path has no parameter `b` (the path has none)" in other
