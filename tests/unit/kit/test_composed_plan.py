"""Whether the samples sign so is tested in tests/cli/test_partner.py, against the gate."""

import json
from typing import Any

from gateway.kit.composed_plan import composed_plan, headers_needed, sample_body, sample_query
from gateway.kit.plan import Pieces, Sample
from gateway.signing import parts as p
from gateway.signing.places import InContent, InHeader, InItems
from tests import world

SAMPLE = Sample("POST", "/v1/deposits", '{"sample":true}', {"content-type": "application/json"})
BARE: dict[str, Any] = {"timestamp": None, "nonce": None}


def planned(**changes: Any) -> Any:
    return composed_plan(world.scheme(**changes), SAMPLE)


def written(pieces: Pieces) -> str:
    return "".join(f"{{{piece.text}}}" if piece.variable else piece.text for piece in pieces)


def test_parts_of_the_body_are_variables() -> None:
    plan = planned(parts=(p.Field("json", "/a"), p.Literal("x"), p.Crc32()), **BARE)
    assert written(plan.string) == "{taken_0}\nx\n{taken_1}"
    assert [each.name for each in plan.taken] == ["taken_0", "taken_1"]
    assert plan.members == "json"


def test_fields_that_count_as_parameters() -> None:
    part = p.Parameters(("form",), headers=("X-Key-Id", "Content-Type"))
    plan = planned(parts=(part,), key_id=InHeader("x-key-id", "k="), **BARE)
    (taken,) = plan.taken
    assert [(name, written(value)) for name, value in taken.headers] == [
        ("X-Key-Id", "k={key_id}"), ("Content-Type", "{field_content_type}")
    ]  # fmt: skip


def test_what_stands_in_the_body() -> None:
    plan = planned(
        parts=(p.Method(), p.Field("json", "/at")), timestamp=InContent("json", "/at"), nonce=None,
        signature=InContent("json", "/a/0/sign"),
    )  # fmt: skip
    assert plan.carried == ((("at",), "timestamp", True),)
    assert plan.signature_at == ("a", 0, "sign")


def test_items_of_one_field() -> None:
    plan = planned(
        parts=(p.Timestamp(), p.Body()), timestamp=InItems("x-sign", ",", "t="), nonce=None,
        signature=InItems("x-sign", ",", "v1="), key_id=None, key_id_until="/",
    )  # fmt: skip
    assert [(name, written(value)) for name, value in plan.headers] == [
        ("x-sign", "t={timestamp},v1={key_id}/{signature}")
    ]


def test_what_stands_in_the_query() -> None:
    plan = planned(
        parts=(p.QueryWithout("sign"), p.Header("x-time")), timestamp=InHeader("x-time", "t="),
        nonce=InContent("query", "n"), key_id=InContent("query", "k"), signature=InContent("query", "sign"),
    )  # fmt: skip
    assert (plan.query_carried, plan.signature_parameter) == ((("k", "key_id"), ("n", "nonce")), "sign")
    assert written(plan.string) == "{taken_0}\nt={timestamp}"
    assert [name for name, _ in plan.headers] == ["x-time"]


def test_a_query_that_holds_what_is_signed() -> None:
    parts = (p.Field("query", "a", "two-decimals"), p.Field("query", "n"))
    scheme = world.scheme(parts=parts, timestamp=None, nonce=InContent("query", "n"))
    assert sample_query(scheme) == "test=1&a=1.00"
    assert sample_query(world.scheme()) == ""


def test_the_sample_holds_what_is_signed() -> None:
    parts = (p.Field("json", "/a/0/b"), p.Field("json", "/c", "two-decimals"), p.Serialized("/d"))
    kind, body = sample_body(world.scheme(parts=parts, **BARE), '{"sample":true}')
    assert kind == "application/json"
    assert json.loads(body) == {"sample": True, "a": [{"b": "sample"}], "c": "1.00", "d": {"sample": "sample"}}
    form = sample_body(world.scheme(parts=(p.Field("form", "a"),), **BARE), "{}")
    assert form == ("application/x-www-form-urlencoded", "sample=1&a=sample")


def test_fields_that_the_sample_needs() -> None:
    parts = (p.Header("x-a"), p.Header("host"), p.Parameters(("form",), headers=("X-B", "X-Key-Id")), p.Body())
    scheme = world.scheme(parts=parts, key_id=InHeader("x-key-id"), **BARE)
    assert headers_needed(scheme) == ["x-a", "x-b"]
