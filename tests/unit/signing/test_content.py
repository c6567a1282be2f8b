from collections.abc import Callable
from typing import Any

import pytest

from gateway.core.reasons import Denied, Reason
from gateway.signing.content import (
    MAX_PARAMETERS,
    Content,
    Json,
    Number,
    find,
    put,
    read_json,
    read_parameters,
    read_pointer,
    scalar,
    write_json,
)
from tests.vendors import request


def content(body: bytes = b"", media_type: str = "application/json", target: str = "/") -> Content:
    return Content(*request("POST", target, {"content-type": media_type}, body))


def test_numbers_are_kept_as_they_are_written() -> None:
    value = read_json(b'{"a": 1.10, "b": [1e2, -0, 12345678901234567890], "c": "1.10", "d": [true, null]}')
    assert write_json(value) == '{"a":1.10,"b":[1e2,-0,12345678901234567890],"c":"1.10","d":[true,null]}'


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"a":1,"a":2}', "a member stands twice"),
        (b'{"a":{"b":1,"b":1}}', "a member stands twice"),
        (b'{"a":NaN}', "NaN is not JSON"),
        (b'{"a":1e999}', "beyond the range of a double"),
        (b'{"a":"\\ud800"}', "half a surrogate pair"),
        (b'{"a":"\xff"}', "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a":1', "not JSON"),
        (b"", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_json_that_could_be_read_in_two_ways_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        _ = content(raw).json
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("media_type", ["application/json", "Application/JSON; charset=utf-8", "application/x+json"])
def test_json_is_what_its_media_type_says(media_type: str) -> None:
    assert content(b'{"a":"1"}', media_type).json == {"a": "1"}


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
def test_another_media_type_is_no_json(media_type: str) -> None:
    with pytest.raises(ValueError, match="no JSON by its Content-Type"):
        _ = content(b"{}", media_type).json


def test_a_form_is_decoded() -> None:
    form = content(b"a=1&b=x+y%2B%C3%A9&c&d=", "application/x-www-form-urlencoded; charset=utf-8").form
    assert form == {"a": "1", "b": "x y+\xe9", "c": "", "d": ""}
    with pytest.raises(ValueError, match="no form by its Content-Type"):
        _ = content(b"a=1").form
    with pytest.raises(ValueError, match="no form by its Content-Type"):
        _ = content(b"").form
    assert Content(*request("GET", "/", {}, b"")).form == {}


def test_a_media_type_that_stands_twice_is_no_media_type() -> None:
    head, body = request("POST", "/", {"content-type": "application/json"}, b"{}")
    twice = head._replace(headers=type(head.headers)([*head.headers.fields, ("content-type", "text/plain")]))
    with pytest.raises(Denied) as caught:
        _ = Content(twice, body).json
    assert caught.value.reason is Reason.FIELD_REPEATED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a=1&a=1", "stands twice"),
        ("a=1&%61=2", "stands twice"),
        ("a=%FF", "not UTF-8"),
        ("\xff=1", "not UTF-8"),
        ("&".join(f"p{number}=" for number in range(MAX_PARAMETERS + 1)), "more than 256"),
    ],
)
def test_parameters_that_could_be_read_in_two_ways_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_parameters(text, "form")


def test_a_query_is_decoded_once() -> None:
    taken = content(target="/x?a=%2541&b=2")
    assert taken.query == {"a": "%41", "b": "2"}
    assert taken.query is taken.query
    assert content(target="/x").query == {}


def test_a_pointer_walks_names_and_single_items() -> None:
    value = read_json(b'{"a/b":{"~":["x"]},"several":[1,2],"none":[]}')
    assert find(value, read_pointer("/a~1b/~0/0")) == "x"
    assert find(value, ()) is value
    with pytest.raises(ValueError, match="2 items in a list of which one is signed"):
        find(value, read_pointer("/several/0"))
    for absent in ("/x", "/a~1b/~0/1", "/none/0", "/a~1b/~0/0/x"):
        with pytest.raises(KeyError):
            find(value, read_pointer(absent))


@pytest.mark.parametrize("text", ["a", "/a~", "/a~2"])
def test_what_is_no_pointer(text: str) -> None:
    with pytest.raises(ValueError, match=r"slash|stands for nothing"):
        read_pointer(text)


def test_a_value_is_put_where_a_pointer_points() -> None:
    value = read_json(b'{"a":[{"b":1}]}')
    put(value, read_pointer("/a/0/b"), "new")
    put(value, read_pointer("/c/d"), Number("2"))
    assert write_json(value) == '{"a":[{"b":"new"}],"c":{"d":2}}'


@pytest.mark.parametrize("pointer", ["", "/a/0", "/a/1/b", "/t/b", "/a/b"])
def test_there_is_not_always_a_place(pointer: str) -> None:
    with pytest.raises(ValueError, match="no place"):
        put(read_json(b'["x"]' if pointer == "" else b'{"a":[1],"t":"x"}'), read_pointer(pointer), "new")


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (False, "false"), (None, ""), ("x", "x"), (Number("1.0"), "1.0")]
)
def test_scalars_have_a_text(value: Json, text: str) -> None:
    assert scalar(value) == text


@pytest.mark.parametrize("value", [[], {}])
def test_what_is_composed_has_none(value: Any) -> None:
    with pytest.raises(ValueError, match="where text or a number is signed"):
        scalar(value)


def test_json_as_php_writes_it() -> None:
    assert write_json({"a/b": '\xe9\U0001f600"', "n": Number("1")}, php=True) == (
        '{"a\\/b":"\\u00e9\\ud83d\\ude00\\"","n":1}'
    )
    assert write_json({"a/b": "\xe9"}) == '{"a/b":"\xe9"}'


@pytest.mark.parametrize("shown", [repr, str])
def test_nothing_of_a_message_is_shown(shown: Callable[[object], str]) -> None:
    assert "secret" not in shown(content(b'{"secret":1}'))
