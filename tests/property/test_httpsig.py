"""HTTP Message Signatures against an implementation by others, and against whoever changes a byte.

The other one is `http-message-signatures` of PyPI: what it signs we verify, and the other way round.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, HTTPSignatureKeyResolver, algorithms
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gateway.core.message import Headers, Instant, RequestHead
from gateway.core.reasons import Denied, Reason
from gateway.core.syntax import read_head
from gateway.signing.algorithms import ALGORITHMS
from gateway.signing.httpsig.scheme import HttpMessageScheme
from gateway.signing.httpsig.sign import Terms
from tests import messages
from tests.messages import KINDS, SECRET, WINDOW
from tests.mint import private_key

UNTIMED = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
NOW = Instant(1_700_000_000.0)
"""Past for the other implementation, which reads the machine's clock."""

THEIRS: dict[str, Any] = {
    "hmac-sha256": algorithms.HMAC_SHA256,
    "ed25519": algorithms.ED25519,
    "ecdsa-p256-sha256": algorithms.ECDSA_P256_SHA256,
    "ecdsa-p384-sha384": algorithms.ECDSA_P384_SHA384,
    "rsa-pss-sha512": algorithms.RSA_PSS_SHA512,
    "rsa-v1_5-sha256": algorithms.RSA_V1_5_SHA256,
}

SEGMENTS = st.text("abz019-~_.", min_size=1, max_size=6).filter(lambda text: text.strip(".") != "")
PATHS = st.lists(SEGMENTS, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
VALUES = st.text("abz09-._~*", max_size=6) | st.sampled_from(["a+b", "%C3%A9", "%20", "%0A", "%2B"])
QUERIES = st.lists(st.tuples(st.sampled_from("abcd"), VALUES), max_size=3, unique_by=lambda pair: pair[0])
FIELD_TEXT = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=12)
LINES = st.lists(FIELD_TEXT, min_size=1, max_size=2)
COVERABLE = (
    "@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query",
    "x-one", "x-two;bs", "priority;sf", 'priority;key="u"', 'content-digest;key="sha-256"',
)  # fmt: skip
NONCES = st.none() | st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=20)


@dataclass
class Made:
    """A request, for us and for them."""

    head: RequestHead
    body: bytes
    covered: tuple[str, ...]


@dataclass
class Theirs:
    """A request as the other implementation takes it."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, head: RequestHead) -> "Theirs":
        joined: dict[str, str] = {}
        for name, value in head.headers.fields:
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
        return cls(head.method, f"https://{head.authority}{head.target}", joined)


class Keys(HTTPSignatureKeyResolver):
    """The session's keys for them."""

    def resolve_private_key(self, key_id: str) -> Any:
        return SECRET if key_id == "hmac-sha256" else private_key(KINDS[key_id], "partner")

    def resolve_public_key(self, key_id: str) -> Any:
        return SECRET if key_id == "hmac-sha256" else private_key(KINDS[key_id], "partner").public_key()


@st.composite
def requests(draw: st.DrawFn, *, lines: int = 2) -> Made:
    body = draw(st.binary(max_size=40))
    query = draw(QUERIES)
    target = draw(PATHS) + ("?" + "&".join(f"{name}={value}" for name, value in query) if query else "")
    fields = [("x-one", value) for value in draw(LINES)[:lines]]
    # They keep one line a field in a dict, so `bs` is of one line.
    fields += [("x-two", draw(FIELD_TEXT)), ("priority", draw(st.sampled_from(["u=1, i", "i,  u=5", "u=3;a=1"])))]
    method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE"]))
    made = messages.head(*fields, method=method, target=target, body=body)
    names = draw(st.lists(st.sampled_from(COVERABLE), min_size=1, max_size=8, unique=True))
    names += [f'@query-param;name="{name}"' for name, _ in query if draw(st.booleans())]
    if not body:
        names = [name for name in names if not name.startswith("content-digest")]
    return Made(made, body, tuple(names or ["@method"]))


def scheme(made: Made) -> HttpMessageScheme:
    return messages.scheme(*made.covered, *(["content-digest"] if made.body else []))


def written(name: str) -> str:
    """Give a component as they write it."""
    plain, semicolon, parameters = name.partition(";")
    return f'"{plain}"{semicolon}{parameters}'


def verify(head: RequestHead, body: bytes, by: HttpMessageScheme) -> Reason | None:
    try:
        by.verify(head, body, messages.keys(), WINDOW, NOW)
    except Denied as denied:
        return denied.reason
    return None


@UNTIMED
@given(requests(), st.sampled_from(ALGORITHMS), NONCES, st.none() | FIELD_TEXT, st.booleans())
def test_we_verify_what_they_sign(made: Made, algorithm: str, nonce: str | None, tag: str | None, alg: bool) -> None:
    message = Theirs.of(made.head)
    covered = [name for name in made.covered if not name.startswith("content-digest")]
    HTTPMessageSigner(signature_algorithm=THEIRS[algorithm], key_resolver=Keys()).sign(
        message,
        key_id=algorithm,
        created=datetime.fromtimestamp(NOW, UTC),
        nonce=nonce,
        tag=tag,
        include_alg=alg,
        covered_component_ids=[written(name) for name in covered],
        body=made.body or None,
    )
    added = {name.lower(): value for name, value in message.headers.items() if name.lower() not in made.head.headers}
    head = messages.with_fields(made.head, *added.items())
    assert verify(head, made.body, HttpMessageScheme("theirs", messages.components(*covered))) is None


@UNTIMED
@given(requests(), st.sampled_from(ALGORITHMS), NONCES, st.none() | FIELD_TEXT, st.booleans())
def test_they_verify_what_we_sign(made: Made, algorithm: str, nonce: str | None, tag: str | None, alg: bool) -> None:
    given_terms = Terms(NOW, algorithm, algorithm if alg else None, Instant(4_000_000_000.0), nonce, tag)
    by = scheme(made)
    head = messages.with_fields(
        made.head, *by.sign_on(made.head, made.body, signer=messages.signer(algorithm), terms=given_terms)
    )
    (result,) = HTTPMessageVerifier(signature_algorithm=THEIRS[algorithm], key_resolver=Keys()).verify(
        Theirs.of(head),
        max_age=None,
        body=made.body or None,
        require_components=[written(name) for name in made.covered],
    )
    assert result.parameters["keyid"] == algorithm
    assert verify(head, made.body, by) is None


FAST = st.sampled_from(["hmac-sha256", "ed25519"])


@settings(UNTIMED, max_examples=400)
@given(requests(), FAST, st.data())
def test_no_byte_of_what_is_signed_can_be_changed(made: Made, algorithm: str, data: st.DataObject) -> None:
    by = scheme(made)
    fields = by.sign_on(made.head, made.body, signer=messages.signer(algorithm), terms=Terms(NOW, algorithm, nonce="n"))
    head = messages.with_fields(made.head, *fields)
    assert verify(head, made.body, by) is None
    plain = {name.partition(";")[0] for name in made.covered}
    places = ["signature-input", "signature", *(["body", "content-digest"] if made.body else [])]
    places += [name for name in ("x-one", "x-two") if name in plain]
    places += ["target"] if plain & {"@target-uri", "@request-target"} else []
    place = data.draw(st.sampled_from(places))
    if place == "body":
        changed, body = head, data.draw(st.sampled_from(mutations(made.body.decode("latin-1")))).encode("latin-1")
    elif place == "target":
        body = made.body
        changed = with_target(head, data.draw(st.sampled_from(mutations(head.target))))
    else:
        body = made.body
        changed = with_changed_line(head, place, data)
    assert verify(changed, body, by) is not None


def mutations(text: str) -> list[str]:
    """Give every text that differs in one character by one bit, or lacks one, or has one more."""
    found = []
    for at, char in enumerate(text):
        found += [text[:at] + chr(ord(char) ^ 1 << bit) + text[at + 1 :] for bit in range(8)]
        found += [text[:at] + text[at + 1 :]]
    return [*found, f"{text}a"]


def with_target(head: RequestHead, target: str) -> RequestHead:
    try:
        fields = [(name.encode(), value.encode()) for name, value in head.headers.fields]
        return read_head(
            method=head.method.encode(), target=target.encode("latin-1"), version="HTTP/1.1", fields=fields
        )
    except Denied:
        assume(False)
        raise


def with_changed_line(head: RequestHead, name: str, data: st.DataObject) -> RequestHead:
    """Change one line of a field, as far as the reader of requests would let it through."""
    at = data.draw(st.sampled_from([at for at, line in enumerate(head.headers.fields) if line[0] == name]))
    value = data.draw(st.sampled_from(mutations(head.headers.fields[at][1])))
    # The reader strips white space around values, and refuses control characters.
    assume(value.strip(" \t") == value and all(char == "\t" or 0x20 <= ord(char) != 0x7F for char in value))
    fields = [*head.headers.fields]
    fields[at] = (name, value)
    return head._replace(headers=Headers(fields))


ANYTHING = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=60)
LIKELY = st.text(st.sampled_from('sig1=();,: "@metho-z0129.*?\\abAB=+/'), max_size=60)


@settings(UNTIMED, max_examples=300)
@given(ANYTHING | LIKELY, ANYTHING | LIKELY, st.none() | ANYTHING | LIKELY)
def test_whatever_the_fields_hold_there_is_a_reason(inputs: str, signature: str, digest: str | None) -> None:
    fields = [("signature-input", inputs), ("signature", signature)]
    fields += [("content-digest", digest)] if digest is not None else []
    head = messages.with_fields(messages.signed(), *fields)
    assert verify(head, messages.BODY, messages.scheme()) is not None


@settings(UNTIMED, max_examples=200)
@given(st.sampled_from(["x-one", "x-one;sf", 'x-one;key="a"', "x-one;bs"]), ANYTHING | LIKELY)
def test_whatever_a_covered_field_holds_there_is_an_answer(component: str, value: str) -> None:
    by = messages.scheme("@method", component, structured_fields={"x-one": "dictionary"})
    head = messages.with_fields(messages.head(body=b""), ("x-one", value))
    try:
        fields = by.sign_on(head, b"", signer=messages.signer(), terms=Terms(NOW, "ed25519"))
    except ValueError:
        return
    assert verify(messages.with_fields(head, *fields), b"", by) is None
