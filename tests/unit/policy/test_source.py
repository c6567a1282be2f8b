from pathlib import Path

import pytest

from gateway.policy.nodes import MappingNode, Node, ScalarNode, SequenceNode
from gateway.policy.source import MAX_DEPTH, MAX_VALUES, parse
from tests.policy.reading import FILE, mapping, node


def problem(data: bytes | str) -> str:
    top, found = parse(FILE, data.encode() if isinstance(data, str) else data)
    assert top is None
    return str(found[-1])


def texts(top: Node) -> object:
    if isinstance(top, ScalarNode):
        return top.text
    if isinstance(top, SequenceNode):
        return [texts(item) for item in top.items]
    return {key: texts(value) for key, value in top.values.items()}


class TestPlaces:
    def test_lines_and_columns_count_from_one(self) -> None:
        top = mapping("a: 1\nb:\n  - x\n  - {cé: y}\n")
        items = top.values["b"]
        assert isinstance(items, SequenceNode)
        inner = items.items[1]
        assert isinstance(inner, MappingNode)
        assert [
            str(each.place) for each in (top, top.values["a"], items, items.items[0], inner, inner.values["cé"])
        ] == [
            "p.yaml:1:1",
            "p.yaml:1:4",
            "p.yaml:3:3",
            "p.yaml:3:5",
            "p.yaml:4:5",
            "p.yaml:4:10",
        ]

    def test_keys_have_places_and_the_trails_of_their_values(self) -> None:
        top = mapping("a:\n  b: 1\n")
        inner = top.values["a"]
        assert isinstance(inner, MappingNode)
        assert (str(inner.keys["b"].place), str(inner.keys["b"].trail)) == ("p.yaml:2:3", "a.b")

    def test_columns_are_characters_and_a_byte_order_mark_is_none(self) -> None:
        top, _ = parse(FILE, b"\xef\xbb\xbf{\xc3\xa9: x}")
        assert isinstance(top, MappingNode)
        assert str(top.values["é"].place) == "p.yaml:1:5"


class TestText:
    @pytest.mark.parametrize("word", ["no", "off", "yes", "0o17", "1:30", "1_000", "1e3", "2027-05-01", ".inf", "<"])
    def test_plain_words_stay_text(self, word: str) -> None:
        assert texts(node(f"- {word}")) == [word]

    def test_quotes_are_remembered(self) -> None:
        top = node("[off, 'off', \"off\", !!str off, !!bool off]")
        assert isinstance(top, SequenceNode)
        assert [item.plain for item in top.items if isinstance(item, ScalarNode)] == [True, False, False, False, True]


class TestAliases:
    def test_an_alias_stands_for_its_value_with_a_trail_of_its_own(self) -> None:
        top = mapping("a: &x {k: [v]}\nb: *x\n")
        assert texts(top) == {"a": {"k": ["v"]}, "b": {"k": ["v"]}}
        copied = top.values["b"]
        assert isinstance(copied, MappingNode)
        assert (str(copied.values["k"].place), str(copied.values["k"].trail)) == ("p.yaml:1:11", "b.k")
        assert str(copied.keys["k"].trail) == "b.k"

    def test_aliases_of_aliases_end_at_the_number_of_values(self) -> None:
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 8)]
        assert problem("\n".join(lines)).endswith(
            f"too many values (at most {MAX_VALUES:,} in a file, aliases written out)"
        )

    def test_aliases_do_not_nest_deeper_than_text(self) -> None:
        lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, MAX_DEPTH + 1)]
        assert "nested too deeply" in problem("\n".join(lines))


class TestUnreadable:
    @pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
    def test_nesting_has_a_bound(self, opening: str) -> None:
        assert problem(opening * 100_000).endswith(f"nested too deeply (at most {MAX_DEPTH} levels)")

    def test_nesting_up_to_the_bound_is_read(self) -> None:
        assert parse(FILE, b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)[0] is not None

    def test_bytes_that_are_not_utf_8(self) -> None:
        assert problem(b"a: x\nb: \xff\n") == "p.yaml:2:4: byte 0xff is not UTF-8 (save the file as UTF-8)"

    def test_utf_16(self) -> None:
        assert problem("a: x".encode("utf-16")) == "p.yaml:1:1: byte 0xff is not UTF-8 (save the file as UTF-8)"

    @pytest.mark.parametrize("char", ["\x00", "\x07", "\x7f", "\u200f", "\u202e", "\u2066", "\ufeff", "\ufffe"])
    def test_characters_that_nobody_sees(self, char: str) -> None:
        assert problem(f"a: x\nb: {char}").startswith(f"p.yaml:2:4: invisible character U+{ord(char):04X}")

    @pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "~", "null"])
    def test_nothing(self, text: str) -> None:
        assert problem(text) == "p.yaml:1:1: the file is empty (it must at least say `version: 1`)"

    def test_an_escape_that_is_no_character(self) -> None:
        assert problem('a: "\\ud800"').startswith("p.yaml:1:7: a: not YAML: ")

    def test_a_problem_before_the_unreadable_place_is_kept(self) -> None:
        top, found = parse(Path("x"), b"a: 1\na: 2\nb: [")
        assert top is None
        assert [one.line for one in found] == [2, 3]
