"""Whatever an answer is: signed, it verifies, also by a library that others wrote; or it is told that it cannot be."""

from contextlib import nullcontext
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from http_message_signatures import HTTPMessageVerifier, HTTPSignatureKeyResolver, algorithms
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.core.message import Headers
from gateway.core.outgoing import Answered
from gateway.core.reasons import Denied
from gateway.signing.httpsig.answer_check import check_answer, read_answer
from gateway.signing.httpsig.answers import AnswerRules
from gateway.signing.httpsig.message import Request, Response
from tests import messages
from tests.messages import NOW, WINDOW
from tests.mint import private_key

RULES = AnswerRules(tag="psp")
SCHEME = messages.scheme(answers=RULES)
NAMES = st.sampled_from(["content-type", "location", "x-a", "vary", "signature", "signature-input", "content-digest"])
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=24).map(
    lambda text: text.strip(" \t")
)
ANSWERS = st.builds(
    Answered, st.integers(200, 599), st.lists(st.tuples(NAMES, VALUES), max_size=6), st.binary(max_size=64)
)
REQUEST = messages.head(("signature", "sig1=:AA==:"))
WISHES = st.one_of(st.just(""), st.text(max_size=40), st.just('mine=("@status" "x-a");created;tag="t"'))


class Keys(HTTPSignatureKeyResolver):
    """The gate's public key."""

    def resolve_private_key(self, key_id: str) -> Any:
        raise NotImplementedError

    def resolve_public_key(self, key_id: str) -> Any:
        assert key_id == "ed25519"
        return private_key("Ed25519", "partner").public_key()


def signed(answer: Answered, request: Any = REQUEST) -> Response:
    """Sign an answer as the gate does, and give it as it goes out."""
    made = SCHEME.sign_answer(answer, request, key=messages.own_key("ed25519"), now=NOW)
    own = {name for name, _ in made.fields}
    fields = [*(line for line in answer.fields if line[0] not in own), *made.fields]
    return Response(answer.status, Headers(fields), Request.of(request))


@given(ANSWERS)
@example(Answered(200, [("content-type", "caf\xe9")], b""))
@example(Answered(200, [("location", ""), ("location", "/b")], b"\xff"))
def test_what_is_signed_verifies(answer: Answered) -> None:
    response = signed(answer)
    found = read_answer(response, RULES)
    assert check_answer(found, response, answer.body, messages.keys(), WINDOW, NOW).id == "ed25519"


@settings(max_examples=40)
@given(ANSWERS)
def test_and_so_says_a_library_that_others_wrote(answer: Answered) -> None:
    # The library reads a field of empty lines only otherwise than RFC 9421 2.1 has it.
    ascii_only = answer._replace(fields=[line for line in answer.fields if line[1] and line[1].isascii()])
    response = signed(ascii_only)
    sent = httpx.Headers([(name.encode(), value.encode("latin-1")) for name, value in REQUEST.headers.fields])
    request = SimpleNamespace(method="POST", url=f"https://{messages.HOST}{REQUEST.target}", headers=sent)
    fields = httpx.Headers([(name.encode(), value.encode()) for name, value in response.headers.fields])
    message: Any = SimpleNamespace(status_code=response.status, headers=fields, request=request)
    verifier = HTTPMessageVerifier(signature_algorithm=algorithms.ED25519, key_resolver=Keys())
    verifier.max_clock_skew = timedelta(days=36_500)
    (result,) = verifier.verify(message, max_age=timedelta(days=36_500), body=answer.body or None)
    assert result.label == "gateway"


@given(ANSWERS, st.integers(200, 599))
def test_another_status_is_another_answer(answer: Answered, status: int) -> None:
    response = signed(answer)._replace(status=status)
    found = read_answer(response, RULES)
    with nullcontext() if status == answer.status else pytest.raises(Denied, match="is not that of key"):
        check_answer(found, response, answer.body, messages.keys(), WINDOW, NOW)


@given(ANSWERS, WISHES)
def test_no_wish_keeps_an_answer_from_being_signed(answer: Answered, wish: str) -> None:
    value = wish.encode("utf-8", "replace").decode("latin-1")
    request = REQUEST._replace(headers=Headers([*REQUEST.headers.fields, ("accept-signature", value)]))
    response = signed(answer, request)
    assert read_answer(response, RULES).key_id == "ed25519"
