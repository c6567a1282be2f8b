from zlib import crc32

import pytest

from gateway.signing import parts as p
from gateway.signing.content import Content
from gateway.signing.derived import derive, query_without
from tests.vendors import request

FORM = {"content-type": "application/x-www-form-urlencoded"}
JSON = {"content-type": "application/json"}


def of_json(part: p.Part, body: bytes, target: str = "/") -> str:
    return derive(part)(Content(*request("POST", target, JSON, body)))


def of_form(part: p.Part, body: bytes, target: str = "/", **fields: str) -> str:
    return derive(part)(Content(*request("POST", target, {**FORM, **fields}, body)))


def test_fields_come_from_query_form_and_json() -> None:
    assert of_form(p.Field("form", "a"), b"a=x+y") == "x y"
    assert of_form(p.Field("query", "a"), b"", "/?a=1%2B1") == "1+1"
    assert of_json(p.Field("json", "/a/b"), b'{"a":{"b":1.50}}') == "1.50"
    assert of_json(p.Field("json", "/a"), b'{"a":true}') == "true"


def test_a_field_that_is_absent() -> None:
    assert of_json(p.Field("json", "/b", optional=True), b'{"a":1}') == ""
    with pytest.raises(ValueError, match="no json /b, which is signed"):
        of_json(p.Field("json", "/b"), b'{"a":1}')


@pytest.mark.parametrize(
    ("written", "signed"),
    [("12.3", "12.30"), ('"12.3"', "12.30"), ("12", "12.00"), ("12.300", "12.30"), ("1e2", "100.00"), ("0", "0.00")],
)
def test_amounts_have_two_decimals(written: str, signed: str) -> None:
    assert of_json(p.Field("json", "/a", "two-decimals"), f'{{"a":{written}}}'.encode()) == signed


@pytest.mark.parametrize("written", ["12.345", '"x"', '"NaN"', '"Infinity"', '""', "1e300", '"' + "1" * 41 + '"'])
def test_what_is_no_amount(written: str) -> None:
    with pytest.raises(ValueError, match="is no amount"):
        of_json(p.Field("json", "/a", "two-decimals"), f'{{"a":{written}}}'.encode())


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("a=1&key=x&b=2", "a=1&b=2"),
        ("key=x", ""),
        ("a=1&key", "a=1"),
        ("a=%20+&keys=1&key=x", "a=%20+&keys=1"),
        (None, ""),
    ],
)
def test_a_query_without_one_parameter_is_as_received(query: str | None, left: str) -> None:
    assert query_without(query, "key") == left
    target = "/" if query is None else f"/?{query}"
    assert of_form(p.QueryWithout("key"), b"", target) == left


def test_parameters_are_sorted_by_the_bytes_of_their_names() -> None:
    assert of_form(p.Parameters(("form",)), b"b=2&a=1&B=3&a%5B0%5D=4") == "B=3&a=1&a[0]=4&b=2"
    assert of_form(p.Parameters(("form", "query"), without=("hash",)), b"a=1&hash=x", "/?c=&b=2") == "a=1&b=2&c="
    assert of_form(p.Parameters(("form",), skip_empty=True), b"a=&b=2") == "b=2"
    assert of_json(p.Parameters(("json",), write="values", join=","), b'{"b":"x","a":1.0}') == "1.0,x"
    assert of_form(p.Parameters(("form",), equals=":", join=";"), b"a=1&b=2") == "a:1;b:2"


def test_parameters_with_fields_encoded_as_php_does() -> None:
    part = p.Parameters(("form",), headers=("X-Merchant-Id",), encoded=True)
    assert of_form(part, b"b=x%20y~%C3%A9*&a[0]=%26", **{"x-merchant-id": "m/1"}) == (
        "X-Merchant-Id=m%2F1&a%5B0%5D=%26&b=x+y%7E%C3%A9%2A"
    )
    with pytest.raises(ValueError, match="no X-Merchant-Id field, which is signed"):
        of_form(part, b"a=1")


@pytest.mark.parametrize(
    ("part", "body"),
    [
        (p.Parameters(("form",)), b"a=1%26b=2"),
        (p.Parameters(("form",)), b"a%3Db=1"),
        (p.Parameters(("form",), write="values", join=","), b"a=1,2"),
    ],
)
def test_parameters_that_could_be_read_in_two_ways_are_refused(part: p.Part, body: bytes) -> None:
    with pytest.raises(ValueError, match="two ways"):
        of_form(part, body)


def test_a_parameter_stands_in_one_place() -> None:
    with pytest.raises(ValueError, match="two places"):
        of_form(p.Parameters(("form", "query")), b"a=1", "/?a=2")


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1"])
@pytest.mark.parametrize("part", [p.Parameters(("json",)), p.SortedJson()])
def test_only_an_object_has_members(part: p.Part, body: bytes) -> None:
    with pytest.raises(ValueError, match="no JSON object"):
        of_json(part, body)


def test_members_that_are_composed_are_no_parameters() -> None:
    with pytest.raises(ValueError, match="found a list"):
        of_json(p.Parameters(("json",)), b'{"a":[1]}')


def test_sorted_json() -> None:
    body = b'{"b": {"d": 1.0, "c": [{"z": 1, "y": "\\u00e9/"}]}, "a": null}'
    assert of_json(p.SortedJson(), body) == '{"a":null,"b":{"c":[{"y":"\xe9/","z":1}],"d":1.0}}'
    assert of_json(p.SortedJson(depth="top", php=True), body) == (
        '{"a":null,"b":{"d":1.0,"c":[{"z":1,"y":"\\u00e9\\/"}]}}'
    )
    assert of_form(p.SortedJson("query"), b"", "/?b=1&a=x+y") == '{"a":"x y","b":"1"}'


def test_serialized_data_runs_together() -> None:
    body = b'{"params":{"Data":{"b":"2","a":{"d":null,"c":[1,"x"]},"t":true}}}'
    assert of_json(p.Serialized("/params/Data"), body) == "ac1xdb2ttrue"
    with pytest.raises(ValueError, match="no json /params/Other"):
        of_json(p.Serialized("/params/Other"), body)


def test_a_checksum_is_a_decimal_number() -> None:
    assert of_json(p.Crc32(), b"{}") == str(crc32(b"{}"))


@pytest.mark.parametrize("depth", [2_000, 20_000])
@pytest.mark.parametrize("part", [p.SortedJson(), p.Serialized("/a")])
def test_deep_nesting_is_refused_and_not_an_error(part: p.Part, depth: int) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        of_json(part, b'{"a":' + b"[" * depth + b"]" * depth + b"}")


def test_other_parts_are_not_derived() -> None:
    with pytest.raises(KeyError):
        derive(p.Body())
