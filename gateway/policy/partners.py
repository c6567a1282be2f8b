"""The section `partners`: who calls, and how they are recognised."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise

from cryptography.x509 import Name
from cryptography.x509.oid import NameOID

from gateway.core.certificates import CertificateMatch
from gateway.core.issuer import Issuer
from gateway.core.networks import NetworkSet
from gateway.core.policy import Partner
from gateway.policy.document import Definition
from gateway.policy.inventory import Pin, Role
from gateway.policy.nodes import MappingNode, Node, SequenceNode
from gateway.policy.partner_rates import OwnLimits, read_own_limits
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader
from gateway.policy.references import authority_keys
from gateway.policy.signing_keys import SigningKeyReader
from gateway.policy.tables import Table
from gateway.policy.values import Unfit, email_address, host, network, sha256_hex, uri

_EMAIL = {"E": NameOID.EMAIL_ADDRESS, "emailAddress": NameOID.EMAIL_ADDRESS}


def _subject(text: str) -> str:
    try:
        return Name.from_rfc4514_string(text, _EMAIL).rfc4514_string()
    except ValueError:
        hint = "expected the form of RFC 4514, without spaces after commas: CN=casino,O=Acme,C=MT"
        raise Unfit(f"{quoted(text)} is no distinguished name", hint) from None


_MATCHES = {
    "san_uri": uri,
    "san_dns": host,
    "san_email": email_address,
    "subject": _subject,
    "fingerprint": sha256_hex,
    "public_key": sha256_hex,
}


type _Values = frozenset[tuple[str, str | frozenset[str]]]
"""What one match asks for, by its key."""


@dataclass(frozen=True, slots=True)
class PartnerEntry:
    """A partner, and where its definition stands."""

    partner: Partner
    node: MappingNode
    keys: Mapping[str, Node]
    """The algorithm of each signing key, by key id."""
    faulty: frozenset[str]
    """Keys of the definition that could not be understood: what is missing there is not complained of again."""
    own: OwnLimits


class PartnerReader:
    """Reads partners one after the other, and what two of them must not share."""

    def __init__(self, reader: Reader, issuers: Table[Issuer]) -> None:
        self._reader = reader
        self._issuers = issuers
        self._certificates: dict[_Values, tuple[str, Node]] = {}
        self._certificate_parts: dict[_Values, tuple[str, Node]] = {}
        self._subjects: dict[tuple[str, str], tuple[str, Node]] = {}
        self._signing_keys = SigningKeyReader(reader)

    def read(self, name: str, definition: Definition) -> PartnerEntry | None:
        """Read one partner."""
        node = self._reader.mapping(definition.node, "a mapping with what the partner is recognised by")
        sections = ("certificate", "networks", "subjects", "signing_keys")
        fields = self._reader.fields(node, optional=(*sections, "tier", "limits"))
        if node is None or fields is None:
            return None
        counts = [self._reader.errors]
        certificates = self._read_certificates(name, fields.get("certificate"))
        counts.append(self._reader.errors)
        networks = self._reader.values(fields.get("networks"), network, "networks")
        counts.append(self._reader.errors)
        subjects = self._read_subjects(name, fields.get("subjects"))
        counts.append(self._reader.errors)
        keys, nodes = self._signing_keys.read(name, fields.get("signing_keys"))
        counts.append(self._reader.errors)
        own = read_own_limits(self._reader, fields.get("tier"), fields.get("limits"))
        faulty = frozenset(
            key for key, (before, after) in zip(sections, pairwise(counts), strict=True) if before < after
        )
        if not fields.keys() & {"certificate", "subjects", "signing_keys"}:
            hint = "expected `certificate`, `subjects` or `signing_keys`"
            self._reader.error(definition.key, "nothing identifies this partner", hint)
        for identifier, key in keys.items():
            self._reader.uses(nodes[identifier], Role.SIGNATURES, key)
        partner = Partner(name, certificates, NetworkSet(networks or ()), subjects, keys)
        return PartnerEntry(partner, node, nodes, faulty, own)

    def _read_certificates(self, name: str, node: Node | None) -> tuple[CertificateMatch, ...]:
        items = node.items if isinstance(node, SequenceNode) and node.items else [node] if node is not None else []
        found: list[CertificateMatch] = []
        for item in items:
            fields = self._reader.fields(item, optional=(*_MATCHES, "ca"))
            if fields is None:
                continue
            if isinstance(item, MappingNode) and not item.values:
                self._reader.error(item, "fits no certificate", f"expected some of {', '.join((*_MATCHES, 'ca'))}")
            values = {
                kind: self._reader.value(value, _MATCHES[kind]) for kind, value in fields.items() if kind in _MATCHES
            }
            given = {kind: value for kind, value in values.items() if value is not None}
            keys = authority_keys(self._reader, fields.get("ca"))
            if fields and len(given) + (keys is not None) == len(fields):
                chain = [] if keys is None else [("ca", keys)]
                self._check_distinct(name, item, frozenset([*given.items(), *chain]))
                found.append(CertificateMatch(**given, authorities=keys))
                for kind in sorted({"fingerprint", "public_key"} & given.keys()):
                    self._reader.uses(fields[kind], Role.PINNED, Pin(kind, given[kind]))
        return tuple(found)

    def _check_distinct(self, name: str, node: Node, values: _Values) -> None:
        """Complain where a certificate that fits this match must fit another partner's too, or the reverse.

        That is so where the values of one are among those of the other.
        """
        parts = [frozenset(part) for count in range(1, len(values) + 1) for part in combinations(values, count)]
        rival = self._certificate_parts.get(values) or next(
            (self._certificates[part] for part in parts if part in self._certificates), None
        )
        if rival is not None and rival[0] != name:
            hint = f"see {rival[1].place}; a certificate must stand for one partner"
            self._reader.error(node, f"fits the same certificates as one of partner {quoted(rival[0])}", hint)
        self._certificates.setdefault(values, (name, node))
        for part in parts:
            self._certificate_parts.setdefault(part, (name, node))

    def _read_subjects(self, name: str, node: Node | None) -> Mapping[str, frozenset[str]]:
        mapping = self._reader.mapping(node, "a mapping from issuers to lists of subjects")
        found: dict[str, frozenset[str]] = {}
        for issuer_name, listed in mapping.values.items() if mapping is not None else ():
            assert mapping is not None
            issuer = self._issuers.find(self._reader, mapping.keys[issuer_name])
            subjects = self._reader.values(listed, str, "subjects")
            for subject in subjects or ():
                first = self._subjects.setdefault((issuer_name, subject), (name, listed))
                if first[0] != name:
                    hint = f"see {first[1].place}; a subject must stand for one partner"
                    self._reader.error(listed, f"subject {quoted(subject)} is partner {quoted(first[0])}'s", hint)
            if issuer is not None and subjects is not None:
                found[issuer_name] = frozenset(subjects)
        return found
