"""The bill of materials, held against the official schema."""

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from gateway.core.message import Instant
from gateway.pki.cbom import Bom, Occurrence
from gateway.pki.keys import key_facts
from tests.unit.pki.odd import LEAF_KEY, NOW, leaf

HERE = Occurrence("policy.yaml", 7, "listener.tls.certificate", "listener main: presented")
THERE = Occurrence("policy.yaml", 9, "upstreams.psp.client.certificate", "upstream psp: presented")


def components(bom: Bom) -> dict[str, dict[str, Any]]:
    """The components by their reference, once the document is valid."""
    text = json.dumps(bom.document({"name": "psp", "version": "c0ffee"}, "0.1.0", NOW))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    return {component["bom-ref"]: component for component in json.loads(text)["components"]}


def test_a_certificate_leads_to_its_key_and_algorithms() -> None:
    bom = Bom()
    assert bom.certificate(leaf(), "ab" * 32, "CN=leaf", HERE) == f"certificate:{'ab' * 32}"
    found = components(bom)
    said = found[f"certificate:{'ab' * 32}"]["cryptoProperties"]["certificateProperties"]
    assert (said["subjectName"], said["issuerName"]) == ("CN=leaf", "CN=CA")
    assert said["notValidAfter"] == "2026-11-23T13:00:00Z"
    assert found[said["signatureAlgorithmRef"]]["cryptoProperties"]["oid"] == "1.2.840.10045.4.3.2"
    key = found[said["subjectPublicKeyRef"]]["cryptoProperties"]["relatedCryptoMaterialProperties"]
    assert (key["type"], key["size"]) == ("public-key", 256)
    assert found[key["algorithmRef"]]["name"] == "EC P-256"


@pytest.mark.parametrize(("ends", "state"), [(60.0, "active"), (-60.0, "deactivated")])
def test_a_revocation_list(ends: float, state: str) -> None:
    bom = Bom()
    span = Instant(NOW - 3_600), Instant(NOW + ends)
    bom.revocation_list("revocation list of CN=CA", "cd" * 32, "ecdsa-with-sha256", span, 100_000, NOW, HERE)
    found = components(bom)[f"revocation-list:{'cd' * 32}"]
    material = found["cryptoProperties"]["relatedCryptoMaterialProperties"]
    assert (material["type"], material["state"]) == ("other", state)
    assert (material["creationDate"], material["algorithmRef"]) == (
        "2026-11-22T12:00:00Z", "algorithm:ecdsa-with-sha256",
    )  # fmt: skip
    assert {"name": "gateway:entries", "value": "100000"} in found["properties"]


def test_what_is_used_twice_is_one_component_with_two_places() -> None:
    bom = Bom()
    for where in (HERE, THERE, HERE):
        bom.certificate(leaf(), "ab" * 32, "CN=leaf", where)
    occurrences = components(bom)[f"certificate:{'ab' * 32}"]["evidence"]["occurrences"]
    assert [one["line"] for one in occurrences] == [7, 9]
    assert occurrences[0]["additionalContext"] == "listener main: presented"


def test_a_token_key_has_its_algorithms() -> None:
    bom = Bom()
    facts = key_facts(LEAF_KEY.public_key())
    found = components(bom)
    assert found == {}
    reference = bom.public_key(facts, "kid-1", HERE, ["ES256"])
    found = components(bom)
    assert found[reference]["cryptoProperties"]["relatedCryptoMaterialProperties"]["algorithmRef"] == "algorithm:ES256"
    assert {"name": "gateway:public_key", "value": facts.fingerprint} in found[reference]["properties"]


@pytest.mark.parametrize(
    ("span", "state"),
    [
        ((None, None), "active"),
        ((Instant(NOW + 60), Instant(NOW + 120)), "pre-activation"),
        ((None, Instant(NOW)), "deactivated"),
    ],
)
@pytest.mark.parametrize(("algorithm", "kind"), [("hmac-sha256", "secret-key"), ("ed25519", "public-key")])
def test_a_signing_key(span: tuple[Instant | None, Instant | None], state: str, algorithm: str, kind: str) -> None:
    bom = Bom()
    reference = bom.signing_key("acme-1", algorithm, span, NOW, HERE)
    said = components(bom)[reference]["cryptoProperties"]["relatedCryptoMaterialProperties"]
    assert (said["type"], said["state"], said["id"]) == (kind, state, "acme-1")
    assert ("expirationDate" in said, "activationDate" in said) == (span[1] is not None, span[0] is not None)
    assert "value" not in said


def test_a_pin() -> None:
    bom = Bom()
    reference = bom.pinned("fingerprint", "ab" * 32, HERE)
    assert components(bom)[reference]["cryptoProperties"]["relatedCryptoMaterialProperties"]["type"] == "digest"


def test_tls_with_its_suites() -> None:
    bom = Bom()
    certificate = bom.certificate(leaf(), "ab" * 32, "CN=leaf", HERE)
    reference = bom.tls("1.3", [("TLS_AES_128_GCM_SHA256", 0x1301)], HERE, [certificate, certificate])
    said = components(bom)[reference]["cryptoProperties"]["protocolProperties"]
    assert (said["type"], said["version"], said["cryptoRefArray"]) == ("tls", "1.3", [certificate])
    assert said["cipherSuites"] == [{"name": "TLS_AES_128_GCM_SHA256", "identifiers": ["0x13", "0x01"]}]


def test_the_same_policy_at_the_same_time_gives_the_same_document() -> None:
    first, second = (Bom().document({"name": "psp", "version": "c0ffee"}, "0.1.0", NOW) for _ in range(2))
    assert first == second
