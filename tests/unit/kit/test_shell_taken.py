"""What the commands give is tested in test_taken.py beside the other languages, and against the gate in tests/cli."""

from gateway.kit.plan import Plan, Sample, Taken
from gateway.kit.shell_taken import begun, in_shell, needs_jq, query, signature, written
from gateway.signing import parts as p
from gateway.signing.places import InContent

SORTED = Taken("taken_0", p.SortedJson("query"))


def plan(**changes: object) -> Plan:
    return Plan((), **{"algorithm": "hmac-sha256", "encoding": "hex", "headers": (), **changes})  # type: ignore[arg-type]


def test_what_is_taken_apart_needs_jq() -> None:
    assert needs_jq(plan(taken=(SORTED,)))
    assert needs_jq(plan(members="form"))
    assert not needs_jq(plan(taken=(Taken("taken_0", p.QueryWithout("a")), Taken("taken_1", p.Crc32()))))


def test_query_and_body_as_json() -> None:
    sample = Sample("POST", "/", "a=1", {}, "b=%20")
    lines = list(begun(plan(taken=(SORTED,), members="form"), sample))
    assert lines == ['parameters=\'{"b":" "}\'', 'members=\'{"a":"1"}\'']


def test_what_is_put_into_query_and_body() -> None:
    carried = plan(taken=(SORTED,), query_carried=(("n", "nonce"),))
    assert list(query(carried)) == [
        'parameters=$(jq -c --arg value "$nonce" \'setpath(["n"]; $value)\' <<< "$parameters")',
        'query=${query:+$query&}n=$(encoded "$nonce" -._~:)',
    ]
    assert len(list(signature(plan(members="json", signature_at=("a", 0))))) == 2
    assert written(plan(members="json")).startswith("jq -cj")
    assert InContent("query", "n").in_body is False


def test_parts_of_the_query() -> None:
    assert in_shell(Taken("taken_0", p.Field("query", "a", "two-decimals")), lambda _: "").startswith(
        "taken_0=$(LC_ALL=C printf '%.2f'"
    )
    assert "$parameters + $members" in in_shell(Taken("t", p.Parameters(("query", "json"))), lambda _: "")
