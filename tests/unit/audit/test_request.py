import hashlib
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import orjson
import pytest

from gateway.audit import request
from gateway.audit.events import Event
from gateway.audit.ocsf import UNKNOWN
from gateway.audit.record import line
from gateway.core.message import RequestHead
from gateway.core.policy import Partner, SwitchedOff
from gateway.core.reasons import Reason
from tests.unit.audit.examples import (
    CONNECTION_ID,
    DENIED,
    HEAD,
    PASSED,
    PEER,
    POLICY,
    REQUEST_ID,
    ROUTE,
    SECRETS,
    UNREAD,
    allowed,
    answered_before,
    decided,
    denied,
    finished,
)


def made(event: Event) -> dict[str, Any]:
    shown: dict[str, Any] = orjson.loads(line(event, 7, "origin"))
    return shown


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


def test_an_answer_that_was_given_before() -> None:
    shown = made(answered_before())
    assert (shown["action_id"], shown["status_id"], shown["severity_id"]) == (3, 1, 1)
    assert shown["authorizations"][0]["decision"] == "answered as before"
    assert shown["http_response"] == {"code": 201}
    assert shown["unmapped"]["answered_by"] == "idempotency"
    assert shown["unmapped"]["idempotency_key_sha256"] == hashlib.sha256(b"op-1").hexdigest()
    assert shown["unmapped"]["marks"] == ["velocity.day"]


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
    signature = allowed().exchange.signature._replace(created=None, nonce=None)
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
        (HEAD._replace(has_body=False, content_length=None), None, 0, "none"),
        (HEAD, b"{ok}", 4, "read"),
        (HEAD, None, 4, "declared"),
        (HEAD._replace(content_length=None), None, None, "unknown"),
        (HEAD._replace(content_length=4_111_111_111_111_111), None, None, "declared"),
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
    shown = made(decided(allowed(head=HEAD._replace(method=method))))
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


# What is remembered


def test_an_object_in_the_place_of_another_is_not_taken_for_it() -> None:
    for number in range(100):  # each is made where the one before it was
        event = decided(allowed(route=replace(ROUTE, switched_off=(SwitchedOff("token", f"reason {number}"),))))
        assert made(event)["unmapped"]["controls_off"] == [{"control": "token", "because": f"reason {number}"}]
        del event


def test_a_connection_in_the_place_of_another_is_not_taken_for_it() -> None:
    for number in range(100):
        event = decided(allowed(peer=replace(PEER, port=number)))
        assert made(event)["src_endpoint"]["port"] == number
        del event


def test_what_is_remembered_is_bounded() -> None:
    for number in range(5_000):
        line(decided(allowed(peer=replace(PEER), head=HEAD._replace(path=f"/v1/players/{number}"))), 1, "origin")
    assert max(len(request._CALLERS), len(request._TARGETS)) <= 4_096


@pytest.mark.parametrize("path", ["/v1/cards/4111111111111111", "/v1/eyJhbGciOiJFUzI1NiJ9.eyJzIjoxfQ.c2ln", "/" * 400])
def test_a_path_that_may_be_secret_or_is_long_is_not_remembered(path: str) -> None:
    line(decided(allowed(head=HEAD._replace(path=path))), 1, "origin")
    assert [target for target in request._TARGETS if path in target] == []


def test_the_outcome_says_of_the_request_what_its_decision_said() -> None:
    decision = allowed()
    first, second = made(decided(decision)), made(finished(decision=decision))
    same = first.keys() & second.keys() - {"time", "metadata", "unmapped", "duration", "http_response"}
    assert {name: first[name] for name in same} == {name: second[name] for name in same}
    assert first["unmapped"] | {"gate_ms": 4.2, "upstream_ms": 41.0} == second["unmapped"]


def test_an_outcome_without_its_decision_is_whole() -> None:
    decision = allowed()
    line(decided(decision), 1, "origin")
    assert line(finished(decision=decision), 2, "origin") == line(finished(), 2, "origin")
