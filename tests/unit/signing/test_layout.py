import pytest

from gateway.signing.layout import Guard, Layout
from gateway.signing.parts import (
    Body,
    BodyDigest,
    Header,
    Literal,
    Method,
    Nonce,
    Part,
    Path,
    Query,
    Target,
    Timestamp,
)

LINES = (Method(), Path(), Timestamp(), Nonce(), Body())


def test_lines_need_no_guard_as_nothing_in_a_head_holds_a_line_feed() -> None:
    assert Layout.of(LINES, b"\n", "unix") == Layout((), ())


def test_a_separator_that_values_may_hold_is_guarded_on_both_sides_of_the_body() -> None:
    layout = Layout.of((Nonce(), Body(), Header("x-a")), b".", "unix")
    assert layout.guards == (Guard(Nonce(), b".", follows=True), Guard(Header("x-a"), b".", follows=False))
    assert layout.run_together == ()


def test_the_body_is_never_guarded() -> None:
    assert Layout.of((Body(), Method(), Timestamp()), b"\n", "unix") == Layout((), ())


def test_without_a_body_the_path_may_hold_anything() -> None:
    layout = Layout.of((Timestamp(), Path(), Nonce()), b".", "unix")
    assert layout.guards == (Guard(Nonce(), b".", follows=False),)


@pytest.mark.parametrize(
    ("parts", "together"),
    [
        ((Timestamp(), Target(), Body()), (Target(), Body())),
        ((Nonce(), Body()), (Nonce(), Body())),
        ((Path(), Nonce(), BodyDigest("sha256")), (Path(), Nonce())),
        ((Path(), Query()), (Path(), Query())),
        ((Method(), Nonce()), (Method(), Nonce())),
        ((Nonce(), BodyDigest("sha256"), Path()), (Nonce(), BodyDigest("sha256"), Path())),
    ],
)
def test_without_separator_variable_neighbours_run_together(
    parts: tuple[Part, ...], together: tuple[Part, ...]
) -> None:
    assert Layout.of(parts, b"", "unix").run_together == together


@pytest.mark.parametrize(
    "parts",
    [
        (Timestamp(), Body()),
        (Body(), Timestamp()),
        (BodyDigest("sha512"), Nonce(), Timestamp()),
        (Method(), Path()),
        (Method(), Target(), BodyDigest("sha256")),
        (Body(),),
        (Literal("v0"),),
    ],
)
def test_fixed_lengths_need_no_separator(parts: tuple[Part, ...]) -> None:
    assert Layout.of(parts, b"", "unix") == Layout((), ())


def test_an_rfc3339_time_has_no_fixed_length() -> None:
    assert Layout.of((Timestamp(), Body()), b"", "rfc3339").run_together == (Timestamp(), Body())


def test_a_literal_separates_too() -> None:
    layout = Layout.of((Nonce(), Literal("&body="), Body()), b"", "unix")
    assert layout == Layout((Guard(Nonce(), b"&body=", follows=True),), ())


def test_separators_and_literals_between_two_parts_count_as_one_delimiter() -> None:
    layout = Layout.of((Nonce(), Literal("v1"), Body()), b":", "unix")
    assert layout.guards == (Guard(Nonce(), b":v1:", follows=True),)


@pytest.mark.parametrize(
    ("value", "refused"),
    [(b"abc", False), (b"a.b", True), (b".", True), (b"", False), (b"abc.", True), (b".abc", True)],
)
@pytest.mark.parametrize("follows", [True, False])
def test_a_guard_refuses_the_delimiter(value: bytes, refused: bool, follows: bool) -> None:
    assert Guard(Nonce(), b".", follows=follows).refuses(value) is refused


@pytest.mark.parametrize(
    ("value", "follows", "refused"),
    [(b"a:", True, True), (b":a", True, False), (b":a", False, True), (b"a:", False, False), (b"a::b", True, True)],
)
def test_a_guard_refuses_what_makes_a_delimiter_with_the_delimiter_beside_it(
    value: bytes, follows: bool, refused: bool
) -> None:
    assert Guard(Nonce(), b"::", follows=follows).refuses(value) is refused


def test_a_separator_that_every_time_holds_is_an_error() -> None:
    with pytest.raises(ValueError, match="every RFC 3339 time holds b':': use unix, or another separator"):
        Layout.of((Timestamp(), Body()), b":", "rfc3339")


@pytest.mark.parametrize("separator", [b"T0", b"|", b"\n"])
def test_a_separator_that_no_time_holds_is_none(separator: bytes) -> None:
    assert Layout.of((Timestamp(), Body()), separator, "rfc3339").run_together == ()


@pytest.mark.parametrize(
    ("part", "separator"),
    [(Header("x-a"), b"\t"), (Header("x-a"), b" "), (Header("x-a"), b"\xe9"), (Method(), b"P"), (Nonce(), b"~")],
)
def test_a_guard_stands_wherever_a_value_may_hold_the_separator(part: Part, separator: bytes) -> None:
    assert Layout.of((part, Body()), separator, "unix").guards == (Guard(part, separator, follows=True),)


@pytest.mark.parametrize(
    ("part", "separator"),
    [(Header("x-a"), b"\n"), (Header("x-a"), b"\x00"), (Method(), b"p"), (Nonce(), b" "), (Path(), b" ")],
)
def test_no_guard_stands_where_no_value_can_hold_the_separator(part: Part, separator: bytes) -> None:
    assert Layout.of((part, Body()), separator, "unix").guards == ()
