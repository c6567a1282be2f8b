import orjson
import pytest

from gateway.audit.export.ecs import ecs
from tests.unit.audit.export.entries import ENTRIES

CATEGORIES = {"api", "network", "process", "configuration", "host"}
TYPES = {"access", "allowed", "change", "connection", "denied", "end", "info", "start"}
TOP = {"@timestamp", "ecs", "message", "event", "observer", "source", "user", "http", "url", "tls", "rule", "service",
       "gateway"}  # fmt: skip


@pytest.mark.parametrize("name", ENTRIES)
def test_every_record_has_what_ecs_asks_for(name: str) -> None:
    made = orjson.loads(ecs(ENTRIES[name]))
    event = made["event"]
    assert made.keys() <= TOP
    assert made["ecs"] == {"version": "9.4.0"}
    assert (event["kind"], set(event["category"]) <= CATEGORIES, set(event["type"]) <= TYPES) == ("event", True, True)
    assert event["outcome"] in {"success", "failure"}


def test_a_decision() -> None:
    made = orjson.loads(ecs(ENTRIES["decision"]))
    assert made["@timestamp"] == "2026-11-22T13:00:00.125Z"
    assert made["event"]["type"] == ["access", "allowed"]
    assert made["event"]["duration"] == 3_000_000
    assert made["http"]["request"] == {
        "id": "5d3c9b5e-9d6f-4c0a-9c1e-6f0f7a1b2c3d", "method": "POST", "body": {"bytes": 4},
    }  # fmt: skip
    assert made["tls"]["version"] == "1.3"
    assert made["tls"]["client"]["hash"]["sha256"].startswith("D7A8FBB3")
    assert made["rule"] == {"name": "deposit", "ruleset": "psp", "version": ENTRIES["decision"].text("policy", "uid")}
    assert made["gateway"]["partner"] == "acme-casino"


def test_a_denial_and_an_outcome() -> None:
    denied, outcome = (orjson.loads(ecs(ENTRIES[name])) for name in ("decision, denied", "outcome"))
    assert denied["event"]["type"] == ["access", "denied"]
    assert (denied["event"]["code"], denied["event"]["reason"]) == ("token.expired", "expired 65 s ago")
    assert outcome["http"]["response"] == {"status_code": 201, "body": {"bytes": 118}}


def test_a_record_without_tls() -> None:
    assert "tls" not in orjson.loads(ecs(ENTRIES["start"]))
