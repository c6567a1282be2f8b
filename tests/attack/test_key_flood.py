"""Keys without end: a partner that sends them fills its own share, and nobody else's."""

from pathlib import Path

import pytest

from gateway.controls.idempotency import BodyKey
from gateway.core.document import Pointer
from gateway.core.holds import KeyState, Remembered
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.core.stores import StateSettings
from gateway.state.money import Money
from tests.engine.harness import running
from tests.engine.money import chain, debit, idempotency, velocity
from tests.unit.state.money_store import key
from tests.world import NOW

SMALL = StateSettings(keys=3, counters=4)


async def test_a_partner_that_invents_keys_is_refused_once_its_share_is_full(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": chain(idempotency())}, state=SMALL) as up:
        answers = [await up.send(debit(number, f"op-{number}")) for number in range(5)]

        assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
        assert answers[3].code == "idempotency.full"
        assert up.decided[3:] == [Reason.IDEMPOTENCY_FULL] * 2
        assert not up.records("control.failed")  # the store works
        assert (await up.send(debit(9, "op-1"))).fields["idempotent-replayed"] == "true"
        assert len(up.upstream.requests) == 3


async def test_a_partner_that_invents_players_is_refused_once_its_share_is_full(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": chain(velocity())}, state=SMALL) as up:
        answers = [await up.send(debit(number, player=f"p-{number}")) for number in range(3)]

        assert [answer.status for answer in answers] == [200, 200, 429]  # two counters a player
        assert answers[2].code == "velocity.full"
        assert len(up.upstream.requests) == 2


@pytest.mark.parametrize("value", ["x" * 10_000_000, "\u00e9" * 300, "\U0001f600", "a\u0000b", "\ud800"])
async def test_a_key_without_end_or_with_many_forms_is_refused(tmp_path: Path, value: str) -> None:
    rules = chain(idempotency(key=BodyKey(Pointer("/reference"))))
    async with running(tmp_path, route={"chain": rules, "body_limit": 11_000_000}) as up:
        refused = await up.send(debit(1, reference=value))

        assert refused.code == "idempotency.key_invalid"
        assert up.upstream.untouched


async def test_a_hundred_thousand_keys_of_one_partner_leave_room_for_others(tmp_path: Path) -> None:
    money = Money(StateSettings(keys=100_000))
    money.restore(tmp_path, NOW)
    for number in range(100_000):
        money._keys.take(b"%016d" % number, key()).state = KeyState.UNKNOWN
    with pytest.raises(Unavailable) as caught:
        money.remember(key(b"one more"), NOW)
    assert caught.value.reason is Reason.IDEMPOTENCY_FULL
    taken = money.remember(key(partner="blue"), NOW)
    assert not isinstance(taken, Remembered)
    assert (await taken).state is KeyState.NEW
    later = key(b"one more", lease=Instant(NOW + 2_000), until=Instant(NOW + 2_000))
    anew = money.remember(later, Instant(NOW + 1_000))
    assert not isinstance(anew, Remembered)
    assert (await anew).state is KeyState.NEW
    assert len(money._keys) < 100_000
    money.close()
