from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.message import Headers
from gateway.core.outgoing import Answered
from gateway.core.reasons import Denied
from gateway.signing.httpsig.answer_check import check_answer, read_answer
from gateway.signing.httpsig.answers import AnswerRules
from gateway.signing.httpsig.message import Request, Response
from tests import messages
from tests.messages import NOW, WINDOW, components, later

BODY = b'{"status":"ok"}'
REQUEST = messages.head(("signature", "sig1=:AA==:"))


def signed(rules: AnswerRules | None = None, algorithm: str = "ed25519", **changes: Any) -> Response:
    """Give an answer as the gate signs it, and as it was changed on its way."""
    scheme = messages.scheme(answers=rules or AnswerRules(tag="psp", expires_after=30.0))
    plain = [("content-type", "application/json")]
    made = scheme.sign_answer(
        Answered(200, plain, BODY), REQUEST, key=messages.own_key(algorithm), now=changes.pop("now", NOW)
    )
    fields = {**dict(plain), **dict(made.fields), **{name.replace("_", "-"): to for name, to in changes.items()}}
    return Response(200, Headers([(name, value) for name, value in fields.items() if value]), Request.of(REQUEST))


def checked(response: Response, body: bytes = BODY, rules: AnswerRules | None = None, **changes: Any) -> str:
    """Give the id of the key, or why it is refused."""
    try:
        found = read_answer(response, rules or AnswerRules(tag="psp", expires_after=30.0))
        assert "AA==" not in repr(found)
        keys = changes.get("keys", messages.keys())
        return check_answer(found, response, body, keys, WINDOW, changes.get("now", NOW)).id
    except Denied as denied:
        return denied.reason.code


@pytest.mark.parametrize("algorithm", ["ed25519", "hmac-sha256", "ecdsa-p256-sha256", "rsa-pss-sha512"])
def test_what_the_gate_signs_is_right(algorithm: str) -> None:
    assert checked(signed(algorithm=algorithm)) == algorithm


def test_each_part_that_is_covered_counts() -> None:
    right = signed()
    other = Request.of(messages.head(("signature", "sig1=:AQ==:")))
    for changed, reason in (
        (right._replace(status=201), "signature.mismatch"),
        (right._replace(request=other), "signature.mismatch"),
        (right._replace(request=Request.of(messages.head())), "signature.coverage"),
        (right._replace(request=None), "signature.coverage"),
        (right._replace(request=Request.of(messages.head(("signature", "sig1=:AA==:"), method="PUT"))),
         "signature.mismatch"),
        (right._replace(request=Request.of(messages.head(("signature", "sig1=:AA==:"), target="/v1/x"))),
         "signature.mismatch"),
        (signed(content_type="text/plain"), "signature.mismatch"),
    ):  # fmt: skip
        assert checked(changed) == reason
    assert checked(right, BODY + b" ") == "signature.digest_mismatch"


@given(at=st.integers(0, len(BODY) - 1), octet=st.integers(1, 255))
def test_any_octet_of_the_body_counts(at: int, octet: int) -> None:
    body = bytearray(BODY)
    body[at] ^= octet
    assert checked(signed(), bytes(body)) == "signature.digest_mismatch"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"signature": None}, "signature.missing"),
        ({"signature": "gateway=1"}, "signature.malformed"),
        ({"signature": "other=:AA==:"}, "signature.missing"),
        ({"signature": "gateway=:AA==:"}, "signature.mismatch"),
        ({"signature_input": "gateway=("}, "signature.malformed"),
        ({"signature_input": 'gateway=("@status");created=1;keyid="ed25519"'}, "signature.missing"),
        ({"signature_input": 'gateway=("@status");created=1;keyid="ed25519";tag="psp"'}, "signature.coverage"),
        ({"signature_input": 'gateway=("@status");keyid="ed25519";tag="psp"'}, "signature.missing"),
        ({"content_digest": "md5=:AA==:"}, "signature.malformed"),
    ],
)
def test_what_is_no_signature_of_the_gates(changes: dict[str, Any], reason: str) -> None:
    assert checked(signed(**changes)) == reason


def test_times_and_keys() -> None:
    right = signed()
    assert checked(right, now=later(31)) == "signature.stale"
    assert checked(signed(now=later(60))) == "signature.future"
    assert checked(right, keys={}) == "signature.key_unknown"
    forever = AnswerRules()
    assert checked(signed(forever), rules=forever, now=later(61)) == "signature.stale"
    said = f'gateway=("@status" "content-digest");created={int(NOW)};keyid="ed25519";alg="hmac-sha256"'
    least = AnswerRules(components("@status"))
    assert checked(signed(least, signature_input=said), rules=least) == "signature.algorithm"


def test_a_value_that_cannot_be_signed() -> None:
    rules = AnswerRules(components("@status"))
    right = signed(rules, content_type="caf\xe9")
    assert checked(right, rules=rules) == "signature.malformed"
