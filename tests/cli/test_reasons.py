"""`gateway reasons` and the page made of it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.reasons import page, reasons
from gateway.core.reasons import Reason

PAGE = Path(__file__).parents[2] / "docs" / "reasons.md"


def test_the_page_in_docs_is_the_generated_one() -> None:
    assert PAGE.read_text() == page(), "run: gateway reasons --markdown > docs/reasons.md"


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.code)
def test_every_reason_is_explained_for_each_user(reason: Reason) -> None:
    result = CliRunner().invoke(reasons, [reason.code])
    assert result.exit_code == 0
    for sentence in (reason.title, reason.deployer, reason.author, reason.auditor):
        assert sentence in result.output


def test_the_list_names_all() -> None:
    result = CliRunner().invoke(reasons)
    assert all(reason.code in result.output for reason in Reason)


def test_a_near_miss_is_offered() -> None:
    result = CliRunner().invoke(reasons, ["token.expird"])
    assert result.exit_code == 2
    assert "did you mean token.expired?" in result.output
