import pytest

from gateway.controls.websocket import WebSocketHandshake
from gateway.core.policy import WebSocketSettings
from gateway.policy.websockets import IDLE, LIFETIME, read_websocket
from tests.policy.reading import mapping, problems, reader

MATCH = "match: {method: GET, path: /v1/feed}"


def test_how_long_one_may_be_open_and_for_whom() -> None:
    used = reader()
    route = mapping(f"{{{MATCH}, websocket: {{idle: 30s, lifetime: 1h, origins: ['https://play.example']}}}}")
    found = read_websocket(used, route.values, signed=False)
    assert found == (WebSocketSettings(30.0, 3_600.0), WebSocketHandshake(frozenset({"https://play.example"})))
    assert used.problems == []


def test_what_counts_where_nothing_is_said() -> None:
    used = reader()
    found = read_websocket(used, mapping(f"{{{MATCH}, websocket: {{}}}}").values, signed=False)
    assert found == (WebSocketSettings(IDLE, LIFETIME), WebSocketHandshake(None))
    assert read_websocket(used, mapping(f"{{{MATCH}}}").values, signed=True) is None
    assert used.problems == []


def test_answers_of_the_route_may_not_be_signed() -> None:
    used = reader()
    read_websocket(used, mapping(f"{{{MATCH}, websocket: {{}}}}").values, signed=True)
    (problem,) = problems(used)
    assert "whose answers are signed" in problem


@pytest.mark.parametrize("rule", ["idempotency", "velocity"])
def test_what_asks_for_a_body_or_an_answer_does_not_go_with_it(rule: str) -> None:
    used = reader()
    read_websocket(used, mapping(f"{{{MATCH}, websocket: {{}}, {rule}: {{}}}}").values, signed=False)
    (problem,) = problems(used)
    assert f"`{rule}` on a route that opens WebSockets" in problem
