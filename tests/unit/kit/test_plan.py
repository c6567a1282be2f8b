from gateway.kit.plan import BODY, SHARED, Piece, Plan, Taken, digests, field_variable, text
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


def test_what_a_shell_can_do() -> None:
    assert plan(f"{{{BODY}}}").in_shell
    assert not plan(f"{{{SHARED}}}").in_shell
    assert not plan("{taken_0}", taken=(Taken("taken_0", p.Crc32()),)).in_shell
    assert not plan(members="json").in_shell


def test_who_has_the_key() -> None:
    assert plan(algorithm="digest-md5").shared
    assert not plan(algorithm="ed25519").shared
