"""Cases of composed schemes, published or computed by other programs: `composed/*.json`.

A file holds a scheme, keys, a window and a request; a case names what it changes of the keys and the request (a field
changed to null is left out), and what is expected: `verified`, or the code of a reason.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.core.message import Instant, RequestHead
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied
from gateway.core.secret import Secret
from gateway.core.syntax import read_head
from gateway.signing import parts as p
from gateway.signing.composed import ComposedScheme
from gateway.signing.places import InHeader
from gateway.signing.window import Window

FILES = sorted((Path(__file__).parent / "composed").glob("*.json"))

SIMPLE: Mapping[str, p.Part] = {
    "method": p.Method(),
    "path": p.Path(),
    "query": p.Query(),
    "target": p.Target(),
    "body": p.Body(),
    "timestamp": p.Timestamp(),
    "nonce": p.Nonce(),
}


def known(mapping: Mapping[str, Any], required: set[str], optional: set[str] | None = None) -> Mapping[str, Any]:
    """Give the mapping back; what a case says and nobody reads would be a case that tests nothing."""
    assert required <= set(mapping) <= required | (optional or set()), f"{sorted(mapping)}"
    return mapping


def part(written: Any) -> p.Part:
    if isinstance(written, str):
        return SIMPLE[written]
    if "digest" in written:
        known(written, {"digest", "encoding"})
        return p.BodyDigest(written["digest"], written["encoding"])
    ((kind, value),) = written.items()
    return {"literal": p.Literal, "header": p.Header}[kind](value)


def scheme(written: Mapping[str, Any]) -> ComposedScheme:
    fields = {**written, "parts": tuple(map(part, written["parts"])), "separator": written["separator"].encode()}
    places = ("signature", "key_id", "timestamp", "nonce")
    return ComposedScheme(
        name="vector", **{name: InHeader(**value) if name in places else value for name, value in fields.items()}
    )


def key(name: str, algorithm: str, written: Mapping[str, Any]) -> SigningKey:
    known(written, set(), {"secret", "secret_hex", "not_before", "not_after"})
    secret = bytes.fromhex(written["secret_hex"]) if "secret_hex" in written else written["secret"].encode()
    return SigningKey(name, algorithm, Secret(secret), written.get("not_before"), written.get("not_after"))


def body_of(request: Mapping[str, Any]) -> bytes:
    return bytes.fromhex(request["body_hex"]) if "body_hex" in request else request["body"].encode()


def head_of(request: Mapping[str, Any]) -> RequestHead:
    fields = {"host": "vector.example", **request["fields"]}
    return read_head(
        method=request["method"].encode(),
        target=request["target"].encode(),
        version="HTTP/1.1",
        fields=[(name.encode(), value.encode()) for name, value in fields.items() if value is not None],
    )


def cases() -> Iterator[Any]:
    for path in FILES:
        file = known(json.loads(path.read_text()), {"comment", "scheme", "keys", "window", "now", "request", "cases"})
        for case in file["cases"]:
            known(case, {"comment", "expect"}, {"request", "keys"})
            yield pytest.param(file, case, id=f"{path.stem}: {case['comment']}")


@pytest.mark.parametrize(("file", "case"), cases())
def test_vector(file: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    change = known(case.get("request", {}), set(), {"method", "target", "fields", "body", "body_hex"})
    request = {**file["request"], **change, "fields": {**file["request"]["fields"], **change.get("fields", {})}}
    composed = scheme(file["scheme"])
    keys = {name: key(name, composed.algorithm, each) for name, each in case.get("keys", file["keys"]).items()}
    window, now = Window(**file["window"]), Instant(file["now"])
    assert outcome(composed, head_of(request), body_of(request), keys, window, now) == case["expect"]


def outcome(composed: ComposedScheme, *verified: Any) -> str:
    try:
        composed.verify(*verified)
    except Denied as denied:
        return denied.reason.code
    return "verified"


def test_every_file_has_a_case_that_verifies_and_one_that_does_not() -> None:
    assert FILES
    for path in FILES:
        expected = {case["expect"] for case in json.loads(path.read_text())["cases"]}
        assert "verified" in expected, path
        assert len(expected) > 1, path
