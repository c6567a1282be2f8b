"""The examples of RFC 9530: `rfc9530.json`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.signing.httpsig.digest import MismatchError, check_digest

FILE = json.loads((Path(__file__).parent / "rfc9530.json").read_text())


def cases() -> Iterator[Any]:
    assert FILE.keys() == {"comment", "cases"}
    for number, case in enumerate(FILE["cases"]):
        assert case.keys() - {"body", "body_hex"} == {"section", "digest", "expect"}
        yield pytest.param(case, id=f"{number}: {case['section']}")


@pytest.mark.parametrize("case", cases())
def test_digest(case: Mapping[str, Any]) -> None:
    body = bytes.fromhex(case["body_hex"]) if "body_hex" in case else case["body"].encode()
    assert outcome(case["digest"], body) == case["expect"]


def outcome(digest: str, body: bytes) -> str:
    try:
        check_digest("content-digest", digest, body)
    except MismatchError:
        return "mismatch"
    except ValueError:
        return "malformed"
    return "match"
