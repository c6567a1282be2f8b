"""A cryptographic bill of materials: CycloneDX 1.6 (ECMA-424) as plain JSON values.

Written by hand rather than with a library: it is a dozen shapes, which the tests validate against the schema.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

from cryptography import x509

from gateway.core.message import Instant
from gateway.pki.keys import KeyFacts, subject_key_facts
from gateway.pki.objections import hash_name
from gateway.pki.summary import moment, signature_name

type Json = dict[str, object]

_BLOCK_BITS = 8


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Where in the policy something is used, and what for."""

    location: str
    line: int
    symbol: str
    use: str


class Bom:
    """Gathers components. What is used in several places is one component with several occurrences."""

    def __init__(self) -> None:
        self._components: dict[str, Json] = {}

    def certificate(self, certificate: x509.Certificate, fingerprint: str, subject: str, where: Occurrence) -> str:
        """Add a certificate with its key and algorithms; gives its reference."""
        facts = subject_key_facts(certificate)
        properties: Json = {
            "subjectName": subject,
            "issuerName": certificate.issuer.rfc4514_string(),
            "notValidBefore": moment(certificate.not_valid_before_utc),
            "notValidAfter": moment(certificate.not_valid_after_utc),
            "signatureAlgorithmRef": self._signature(certificate),
            "certificateFormat": "X.509",
        }
        if facts.fingerprint is not None:
            properties["subjectPublicKeyRef"] = self.public_key(facts, f"public key of {subject}", where)
        asset: Json = {"assetType": "certificate", "certificateProperties": properties}
        return self._add(f"certificate:{fingerprint}", subject, asset, where, {"fingerprint": fingerprint})

    def public_key(self, facts: KeyFacts, name: str, where: Occurrence, algorithms: Iterable[str] = ()) -> str:
        """Add a public key; `algorithms` are those that it verifies, by their names in JOSE or the policy."""
        known = [self.algorithm(each, "signature", ("verify",)) for each in sorted(algorithms)]
        family = self.algorithm(str(facts), "signature", ("verify",), str(facts.bits or ""), facts.curve)
        material: Json = {
            "type": "public-key",
            "id": facts.fingerprint or name,
            "state": "active",
            "algorithmRef": known[0] if len(known) == 1 else family,
        }
        if facts.bits is not None:
            material["size"] = facts.bits
        asset: Json = {"assetType": "related-crypto-material", "relatedCryptoMaterialProperties": material}
        extra = {"public_key": facts.fingerprint or "", "algorithms": " ".join(sorted(algorithms))}
        return self._add(f"key:{facts.fingerprint or name}", name, asset, where, extra)

    def pinned(self, kind: str, digest: str, where: Occurrence) -> str:
        """Add a certificate or public key of which only the SHA-256 is known."""
        material: Json = {
            "type": "digest",
            "id": digest,
            "state": "active",
            "algorithmRef": self.algorithm("SHA-256", "hash", ("digest",)),
        }
        asset: Json = {"assetType": "related-crypto-material", "relatedCryptoMaterialProperties": material}
        return self._add(f"pin:{kind}:{digest}", f"{kind} {digest}", asset, where)

    def signing_key(
        self,
        identifier: str,
        algorithm: str,
        span: tuple[Instant | None, Instant | None],
        now: Instant,
        where: Occurrence,
    ) -> str:
        """Add a partner's signing key: never its secret."""
        begins, ends = span
        symmetric = algorithm.startswith("hmac-")
        primitive, functions = ("mac", ("tag", "verify")) if symmetric else ("signature", ("verify",))
        state = "pre-activation" if begins is not None and begins > now else "active"
        material: Json = {
            "type": "secret-key" if symmetric else "public-key",
            "id": identifier,
            "state": "deactivated" if ends is not None and ends <= now else state,
            "algorithmRef": self.algorithm(algorithm, primitive, functions),
        }
        if begins is not None:
            material["activationDate"] = _dated(begins)
        if ends is not None:
            material["expirationDate"] = _dated(ends)
        asset: Json = {"assetType": "related-crypto-material", "relatedCryptoMaterialProperties": material}
        return self._add(f"signing-key:{identifier}", identifier, asset, where)

    def revocation_list(
        self, name: str, fingerprint: str, algorithm: str, span: tuple[Instant, Instant], entries: int, now: Instant,
        where: Occurrence,
    ) -> str:  # fmt: skip
        """Add a list of revoked certificates. CycloneDX has no type for it."""
        begins, ends = span
        material: Json = {
            "type": "other",
            "id": fingerprint,
            "state": "deactivated" if ends <= now else "active",
            "algorithmRef": self.algorithm(algorithm, "signature", ("verify",)),
            "creationDate": _dated(begins),
            "expirationDate": _dated(ends),
        }
        asset: Json = {"assetType": "related-crypto-material", "relatedCryptoMaterialProperties": material}
        extra = {"entries": str(entries), "fingerprint": fingerprint}
        return self._add(f"revocation-list:{fingerprint}", name, asset, where, extra)

    def tls(self, version: str, suites: Iterable[tuple[str, int]], where: Occurrence, refs: Iterable[str] = ()) -> str:
        """Add TLS of a version with its cipher suites, each by OpenSSL's name and IANA's number.

        `refs` are the certificates that it is used with.
        """
        listed = [
            {"name": name, "identifiers": [f"0x{number >> _BLOCK_BITS:02X}", f"0x{number & 0xFF:02X}"]}
            for name, number in suites
        ]
        properties: Json = {"type": "tls", "version": version, "cipherSuites": listed}
        if used := sorted(set(refs)):
            properties["cryptoRefArray"] = used
        asset: Json = {"assetType": "protocol", "protocolProperties": properties}
        return self._add(f"protocol:tls-{version}:{where.use}", f"TLS {version} of {where.use}", asset, where)

    def algorithm(
        self, name: str, primitive: str, functions: Iterable[str], parameters: str = "", curve: str | None = None
    ) -> str:
        """Add an algorithm."""
        properties: Json = {"primitive": primitive, "cryptoFunctions": list(functions)}
        if parameters:
            properties["parameterSetIdentifier"] = parameters
        if curve:
            properties["curve"] = curve
        return self._add(f"algorithm:{name}", name, {"assetType": "algorithm", "algorithmProperties": properties})

    def document(self, subject: Mapping[str, str], tool_version: str, now: Instant) -> Json:
        """Give the whole document about `subject`: its `name` and `version`."""
        written, version = _dated(now), subject["version"]
        return {
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, f'{version} {written}')}",
            "version": 1,
            "metadata": {
                "timestamp": written,
                "tools": {"components": [{"type": "application", "name": "gateway", "version": tool_version}]},
                "component": {"type": "application", "bom-ref": f"policy:{version}", **subject},
            },
            "components": [self._components[ref] for ref in sorted(self._components)],
            "dependencies": [{"ref": f"policy:{version}", "dependsOn": sorted(self._components)}],
        }

    def _signature(self, certificate: x509.Certificate) -> str:
        name, hashed = signature_name(certificate.signature_algorithm_oid), hash_name(certificate)
        reference = self.algorithm(name, "signature", ("sign", "verify"), hashed or "")
        asset = self._components[reference]["cryptoProperties"]
        assert isinstance(asset, dict)
        asset["oid"] = certificate.signature_algorithm_oid.dotted_string
        return reference

    def _add(
        self, ref: str, name: str, asset: Json, where: Occurrence | None = None, extra: Mapping[str, str] | None = None
    ) -> str:
        component = self._components.setdefault(
            ref, {"type": "cryptographic-asset", "bom-ref": ref, "name": name, "cryptoProperties": asset}
        )
        if extra and "properties" not in component:
            listed = [{"name": f"gateway:{key}", "value": value} for key, value in extra.items() if value]
            component["properties"] = listed
        if where is not None:
            evidence = component.setdefault("evidence", {"occurrences": []})
            assert isinstance(evidence, dict)
            found = {
                "location": where.location,
                "line": where.line,
                "symbol": where.symbol,
                "additionalContext": where.use,
            }
            if found not in evidence["occurrences"]:
                evidence["occurrences"].append(found)
        return ref


def _dated(when: Instant) -> str:
    return moment(datetime.fromtimestamp(when, UTC))
