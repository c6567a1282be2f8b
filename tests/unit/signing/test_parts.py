import pytest

from gateway.signing.parts import Body, BodyDigest, Header, Part, Target, Timestamp, label


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (Header("content-type"), "field content-type"),
        (BodyDigest("sha256"), "body digest"),
        (Body(), "body"),
        (Target(), "target"),
        (Timestamp(), "timestamp"),
    ],
)
def test_parts_have_names_for_people(part: Part, name: str) -> None:
    assert label(part) == name
