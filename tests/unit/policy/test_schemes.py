import pytest

from gateway.policy.composed_parts import MAX_PARTS
from gateway.policy.schemes import read_scheme
from gateway.signing import parts as p
from gateway.signing.composed import ComposedScheme
from gateway.signing.places import InHeader
from tests.policy.reading import definition, problems, reader

REFERENCE = """
  algorithm: hmac-sha256
  encoding: hex
  separator: "\\n"
  string_to_sign: [method, path, timestamp, nonce, body]
  key_id: {header: X-Key-Id}
  timestamp: {header: X-Timestamp, format: unix}
  nonce: {header: X-Nonce}
  signature: {header: X-Signature, prefix: ""}
"""
"""The scheme of the bench's reference workload."""


def test_the_reference_scheme() -> None:
    used = reader()
    assert read_scheme(used, "wallet", definition(REFERENCE)) == ComposedScheme(
        name="wallet",
        parts=(p.Method(), p.Path(), p.Timestamp(), p.Nonce(), p.Body()),
        separator=b"\n",
        algorithm="hmac-sha256",
        encoding="hex",
        signature=InHeader("x-signature"),
        key_id=InHeader("x-key-id"),
        timestamp=InHeader("x-timestamp"),
        timestamp_format="unix",
        nonce=InHeader("x-nonce"),
    )
    assert used.errors == 0


def test_every_part_and_setting() -> None:
    used = reader()
    scheme = read_scheme(
        used,
        "vendor",
        definition(
            "{algorithm: hmac-sha512, encoding: base64, separator: '.', string_to_sign: [{literal: v1}, method, "
            "target, query, path, {header: X-Account}, timestamp, {digest: sha384, encoding: base64}, "
            "{digest: sha256}], timestamp: {header: X-Time, format: unix-ms}, "
            "signature: {header: X-Sign, prefix: 'hmac '}}"
        ),
    )
    assert used.errors == 0
    assert scheme is not None
    assert scheme.parts == (
        p.Literal("v1"),
        p.Method(),
        p.Target(),
        p.Query(),
        p.Path(),
        p.Header("x-account"),
        p.Timestamp(),
        p.BodyDigest("sha384", "base64"),
        p.BodyDigest("sha256", "hex"),
    )
    assert (scheme.algorithm, scheme.encoding, scheme.separator) == ("hmac-sha512", "base64", b".")
    assert (scheme.signature, scheme.timestamp_format) == (InHeader("x-sign", "hmac "), "unix-ms")
    assert (scheme.key_id, scheme.nonce) == (None, None)


def test_what_may_be_left_out() -> None:
    text = "{algorithm: hmac-sha256, string_to_sign: [method, target, body], signature: {header: X-Sign}}"
    scheme = read_scheme(reader(), "vendor", definition(text))
    assert scheme is not None
    assert (scheme.encoding, scheme.separator, scheme.signature) == ("hex", b"\n", InHeader("x-sign"))


def test_an_empty_separator_is_written_in_quotes() -> None:
    scheme = read_scheme(reader(), "vendor", definition(REFERENCE.replace('"\\n"', '""')))
    assert scheme is not None
    assert scheme.separator == b""


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("timestamp, nonce", "nonce", "the timestamp is not signed, so anyone could change it"),
        ("timestamp, nonce", "timestamp", "the nonce is not signed, so anyone could change it"),
        ("  nonce: {header: X-Nonce}\n", "", "the nonce is signed, but no field carries it"),
        ("X-Nonce", "X-Timestamp", "key id, timestamp, nonce and signature each need a field of their own"),
        ("nonce, body", "nonce, {header: X-Signature}", "the signature cannot sign itself"),
        ("nonce, body", "nonce, body, body", "the body can stand only once among the parts"),
        ("body]", "body" + ", query" * MAX_PARTS + "]", f"{MAX_PARTS + 5} parts"),
    ],
)
def test_what_would_protect_nothing_is_an_error(right: str, wrong: str, said: str) -> None:
    assert right in REFERENCE
    used = reader()
    assert read_scheme(used, "wallet", definition(REFERENCE.replace(right, wrong, 1))) is None
    assert used.errors == 1
    assert said in problems(used)[0]


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("nonce, body", "nonce", "the body is not signed"),
        ("method, ", "", "the method is not signed"),
        ("path, ", "", "the path is not signed"),
        ('"\\n"', '""', "nothing stands between"),
    ],
)
def test_what_is_left_unprotected_is_warned_of(right: str, wrong: str, said: str) -> None:
    used = reader()
    assert read_scheme(used, "wallet", definition(REFERENCE.replace(right, wrong, 1)))
    assert used.errors == 0
    assert any(f"warning: it: {said}" in one for one in problems(used))
