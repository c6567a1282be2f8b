"""The examples of docs/policy.md are one valid policy."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from gateway.core.chain import ORDER
from gateway.core.policy import Limits
from gateway.policy import load
from gateway.policy.document import NAMED, SINGLES
from tests.policy.files import ENVIRON, NOW

PAGE = (Path(__file__).parents[2] / "docs" / "policy.md").read_text()
HEADER = "version: 1\nname: psp\nowner: payments-security\nreview_by: 2027-05-01\n"


def test_the_examples_are_a_valid_policy(world: Path) -> None:
    blocks = re.findall(r"^```yaml\n(\w.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    text = HEADER + "".join(blocks).replace("internal-ca", "partners-ca").replace("../certs/", "certs/")
    (world / "documented.yaml").write_text(text)
    loaded = load(world / "documented.yaml", ENVIRON, now=NOW)
    assert loaded.warnings == ()
    assert [control.name for control in loaded.policy.routes[0].chain] == list(ORDER)


@pytest.mark.parametrize("section", [*SINGLES, *NAMED, "routes", "version", *ORDER])
def test_every_section_and_control_is_described(section: str) -> None:
    assert f"`{section}`" in PAGE


@pytest.mark.parametrize("limit", [each.name for each in fields(Limits)])
def test_every_limit_is_described(limit: str) -> None:
    assert f"`limits.{limit}`" in PAGE
