"""Stolen tokens, tokens of another type, and tokens used for another resource, end to end."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.controls.credentials import Authentication
from gateway.controls.demands import BodyTie, Demand, PathTie, TokenBody
from gateway.core.policy import Match
from gateway.core.reasons import Reason
from gateway.signing.jose import encode_base64url
from tests import world
from tests.engine import harness, pki
from tests.engine.harness import get, running
from tests.engine.upstream import FakeUpstream


def bound_to(client: str) -> dict[str, str]:
    """Give the cnf claim of a token that is bound to a client's certificate."""
    return {"x5t#S256": encode_base64url(pki.pki().clients[client].certificate.fingerprint(SHA256()))}


CONTROL = world.token_control(
    issuer=world.issuer(profile="rfc9068"),
    bound_to="certificate",
    demands=(Demand("tenant", frozenset({"acme"})), Demand("act", forbidden=True)),
    path_ties=(PathTie("player_id", "player"),),
    authentication=Authentication(("urn:sca",), 300.0),
)
GOOD: dict[str, Any] = {
    "client_id": "acme",
    "cnf": bound_to("partner"),
    "tenant": "acme",
    "player_id": "p-1",
    "acr": "urn:sca",
    "auth_time": int(world.NOW) - 60,
}
INVALID = 'Bearer realm="gateway", error="invalid_token"'


def minted(*, typ: str = "at+jwt", **changes: Any) -> str:
    return world.token(world.claims(**{**GOOD, **changes}), header={"typ": typ})


async def send(directory: Path, sent: str, path: str = "/v1/players/p-1") -> tuple[harness.Response, FakeUpstream]:
    """Send a request to a route that asks all of a token that a route can ask."""
    async with running(directory) as up:
        policy = up.gate.in_force.policy
        route = harness.balance(
            policy.upstreams["psp"],
            match=Match(frozenset({"GET"}), "/v1/players/{player}"),
            chain=world.chain(token=CONTROL, signature=None, replay=None, rate_limit=None),
        )
        up.gate.in_force = replace(up.gate.in_force, policy=replace(policy, routes=(route,)))
        return await up.send(get(path, authorization=f"Bearer {sent}")), up.upstream


ROWS = {
    "an ID token": ({"typ": "JWT"}, Reason.TOKEN_TYPE, INVALID),
    "no client": ({"client_id": None}, Reason.TOKEN_CLAIM, INVALID),
    "another partner's certificate": ({"cnf": bound_to("other")}, Reason.TOKEN_BINDING, INVALID),
    "bound to a key": ({"cnf": {"jkt": encode_base64url(b"k" * 32)}}, Reason.TOKEN_BINDING, INVALID),
    "not bound": ({"cnf": None}, Reason.TOKEN_BINDING, INVALID),
    "a binding that is none": ({"cnf": {"x5t#S256": "AAAA"}}, Reason.TOKEN_CLAIM, INVALID),
    "another tenant": ({"tenant": "blue"}, Reason.TOKEN_CLAIM_RULE, None),
    "an actor": ({"act": {"sub": "helpdesk"}}, Reason.TOKEN_CLAIM_RULE, None),
    "another player": ({"player_id": "p-2"}, Reason.TOKEN_RESOURCE, None),
    "a weak authentication": (
        {"acr": "pwd"},
        Reason.TOKEN_AUTHENTICATION,
        'Bearer realm="gateway", error="insufficient_user_authentication", acr_values="urn:sca", max_age="300"',
    ),
}


@pytest.mark.parametrize(("changes", "reason", "challenge"), ROWS.values(), ids=ROWS)
async def test_a_token_that_is_not_what_the_route_asks_for(
    tmp_path: Path, changes: dict[str, Any], reason: Reason, challenge: str | None
) -> None:
    response, upstream = await send(tmp_path, minted(**changes))

    assert (response.status, response.code) == (reason.status, reason.code)
    assert response.fields.get("www-authenticate") == challenge
    assert upstream.untouched


async def test_the_token_that_is_what_the_route_asks_for(tmp_path: Path) -> None:
    response, _ = await send(tmp_path, minted())
    assert response.status == 200


async def test_a_token_that_fell_into_other_hands(tmp_path: Path) -> None:
    both = frozenset({world.PARTNER, world.OTHER_PARTNER})
    async with running(tmp_path, route={"partners": both}) as up:
        stolen = get(authorization=f"Bearer {world.token(world.claims(cnf=bound_to('partner')))}")
        assert (await up.send(stolen)).status == 200
        up.upstream.requests.clear()

        assert (await up.send(stolen, certificate="other")).code == "token.binding"
        assert not up.upstream.requests


async def test_a_body_about_another_player(tmp_path: Path) -> None:
    ties = (BodyTie("player_id", "player"),)
    chain = (*world.chain(token=world.token_control(body_ties=ties)), TokenBody(ties))
    async with running(tmp_path, route={"chain": chain}) as up:
        for nonce, player, status in (("1", "p-1", 200), ("2", "p-2", 403)):
            body = json.dumps({"player": player, "amount": 2500}).encode()
            sent = world.World(body=body, nonce=nonce, token=world.token(world.claims(player_id="p-1")))
            assert (await up.send(harness.request(sent))).status == status
        assert len(up.upstream.requests) == 1
        assert up.decided == [Reason.ALLOWED, Reason.TOKEN_RESOURCE]
