"""The lines that docs/presets.md and docs/signatures.md give for presets are those of valid policies."""

import re
from pathlib import Path

import pytest

from gateway.cli.presets import policy_lines, scheme_of
from gateway.policy import load
from gateway.policy.presets import preset, preset_names
from gateway.policy.scheme_files import load_schemes
from tests.policy.files import BASE, ENVIRON, NOW

SECRET = "0123456789abcdef" * 4


@pytest.mark.parametrize("name", preset_names())
def test_the_lines_are_a_valid_policy(name: str, world: Path) -> None:
    found = preset(name)
    lines = policy_lines(found, scheme_of(found))
    schemes, rest = lines.split("# of the partner:\n")
    keys, route = rest.split("# of the route:\n")
    kind = {"ed25519": "ed25519", "ecdsa-p521-sha512": "p-521"}.get(found.key["algorithm"], "rsa-2048")
    keys = keys.replace(f"../certs/{name}.pem", f"certs/acme-{kind}.pem").replace("certs/", "../certs/")
    folder = world / f"lines-{name}"
    folder.mkdir()
    for file in BASE.iterdir():
        (folder / file.name).write_text(file.read_text())
    (folder / "lines.yaml").write_text(
        f"version: 1\n{schemes}partners:\n  vendor:\n    certificate: {{san_dns: vendor.example}}\n{keys}"
        "routes:\n  - name: vendor\n    match: {method: POST, path: /vendor}\n    upstream: psp\n"
        "    partners: [vendor]\n    mutual_tls: required\n"
        '    ip_allowlist: {off: "the vendor\'s addresses change"}\n    token: {off: "the vendor has none"}\n'
        f"    rate_limit: [10/second per partner]\n{route}"
    )
    environ = {**ENVIRON, f"{name.upper().replace('-', '_')}_SECRET": secret_of(found.key.get("encoding", ""))}
    loaded = load(folder, environ, now=NOW)
    assert [problem for problem in loaded.warnings if problem.file.name != "lines.yaml"] == []
    assert {problem.path for problem in loaded.warnings} <= {f"schemes.{name}"}


def secret_of(encoding: str) -> str:
    return "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" if encoding == "whsec" else SECRET


def test_the_example_of_presets_in_docs_is_valid(world: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "signatures.md").read_text()
    (text,) = re.findall(r"^```yaml\n(schemes:\n  spribe:.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (world / "example-of-presets.yaml").write_text(f"version: 1\n{text}")
    found = load_schemes(world / "example-of-presets.yaml", {})
    assert sorted(found) == ["paypal", "pragmatic", "spribe"]
    assert found["pragmatic"].algorithms == {"digest-md5"}
