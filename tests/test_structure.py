"""What the repository promises of itself: a test for each module, and no file too long to be read at once."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAX_LINES = 400

LONG = {
    "gateway/core/reasons.py": "data: every reason in one place, with its words",
}
"""Files that may be longer, and why."""

ELSEWHERE: dict[str, str] = {}
"""Modules without a test file of their own, and why."""

PLACES = {"cli": ("tests/unit/cli", "tests/cli")}
"""Packages whose tests may stand in other folders than the mirrored one: commands are tested from outside too."""


def places_of(module: str) -> tuple[str, ...]:
    """Name the files that may test `gateway/package/module.py`."""
    _, *packages, name = module.split("/")
    folder = "/".join(["tests/unit", *packages])
    return tuple(f"{place}/test_{name}" for place in PLACES.get("/".join(packages), (folder,)))


def untested(modules: Iterable[str], tests: Iterable[str], elsewhere: Mapping[str, str]) -> list[str]:
    """Name the modules that no file tests."""
    present = set(tests)
    return [
        module
        for module in modules
        if not module.endswith(("/__init__.py", "/__main__.py"))
        and module not in elsewhere
        and present.isdisjoint(places_of(module))
    ]


def too_long(lines: Mapping[str, int], allowed: Mapping[str, str]) -> list[str]:
    """Name the files that are longer than they should be."""
    return [f"{name}: {count} lines" for name, count in lines.items() if count > MAX_LINES and name not in allowed]


def files(folder: str) -> list[str]:
    """Name the Python files below a folder of the repository."""
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*.py"))


def length(name: str) -> int:
    return len((ROOT / name).read_text(encoding="utf-8").splitlines())


def test_every_module_has_a_test() -> None:
    assert untested(files("gateway"), files("tests"), ELSEWHERE) == []


def test_no_file_is_too_long_to_be_read_at_once() -> None:
    lines = {name: length(name) for name in [*files("gateway"), *files("tests")]}
    assert too_long(lines, LONG) == []


def test_exceptions_are_needed() -> None:
    assert untested(ELSEWHERE, files("tests"), {}) == list(ELSEWHERE)
    assert [name for name in LONG if length(name) <= MAX_LINES] == []


@pytest.mark.parametrize(
    ("module", "tests", "elsewhere", "missing"),
    [
        ("gateway/core/chain.py", ["tests/unit/core/test_chain.py"], {}, False),
        ("gateway/core/chain.py", ["tests/unit/core/test_chains.py"], {}, True),
        ("gateway/core/chain.py", ["tests/unit/engine/test_chain.py"], {}, True),
        ("gateway/core/chain.py", [], {"gateway/core/chain.py": "why"}, False),
        ("gateway/cli/run.py", ["tests/cli/test_run.py"], {}, False),
        ("gateway/cli/run.py", ["tests/unit/cli/test_run.py"], {}, False),
        ("gateway/demo/play.py", ["tests/demo/test_play.py"], {}, True),
        ("gateway/__main__.py", [], {}, False),
        ("gateway/core/__init__.py", [], {}, False),
    ],
)
def test_a_module_is_tested_at_the_mirrored_place(
    module: str, tests: list[str], elsewhere: dict[str, str], missing: bool
) -> None:
    assert untested([module], tests, elsewhere) == [module] * missing


@pytest.mark.parametrize(
    ("count", "allowed", "long"), [(400, {}, False), (401, {}, True), (401, {"a.py": "why"}, False)]
)
def test_a_file_may_have_so_many_lines(count: int, allowed: dict[str, str], long: bool) -> None:
    assert too_long({"a.py": count}, allowed) == ["a.py: 401 lines"] * long


def test_decisions_have_a_number_each_and_are_listed_with_their_titles() -> None:
    records = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
    assert [path.name[:4] for path in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    titles = [path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") for path in records]
    rows = [f"| [{title[:4]}]({path.name}) | {title[5:]} |" for title, path in zip(titles, records, strict=True)]
    index = (ROOT / "docs/adr/README.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in index if line.startswith("| [")] == rows
