import pytest

from gateway.controls.replay import Replay
from gateway.core.chain import Claim, ClaimOnce
from gateway.core.exchange import Exchange
from gateway.core.facts import VerifiedSignature
from gateway.core.message import Instant
from gateway.core.reasons import Denied, Reason, Unavailable
from tests import world
from tests.world import NOW, Answers, World, check

SIGNATURE = VerifiedSignature("key-1", Instant(NOW - 10), "nonce-1", b"d" * 32, Instant(NOW + 50))
UNTIMED = SIGNATURE._replace(created=None, window_end=None)


def exchange(signature: VerifiedSignature | None = SIGNATURE) -> Exchange:
    entered = World().exchange()
    entered.partner = world.partner()
    entered.signature = signature
    return entered


def asked(control: Replay, signature: VerifiedSignature) -> ClaimOnce:
    answers = Answers()
    check(control, exchange(signature), answers)
    (claim,) = answers.asked
    assert isinstance(claim, ClaimOnce)
    return claim


def refused(answer: Claim, signature: VerifiedSignature | None = SIGNATURE) -> Denied:
    with pytest.raises(Denied) as caught:
        check(Replay(), exchange(signature), Answers({ClaimOnce: lambda _: answer}))
    return caught.value


def test_a_request_is_claimed_in_its_partners_space_until_its_window_ends() -> None:
    claim = asked(Replay(), SIGNATURE)
    assert (claim.space, claim.dated, claim.until) == (world.PARTNER, NOW - 10, NOW + 50)


def test_a_nonce_is_claimed_once() -> None:
    answers = Answers()
    check(Replay(), exchange(), answers)
    with pytest.raises(Denied) as caught:
        check(Replay(), exchange(), answers)
    assert caught.value.reason is Reason.REPLAY_SEEN
    assert caught.value.detail == "the nonce came before, signed with key 'key-1'"


def test_what_tells_the_request_from_others_is_claimed() -> None:
    assert asked(Replay(), SIGNATURE).key == SIGNATURE.identity


def test_without_a_nonce_the_signed_text_is_said_to_have_come_before() -> None:
    unnumbered = SIGNATURE._replace(nonce=None)
    assert refused(Claim.SEEN, unnumbered).detail == "the signed text came before, signed with key 'key-1'"


@pytest.mark.parametrize("remember", [1.0, 3600.0])
def test_without_a_timestamp_a_request_is_remembered_as_long_as_the_policy_says(remember: float) -> None:
    claim = asked(Replay(remember), UNTIMED)
    assert (claim.dated, claim.until) == (None, NOW + remember)


@pytest.mark.parametrize(("remember", "until"), [(1.0, NOW + 50), (300.0, NOW + 290)])
def test_with_a_timestamp_a_request_is_remembered_for_its_window_at_least(remember: float, until: float) -> None:
    assert asked(Replay(remember), SIGNATURE).until == until


def test_a_scheme_without_timestamp_needs_a_time_to_remember() -> None:
    with pytest.raises(RuntimeError, match="replay needs `remember`"):
        check(Replay(), exchange(UNTIMED))


@pytest.mark.parametrize("remember", [0.0, -1.0, float("inf"), float("nan")])
def test_a_time_to_remember_is_positive_and_finite(remember: float) -> None:
    with pytest.raises(ValueError, match="more than 0 s, and finite"):
        Replay(remember)


def test_what_cannot_be_known_is_refused_with_a_challenge() -> None:
    denied = refused(Claim.UNKNOWABLE)
    assert denied.reason is Reason.REPLAY_UNKNOWABLE
    assert denied.fields == (("www-authenticate", 'Signature realm="gateway"'),)


@pytest.mark.parametrize("missing", ["signature", "partner"])
def test_what_nobody_verified_is_not_claimed(missing: str) -> None:
    entered, answers = exchange(), Answers()
    setattr(entered, missing, None)
    with pytest.raises(Denied) as caught:
        check(Replay(), entered, answers)
    assert (caught.value.reason, answers.asked) == (Reason.SIGNATURE_MISSING, [])


def test_an_answer_that_is_none_is_an_error() -> None:
    with pytest.raises(TypeError, match="asked for Claim, answered with bool"):
        check(Replay(), exchange(), Answers({ClaimOnce: lambda _: True}))


def test_a_store_that_fails_denies() -> None:
    answers = Answers({ClaimOnce: world.raising(Unavailable(Reason.REPLAY_MEMORY_FULL))})
    decision = World(answers=answers).decide()
    assert decision.reason is Reason.REPLAY_MEMORY_FULL
