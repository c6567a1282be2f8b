"""A policy's keys and certificates, and the TLS that the gate would speak with them, as a bill of materials."""

import ssl
from collections.abc import Iterable, Iterator
from importlib.metadata import version

from cryptography import x509

from gateway.core.message import Instant
from gateway.core.policy import Policy, SigningKey
from gateway.engine.tls import ServerContext
from gateway.engine.upstream_tls import UpstreamTls
from gateway.pki.cbom import Bom, Json, Occurrence
from gateway.pki.crl import RevocationList
from gateway.pki.keys import key_facts
from gateway.pki.summary import signature_name, summarise
from gateway.policy import Loaded
from gateway.policy.inventory import Material, Owner, Pin, SystemAuthorities
from gateway.signing.jwks import VerificationKey


def bill(loaded: Loaded, now: Instant) -> Json:
    """Give the CycloneDX document. Raises OSError (ssl.SSLError too) where OpenSSL does not take the files."""
    bom = Bom()
    used: dict[Owner, list[str]] = {}
    for one in loaded.material:
        reference = _component(bom, one, now)
        if reference is not None:
            used.setdefault(one.owner, []).append(reference)
    places = {one.owner: one.place for one in reversed(loaded.material)}
    for owner, context in _contexts(loaded.policy):
        place = places[owner]
        where = Occurrence(str(place.file), place.line, str(owner), str(owner))
        for name, suites in _suites(context):
            bom.tls(name, suites, where, used.get(owner, ()))
    subject = {"name": loaded.policy.name, "version": loaded.policy.digest}
    return bom.document(subject, version("gateway"), now)


def _component(bom: Bom, one: Material, now: Instant) -> str | None:
    where = Occurrence(str(one.place.file), one.place.line, str(one.trail), f"{one.owner}: {one.role.value}")
    match one.what:
        case x509.Certificate():
            said = summarise(one.what, now)
            subject = str(said.get("subject") or one.label)
            return bom.certificate(one.what, str(said.get("fingerprint", one.label)), subject, where)
        case VerificationKey(kid=kid, algorithms=algorithms, public=public):
            return bom.public_key(key_facts(public), kid, where, algorithms)
        case SigningKey(id=identifier, algorithm=algorithm):
            return bom.signing_key(identifier, algorithm, (one.not_before, one.not_after), now, where)
        case Pin(kind=kind, digest=digest):
            return bom.pinned(kind, digest, where)
        case RevocationList(fingerprint=fingerprint, algorithm=algorithm, this_update=begins, next_update=ends):
            name = signature_name(algorithm)
            return bom.revocation_list(one.label, fingerprint.hex(), name, (begins, ends), len(one.what), now, where)
        case SystemAuthorities():
            return None


def _contexts(policy: Policy) -> Iterator[tuple[Owner, ssl.SSLContext]]:
    """Give the TLS contexts that the gate would serve and call with: what they take is what OpenSSL says they take."""
    for name, listener in policy.listeners.items():
        yield Owner("listener", name), ServerContext(listener.tls).context
    towards = UpstreamTls(policy.upstreams)
    for name, upstream in policy.upstreams.items():
        context = towards.context(upstream)
        if context is not None:
            yield Owner("upstream", name), context


def _suites(context: ssl.SSLContext) -> Iterable[tuple[str, list[tuple[str, int]]]]:
    """Give the versions of a context, and the cipher suites of each."""
    found: dict[str, list[tuple[str, int]]] = {"1.2": [], "1.3": []}
    for cipher in context.get_ciphers():
        suite = (cipher["name"], cipher["id"] & 0xFFFF)
        found["1.3" if cipher["protocol"] == "TLSv1.3" else "1.2"].append(suite)
    if context.minimum_version >= ssl.TLSVersion.TLSv1_3:
        del found["1.2"]
    return found.items()
