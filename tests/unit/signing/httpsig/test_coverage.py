import pytest

from gateway.signing.httpsig.base import Covered
from gateway.signing.httpsig.coverage import Demand
from tests import messages


def missing(wanted: str, *covered: str) -> tuple[str, ...]:
    return Demand(messages.components(wanted)).judge(Covered(messages.components(*covered))).missing


@pytest.mark.parametrize(
    ("wanted", "covered"),
    [
        ("@method", ["@method"]),
        ("@path", ["@path"]),
        ("@path", ["@target-uri"]),
        ("@path", ["@request-target"]),
        ("@query", ["@target-uri"]),
        ("@authority", ["x-one", "@target-uri"]),
        ("@scheme", ["@target-uri"]),
        ("@request-target", ["@target-uri"]),
        ('@query-param;name="a"', ['@query-param;name="a"']),
        ('@query-param;name="a"', ["@query"]),
        ("x-one", ["x-one"]),
        ("x-one", ["x-one;bs"]),
        ("cache-control", ["cache-control;sf"]),
        ('x-one;key="a"', ['x-one;key="a"']),
    ],
)
def test_what_covers_a_component(wanted: str, covered: list[str]) -> None:
    assert missing(wanted, *covered) == ()


@pytest.mark.parametrize(
    ("wanted", "covered"),
    [
        ("@method", []),
        ("@method", ["@path", "@query"]),
        ("@method", ["@method;req"]),
        ("@target-uri", ["@scheme", "@authority", "@path", "@query"]),
        ("@path", ["@query"]),
        ("@path", ["@target-uri;req"]),
        ("@authority", ["@request-target"]),
        ("@query", ['@query-param;name="a"']),
        ('@query-param;name="a"', ['@query-param;name="b"']),
        ("cache-control", ['cache-control;key="a"']),
        ("x-one", ["x-one;req"]),
        ("x-one", ["x-one;tr"]),
        ("x-one;bs", ["x-one"]),
        ('cache-control;key="a"', ["cache-control"]),
    ],
)
def test_what_does_not(wanted: str, covered: list[str]) -> None:
    (component,) = messages.components(wanted)
    assert missing(wanted, *covered) == (component.identifier,)


def test_fields_are_covered_where_they_are_there() -> None:
    demand = Demand(messages.components("@method"), ("authorization", "dpop"))
    verdict = demand.judge(Covered(messages.components("@method", "authorization")))
    assert verdict.uncovered(messages.head(body=b"")) == []
    assert verdict.uncovered(messages.head(("authorization", "a"), body=b"")) == []
    assert verdict.uncovered(messages.head(("dpop", "a"), body=b"")) == ['"dpop"']


@pytest.mark.parametrize(
    ("covered", "body", "uncovered"),
    [
        (["content-digest"], b"body", []),
        (["content-digest;sf"], b"body", []),
        (["content-digest"], b"", []),
        ([], b"", []),
        ([], b"body", ['"content-digest"']),
        (['content-digest;key="sha-256"'], b"body", ['"content-digest"']),
    ],
)
def test_a_body_needs_its_digest(covered: list[str], body: bytes, uncovered: list[str]) -> None:
    verdict = Demand(()).judge(Covered(messages.components(*covered)))
    assert verdict.uncovered(messages.head(body=body)) == uncovered


def test_everything_that_is_missing_is_named() -> None:
    verdict = Demand(messages.components("@method", "@path"), ("dpop",)).judge(Covered(()))
    assert verdict.uncovered(messages.head(("dpop", "a"))) == ['"@method"', '"@path"', '"dpop"', '"content-digest"']
