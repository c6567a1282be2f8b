from collections.abc import Callable

import pytest

from gateway.core.policy import SwitchedOff
from gateway.policy.nodes import Node
from gateway.policy.problem import Severity
from gateway.policy.reader import Reader, suggestion
from gateway.policy.values import duration
from tests.policy.reading import node, problems, reader


def complaint(read: Callable[[Reader, Node], object], text: str) -> str:
    """The one problem of reading the text, from which nothing else comes."""
    used = reader()
    assert read(used, node(text)) is None
    (said,) = problems(used)
    return said.removeprefix("p.yaml:1:1: ")


class TestFields:
    def test_known_keys_are_given(self) -> None:
        used = reader()
        fields = used.fields(node("{a: 1, b: 2}"), required=("a",), optional=("b", "c"))
        assert fields is not None
        assert set(fields) == {"a", "b"}
        assert used.problems == []

    def test_unknown_and_missing_keys_are_told_together(self) -> None:
        used = reader()
        assert used.fields(node("{adress: 1, colour: 2}"), required=("address",), optional=("tls",)) == {}
        assert problems(used) == [
            "p.yaml:1:2: adress: unknown key `adress` (did you mean `address`?)",
            "p.yaml:1:13: colour: unknown key `colour` (expected one of `address`, `tls`)",
            "p.yaml:1:1: `address` is missing",
        ]

    def test_what_is_no_mapping(self) -> None:
        said = complaint(lambda used, top: used.fields(top, required=("a",), optional=("b",)), "[a, b]")
        assert said == "found a list (expected a mapping with `a`, `b`)"

    def test_absence_is_no_problem(self) -> None:
        used = reader()
        assert used.fields(None, required=("a",)) is None
        assert used.problems == []


class TestText:
    @pytest.mark.parametrize("text", ["off", "'off'", "1.2", "é ü", "!!str no"])
    def test_text_is_what_was_written(self, text: str) -> None:
        assert reader().text(node(text)) == text.strip("'").removeprefix("!!str ")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ('""', "is empty (expected text)"),
            ("'  '", "is empty (expected text)"),
            ('"a\\nb"', "`a\\nb` has control characters (expected text)"),
            ('"a\\e[2J"', "`a\\x1b[2J` has control characters (expected text)"),
            ("[a]", "found a list (expected text)"),
            ("{a: b}", "found a mapping (expected text)"),
        ],
    )
    def test_what_is_no_line_of_text(self, text: str, said: str) -> None:
        assert complaint(lambda used, top: used.text(top), text) == said

    def test_nothing_written(self) -> None:
        used = reader()
        fields = used.fields(node("a:"), required=("a",)) or {}
        assert used.text(fields["a"], "a name") is None
        assert problems(used) == ["p.yaml:1:3: a: nothing is written here (expected a name)"]

    def test_raw_text_may_be_empty_or_have_any_character(self) -> None:
        assert [reader().raw_text(node(text)) for text in ('""', '"\\n"')] == ["", "\n"]


class TestValues:
    def test_a_value_that_does_not_fit_is_a_problem_and_the_default(self) -> None:
        used = reader()
        assert used.value_or(node("soon"), duration, 2.0) == 2.0
        assert len(used.problems) == 1

    def test_absence_is_the_default(self) -> None:
        used = reader()
        assert used.value_or(None, duration, 2.0) == 2.0
        assert used.problems == []

    def test_zero_is_a_value(self) -> None:
        assert reader().value_or(node("0"), int, 7) == 0

    def test_a_list_is_given_in_order(self) -> None:
        assert reader().values(node("[2s, 1s]"), duration, "times") == [2.0, 1.0]

    def test_one_fault_spoils_the_list(self) -> None:
        assert "has no unit" in complaint(lambda used, top: used.values(top, duration, "times"), "[1s, 2]")

    def test_equal_values_count_as_duplicates_however_they_are_written(self) -> None:
        said = complaint(lambda used, top: used.values(top, duration, "times"), "[60s, 1m]")
        assert "stands twice in the list (first in line 1)" in said

    def test_an_empty_list(self) -> None:
        assert complaint(lambda used, top: used.values(top, duration, "times"), "[]") == "an empty list of times"


class TestWholeNumber:
    @pytest.mark.parametrize(("text", "number"), [("10", 10), ("1_000", 1_000)])
    def test_digits(self, text: str, number: int) -> None:
        assert reader().whole_number(node(text), 1, 1_000) == number

    @pytest.mark.parametrize("text", ["0", "1001", "1.0", "-1", "+1", "0x10", "1e2", "٣", "9" * 30, "_", "ten"])
    def test_what_does_not_fit(self, text: str) -> None:
        said = complaint(lambda used, top: used.whole_number(top, 1, 1_000), text)
        assert "does not fit (expected a whole number from 1 to 1,000)" in said

    def test_quotes(self) -> None:
        said = complaint(lambda used, top: used.whole_number(top, 1, 1_000), "'10'")
        assert said == "found text in quotes (expected a whole number from 1 to 1,000)"


class TestChoice:
    def test_an_option(self) -> None:
        assert reader().choice(node("required"), ("required", "off")) == "required"

    def test_none_of_them(self) -> None:
        said = complaint(lambda used, top: used.choice(top, ("sliding", "fixed"), "window"), "slidng")
        assert said == "`slidng` is no window (expected one of `sliding`, `fixed`; did you mean `sliding`?)"


class TestSwitchedOff:
    def test_the_reason_is_the_value(self) -> None:
        off = reader().switched_off(node("{off: the vendor cannot send one}"), "token")
        assert off == SwitchedOff("token", "the vendor cannot send one")

    @pytest.mark.parametrize("text", ["true", "yes", "off", "TODO", "''"])
    def test_a_word_that_gives_no_reason_is_none(self, text: str) -> None:
        used = reader()
        used.switched_off(node(f"{{off: {text}}}"), "token")
        assert used.errors == 1

    @pytest.mark.parametrize("text", ["{on: x}", "off", "[off]"])
    def test_anything_else_switches_nothing_off(self, text: str) -> None:
        used = reader()
        assert used.switched_off(node(text), "token") is None
        assert used.problems == []

    @pytest.mark.parametrize("text", ["off", "OFF", "no", "'off'", "false", "none", "disabled"])
    def test_a_bare_off_is_refused(self, text: str) -> None:
        used = reader()
        assert used.refuse_bare_off(node(text))
        assert problems(used) == ['p.yaml:1:1: switched off without a reason (write it as {off: "the reason"})']

    def test_another_word_is_not_a_bare_off(self) -> None:
        used = reader()
        assert not used.refuse_bare_off(node("required"))
        assert used.problems == []


def test_warnings_are_no_errors() -> None:
    used = reader()
    used.warning(node("x"), "odd")
    used.error(node("x"), "wrong")
    assert used.errors == 1
    assert [problem.severity for problem in used.problems] == [Severity.WARNING, Severity.ERROR]


def test_a_suggestion_of_one_option_is_not_made_twice() -> None:
    assert suggestion("partners", ("partner",)) == "expected `partner`"
