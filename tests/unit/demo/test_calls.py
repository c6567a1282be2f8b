"""Calls are valid as they stand, and a change changes one thing."""

import json
from dataclasses import replace

import jwt
import pytest

from gateway.demo.calls import Call, Forgery, Message, Token
from gateway.demo.credentials import ACME, Credentials
from gateway.demo.scenarios import ACCOUNT, DEPOSIT, LIMITS, OLD_DEBIT, with_token
from gateway.demo.signing import Stamp, sign_wallet
from tests.unit.demo.world import NOW


def fields(call: Call, credentials: Credentials) -> dict[str, str]:
    return dict(call.message(credentials, NOW).fields)


def claims(call: Call, credentials: Credentials) -> dict[str, object]:
    token = fields(call, credentials)["Authorization"].removeprefix("Bearer ")
    read: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
    return read


def test_a_token_says_who_what_and_how_long(credentials: Credentials) -> None:
    read = claims(DEPOSIT, credentials)
    assert read.pop("jti") != claims(DEPOSIT, credentials)["jti"]
    assert read == {
        "iss": "https://idp.operator.example",
        "sub": "svc-acme-casino",
        "aud": "psp",
        "scope": "psp:deposit",
        "iat": NOW,
        "exp": NOW + 300,
    }


@pytest.mark.parametrize(
    ("change", "claim", "value"),
    [
        ({"lifetime": 86_400.0}, "exp", NOW + 86_400),
        ({"issued_ago": 600.0}, "exp", NOW - 300),
        ({"issued_ago": -600.0}, "iat", NOW + 600),
        ({"subject": "somebody"}, "sub", "somebody"),
        ({"issuer": "https://other.example"}, "iss", "https://other.example"),
        ({"audience": "casino"}, "aud", "casino"),
    ],
)
def test_a_token_is_changed_in_one_claim(
    credentials: Credentials, change: dict[str, object], claim: str, value: object
) -> None:
    assert claims(with_token(DEPOSIT, **change), credentials)[claim] == value


@pytest.mark.parametrize(
    ("forgery", "algorithm", "known_key_id"),
    [
        (Forgery.NONE, "ES256", True),
        (Forgery.KNOWN_KEY_ID, "ES256", True),
        (Forgery.UNKNOWN_KEY_ID, "ES256", False),
        (Forgery.UNSIGNED, "none", True),
    ],
)
def test_a_forgery_is_what_it_says(
    credentials: Credentials, forgery: Forgery, algorithm: str, *, known_key_id: bool
) -> None:
    token = fields(with_token(DEPOSIT, forgery=forgery), credentials)["Authorization"].removeprefix("Bearer ")
    header = jwt.get_unverified_header(token)
    assert (header["alg"], header["kid"] == credentials.operator.key_id) == (algorithm, known_key_id)
    key = jwt.PyJWKSet.from_json(credentials.operator.key_set().decode()).keys[0]
    if forgery is Forgery.NONE:
        jwt.decode(token, key, algorithms=["ES256"], audience="psp", options={"verify_exp": False, "verify_iat": False})
    else:
        with pytest.raises(jwt.InvalidTokenError):
            jwt.decode(token, key, algorithms=["ES256"], options={"verify_aud": False})


def test_a_signature_covers_the_body_that_is_sent(credentials: Credentials) -> None:
    message = DEPOSIT.message(credentials, NOW)
    sent = dict(message.fields)
    stamp = Stamp("acme-2026-11", int(NOW), sent["X-Nonce"])
    signed = sign_wallet(credentials.secret("acme-2026-11"), stamp, "POST", "/psp/v1/deposits", message.body)
    assert signed.items() <= sent.items()


def test_each_message_has_a_nonce_and_a_reference_of_its_own(credentials: Credentials) -> None:
    one, other = DEPOSIT.message(credentials, NOW), DEPOSIT.message(credentials, NOW)
    assert dict(one.fields)["X-Nonce"] != dict(other.fields)["X-Nonce"]
    assert json.loads(one.body)["reference"] != json.loads(other.body)["reference"]


def test_what_moves_no_money_has_no_reference(credentials: Credentials) -> None:
    assert json.loads(LIMITS.message(credentials, NOW).body) == {"daily_deposit": "500.00"}


def test_a_signature_can_be_dated_back(credentials: Credentials) -> None:
    assert fields(replace(DEPOSIT, signed_ago=7200), credentials)["X-Timestamp"] == str(int(NOW) - 7200)


def test_an_unknown_key_is_nobodys(credentials: Credentials) -> None:
    assert fields(replace(DEPOSIT, key_id="acme-2031-01"), credentials)["X-Key-Id"] == "acme-2031-01"


def test_a_partner_without_tokens_sends_none(credentials: Credentials) -> None:
    assert "Authorization" not in fields(OLD_DEBIT, credentials)
    with pytest.raises(RuntimeError, match="sends no token"):
        with_token(OLD_DEBIT, lifetime=1.0)


def test_a_read_is_not_signed(credentials: Credentials) -> None:
    assert set(fields(ACCOUNT, credentials)) == {"Authorization"}


def test_a_change_comes_after_the_signature(credentials: Credentials) -> None:
    call = replace(DEPOSIT, change=lambda message: replace(message, body=b"{}"), extra=(("X-More", "1"),))
    message = call.message(credentials, NOW)
    assert (message.body, dict(message.fields)["X-More"]) == (b"{}", "1")


def test_the_certificate_is_the_partys_own_unless_another_is_named() -> None:
    call = Call("psp-deposit", ACME, "GET", "/", Token("psp", "x"))
    assert (call.certificate, replace(call, identity="foreign").certificate) == ("acme-casino", "foreign")
    assert replace(call, identity="").certificate == ""


def test_a_message_is_framed_and_addressed() -> None:
    message = Message("POST", "/a", (("X-A", "1"),), b"body")
    assert message.render("gate:1") == b"POST /a HTTP/1.1\r\nHost: gate:1\r\nX-A: 1\r\nContent-Length: 4\r\n\r\nbody"


@pytest.mark.parametrize("framing", [("Transfer-Encoding", "chunked"), ("content-length", "9")])
def test_a_message_with_a_framing_of_its_own_keeps_it(framing: tuple[str, str]) -> None:
    rendered = Message("GET", "/", (("host", "a"), framing), b"", "HTTP/1.0").render("gate:1")
    assert rendered == f"GET / HTTP/1.0\r\nhost: a\r\n{framing[0]}: {framing[1]}\r\n\r\n".encode()
