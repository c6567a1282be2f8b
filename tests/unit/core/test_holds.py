from dataclasses import replace

import pytest

from gateway.core.holds import (
    Ended,
    Enter,
    Entered,
    GiveBack,
    HeldAmounts,
    HeldKey,
    KeyState,
    Leave,
    Remember,
    Remembered,
    Reserve,
    Reserved,
    SettleKey,
    StoredAnswer,
    undone,
)
from gateway.core.message import Instant

ASK = Remember("acme", "debit", b"op-1", b"s" * 32, Instant(100.0), Instant(1_000.0))
HELD = HeldKey(ASK, "token", frozenset({200, 400}), frozenset({429}), 10, frozenset())
ANSWER = StoredAnswer(200, (), b"{}")
RESERVE = Reserve("acme", "debit", ())
ENTER = Enter("acme", "psp", "debit", 1, 60)
AMOUNTS = HeldAmounts(RESERVE, "token", frozenset({400}))


@pytest.mark.parametrize(
    ("ended", "state"),
    [
        (Ended(sent=False), KeyState.FREE),
        (Ended(True, 429), KeyState.FREE),
        (Ended(True, 200, ANSWER), KeyState.ANSWERED),
        (Ended(True, 400, ANSWER), KeyState.ANSWERED),
        (Ended(True, 200), KeyState.NOT_KEPT),
        (Ended(True, 500, ANSWER), KeyState.UNKNOWN),
        (Ended(sent=True), KeyState.UNKNOWN),
    ],
)
def test_a_key_is_settled_by_how_its_request_ended(ended: Ended, state: KeyState) -> None:
    settled = HELD.settle(ended)
    assert settled.state is state
    assert (settled.ask, settled.token) == (ASK, "token")
    assert (settled.answer is not None) is (state is KeyState.ANSWERED)


@pytest.mark.parametrize("ended", [Ended(sent=False), Ended(True, 429)])
def test_a_key_of_unknown_fate_stays_so_where_nothing_more_was_done(ended: Ended) -> None:
    assert replace(HELD, before=KeyState.UNKNOWN).settle(ended).state is KeyState.UNKNOWN


@pytest.mark.parametrize(("ended", "back"), [(Ended(False), True), (Ended(True, 400), True), (Ended(True, 200), False)])
def test_amounts_go_back_where_nothing_was_spent(ended: Ended, back: bool) -> None:
    assert AMOUNTS.settle(ended) == (GiveBack(RESERVE, "token") if back else None)


def test_amounts_of_unknown_fate_stay_counted() -> None:
    assert AMOUNTS.settle(Ended(sent=True)) is None
    assert AMOUNTS.settle(Ended(True, 500)) is None


@pytest.mark.parametrize(
    ("ask", "answer", "settlement"),
    [
        (ASK, Remembered(KeyState.NEW, None, 1), SettleKey(ASK, 1, KeyState.FREE, forget=True)),
        (ASK, Remembered(KeyState.AGAIN, None, 1), SettleKey(ASK, 1, KeyState.UNKNOWN)),
        (ASK, Remembered(KeyState.IN_FLIGHT), None),
        (RESERVE, Reserved((), 1), GiveBack(RESERVE, 1)),
        (ENTER, Entered(True, 1), Leave(ENTER, 1)),
        (ENTER, Entered(False), None),
        (RESERVE, Reserved(()), None),
        (ASK, None, None),
        (None, None, None),
    ],
)
def test_what_nobody_waited_for_is_taken_back(ask: object, answer: object, settlement: object) -> None:
    assert undone(ask, answer) == settlement
