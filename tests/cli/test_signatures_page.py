"""Each scheme as docs/signatures.md shows it: policy lines that are taken, and a request over the string shown."""

import re
from pathlib import Path

import pytest

from gateway.cli.messages import request_in
from gateway.core.policy import SigningKey
from gateway.core.secret import Secret
from gateway.policy.scheme_files import load_schemes
from gateway.signing.scheme import read_whole
from tests import vendors
from tests.mint import NOW

PAGE = (Path(__file__).parents[2] / "docs" / "signatures.md").read_text(encoding="utf-8")
PART = PAGE[PAGE.index("\n## Each scheme") : PAGE.index("\n## How a request is checked")]
SECTIONS = dict(re.findall(r"^### (\S+)[^\n]*\n(.*?)(?=^### |\Z)", PART, re.MULTILINE | re.DOTALL))
TYPES = ("http-message-signatures", "fapi2", "jws", "composed", "aws-sigv4")


def block(section: str, language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)\n```$", section, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.mark.parametrize("kind", TYPES)
def test_each_scheme_is_shown_as_it_is(kind: str, tmp_path: Path) -> None:
    section = SECTIONS[kind]
    (tmp_path / "policy.yaml").write_text(f"version: 1\n{block(section, 'yaml')}\n")
    (scheme,) = load_schemes(tmp_path / "policy.yaml", {}).values()
    message = request_in(block(section, "http").encode())
    presented = read_whole(scheme, *message, lambda _: True)
    assert scheme.string_to_sign(*message, presented).decode() == block(section, "text")
    if "hmac-sha256" in scheme.algorithms and kind != "http-message-signatures":
        key = SigningKey("acme-2026-11", "hmac-sha256", Secret(b"0123456789abcdef" * 4))
        made = vendors.Request(*message)
        assert vendors.verify(scheme, made, {key.id: key}, NOW).key_id == key.id


def test_no_scheme_is_missing() -> None:
    assert tuple(SECTIONS) == TYPES
