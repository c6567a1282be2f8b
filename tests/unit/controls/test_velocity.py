from dataclasses import replace
from typing import Any

import pytest

from gateway.controls.velocity import MAX_AMOUNT, Amount, Currency, Velocity, VelocityLimit
from gateway.core.document import Pointer, read_document
from gateway.core.exchange import Exchange
from gateway.core.holds import HeldAmounts, Reserve, Reserved, SumLimit
from gateway.core.reasons import Denied, Reason
from tests import world
from tests.world import Answers, World, check

PLAYER = Pointer("/player")
DIGITS = {"EUR": 2, "JPY": 0, "KWD": 3, "BTC": 8}
MINOR = Amount(Pointer("/amount"), Currency("EUR"), minor=True, quoted=False)
MAJOR = replace(MINOR, minor=False)
SUM = VelocityLimit("day", 86_400, (PLAYER,), {"EUR": 5_000})
COUNT = VelocityLimit("hour", 3_600, ("partner", PLAYER), count=3)
GOT = Reserved((), "token")


def velocity(*limits: VelocityLimit, **changes: Any) -> Velocity:
    valid = {"limits": limits or (SUM, COUNT), "returned": frozenset({400}), "amount": MINOR, "digits": DIGITS}
    return Velocity(**valid | changes)


def exchange(body: bytes = b'{"player":"p-1","amount":2500}') -> Exchange:
    entered = World(body=body).exchange()
    entered.partner = world.partner()
    entered.body = body
    return entered


def run(control: Velocity, entered: Exchange, found: object = GOT) -> Reserve:
    answers = Answers({Reserve: lambda _: found})
    check(control, entered, answers)
    (ask,) = [ask for ask in answers.asked if isinstance(ask, Reserve)]
    return ask


def refused(control: Velocity, entered: Exchange, found: object = GOT) -> Denied:
    with pytest.raises(Denied) as caught:
        run(control, entered, found)
    return caught.value


def amount(written: str, form: Amount = MINOR, currency: str = "EUR") -> int:
    units, _ = replace(form, currency=Currency(currency)).read(
        read_document(b'{"amount":%b}' % written.encode()), DIGITS
    )
    return units


def refusal(written: str, form: Amount = MINOR, currency: str = "EUR") -> Reason:
    with pytest.raises(Denied) as caught:
        amount(written, form, currency)
    return caught.value.reason


# Amounts


@pytest.mark.parametrize(("written", "units"), [("0", 0), ("1", 1), ("2500", 2_500), (str(MAX_AMOUNT), MAX_AMOUNT)])
def test_minor_units_are_whole(written: str, units: int) -> None:
    assert amount(written) == units


@pytest.mark.parametrize(
    ("written", "currency", "units"),
    [
        ("25", "EUR", 2_500),
        ("25.5", "EUR", 2_550),
        ("25.05", "EUR", 2_505),
        ("0.1", "EUR", 10),
        ("25.500000", "EUR", 2_550),
        ("25", "JPY", 25),
        ("25.0", "JPY", 25),
        ("25.505", "KWD", 25_505),
        ("0.00000001", "BTC", 1),
    ],
)
def test_major_units_are_exact(written: str, currency: str, units: int) -> None:
    assert amount(written, MAJOR, currency) == units


@pytest.mark.parametrize("written", ["25.0", "25.5", "1e3", "1E+3", str(MAX_AMOUNT + 1), "9" * 40, "-0.0e1"])
def test_what_is_no_minor_unit_is_refused(written: str) -> None:
    assert refusal(written) is Reason.VELOCITY_AMOUNT


@pytest.mark.parametrize("written", ["25.005", "1e3", "1.5e1", "100000000000.01", "0." + "0" * 30])
def test_what_is_no_exact_major_amount_is_refused(written: str) -> None:
    assert refusal(written, MAJOR) is Reason.VELOCITY_AMOUNT


@pytest.mark.parametrize("form", [MINOR, MAJOR])
@pytest.mark.parametrize("written", ["-1", "-0", "-2500", "-0.5"])
def test_a_negative_amount_is_refused(written: str, form: Amount) -> None:
    assert refusal(written, form) is Reason.VELOCITY_AMOUNT_NEGATIVE


@pytest.mark.parametrize("written", ['"2500"', "[2500]", '{"value":2500}', "true", "null"])
def test_a_number_is_a_number(written: str) -> None:
    assert refusal(written) is Reason.BODY_VALUE_TYPE


def test_a_string_is_taken_where_the_policy_says_so() -> None:
    quoted = replace(MAJOR, quoted=True)
    assert amount('"25.50"', quoted) == 2_550
    assert refusal("25.50", quoted) is Reason.BODY_VALUE_TYPE
    for other in ('""', '" 25"', '"25,50"', '"٢٥"', '"25 EUR"', '"0x10"', '"1_000"', '"+5"', '"NaN"'):
        assert refusal(other, quoted) is Reason.VELOCITY_AMOUNT
    assert refusal('"-5"', quoted) is Reason.VELOCITY_AMOUNT_NEGATIVE


def test_an_amount_that_is_missing_is_refused() -> None:
    assert refused(velocity(), exchange(b'{"player":"p-1"}')).reason is Reason.BODY_VALUE_MISSING


@pytest.mark.parametrize("body", [b'{"amount":1,"amount":2}', b'{"amount":1,"AMOUNT":2}'])
def test_an_amount_that_stands_twice_is_refused(body: bytes) -> None:
    assert refused(velocity(), exchange(body)).reason is Reason.BODY_MEMBER_REPEATED


def test_nan_is_no_amount() -> None:
    assert refused(velocity(), exchange(b'{"player":"p-1","amount":NaN}')).reason is Reason.BODY_NOT_JSON


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ('"SEK"', Reason.VELOCITY_CURRENCY),
        ('"eur"', Reason.VELOCITY_CURRENCY),
        ('"EUR "', Reason.VELOCITY_CURRENCY),
        ("978", Reason.BODY_VALUE_TYPE),
        ("null", Reason.BODY_VALUE_TYPE),
    ],
)
def test_a_currency_without_a_limit_is_refused(written: str, reason: Reason) -> None:
    named = replace(MINOR, currency=Currency(pointer=Pointer("/currency")))
    entered = exchange(b'{"player":"p-1","amount":1,"currency":%b}' % written.encode())
    assert refused(velocity(amount=named), entered).reason is reason


# What is reserved


def test_each_limit_is_counted_for_what_it_counts_by() -> None:
    entered = exchange()
    ask = run(velocity(), entered)
    assert (ask.partner, ask.route, ask.even_if_reached) == (world.PARTNER, "deposit", False)
    assert [(spend.limit, spend.key, spend.amount) for spend in ask.spends] == [
        (SumLimit("day", 5_000, 86_400), ("day", "EUR", "p-1"), 2_500),
        (SumLimit("hour", 3, 3_600), ("hour", "", world.PARTNER, "p-1"), 1),
    ]
    assert entered.holds == (HeldAmounts(ask, "token", frozenset({400})),)


def test_a_player_is_one_whether_it_is_a_number_or_a_string() -> None:
    number, string = exchange(b'{"player":7,"amount":1}'), exchange(b'{"player":"7","amount":1}')
    assert run(velocity(), number).spends == run(velocity(), string).spends


@pytest.mark.parametrize("player", ['"\u00e9"', '"e\u0301"', '""', '"a b"', "1.0", '"%s"' % ("x" * 257)])
def test_a_subject_with_several_forms_is_refused(player: str) -> None:
    body = b'{"player":%b,"amount":1}' % player.encode()
    assert refused(velocity(), exchange(body)).reason is Reason.VELOCITY_SUBJECT


def test_counts_alone_need_no_amount_and_no_body() -> None:
    control = velocity(VelocityLimit("all", 60, (), count=9), amount=None, digits=None)
    entered = exchange(b"not json")
    assert run(control, entered).spends[0].key == ("all", "")


def test_a_limit_may_count_by_token_subject() -> None:
    control = velocity(VelocityLimit("mine", 60, ("token.sub",), count=9), amount=None, digits=None)
    assert refused(control, exchange()).reason is Reason.TOKEN_MISSING


def test_without_a_partner_nothing_is_counted() -> None:
    entered = exchange()
    entered.partner = None
    assert refused(velocity(), entered).reason is Reason.PARTNER_UNKNOWN


def test_a_sum_without_an_amount_is_a_fault_of_the_policy() -> None:
    with pytest.raises(RuntimeError, match="needs an amount"):
        run(velocity(amount=None), exchange())


# What is denied


def test_a_limit_that_is_reached_denies_and_is_named() -> None:
    entered = exchange()
    denied = refused(velocity(), entered, Reserved((SumLimit("day", 5_000, 86_400),)))
    assert (denied.reason, denied.detail) == (Reason.VELOCITY_EXCEEDED, "limit day is reached")
    assert entered.holds == ()


def test_a_limit_that_is_reached_may_only_mark() -> None:
    entered = exchange()
    ask = run(velocity(marks=True), entered, Reserved((SumLimit("day", 5_000, 86_400),), "token"))
    assert ask.even_if_reached
    assert entered.marks == ("velocity.day",)
    assert len(entered.holds) == 1
