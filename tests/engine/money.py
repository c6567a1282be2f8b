"""Money routes for tests: the world's deposit, with a key and limits; and requests to it."""

import json
from typing import Any

from gateway.controls.idempotency import ALWAYS_KEPT, FieldKey, Idempotency
from gateway.controls.velocity import Amount, Currency, Velocity, VelocityLimit
from gateway.core.chain import Control
from gateway.core.document import Pointer
from gateway.policy.money import FINAL, NOT_DONE, RETURNED
from tests import world
from tests.engine.harness import request

KEY = "idempotency-key"


def idempotency(**changes: Any) -> Idempotency:
    """Give the control: keys in the field of the IETF draft, remembered for a day."""
    valid = {
        "key": FieldKey(KEY), "remember": 86_400.0, "final": FINAL, "not_done": NOT_DONE, "limit": 65_536,
        "fields": ALWAYS_KEPT,
    }  # fmt: skip
    return Idempotency(**valid | changes)


def velocity(*limits: VelocityLimit, **changes: Any) -> Velocity:
    """Give the control; without limits, 50.00 EUR a day and three an hour for each player."""
    player = (Pointer("/player"),)
    valid: dict[str, Any] = {
        "limits": limits
        or (VelocityLimit("day", 86_400, player, {"EUR": 5_000}), VelocityLimit("hour", 3_600, player, count=3)),
        "returned": RETURNED,
        "amount": Amount(Pointer("/amount"), Currency(pointer=Pointer("/currency")), minor=True, quoted=False),
        "digits": {"EUR": 2},
    }
    return Velocity(**valid | changes)


def chain(*rules: Control) -> tuple[Control, ...]:
    """Give the full chain with body rules at its end."""
    return (*world.chain(), *rules)


def debit(number: int, key: str | None = "op-1", *, body: bytes | None = None, **fields: Any) -> bytes:
    """Write a signed request with a nonce of its own; `number` tells one from another."""
    made = body if body is not None else json.dumps({"player": "p-1", "amount": 2_000, "currency": "EUR", **fields})
    raw = made if isinstance(made, bytes) else made.encode()
    return request(world.World(body=raw, nonce=f"nonce-{number}", fields={} if key is None else {KEY: key}))
