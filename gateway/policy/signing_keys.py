"""The keys that partners sign with: shared secrets, and public keys in PEM files."""

import hashlib
from base64 import b64decode
from collections.abc import Mapping
from typing import cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gateway.core.message import Instant
from gateway.core.policy import SigningKey
from gateway.core.secret import Secret
from gateway.policy.environment import shown_path
from gateway.policy.inventory import Role
from gateway.policy.nodes import Node
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader
from gateway.policy.references import named_file, read_named, warn_of_validity
from gateway.policy.secrets import ENCODINGS, read_secret
from gateway.policy.values import instant, key_id
from gateway.signing.algorithms import PUBLIC_KEY_ALGORITHMS, PublicKey, PublicVerifier
from gateway.signing.secret_algorithms import SECRET_ALGORITHMS, least_secret

MAX_KEY_BYTES = 65_536
"""Bytes of a public key's file: room for a certificate with many names."""

WHPK = b"whpk_"
"""Stands before the base64 of a public key of Standard Webhooks."""

_ALGORITHMS = (*SECRET_ALGORITHMS, *PUBLIC_KEY_ALGORITHMS)


class SigningKeyReader:
    """Reads signing keys one after the other, and what two of them must not share."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._key_ids: dict[str, Node] = {}
        self._material: dict[bytes, tuple[str, Node]] = {}
        """Whose a secret or public key is, by digest."""

    def read(self, partner: str, node: Node | None) -> tuple[dict[str, SigningKey], dict[str, Node]]:
        """Give a partner's keys, and the node of the algorithm of each, by key id."""
        keys: dict[str, SigningKey] = {}
        nodes: dict[str, Node] = {}
        for item in self._reader.items(node, "signing keys") or ():
            fields = self._reader.fields(
                item,
                required=("id", "algorithm"),
                optional=("secret", "public_key", "encoding", "not_before", "not_after", "allow_weak"),
            )
            key = self._read_key(partner, item, fields) if fields is not None else None
            if fields is not None and key is not None:
                keys[key.id] = key
                nodes[key.id] = fields["algorithm"]
        return keys, nodes

    def _read_key(self, partner: str, item: Node, fields: Mapping[str, Node]) -> SigningKey | None:
        reader = self._reader
        identifier = reader.value(fields.get("id"), key_id)
        algorithm = reader.choice(fields.get("algorithm"), _ALGORITHMS, "algorithm of signing keys")
        material: Secret | PublicVerifier | None
        if algorithm in PUBLIC_KEY_ALGORITHMS or (algorithm is None and "public_key" in fields):
            material = self._read_public(partner, item, fields, algorithm)
        else:
            material = self._read_secret(partner, item, fields, algorithm)
        begins = reader.value(fields.get("not_before"), instant)
        ends = reader.value(fields.get("not_after"), instant)
        self._check_times(fields, begins, ends)
        if identifier is not None:
            first = self._key_ids.setdefault(identifier, fields["id"])
            if first is not fields["id"]:
                hint = f"see {first.place}; key ids are unique in a policy"
                reader.error(fields["id"], f"key id {quoted(identifier)} stands twice", hint)
        if identifier is None or algorithm is None or material is None:
            return None
        weak = self._read_allow_weak(fields, algorithm, material)
        return SigningKey(identifier, algorithm, material, begins, _earlier(ends, weak))

    def _read_allow_weak(
        self, fields: Mapping[str, Node], algorithm: str, material: Secret | PublicVerifier
    ) -> Instant | None:
        """Read who answers for a secret that is too short, and until when: the key ends with the exception."""
        reader, node = self._reader, fields.get("allow_weak")
        written = reader.fields(node, required=("owner", "until"))
        if node is None or written is None:
            return None
        reader.text(written.get("owner"), "who answers for it")
        if not isinstance(material, Secret) or len(material.reveal()) >= least_secret(algorithm):
            reader.error(node, "the key is not weak", "remove `allow_weak`")
        else:
            short, least = len(material.reveal()), least_secret(algorithm)
            reader.warning(
                node, f"the secret has {short} bytes of at least {least}", "have the vendor issue a longer one"
            )
        return reader.value(written.get("until"), instant)

    def _read_secret(
        self, partner: str, item: Node, fields: Mapping[str, Node], algorithm: str | None
    ) -> Secret | None:
        reader, node = self._reader, fields.get("secret")
        if "public_key" in fields:
            hint = "expected `secret: env:NAME`, or an algorithm of public keys such as ed25519"
            reader.error(fields["public_key"], f"a key for {algorithm} is a shared secret", hint)
        elif node is None:
            reader.error(item, "`secret` is missing")
        encoding = reader.choice(fields.get("encoding"), ENCODINGS, "encoding of secrets") or "utf-8"
        least = least_secret(algorithm, encoding) if algorithm is not None and "allow_weak" not in fields else 0
        secret = read_secret(reader, node, encoding, least)
        if secret is not None and node is not None:
            self._check_owner(partner, node, hashlib.sha256(secret.reveal()).digest(), "secret")
        return secret

    def _read_public(
        self, partner: str, item: Node, fields: Mapping[str, Node], algorithm: str | None
    ) -> PublicVerifier | None:
        reader, node = self._reader, fields.get("public_key")
        for key in ("secret", "encoding"):
            if key in fields:
                hint = "the partner keeps its private key to itself: expected `public_key: FILE`"
                reader.error(fields[key], f"a key for {algorithm or 'public_key'} has no {key}", hint)
        if node is None:
            if "secret" not in fields:
                reader.error(item, "`public_key` is missing")
            return None
        public = read_public_key(reader, node)
        if public is None or algorithm is None:
            return None
        try:
            verifier = PublicVerifier(algorithm, public)
        except ValueError as error:
            reader.error(node, f"the key {error}", f"for {algorithm}")
            return None
        self._check_owner(partner, node, verifier.fingerprint, "public key")
        return verifier

    def _check_owner(self, partner: str, node: Node, fingerprint: bytes, what: str) -> None:
        owner, other = self._material.setdefault(fingerprint, (partner, node))
        if owner != partner:
            hint = f"see {other.place}; each could sign as the other"
            self._reader.error(node, f"the same {what} as one of partner {quoted(owner)}", hint)
        elif other is not node and what == "secret":  # a signature by a private key covers the key's id
            hint = f"see {other.place}; a request could be sent again under the other key's id"
            self._reader.error(node, "the same secret as another key of the partner", hint)

    def _check_times(self, fields: Mapping[str, Node], begins: Instant | None, ends: Instant | None) -> None:
        if begins is not None and ends is not None and ends <= begins:
            self._reader.error(fields["not_after"], "the key ends before it begins", "expected a later not_after")
        elif ends is not None and self._reader.now is not None and ends <= self._reader.now:
            self._reader.warning(fields["not_after"], "the key is no longer in force", "remove it")


def _bare_key(data: bytes) -> object:
    """Read a key by itself: PEM, or Ed25519 as Standard Webhooks writes it. Raises ValueError."""
    if data.startswith(WHPK):
        return Ed25519PublicKey.from_public_bytes(b64decode(data.removeprefix(WHPK).strip(), validate=True))
    return load_pem_public_key(data)


def _earlier(one: Instant | None, other: Instant | None) -> Instant | None:
    given = [each for each in (one, other) if each is not None]
    return min(given) if given else None


def read_public_key(reader: Reader, node: Node) -> PublicKey | None:
    """Read the one public key in a PEM file: by itself (SubjectPublicKeyInfo), or of a certificate."""
    path = named_file(reader, node)
    data = read_named(reader, node, path, MAX_KEY_BYTES) if path is not None else None
    if path is None or data is None:
        return None
    shown = f"file {shown_path(node, path)}"
    if b"PRIVATE KEY-----" in data:
        hint = "it must never leave the partner: have them make a new key, and send the public one"
        reader.error(node, f"{shown} holds a private key", hint)
        return None
    blocks = data.count(b"-----BEGIN ")
    if blocks > 1:
        reader.error(node, f"{shown} holds {blocks} keys or certificates", "expected one; each key has its own id")
        return None
    try:
        certificate = None
        if b"-----BEGIN CERTIFICATE-----" in data:
            certificate = x509.load_pem_x509_certificate(data)
            warn_of_validity(reader, node, certificate)
            reader.uses(node, Role.SIGNATURES, certificate, shown_path(node, path))
        key = certificate.public_key() if certificate is not None else _bare_key(data)
    except (ValueError, UnsupportedAlgorithm):
        reader.error(node, f"{shown} holds no readable public key", "expected PEM: -----BEGIN PUBLIC KEY-----")
        return None
    return cast("PublicKey", key)  # a key of another kind is refused with its algorithm
