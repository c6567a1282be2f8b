from collections.abc import Callable

import pytest

from gateway.core.chain import ClaimOnce, RateLimit, Take, TakeRate
from gateway.core.holds import Enter, GiveBack
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.state.store import Store
from gateway.state.unshared import Unshared
from tests.unit.state.money_store import key, reserve
from tests.world import NOW

TAKE = TakeRate((Take(RateLimit("50/second", 50, 1, sliding=False), ("acme",)),))
CLAIM = ClaimOnce("acme", b"nonce", NOW, Instant(NOW + 60))


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.take(TAKE, NOW),
        lambda store: store.claim(CLAIM, NOW),
        lambda store: store.remember(key(), NOW),
        lambda store: store.reserve(reserve(), NOW),
        lambda store: store.enter(Enter("acme", "psp", "pay", 1, 60), NOW),
        lambda store: store.settle(GiveBack(reserve(), None), NOW),
    ],
)
def test_nothing_is_answered(ask: Callable[[Store], object]) -> None:
    with pytest.raises(Unavailable, match="no store that they share") as caught:
        ask(Unshared())
    assert caught.value.reason is Reason.STATE_UNAVAILABLE


def test_there_is_nothing_to_close() -> None:
    Unshared().close()
