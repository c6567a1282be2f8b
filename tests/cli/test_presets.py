"""`gateway presets` and the page made of it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.presets import page, policy_lines, presets, scheme_of
from gateway.cli.sign import sign
from gateway.cli.verify import verify
from gateway.policy.presets import preset, preset_names
from gateway.signing.secret_algorithms import SECRET_ALGORITHMS

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


@pytest.mark.parametrize(
    "name", [name for name in preset_names() if preset(name).key["algorithm"] in SECRET_ALGORITHMS]
)
def test_a_sample_can_be_signed_and_verified_at_the_command_line(name: str, tmp_path: Path) -> None:
    """Wherever the signature stands: fields, query, form or JSON."""
    sample = preset(name).sample
    lines = policy_lines(preset(name), scheme_of(preset(name))).partition("# of the partner")[0]
    (tmp_path / "policy.yaml").write_text(f"version: 1\n{lines}")
    key = ["--secret", "env:VENDOR_SECRET", "--key-id", "key-1"]
    told = [word for field, text in sample.fields.items() for word in ("-H", f"{field}: {text}")]
    told += ["-d", sample.body] if sample.body else []
    at = ["--nonce", "n-1", "--created", "2026-11-22T13:00:00Z", "--print", "http"]
    runner = CliRunner(env={"VENDOR_SECRET": "0123456789abcdef" * 4})
    policy, url = str(tmp_path / "policy.yaml"), f"https://api.example{sample.target}"
    made = runner.invoke(sign, [policy, url, "-X", sample.method, *told, *key, *at])
    assert made.exit_code == 0, made.output
    (tmp_path / "request").write_text(made.output)
    checked = ["--request", str(tmp_path / "request"), "--at", "2026-11-22T13:00:05Z", *key]
    result = runner.invoke(verify, [policy, *checked])
    assert result.exit_code == 0, result.output
    assert "signature  right" in result.output
