"""The demo's books: exact, and each movement once."""

from collections.abc import Callable
from http import HTTPStatus

import pytest

from gateway.demo.book import Book, Document, Fields, Refused

PAY = {"player": "p-1001", "amount": "25.00", "reference": "r-1"}


@pytest.fixture
def book() -> Book:
    return Book.opened()


def refusal(act: Callable[[], Document]) -> tuple[HTTPStatus, str]:
    with pytest.raises(Refused) as caught:
        act()
    return caught.value.status, caught.value.code


def test_a_deposit_adds_to_the_balance(book: Book) -> None:
    assert book.deposit(PAY) == {"status": "captured", "amount": "25.00", "balance": "125.00"}


def test_cents_add_up_exactly(book: Book) -> None:
    for _ in range(10):
        book.deposit({**PAY, "amount": "0.10"})
    assert book.balance("p-1001")["balance"] == "101.00"


def test_the_same_reference_moves_money_once(book: Book) -> None:
    assert book.once("deposit", PAY, book.deposit) == book.once("deposit", PAY, book.deposit)
    assert book.balance("p-1001")["balance"] == "125.00"


def test_the_same_reference_for_something_else_is_refused(book: Book) -> None:
    book.once("deposit", PAY, book.deposit)
    other = {**PAY, "amount": "26.00"}
    assert refusal(lambda: book.once("deposit", other, book.deposit)) == (HTTPStatus.CONFLICT, "reference_reused")


def test_a_refused_movement_does_not_use_its_reference_up(book: Book) -> None:
    too_much = {**PAY, "amount": "100.01"}
    assert refusal(lambda: book.once("withdrawal", too_much, book.withdraw))[1] == "insufficient_funds"
    assert book.once("withdrawal", PAY, book.withdraw)["balance"] == "75.00"


def test_nobody_pays_out_more_than_there_is(book: Book) -> None:
    assert refusal(lambda: book.withdraw({**PAY, "amount": "100.01"}))[1] == "insufficient_funds"
    assert book.balance("p-1001")["balance"] == "100.00"


def test_the_deposit_limit_holds_over_several_deposits(book: Book) -> None:
    book.limit("p-1001", {"daily_deposit": "40.00"})
    book.deposit(PAY)
    assert refusal(lambda: book.deposit(PAY))[1] == "deposit_limit_reached"


@pytest.mark.parametrize(
    "amount", ["25", "25.0", "25.000", "-1.00", "0.00", "1e3", " 1.00", "01.00", 25, 25.0, None, True]
)
def test_what_is_no_exact_amount_is_refused(book: Book, amount: object) -> None:
    assert refusal(lambda: book.deposit({**PAY, "amount": amount})) == (HTTPStatus.BAD_REQUEST, "amount_invalid")


@pytest.mark.parametrize("act", ["deposit", "launch", "award"])
def test_a_self_excluded_player_does_not_play_on(book: Book, act: str) -> None:
    book.exclude("p-1001", {"months": 6})
    acts: dict[str, Callable[[Fields], Document]] = {
        "deposit": book.deposit,
        "launch": lambda fields: book.launch("book-of-gold", fields),
        "award": book.award,
    }
    assert refusal(lambda: acts[act](PAY)) == (HTTPStatus.FORBIDDEN, "player_self_excluded")


def test_a_self_excluded_player_gets_the_money_out(book: Book) -> None:
    book.exclude("p-1001", {"months": 6})
    assert book.withdraw(PAY)["balance"] == "75.00"


def test_an_exclusion_is_never_shortened(book: Book) -> None:
    book.exclude("p-1001", {"months": 12})
    assert book.exclude("p-1001", {"months": 1})["excluded_months"] == 12


@pytest.mark.parametrize("months", [0, 121, "6", True, None, 1.5])
def test_an_exclusion_needs_months(book: Book, months: object) -> None:
    assert refusal(lambda: book.exclude("p-1001", {"months": months}))[1] == "months_invalid"


def test_stakes_and_wins_move_balance_and_session(book: Book) -> None:
    session = book.launch("book-of-gold", PAY)["session"]
    book.debit({"session": session, "amount": "1.50", "reference": "d"})
    book.credit({"session": session, "amount": "4.20", "reference": "c"})
    assert book.balance("p-1001")["balance"] == "102.70"
    assert book.session("s-0001") == {"session": "s-0001", "game": "book-of-gold", "wagered": "1.50", "won": "4.20"}


def test_a_win_reaches_a_player_who_excluded_himself_meanwhile(book: Book) -> None:
    session = book.launch("book-of-gold", PAY)["session"]
    book.exclude("p-1001", {"months": 6})
    assert book.credit({"session": session, "amount": "4.20"})["balance"] == "104.20"
    assert refusal(lambda: book.debit({"session": session, "amount": "1.00"}))[1] == "player_self_excluded"


def test_a_bonus_is_no_cash(book: Book) -> None:
    book.award(PAY)
    assert book.balance("p-1001") == {"balance": "100.00", "bonus": "25.00", "currency": "EUR"}


def test_the_day_adds_up(book: Book) -> None:
    book.once("deposit", PAY, book.deposit)
    book.once("deposit", {**PAY, "reference": "r-2"}, book.deposit)
    book.once("withdrawal", {**PAY, "amount": "10.00"}, book.withdraw)
    assert book.reconcile("2026-11-22") == {"day": "2026-11-22", "deposits": "50.00", "withdrawals": "10.00"}


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda book: book.account("nobody"), "player_unknown"),
        (lambda book: book.session("s-9999"), "session_unknown"),
        (lambda book: book.debit({"session": "s-9999", "amount": "1.00"}), "session_unknown"),
        (lambda book: book.deposit({**PAY, "player": "nobody"}), "player_unknown"),
    ],
)
def test_who_is_not_known_is_not_found(book: Book, act: Callable[[Book], Document], code: str) -> None:
    assert refusal(lambda: act(book)) == (HTTPStatus.NOT_FOUND, code)


@pytest.mark.parametrize("reference", [None, "", 7, "x" * 65])
def test_a_movement_needs_a_reference(book: Book, reference: object) -> None:
    fields = {**PAY, "reference": reference}
    assert refusal(lambda: book.once("deposit", fields, book.deposit))[1] == "reference_invalid"


def test_an_account_shows_its_state(book: Book) -> None:
    assert book.account("p-1001")["state"] == "active"
    book.exclude("p-1001", {"months": 6})
    assert book.account("p-1001")["state"] == "self-excluded"
