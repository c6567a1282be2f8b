from pathlib import Path

import pytest

from gateway.policy.nodes import TOP, Place, ScalarNode, Trail


def trail(*steps: str | int) -> Trail:
    found = TOP
    for step in steps:
        found = Trail(found, step)
    return found


@pytest.mark.parametrize(
    ("steps", "written"),
    [
        ((), ""),
        (("routes", 2, "token", "issuer"), "routes[2].token.issuer"),
        (("partners", "acme-casino", "networks", 0), "partners.acme-casino.networks[0]"),
        (("partners", "a.b", "c d"), "partners['a.b']['c d']"),
        (("partners", "\u202e"), "partners['\\u202e']"),
        (("x" * 70, 1), "x" * 60 + "…[1]"),
    ],
)
def test_a_trail_is_written_as_in_code(steps: tuple[str | int, ...], written: str) -> None:
    assert str(trail(*steps)) == written


def test_a_place_is_what_editors_jump_to() -> None:
    assert str(Place(Path("policies/psp.yaml"), 3, 7)) == "policies/psp.yaml:3:7"


@pytest.mark.parametrize(
    ("text", "plain", "absent"),
    [
        ("", True, True),
        ("~", True, True),
        ("null", True, True),
        ("", False, False),
        ("null", False, False),
        ("no", True, False),
    ],
)
def test_only_plain_nothing_is_absent(text: str, plain: bool, absent: bool) -> None:
    assert ScalarNode(Place(Path("x"), 1, 1), TOP, text, plain).absent is absent
