from gateway.controls.claims import ClaimRules
from gateway.controls.verified import VerifiedToken, VerifiedTokens
from gateway.core.message import Instant
from gateway.signing.jwks import KeySet
from tests import world
from tests.world import NOW


class TestTokens:
    def test_a_token_is_forgotten_at_its_expiry(self) -> None:
        keys, tokens = world.key_set(), VerifiedTokens()
        known = VerifiedToken("ES256", {}, NOW)
        tokens.find(b"digest", keys, NOW)
        tokens.remember(b"digest", keys, known)
        assert tokens.find(b"digest", keys, Instant(NOW - 0.001)) is known
        assert tokens.find(b"digest", keys, NOW) is None
        assert len(tokens) == 0

    def test_the_oldest_of_too_many_is_forgotten(self) -> None:
        keys, tokens = world.key_set(), VerifiedTokens(capacity=2)
        tokens.find(b"", keys, NOW)
        for digest in (b"1", b"2", b"3"):
            tokens.remember(digest, keys, VerifiedToken("ES256", {}, Instant(NOW + 60)))
        assert [tokens.find(digest, keys, NOW) is not None for digest in (b"1", b"2", b"3")] == [False, True, True]

    def test_what_replaced_keys_verified_is_not_kept(self) -> None:
        old, new, tokens = world.key_set(), KeySet.load(world.jwks()), VerifiedTokens()
        tokens.find(b"digest", new, NOW)
        tokens.remember(b"digest", old, VerifiedToken("ES256", {}, Instant(NOW + 60)))
        assert tokens.find(b"digest", new, NOW) is None

    def test_the_claims_are_remembered_for_the_rules_of_a_few_routes(self) -> None:
        verified = VerifiedToken("ES256", world.claims(), Instant(NOW + 60))
        for _ in range(100):
            verified.claims_by(ClaimRules(world.issuer(), world.AUDIENCE, None), NOW)
        assert 0 < len(verified._passed) <= 8

    def test_a_digest_is_known_only_of_what_was_verified(self) -> None:
        keys, tokens = world.key_set(), VerifiedTokens()
        tokens.find(b"", keys, NOW)
        assert tokens.digest("Bearer abc") is None
        digest = bytes.fromhex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        tokens.remember(digest, keys, VerifiedToken("ES256", {}, Instant(NOW + 60)))
        assert tokens.digest("Bearer abc") == digest
        assert digest in tokens
