from typing import Any

import pytest

from gateway.core.message import Headers, Instant
from gateway.signing.httpsig.answers import AnswerRules
from gateway.signing.httpsig.base import Covered
from gateway.signing.httpsig.component import Component
from gateway.signing.httpsig.inputs import components_of, read_inputs, read_signature
from gateway.signing.httpsig.message import Request, Response
from gateway.signing.httpsig.negotiation import Wish
from gateway.signing.httpsig.values import AbsentError
from tests import messages
from tests.messages import NOW, components


def response(*fields: tuple[str, str], request: Any = messages.head, status: int = 200) -> Response:
    """Give a response with a digest."""
    headers = Headers([("content-digest", "sha-256=:AA==:"), *fields])
    return Response(status, headers, None if request is None else Request.of(request()))


def signed(rules: AnswerRules, message: Response, **changes: Any) -> dict[str, str]:
    """Sign, and give the text of what is covered by label; every signature is verified."""
    made = dict(rules.sign(message, messages.signer("ed25519"), "gate", NOW, **changes))
    found = {}
    inputs = read_inputs(made["signature-input"], lambda text: Covered.of(components_of(text), rules.kinds))
    for label, announced in inputs.items():
        base = announced.covered.base(message, announced.parameters.text)
        signature = read_signature(made["signature"], label)
        assert signature is not None
        assert messages.signing_key("ed25519").public.verifies(base, signature)
        found[label] = announced.covered.text + announced.parameters.text
    return found


def test_an_answer_is_bound_to_its_request() -> None:
    fields = (("signature", "sig1=:AA==:"), ("signature-input", "sig1=()"))
    message = response(("content-type", "text/plain"), request=lambda: messages.head(*fields))
    assert signed(AnswerRules(), message) == {
        "gateway": '("@status" "content-digest" "@method";req "@target-uri";req "content-type" "signature-input";req '
        f'"signature";req);created={int(NOW)};keyid="gate"'
    }


def test_what_a_policy_asks_for() -> None:
    rules = AnswerRules(components("date"), components("x-one"), label="psp", tag="answer", expires_after=30.0)
    covered = '("@status" "content-digest" "date" "x-one")'
    assert signed(rules, response(("date", "now"), ("x-one", "1"))) == {
        "psp": f'{covered};created={int(NOW)};keyid="gate";expires={int(NOW) + 30};tag="answer"'
    }
    assert '"x-one"' not in signed(rules, response(("date", "now")))["psp"]


def test_what_must_be_covered_and_is_not_there_cannot_be_signed() -> None:
    rules = AnswerRules(components("date"))
    with pytest.raises(AbsentError, match='covers "date"'):
        signed(rules, response())
    assert signed(rules, response(), whatever_there_is=True)["gateway"].startswith('("@status" "content-digest");')


def test_an_answer_to_what_could_not_be_read_leaves_the_request_out() -> None:
    message = response(("content-type", "text/plain"), request=None)
    with pytest.raises(AbsentError):
        signed(AnswerRules(), message)
    found = signed(AnswerRules(), message, whatever_there_is=True)
    assert found["gateway"].startswith('("@status" "content-digest" "content-type");')


def test_a_value_that_cannot_be_signed_is_left_out_where_it_may_be() -> None:
    message = response(("location", "/caf\xe9"), ("content-type", "text/plain"))
    assert '"location"' not in signed(AnswerRules(), message)["gateway"]


@pytest.mark.parametrize("written", ["x-one;tr", "@method", '"@query-param";name="a"', "x-one;sf"])
def test_components_that_no_answer_has(written: str) -> None:
    with pytest.raises(ValueError, match=r"trailers|of requests|not known"):
        AnswerRules((Component.parse(written),))


def wish(label: str = "mine", *covered: str, **changes: Any) -> Wish:
    given: dict[str, Any] = {
        "created": True, "expires": False, "nonce": None, "alg": None, "key_id": None, "tag": None, **changes
    }  # fmt: skip
    return Wish(label, components(*(covered or ("@status",))), **given)


def test_wishes_are_fulfilled_where_they_can_be() -> None:
    wishes = [
        wish("one", "@status", '"@query";req', nonce="n", expires=True, alg="ed25519", key_id="gate"),
        wish("one", "@status"),  # a label twice
        wish("gateway", "@status"),  # the gate's own label
        wish("absent", "@status", "x-none"),
        wish("key", "@status", key_id="other"),
        wish("alg", "@status", alg="hmac-sha256"),
        wish("two", "@status", tag="t"),
    ]
    found = signed(AnswerRules(tag="own"), response(), wishes=wishes)
    assert list(found) == ["gateway", "one", "two"]
    assert found["one"] == (
        f'("@status" "@query";req);created={int(NOW)};keyid="gate";alg="ed25519";expires={int(NOW) + 300};nonce="n"'
    )
    assert found["two"].endswith('keyid="gate";tag="t"')


def test_a_time_with_fractions_is_cut() -> None:
    message = response()
    fields = dict(AnswerRules().sign(message, messages.signer(), "gate", Instant(NOW + 0.9)))
    assert f"created={int(NOW)};" in fields["signature-input"]
