import pytest

from gateway.signing.httpsig.fields import (
    Kind,
    read_bytes,
    read_dictionary,
    read_item,
    rewrite,
    write,
    write_parameters,
)


def test_members_and_their_parameters() -> None:
    found = read_dictionary('a=1;x, b="t", c=(1 "two";y), d, e=:AQI=:')
    assert found == {
        "a": (1, {"x": True}),
        "b": ("t", {}),
        "c": ([(1, {}), ("two", {"y": True})], {}),
        "d": (True, {}),
        "e": (b"\x01\x02", {}),
    }
    assert write(found["c"]) == '(1 "two";y)'
    assert write(found["d"]) == "?1"
    assert write_parameters({"created": 1, "keyid": 'a"b', "flag": True}) == ';created=1;keyid="a\\"b";flag'


@pytest.mark.parametrize(
    "text",
    [
        "a=1, a=2",
        "a=1;x=1;x=2",
        "a=(1;x;x)",
        "A=1",
        "a=1,",
        "a=(1",
        'a="\xe9"',
        "a=:*:",
        "a=@999999999999999",
        "a=1.1234",
        "a b",
    ],
)
def test_what_is_no_dictionary(text: str) -> None:
    with pytest.raises(ValueError, match=r"no dictionary of RFC 9651"):
        read_dictionary(text)


def test_messages_do_not_quote_at_length() -> None:
    with pytest.raises(ValueError, match="no dictionary") as caught:
        read_dictionary("a" * 4_000 + "=1, " + "a" * 4_000 + "=1")
    assert len(str(caught.value)) < 200


def test_an_item() -> None:
    assert read_item('"@query-param";name="Pet"') == ("@query-param", {"name": "Pet"})
    with pytest.raises(ValueError, match="no item"):
        read_item("(1)")


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("a=1,    b=2;x=1,   c=(a   b), d", "dictionary", "a=1, b=2;x=1, c=(a b), d"),
        ("a=?1;x,b=?0", "dictionary", "a;x, b=?0"),
        ("u=3,  i", "dictionary", "u=3, i"),
        ("a , b;q=0.50", "list", "a, b;q=0.5"),
        ("(1  2), 3", "list", "(1 2), 3"),
        ("1.0;a", "item", "1.0;a"),
        ("", "dictionary", ""),
        ("", "list", ""),
    ],
)
def test_one_serialisation(text: str, kind: Kind, expected: str) -> None:
    assert rewrite(text, kind) == expected
    assert rewrite(expected, kind) == expected


@pytest.mark.parametrize("text", ["sig1=:AQI=:", "sha-256=:AAAA:", "a=::", "*=:+w==:"])
def test_a_dictionary_of_one_byte_sequence(text: str) -> None:
    one = read_bytes(text)
    assert one is not None
    assert read_dictionary(text) == {one[0]: (one[1], {})}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a=1",
        "A=:AQI=:",
        "a=:AQI:",
        "a=:AQJ=:",
        "a=:A:",
        "a=:AQI=:;b",
        "a=:AQI=: ",
        "a=:AQI=:, b=:AQI=:",
        "a=:*:",
    ],
)
def test_what_is_left_to_the_library(text: str) -> None:
    assert read_bytes(text) is None
