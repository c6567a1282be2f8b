"""`gateway presets` and the page made of it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.presets import page, presets
from gateway.policy.presets import preset, preset_names

PAGE = Path(__file__).parents[2] / "docs" / "presets.md"


def test_the_page_in_docs_is_the_generated_one() -> None:
    assert PAGE.read_text() == page(), "run: gateway presets --markdown > docs/presets.md"


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_explained(name: str) -> None:
    result = CliRunner().invoke(presets, [name])
    found = preset(name)
    assert result.exit_code == 0
    for text in (found.title, found.source, found.standing, f"preset: {name}", "String to sign:"):
        assert text in result.output


def test_the_list_names_all() -> None:
    result = CliRunner().invoke(presets, env={"COLUMNS": "200"})
    assert all(name in result.output for name in preset_names())


def test_a_near_miss_is_offered() -> None:
    result = CliRunner().invoke(presets, ["softswis"])
    assert result.exit_code == 2
    assert "did you mean softswiss?" in result.output
    assert "lists them all" in CliRunner().invoke(presets, ["zzzz"]).output
