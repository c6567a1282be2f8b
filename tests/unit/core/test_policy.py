from dataclasses import replace

import pytest

from gateway.core.certificates import CertificateMatch
from gateway.core.policy import Endpoint, IdentityFields, Match, Policy, SigningKey
from gateway.core.reasons import Denied, Reason
from gateway.core.secret import Secret
from tests import messages, world
from tests.world import NOW, World

EVERYTHING = {
    "san_uri": "spiffe://acme.example/casino",
    "san_dns": "casino.acme.example",
    "san_email": "payments@acme.example",
    "subject": "CN=casino,O=Acme",
    "fingerprint": "ab" * 32,
    "public_key": "cd" * 32,
}
CERTIFICATE = world.certificate(
    san_dns=("casino.acme.example", "www.acme.example"), san_email=("payments@acme.example",)
)


def with_matches(**matches: CertificateMatch) -> Policy:
    return world.policy(
        partners={name: world.partner(name=name, certificates=(match,)) for name, match in matches.items()}
    )


class TestPartnersOf:
    @pytest.mark.parametrize("name", EVERYTHING)
    def test_a_partner_is_found_by_each_value(self, name: str) -> None:
        policy = with_matches(acme=CertificateMatch(**{name: EVERYTHING[name]}))
        assert policy.partners_of(CERTIFICATE) == {"acme"}

    def test_a_partner_is_found_by_all_values(self) -> None:
        assert with_matches(acme=CertificateMatch(**EVERYTHING)).partners_of(CERTIFICATE) == {"acme"}

    @pytest.mark.parametrize("name", EVERYTHING)
    def test_a_partner_of_which_one_value_differs_is_not_found(self, name: str) -> None:
        policy = with_matches(acme=CertificateMatch(**EVERYTHING | {name: "another"}))
        assert policy.partners_of(CERTIFICATE) == frozenset()

    def test_every_partner_that_fits_is_found(self) -> None:
        policy = with_matches(
            acme=CertificateMatch(san_uri=EVERYTHING["san_uri"]), blue=CertificateMatch(subject=EVERYTHING["subject"])
        )
        assert policy.partners_of(CERTIFICATE) == {"acme", "blue"}

    def test_a_partner_that_fits_twice_is_one_partner(self) -> None:
        matches = tuple(CertificateMatch(**{name: value}) for name, value in EVERYTHING.items())
        policy = world.policy(partners={"acme": world.partner(name="acme", certificates=matches)})
        assert policy.partners_of(CERTIFICATE) == {"acme"}

    def test_a_value_of_one_kind_is_none_of_another(self) -> None:
        policy = with_matches(acme=CertificateMatch(san_dns=EVERYTHING["san_uri"]))
        assert policy.partners_of(CERTIFICATE) == frozenset()

    def test_a_partner_may_be_known_by_its_ca(self) -> None:
        policy = with_matches(acme=CertificateMatch(authorities=frozenset({"ca" * 32})))
        assert policy.partners_of(replace(CERTIFICATE, authorities=("0c" * 32, "ca" * 32))) == {"acme"}
        assert policy.partners_of(replace(CERTIFICATE, authorities=("0c" * 32,))) == frozenset()
        assert policy.partners_of(CERTIFICATE) == frozenset()

    def test_one_name_under_two_cas_is_two_partners(self) -> None:
        uri = EVERYTHING["san_uri"]
        policy = with_matches(
            acme=CertificateMatch(san_uri=uri, authorities=frozenset({"ca" * 32})),
            blue=CertificateMatch(san_uri=uri, authorities=frozenset({"0c" * 32})),
        )
        assert policy.partners_of(replace(CERTIFICATE, authorities=("ca" * 32,))) == {"acme"}
        assert policy.partners_of(replace(CERTIFICATE, authorities=("0c" * 32,))) == {"blue"}

    def test_a_match_without_values_is_no_policy(self) -> None:
        with pytest.raises(ValueError, match="at least one value"):
            with_matches(acme=CertificateMatch())

    def test_what_was_found_for_one_policy_is_not_found_for_another(self) -> None:
        one, other = with_matches(acme=CertificateMatch(subject=EVERYTHING["subject"])), with_matches()
        assert one.partners_of(CERTIFICATE) == one.partners_of(CERTIFICATE) == {"acme"}
        assert other.partners_of(CERTIFICATE) == frozenset()


class TestPartnersOfSubject:
    def test_a_partner_is_found_by_issuer_and_subject(self) -> None:
        assert world.policy().partners_of_subject("operator", world.SUBJECT) == {world.PARTNER}

    @pytest.mark.parametrize(("issuer", "subject"), [("operator", "nobody"), ("another", world.SUBJECT)])
    def test_another_subject_or_issuer_finds_nobody(self, issuer: str, subject: str) -> None:
        assert world.policy().partners_of_subject(issuer, subject) == frozenset()

    def test_every_partner_that_lists_it_is_found(self) -> None:
        partners = {name: world.partner(name=name) for name in ("acme", "blue")}
        assert world.policy(partners=partners).partners_of_subject("operator", world.SUBJECT) == {"acme", "blue"}


class TestRouteFor:
    def test_the_route_is_found(self) -> None:
        assert world.policy().route_for(World().head()).name == "deposit"

    def test_a_path_without_a_route_is_denied(self) -> None:
        with pytest.raises(Denied) as caught:
            world.policy().route_for(World(target=b"/v1/admin").head())
        assert caught.value.reason is Reason.ROUTE_UNKNOWN

    def test_another_method_is_denied_and_those_there_are_are_named(self) -> None:
        read = world.route(name="read", match=Match(frozenset({"GET", "HEAD"}), "/v1/deposits"))
        policy = world.policy(world.route(), read)
        with pytest.raises(Denied) as caught:
            policy.route_for(World(method=b"PUT").head())
        assert caught.value.reason is Reason.METHOD_NOT_ALLOWED
        assert caught.value.fields == (("allow", "GET, HEAD, POST"),)

    def test_a_route_of_another_host_is_not_found(self) -> None:
        route = world.route(match=Match(frozenset({"POST"}), "/v1/deposits", frozenset({"api.pam.example"})))
        with pytest.raises(Denied) as caught:
            world.policy(route).route_for(World().head())
        assert caught.value.reason is Reason.ROUTE_UNKNOWN

    def test_two_routes_for_the_same_requests_are_no_policy(self) -> None:
        with pytest.raises(ValueError, match="two routes"):
            world.policy(world.route(), world.route(name="again"))


@pytest.mark.parametrize(
    ("not_before", "not_after", "expected"),
    [
        (None, None, True),
        (NOW, None, True),
        (NOW + 1, None, False),
        (None, NOW + 1, True),
        (None, NOW, False),
        (NOW - 1, NOW + 1, True),
    ],
)
def test_a_signing_key_is_in_force_from_its_start_until_before_its_end(
    not_before: world.Instant | None, not_after: world.Instant | None, expected: bool
) -> None:
    key = SigningKey("key", "hmac-sha256", Secret(b"s"), not_before, not_after)
    assert key.in_force(NOW) is expected


def test_a_signing_key_is_a_secret_or_a_public_key() -> None:
    shared, public = messages.signing_key("hmac-sha256"), messages.signing_key("ed25519")
    assert shared.secret is shared.material
    assert public.public is public.material
    with pytest.raises(TypeError, match="key 'ed25519' for ed25519 is a public key"):
        _ = public.secret
    with pytest.raises(TypeError, match="key 'hmac-sha256' for hmac-sha256 is a shared secret"):
        _ = shared.public


class TestIdentityFields:
    @pytest.mark.parametrize(
        "name",
        [
            "x-gateway-partner", "x-forwarded-for", "x-forwarded-host", "forwarded", "x-real-ip", "x-ssl-verify",
            "client-cert", "client-cert-chain", "ssl-client-verify", "x-remote-user", "x-envoy-external-address",
            "x-http-method-override", "x-original-url", "x-rewrite-url",
        ],
    )  # fmt: skip
    def test_fields_that_name_an_identity_are_covered(self, name: str) -> None:
        assert IdentityFields().covers(name)

    @pytest.mark.parametrize("name", ["x-request-id", "authorization", "x-gateway", "forwarded-x"])
    def test_other_fields_are_not(self, name: str) -> None:
        assert not IdentityFields().covers(name)

    def test_the_prefix_that_the_gate_sets_is_covered_whatever_is_listed(self) -> None:
        assert IdentityFields(prefix="x-acme-", prefixes=()).covers("x-acme-partner")


def test_the_url_of_an_endpoint() -> None:
    upstream = world.upstream(scheme="https", endpoints=(Endpoint("psp.internal", 443), Endpoint("::1", 8443)))
    assert [upstream.url(each) for each in upstream.endpoints] == ["https://psp.internal:443", "https://[::1]:8443"]
