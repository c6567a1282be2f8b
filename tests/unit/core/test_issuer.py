from pathlib import PurePath

from gateway.core.issuer import Introspection, Issuer, KeySource
from gateway.core.secret import Secret


def test_a_secret_is_neither_shown_nor_compared() -> None:
    one, other = (Introspection("https://idp.example", "gateway", Secret(value)) for value in (b"a" * 16, b"b" * 16))
    assert one == other
    assert "Secret" not in repr(one)


def test_defaults_are_those_of_the_documentation() -> None:
    source = KeySource("https://idp.example/jwks")
    assert (source.refresh, source.stale, source.timeout, source.plaintext) == (600.0, 3_600.0, 5.0, False)
    issuer = Issuer("operator", "https://idp.example", PurePath("jwks.json"), frozenset({"ES256"}))
    assert (issuer.skew, issuer.partner_claim, issuer.profile, issuer.introspection) == (10.0, "sub", "jwt", None)
