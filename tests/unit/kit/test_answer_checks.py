"""Whether the samples check answers rightly is tested in tests/cli/test_partner.py, against the gate."""

import pytest

from gateway.kit.answer_checks import AnswerKey, answer_key, in_node, in_python
from gateway.signing.outward import SignedAnswers
from tests import messages, world

SECRETS = frozenset({"hmac-sha256"})


def test_how_the_answers_of_a_route_are_signed() -> None:
    scheme = messages.scheme(answers=messages.answers("date", label="psp"))
    found = answer_key(world.route(answers=SignedAnswers(scheme, messages.own_key("ed25519"), SECRETS)))
    assert found is not None
    assert (found.label, found.required, found.algorithm) == (
        "psp", ['"@status"', '"content-digest"', '"date"'], "ed25519"
    )  # fmt: skip
    assert found.public_key.encode() == messages.public_pem("ed25519")


@pytest.mark.parametrize(
    "signer",
    [
        None,
        SignedAnswers(messages.scheme(), None, SECRETS),
        SignedAnswers(messages.scheme(), messages.own_key("hmac-sha256"), SECRETS),
        SignedAnswers(world.scheme(), messages.own_key("ed25519"), SECRETS),
    ],
)
def test_answers_that_a_sample_cannot_check(signer: SignedAnswers | None) -> None:
    assert answer_key(world.route(answers=signer)) is None


@pytest.mark.parametrize("algorithm", messages.KINDS)
def test_every_algorithm_has_words(algorithm: str) -> None:
    if algorithm not in ("ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "rsa-pss-sha512", "rsa-v1_5-sha256"):
        return  # of vendors, not of RFC 9421
    key = AnswerKey("a.b", ['"@status"'], algorithm, "")
    for text in (in_python(key), in_node(key)):
        assert "a\\.b=" in text
        assert "@LABEL@" not in text
        assert "@CHECK@" not in text
