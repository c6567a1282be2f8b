from gateway.core.facts import Claims, VerifiedSignature
from gateway.core.message import Instant
from tests.world import NOW


def test_claims_are_not_shown() -> None:
    claims = Claims(
        "operator", "acme-backend", "token-1", frozenset(), NOW, Instant(NOW + 1), {"email": "p@acme.example"}
    )
    assert repr(claims) == "Claims(issuer='operator', subject='acme-backend', token_id='token-1')"


def test_facts_cannot_be_changed() -> None:
    signature = VerifiedSignature("key", NOW, "nonce", b"digest", Instant(NOW + 60))
    assert hash(signature) == hash(VerifiedSignature("key", NOW, "nonce", b"digest", Instant(NOW + 60)))
