import pytest

from gateway.policy.scheme_places import parameter, pointer, read_place
from gateway.policy.values import Unfit
from gateway.signing.places import InContent, InHeader, InItems, Place
from tests.policy.reading import definition, problems, reader


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("{header: X-Sign}", InHeader("x-sign")),
        ("{header: X-Sign, prefix: 'v1 '}", InHeader("x-sign", "v1 ")),
        ("{header: X-Sign, prefix: ''}", InHeader("x-sign")),
        ("{header: X-Sign, separator: ',', prefix: v1=}", InItems("x-sign", ",", "v1=")),
        ("{header: X-Sign, separator: ' '}", InItems("x-sign", " ")),
        ("{query: key}", InContent("query", "key")),
        ("{form: 'a[b]'}", InContent("form", "a[b]")),
        ("{json: /params/Signature}", InContent("json", "/params/Signature")),
    ],
)
def test_places(text: str, place: Place) -> None:
    used = reader()
    assert read_place(used, definition(text).node) == (place, None)
    assert problems(used) == []


def test_an_option_stands_beside() -> None:
    place, option = read_place(reader(), definition("{json: /at, format: unix}").node, "format")
    assert place == InContent("json", "/at")
    assert getattr(option, "text", None) == "unix"


def test_no_place_is_no_problem() -> None:
    used = reader()
    assert read_place(used, None) == (None, None)
    assert problems(used) == []


@pytest.mark.parametrize("text", ["{}", "x-sign", "{form: a, prefix: b}", "{json: ''}", "{header: X_Sign}"])
def test_what_is_no_place(text: str) -> None:
    used = reader()
    read_place(used, definition(text).node)
    assert used.errors


@pytest.mark.parametrize("text", ["", "a b", "a=b", "a&b", "\xe9"])
def test_what_is_no_parameter(text: str) -> None:
    with pytest.raises(Unfit, match="no name of a parameter"):
        parameter(text)


def test_what_is_a_pointer() -> None:
    assert pointer("/a~1b/0") == "/a~1b/0"
    with pytest.raises(Unfit, match="no JSON pointer"):
        pointer("a")
