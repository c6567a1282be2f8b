"""What a route may ask of a token beside its validity: its profile, its sender, its resource."""

from typing import Any

import pytest

from gateway.controls.demands import PathTie
from gateway.core.facts import Confirmation
from gateway.core.policy import Match, SwitchedOff
from gateway.core.reasons import Reason
from gateway.signing.jose import encode_base64url
from tests import world
from tests.mint import changed
from tests.unit.controls.test_token import INVALID_TOKEN, checked, refusal
from tests.world import token

THUMBPRINT = encode_base64url(bytes.fromhex(world.certificate().fingerprint))
CNF = {"x5t#S256": THUMBPRINT}
JKT = encode_base64url(b"k" * 32)


class TestProfile:
    CONTROL = world.token_control(issuer=world.issuer(profile="rfc9068"))

    def test_an_access_token_by_rfc_9068_is_taken(self) -> None:
        exchange = checked(self.CONTROL, token=token(world.claims(client_id="acme")))
        assert exchange.claims is not None

    @pytest.mark.parametrize("typ", ["application/at+jwt", "AT+JWT"])
    def test_the_type_may_be_spelt_as_a_media_type(self, typ: str) -> None:
        assert checked(self.CONTROL, token=token(world.claims(client_id="acme"), header={"typ": typ})).claims

    @pytest.mark.parametrize("typ", ["JWT", None])
    def test_another_type_is_refused(self, typ: str | None) -> None:
        denied = refusal(self.CONTROL, token=token(world.claims(client_id="acme"), header={"typ": typ}))
        assert denied.reason is Reason.TOKEN_TYPE
        assert denied.fields == INVALID_TOKEN

    @pytest.mark.parametrize("claim", ["client_id", "jti"])
    def test_a_claim_that_the_profile_wants_must_be_there(self, claim: str) -> None:
        claims = {**world.claims(client_id="acme"), claim: None}
        assert refusal(self.CONTROL, token=token(changed(claims, {}))).reason is Reason.TOKEN_CLAIM


class TestBinding:
    """RFC 8705: a token may be its own client certificate's alone."""

    @pytest.mark.parametrize("bound_to", ["certificate", None])
    def test_a_token_of_this_certificate_is_taken(self, bound_to: Any) -> None:
        claims = checked(world.token_control(bound_to=bound_to), token=token(world.claims(cnf=CNF))).claims
        assert claims is not None
        assert claims.confirmation == Confirmation(world.certificate().fingerprint, None)

    @pytest.mark.parametrize("bound_to", ["certificate", None])
    @pytest.mark.parametrize("given", [world.other_certificate(), None])
    def test_it_is_refused_from_any_other_sender(self, bound_to: Any, given: Any) -> None:
        control = world.token_control(bound_to=bound_to)
        denied = refusal(control, token=token(world.claims(cnf=CNF)), peer=world.peer(certificate=given))
        assert denied.reason is Reason.TOKEN_BINDING
        assert denied.fields == INVALID_TOKEN

    def test_it_is_refused_on_a_connection_without_tls_facts(self) -> None:
        denied = refusal(token=token(world.claims(cnf=CNF)), peer=world.peer(tls=None))
        assert denied.reason is Reason.TOKEN_BINDING

    @pytest.mark.parametrize("cnf", [None, {}, {"jkt": JKT}, {"kid": "k"}])
    def test_a_route_of_bound_tokens_takes_no_others(self, cnf: Any) -> None:
        control = world.token_control(bound_to="certificate")
        assert refusal(control, token=token(world.claims(cnf=cnf))).reason is Reason.TOKEN_BINDING

    @pytest.mark.parametrize("cnf", [{"jkt": JKT}, {**CNF, "jkt": JKT}, {"kid": "k"}, {}])
    def test_a_binding_that_cannot_be_proved_is_refused_everywhere(self, cnf: Any) -> None:
        assert refusal(token=token(world.claims(cnf=cnf))).reason is Reason.TOKEN_BINDING

    def test_a_remembered_token_is_still_bound(self) -> None:
        control, text = world.token_control(), token(world.claims(cnf=CNF))
        checked(control, token=text)
        stolen = refusal(control, token=text, peer=world.peer(certificate=world.other_certificate()))
        assert stolen.reason is Reason.TOKEN_BINDING

    def test_bindings_can_be_switched_off_in_words(self) -> None:
        control = world.token_control(bound_to=SwitchedOff("token.bound_to", "TLS ends before the gate"))
        assert checked(control, token=token(world.claims(cnf={"jkt": JKT}))).claims is not None

    @pytest.mark.parametrize(
        "cnf", ["text", [], {"x5t#S256": 1}, {"x5t#S256": "AA"}, {"x5t#S256": f"{THUMBPRINT}="}, {"jkt": ""}]
    )
    def test_what_is_no_confirmation_is_refused(self, cnf: Any) -> None:
        assert refusal(token=token(world.claims(cnf=cnf))).reason is Reason.TOKEN_CLAIM


class TestResource:
    """Claims that a route ties to its path."""

    CONTROL = world.token_control(path_ties=(PathTie("player_id", "player"),))

    def sent(self, target: bytes, **claims: Any) -> dict[str, Any]:
        route = world.route(match=Match(frozenset({"POST"}), "/v1/players/{player}"))
        return {"policy": world.policy(route), "target": target, "token": token(world.claims(**claims))}

    @pytest.mark.parametrize(("target", "claim"), [(b"/v1/players/p-1", "p-1"), (b"/v1/players/17", 17)])
    def test_the_same_is_taken(self, target: bytes, claim: object) -> None:
        assert checked(self.CONTROL, **self.sent(target, player_id=claim)).claims is not None

    @pytest.mark.parametrize("claim", ["p-2", "P-1", "p-1 ", "p", ""])
    def test_another_is_refused_without_a_challenge(self, claim: str) -> None:
        denied = refusal(self.CONTROL, **self.sent(b"/v1/players/p-1", player_id=claim))
        assert denied.reason is Reason.TOKEN_RESOURCE
        assert denied.fields == ()
        assert "p-2" not in denied.detail

    @pytest.mark.parametrize("claim", [None, ["p-1"], True, 1.0])
    def test_a_claim_that_is_no_text_is_refused(self, claim: object) -> None:
        assert refusal(self.CONTROL, **self.sent(b"/v1/players/1", player_id=claim)).reason is Reason.TOKEN_CLAIM_RULE

    def test_it_is_compared_each_time(self) -> None:
        control = world.token_control(path_ties=self.CONTROL.path_ties)
        sent = self.sent(b"/v1/players/p-1", player_id="p-1")
        checked(control, **sent)
        assert refusal(control, **{**sent, "target": b"/v1/players/p-2"}).reason is Reason.TOKEN_RESOURCE
