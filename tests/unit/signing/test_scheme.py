from typing import Any

import pytest

from gateway.core.message import Instant
from gateway.core.reasons import Reason
from gateway.signing.scheme import Scheme, as_answered, inactive, read_whole, refusal
from gateway.signing.window import CHALLENGE
from tests import messages, vendors, world


@pytest.mark.parametrize(
    ("scheme", "named", "dated", "algorithms", "carriers"),
    [
        (world.scheme(), True, True, {"hmac-sha256"}, {"x-signature", "x-key-id"}),
        (world.scheme(key_id=None), False, True, {"hmac-sha256"}, {"x-signature"}),
        (
            messages.scheme(algorithms=frozenset({"ed25519"})),
            True,
            True,
            {"ed25519"},
            {"signature", "signature-input"},
        ),
    ],
)
def test_what_controls_and_policies_ask_of_a_scheme(
    scheme: Scheme[Any], named: bool, dated: bool, algorithms: set[str], carriers: set[str]
) -> None:
    assert (scheme.names_key, scheme.dated, scheme.needs_body) == (named, dated, True)
    assert (scheme.algorithms, scheme.carriers) == (algorithms, carriers)


def test_a_refusal_carries_the_challenge() -> None:
    denied = refusal(Reason.SIGNATURE_COVERAGE, "why")
    assert (denied.reason, denied.detail, denied.fields) == (Reason.SIGNATURE_COVERAGE, "why", (CHALLENGE,))


def test_why_a_key_is_not_in_force() -> None:
    early = world.signing_key(not_before=Instant(world.NOW + 60))
    late = world.signing_key(not_after=Instant(world.NOW - 60))
    assert inactive(early, world.NOW) == f"key {early.id!r} begins in 60 s"
    assert inactive(late, world.NOW) == f"key {late.id!r} ended 60 s ago"


@pytest.mark.parametrize("name", ["softswiss", "gitslotpark"])
def test_a_message_is_read_whole_wherever_its_signature_stands(name: str) -> None:
    presented = read_whole(vendors.scheme(name), *vendors.signed(name), lambda _: True)
    assert presented.signature


def test_what_of_an_answer_counts_is_in_the_answer() -> None:
    head = vendors.signed("hub88").head
    answered = as_answered(vendors.scheme("hub88"), head, [("x-other", "a"), ("x-hub88-signature", "of the answer")])
    assert answered.headers.all("x-hub88-signature") == ("of the answer",)
    assert "x-other" not in answered.headers
    assert "x-hub88-signature" not in as_answered(vendors.scheme("hub88"), head, []).headers


@pytest.mark.parametrize("name", vendors.NAMES)
def test_what_a_scheme_sets_is_what_signing_sets(name: str) -> None:
    by = vendors.scheme(name)
    made = by.sign(*vendors.sample(name), key=vendors.own_key(min(by.algorithms)), now=world.NOW, nonce="n-1")
    assert {field for field, _ in made.fields} <= by.sets
