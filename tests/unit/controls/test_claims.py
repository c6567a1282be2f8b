from typing import Any

import pytest

from gateway.controls.claims import LATEST, ClaimRules
from gateway.controls.credentials import Authentication
from gateway.controls.demands import Demand
from gateway.core.facts import Claims
from gateway.core.message import Instant
from gateway.core.reasons import Denied, Reason
from tests import world
from tests.world import NOW

SKEW = world.issuer().skew
HOUR = 3600


def check(now: float = NOW, max_lifetime: float | None = 600.0, **changes: Any) -> Claims:
    return ClaimRules(world.issuer(), world.AUDIENCE, max_lifetime).check(world.claims(**changes), Instant(now))


def refusal(now: float = NOW, max_lifetime: float | None = 600.0, **changes: Any) -> Denied:
    with pytest.raises(Denied) as caught:
        check(now, max_lifetime, **changes)
    return caught.value


def test_valid_claims_become_facts() -> None:
    claims = check()
    assert (claims.issuer, claims.subject, claims.token_id) == ("operator", world.SUBJECT, "token-1")
    assert (claims.issued_at, claims.expires) == (NOW - 60, NOW + 240)
    assert claims.scopes == {"openid", world.SCOPE}
    assert claims.all["iss"] == world.ISSUER


def test_jti_nbf_and_scope_may_be_absent() -> None:
    claims = check(jti=None, nbf=None, scope=None)
    assert claims.token_id is None
    assert claims.scopes == frozenset()


@pytest.mark.parametrize("iss", [world.ISSUER + "/", world.ISSUER.upper(), "https://idp.evil.example"])
def test_another_issuer_is_refused(iss: str) -> None:
    assert refusal(iss=iss).reason is Reason.TOKEN_ISSUER


@pytest.mark.parametrize("aud", ["psp", ["psp"], ["pam", "psp"]])
def test_the_audience_may_be_one_of_several(aud: object) -> None:
    assert check(aud=aud).subject == world.SUBJECT


@pytest.mark.parametrize("aud", ["pam", "PSP", "psp ", "", [], ["pam"], ["psp-test"]])
def test_another_audience_is_refused(aud: object) -> None:
    assert refusal(aud=aud).reason is Reason.TOKEN_AUDIENCE


def test_a_token_is_taken_until_just_before_expiry_plus_skew() -> None:
    assert check(NOW + 240 + SKEW - 0.001).expires == NOW + 240


def test_a_token_is_expired_at_expiry_plus_skew() -> None:
    assert refusal(NOW + 240 + SKEW).reason is Reason.TOKEN_EXPIRED


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_start_ahead_by_the_skew_is_taken(claim: str) -> None:
    assert check(**{claim: NOW + SKEW}).subject == world.SUBJECT


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_start_ahead_by_more_than_the_skew_is_refused(claim: str) -> None:
    denied = refusal(**{claim: NOW + SKEW + 0.5})
    assert denied.reason is Reason.TOKEN_NOT_YET_VALID
    assert claim in denied.detail


def test_a_lifetime_of_the_most_allowed_is_taken() -> None:
    assert check(iat=NOW - 60, exp=NOW + 540).expires == NOW + 540


def test_a_longer_lifetime_is_refused() -> None:
    denied = refusal(iat=NOW - 60, exp=NOW + 541)
    assert denied.reason is Reason.TOKEN_LIFETIME
    assert denied.detail == "exp is 601 s after iat; the route takes 600 s"


def test_without_a_bound_any_lifetime_is_taken() -> None:
    assert check(max_lifetime=None, exp=NOW + 1000 * HOUR).expires == NOW + 1000 * HOUR


def test_a_fraction_of_a_second_is_a_time() -> None:
    assert check(exp=NOW + 0.5).expires == NOW + 0.5


@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
@pytest.mark.parametrize(
    "value", [str(int(NOW)), True, [NOW], {}, -1, LATEST + 1, NOW * 1000, 10**400, float("nan"), float("inf")]
)
def test_what_is_no_time_is_refused(claim: str, value: object) -> None:
    denied = refusal(**{claim: value})
    assert denied.reason is Reason.TOKEN_CLAIM
    assert denied.detail.startswith(claim)


@pytest.mark.parametrize("claim", ["iss", "aud", "exp", "iat", "sub"])
def test_a_claim_that_must_be_there_is_missed(claim: str) -> None:
    denied = refusal(**{claim: None})
    assert denied.reason is Reason.TOKEN_CLAIM
    assert denied.detail.startswith(claim)


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("iss", [world.ISSUER]),
        ("sub", ""),
        ("sub", 7),
        ("sub", [world.SUBJECT]),
        ("aud", {"psp": True}),
        ("aud", ["psp", 7]),
        ("jti", ""),
        ("jti", 7),
        ("scope", [world.SCOPE]),
        ("scope", 7),
        ("scp", 7),
        ("scp", [7]),
    ],
)
def test_a_claim_of_another_type_is_refused(claim: str, value: object) -> None:
    denied = refusal(**{claim: value})
    assert denied.reason is Reason.TOKEN_CLAIM
    assert denied.detail.startswith(claim)


def test_nbf_that_is_null_is_refused() -> None:
    rules = ClaimRules(world.issuer(), world.AUDIENCE, None)
    with pytest.raises(Denied) as caught:
        rules.check({**world.claims(), "nbf": None}, NOW)
    assert caught.value.reason is Reason.TOKEN_CLAIM


@pytest.mark.parametrize("exp", [NOW - 60, NOW - 61])
def test_an_expiry_that_is_not_after_the_issue_is_refused(exp: float) -> None:
    assert refusal(exp=exp).reason is Reason.TOKEN_CLAIM


@pytest.mark.parametrize("scp", [["a", "b"], "a b", ["b", "a"]])
def test_scopes_may_stand_in_scp(scp: object) -> None:
    assert check(scope=None, scp=scp).scopes == {"a", "b"}


def test_scope_and_scp_may_say_the_same() -> None:
    assert check(scope="a b", scp=["b", "a"]).scopes == {"a", "b"}


def test_scope_and_scp_that_differ_are_refused() -> None:
    assert refusal(scope="a", scp=["a", "admin"]).reason is Reason.TOKEN_CLAIM


@pytest.mark.parametrize(("scope", "scopes"), [("", set()), ("a  b ", {"a", "b"}), ("a\tb", {"a\tb"})])
def test_scopes_are_separated_by_spaces_only(scope: str, scopes: set[str]) -> None:
    assert check(scope=scope).scopes == scopes


def test_no_refusal_shows_the_subject() -> None:
    assert world.SUBJECT not in str(refusal(exp=NOW - 10 * HOUR, iat=NOW - 11 * HOUR))


@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_what_lies_ahead_is_taken_up_to_the_skew_and_never_beyond_a_minute(claim: str) -> None:
    for skew, taken, refused in ((10.0, 10, 11), (300.0, 60, 61)):
        rules = ClaimRules(world.issuer(skew=skew), world.AUDIENCE, None)
        made = rules.check(world.claims(**{claim: int(NOW) + taken}), NOW)
        assert rules.still_hold(made, NOW)
        assert not rules.still_hold(made, Instant(NOW - 1))
        with pytest.raises(Denied) as caught:
            rules.check(world.claims(**{claim: int(NOW) + refused}), NOW)
        assert caught.value.reason is Reason.TOKEN_NOT_YET_VALID


def rules(**changes: Any) -> ClaimRules:
    return ClaimRules(world.issuer(), world.AUDIENCE, None, **changes)


def test_what_a_route_demands_of_single_claims_is_checked() -> None:
    demanding = rules(demands=(Demand("tenant", frozenset({"acme"})),))
    assert demanding.check(world.claims(tenant="acme"), NOW)
    with pytest.raises(Denied) as caught:
        demanding.check(world.claims(tenant="blue"), NOW)
    assert caught.value.reason is Reason.TOKEN_CLAIM_RULE


STRONG = Authentication(("urn:sca",), 300.0)


def test_a_user_that_was_authenticated_lately_and_well_is_taken_until_it_is_too_long_ago() -> None:
    demanding = rules(authentication=STRONG)
    claims = demanding.check(world.claims(acr="urn:sca", auth_time=int(NOW) - 300), NOW)
    assert demanding.still_hold(claims, Instant(NOW + SKEW))
    assert not demanding.still_hold(claims, Instant(NOW + SKEW + 1))


@pytest.mark.parametrize(
    "changes",
    [
        {"acr": None},
        {"acr": "pwd"},
        {"acr": ["urn:sca"]},
        {"auth_time": None},
        {"auth_time": int(NOW) - 311},
    ],
)
def test_a_user_that_was_not_is_sent_back(changes: dict[str, Any]) -> None:
    valid = {"acr": "urn:sca", "auth_time": int(NOW)}
    with pytest.raises(Denied) as caught:
        rules(authentication=STRONG).check(world.claims(**{**valid, **changes}), NOW)
    assert caught.value.reason is Reason.TOKEN_AUTHENTICATION
