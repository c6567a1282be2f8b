"""The examples of RFC 9530: `rfc9530.json`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.core.message import Headers
from gateway.signing.httpsig.digest import MismatchError, check_digests

FILE = json.loads((Path(__file__).parent / "rfc9530.json").read_text())


def cases() -> Iterator[Any]:
    assert FILE.keys() == {"comment", "cases"}
    for number, case in enumerate(FILE["cases"]):
        assert case.keys() - {"body", "body_hex"} == {"section", "fields", "expect"}
        yield pytest.param(case, id=f"{number}: {case['section']}")


@pytest.mark.parametrize("case", cases())
def test_digest(case: Mapping[str, Any]) -> None:
    body = bytes.fromhex(case["body_hex"]) if "body_hex" in case else case["body"].encode()
    assert outcome(case["fields"], body) == case["expect"]


def outcome(fields: Mapping[str, str], body: bytes) -> str:
    try:
        check_digests(Headers(fields.items()), body)
    except MismatchError:
        return "mismatch"
    except ValueError:
        return "malformed"
    return "match"
