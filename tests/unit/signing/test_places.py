import pytest

from gateway.core.message import Headers
from gateway.core.reasons import Denied, Reason
from gateway.signing.content import Content
from gateway.signing.places import MAX_ITEMS, InContent, InHeader, InItems, Writing, write
from tests.vendors import request

JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
ITEMS = InItems("x-sign", ",", "v1=")


def reason(place: InHeader | InItems, **fields: str) -> Reason:
    with pytest.raises(Denied) as caught:
        place.find(Headers((name.replace("_", "-"), value) for name, value in fields.items()), "signature")
    return caught.value.reason


def reason_of(place: InContent, body: bytes, fields: dict[str, str], target: str = "/") -> Reason:
    with pytest.raises(Denied) as caught:
        place.find(Content(*request("POST", target, fields, body)), "signature")
    return caught.value.reason


def test_a_field() -> None:
    assert InHeader("x-sign", "v1 ").find(Headers([("x-sign", "v1 ab")]), "signature") == "ab"
    assert reason(InHeader("x-sign")) is Reason.SIGNATURE_MISSING
    assert reason(InHeader("x-sign", "v1 "), x_sign="v2 ab") is Reason.SIGNATURE_MALFORMED


def test_a_field_that_stands_twice() -> None:
    for place in (InHeader("x-sign"), ITEMS):
        with pytest.raises(Denied) as caught:
            place.find(Headers([("x-sign", "v1=a"), ("x-sign", "v1=a")]), "signature")
        assert caught.value.reason is Reason.FIELD_REPEATED


def test_items_of_a_field() -> None:
    assert ITEMS.find(Headers([("x-sign", "t=1,v1=a, v1=b ,v0=c")]), "signature") == ["a", "b"]
    assert reason(ITEMS) is Reason.SIGNATURE_MISSING
    assert reason(ITEMS, x_sign="t=1,v0=c") is Reason.SIGNATURE_MISSING
    assert reason(ITEMS, x_sign=",".join(["v1=a"] * (MAX_ITEMS + 1))) is Reason.SIGNATURE_MALFORMED
    with pytest.raises(ValueError, match="need a separator"):
        InItems("x-sign", "")


def test_parameters_and_members() -> None:
    assert InContent("query", "key").find(Content(*request("GET", "/?a=1&key=x%2B", {}, b"")), "signature") == "x+"
    assert InContent("form", "hash").find(Content(*request("POST", "/", FORM, b"hash=x")), "signature") == "x"
    content = Content(*request("POST", "/", JSON, b'{"a":{"sign":"x","at":1795352400,"list":[]}}'))
    assert InContent("json", "/a/sign").find(content, "signature") == "x"
    assert InContent("json", "/a/at").find(content, "timestamp") == "1795352400"


@pytest.mark.parametrize(
    ("place", "body", "fields", "expected"),
    [
        (InContent("json", "/sign"), b'{"a":1}', JSON, Reason.SIGNATURE_MISSING),
        (InContent("json", "/sign"), b'{"sign":["x"]}', JSON, Reason.SIGNATURE_MALFORMED),
        (InContent("json", "/sign"), b'{"sign":null}', JSON, Reason.SIGNATURE_MALFORMED),
        (InContent("json", "/sign"), b'{"sign":"a","sign":"b"}', JSON, Reason.SIGNATURE_CONTENT),
        (InContent("json", "/sign"), b"sign=x", FORM, Reason.SIGNATURE_CONTENT),
        (InContent("form", "sign"), b"a=1", FORM, Reason.SIGNATURE_MISSING),
        (InContent("form", "sign"), b"sign=a&sign=b", FORM, Reason.SIGNATURE_CONTENT),
        (InContent("query", "sign"), b"", FORM, Reason.SIGNATURE_MISSING),
    ],
)
def test_what_is_not_there_or_not_clear(
    place: InContent, body: bytes, fields: dict[str, str], expected: Reason
) -> None:
    assert reason_of(place, body, fields) is expected


@pytest.mark.parametrize(("source", "name"), [("json", ""), ("json", "a"), ("form", ""), ("query", "")])
def test_what_is_no_place(source: str, name: str) -> None:
    with pytest.raises(ValueError, match=r"no place|slash"):
        InContent(source, name)  # type: ignore[arg-type]


def test_the_body_is_needed_for_what_stands_in_it() -> None:
    places = [InHeader("a"), ITEMS, InContent("query", "a"), InContent("form", "a"), InContent("json", "/a")]
    assert [place.in_body for place in places] == [False, False, False, True, True]


def test_writing_everywhere() -> None:
    head, body = request("POST", "/x?a=1&key=old", JSON, b'{"a": 1.0}')
    writings = [
        Writing(InHeader("x-id", "k:"), "1"),
        Writing(InItems("x-sign", ",", "t="), "2"),
        Writing(ITEMS, "ab"),
        Writing(InContent("query", "key"), "a+b/=&%"),
        Writing(InContent("json", "/at"), "3", number=True),
        Writing(InContent("json", "/p/sign"), "4"),
    ]
    made = write(head, body, writings)
    assert made.fields == [("x-id", "k:1"), ("x-sign", "t=2,v1=ab")]
    assert made.target == "/x?a=1&key=a%2Bb%2F%3D%26%25"
    assert made.body == b'{"a":1.0,"at":3,"p":{"sign":"4"}}'
    signed, new = made.applied(head, body)
    assert InContent("query", "key").find(Content(signed, new), "signature") == "a+b/=&%"


def test_writing_into_a_form() -> None:
    head, body = request("POST", "/", FORM, b"a=1&hash=old&b=2")
    assert write(head, body, [Writing(InContent("form", "hash"), "x=")]).body == b"a=1&b=2&hash=x%3D"
    assert write(head, b"", [Writing(InContent("form", "hash"), "x")]).body == b"hash=x"
    with pytest.raises(ValueError, match="no form"):
        write(request("POST", "/", JSON, b"{}").head, b"{}", [Writing(InContent("form", "hash"), "x")])


def test_writing_nothing_changes_nothing() -> None:
    assert write(*request("GET", "/", {}, b""), []) == ([], None, None)
