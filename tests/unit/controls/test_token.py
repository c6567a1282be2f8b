import json
from typing import Any

import pytest

from gateway.controls.claims import ClaimRules
from gateway.controls.credentials import MAX_TOKEN_BYTES
from gateway.controls.token import TokenControl
from gateway.controls.verified import VerifiedTokens
from gateway.core.chain import FetchKeys
from gateway.core.exchange import Exchange
from gateway.core.message import Instant
from gateway.core.reasons import Denied, Reason, Unavailable
from gateway.signing.jose import encode_base64url
from gateway.signing.jwks import KeySet
from tests import world
from tests.world import KEY_ID, NOW, Answers, World, raising, token

INVALID_TOKEN = (("www-authenticate", 'Bearer realm="gateway", error="invalid_token"'),)


def checked(control: TokenControl | None = None, answers: Answers | None = None, **changes: Any) -> Exchange:
    exchange = World(**changes).exchange()
    exchange.partner = world.partner()
    world.check(control or world.token_control(), exchange, answers)
    return exchange


def refusal(control: TokenControl | None = None, answers: Answers | None = None, **changes: Any) -> Denied:
    with pytest.raises(Denied) as caught:
        checked(control, answers, **changes)
    return caught.value


def keys_of(*members: Any) -> Answers:
    keys = KeySet.load(world.jwks(*members))
    return Answers({FetchKeys: lambda _: keys})


class TestWhereTheTokenStands:
    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
    def test_the_scheme_is_read_in_any_case(self, scheme: str) -> None:
        exchange = checked(fields={"authorization": f"{scheme} {token()}"})
        assert exchange.claims is not None
        assert exchange.claims.subject == world.SUBJECT

    @pytest.mark.parametrize("credentials", [None, "Basic YWNtZTphY21l", "DPoP abc", "Bearertoken abc", ""])
    def test_a_request_without_a_bearer_token_is_challenged_without_an_error(self, credentials: str | None) -> None:
        denied = refusal(fields={"authorization": credentials})
        assert denied.reason is Reason.TOKEN_MISSING
        assert denied.fields == (("www-authenticate", 'Bearer realm="gateway"'),)

    def test_a_second_authorization_field_is_refused(self) -> None:
        assert refusal(extra=[("authorization", f"Bearer {token()}")]).reason is Reason.FIELD_REPEATED

    @pytest.mark.parametrize(
        "credentials",
        [
            pytest.param("Bearer", id="nothing"),
            pytest.param("Bearer\tabc", id="tab"),
            pytest.param("Bearer a.b.c, Bearer a.b.c", id="list"),
            pytest.param("Bearer a.b.c d.e.f", id="two tokens"),
            pytest.param('Bearer token="a.b.c"', id="parameter"),
            pytest.param('Bearer {"payload":"e30"}', id="JSON serialisation"),
            pytest.param("Bearer a.b.c\u00e9", id="not ASCII"),
        ],
    )
    def test_what_is_not_one_token_is_refused(self, credentials: str) -> None:
        denied = refusal(fields={"authorization": credentials})
        assert denied.reason in (Reason.TOKEN_MALFORMED, Reason.TOKEN_MISSING)
        assert denied.reason.status == 401

    def test_a_token_in_the_query_is_not_read(self) -> None:
        target = f"/v1/deposits?access_token={token()}".encode()
        assert refusal(target=target, fields={"authorization": None}).reason is Reason.TOKEN_MISSING

    def test_a_long_token_is_refused_unread(self) -> None:
        answers = Answers()
        denied = refusal(answers=answers, fields={"authorization": "Bearer " + "A" * MAX_TOKEN_BYTES})
        assert denied.reason is Reason.TOKEN_MALFORMED
        assert answers.asked == []


class TestForm:
    @pytest.mark.parametrize(
        "spelling",
        [
            pytest.param(lambda text: f"{text}=", id="padding"),
            pytest.param(lambda text: text[:-1] + chr(ord(text[-1]) + 1), id="stray bits"),
            pytest.param(lambda text: f"{text}.", id="four parts"),
            pytest.param(lambda text: f"{text}.AAAA.AAAA", id="five parts"),
            pytest.param(lambda text: text.rpartition(".")[0], id="two parts"),
        ],
    )
    def test_another_spelling_is_refused_also_of_a_token_that_is_known(self, spelling: Any) -> None:
        control, text = world.token_control(), token()
        checked(control, token=text)
        denied = refusal(control, token=spelling(text))
        assert denied.reason is Reason.TOKEN_MALFORMED
        assert denied.fields == INVALID_TOKEN

    @pytest.mark.parametrize("parameter", ["crit", "b64", "jwk", "jku", "x5c", "x5u"])
    def test_a_header_that_brings_its_own_rules_is_refused(self, parameter: str) -> None:
        value = {"crit": ["b64"], "b64": False, "jwk": world.jwk()}.get(parameter, "https://evil.example")
        assert refusal(token=token(header={parameter: value})).reason is Reason.TOKEN_MALFORMED

    @pytest.mark.parametrize(
        "payload",
        [
            pytest.param(b"[]", id="no object"),
            pytest.param(json.dumps(world.claims()).encode("utf-16"), id="UTF-16"),
            pytest.param(json.dumps(world.claims()).encode()[:-1] + b', "sub": "blue-backend"}', id="duplicate claim"),
            pytest.param(b'{"exp": NaN}', id="NaN"),
        ],
    )
    def test_claims_with_two_readings_are_refused(self, payload: bytes) -> None:
        assert refusal(token=token(payload)).reason is Reason.TOKEN_MALFORMED


class TestSignature:
    @pytest.mark.parametrize(
        ("kind", "algorithm"),
        [
            ("P-256", "ES256"),
            ("P-384", "ES384"),
            ("P-521", "ES512"),
            ("RSA-2048", "RS256"),
            ("RSA-2048", "PS512"),
            ("Ed25519", "EdDSA"),
        ],
    )
    def test_every_algorithm_of_the_issuer_is_taken(self, kind: str, algorithm: str) -> None:
        key = world.private_key(kind)
        control = world.token_control(issuer=world.issuer(algorithms=frozenset({algorithm})))
        exchange = checked(control, keys_of(world.jwk(key)), token=token(algorithm=algorithm, key=key))
        assert exchange.claims is not None

    def test_none_is_refused(self) -> None:
        header, payload, _ = token(header={"alg": "none"}).split(".")
        assert refusal(token=f"{header}.{payload}.").reason is Reason.TOKEN_ALGORITHM

    def test_an_algorithm_that_the_policy_does_not_list_is_refused(self) -> None:
        key = world.private_key("RSA-2048")
        answers = keys_of(world.jwk(key))
        assert refusal(None, answers, token=token(algorithm="RS256", key=key)).reason is Reason.TOKEN_ALGORITHM

    def test_the_public_key_is_no_secret_of_hmac(self) -> None:
        denied = refusal(token=token(header={"alg": "HS256"}))
        assert denied.reason is Reason.TOKEN_ALGORITHM

    def test_a_listed_algorithm_that_does_not_fit_the_key_is_refused(self) -> None:
        control = world.token_control(issuer=world.issuer(algorithms=frozenset({"ES256", "RS256"})))
        assert refusal(control, token=token(header={"alg": "RS256"})).reason is Reason.TOKEN_ALGORITHM

    def test_an_algorithm_that_the_key_was_not_published_for_is_refused(self) -> None:
        key = world.private_key("RSA-2048")
        control = world.token_control(issuer=world.issuer(algorithms=frozenset({"RS256", "PS256"})))
        answers = keys_of(world.jwk(key, alg="PS256"))
        assert refusal(control, answers, token=token(algorithm="RS256", key=key)).reason is Reason.TOKEN_ALGORITHM

    @pytest.mark.parametrize("kid", [None, "operator-2", "", "../operator-1"])
    def test_an_unknown_key_is_refused(self, kid: str | None) -> None:
        assert refusal(token=token(header={"kid": kid})).reason is Reason.TOKEN_KEY_UNKNOWN

    def test_another_key_under_a_known_kid_is_refused(self) -> None:
        denied = refusal(token=token(key=world.private_key("P-256", "attacker")))
        assert denied.reason is Reason.TOKEN_SIGNATURE
        assert denied.fields == INVALID_TOKEN

    @pytest.mark.parametrize("part", [0, 1, 2])
    def test_a_part_of_another_token_is_refused(self, part: int) -> None:
        parts = token().split(".")
        other = token({**world.claims(), "scope": "admin"}, header={"typ": "JWT"}).split(".")
        parts[part] = other[part]
        assert refusal(token=".".join(parts)).reason is Reason.TOKEN_SIGNATURE

    @pytest.mark.parametrize("signature", [b"", b"\0" * 64, b"\xff" * 64, b"\0" * 63])
    def test_what_is_no_signature_is_refused(self, signature: bytes) -> None:
        signing_input = token().rpartition(".")[0]
        denied = refusal(token=f"{signing_input}.{encode_base64url(signature)}")
        assert denied.reason is Reason.TOKEN_SIGNATURE

    def test_keys_that_cannot_be_had_deny(self) -> None:
        unavailable = Unavailable(Reason.TOKEN_KEYS_UNAVAILABLE, "the file is gone")
        decision = World(answers=Answers({FetchKeys: raising(unavailable)})).decide()
        assert (decision.allowed, decision.reason) == (False, Reason.TOKEN_KEYS_UNAVAILABLE)

    @pytest.mark.parametrize("algorithms", [[], ["none"], ["HS256"], ["ES256", "HS256"]])
    def test_an_issuer_without_asymmetric_algorithms_is_no_issuer(self, algorithms: list[str]) -> None:
        with pytest.raises(ValueError, match="algorithms must be some of"):
            world.token_control(issuer=world.issuer(algorithms=frozenset(algorithms)))


class TestClaims:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"iss": "https://idp.evil.example"}, Reason.TOKEN_ISSUER),
            ({"aud": "pam"}, Reason.TOKEN_AUDIENCE),
            ({"exp": NOW - 10}, Reason.TOKEN_EXPIRED),
            ({"nbf": NOW + 60}, Reason.TOKEN_NOT_YET_VALID),
            ({"exp": NOW + 3600}, Reason.TOKEN_LIFETIME),
            ({"sub": None}, Reason.TOKEN_CLAIM),
            ({"exp": None}, Reason.TOKEN_CLAIM),
        ],
    )
    def test_a_claim_that_does_not_hold_is_refused(self, changes: dict[str, Any], reason: Reason) -> None:
        denied = refusal(token=token(world.claims(**changes)))
        assert denied.reason is reason
        assert denied.fields == INVALID_TOKEN

    def test_a_missing_scope_is_refused_and_the_scopes_are_named(self) -> None:
        control = world.token_control(scopes=frozenset({"b", "a", world.SCOPE}))
        denied = refusal(control)
        assert denied.reason is Reason.TOKEN_SCOPE
        assert denied.detail == "lacks a b"
        challenge = 'Bearer realm="gateway", error="insufficient_scope", scope="a b deposit:write"'
        assert denied.fields == (("www-authenticate", challenge),)

    def test_a_scope_is_no_prefix_of_another(self) -> None:
        assert refusal(token=token(world.claims(scope="deposit:write:own"))).reason is Reason.TOKEN_SCOPE

    def test_facts_are_there_for_the_record_when_a_scope_is_missing(self) -> None:
        decision = World(token=token(world.claims(scope="openid"))).decide()
        assert decision.reason is Reason.TOKEN_SCOPE
        assert decision.exchange.claims is not None
        assert decision.exchange.claims.subject == world.SUBJECT


class TestPartner:
    def test_the_subject_identifies_the_partner_where_nothing_did(self) -> None:
        exchange = World().exchange()
        world.check(world.token_control(), exchange)
        assert exchange.partner is not None
        assert exchange.partner.name == world.PARTNER

    def test_another_partners_token_is_refused(self) -> None:
        denied = refusal(token=token(world.claims(sub=world.OTHER_SUBJECT)))
        assert denied.reason is Reason.TOKEN_SUBJECT
        assert denied.fields == ()

    @pytest.mark.parametrize("subject", ["nobody", world.SUBJECT.upper()])
    def test_a_subject_that_no_partner_lists_is_refused(self, subject: str) -> None:
        exchange = World(token=token(world.claims(sub=subject))).exchange()
        with pytest.raises(Denied) as caught:
            world.check(world.token_control(), exchange)
        assert caught.value.reason is Reason.TOKEN_SUBJECT

    def test_a_subject_that_two_partners_list_is_refused(self) -> None:
        rival = world.other_partner(subjects={"operator": frozenset({world.SUBJECT})})
        policy = world.policy(partners={world.PARTNER: world.partner(), world.OTHER_PARTNER: rival})
        exchange = World(policy=policy).exchange()
        with pytest.raises(Denied) as caught:
            world.check(world.token_control(), exchange)
        assert caught.value.reason is Reason.TOKEN_SUBJECT
        assert caught.value.detail == "sub is listed by acme-casino, blue-bingo"

    def test_a_subject_of_another_issuer_does_not_count(self) -> None:
        stranger = world.partner(subjects={"another-issuer": frozenset({world.SUBJECT})})
        exchange = World().exchange()
        exchange.partner = stranger
        with pytest.raises(Denied) as caught:
            world.check(world.token_control(), exchange)
        assert caught.value.reason is Reason.TOKEN_SUBJECT

    def test_a_partner_that_the_route_does_not_list_is_refused(self) -> None:
        exchange = World(token=token(world.claims(sub=world.OTHER_SUBJECT))).exchange()
        with pytest.raises(Denied) as caught:
            world.check(world.token_control(), exchange)
        assert caught.value.reason is Reason.PARTNER_NOT_ALLOWED

    def test_the_policy_says_which_claim_names_the_partner(self) -> None:
        control = world.token_control(issuer=world.issuer(partner_claim="client_id"))
        exchange = checked(control, token=token(world.claims(sub="player-7", client_id=world.SUBJECT)))
        assert exchange.claims is not None
        assert exchange.claims.subject == "player-7"

    def test_a_token_without_the_partner_claim_is_refused(self) -> None:
        control = world.token_control(issuer=world.issuer(partner_claim="client_id"))
        assert refusal(control).reason is Reason.TOKEN_CLAIM


class TestMemory:
    def test_a_verified_token_is_remembered(self) -> None:
        control, text = world.token_control(), token()
        checked(control, token=text)
        checked(control, token=text)
        assert len(control.verified) == 1

    def test_the_signature_of_a_remembered_token_is_not_verified_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        control, text = world.token_control(), token()
        checked(control, token=text)
        monkeypatch.setattr("gateway.controls.token.CompactJws", None)
        assert checked(control, token=text).claims is not None

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param(token(key=world.private_key("P-256", "attacker")), id="forged"),
            pytest.param(token(header={"kid": "unknown"}), id="unknown key"),
            pytest.param(token(b"[]"), id="no claims"),
            pytest.param(token(world.claims(exp=None)), id="no expiry"),
        ],
    )
    def test_a_token_that_was_refused_is_not_remembered(self, text: str) -> None:
        control = world.token_control()
        assert refusal(control, token=text)
        assert len(control.verified) == 0

    def test_the_claims_of_a_remembered_token_are_checked_each_time(self) -> None:
        control, text = world.token_control(), token()
        checked(control, token=text)
        assert refusal(control, token=text, now=Instant(NOW + 250)).reason is Reason.TOKEN_EXPIRED

    def test_each_route_checks_the_claims_by_its_own_rules(self) -> None:
        control, text = world.token_control(), token()
        checked(control, token=text)
        other = world.token_control(audience="pam", verified=control.verified)
        assert refusal(other, token=text).reason is Reason.TOKEN_AUDIENCE

    def test_an_algorithm_that_was_struck_off_is_refused_also_of_a_remembered_token(self) -> None:
        control, text = world.token_control(), token()
        checked(control, token=text)
        issuer = world.issuer(algorithms=frozenset({"ES384"}))
        other = world.token_control(issuer=issuer, verified=control.verified)
        assert refusal(other, token=text).reason is Reason.TOKEN_ALGORITHM

    def test_new_keys_end_what_old_ones_verified(self) -> None:
        control, text = world.token_control(), token()
        checked(control, token=text)
        rotated = keys_of(world.jwk(world.private_key("P-256", "new")))
        assert refusal(control, rotated, token=text).reason is Reason.TOKEN_SIGNATURE
        assert len(control.verified) == 0

    def test_a_memory_of_nothing_keeps_nothing(self) -> None:
        control = world.token_control(verified=VerifiedTokens(capacity=0))
        assert checked(control).claims is not None
        assert len(control.verified) == 0

    def test_a_known_token_is_known_however_its_scheme_is_spelt(self) -> None:
        control, text = world.token_control(), token()
        for scheme in ("Bearer", "bearer", "Bearer  "):
            assert checked(control, fields={"authorization": f"{scheme} {text}"}).claims is not None
        assert len(control.verified) == 1

    def test_a_known_token_is_taken_without_being_read_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        control, text = world.token_control(), token()
        known = checked(control, token=text).claims
        monkeypatch.setattr("gateway.controls.token.presented_token", None)
        monkeypatch.setattr(ClaimRules, "check", None)
        assert checked(control, token=text).claims is known

    def test_tokens_are_not_shown(self) -> None:
        control, text = world.token_control(), token()
        checked(control, token=text)
        assert repr(control.verified) == "VerifiedTokens(1 of 10000)"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(token(key=world.private_key("P-256", "attacker")), id="forged"),
        pytest.param(token(world.claims(aud="pam")), id="another audience"),
        pytest.param(token()[:-1], id="cut off"),
    ],
)
def test_no_refusal_shows_the_token(text: str) -> None:
    denied = refusal(token=text)
    shown = f"{denied} {denied.detail} {denied.fields}"
    assert not any(part in shown for part in text.split("."))


def test_the_key_of_a_refused_token_is_named() -> None:
    assert KEY_ID in refusal(token=token(key=world.private_key("P-256", "attacker"))).detail
