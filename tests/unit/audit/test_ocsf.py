import orjson
import pytest

from gateway.audit.ocsf import DISPOSITION, SEVERITY, Kind, envelope, milliseconds, tls_fragment, tls_object
from gateway.core.message import Instant
from gateway.core.reasons import Reason
from tests.unit.audit.examples import CERTIFICATE, NOW, POLICY, TLS
from tests.unit.audit.schema import faults, object_schema


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (0.0, 0),
        (1_795_352_400.125, 1_795_352_400_125),
        (1e300, 253_402_300_799_000),
        (-1e300, -62_135_596_800_000),
        (float("inf"), 253_402_300_799_000),
    ],
)
def test_any_instant_has_its_milliseconds(at: float, expected: int) -> None:
    assert milliseconds(Instant(at)) == expected


def test_milliseconds_survive_the_way_there_and_back() -> None:
    assert all(milliseconds(Instant(time / 1000)) == time for time in range(1_795_352_400_000, 1_795_352_401_000))


@pytest.mark.parametrize("kind", Kind)
def test_the_type_is_class_and_activity(kind: Kind) -> None:
    made = envelope(kind, NOW, POLICY, 1)
    assert made["type_uid"] == made["class_uid"] * 100 + made["activity_id"]


def test_the_kinds_have_codes_of_their_own() -> None:
    assert len({kind.code for kind in Kind}) == len(Kind)


def test_the_fragment_is_the_object() -> None:
    assert orjson.loads(orjson.dumps(tls_fragment(TLS))) == tls_object(TLS)


def test_tls_fits_the_schema() -> None:
    assert list(faults(tls_object(TLS), object_schema("tls"))) == []


def test_a_connection_without_certificate_and_name_has_neither() -> None:
    bare = type(TLS)("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", None, None, None)
    assert tls_object(bare) == {"version": "TLSv1.2", "cipher": "ECDHE-RSA-AES128-GCM-SHA256"}


def test_the_certificate_stands_with_what_identifies_it() -> None:
    assert tls_object(TLS)["certificate"] == {
        "subject": CERTIFICATE.subject,
        "issuer": CERTIFICATE.issuer,
        "serial_number": CERTIFICATE.serial,
        "fingerprints": [{"algorithm": "SHA-256", "algorithm_id": 3, "value": CERTIFICATE.fingerprint}],
        "created_time": 1_794_000_000_000,
        "expiration_time": 1_801_776_000_000,
        "sans": [{"type": "URI", "name": "spiffe://acme.example/casino"}],
    }


@pytest.mark.parametrize(
    ("reason", "severity", "disposition"),
    [
        (Reason.ALLOWED, 1, 1),
        (Reason.DRAINING, 1, 27),
        (Reason.ROUTE_UNKNOWN, 2, 2),
        (Reason.RATE_EXCEEDED, 2, 2),
        (Reason.TOKEN_EXPIRED, 2, 26),
        (Reason.ADDRESS_NOT_ALLOWED, 2, 26),
        (Reason.MESSAGE_MALFORMED, 2, 25),
        (Reason.SIGNATURE_MISMATCH, 3, 26),
        (Reason.REPLAY_SEEN, 3, 2),
        (Reason.UPSTREAM_TIMEOUT, 3, 27),
        (Reason.CONTROL_FAILED, 4, 27),
        (Reason.TOKEN_KEYS_UNAVAILABLE, 4, 27),
    ],
)
def test_severity_and_disposition(reason: Reason, severity: int, disposition: int) -> None:
    assert (SEVERITY[reason], DISPOSITION[reason]) == (severity, disposition)
