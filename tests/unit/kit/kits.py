"""Facts of kits, for their tests."""

from dataclasses import replace
from typing import Any

from gateway.controls.signature import SignatureControl
from gateway.core.policy import Match, Policy
from gateway.kit.facts import Facts, gather
from gateway.signing.window import Window
from tests import messages, world

URL = "https://api.psp.example"


def policy(scheme: Any = None, **changes: Any) -> Policy:
    """Give the world's policy, whose route asks for signatures by a scheme."""
    control = SignatureControl(scheme or world.scheme(), Window(60.0, 5.0))
    keys = changes.pop("keys", None)
    own = world.partner() if keys is None else replace(world.partner(), signing_keys=keys)
    route = world.route(chain=world.chain(signature=control), **changes)
    return world.policy(route, partners={world.PARTNER: own, world.OTHER_PARTNER: world.other_partner()})


def facts(scheme: Any = None, **changes: Any) -> Facts:
    """Give the facts about the partner that calls."""
    return gather(policy(scheme, **changes), world.PARTNER, URL, route=None, now=world.NOW)


def message_facts(*covered: str, algorithm: str = "ed25519", **changes: Any) -> Facts:
    """Give the facts where requests are signed by RFC 9421."""
    keys = {algorithm: messages.signing_key(algorithm)}
    match = Match(frozenset({"PUT"}), "/v1/players/{player}")
    return facts(messages.scheme(*covered, **changes), keys=keys, match=match)
