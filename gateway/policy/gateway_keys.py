"""The section `gateway_keys`: keys of the gate's own, which it signs answers and requests to upstreams with."""

from collections.abc import Mapping
from typing import cast

from gateway.core.message import Instant
from gateway.core.policy import SigningKey
from gateway.core.secret import Secret
from gateway.policy.document import Definition
from gateway.policy.inventory import Role
from gateway.policy.nodes import Node
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader
from gateway.policy.references import private_key
from gateway.policy.secrets import ENCODINGS, read_secret
from gateway.policy.values import instant, key_id
from gateway.signing.algorithms import PUBLIC_KEY_ALGORITHMS, PrivateKey, PrivateSigner, PublicVerifier
from gateway.signing.own import OwnKey
from gateway.signing.secret_algorithms import SECRET_ALGORITHMS, least_secret

PARTNER = "partner"
"""Instead of the name of a key: the secret that the caller shares with the gate."""

_ALGORITHMS = (*SECRET_ALGORITHMS, *PUBLIC_KEY_ALGORITHMS)


def read_gateway_key(reader: Reader, name: str, definition: Definition) -> OwnKey | None:
    """Read one key; its id is its name unless it says otherwise."""
    optional = ("id", "private_key", "secret", "encoding", "not_before", "not_after")
    fields = reader.fields(definition.node, required=("algorithm",), optional=optional)
    if fields is None:
        return None
    if name == PARTNER:
        hint = "choose another name: `key: partner` means the caller's own secret"
        reader.error(definition.key, f"no gateway key can be called {quoted(name)}", hint)
    identifier = reader.value_or(fields.get("id"), key_id, name)
    algorithm = reader.choice(fields.get("algorithm"), _ALGORITHMS, "algorithm of signing keys")
    begins, ends = _read_times(reader, fields)
    if algorithm is None:
        return None
    material = _read_material(reader, definition.node, fields, algorithm)
    if material is None:
        return None
    public = PublicVerifier(algorithm, material.key.public_key()) if isinstance(material, PrivateSigner) else material
    reader.uses(definition.key, Role.SIGNS, SigningKey(identifier, algorithm, public, begins, ends))
    return OwnKey(identifier, algorithm, material, begins, ends)


def _read_times(reader: Reader, fields: Mapping[str, Node]) -> tuple[Instant | None, Instant | None]:
    begins = reader.value(fields.get("not_before"), instant)
    ends = reader.value(fields.get("not_after"), instant)
    if begins is not None and ends is not None and ends <= begins:
        reader.error(fields["not_after"], "the key ends before it begins", "expected a later not_after")
    elif ends is not None and reader.now is not None and ends <= reader.now:
        reader.warning(fields["not_after"], "the key is no longer in force", "what it should sign is refused")
    return begins, ends


def _read_material(
    reader: Reader, node: Node, fields: Mapping[str, Node], algorithm: str
) -> Secret | PrivateSigner | None:  # fmt: skip
    public = algorithm in PUBLIC_KEY_ALGORITHMS
    for key in ("secret", "encoding") if public else ("private_key",):
        if key in fields:
            reader.error(fields[key], f"a key for {algorithm} has no {key}")
    if ("private_key" if public else "secret") not in fields:
        reader.error(node, f"`{'private_key' if public else 'secret'}` is missing")
    if public:
        return _read_private(reader, fields, algorithm)
    encoding = reader.choice(fields.get("encoding"), ENCODINGS, "encoding of secrets") or "utf-8"
    return read_secret(reader, fields.get("secret"), encoding, least_secret(algorithm, encoding))


def _read_private(reader: Reader, fields: Mapping[str, Node], algorithm: str) -> PrivateSigner | None:
    node = fields.get("private_key")
    key = private_key(reader, node)
    if node is None or key is None:
        return None
    try:
        return PrivateSigner(algorithm, cast("PrivateKey", key))
    except ValueError as error:
        reader.error(node, f"the key {error}", f"for {algorithm}")
        return None
