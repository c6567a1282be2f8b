import hashlib
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import orjson
import pytest

from gateway.audit import record
from gateway.audit.events import Event, PolicyFacts
from gateway.audit.ocsf import UNKNOWN, Kind
from gateway.audit.record import MAX_LINE, line, policy_of
from gateway.core.message import Instant, RequestHead, Tls
from gateway.core.policy import Partner, SwitchedOff
from gateway.core.reasons import Reason
from tests.unit.audit.examples import (
    CERTIFICATE,
    CLAIMS,
    CONNECTION_ID,
    DENIED,
    EVENTS,
    HEAD,
    IN_FORCE,
    ISSUER,
    PASSED,
    PEER,
    POLICY,
    REQUEST_ID,
    ROUTE,
    SECRETS,
    SIGNATURE,
    TLS,
    UNREAD,
    allowed,
    decided,
    denied,
    finished,
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


# Decisions


def test_an_allow() -> None:
    shown = made(decided())
    facts = {name: shown[name] for name in ("action_id", "status_id", "status_code", "activity_id", "severity_id")}
    assert facts == {"action_id": 1, "status_id": 1, "status_code": "allowed", "activity_id": 1, "severity_id": 1}
    assert shown["authorizations"] == [{"decision": "allowed", "policy": {"name": "deposit", "type": "route"}}]
    assert "http_response" not in shown


def test_a_denial() -> None:
    shown = made(DENIED)
    facts = {name: shown[name] for name in ("action_id", "status_id", "status_code", "status_detail", "message")}
    assert facts == {
        "action_id": 2,
        "status_id": 2,
        "status_code": "token.expired",
        "status_detail": "expired 65 s ago",
        "message": "Access token expired",
    }
    assert shown["authorizations"][0]["decision"] == "denied"
    assert shown["http_response"] == {"code": 401}
    assert shown["unmapped"]["denied_by"] == "token"
    assert shown["unmapped"]["controls_passed"] == ["mutual_tls", "ip_allowlist"]


def test_who_called() -> None:
    assert made(decided())["actor"] == {
        "app_uid": "acme-casino",
        "user": {"uid": "acme-backend"},
        "idp": {"name": "operator", "issuer": "https://idp.operator.example"},
    }


def test_who_called_is_said_to_be_unknown_where_nothing_was_verified() -> None:
    assert made(decided(allowed(partner=None, claims=None)))["actor"] == {"app_name": UNKNOWN}


def test_the_token_that_was_verified() -> None:
    assert made(decided())["api"] == {
        "operation": "deposit",
        "service": {"name": "psp"},
        "token": {
            "type": "access token",
            "type_id": 99,
            "created_time": 1_795_352_340_000,
            "expiration_time": 1_795_352_640_000,
            "uid": "t-81",
        },
    }


def test_a_token_without_an_id() -> None:
    shown = made(decided(allowed(claims=replace(allowed().exchange.claims, token_id=None))))
    assert "uid" not in shown["api"]["token"]


def test_the_signature_that_was_verified() -> None:
    unmapped = made(decided())["unmapped"]
    assert (unmapped["key_id"], unmapped["signed_at"]) == ("acme-2026-11", 1_795_352_399_000)
    assert unmapped["nonce_sha256"] == hashlib.sha256(SECRETS[2].encode()).hexdigest()


def test_a_signature_without_time_and_nonce() -> None:
    signature = replace(allowed().exchange.signature, created=None, nonce=None)
    unmapped = made(decided(allowed(signature=signature)))["unmapped"]
    assert {"signed_at", "nonce_sha256"} & unmapped.keys() == set()


def test_the_request() -> None:
    shown = made(decided())
    assert shown["http_request"] == {
        "uid": REQUEST_ID,
        "http_method": "POST",
        "version": "1.1",
        "url": {"scheme": "https", "hostname": "api.psp.example", "path": "/v1/deposits"},
        "body_length": 4,
    }
    assert shown["unmapped"]["query_bytes"] == len("dry_run=QUERYVALUE")


def test_the_policy_and_the_chain() -> None:
    shown = made(decided())
    assert shown["policy"] == {"name": POLICY.name, "uid": POLICY.digest}
    assert shown["unmapped"]["controls_passed"] == list(PASSED)
    assert shown["unmapped"]["controls_off"] == [{"control": "rate_limit", "because": "the PSP limits on its own"}]


@pytest.mark.parametrize(
    ("head", "body", "length", "known"),
    [
        (replace(HEAD, has_body=False, content_length=None), None, 0, "none"),
        (HEAD, b"{ok}", 4, "read"),
        (HEAD, None, 4, "declared"),
        (replace(HEAD, content_length=None), None, None, "unknown"),
        (replace(HEAD, content_length=4_111_111_111_111_111), None, None, "declared"),
    ],
)
def test_whether_the_body_length_is_known(
    head: RequestHead, body: bytes | None, length: int | None, known: str
) -> None:
    shown = made(decided(allowed(head=head, body=body)))
    assert (shown["http_request"].get("body_length"), shown["unmapped"]["body"]) == (length, known)


@pytest.mark.parametrize(
    ("method", "activity"), [("GET", 2), ("HEAD", 2), ("POST", 1), ("PUT", 3), ("PATCH", 3), ("DELETE", 4)]
)
def test_the_activity_is_the_methods(method: str, activity: int) -> None:
    shown = made(decided(allowed(head=replace(HEAD, method=method))))
    assert (shown["activity_id"], shown["type_uid"]) == (activity, 600_300 + activity)


def test_the_client_is_the_peer() -> None:
    assert made(decided())["src_endpoint"] == {"ip": "198.51.100.7", "port": 50_123}


def test_the_client_behind_a_proxy_stands_before_it() -> None:
    shown = made(decided(allowed(client_address=ip_address("2001:db8::7"))))
    assert shown["src_endpoint"] == {"ip": "2001:db8::7", "proxy_endpoint": {"ip": "198.51.100.7", "port": 50_123}}


def test_the_connection() -> None:
    shown = made(decided())
    assert shown["dst_endpoint"] == {"svc_name": "public"}
    assert shown["unmapped"]["connection_id"] == CONNECTION_ID
    assert shown["unmapped"]["tls"]["version"] == "TLSv1.3"


def test_a_request_without_tls_has_no_tls_facts() -> None:
    assert "tls" not in made(decided(allowed(peer=replace(PEER, tls=None))))["unmapped"]


def test_times_taken() -> None:
    shown = made(decided(gate_seconds=0.0031))
    assert (shown["duration"], shown["unmapped"]["gate_ms"]) == (3, 3.1)


def test_a_head_that_could_not_be_read() -> None:
    shown = made(UNREAD)
    assert "http_request" not in shown
    assert (shown["activity_id"], shown["api"]["operation"]) == (0, UNKNOWN)
    assert shown["unmapped"]["unread"] == "POST '/v1/deposits?…'"
    assert shown["http_response"] == {"code": 400}


def test_a_query_in_a_diagnosis_is_left_out() -> None:
    shown = made(decided(denied(Reason.TARGET_INVALID, "target '/a?token=s3cret' is not in origin form")))
    assert shown["status_detail"] == "target '/a?…' is not in origin form"


def test_the_partner_of_a_denial_is_told_where_it_was_verified() -> None:
    shown = made(decided(denied(Reason.PARTNER_NOT_ALLOWED, "", "mutual_tls", partner=Partner("blue-bingo"))))
    assert shown["actor"]["app_uid"] == "blue-bingo"


# Outcomes


def test_an_outcome() -> None:
    shown = made(finished())
    assert shown["http_response"] == {"code": 201, "body_length": 118, "latency": 41}
    assert (shown["duration"], shown["unmapped"]["gate_ms"], shown["unmapped"]["upstream_ms"]) == (45, 4.2, 41.0)
    assert (shown["action_id"], shown["status_id"], shown["status_code"]) == (1, 1, "allowed")


def test_an_outcome_says_what_went_wrong_after_the_allow() -> None:
    shown = made(finished(reason=Reason.UPSTREAM_UNREACHABLE, detail="refused", status=502, upstream_seconds=None))
    facts = {name: shown[name] for name in ("action_id", "disposition_id", "status_id", "status_code", "status_detail")}
    assert facts == {
        "action_id": 1,
        "disposition_id": 27,
        "status_id": 2,
        "status_code": "upstream.unreachable",
        "status_detail": "refused",
    }
    assert "upstream_ms" not in shown["unmapped"]


def test_an_outcome_without_an_answer() -> None:
    assert "http_response" not in made(finished(reason=Reason.CLIENT_CLOSED, status=None))


# The others


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
        "head": replace(HEAD, path=long, host=long, method=long, version=long),
        "route": replace(ROUTE, name=long, switched_off=tuple(SwitchedOff(text, text) for text in many)),
        "partner": Partner(long),
        "claims": replace(CLAIMS, subject=long, token_id=long),
        "signature": replace(SIGNATURE, key_id=long),
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
