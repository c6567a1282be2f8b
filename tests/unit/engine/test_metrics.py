from dataclasses import replace
from typing import Any

import pytest

from gateway.audit.events import ConnectionCut, ConnectionRefused, ControlFailed, RequestDecided, RequestFinished
from gateway.core.message import Instant
from gateway.core.policy import Revocation
from gateway.core.reasons import Reason
from gateway.core.stores import EmbeddedSettings, StateSettings
from gateway.engine.metrics import BOUNDS, Metrics, Times
from gateway.engine.revocation import RevocationCheck
from gateway.pki.crl import RevocationList
from gateway.policy.inventory import Material, Owner, Pin, Role
from gateway.policy.nodes import Place, Trail
from gateway.state.fallback import Fallback
from gateway.state.valkey.store import ValkeyState
from tests import world
from tests.crls import DAY, crl, der
from tests.engine.harness import until
from tests.unit.engine.gates import Made
from tests.unit.engine.test_revocation import ROOT
from tests.valkey import serving
from tests.world import NOW, World

ADDRESS = world.ADDRESS


@pytest.fixture
def made() -> Made:
    return Made()


def lines(metrics: Metrics, **connections: int) -> list[str]:
    return [line for line in metrics.text(connections).decode().splitlines() if not line.startswith("#")]


def decided(**changes: Any) -> RequestDecided:
    return RequestDecided(NOW, "r-1", World(**changes).decide(), 0.002, None)


def test_requests_are_counted_by_reason_route_and_partner(made: Made) -> None:
    metrics = Metrics(made.gate)
    for event in (decided(), decided(), decided(method=b"GET")):
        metrics.count(event, True)
    said = lines(metrics)
    assert 'gateway_requests_total{partner="acme-casino",reason="allowed",route="deposit"} 2.0' in said
    assert 'gateway_requests_total{partner="(none)",reason="route.method",route="(none)"} 1.0' in said
    assert 'gateway_decision_seconds_bucket{le="0.0025"} 3.0' in said
    assert 'gateway_decision_seconds_bucket{le="0.001"} 0.0' in said
    assert "gateway_decision_seconds_count 3.0" in said


def test_outcomes_are_counted_and_the_upstreams_time(made: Made) -> None:
    metrics, decision = Metrics(made.gate), World().decide()
    for upstream in (0.3, None):
        metrics.count(RequestFinished(NOW, "r", decision, Reason.UPSTREAM_TIMEOUT, "", 504, 0.1, upstream, 0), True)
    said = lines(metrics)
    assert 'gateway_outcomes_total{partner="acme-casino",reason="upstream.timeout",route="deposit"} 2.0' in said
    assert 'gateway_upstream_seconds_bucket{le="0.5",upstream="psp"} 1.0' in said
    assert 'gateway_upstream_seconds_bucket{le="0.25",upstream="psp"} 0.0' in said
    assert 'gateway_upstream_seconds_sum{upstream="psp"} 0.3' in said


def test_connections_and_failures_are_counted(made: Made) -> None:
    metrics, facts = Metrics(made.gate), made.gate.in_force.facts
    refused = (NOW, facts, "c-1", "public", ADDRESS, 1, Reason.TLS_VERSION, "")
    cut = (NOW, facts, "c-1", "public", ADDRESS, 1, Reason.CERTIFICATE_REVOKED, "")
    for event in (ConnectionRefused(*refused), ConnectionCut(*cut), ControlFailed(NOW, facts, "state", "down")):
        metrics.count(event, True)
    made.gate.health.failed("state", "down", NOW, facts)
    said = lines(metrics, public=7)
    assert 'gateway_connections_refused_total{listener="public",reason="tls.version"} 1.0' in said
    assert 'gateway_connections_cut_total{listener="public",reason="certificate.revoked"} 1.0' in said
    assert 'gateway_control_failures_total{control="state"} 1.0' in said
    assert 'gateway_control_failing{control="state"} 1.0' in said
    assert 'gateway_connections{listener="public"} 7.0' in said
    assert "gateway_requests_open 0.0" in said
    assert "gateway_audit_unpublished 1.0" in said


def test_what_is_not_in_the_log_is_counted_as_lost_only(made: Made) -> None:
    metrics = Metrics(made.gate)
    metrics.count(decided(), False)
    said = lines(metrics)
    assert "gateway_audit_lost_total 1.0" in said
    assert not any(line.startswith("gateway_requests_total") for line in said)


def test_ends_of_keys_certificates_and_lists_are_told(made: Made) -> None:
    metrics, place = Metrics(made.gate), Place("p.yaml", 1, 1)  # type: ignore[arg-type]
    certificate = ROOT.credential.certificate
    metrics.adopt((
        Material(Owner("listener", "public"), Role.AUTHORITY, certificate, place, Trail()),
        Material(Owner("partner", "acme"), Role.PINNED, Pin("public_key", "ab" * 32), place, Trail()),
    ))  # fmt: skip
    check = RevocationCheck(Revocation(), [RevocationList(der(crl(ROOT)))])
    made.gate.in_force = replace(made.gate.in_force, revocation={"public": check})
    said = lines(metrics)
    ends = float(certificate.not_valid_after_utc.timestamp())
    name = 'owner="listener public",role="trusted CA",what="certificate CN=Partners CA"'
    assert f"gateway_material_end_timestamp_seconds{{{name}}} {ends:.7g}".split("}")[0] in {
        line.split("}")[0] for line in said
    }
    assert any(
        line.startswith('gateway_revocation_list_end_timestamp_seconds{issuer="CN=Partners CA"}') for line in said
    )
    assert len([line for line in said if line.startswith("gateway_material_end")]) == 1
    assert f'gateway_policy_info{{digest="{"0" * 64}",name="psp"}} 1.0' in said
    assert check.ends["CN=Partners CA"] == NOW + DAY


def test_a_fault_in_counting_stops_nobody(made: Made, caplog: pytest.LogCaptureFixture) -> None:
    Metrics(made.gate).count(RequestDecided(Instant(0.0), "r", None, 0.0, None), True)  # type: ignore[arg-type]
    assert "metrics" in caplog.text


def test_times_go_into_the_first_bucket_that_holds_them() -> None:
    times = Times()
    for seconds in (0.0, 0.001, 0.0011, 31.0):
        times.add(seconds)
    counts = dict(times.cumulative())
    assert (counts["0.001"], counts["0.0025"], counts["30.0"], counts["+Inf"]) == (2, 3, 3, 4)
    assert len(counts) == len(BOUNDS) + 1


async def test_the_servers_of_a_store_tell_how_they_have_served(made: Made) -> None:
    with serving() as server:
        settings = StateSettings(store=EmbeddedSettings(timeout=5.0))
        store = ValkeyState("psp", settings, None, lambda: NOW, at=server.address)
        made.gate.state = Fallback(store, settings, None)
        name = f'server="{server.address}"'
        metrics = Metrics(made.gate)
        await store.start(20.0)
        said = lines(metrics)
        for line in (
            f"gateway_state_up{{{name}}} 1.0",
            f"gateway_state_outages_total{{{name}}} 0.0",
            f"gateway_state_outage_seconds_total{{{name}}} 0.0",
            f'gateway_state_failures_total{{kind="timeout",{name}}} 0.0',
            "gateway_state_memory_losses_total 1.0",  # an empty store of one's own may have been another
        ):
            assert line in said
        server.kill()
        (node,) = store.places.nodes
        await until(lambda: node.circuit.open)
        said = lines(metrics)
        assert f"gateway_state_up{{{name}}} 0.0" in said
        assert f"gateway_state_outages_total{{{name}}} 1.0" in said
        assert f'gateway_state_failures_total{{kind="connection",{name}}} 0.0' not in said
        await store.stop()


def test_a_gate_without_a_store_tells_nothing_of_one(made: Made) -> None:
    assert not [line for line in lines(Metrics(made.gate)) if line.startswith("gateway_state_")]
