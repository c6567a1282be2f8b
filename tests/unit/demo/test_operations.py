"""Which operation a request means."""

from pathlib import Path

import pytest
import yaml

from gateway.demo.operations import OPERATIONS, find

POLICIES = Path(__file__).parents[3] / "policies"


@pytest.mark.parametrize(
    ("method", "target", "name", "parameter"),
    [
        ("POST", "/psp/v1/deposits", "psp-deposit", ""),
        ("GET", "/psp/v1/reconciliations/2026-11-22?currency=EUR", "psp-reconciliation", "2026-11-22"),
        ("GET", "/pam/v1/players/p-1001/balance", "pam-balance", "p-1001"),
        ("POST", "/casino/v1/games/book-of-gold/launch", "casino-launch", "book-of-gold"),
    ],
)
def test_an_operation_is_found(method: str, target: str, name: str, parameter: str) -> None:
    found = find(method, target)
    assert found is not None
    assert (found[0].name, found[1]) == (name, parameter)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/psp/v1/deposits"),
        ("POST", "/psp/v1/deposits/"),
        ("GET", "/pam/v1/players/"),
        ("GET", "/pam/v1/players/../balance"),
        ("GET", "/prefix/pam/v1/players/p-1001"),
        ("GET", "/"),
    ],
)
def test_what_is_no_operation_is_not_found(method: str, target: str) -> None:
    assert find(method, target) is None


def test_each_operation_has_its_route_in_the_policies() -> None:
    """Same name, same method, and a path template that fits the operation's path."""
    routes = {
        route["name"]: route["match"]
        for file in POLICIES.glob("*.yaml")
        for route in yaml.safe_load(file.read_text()).get("routes", ())
    }
    assert {operation.name for operation in OPERATIONS} == set(routes)
    for operation in OPERATIONS:
        match = routes[operation.name]
        sample = "/".join("x" if part.startswith("{") else part for part in match["path"].split("/"))
        assert (match["method"], bool(operation.path.fullmatch(sample))) == (operation.method, True)
