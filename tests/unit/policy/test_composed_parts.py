import pytest

from gateway.policy.composed_parts import MAX_PARTS, read_parts
from gateway.signing import parts as p
from tests.policy.reading import definition, problems, reader


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("secret", p.Shared()),
        ("crc32", p.Crc32()),
        ("query", p.Query()),
        ("{literal: ''}", p.Literal("")),
        ("{header: X-Account}", p.Header("x-account")),
        ("{digest: sha512, encoding: base64url}", p.BodyDigest("sha512", "base64url")),
        ("{query: id}", p.Field("query", "id")),
        ("{form: amount, format: two-decimals}", p.Field("form", "amount", "two-decimals")),
        ("{json: /a/b, optional: yes, free: yes}", p.Field("json", "/a/b", optional=True, free=True)),
        ("{query_without: key}", p.QueryWithout("key")),
        ("{parameters: [form]}", p.Parameters(("form",))),
        (
            "{parameters: [query, json], headers: [X-One], without: [hash], skip_empty: yes, write: encoded-pairs}",
            p.Parameters(("query", "json"), ("X-One",), ("hash",), skip_empty=True, encoded=True),
        ),
        (
            "{parameters: [json], write: values, join: ',', equals: ':'}",
            p.Parameters(("json",), write="values", join=",", equals=":"),
        ),
        ("{sorted_json: body}", p.SortedJson()),
        ("{sorted_json: query, depth: top, php_escapes: yes}", p.SortedJson("query", "top", php=True)),
        ("{serialized: /params/Data}", p.Serialized("/params/Data")),
    ],
)
def test_parts(text: str, part: p.Part) -> None:
    used = reader()
    assert read_parts(used, definition(f"[{text}]").node) == (part,)
    assert problems(used) == []


def test_settings_are_texts_for_places_left_open() -> None:
    used = reader()
    parts = read_parts(used, definition("[{setting: id}, body]").node, definition("{id: WH-1}").node)
    assert parts == (p.Literal("WH-1"), p.Body())
    assert problems(used) == []


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "body",
        "[x]",
        "[{x: y}]",
        "[{setting: id}]",
        "[{digest: md5}]",
        f"[{', '.join(['body'] * (MAX_PARTS + 1))}]",
    ],
)
def test_what_is_no_list_of_parts(text: str) -> None:
    used = reader()
    read_parts(used, definition(text).node)
    assert used.errors == 1


def test_without_a_list_there_is_no_problem() -> None:
    assert read_parts(reader(), None) is None
