import pytest

from gateway.pki.der import INTEGER, SEQUENCE, element, integer, wrapped


@pytest.mark.parametrize("length", [0, 1, 127, 128, 255, 256, 65_535, 65_536, 70_000])
def test_what_is_wrapped_is_found_again(length: int) -> None:
    made = b"\x05\x00" + wrapped(SEQUENCE, bytes(length)) + b"\x05\x00"
    contents, end = element(made, 2)
    assert (end - contents, end) == (length, len(made) - 2)


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x30\x01", b"\x30\x82\x01\x00", b"\x30\x84\xff\xff\xff\xff"])
def test_an_element_that_is_not_whole_is_an_error(der: bytes) -> None:
    with pytest.raises(ValueError, match=r"no element|ends beyond"):
        element(der, 0)


@pytest.mark.parametrize(
    ("number", "octets"),
    [(0, "00"), (1, "01"), (127, "7f"), (128, "0080"), (255, "00ff"), (256, "0100"), (-1, "ff"), (-128, "80")],
)
def test_a_number_has_as_few_octets_as_can_be(number: int, octets: str) -> None:
    assert integer(number).hex() == octets
    assert wrapped(INTEGER, integer(number))[2:] == bytes.fromhex(octets)
