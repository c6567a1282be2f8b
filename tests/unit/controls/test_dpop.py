from typing import Any

import pytest

from gateway.controls import dpop as module
from gateway.controls.dpop import NONCE_SECONDS, NONCE_TURNS, Proofs
from gateway.controls.signature import widest_window
from gateway.core.chain import Claim, ClaimOnce
from gateway.core.exchange import Exchange
from gateway.core.message import Instant
from gateway.core.reasons import Denied, Reason
from gateway.core.secret import Secret
from gateway.signing.window import Window
from tests import proofs, world
from tests.proofs import KEY, OTHER_KEY, URI
from tests.world import NOW, Answers, World

TOKEN = world.token(world.claims(cnf={"jkt": proofs.jkt()}))
SECRET = Secret(b"n" * 32)
INVALID = 'error="invalid_dpop_proof"'


def control(bound_to: str = "dpop", **changes: Any) -> Any:
    return world.token_control(bound_to=bound_to, proofs=Proofs(**changes))


def checked(
    proof: str | None,
    *,
    token: str = TOKEN,
    scheme: str = "DPoP",
    by: Any = None,
    answers: Answers | None = None,
    **changes: Any,
) -> Exchange:
    fields = {"authorization": f"{scheme} {token}", "dpop": proof}
    exchange = World(fields=fields, **changes).exchange()
    exchange.partner = world.partner()
    world.check(by or control(), exchange, answers)
    return exchange


def refusal(proof: str | None, **changes: Any) -> Denied:
    with pytest.raises(Denied) as caught:
        checked(proof, **changes)
    return caught.value


def made(**changes: Any) -> str:
    return proofs.proof(TOKEN, **changes)


def test_a_token_with_its_proof_is_taken_and_the_proof_claimed() -> None:
    answers = Answers()
    exchange = checked(made(), answers=answers)
    assert exchange.claims is not None
    claim = answers.asked[-1]
    assert claim == ClaimOnce(f"dpop:{world.PARTNER}", f"{proofs.jkt()}/proof-1".encode(), NOW, Instant(NOW + 60))


@pytest.mark.parametrize(
    "uri",
    [URI.upper().replace("/V1/DEPOSITS", "/v1/deposits"), f"https://{world.HOST}:443/v1/deposits", URI + "?a=b#c"],
)
def test_uris_are_compared_as_uris_without_query_and_fragment(uri: str) -> None:
    assert checked(made(htu=uri), target=b"/v1/deposits?x=y").claims is not None


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("/", ""),
        ("/", "/"),
        ("/p/~a-b", "/p/%7Ea%2Db"),
        ("/p/%c3%a4", "/p/%C3%A4"),
        ("/p/%C3%A4", "/p/%c3%a4"),
        ("/p/a%20b", "/p/a%20b"),
        ("/p/c", "/p/a/b/../.././c"),
        ("/p/", "/p/a/.."),
        ("/p/", "/p/."),
        ("/p", "/../p"),
        ("/p/.well-known", "/p/.well-known"),
        ("/p/a", "/p/%2e/a"),
    ],
)
def test_uris_are_normalised_before_they_are_compared(path: str, uri: str) -> None:
    head = world.World().head()._replace(path=path)
    for server in (world.HOST, world.HOST.upper(), f"{world.HOST}:443", f"{world.HOST}:"):
        assert module._is_uri_of(head, f"https://{server}{uri}")


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("/p/a", "/p/a/"), ("/p/a", "/P/a"), ("/p/a", "/p//a"), ("/p/a", "/p%2Fa"), ("/p/a", "/p/a%20"),
        ("/p/a", "/p/ a"), ("/p/a", "/p/\na"), ("/p/a", "\t/p/a"), ("/p/a", "/p/b/..\\a"), ("/p/a", "/p/a/%"),
        ("/p/a", "/p/ä"), ("/p/a", ";@evil.example/p/a"),
    ],
)  # fmt: skip
def test_uris_that_differ_stay_different(path: str, uri: str) -> None:
    assert not module._is_uri_of(world.World().head()._replace(path=path), f"https://{world.HOST}{uri}")


@pytest.mark.parametrize("server", ["user@{}", "{}:80", "{}:0443", "[{}]", "{}.", "", "{}@evil.example"])
def test_servers_that_differ_stay_different(server: str) -> None:
    head = world.World().head()
    assert not module._is_uri_of(head, f"https://{server.format(world.HOST)}{head.path}")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"htm": "GET"}, "htm or htu"),
        ({"htm": "post"}, "htm or htu"),
        ({"htu": URI.replace("https", "http")}, "htm or htu"),
        ({"htu": "https://evil.example/v1/deposits"}, "htm or htu"),
        ({"htu": URI + "/"}, "htm or htu"),
        ({"htu": URI.replace(world.HOST, f"{world.HOST}:8443")}, "htm or htu"),
        ({"htu": "https://[::/v1/deposits"}, "htm or htu"),
        ({"iat": int(NOW) - 61}, "iat lies 61 s back"),
        ({"iat": int(NOW) + 11}, "iat lies 11 s ahead"),
        ({"ath": proofs.ath("another")}, "ath is not this token's"),
        ({"header": {"typ": "JWT"}}, "typ is not dpop+jwt"),
    ],
)
def test_a_proof_for_something_else_is_refused(changes: dict[str, Any], said: str) -> None:
    denied = refusal(made(**changes))
    assert denied.reason is Reason.TOKEN_PROOF
    assert said in denied.detail
    challenge = f'DPoP realm="gateway", algs="ES256 Ed25519 EdDSA PS256", {INVALID}'
    assert denied.fields == (("www-authenticate", challenge),)


def test_a_token_without_a_proof_is_refused() -> None:
    assert refusal(None).reason is Reason.TOKEN_PROOF


def test_two_proofs_are_none() -> None:
    denied = refusal(made(), extra=[("dpop", made())])
    assert denied.reason is Reason.FIELD_REPEATED


def test_a_proof_by_another_key_is_refused() -> None:
    denied = refusal(made(key=OTHER_KEY))
    assert denied.reason is Reason.TOKEN_BINDING
    assert 'error="invalid_token"' in denied.fields[0][1]


def test_an_algorithm_that_the_route_does_not_take_is_refused() -> None:
    key = proofs.generated("RSA-2048")
    token = world.token(world.claims(cnf={"jkt": key.thumbprint()}))
    assert refusal(proofs.proof(token, key, algorithm="RS256"), token=token).reason is Reason.TOKEN_PROOF
    assert checked(proofs.proof(token, key, algorithm="PS256"), token=token).claims is not None


@pytest.mark.parametrize(
    ("answer", "reason"), [(Claim.SEEN, Reason.TOKEN_PROOF_REPLAYED), (Claim.UNKNOWABLE, Reason.REPLAY_UNKNOWABLE)]
)
def test_a_proof_counts_once(answer: Claim, reason: Reason) -> None:
    denied = refusal(made(), answers=Answers({ClaimOnce: lambda _: answer}))
    assert denied.reason is reason
    assert INVALID in denied.fields[0][1]


def test_a_proof_of_a_request_that_is_refused_anyway_is_not_claimed() -> None:
    answers = Answers()
    token = world.token(world.claims(cnf={"jkt": proofs.jkt()}, scope="openid"))
    assert refusal(proofs.proof(token), token=token, answers=answers).reason is Reason.TOKEN_SCOPE
    assert not any(isinstance(ask, ClaimOnce) for ask in answers.asked)


class TestSchemes:
    BEARER = 'Bearer realm="gateway"'
    DPOP = 'DPoP realm="gateway", algs="ES256 Ed25519 EdDSA PS256"'

    def test_a_bound_token_is_no_bearer_token(self) -> None:
        for bound_to in ("dpop", "either"):
            denied = refusal(made(), scheme="Bearer", by=control(bound_to))
            assert denied.reason is Reason.TOKEN_BINDING

    def test_a_bearer_token_does_not_come_with_dpop(self) -> None:
        token = world.token()
        denied = refusal(proofs.proof(token), token=token)
        assert denied.reason is Reason.TOKEN_BINDING

    def test_a_route_of_dpop_alone_takes_no_certificate(self) -> None:
        token = world.token(world.claims(cnf=CNF))
        denied = refusal(None, token=token, scheme="Bearer")
        assert denied.reason is Reason.TOKEN_BINDING
        assert denied.fields == (("www-authenticate", f'{self.DPOP}, error="invalid_token"'),)

    def test_either_takes_both(self) -> None:
        assert checked(made(), by=control("either")).claims is not None
        token = world.token(world.claims(cnf=CNF))
        assert checked(None, token=token, scheme="Bearer", by=control("either")).claims is not None

    def test_either_takes_no_token_that_is_bound_to_nothing(self) -> None:
        assert refusal(None, token=world.token(), scheme="Bearer", by=control("either")).reason is Reason.TOKEN_BINDING

    def test_a_token_that_is_bound_to_both_needs_both(self) -> None:
        token = world.token(world.claims(cnf={**CNF, "jkt": proofs.jkt()}))
        proof = proofs.proof(token)
        assert checked(proof, token=token).claims is not None
        stolen = refusal(proof, token=token, peer=world.peer(certificate=world.other_certificate()))
        assert stolen.reason is Reason.TOKEN_BINDING

    def test_challenges_name_the_schemes_and_the_one_that_was_used_has_the_error(self) -> None:
        by = control("either")
        none = refusal_without_token(by)
        assert [value for _, value in none.fields] == [self.BEARER, self.DPOP]
        used = refusal(made(iat=1), by=by)
        assert [value for _, value in used.fields] == [self.BEARER, f"{self.DPOP}, {INVALID}"]
        bearer = refusal(None, token="a.b.c", scheme="Bearer", by=by)
        assert [value for _, value in bearer.fields] == [f'{self.BEARER}, error="invalid_token"', self.DPOP]

    def test_routes_without_proofs_know_no_dpop(self) -> None:
        assert refusal(made(), by=world.token_control()).reason is Reason.TOKEN_MISSING


CNF = {"x5t#S256": "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s"}


def refusal_without_token(by: Any) -> Denied:
    exchange = World(fields={"authorization": None}).exchange()
    with pytest.raises(Denied) as caught:
        world.check(by, exchange)
    return caught.value


class TestNonce:
    BY = control(nonce=SECRET)

    def fresh(self, now: float = NOW) -> str:
        ((name, value),) = Proofs(nonce=SECRET).fresh_nonce(Instant(now))
        assert name == "dpop-nonce"
        return value

    @pytest.mark.parametrize("nonce", [None, "", "x", "A" * 32, "!" * 32])
    def test_a_proof_without_a_nonce_of_the_gates_is_sent_back_with_one(self, nonce: str | None) -> None:
        denied = refusal(made(nonce=nonce), by=self.BY)
        assert denied.reason is Reason.TOKEN_PROOF_NONCE
        (_, challenge), (name, value) = denied.fields
        assert 'error="use_dpop_nonce"' in challenge
        assert (name, value) == ("dpop-nonce", self.fresh())

    def test_a_proof_with_it_is_taken_and_no_other_is_handed_out(self) -> None:
        exchange = checked(made(nonce=self.fresh()), by=self.BY)
        assert exchange.response_fields == []

    def test_an_older_one_is_taken_and_a_fresh_one_handed_out(self) -> None:
        old = self.fresh(NOW - NONCE_SECONDS * (NONCE_TURNS - 1))
        exchange = checked(made(nonce=old), by=self.BY)
        assert exchange.response_fields == [("dpop-nonce", self.fresh())]

    def test_one_from_too_long_ago_or_from_the_future_is_not(self) -> None:
        for turns in (-NONCE_TURNS, 2):
            nonce = self.fresh(NOW + NONCE_SECONDS * turns)
            assert refusal(made(nonce=nonce), by=self.BY).reason is Reason.TOKEN_PROOF_NONCE

    def test_one_of_another_gate_is_not(self) -> None:
        ((_, nonce),) = Proofs(nonce=Secret(b"o" * 32)).fresh_nonce(NOW)
        assert refusal(made(nonce=nonce), by=self.BY).reason is Reason.TOKEN_PROOF_NONCE

    def test_a_route_that_wants_none_hands_none_out(self) -> None:
        assert Proofs().fresh_nonce(NOW) == ()
        assert checked(made(nonce="theirs")).response_fields == []


def test_proofs_widen_the_window_that_the_replay_memory_knows() -> None:
    chain = world.chain(signature=None, replay=None, token=control(window=Window(90.0, 20.0)))
    assert widest_window(world.policy(world.route(chain=chain))) == Window(90.0, 20.0)


@pytest.mark.parametrize(
    "changes", [{"bound_to": "dpop"}, {"proofs": Proofs()}, {"bound_to": "certificate", "proofs": Proofs()}]
)
def test_proofs_go_with_a_binding_that_takes_them(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="proofs go with bound_to"):
        world.token_control(**changes)


def test_secrets_and_keys_are_not_shown() -> None:
    assert "nonce" not in repr(Proofs(nonce=SECRET))
    assert KEY is not OTHER_KEY
