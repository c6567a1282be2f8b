from typing import Any

import pytest

from gateway.core.outgoing import Answered, Stamp
from gateway.core.reasons import Denied, Reason
from gateway.engine.problem import Answer, problem
from gateway.engine.signed_answers import HeldAnswer, answer_signer, held_answer, signed_again, signed_refusal
from gateway.signing.httpsig.digest import write_digest
from gateway.signing.own import Signed
from tests import world

STAMP = Stamp(world.NOW, "request-1")


class Signer:
    """Signs by a field that says what it was given."""

    limit = 8
    described = "for tests"

    def __init__(self, error: Exception | None = None, **changes: Any) -> None:
        self.error = error
        self.changes = changes
        self.given: list[Answered] = []

    def sign(self, exchange: object, answer: Answered, stamp: Stamp) -> Signed | None:
        del exchange
        assert stamp == STAMP
        if self.error is not None:
            raise self.error
        self.given.append(answer)
        if self.changes.get("nothing"):
            return None
        return Signed([("x-signature", answer.body.decode())], None, self.changes.get("body"))


def held(signer: Signer, *parts: bytes, fields: list[tuple[str, str]] | None = None, bodiless: bool = False) -> Any:
    answer = HeldAnswer(signer, 200, fields or [], bodiless=bodiless)
    for part in parts:
        answer.take(part)
    return answer.signed(world.World().exchange(), STAMP)


def test_fields_and_body_are_signed_as_they_go_out() -> None:
    signer = Signer()
    fields = [("X-Signature", "upstream's"), ("Content-Type", "text/plain "), ("transfer-encoding", "chunked")]
    assert held(signer, b"ab", b"cd", fields=fields) == (
        [("Content-Type", "text/plain"), ("x-signature", "abcd"), ("content-length", "4")],
        b"abcd",
    )
    assert signer.given[0].fields == [("x-signature", "upstream's"), ("content-type", "text/plain")]


def test_a_signature_may_stand_in_the_body() -> None:
    assert held(Signer(body=b"{signed}"), b"ab") == ([("x-signature", "ab"), ("content-length", "8")], b"{signed}")


def test_where_nobody_is_to_sign_for_nothing_changes() -> None:
    assert held(Signer(nothing=True), b"ab") == ([("content-length", "2")], b"ab")


def test_an_answer_to_head_keeps_the_length_it_states() -> None:
    fields = [("content-length", "100"), ("content-digest", write_digest(b"of GET"))]
    signed, body = held(Signer(), fields=fields, bodiless=True)
    assert (signed, body) == ([*fields, ("x-signature", "")], b"")


@pytest.mark.parametrize("parts", [(b"x" * 9,), (b"x" * 8, b"y")])
def test_no_more_is_held_than_the_limit(parts: tuple[bytes, ...]) -> None:
    signer = Signer()
    answer = HeldAnswer(signer, 200, [], bodiless=False)
    for part in parts:
        answer.take(part)
    assert answer._parts == []
    with pytest.raises(Denied) as caught:
        answer.signed(world.World().exchange(), STAMP)
    assert caught.value.reason is Reason.RESPONSE_TOO_LARGE
    assert signer.given == []


@pytest.mark.parametrize(("declared", "large"), [("8", False), ("9", True), ("x", False), ("9" * 30, False)])
def test_a_declared_length_is_believed_where_it_is_one(declared: str, large: bool) -> None:
    answer = HeldAnswer(Signer(), 200, [("Content-Length", declared)], bodiless=False)
    assert (answer.too_large is not None) is large


def test_what_belies_its_digest_is_not_signed() -> None:
    with pytest.raises(Denied) as caught:
        held(Signer(), b"ab", fields=[("content-digest", write_digest(b"abc"))])
    assert caught.value.reason is Reason.UPSTREAM_BROKEN
    assert held(Signer(), b"ab", fields=[("content-digest", "md5=:AA==:")])[1] == b"ab"


def refusal(signer: Signer, method: bytes = b"POST") -> tuple[dict[str, str], bytes]:
    exchange = world.World().exchange()
    assert exchange.head is not None
    exchange.head = exchange.head._replace(method=method.decode())
    answer = problem(Reason.DRAINING, "request-1", "x-id")
    signed = signed_refusal(signer, exchange, answer, STAMP)
    assert signed.status == answer.status
    return dict(signed.fields), signed.body


def test_a_refusal_is_signed_as_the_gates_own() -> None:
    signer = Signer()
    fields, body = refusal(signer)
    assert fields["x-signature"] == body.decode()
    assert signer.given[0].own
    assert refusal(Signer(), b"HEAD")[0]["x-signature"] == ""
    assert refusal(Signer(body=b"{}"))[1] == b"{}"


@pytest.mark.parametrize(
    "signer",
    [Signer(Denied(Reason.RESPONSE_UNSIGNABLE, "the key ended")), Signer(TypeError("a secret")), Signer(nothing=True)],
)
def test_a_refusal_that_cannot_be_signed_is_given_all_the_same(
    signer: Signer, caplog: pytest.LogCaptureFixture
) -> None:
    fields, body = refusal(signer)
    assert "x-signature" not in fields
    assert body
    assert "a secret" not in caplog.text


@pytest.mark.parametrize(
    ("signer", "status", "signed"),
    [
        (Signer(), 201, True),
        (Signer(Denied(Reason.RESPONSE_UNSIGNABLE, "the key ended")), 502, False),
        (Signer(TypeError("a secret")), 502, False),
    ],
)
def test_an_answer_that_is_given_again_is_signed_or_withheld(signer: Signer, status: int, signed: bool) -> None:
    stored = Answer(201, (("content-type", "text/plain"),), b"created")
    otherwise = problem(Reason.RESPONSE_UNSIGNABLE, "request-1", "x-id")
    made = signed_again(signer, world.World().exchange(), stored, STAMP, otherwise)
    assert (made.status, "x-signature" in dict(made.fields)) == (status, signed)
    assert (made.body == stored.body) is signed
    assert all(not answer.own for answer in signer.given)


def test_who_signs() -> None:
    signer = Signer()
    route = world.route(answers=signer)
    exchange = world.World(policy=world.policy(route)).exchange()
    assert answer_signer(exchange) is signer
    exchange = world.World(policy=world.policy(world.route(), answers=signer)).exchange()
    assert answer_signer(exchange) is None
    assert held_answer(exchange, 200, []) is None
    exchange.route = None
    assert answer_signer(exchange) is signer
    begun = held_answer(exchange, 204, [(b"x-a", b"\xe9")])
    assert begun is not None
    assert (begun.bodiless, begun._fields) == (True, [("x-a", "é")])
