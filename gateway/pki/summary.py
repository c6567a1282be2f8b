"""What a certificate, request, revocation list or key says, in plain values: for people and for programs."""

from collections.abc import Mapping
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier, SignatureAlgorithmOID

from gateway.core.message import Instant
from gateway.pki.contents import FoundKey, Item, Unreadable
from gateway.pki.crl import RevocationList
from gateway.pki.inspect import certificate_facts
from gateway.pki.keys import KeyFacts, subject_key_facts
from gateway.pki.objections import Use, extension, objections

type Summary = Mapping[str, object]
"""`kind`, `objections`, and what is known of it: texts, whole numbers and lists of texts."""

_SIGNATURES = {
    oid: name.strip("_").lower().replace("_", "-")
    for name, oid in vars(SignatureAlgorithmOID).items()
    if isinstance(oid, ObjectIdentifier)
}
_USAGES = {
    "digital_signature": "digitalSignature",
    "content_commitment": "nonRepudiation",
    "key_encipherment": "keyEncipherment",
    "data_encipherment": "dataEncipherment",
    "key_agreement": "keyAgreement",
    "key_cert_sign": "keyCertSign",
    "crl_sign": "cRLSign",
}
_PURPOSES = {
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
    ExtendedKeyUsageOID.CODE_SIGNING: "codeSigning",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "emailProtection",
    ExtendedKeyUsageOID.TIME_STAMPING: "timeStamping",
    ExtendedKeyUsageOID.OCSP_SIGNING: "OCSPSigning",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "anyExtendedKeyUsage",
}
_KINDS: Mapping[type[x509.GeneralName], str] = {
    x509.DNSName: "DNS",
    x509.UniformResourceIdentifier: "URI",
    x509.IPAddress: "IP",
    x509.RFC822Name: "email",
}


def summarise(item: Item, now: Instant, use: Use | None = None) -> Summary:
    """Give what an item says; `use` is what a certificate is meant for, where that is known."""
    match item:
        case x509.Certificate():
            return _certificate(item, now, use)
        case x509.CertificateSigningRequest():
            return _request(item)
        case x509.CertificateRevocationList():
            return _revocations(item, now)
        case FoundKey():
            return _key(item)
        case Unreadable(what=what, why=why):
            return {"kind": "unreadable", "what": what, "objections": [why]}


def signature_name(oid: ObjectIdentifier) -> str:
    """Name a signature algorithm as OpenSSL does, in lower case; one that is not known by its number."""
    return _SIGNATURES.get(oid, oid.dotted_string)


def days_left(ends: datetime, now: Instant) -> int:
    """Give the whole days until then; negative once it has passed."""
    return int((ends.timestamp() - now) // 86_400)


def _certificate(certificate: x509.Certificate, now: Instant, use: Use | None) -> Summary:
    try:
        facts = certificate_facts(certificate.public_bytes(Encoding.DER))
    except ValueError as error:
        return {"kind": "certificate", "objections": [f"{error}: have it issued anew"]}
    ends = certificate.not_valid_after_utc
    constraints = extension(certificate, x509.BasicConstraints)
    return {
        "kind": "certificate",
        "subject": facts.subject,
        "issuer": facts.issuer,
        "serial": facts.serial,
        "not_before": moment(certificate.not_valid_before_utc),
        "not_after": moment(ends),
        "days_left": days_left(ends, now),
        "names": _names(certificate),
        "ca": constraints is not None and constraints.value.ca,
        "path_length": None if constraints is None else constraints.value.path_length,
        "key_usage": _usage(certificate),
        "extended_key_usage": _purposes(certificate),
        "key": str(subject_key_facts(certificate)),
        "signature": signature_name(certificate.signature_algorithm_oid),
        "fingerprint": facts.fingerprint,
        "public_key": facts.public_key_fingerprint,
        "objections": objections(certificate, now, use),
    }


def _request(request: x509.CertificateSigningRequest) -> Summary:
    facts = subject_key_facts(request)
    found = [facts.weakness] if facts.weakness is not None else []
    try:
        names, subject = _names(request), request.subject.rfc4514_string()
        if not request.is_signature_valid:
            found.append("its signature is not by its own key: have it made anew")
    except (ValueError, UnsupportedAlgorithm, InvalidSignature):
        return {"kind": "request", "objections": ["it cannot be read: have it made anew"]}
    return {
        "kind": "request",
        "subject": subject,
        "names": names,
        "key": str(facts),
        "signature": signature_name(request.signature_algorithm_oid),
        "public_key": facts.fingerprint,
        "objections": found,
    }


def _revocations(revocations: x509.CertificateRevocationList, now: Instant) -> Summary:
    found = []
    try:
        issuer, following = revocations.issuer.rfc4514_string(), revocations.next_update_utc
    except ValueError:
        return {"kind": "revocation list", "objections": ["it cannot be read: fetch it again"]}
    if following is None:
        found.append("it does not say when the next one comes (RFC 5280 5.1.2.5)")
    elif following.timestamp() < now:
        found.append(f"out of date since {following.date().isoformat()}: fetch the next one")
    if following is not None:
        try:
            RevocationList(revocations.public_bytes(Encoding.DER))
        except ValueError as error:
            found.append(f"{error}: the gate does not take it")
    return {
        "kind": "revocation list",
        "issuer": issuer,
        "this_update": moment(revocations.last_update_utc),
        "next_update": None if following is None else moment(following),
        "days_left": None if following is None else days_left(following, now),
        "revoked": len(revocations),
        "signature": signature_name(revocations.signature_algorithm_oid),
        "objections": found,
    }


def _key(found: FoundKey) -> Summary:
    kind = "private key" if found.private else "public key"
    if found.encrypted:
        return {
            "kind": kind,
            "encrypted": True,
            "objections": ["encrypted: the gate starts unattended, store the key without a passphrase"],
        }
    weakness = found.facts.weakness
    if found.facts == KeyFacts("unknown"):
        weakness = "of a kind that is not known here: use RSA, EC P-256 or Ed25519"
    return {
        "kind": kind,
        "key": str(found.facts),
        "public_key": found.facts.fingerprint,
        "objections": [] if weakness is None else [weakness],
    }


def moment(when: datetime) -> str:
    """Write a time as RFC 3339 has it, in UTC."""
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _names(holder: x509.Certificate | x509.CertificateSigningRequest) -> list[str]:
    found = extension(holder, x509.SubjectAlternativeName)
    return [] if found is None else [f"{_KINDS.get(type(name), 'other')}:{_text(name.value)}" for name in found.value]


def _text(value: object) -> str:
    match value:
        case x509.Name():
            return value.rfc4514_string()
        case ObjectIdentifier():
            return value.dotted_string
        case bytes():
            return value.hex()
    return str(value)


def _usage(certificate: x509.Certificate) -> list[str]:
    found = extension(certificate, x509.KeyUsage)
    return [] if found is None else [name for attribute, name in _USAGES.items() if getattr(found.value, attribute)]


def _purposes(certificate: x509.Certificate) -> list[str]:
    found = extension(certificate, x509.ExtendedKeyUsage)
    return [] if found is None else [_PURPOSES.get(oid, oid.dotted_string) for oid in found.value]
