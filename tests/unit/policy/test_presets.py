from importlib.resources import files
from pathlib import Path
from unittest.mock import patch

import pytest

from gateway.policy import presets
from gateway.policy.nodes import MappingNode
from gateway.policy.presets import STANDINGS, merged, preset, preset_names
from tests.policy.reading import definition

KEYS = {
    "title",
    "source",
    "standing",
    "checked",
    "about",
    "remarks",
    "max_age",
    "settings",
    "needs",
    "key",
    "sample",
    "scheme",
}


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_says_what_it_rests_on(name: str) -> None:
    found = preset(name)
    assert found.standing in STANDINGS
    assert found.title
    assert found.source
    assert found.about.endswith(".")
    assert all(remark.endswith(".") for remark in found.remarks)
    assert found.sample.method in {"GET", "POST"}


def test_no_key_of_a_preset_is_read_by_nobody() -> None:
    from gateway.policy.source import parse  # noqa: PLC0415 - for this test only

    for name in preset_names():
        data = (files("gateway.policy") / "preset_files" / f"{name}.yaml").read_bytes()
        top, problems = parse(Path(name), data)
        assert isinstance(top, MappingNode)
        assert problems == []
        assert set(top.values) <= KEYS, name


def test_a_policys_keys_replace_the_presets() -> None:
    own = definition("{preset: spribe, encoding: base64}")
    node = merged("spribe", own).node
    assert isinstance(node, MappingNode)
    assert "preset" not in node.values
    assert set(node.values) == {
        "algorithm", "encoding", "separator", "string_to_sign", "key_id", "timestamp", "signature"
    }  # fmt: skip
    assert isinstance(own.node, MappingNode)
    assert node.values["encoding"] is own.node.values["encoding"]
    assert node.values["signature"].place == own.node.values["preset"].place


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "no mapping"),
        ("a: [", "preset broken"),
        (
            "{title: [], source: a, standing: vendor documentation, about: a, key: {}, scheme: {}, sample: {}}",
            "something else where text belongs",
        ),
        (
            "{title: a, source: a, standing: hearsay, about: a, key: {}, scheme: {}, sample: {method: a}}",
            "its standing is none of",
        ),
    ],
)
def test_a_file_that_is_no_preset(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "preset_files").mkdir()
    (tmp_path / "preset_files" / "broken.yaml").write_text(text)
    with patch.object(presets, "files", lambda _: tmp_path), pytest.raises(ValueError, match=message):
        presets.preset.__wrapped__("broken")
