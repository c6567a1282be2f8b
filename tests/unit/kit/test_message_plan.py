"""Whether the samples sign so is tested in tests/cli/test_partner_schemes.py, against the gate."""

from typing import Any

import pytest

from gateway.kit.facts import Facts
from gateway.kit.message_plan import message_plan, sample_digests, sample_fields, sample_query
from gateway.kit.plan import Sample, digests
from tests import messages
from tests.unit.kit.kits import message_facts


def planned(found: Facts) -> Any:
    assert found.signing is not None
    return found.signing.plan


def written(pieces: Any) -> str:
    return "".join(f"{{{piece.text}}}" if piece.variable else piece.text for piece in pieces)


def test_message_signatures() -> None:
    plan = planned(message_facts("@method", "@target-uri", "authorization", tag="t", label="a", expires_required=True))
    assert written(plan.string).splitlines() == [
        '"@method": {method}',
        '"@target-uri": {url}',
        '"authorization": {field_authorization}',
        '"content-digest": sha-256=:{digest_sha256_base64}:',
        (
            '"@signature-params": ("@method" "@target-uri" "authorization" "content-digest")'
            ';created={timestamp};keyid="{key_id}";expires={expires};nonce="{nonce}";tag="t"'
        ),
    ]
    assert [name for name, _ in plan.headers] == ["content-digest", "signature-input", "signature"]
    assert digests(plan) == [("digest_sha256_base64", "sha256", "base64")]


def test_what_is_covered_only_where_it_is_there() -> None:
    plan = planned(message_facts("@query", "@scheme", covered_if_present=("content-type", "dpop")))
    assert written(plan.string).splitlines()[:3] == [
        '"@query": ?{query}',
        '"@scheme": https',
        '"content-type": {field_content_type}',
    ]


def test_parameters_of_the_query() -> None:
    plan = planned(message_facts('"@query-param";name="a%20b"', '"@query-param";name="id"'))
    assert written(plan.query) == "a%20b={parameter_a_2520b}&id={parameter_id}"
    assert [(each.name, each.kind) for each in plan.made] == [
        ("parameter_a_2520b", "encoded"), ("parameter_id", "encoded")
    ]  # fmt: skip
    assert written(plan.string).startswith('"@query-param";name="a%20b": {parameter_a_2520b}\n')


def test_members_and_octets() -> None:
    plan = planned(message_facts('"x-d";key="a"', '"content-digest";key="sha-512"', "x-o;bs"))
    assert written(plan.string).splitlines()[:4] == [
        '"x-d";key="a": "sample"',
        '"content-digest";key="sha-512": :{digest_sha512_base64}:',
        '"x-o";bs: :{octets_0}:',
        '"content-digest": sha-512=:{digest_sha512_base64}:',
    ]
    assert [(each.kind, written(each.of)) for each in plan.made] == [("base64", "{field_x_o}")]


def test_the_sample_has_what_is_covered() -> None:
    kinds: Any = {"x-l": "list"}
    scheme = messages.scheme(
        "x-l;sf", "cache-control;sf", '"x-d";key="b"', "host", "repr-digest", "date", "@method",
        covered_if_present=("user-agent", "x-none"), structured_fields=kinds,
    )  # fmt: skip
    assert dict(sample_fields(scheme)) == {
        "x-l": "sample", "cache-control": "sample=1", "x-d": 'b="sample"', "date": "Sun, 22 Nov 2026 13:00:00 GMT",
        "user-agent": "sample",
    }  # fmt: skip
    assert sample_digests(scheme, body=True) == {"content-digest": ("sha256",), "repr-digest": ("sha256",)}
    assert sample_query(scheme) == ""


def test_what_no_request_of_the_route_has() -> None:
    with pytest.raises(ValueError, match="no content-length"):
        message_plan(messages.scheme("content-length"), "ed25519", Sample("GET", "/", "", {}))
