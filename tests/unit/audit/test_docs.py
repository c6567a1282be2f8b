"""docs/audit.md shows records as they are, and names every field of them."""

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.audit.ocsf import Kind
from gateway.audit.record import line
from tests.unit.audit.examples import EVENTS

TEXT = (Path(__file__).parents[3] / "docs" / "audit.md").read_text("utf-8")
SHOWN: list[dict[str, Any]] = [orjson.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]
STANDARD = {"category_uid", "class_uid", "type_uid", "activity_name", "connection_info", "app", "entity"}
"""Fields whose meaning is OCSF's and needs no words of ours."""


@pytest.mark.parametrize("number", range(len(SHOWN)))
def test_an_example_is_the_record_of_an_event(number: int) -> None:
    shown = SHOWN[number]
    metadata = shown["metadata"]
    origin = metadata["uid"].partition(":")[0]
    event = list(EVENTS.values())[metadata["sequence"] - 1]
    assert shown == orjson.loads(line(event, metadata["sequence"], origin))


def test_every_event_is_shown_once() -> None:
    assert sorted(shown["metadata"]["sequence"] for shown in SHOWN) == list(range(1, len(EVENTS) + 1))


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_is_explained(kind: Kind) -> None:
    assert f"`{kind.code}`" in TEXT


def test_every_field_is_named() -> None:
    words = set(re.findall(r"\w+", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)))
    top = {name for shown in SHOWN for name in shown}
    own = {name for shown in SHOWN for name in shown["unmapped"]}
    assert (top | own) - words - STANDARD == set()
