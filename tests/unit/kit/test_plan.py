from gateway.kit.plan import (
    BODY,
    SHARED,
    Made,
    Piece,
    Plan,
    Sample,
    Taken,
    digest_variable,
    digests,
    field_variable,
    text,
)
from gateway.signing import parts as p


def plan(*string: str, **changes: object) -> Plan:
    return Plan(text(*string), **{"algorithm": "hmac-sha256", "encoding": "hex", "headers": (), **changes})  # type: ignore[arg-type]


def test_pieces() -> None:
    assert text("a", "{b}") == (Piece("a"), Piece("b", variable=True))
    assert field_variable("x-a.b") == "field_x_a_b"


def test_digests_that_are_needed() -> None:
    made = plan("{digest_sha256_hex}", "{digest_sha256_hex}", headers=(("x", text("{digest_sha512_base64}")),))
    assert digests(made) == [
        ("digest_sha256_hex", "sha256", "hex"), ("digest_sha512_base64", "sha512", "base64")
    ]  # fmt: skip


def test_digests_of_every_encoding() -> None:
    name = digest_variable("sha256", "hex-upper")
    assert digests(plan(made=(Made("a", "sha256", text(f"{{{name}}}")),))) == [(name, "sha256", "hex-upper")]


def test_what_is_taken_apart() -> None:
    assert plan(f"{{{SHARED}}}").hashes_secret
    assert not plan(f"{{{BODY}}}").hashes_secret
    of_query = Taken("taken_0", p.Parameters(("query", "form")))
    assert (of_query.of_query, of_query.of_body) == (True, True)
    assert plan("{taken_0}", taken=(of_query,)).takes_query
    assert not plan("{taken_0}", taken=(Taken("taken_0", p.QueryWithout("a")),)).takes_query
    assert Sample("GET", "/a", "", {}, "b=1").target == "/a?b=1"


def test_who_has_the_key() -> None:
    assert plan(algorithm="digest-md5").shared
    assert not plan(algorithm="ed25519").shared
