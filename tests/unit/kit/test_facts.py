from dataclasses import replace

import pytest

from gateway.core.message import Instant
from gateway.kit.facts import gather, needs_certificate
from tests import messages, world
from tests.unit.kit.kits import URL, facts, message_facts, policy


def test_a_partner_its_routes_and_its_key() -> None:
    found = facts()
    assert (found.partner.name, [route.name for route in found.routes], found.base_url) == (
        world.PARTNER, ["deposit"], URL
    )  # fmt: skip
    assert needs_certificate(found)
    assert found.signing is not None
    assert (found.signing.key_id, found.signing.algorithm, found.signing.once) == (
        world.SIGNING_KEY_ID, "hmac-sha256", True
    )  # fmt: skip


def test_the_sample_has_what_the_route_asks_for() -> None:
    signing = message_facts("@method", "x-account", "idempotency-key").signing
    assert signing is not None
    assert (signing.sample.method, signing.sample.path, signing.sample.body) == (
        "PUT", "/v1/players/1", '{"sample":true}'
    )  # fmt: skip
    assert signing.sample.fields == {
        "content-type": "application/json",
        "authorization": "Bearer ${TOKEN:?an access token}",
        "x-account": "sample",
        "idempotency-key": '"sample-1"',
    }


def test_without_room_for_a_body_there_is_none() -> None:
    signing = facts(body_limit=4).signing
    assert signing is not None
    assert (signing.sample.body, "content-type" in signing.sample.fields) == ("", False)


def test_the_newest_key_in_force_is_shown() -> None:
    ended = world.signing_key(id="old", not_after=world.NOW)
    coming = world.signing_key(id="new", not_before=Instant(world.NOW + 1))
    for keys, expected in (
        ({"old": ended, "now": world.signing_key(id="now"), "new": coming}, "now"), ({"old": ended}, "YOUR-KEY-ID")
    ):  # fmt: skip
        signing = facts(keys=keys).signing
        assert signing is not None
        assert (signing.key_id, signing.algorithm) == (expected, "hmac-sha256")


def test_a_partner_that_signs_nothing() -> None:
    unsigned = world.policy(world.route(chain=world.chain(signature=None, replay=None)))
    assert gather(unsigned, world.PARTNER, URL, route=None, now=world.NOW).signing is None
    by_token = world.policy(world.route(chain=world.chain(mutual_tls=None)))
    assert not needs_certificate(gather(by_token, world.PARTNER, URL, route=None, now=world.NOW))


@pytest.mark.parametrize(
    ("name", "route", "said"),
    [("nobody", None, "no partner 'nobody'"), (world.PARTNER, "other", "may call no route 'other'"),
     (world.OTHER_PARTNER, None, "no route lists")],
)  # fmt: skip
def test_who_and_what_is_not_there(name: str, route: str | None, said: str) -> None:
    made = policy()
    with pytest.raises(ValueError, match=said):
        gather(replace(made), name, URL, route=route, now=messages.NOW)
