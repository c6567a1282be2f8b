import pytest

from gateway.audit.redact import (
    clean,
    clean_all,
    clean_digest,
    clean_id,
    mask_cards,
    passes_luhn,
    without_query,
)

VISA = "4111111111111111"
VISA_13 = "4222222222222"
AMEX = "378282246310005"
CARD_19 = "6304000000000000000"


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        (VISA, "411111******1111"),
        (VISA_13, "422222***2222"),
        (AMEX, "378282*****0005"),
        (CARD_19, "630400*********0000"),
        ("4111 1111 1111 1111", "4111 11** **** 1111"),
        ("4111-1111-1111-1111", "4111-11**-****-1111"),
        ("4111.1111.1111.1111", "4111.11**.****.1111"),
        ("4111%201111%201111%201111", "4111%2011**%20****%201111"),
        ("4111%2d1111%2D1111-1111", "4111%2d11**%2D****-1111"),
        ("\u0664" + 15 * "\u0661", "\u0664" + 5 * "\u0661" + "******" + 4 * "\u0661"),
    ],
)
def test_a_card_number_keeps_six_and_four_digits(number: str, masked: str) -> None:
    assert mask_cards(number) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"/v1.{VISA}", "/v1.411111******1111"),
        (f"1 {VISA} 2", "1 411111******1111 2"),
        (f"{VISA} 5500000000000004", "411111******1111 550000******0004"),
        (f"10.0.0.1 {VISA}", "10.0.0.1 411111******1111"),
        (f"card{VISA}x", "card411111******1111x"),
        (f"{VISA}0827", "411111**********0827"),
    ],
)
def test_a_card_number_is_found_beside_other_digits(text: str, masked: str) -> None:
    assert mask_cards(text) == masked


@pytest.mark.parametrize(
    "text", ["4111111111111112", "411111111111", "2026-11-22 13:00:00", "198.51.100.7", "4111  1111  1111  1111"]
)
def test_other_digits_stay(text: str) -> None:
    assert mask_cards(text) == text


def test_more_digits_than_a_card_has_are_masked_unchecked() -> None:
    assert mask_cards("12345678901234567890") == "123456**********7890"


@pytest.mark.parametrize(("digits", "valid"), [(VISA, True), (AMEX, True), ("4111111111111112", False)])
def test_luhn(digits: str, valid: bool) -> None:
    assert passes_luhn([int(digit) for digit in digits]) is valid


@pytest.mark.parametrize("text", ["", "acme-casino", "/v1/players/p-1/limits", "Spielbank Zürich", "a'b\"c\\d"])
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("char", "escaped"),
    [
        ("\n", r"\u{a}"),
        ("\x1b", r"\u{1b}"),
        ("\x9b", r"\u{9b}"),
        ("\u2028", r"\u{2028}"),
        ("\u2029", r"\u{2029}"),
        ("\u202e", r"\u{202e}"),
        ("\ud800", r"\u{d800}"),
        ("\U000e0001", r"\u{e0001}"),
    ],
)
def test_what_cannot_be_printed_is_escaped(char: str, escaped: str) -> None:
    assert clean(f"a{char}b") == f"a{escaped}b"


def test_escaping_does_not_hide_a_card_number() -> None:
    assert clean(f"\x19{VISA}") == r"\u{19}411111******1111"


def test_a_token_is_replaced() -> None:
    assert clean("token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln was sent") == "token [token] was sent"


def test_long_text_is_cut_with_its_length_and_digest() -> None:
    assert clean("a" * 200, 10) == "aaaaaaaaaa… [200 characters, sha256:c2a908d98f5d]"


def test_text_at_the_limit_is_not_cut() -> None:
    assert clean("a" * 10, 10) == "a" * 10


def test_texts_that_differ_behind_the_cut_can_be_told_apart() -> None:
    assert clean("a" * 200 + "b", 10) != clean("a" * 200 + "c", 10)


def test_cutting_leaves_no_card_number() -> None:
    beginning = "0" * 12  # the 13 digits that are left pass the Luhn check, the 14 do not
    assert clean(f"{beginning}01 and more", 13).startswith("000000***0000…")


def test_a_text_is_cleaned_again_for_a_smaller_limit() -> None:
    text = "a-text-that-was-harmless"
    assert clean(text) is text
    assert clean(text, 6).startswith("a-text… [24 characters")


def test_what_is_cleaned_is_cleaned_each_time() -> None:
    assert [clean(VISA), clean(VISA)] == ["411111******1111"] * 2


def test_of_many_texts_the_first_are_kept_and_the_others_counted() -> None:
    assert clean_all(["a", "b", "c", "d"], count=2) == ["a", "b", "… and 2 more"]


def test_a_digest_stays_though_digits_in_it_pass_the_luhn_check() -> None:
    digest = VISA + "a" * 48
    assert clean_digest(digest) == digest


def test_what_is_no_digest_is_cleaned() -> None:
    assert clean_digest(VISA) == "411111******1111"


def test_a_uuid_stays_though_digits_in_it_pass_the_luhn_check() -> None:
    uuid = "41111111-1111-1111-aaaa-aaaaaaaaaaaa"
    assert clean_id(uuid) == uuid


def test_what_is_no_uuid_is_cleaned() -> None:
    assert clean_id(VISA) == "411111******1111"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("target '/a?b=c' is not", "target '/a?…' is not"),
        ("GET /a?b=c HTTP/1.1", "GET /a?… HTTP/1.1"),
        ("GET '/a?…'", "GET '/a?…'"),
        ("/a?b?c /d?e", "/a?… /d?…"),
        ("what? this", "what? this"),
        ("plain", "plain"),
    ],
)
def test_a_query_is_left_out(text: str, kept: str) -> None:
    assert without_query(text) == kept


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("/pay/cvv=123", "/pay/cvv=[hidden]"),
        ("CVC2: 1234, more", "CVC2: [hidden], more"),
        ("key='PASSWORD=tr0ub4dor'", "key='PASSWORD=[hidden]'"),
        ('{"security_code":"123","pin-block":"AAAA"}', '{"security_code":"[hidden]","pin-block":"[hidden]"}'),
        ("api_key=a&access_token=b;passwd=c", "api_key=[hidden]&access_token=[hidden];passwd=[hidden]"),
        ("cvv=[hidden]", "cvv=[hidden]"),
        ("the password: is missing", "the password: [hidden] missing"),
        ("mycvv=1", "mycvv=1"),
        ("spiffe://acme.example/casino", "spiffe://acme.example/casino"),
        ("/password/reset", "/password/reset"),
    ],
)
def test_what_a_name_says_to_be_secret_is_hidden(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned
    assert clean(cleaned) == cleaned
