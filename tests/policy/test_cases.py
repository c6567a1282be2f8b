"""Golden cases: a policy's text, and the exact problems it must give, each with file, line and column."""

from pathlib import Path

import pytest

from tests.policy.golden import CASES, Case

PATHS = sorted(CASES.glob("*.case"))


def test_the_base_of_all_cases_is_valid(world: Path) -> None:
    assert Case("", {}, []).problems(world) == []


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_problems_are_exactly_these(path: Path, world: Path) -> None:
    case = Case.read(path)
    assert case.about.strip(), "a case says what it is about"
    assert case.problems(world) == case.expect


def test_ten_mistakes_are_told_at_once() -> None:
    assert len(Case.read(CASES / "ten_mistakes.case").expect) == 10
