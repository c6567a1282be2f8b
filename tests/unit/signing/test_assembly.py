from hashlib import sha256, sha384

import pytest

from gateway.core.message import Headers
from gateway.signing.assembly import Assembly, value_of
from gateway.signing.parts import (
    Body,
    BodyDigest,
    Header,
    Literal,
    Method,
    Nonce,
    Part,
    Path,
    Query,
    Target,
    Timestamp,
)
from tests.world import World

HEAD = World(target=b"/v1/deposits?a=1&b=%20", extra=[("x-note", "d\xe9j\xe0")]).head()
BODY = b"\x00\xff body"


def build(*parts: Part, separator: bytes = b"\n") -> bytes:
    return Assembly.of(parts, separator).build(HEAD, BODY, "1795352400", "n-1")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        (Literal("100%s €"), b"100%s \xe2\x82\xac"),
        (Method(), b"POST"),
        (Path(), b"/v1/deposits"),
        (Query(), b"a=1&b=%20"),
        (Target(), b"/v1/deposits?a=1&b=%20"),
        (Header("content-type"), b"application/json"),
        (Header("x-note"), b"d\xe9j\xe0"),
        (Header("host"), b"api.psp.example"),
        (Body(), BODY),
        (BodyDigest("sha256"), sha256(BODY).hexdigest().encode()),
        (BodyDigest("sha384"), sha384(BODY).hexdigest().encode()),
        (BodyDigest("sha256", "base64"), b"uk7yWI5lpoaAMP5ZiCzBFbVVQqFF5QHivL9VuO1hLxA="),
        (Timestamp(), b"1795352400"),
        (Nonce(), b"n-1"),
    ],
)
def test_a_part_gives_the_bytes_received(part: Part, value: bytes) -> None:
    assert build(part) == value


def test_the_host_is_the_authority_where_http2_sent_no_field() -> None:
    head = HEAD._replace(headers=Headers())
    assert Assembly.of((Header("host"),), b"").build(head, b"", "", "") == b"api.psp.example"


def test_no_query_gives_nothing() -> None:
    assert Assembly.of((Query(), Path()), b"|").build(World().head(), b"", "", "") == b"|/v1/deposits"


@pytest.mark.parametrize(
    ("parts", "signed"),
    [
        ((Method(), Body()), b"POST|" + BODY),
        ((Body(), Method()), BODY + b"|POST"),
        ((Method(), Body(), Nonce()), b"POST|" + BODY + b"|n-1"),
        ((Method(), Nonce()), b"POST|n-1"),
        ((Literal("a"), Literal("b"), Body(), Literal("c")), b"a|b|" + BODY + b"|c"),
    ],
)
def test_the_separator_stands_between_parts_and_nowhere_else(parts: tuple[Part, ...], signed: bytes) -> None:
    assert build(*parts, separator=b"|") == signed


def test_a_separator_of_percent_signs_and_bytes_stands_as_it_is() -> None:
    assert build(Method(), Body(), Nonce(), separator=b"%s\xff") == b"POST%s\xff" + BODY + b"%s\xffn-1"


def test_a_body_that_stands_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="only once"):
        Assembly.of((Body(), Body()), b"")


@pytest.mark.parametrize("part", [Body(), Literal("a")])
def test_body_and_literals_are_no_text_of_the_request(part: Part) -> None:
    with pytest.raises(KeyError):
        value_of(part)
