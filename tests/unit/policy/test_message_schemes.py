import pytest

from gateway.policy.message_schemes import read_message_scheme
from gateway.policy.schemes import read_scheme
from gateway.signing.algorithms import ALGORITHMS
from gateway.signing.httpsig.answers import AnswerRules
from gateway.signing.httpsig.scheme import HttpMessageScheme
from tests.messages import components
from tests.policy.reading import definition, problems, reader


def read(text: str) -> HttpMessageScheme | None:
    used = reader()
    found = read_message_scheme(used, "partner", definition(text))
    assert used.errors == 0, problems(used)
    return found


def test_the_shortest_scheme() -> None:
    used = reader()
    text = '{type: http-message-signatures, covered: ["@method", "@target-uri"], nonce: required}'
    assert read_scheme(used, "partner", definition(text)) == HttpMessageScheme(
        "partner", components("@method", "@target-uri"), nonce_required=True
    )
    assert used.problems == []


def test_every_setting() -> None:
    assert read(
        "{type: http-message-signatures, covered: ['@path', X-Dict;sf], covered_if_present: [DPoP], label: sig1, "
        "tag: payments, nonce: optional, expires: required, algorithms: [ed25519], structured_fields: {X-Dict: list}}"
    ) == HttpMessageScheme(
        name="partner",
        covered=components("@path", "x-dict;sf"),
        covered_if_present=("dpop",),
        algorithms=frozenset({"ed25519"}),
        label="sig1",
        tag="payments",
        nonce_required=False,
        expires_required=True,
        structured_fields={"x-dict": "list"},
        answers=AnswerRules(kinds={"x-dict": "list"}),
    )


def test_algorithms_that_are_not_named_are_all() -> None:
    found = read("{type: http-message-signatures, covered: ['@method']}")
    assert found is not None
    assert found.algorithms == set(ALGORITHMS)


def test_a_preset_is_where_a_scheme_begins() -> None:
    used = reader()
    found = read_scheme(
        used, "bank", definition("{preset: fapi2, covered: ['@method', x-id], covered_if_present: [x-b]}")
    )
    assert used.errors == 0
    assert isinstance(found, HttpMessageScheme)
    assert found.covered == components("@method", "@target-uri", "authorization", "x-id")
    assert (found.covered_if_present, found.tag) == (("dpop", "x-b"), "fapi-2-request")
    assert found.algorithms == {"ed25519", "ecdsa-p256-sha256", "rsa-pss-sha512"}
    assert ["no nonce is asked for" in one for one in problems(used)] == [True]


@pytest.mark.parametrize("text", ["[]", "text", "{covered: 1, type: http-message-signatures}"])
def test_what_is_no_scheme(text: str) -> None:
    used = reader()
    assert read_message_scheme(used, "partner", definition(text)) is None
    assert used.errors == 1
