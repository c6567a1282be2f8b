import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from jwt import get_algorithm_by_name

from gateway.signing.jose import encode_base64url
from gateway.signing.jwks import ALGORITHMS, MAX_BYTES, MAX_KEYS, KeySet
from tests import world

SECRET = encode_base64url(b"this must be shown to nobody....")


def load(*keys: Any) -> KeySet:
    return KeySet.load(json.dumps({"keys": keys}).encode())


def rsa_jwk(**changes: Any) -> dict[str, Any]:
    return world.jwk(world.private_key("RSA-2048"), **changes)


def okp_jwk(**changes: Any) -> dict[str, Any]:
    return world.jwk(world.private_key("Ed25519"), **changes)


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        ("P-256", "ES256"),
        ("P-384", "ES384"),
        ("P-521", "ES512"),
        ("RSA-2048", "RS256"),
        ("RSA-2048", "RS384"),
        ("RSA-2048", "RS512"),
        ("RSA-2048", "PS256"),
        ("RSA-2048", "PS384"),
        ("RSA-2048", "PS512"),
        ("Ed25519", "EdDSA"),
    ],
)
def test_a_key_of_the_set_verifies_what_its_private_half_signed(kind: str, algorithm: str) -> None:
    private = world.private_key(kind)
    signature = get_algorithm_by_name(algorithm).sign(b"message", private)
    key = load(world.jwk(private)).keys[world.KEY_ID]
    assert key.verifies(algorithm, b"message", signature)
    assert not key.verifies(algorithm, b"another message", signature)


def test_ed25519_is_the_other_name_of_eddsa() -> None:
    signature = get_algorithm_by_name("EdDSA").sign(b"message", world.private_key("Ed25519"))
    assert load(okp_jwk()).keys[world.KEY_ID].verifies("Ed25519", b"message", signature)


def test_a_salt_of_another_length_than_the_hash_is_no_ps256_signature() -> None:
    private = world.private_key("RSA-2048")
    assert isinstance(private, rsa.RSAPrivateKey)
    longest = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
    signature = private.sign(b"message", longest, hashes.SHA256())
    assert not load(rsa_jwk()).keys[world.KEY_ID].verifies("PS256", b"message", signature)


@pytest.mark.parametrize("signature", [b"", b"\0" * 64, b"\0" * 63, b"\xff" * 64, b"\x30" * 70])
def test_what_is_no_signature_verifies_nothing(signature: bytes) -> None:
    assert not world.key_set().keys[world.KEY_ID].verifies("ES256", b"message", signature)


def test_a_key_is_used_with_its_own_algorithms_only() -> None:
    with pytest.raises(ValueError, match="not for RS256"):
        world.key_set().keys[world.KEY_ID].verifies("RS256", b"message", b"")


def test_no_algorithm_is_symmetric_or_none() -> None:
    assert not {"none", "HS256", "HS384", "HS512", "ES256K"} & ALGORITHMS


def test_alg_narrows_an_rsa_key_to_one_algorithm() -> None:
    assert load(rsa_jwk(alg="PS256")).keys[world.KEY_ID].algorithms == {"PS256"}


def test_members_of_a_certificate_chain_are_ignored() -> None:
    assert load(world.jwk(x5c=["MIIB"], x5t="abc", key_ops=["verify"])).keys[world.KEY_ID].algorithms == {"ES256"}


@pytest.mark.parametrize(
    ("member", "why"),
    [
        pytest.param(rsa_jwk(use="enc", alg="RSA-OAEP", kid="enc"), "use is enc", id="encryption key"),
        pytest.param({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "pq"}, "kty is 'AKP'", id="unknown kty"),
        pytest.param(world.jwk(crv="secp256k1", kid="k1"), "curve is 'secp256k1'", id="unknown EC curve"),
        pytest.param(okp_jwk(crv="X25519", kid="x"), "curve is 'X25519'", id="key agreement curve"),
    ],
)
def test_a_key_for_something_else_is_skipped(member: dict[str, Any], why: str) -> None:
    keys = load(member, world.jwk())
    assert list(keys.keys) == [world.KEY_ID]
    assert keys.skipped == (f"keys[0] (kid {member['kid']!r}): its {why}",)


BROKEN = [
    pytest.param([], "not a JSON object", id="no object"),
    pytest.param(world.jwk(kty=None), "kty is missing", id="no kty"),
    pytest.param(world.jwk(kid=None), "kid is missing", id="no kid"),
    pytest.param(world.jwk(kid=""), "kid is missing, empty", id="empty kid"),
    pytest.param(world.jwk(kid=7), "kid is missing, empty or not a string", id="kid not text"),
    pytest.param(world.jwk(use="both"), "use is neither", id="unknown use"),
    pytest.param(world.jwk(key_ops=["sign", "verify"]), "key_ops", id="signing operation"),
    pytest.param(world.jwk(key_ops=[]), "key_ops", id="no operation"),
    pytest.param(world.jwk(key_ops="verify"), "key_ops", id="key_ops not a list"),
    pytest.param(world.jwk(alg="ES384"), "alg does not fit", id="algorithm of another curve"),
    pytest.param(world.jwk(alg="HS256"), "alg does not fit", id="symmetric algorithm"),
    pytest.param(rsa_jwk(alg="RS1"), "alg does not fit", id="SHA-1"),
    pytest.param(world.jwk(alg=256), "alg is missing, empty or not a string", id="alg not text"),
    pytest.param(world.jwk(x="AAAA"), "32 octets each", id="short coordinate"),
    pytest.param(world.jwk(x=encode_base64url(b"\0" * 31 + b"\1")), "no public key", id="point off the curve"),
    pytest.param(world.jwk(y=None), "y is missing", id="no y"),
    pytest.param(world.jwk(x=world.jwk()["x"] + "="), "x is missing or not base64url", id="padding"),
    pytest.param(world.jwk(x=["AAAA"]), "x is missing or not base64url", id="coordinate not text"),
    pytest.param(world.jwk(world.private_key("RSA-1024")), "1024 bits", id="short RSA key"),
    pytest.param(rsa_jwk(n="A" * 2732), "starts with a zero octet", id="zero modulus"),
    pytest.param(rsa_jwk(n="_" * 1368), "8208 bits", id="long RSA key"),
    pytest.param(rsa_jwk(n=encode_base64url(b"\xff" * 255 + b"\xfe")), "even", id="even modulus"),
    pytest.param(rsa_jwk(e="Aw"), "exponent", id="exponent 3"),
    pytest.param(rsa_jwk(e="AQAC"), "even", id="even exponent"),
    pytest.param(rsa_jwk(e="AQAAAAAAAAAB"), "2^64", id="huge exponent"),
    pytest.param(rsa_jwk(e="AAEAAQ"), "zero octet", id="exponent with a leading zero"),
    pytest.param(okp_jwk(x=encode_base64url(bytes(32))), "low order", id="low order point"),
    pytest.param(okp_jwk(x=encode_base64url(bytes(31))), "32 octets", id="short Ed25519 key"),
    pytest.param(okp_jwk(crv=None), "crv is missing", id="no curve"),
]  # fmt: skip


@pytest.mark.parametrize(("member", "message"), BROKEN)
def test_a_malformed_key_refuses_the_whole_set(member: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"^keys\[1\]") as caught:
        load(world.jwk(kid="good"), member)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "member",
    [
        pytest.param({"kty": "oct", "k": SECRET, "kid": "k"}, id="symmetric"),
        pytest.param({"kty": "oct", "kid": "k"}, id="symmetric without its key"),
        pytest.param(world.jwk(d=SECRET), id="private EC"),
        pytest.param(rsa_jwk(d=SECRET), id="private RSA"),
        pytest.param(rsa_jwk(p=SECRET, q=SECRET), id="RSA primes"),
        pytest.param(rsa_jwk(d=SECRET, use="enc"), id="private encryption key"),
        pytest.param({"kty": "AKP", "priv": SECRET, "kid": "k"}, id="private key of an unknown type"),
    ],
)
def test_secret_material_is_refused_and_not_shown(member: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="has leaked") as caught:
        load(member)
    assert SECRET not in str(caught.value)


def test_two_keys_of_one_kid_are_refused() -> None:
    with pytest.raises(ValueError, match=r"keys\[1\] \(kid 'operator-1'\): another key has the same kid"):
        load(world.jwk(), world.jwk(world.private_key("P-256", "other")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(b'{"keys": [], "keys": []}', "stands twice", id="duplicate member"),
        pytest.param(b'{"jwks": []}', "no list `keys`", id="no keys"),
        pytest.param(b'{"keys": {}}', "no list `keys`", id="keys not a list"),
        pytest.param(b'{"keys": []}', "no key that a token could be verified with", id="empty"),
        pytest.param(world.jwks(world.jwk(use="enc")), "no key that a token could be verified with", id="all skipped"),
        pytest.param(b" " * (MAX_BYTES + 1), "262145 bytes; at most 262144", id="too many bytes"),
        pytest.param(world.jwks(*[{}] * (MAX_KEYS + 1)), "65 keys; at most 64", id="too many keys"),
        pytest.param(b"\xef\xbb\xbf" + world.jwks(), "not JSON", id="byte order mark"),
    ],
)
def test_a_text_that_is_no_key_set_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KeySet.load(text)


def test_two_key_sets_are_never_equal() -> None:
    assert KeySet.load(world.jwks()) != KeySet.load(world.jwks())


class TestTwins:
    def test_keys_of_one_kid_are_told_apart_by_their_algorithms(self) -> None:
        keys = load(world.jwk(), rsa_jwk())
        ec, rsa = keys.find(world.KEY_ID, "ES256"), keys.find(world.KEY_ID, "PS256")
        assert ec is not None
        assert rsa is not None
        assert ("ES256" in ec.algorithms, "PS256" in rsa.algorithms) == (True, True)
        assert keys.every == (ec, rsa)
        assert keys.find("another", "ES256") is None
        assert keys.find(world.KEY_ID, "EdDSA") is ec

    def test_two_rsa_keys_of_one_kid_are_told_apart_by_alg(self) -> None:
        keys = load(rsa_jwk(alg="PS256"), rsa_jwk(alg="RS256"))
        assert [key.algorithms for key in keys.every] == [{"PS256"}, {"RS256"}]


def lenient(*keys: Any) -> KeySet:
    return KeySet.load(json.dumps({"keys": keys}).encode(), lenient=True)


class TestLenient:
    """What an issuer publishes, as RFC 7517 5 recommends to read it."""

    @pytest.mark.parametrize(
        "odd", [{"kty": "EC"}, "text", world.jwk(kid=None), world.jwk(kid="b", alg="none"), rsa_jwk(kid="b", e="Aw")]
    )
    def test_an_odd_key_is_left_out(self, odd: Any) -> None:
        keys = lenient(odd, world.jwk())
        assert [key.kid for key in keys.every] == [world.KEY_ID]
        assert len(keys.skipped) == 1

    def test_of_keys_that_cannot_be_told_apart_none_is_taken(self) -> None:
        other = world.jwk(world.private_key("P-256", "other"))
        keys = lenient(world.jwk(), other, world.jwk(kid="sure"))
        assert [key.kid for key in keys.every] == ["sure"]

    def test_a_leaked_secret_spoils_the_set(self) -> None:
        with pytest.raises(ValueError, match="has leaked"):
            lenient(world.jwk(), world.jwk(kid="b", d=SECRET))

    def test_a_set_of_odd_keys_alone_is_none(self) -> None:
        with pytest.raises(ValueError, match="no key that a token could be verified with"):
            lenient({"kty": "EC"})
