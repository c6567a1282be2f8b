"""Whatever a scheme is composed of: what its client signs verifies, and nothing of what is signed can be changed."""

from collections.abc import Callable
from itertools import product
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.core.message import Headers, Instant, RequestHead
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied, Reason
from gateway.core.secret import Secret
from gateway.core.syntax import read_head
from gateway.signing import parts as p
from gateway.signing.assembly import Assembly
from gateway.signing.composed import ComposedScheme
from gateway.signing.layout import Layout
from gateway.signing.own import OwnKey
from gateway.signing.places import InHeader
from gateway.signing.window import Window

UNTIMED = settings(deadline=None)
WINDOW = Window(60.0, 5.0)
SECRET = b"0123456789abcdef" * 2

VISIBLE = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
NONCES = st.text(VISIBLE, min_size=1, max_size=20)
FIELD_VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=12)
PATHS = st.lists(st.text("abv1.-~:|", min_size=1, max_size=4), min_size=1, max_size=3).map(lambda s: "/" + "/".join(s))
QUERIES = st.none() | st.text("ab=&.:|-/?", min_size=1, max_size=8).map(lambda text: text.replace("|", "%7C"))
NOWS = st.integers(1_100_000_000_000, 4_000_000_000_000).map(lambda milliseconds: Instant(milliseconds / 1000))

VARIABLE: list[p.Part] = [
    p.Method(),
    p.Path(),
    p.Query(),
    p.Target(),
    p.Header("x-one"),
    p.Header("x-two"),
    p.Body(),
    p.BodyDigest("sha256"),
    p.BodyDigest("sha512", "base64"),
    p.Timestamp(),
    p.Nonce(),
]
PARTS = st.lists(st.sampled_from(VARIABLE), min_size=1, max_size=6, unique=True)
LITERALS = st.builds(p.Literal, st.text(max_size=4).filter(str.isprintable))


@st.composite
def schemes(draw: st.DrawFn) -> ComposedScheme:
    parts = draw(PARTS)
    for literal in draw(st.lists(LITERALS, max_size=2)):
        parts.insert(draw(st.integers(0, len(parts))), literal)
    algorithm = draw(st.sampled_from(["hmac-sha256", "hmac-sha384", "hmac-sha512"]))
    try:
        return ComposedScheme(
            name="generated",
            parts=tuple(parts),
            separator=draw(st.sampled_from([b"\n", b"", b".", b":", b"|", b"::", b"&", b"\r\n", b"%s", b"\x00"])),
            algorithm=algorithm,  # type: ignore[arg-type]
            encoding=draw(st.sampled_from(["hex", "base64"])),  # type: ignore[arg-type]
            signature=InHeader("x-signature", draw(st.sampled_from(["", "v1="]))),
            key_id=draw(st.sampled_from([None, InHeader("x-key-id")])),
            timestamp=InHeader("x-timestamp") if p.Timestamp() in parts else None,
            timestamp_format=draw(st.sampled_from(["unix", "unix-ms", "rfc3339"])),  # type: ignore[arg-type]
            nonce=InHeader("x-nonce") if p.Nonce() in parts else None,
        )
    except ValueError:
        # A separator that every time holds.
        assume(False)
        raise


@st.composite
def heads(draw: st.DrawFn) -> RequestHead:
    path, query = draw(PATHS).replace("|", "-"), draw(QUERIES)
    fields = [("host", "api.example"), ("x-one", draw(FIELD_VALUES)), ("x-two", draw(FIELD_VALUES))]
    try:
        return read_head(
            method=draw(st.sampled_from([b"GET", b"POST", b"PUT"])),
            target=(path if query is None else f"{path}?{query}").encode(),
            version="HTTP/1.1",
            fields=[(name.encode(), value.encode("latin-1")) for name, value in fields],
        )
    except Denied:
        # A dot segment.
        assume(False)
        raise


def key_for(scheme: ComposedScheme) -> SigningKey:
    return SigningKey("key-1", scheme.algorithm, Secret(SECRET))


def sign(scheme: ComposedScheme, head: RequestHead, body: bytes, now: Instant, nonce: str) -> RequestHead:
    """Give the signed request; what the scheme would refuse for its form is none."""
    key = OwnKey("key-1", scheme.algorithm, Secret(SECRET))
    try:
        signed = scheme.sign(head, body, key=key, now=now, nonce=nonce)
    except ValueError as error:
        assume("would refuse" not in str(error))
        raise
    return signed.applied(head, body)[0]


def with_fields(head: RequestHead, *fields: tuple[str, str]) -> RequestHead:
    names = {name for name, _ in fields}
    kept = [(name, value) for name, value in head.headers.fields if name not in names]
    return head._replace(headers=Headers([*kept, *fields]))


def outcome(scheme: ComposedScheme, head: RequestHead, body: bytes, now: Instant) -> Reason | None:
    """Give the reason of a refusal; None where the signature verified."""
    try:
        scheme.verify(head, body, {"key-1": key_for(scheme)}, WINDOW, now)
    except Denied as denied:
        return denied.reason
    return None


@given(schemes(), heads(), st.binary(max_size=40), NOWS, NONCES)
@UNTIMED
def test_what_is_signed_verifies(
    scheme: ComposedScheme, head: RequestHead, body: bytes, now: Instant, nonce: str
) -> None:
    assert outcome(scheme, sign(scheme, head, body, now, nonce), body, now) is None


def target_of(head: RequestHead, path: str, query: str | None) -> RequestHead:
    return head._replace(path=path, query=query, target=path if query is None else f"{path}?{query}")


def changed(text: str, data: st.DataObject, alphabet: str) -> str:
    """Change, insert or remove one character."""
    place = data.draw(st.integers(0, len(text)))
    character = data.draw(st.sampled_from(alphabet))
    return text[:place] + data.draw(st.sampled_from(["", character])) + text[place + data.draw(st.integers(0, 1)) :]


def change_field(name: str) -> Callable[[RequestHead, bytes, st.DataObject], tuple[RequestHead, bytes]]:
    def change(head: RequestHead, body: bytes, data: st.DataObject) -> tuple[RequestHead, bytes]:
        value = head.headers.single(name) or ""
        return with_fields(head, (name, changed(value, data, "a1.:|-Z"))), body

    return change


def change_body(head: RequestHead, body: bytes, data: st.DataObject) -> tuple[RequestHead, bytes]:
    return head, changed(body.decode("latin-1"), data, "a1.:|{\n").encode("latin-1")


def change_path(head: RequestHead, body: bytes, data: st.DataObject) -> tuple[RequestHead, bytes]:
    return target_of(head, "/" + changed(head.path[1:], data, "a1.:-/"), head.query), body


def change_query(head: RequestHead, body: bytes, data: st.DataObject) -> tuple[RequestHead, bytes]:
    return target_of(head, head.path, data.draw(st.none() | st.just(changed(head.query or "", data, "a=&.:?")))), body


def change_method(head: RequestHead, body: bytes, data: st.DataObject) -> tuple[RequestHead, bytes]:
    return head._replace(method=data.draw(st.sampled_from(["GET", "POST", "PUT", "PATCH"]))), body


CHANGES: dict[type[Any], Callable[[RequestHead, bytes, st.DataObject], tuple[RequestHead, bytes]]] = {
    p.Method: change_method,
    p.Path: change_path,
    p.Query: change_query,
    p.Target: change_query,
    p.Body: change_body,
    p.BodyDigest: change_body,
    p.Timestamp: change_field("x-timestamp"),
    p.Nonce: change_field("x-nonce"),
}


@given(schemes(), heads(), st.binary(max_size=40), NOWS, NONCES, st.data())
@UNTIMED
def test_a_change_of_what_is_signed_is_refused(
    scheme: ComposedScheme, head: RequestHead, body: bytes, now: Instant, nonce: str, data: st.DataObject
) -> None:
    """One changed part; moving content from one part to another changes two: that is the next test's."""
    request = sign(scheme, head, body, now, nonce)
    part = data.draw(st.sampled_from([part for part in scheme.parts if not isinstance(part, p.Literal)]))
    change = change_field(part.name) if isinstance(part, p.Header) else CHANGES[type(part)]
    other, other_body = change(request, body, data)
    assume(covered(scheme, other, other_body) != covered(scheme, request, body))
    assert outcome(scheme, other, other_body, now) is not None


def covered(scheme: ComposedScheme, head: RequestHead, body: bytes) -> list[object]:
    values: dict[type[Any], object] = {
        p.Method: head.method,
        p.Path: head.path,
        p.Query: head.query,
        p.Target: head.target,
        p.Body: body,
        p.BodyDigest: body,
        p.Timestamp: head.headers.single("x-timestamp"),
        p.Nonce: head.headers.single("x-nonce"),
    }
    return [
        head.headers.single(part.name) if isinstance(part, p.Header) else values.get(type(part))
        for part in scheme.parts
    ]


SLOTS: list[p.Part] = [p.Header("x-one"), p.Header("x-two"), p.Nonce(), p.Body(), p.Timestamp()]
CONSTANTS: list[p.Part] = [p.Literal("a"), p.Literal("::"), p.Literal("b:")]


@given(
    st.lists(st.sampled_from(SLOTS), min_size=2, max_size=3, unique=True),
    st.lists(st.tuples(st.sampled_from(CONSTANTS), st.integers(0, 3)), max_size=2),
    st.sampled_from([b"", b":", b"::", b"a:", b":a:", b"aba"]),
)
@UNTIMED
def test_no_content_moves_between_parts_that_are_not_said_to_run_together(
    slots: list[p.Part], constants: list[tuple[p.Part, int]], separator: bytes
) -> None:
    """Every combination of short values of the delimiters' own characters gives a string of its own, or is guarded."""
    parts = list(slots)
    for constant, place in constants:
        parts.insert(place, constant)
    layout, assembly = Layout.of(parts, separator, "unix"), Assembly.of(parts, separator)
    assume(not layout.run_together)
    strings: dict[bytes, tuple[str, ...]] = {}
    short = [text for text in SHORT if len(text) <= 5 - len(slots)]
    for values in product(*(TIMES if isinstance(slot, p.Timestamp) else short for slot in slots)):
        by_slot = dict(zip(slots, values, strict=True))
        if any(guard.refuses(by_slot[guard.part].encode()) for guard in layout.guards):
            continue
        headers = Headers((slot.name, value) for slot, value in by_slot.items() if isinstance(slot, p.Header))
        head = HEAD._replace(headers=headers)
        body = by_slot.get(p.Body(), "").encode()
        signed = assembly.build(head, body, by_slot.get(p.Timestamp(), ""), by_slot.get(p.Nonce(), ""))
        assert strings.setdefault(signed, values) == values


SHORT = ["".join(characters) for length in range(4) for characters in product("a:b", repeat=length)]
TIMES = ["1795352400", "1795352401"]
HEAD = read_head(method=b"GET", target=b"/", version="HTTP/1.1", fields=[(b"host", b"api.example")])
