"""The recipes of docs/money.md are what a policy takes, in the memory of a process and in a store that is shared."""

import re
import shutil
from pathlib import Path

import pytest

from gateway.core.chain import BODY_RULES
from gateway.policy import load
from tests.policy.files import BASE, ENVIRON, NOW

PAGE = (Path(__file__).parents[2] / "docs" / "money.md").read_text(encoding="utf-8")
RECIPES = re.findall(r"^```yaml\n( .*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
(STORE,) = re.findall(r"^```yaml\n(state: .*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_there_are_recipes() -> None:
    assert len(RECIPES) == 5


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_a_part_of_a_valid_route(world: Path, recipe: str, shared: bool) -> None:
    folder = world / "money"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(BASE, folder)
    routes = (folder / "routes.yaml").read_text(encoding="utf-8")
    replay = "" if "replay:" in recipe else "    replay: required\n"
    (folder / "routes.yaml").write_text(routes.replace("    replay: required\n", replay + recipe), encoding="utf-8")
    if shared:
        (folder / "state.yaml").write_text(f"version: 1\n{STORE}", encoding="utf-8")
    environ = {**ENVIRON, "STATE_SECRET": "0123456789abcdef0123456789abcdef"}
    loaded = load(folder, environ, now=NOW, shared_state=not shared)
    named = [control.name for control in loaded.policy.routes[0].chain]
    assert named[-1] in BODY_RULES
    assert loaded.warnings == ()
