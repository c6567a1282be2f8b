import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.document import MAX_TEXT, Number, Pointer, canonical, check_declared, is_plain, kind_of, read_document
from gateway.core.message import Headers
from gateway.core.reasons import Denied, Reason

INVALID = Reason.VELOCITY_SUBJECT


def refused(body: bytes) -> Reason:
    with pytest.raises(Denied) as caught:
        read_document(body)
    return caught.value.reason


def text(body: bytes, pointer: str = "/key") -> str:
    return Pointer(pointer).text_in(read_document(body), INVALID)


def refusal(body: bytes, pointer: str = "/key") -> Reason:
    with pytest.raises(Denied) as caught:
        text(body, pointer)
    return caught.value.reason


def test_numbers_are_kept_as_they_are_written() -> None:
    read: Any = read_document(b'{"a":1.10,"b":1e3,"c":-0,"d":12345678901234567890123}')
    assert list(read.values()) == ["1.10", "1e3", "-0", "12345678901234567890123"]
    assert all(isinstance(value, Number) for value in read.values())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a":1,}',
        b"{'a':1}",
        b'{"a":1} {}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":.5}',
        b'{"a":"\x01"}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\xff"}',
        '{"a":1}'.encode("utf-16"),
        b"[" * 100_000,
    ],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    assert refused(body) is Reason.BODY_NOT_JSON


@pytest.mark.parametrize(
    "body",
    [
        b'{"amount":1,"amount":2}',
        b'{"amount":1,"Amount":2}',
        b'{"a":{"x":1,"x":1}}',
        b'[{"x":1,"X":1}]',
        '{"k":1,"\u212a":2}'.encode(),  # the Kelvin sign, which readers of Go take for k
        b'{"a":1,"\\u0061":2}',
    ],
)
def test_a_member_that_stands_twice_is_refused(body: bytes) -> None:
    assert refused(body) is Reason.BODY_MEMBER_REPEATED


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("/a", {"b": ["x", {"c~/d": "1"}], "": "2"}),
        ("/a/b/0", "x"),
        ("/a/b/1/c~0~1d", "1"),
        ("/a/", "2"),
    ],
)
def test_a_pointer_finds_a_value(pointer: str, found: object) -> None:
    body = b'{"a":{"b":["x",{"c~/d":"1"}],"":"2"}}'
    assert Pointer(pointer).find(read_document(body)) == found


@pytest.mark.parametrize("pointer", ["/b", "/a/b/2", "/a/b/-1", "/a/b/00", "/a/b/x", "/a/b/0/c", "/A"])
def test_what_is_not_there_is_refused(pointer: str) -> None:
    assert refusal(b'{"a":{"b":["x","y"]}}', pointer) is Reason.BODY_VALUE_MISSING


@pytest.mark.parametrize("pointer", ["", "a", "a/b", "/~", "/~2", "#/a"])
def test_a_text_that_is_no_pointer_is_refused(pointer: str) -> None:
    with pytest.raises(ValueError, match="JSON pointer"):
        Pointer(pointer)


@pytest.mark.parametrize(("written", "read"), [(b'"p-1"', "p-1"), (b"123", "123"), (b'"123"', "123"), (b"-5", "-5")])
def test_text_is_a_string_or_a_whole_number(written: bytes, read: str) -> None:
    assert text(b'{"key":%b}' % written) == read


@pytest.mark.parametrize("written", [b"[1]", b"{}", b"true", b"null"])
def test_another_type_is_no_text(written: bytes) -> None:
    assert refusal(b'{"key":%b}' % written) is Reason.BODY_VALUE_TYPE


@pytest.mark.parametrize(
    "written",
    [
        b'""',
        b'"a b"',
        b'"a\\u0000"',
        '"\u00e9"'.encode(),
        '"e\u0301"'.encode(),  # the same letter in another form
        b'"\\ud800"',
        '"\uff11"'.encode(),
        b'"%b"' % (b"x" * (MAX_TEXT + 1)),
        b'"%b"' % (b"x" * 10_000_000),
        b"1.0",
        b"1e3",
        b"-0",
        b"9" * 65,
    ],
)
def test_text_with_several_forms_or_without_end_is_refused(written: bytes) -> None:
    assert refusal(b'{"key":%b}' % written) is INVALID


def test_plain_text_is_visible_and_bounded() -> None:
    assert is_plain("x" * MAX_TEXT)
    assert not is_plain("x\n")


@given(st.recursive(st.none() | st.booleans() | st.text() | st.integers(), st.lists))
def test_what_reads_alike_is_written_alike(value: object) -> None:
    one, other = json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)
    try:
        read = read_document(other.encode("utf-8", "surrogatepass"))
    except Denied:
        return  # lone surrogates
    assert canonical(read) == canonical(read_document(one.encode()))


def test_members_are_written_in_their_order_and_numbers_as_received() -> None:
    assert canonical(read_document(b'{"b":[1.0,"1.0",null],"a":true}')) == '{"a":true,"b":[1.0,"1.0",null]}'


def test_a_kind_has_a_name() -> None:
    read: Any = read_document(b'[{}, [], 1, "1", true, null]')
    assert [kind_of(one) for one in read] == [
        "an object", "an array", "a number", "a string", "true or false", "null",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["amount\\u0000", "amount\\u0000x", "\\u0001amount", "amount\\ud800", "am\\u007fount"])
def test_a_name_that_some_readers_end_early_is_refused(name: str) -> None:
    assert refused(b'{"amount":1,"%b":900000}' % name.encode()) is Reason.BODY_NOT_JSON
    assert refused(b'[{"%b":1}]' % name.encode()) is Reason.BODY_NOT_JSON


def test_names_in_any_script_are_read() -> None:
    assert read_document('{"betr\u00e4ge":{"\u91d1\u984d":"1","\\ud83d\\ude00":true}}'.encode()) is not None


# What the fields declare


@pytest.mark.parametrize(
    "media",
    [
        "application/json", "Application/JSON", "application/json; charset=utf-8", 'application/json;charset="UTF-8"',
        "application/json;", "application/vnd.acme.v2+json; charset=us-ascii", "text/json", "text/plain;charset=UTF-8",
    ],
)  # fmt: skip
def test_a_body_that_is_declared_as_json_is_read(media: str) -> None:
    check_declared(Headers([("content-type", media), ("content-encoding", "identity")]))
    check_declared(Headers())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-type", "multipart/form-data; boundary=x"),
        ("content-type", "application/xml"),
        ("content-type", "application/json; charset=utf-7"),
        ("content-type", "application/json; charset=utf-16"),
        ("content-type", "application/json; charset=utf-8; charset=utf-7"),
        ("content-type", "application/json, application/x-www-form-urlencoded"),
        ("content-type", "application/json; boundary=x"),
        ("content-type", ""),
        ("content-type", "text/plain" + "; " * 10_000 + "x"),
        ("content-encoding", "gzip"),
        ("content-encoding", "deflate"),
        ("content-encoding", ""),
    ],
)
def test_a_body_that_is_declared_as_something_else_is_not(name: str, value: str) -> None:
    with pytest.raises(Denied) as caught:
        check_declared(Headers([(name, value)]))
    assert caught.value.reason is Reason.BODY_NOT_JSON


@pytest.mark.parametrize("name", ["content-type", "content-encoding"])
def test_a_declaration_that_stands_twice_is_refused(name: str) -> None:
    with pytest.raises(Denied) as caught:
        check_declared(Headers([(name, "application/json"), (name, "application/json")]))
    assert caught.value.reason is Reason.FIELD_REPEATED
