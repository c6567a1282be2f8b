import json
from typing import Any

import pytest

from gateway.controls.demands import MAX_STEPS, BodyTie, Demand, PathTie, TokenBody, as_text, look_up, pointer_steps
from gateway.core.decision import Decision
from gateway.core.reasons import Denied, Reason
from tests import world
from tests.world import World

CLAIMS = {"tenant": "acme", "level": 3, "roles": ["teller", 7], "realm_access": {"roles": ["a"]}, "a/b": {"~": "x"}}


@pytest.mark.parametrize(
    ("pointer", "steps"),
    [
        ("tenant", ("tenant",)),
        ("https://acme.example/tenant", ("https://acme.example/tenant",)),
        ("/a~1b/~0", ("a/b", "~")),
        ("/realm_access/roles", ("realm_access", "roles")),
    ],
)
def test_steps_of_a_pointer(pointer: str, steps: tuple[str, ...]) -> None:
    assert pointer_steps(pointer) == steps
    assert look_up(CLAIMS, steps) is not None or pointer.startswith("https")


@pytest.mark.parametrize("pointer", ["/", "/a//b", "/a~2", "/a/", "/a" * (MAX_STEPS + 1)])
def test_what_is_no_pointer(pointer: str) -> None:
    with pytest.raises(ValueError, match=r"pointer|leads"):
        pointer_steps(pointer)


@pytest.mark.parametrize(("value", "text"), [("x", "x"), (7, "7"), (True, None), (1.0, None), (None, None), ([], None)])
def test_what_is_compared_is_text(value: object, text: str | None) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize(
    "demand",
    [
        Demand("tenant"),
        Demand("tenant", frozenset({"acme", "blue"})),
        Demand("level", frozenset({"3"})),
        Demand("roles", frozenset({"teller"})),
        Demand("roles", frozenset({"7"})),
        Demand("/realm_access/roles", frozenset({"a"})),
        Demand("act", forbidden=True),
        Demand("/realm_access/act", forbidden=True),
        Demand("/no/such", forbidden=True),
    ],
)
def test_a_demand_that_is_met(demand: Demand) -> None:
    demand.check(CLAIMS)


@pytest.mark.parametrize(
    ("demand", "detail"),
    [
        (Demand("tenants"), "tenants is missing"),
        (Demand("/realm_access/groups"), "/realm_access/groups is missing"),
        (Demand("/tenant/x"), "/tenant/x is missing"),
        (Demand("tenant", frozenset({"Acme"})), "tenant has none of the values that the route takes"),
        (Demand("tenant", frozenset({"acm"})), "tenant has none of the values that the route takes"),
        (Demand("realm_access", frozenset({"a"})), "realm_access has none of the values that the route takes"),
        (Demand("tenant", forbidden=True), "tenant is there, and must not be"),
        (Demand("Tenant", forbidden=True), "Tenant is there, and must not be"),
        (Demand("/realm_access/roles", forbidden=True), "/realm_access/roles is there, and must not be"),
    ],
)
def test_a_demand_that_is_not_met(demand: Demand, detail: str) -> None:
    with pytest.raises(Denied) as caught:
        demand.check(CLAIMS)
    assert (caught.value.reason, caught.value.detail) == (Reason.TOKEN_CLAIM_RULE, detail)


def test_a_null_is_there_where_it_must_not_be_and_missing_where_it_must() -> None:
    for demand in (Demand("act", forbidden=True), Demand("act")):
        with pytest.raises(Denied):
            demand.check({"act": None})


def test_a_claim_in_two_spellings_is_none() -> None:
    with pytest.raises(Denied) as caught:
        Demand("tenant", frozenset({"acme"})).check({"tenant": "acme", "TENANT": "blue"})
    assert caught.value.reason is Reason.TOKEN_CLAIM_RULE


def test_a_path_is_compared_as_it_is_decoded() -> None:
    PathTie("player", "id").check({"player": "p 1"}, "/v1/{id}/x", "/v1/p%201/x")
    with pytest.raises(Denied) as caught:
        PathTie("player", "id").check({"player": "p%201"}, "/v1/{id}/x", "/v1/p%201/x")
    assert caught.value.reason is Reason.TOKEN_RESOURCE


TIED = (BodyTie("player_id", "player"), BodyTie("account", "/account/id"))


def sent(body: bytes, **claims: Any) -> Decision:
    control = world.token_control(body_ties=TIED)
    policy = world.policy(world.route(chain=(*world.chain(token=control), TokenBody(TIED))))
    given = world.claims(**{"player_id": "p-1", "account": 7, **claims})
    return World(policy=policy, body=body, token=world.token(given)).decide()


def test_a_body_that_says_the_same_is_taken() -> None:
    decision = sent(b'{"player": "p-1", "account": {"id": 7}, "amount": 10}')
    assert decision.allowed
    assert decision.exchange.passed[-1] == "token.body"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"player": "p-2", "account": {"id": 7}}, id="another player"),
        pytest.param({"player": "p-1", "account": {"id": 8}}, id="another account"),
        pytest.param({"player": "p-1", "account": 7}, id="another place"),
        pytest.param({"account": {"id": 7}}, id="no player"),
        pytest.param({"player": ["p-1"], "account": {"id": 7}}, id="a list"),
        pytest.param({"player": "p-1", "Player": "p-2", "account": {"id": 7}}, id="two spellings"),
        pytest.param({"PLAYER": "p-1", "account": {"id": 7}}, id="another spelling"),
        pytest.param({"player": "p-1", "account": {"id": 7, "ID": 8}}, id="two spellings inside"),
        pytest.param({"player": "p-1", "account": {"id": 7.0}}, id="a float"),
        pytest.param([{"player": "p-1"}], id="no object"),
    ],
)
def test_a_body_that_says_something_else_is_refused(body: Any) -> None:
    decision = sent(json.dumps(body).encode())
    assert decision.reason in (Reason.TOKEN_RESOURCE, Reason.BODY_MEMBER_REPEATED)
    assert decision.control == "token.body"


@pytest.mark.parametrize("body", [b"", b"player=p-1", b'{"player": "p-1", "player": "p-2", "account": {"id": 7}}'])
def test_a_body_without_one_reading_is_refused(body: bytes) -> None:
    assert sent(body).reason in (Reason.BODY_NOT_JSON, Reason.BODY_MEMBER_REPEATED)


def test_a_token_without_the_claim_is_refused() -> None:
    assert sent(b'{"player": "p-1", "account": {"id": 7}}', player_id=None).reason is Reason.TOKEN_CLAIM_RULE


def test_a_body_is_not_asked_about_without_a_token() -> None:
    with pytest.raises(RuntimeError):
        world.check(TokenBody(TIED), World().exchange())
