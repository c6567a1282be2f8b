import pytest

from gateway.policy.currencies import ISO_DIGITS, amount, code
from gateway.policy.values import Unfit


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("5000.00 EUR", ("EUR", 500_000)),
        ("5_000 EUR", ("EUR", 500_000)),
        ("0.5 EUR", ("EUR", 50)),
        ("100000 JPY", ("JPY", 100_000)),
        ("1.234 KWD", ("KWD", 1_234)),
        ("0.00000001 BTC", ("BTC", 1)),
    ],
)
def test_amounts_are_exact(text: str, read: tuple[str, int]) -> None:
    assert amount(text, {"BTC": 8}) == read


@pytest.mark.parametrize(
    "text",
    ["5000", "EUR 5000", "5000EUR", "5,000 EUR", "-1 EUR", "0 EUR", "1e3 EUR", "1.005 EUR", "1.5 JPY", "1 XXX", "1 €",
     "999999999999999999 EUR", "1. EUR"],
)  # fmt: skip
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(Unfit):
        amount(text, {})


def test_the_policys_own_decimals_count() -> None:
    assert amount("1.5 JPY", {"JPY": 1}) == ("JPY", 15)


def test_codes() -> None:
    assert code("mBTC") == "mBTC"
    with pytest.raises(Unfit):
        code("€")


def test_every_currency_has_its_decimals() -> None:
    assert len(ISO_DIGITS) > 150
    assert {ISO_DIGITS[one] for one in ("EUR", "JPY", "KWD", "CLF")} == {2, 0, 3, 4}
