import pytest

from gateway.core.message import Headers
from gateway.signing.httpsig.inputs import (
    MAX_BYTES,
    MAX_SIGNATURES,
    MAX_TEXT,
    Parameters,
    components_of,
    joined,
    read_inputs,
    read_parameters,
    read_signature,
)

INPUT = (
    'sig1=("@method" "x-one";key="a)");created=1618884473;keyid="k";alg="ed25519";nonce="n";tag="t";expires=1618884474'
)


def test_one_signature() -> None:
    (found,) = read_inputs(INPUT, str).values()
    assert (found.label, found.covered) == ("sig1", '("@method" "x-one";key="a)")')
    text = ';created=1618884473;keyid="k";alg="ed25519";nonce="n";tag="t";expires=1618884474'
    assert found.parameters == (text, 1_618_884_473, 1_618_884_474, "n", "ed25519", "k", "t")
    assert "'n'" not in repr(found.parameters)


def test_several_signatures_are_read_as_one_is() -> None:
    found = read_inputs(f'{INPUT} ,\tsig2=( "@path" );  created=1', str)
    assert list(found) == ["sig1", "sig2"]
    assert found["sig1"] == read_inputs(INPUT, str)["sig1"]
    assert (found["sig2"].covered, found["sig2"].parameters.text) == ('("@path")', ";created=1")


def test_white_space_that_structured_fields_allow_is_not_signed() -> None:
    (found,) = read_inputs('a=( "@method"   "@path" ); created=1', components_of).values()
    assert [name for name, _ in found.covered] == ["@method", "@path"]
    assert found.parameters.text == ";created=1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sig1", "no inner list"),
        ("sig1=1", "no inner list"),
        ('sig1="(a)"', "no inner list"),
        ("sig1=();created=1, sig1=();created=1", "'sig1' stands twice"),
        ("sig1=();created=1;created=1", "'created' stands twice"),
        ("sig1=();created=1,", "no dictionary"),
        ("sig1=()x", "no dictionary"),
        ("sig1=();created=1.0", "created is no time"),
        ("sig1=();created=-1", "created is no time"),
        ("sig1=();created", "created is no time"),
        ('sig1=();created="1"', "created is no time"),
        ("sig1=();created=1618884473000", "created is no time"),
        ("sig1=();created=2;expires=1", "expires before it was created"),
        ("sig1=();keyid=k", "keyid is no string"),
        ('sig1=();keyid=""', "keyid is no string"),
        (f'sig1=();nonce="{"n" * (MAX_TEXT + 1)}"', "nonce is no string of 1 to 256"),
        ("sig1=();other=1", "unknown signature parameter 'other'"),
        (", ".join(f"s{number}=()" for number in range(MAX_SIGNATURES + 1)), "9 signatures; at most 8"),
    ],
)
def test_what_is_no_signature_input(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_inputs(text, str)


def test_an_empty_field_announces_nothing() -> None:
    assert read_inputs("", str) == {}


def test_parameters_are_those_of_an_inner_list() -> None:
    with pytest.raises(ValueError, match="no inner list"):
        read_parameters((1, {}))
    assert read_parameters(([], {})) == Parameters("")


@pytest.mark.parametrize("text", ["1", "();a", '("a"'])
def test_what_is_no_list_of_components(text: str) -> None:
    with pytest.raises(ValueError, match=r"no inner list|no dictionary"):
        components_of(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("sig1=:AQI=:", b"\x01\x02"),
        ("sig1=::", b""),
        ("sig2=:AQI=:", None),
        ("sig2=:AA==:, sig1=:AQI=:", b"\x01\x02"),
        ("sig2=:AA==:, sig3=:AQI=:", None),
    ],
)
def test_signatures(text: str, found: bytes | None) -> None:
    assert read_signature(text, "sig1") == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sig1=:AQJ=:", "canonical base64"),
        ("sig1=:AQI:", "canonical base64"),
        ("sig1=:A=:", "no dictionary"),
        ("sig1=:AQJ=:, sig2=:AA==:", "canonical base64"),
        ("sig1=:AQI:, sig2=:AA==:", "canonical base64"),
        ("sig1=:AQI=:;a, sig2=:AA==:", "canonical base64"),
        ('sig1="AQI="', "canonical base64"),
        ("sig1", "canonical base64"),
        ("sig1=:AQI=:, sig1=:AQI=:", "stands twice"),
        (", ".join(f"s{number}=:AA==:" for number in range(MAX_SIGNATURES + 1)), "9 signatures; at most 8"),
    ],
)
def test_what_is_no_signature(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_signature(text, "sig1")


def test_lines_are_joined_within_bounds() -> None:
    assert joined(Headers(), "signature") is None
    assert joined(Headers([("signature", "a=1")]), "signature") == "a=1"
    assert joined(Headers([("signature", "a=1"), ("signature", "b=2")]), "signature") == "a=1, b=2"
    with pytest.raises(ValueError, match="signature has 8193 bytes; at most 8192"):
        joined(Headers([("signature", "a" * (MAX_BYTES + 1))]), "signature")
