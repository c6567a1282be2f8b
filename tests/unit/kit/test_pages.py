from gateway.kit.example import SECRET, example_of
from gateway.kit.facts import Facts
from gateway.kit.pages import overview, signing_page
from gateway.signing import parts as p
from gateway.signing.outward import SignedAnswers
from tests import messages, world
from tests.unit.kit.kits import facts, message_facts


def page(found: Facts) -> str:
    assert found.signing is not None
    return signing_page(found.signing, example_of(found, found.signing))


def test_what_a_partner_can_call() -> None:
    text = overview(facts())
    assert "| deposit | POST `/v1/deposits` | yes | from https://idp.operator.example for `psp`" in text
    assert f"- key id `{world.SIGNING_KEY_ID}`, hmac-sha256" in text
    assert "secret that you share" in text
    assert world.OTHER_PARTNER not in text
    assert "signing-key.sh" in overview(message_facts())


def test_a_key_that_is_missing_and_one_that_ends() -> None:
    assert "You have none yet; it will be for hmac-sha256." in overview(facts(keys={}))
    ends = world.signing_key(not_after=messages.later(3_600))
    assert "hmac-sha256, until 2026-11-22 14:00 UTC" in overview(facts(keys={ends.id: ends}))


def test_answers_that_are_signed() -> None:
    signer = SignedAnswers(messages.scheme(), messages.own_key(), frozenset())
    assert "- deposit: rfc9421 by key ed25519" in overview(facts(answers=signer))


def test_how_to_sign() -> None:
    text = page(facts())
    for words in ("may be 1m old and 5s ahead", "counts once", SECRET, "POST\n/v1/deposits\n", "sample/sign.mjs"):
        assert words in text
    assert "thrown away" in page(message_facts())


def test_what_the_samples_need() -> None:
    assert "# bash, OpenSSL, curl\n" in page(facts())
    text = page(facts(world.scheme(parts=(p.SortedJson(), p.Timestamp()), nonce=None)))
    assert "# bash, OpenSSL, curl, jq\n" in text
    assert "Numbers sign as they are written" in text
