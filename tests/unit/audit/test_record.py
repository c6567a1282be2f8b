from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import orjson
import pytest

from gateway.audit import record
from gateway.audit.events import Event, PolicyFacts
from gateway.audit.ocsf import Kind
from gateway.audit.record import MAX_LINE, line, policy_of
from gateway.core.message import Instant, Tls
from gateway.core.policy import Partner, SwitchedOff
from gateway.core.reasons import Reason
from tests.unit.audit.examples import (
    CERTIFICATE,
    CLAIMS,
    CONNECTION_ID,
    EVENTS,
    HEAD,
    IN_FORCE,
    ISSUER,
    PEER,
    POLICY,
    REQUEST_ID,
    ROUTE,
    SECRETS,
    SIGNATURE,
    TLS,
    decided,
    denied,
    refused,
)
from tests.unit.audit.schema import class_schema, faults, object_schema


def made(event: Event) -> dict[str, Any]:
    shown: dict[str, Any] = orjson.loads(line(event, 7, "origin"))
    return shown


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS.keys())
def test_every_record_fits_the_schema(event: Event) -> None:
    shown = made(event)
    assert list(faults(shown, class_schema(shown["class_uid"], tuple(shown["metadata"]["profiles"])))) == []


@pytest.mark.parametrize("change", [{"class_uid": 1}, {"time": "now"}, {"unheard_of": 1}, {"src_endpoint": {}}])
def test_the_check_against_the_schema_finds_faults(change: dict[str, Any]) -> None:
    assert list(faults(made(decided()) | change, class_schema(6003, ("security_control",))))


def test_the_tls_facts_of_a_request_fit_the_schema() -> None:
    assert list(faults(made(decided())["unmapped"]["tls"], object_schema("tls"))) == []


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS.keys())
def test_no_secret_is_in_any_record(event: Event) -> None:
    text = line(event, 1, "origin").decode()
    assert [secret for secret in (*SECRETS, "QUERYVALUE", "dry_run") if secret in text] == []


def test_every_kind_has_an_example() -> None:
    assert {made(event)["metadata"]["event_code"] for event in EVENTS.values()} == {kind.code for kind in Kind}


def test_the_line_has_its_place_in_the_log() -> None:
    assert made(decided())["metadata"] | {"product": None} == {
        "version": "1.8.0",
        "product": None,
        "profiles": ["security_control"],
        "log_name": "audit",
        "event_code": "decision",
        "tenant_uid": "psp",
        "correlation_uid": REQUEST_ID,
        "sequence": 7,
        "uid": "origin:7",
    }


def test_a_record_is_one_line() -> None:
    made_line = line(decided(), 1, "origin")
    assert (made_line.count(b"\n"), made_line[-1:]) == (1, b"\n")


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS.keys())
def test_a_line_beyond_the_bound_is_an_error(event: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(line(event, 1, "origin")) - 1
    monkeypatch.setattr(record, "MAX_LINE", size)
    assert len(line(event, 1, "origin")) == size + 1
    with pytest.raises(ValueError, match=f"a record of {size + 2} bytes"):
        line(event, 1, "origins")


def test_something_else_is_no_event() -> None:
    with pytest.raises(TypeError, match="no record is made of str"):
        line("event", 1, "origin")


def test_a_refused_connection() -> None:
    shown = made(refused(tls=TLS))
    assert (shown["class_uid"], shown["activity_id"], shown["action_id"]) == (4001, 5, 2)
    assert shown["status_code"] == "tls.certificate_untrusted"
    assert shown["src_endpoint"] == {"ip": "203.0.113.80", "port": 40_222}
    assert shown["tls"]["sni"] == "api.psp.example"
    assert shown["metadata"]["correlation_uid"] == CONNECTION_ID


@pytest.mark.parametrize(("address", "version"), [("203.0.113.80", 4), ("2001:db8::80", 6)])
def test_the_ip_version_of_a_refused_connection(address: str, version: int) -> None:
    assert made(refused(address=ip_address(address)))["connection_info"]["protocol_ver_id"] == version


def test_start_and_stop() -> None:
    started, stopped = made(EVENTS["start"]), made(EVENTS["stop"])
    assert (started["class_uid"], started["activity_id"], stopped["activity_id"]) == (6002, 3, 4)
    assert started["unmapped"]["listeners"] == ["public 0.0.0.0:8443"]
    assert (stopped["status_detail"], stopped["unmapped"]) == ("SIGTERM", {"unfinished": 2})


def test_a_policy_change_names_both_policies() -> None:
    shown = made(EVENTS["policy.loaded"])
    assert shown["entity"]["policy"]["uid"] == shown["unmapped"]["previous_policy"]
    assert shown["entity_result"]["policy"]["uid"] == shown["policy"]["uid"] == POLICY.digest


def test_a_refused_policy_says_why() -> None:
    shown = made(EVENTS["policy.refused"])
    assert (shown["status_id"], shown["action_id"]) == (2, 2)
    assert shown["unmapped"]["problems"] == ["policies/psp.yaml:12:3: routes[0]: unknown key `metod`"]


def test_a_failure_and_its_end() -> None:
    failed, recovered = made(EVENTS["control.failed"]), made(EVENTS["control.recovered"])
    assert (failed["class_uid"], failed["unmapped"]) == (6008, {"control": "token.keys:operator"})
    assert recovered["unmapped"] == {"control": "audit", "denied": 3}
    assert (recovered["start_time"], recovered["end_time"], recovered["duration"]) == (
        1_795_352_400_125,
        1_795_352_412_625,
        12_500,
    )


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS.keys())
def test_the_policy_of_any_event(event: Event) -> None:
    assert policy_of(event) == PolicyFacts(POLICY.name, POLICY.digest)


def test_a_time_that_is_none_breaks_nothing() -> None:
    shown = made(decided(at=Instant(float("nan")), gate_seconds=float("inf")))
    assert (shown["duration"], shown["unmapped"]["gate_ms"]) == (1_000_000_000_000, None)


@pytest.mark.parametrize("char", ["𝄞", '"', "\\", "\x00", "\ud800", "\u2028"])
def test_the_longest_record_keeps_the_bound(char: str) -> None:
    long = char * 3_000
    many = tuple(f"{long}{number}" for number in range(40))
    certificate = replace(CERTIFICATE, subject=long, issuer=long, serial=long, fingerprint=long, san_uri=many)
    tls = Tls(long, long, long, long, certificate)
    changes: dict[str, Any] = {
        "peer": replace(PEER, tls=tls, listener=long, connection_id=long),
        "head": HEAD._replace(path=long, host=long, method=long, version=long),
        "route": replace(ROUTE, name=long, switched_off=tuple(SwitchedOff(text, text) for text in many)),
        "partner": Partner(long),
        "claims": replace(CLAIMS, subject=long, token_id=long),
        "signature": SIGNATURE._replace(key_id=long),
        "passed": list(many),
        "policy": replace(IN_FORCE, name=long, digest=long, issuers={"operator": replace(ISSUER, issuer=long)}),
    }
    events: list[Event] = [
        decided(denied(Reason.TARGET_INVALID, long, long, **changes), request_id=long, unread=long),
        replace(EVENTS["start"], listeners=many, warnings=many),
        replace(EVENTS["policy.refused"], problems=many),
        replace(EVENTS["policy.loaded"], warnings=many),
    ]
    sizes = [len(line(event, 10**12, "origin")) for event in events]
    assert max(sizes) <= MAX_LINE + 1
    assert min(sizes) > 1024
