"""The presets' schemes, keys for them, and their sample requests signed: what the tests of all presets share."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gateway.core.facts import VerifiedSignature
from gateway.core.message import Headers, Instant, RequestHead
from gateway.core.policy import SigningKey
from gateway.core.secret import Secret
from gateway.core.syntax import read_head
from gateway.policy.document import Definition
from gateway.policy.nodes import MappingNode
from gateway.policy.presets import Preset, preset, preset_names
from gateway.policy.reader import Reader
from gateway.policy.schemes import read_scheme
from gateway.policy.source import parse
from gateway.signing.algorithms import PrivateSigner, PublicVerifier
from gateway.signing.own import OwnKey
from gateway.signing.scheme import Scheme, read_whole
from gateway.signing.secret_algorithms import SECRET_ALGORITHMS
from gateway.signing.window import Window
from tests.messages import KINDS
from tests.mint import NOW, private_key

WINDOW = Window(300.0, 10.0)
KEY_ID = "key-1"
NONCE = "nonce-1"
SECRET = b"0123456789abcdef" * 4
NAMES = preset_names()


class Request(NamedTuple):
    """A request with its body."""

    head: RequestHead
    body: bytes


def scheme(name: str, **changes: str) -> Scheme[Any]:
    """Give a preset's scheme as a policy has it that adds no more than it must."""
    reader = Reader({}, NOW)
    found = read_scheme(reader, name, definition(name, **changes))
    assert found is not None, reader.problems
    return found


def definition(name: str, **changes: str) -> Definition:
    """Give a preset's definition as it is read from a policy."""
    top, problems = parse(Path("test.yaml"), definition_text(name, **changes).encode())
    assert isinstance(top, MappingNode), problems
    return Definition(top.keys[name], top.values[name])


def definition_text(name: str, **changes: str) -> str:
    """Give the line of a policy for a preset."""
    needed = preset(name)
    lines = {"preset": name, **needed.needs, **changes}
    if needed.settings:
        lines["settings"] = json.dumps(needed.settings)
    if weak(needed):
        lines.setdefault("allow_weak", "{owner: tests, until: 2100-01-01}")
    return f"{name}: {{{', '.join(f'{key}: {value}' for key, value in lines.items())}}}"


def is_secret(algorithm: str) -> bool:
    """Whether an algorithm's keys are shared secrets."""
    return algorithm in SECRET_ALGORITHMS


def weak(found: Preset) -> bool:
    """Whether a preset's algorithm is weak."""
    algorithm = found.key["algorithm"]
    return (algorithm in SECRET_ALGORITHMS and bool(SECRET_ALGORITHMS[algorithm].weak)) or algorithm.endswith("sha1")


def own_key(algorithm: str, name: str = "partner") -> OwnKey:
    """Give the vendor's key."""
    if algorithm in SECRET_ALGORITHMS:
        return OwnKey(KEY_ID, algorithm, Secret(SECRET))
    return OwnKey(KEY_ID, algorithm, PrivateSigner(algorithm, private_key(KINDS[algorithm], name)))


def keys(algorithm: str, name: str = "partner") -> Mapping[str, SigningKey]:
    """Give what the gate has of it."""
    own = own_key(algorithm, name)
    if isinstance(own.material, Secret):
        return {KEY_ID: SigningKey(KEY_ID, algorithm, own.material)}
    return {KEY_ID: SigningKey(KEY_ID, algorithm, PublicVerifier(algorithm, own.material.key.public_key()))}


def sample(name: str) -> Request:
    """Give a preset's sample, unsigned."""
    found = preset(name).sample
    body = found.body.encode()
    return request(found.method, found.target, found.fields, body)


def request(method: str, target: str, fields: Mapping[str, str], body: bytes) -> Request:
    """Read a request."""
    given = {"host": "api.example", **fields, **({"content-length": str(len(body))} if body else {})}
    head = read_head(
        method=method.encode(),
        target=target.encode(),
        version="HTTP/1.1",
        fields=[(field.encode(), value.encode("latin-1")) for field, value in given.items()],
    )
    return Request(head, body)


def signed(name: str, at: Instant = NOW, nonce: str = NONCE, plain: Request | None = None) -> Request:
    """Give a preset's sample, or another request, signed by the vendor."""
    by = scheme(name)
    made = by.sign(*(plain or sample(name)), key=own_key(preset(name).key["algorithm"]), now=at, nonce=nonce)
    return Request(*made.applied(*(plain or sample(name))))


def verify(by: Scheme[Any], made: Request, known: Mapping[str, SigningKey], now: Instant = NOW) -> VerifiedSignature:
    """Check a request as the control does."""
    head, body = made
    presented = read_whole(by, head, body, known.__contains__)
    return by.match(head, body, presented, by.admit(presented, known, WINDOW, now), WINDOW)


def with_field(made: Request, name: str, value: str | None) -> Request:
    """Change one field, or leave it out."""
    head, body = made
    fields = [(own, value if own == name else text) for own, text in head.headers.fields]
    return Request(head._replace(headers=Headers((own, text) for own, text in fields if text is not None)), body)


def with_target(made: Request, target: str) -> Request:
    """Send it elsewhere."""
    path, question, query = target.partition("?")
    return Request(made.head._replace(target=target, path=path, query=query if question else None), made.body)
