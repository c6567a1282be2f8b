from typing import Any

import pytest

from gateway.core.policy import SwitchedOff
from gateway.policy.outward import Outward
from gateway.policy.tables import Table
from gateway.signing.outward import ANSWER_LIMIT, SignedAnswers
from gateway.signing.own import OwnKey
from gateway.signing.scheme import Scheme
from tests import messages, world
from tests.policy.reading import definition, node, problems, reader

KEY = definition("x").key


class Reading:
    """A reader of `sign_responses`, with a scheme of each type and a key of each kind."""

    def __init__(self) -> None:
        self.used = reader()
        schemes: Table[Scheme[Any]] = Table("scheme")
        keys: Table[OwnKey] = Table("gateway key")
        for scheme in (messages.scheme(name="standard"), world.scheme(name="vendor")):
            schemes.add(scheme.name, KEY, scheme)
        for key in (messages.own_key("ed25519"), messages.own_key("hmac-sha256")):
            keys.add(key.id, KEY, key)
        self.outward = Outward(self.used, schemes, keys)

    def answers(self, text: str) -> SignedAnswers | None:
        return self.outward.answers(node(text))


def test_how_answers_are_signed() -> None:
    reading = Reading()
    found = reading.answers("{scheme: standard, key: ed25519, limit: 2MiB}")
    assert found is not None
    assert found.key is not None
    assert (found.scheme.name, found.key.id, found.limit) == ("standard", "ed25519", 2_097_152)
    shared = reading.answers("{scheme: standard, key: partner}")
    assert shared is not None
    assert (shared.key, shared.limit, shared.algorithms) == (None, ANSWER_LIMIT, {"hmac-sha256"})
    assert reading.used.problems == []


def test_a_route_may_do_without() -> None:
    reading = Reading()
    off = reading.outward.answers_of_route(node('{off: "streams statements"}'))
    assert off == SwitchedOff("sign_responses", "streams statements")
    assert reading.outward.answers_of_route(None) is None
    assert isinstance(reading.outward.answers_of_route(node("{scheme: standard, key: ed25519}")), SignedAnswers)
    assert reading.used.problems == []
    assert reading.outward.answers_of_route(node("off")) is None
    assert reading.used.errors == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{scheme: standard, key: hmac-sha256}", "can forge them"),
        ("{scheme: vendor, key: partner}", "could be sent back as a request"),
    ],
)
def test_what_is_warned_of(text: str, said: str) -> None:
    reading = Reading()
    assert reading.answers(text) is not None
    (problem,) = problems(reading.used)
    assert said in problem


@pytest.mark.parametrize(
    "text",
    [
        "{scheme: vendor, key: ed25519}",
        "{scheme: none, key: ed25519}",
        "{scheme: standard, key: none}",
        "{scheme: standard}",
        "{key: ed25519}",
        "{scheme: standard, key: ed25519, limit: 0B}",
        "[]",
    ],
)
def test_what_is_an_error(text: str) -> None:
    reading = Reading()
    reading.answers(text)
    assert reading.used.errors == 1


def test_how_requests_are_signed() -> None:
    reading = Reading()
    found = reading.outward.requests(node("{scheme: vendor, key: hmac-sha256}"))
    assert found is not None
    assert (found.scheme.name, found.key.id) == ("vendor", "hmac-sha256")
    assert reading.outward.requests(None) is None
    assert reading.used.problems == []


@pytest.mark.parametrize(
    "text",
    [
        "{scheme: vendor, key: ed25519}",
        "{scheme: vendor, key: partner}",
        "{scheme: vendor}",
        "{scheme: no, key: ed25519}",
        "x",
    ],
)
def test_how_requests_cannot_be_signed(text: str) -> None:
    reading = Reading()
    reading.outward.requests(node(text))
    assert reading.used.errors == 1
