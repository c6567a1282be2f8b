from ipaddress import ip_address
from pathlib import Path

import pytest

from gateway.controls.ip_allowlist import IpAllowlist
from gateway.controls.mutual_tls import MutualTls
from gateway.controls.rate_limit import RateLimits
from gateway.controls.replay import Replay
from gateway.controls.signature import SignatureControl
from gateway.controls.token import TokenControl
from gateway.core.issuer import Issuer
from gateway.policy.extensions import Extensions
from gateway.policy.reader import Reader
from gateway.policy.schemes import read_scheme
from gateway.policy.settings import Settings
from gateway.policy.tables import Table
from gateway.signing.composed import ComposedScheme
from gateway.signing.window import Window
from tests.policy.reading import definition, node, problems, reader, scalar


def settings(used: Reader) -> Settings:
    issuers: Table[Issuer] = Table("issuer")
    issuers.add("operator", scalar("operator"), Issuer("operator", "idp", Path("jwks"), frozenset({"ES256"})))
    schemes: Table[ComposedScheme] = Table("scheme")
    timed = (
        "{algorithm: hmac-sha256, string_to_sign: [method, target, timestamp, body], timestamp: {header: X-Time}, "
        "signature: {header: X-Sign}}"
    )
    timeless = "{algorithm: hmac-sha256, string_to_sign: [method, target, body], signature: {header: X-Sign}}"
    for name, text in (("timed", timed), ("timeless", timeless)):
        schemes.add(name, scalar(name), read_scheme(reader(), name, definition(text)))
    return Settings(used, issuers, schemes, Extensions({}))


def read(control: str, text: str) -> object:
    used = reader()
    found = settings(used).read(control, node(text))
    assert used.problems == []
    return found


def complaints(control: str, text: str) -> list[str]:
    used = reader()
    settings(used).read(control, node(text))
    return problems(used)


def test_mutual_tls() -> None:
    assert read("mutual_tls", "required") == MutualTls()


def test_mutual_tls_with_the_cas_of_the_route(certs: Path) -> None:
    used = reader()
    found = settings(used).read("mutual_tls", node(f"ca: {certs}/partners-ca.pem"))
    (warning,) = problems(used)  # there is no listener here
    assert "no listener trusts any of these CAs" in warning
    assert isinstance(found, MutualTls)
    assert found.authorities is not None
    assert len(found.authorities) == 1
    assert complaints("mutual_tls", f"ca: {certs}/none.pem")


def test_an_allowlist_of_the_partner() -> None:
    assert read("ip_allowlist", "partner") == IpAllowlist(None)


def test_an_allowlist_of_the_route() -> None:
    found = read("ip_allowlist", "[198.51.100.0/24]")
    assert isinstance(found, IpAllowlist)
    assert found.networks is not None
    assert ip_address("198.51.100.7") in found.networks


def test_a_token_without_scopes_and_lifetime() -> None:
    found = read("token", "{issuer: operator, audience: psp}")
    assert isinstance(found, TokenControl)
    assert (found.issuer.name, found.audience, found.scopes, found.max_lifetime) == ("operator", "psp", set(), None)


def test_every_setting_of_a_token() -> None:
    found = read("token", "{issuer: operator, audience: psp, scopes: [a, b], max_lifetime: 10m}")
    assert isinstance(found, TokenControl)
    assert (found.scopes, found.max_lifetime) == ({"a", "b"}, 600.0)


def test_routes_share_what_is_known_of_an_issuers_tokens() -> None:
    making = settings(reader())
    one, other = (making.read("token", node(f"{{issuer: operator, audience: {name}}}")) for name in ("psp", "pam"))
    assert isinstance(one, TokenControl)
    assert isinstance(other, TokenControl)
    assert one.verified is other.verified


def test_rate_limits() -> None:
    assert isinstance(read("rate_limit", "[1/second per route]"), RateLimits)


def test_a_signature_with_the_default_lead() -> None:
    found = read("signature", "{scheme: timed, max_age: 60s}")
    assert isinstance(found, SignatureControl)
    assert (found.scheme.name, found.window) == ("timed", Window(60.0, 10.0))


def test_a_window_of_its_own() -> None:
    found = read("signature", "{scheme: timed, max_age: 24h, max_ahead: 0s}")
    assert isinstance(found, SignatureControl)
    assert found.window == Window(86_400.0, 0.0)


def test_a_timeless_scheme_does_not_widen_the_policys_window() -> None:
    found = read("signature", "{scheme: timeless}")
    assert isinstance(found, SignatureControl)
    assert found.window.max_age <= 1.0


@pytest.mark.parametrize(("text", "control"), [("required", Replay(None)), ("{remember: 24h}", Replay(86_400.0))])
def test_replay(text: str, control: Replay) -> None:
    assert read("replay", text) == control


@pytest.mark.parametrize(
    ("control", "text", "said"),
    [
        ("mutual_tls", "true", "`true` is no known value (expected `required`)"),
        ("mutual_tls", "{ca: none.pem}", "file none.pem does not exist"),
        ("mutual_tls", "{}", "`ca` is missing"),
        ("mutual_tls", "[required]", "found a list (expected `required`)"),
        ("ip_allowlist", "route", "networks stand in a list"),
        ("ip_allowlist", "{}", "found a mapping (expected a list of networks)"),
        ("token", "{audience: psp}", "`issuer` is missing"),
        ("signature", "{scheme: timed}", "`max_age` is missing"),
        ("signature", "{scheme: timed, max_age: 25h}", "a window of more than a day"),
        ("signature", "{scheme: timeless, max_ahead: 1s}", "the scheme has no timestamp"),
        ("replay", "{remember: 0s}", "must be longer than zero"),
        ("replay", "[]", "found a list"),
    ],
)
def test_what_does_not_fit(control: str, text: str, said: str) -> None:
    (found,) = complaints(control, text)
    assert said in found
