from dataclasses import replace
from typing import Any

import pytest

from gateway.core.exchange import Exchange
from gateway.core.facts import VerifiedSignature
from gateway.core.message import Instant
from gateway.core.outgoing import Answered, Stamp
from gateway.core.reasons import Denied, Reason
from gateway.signing import parts as p
from gateway.signing.outward import SignedAnswers, SignedRequests
from gateway.signing.places import InContent
from tests import messages, world

STAMP = Stamp(world.NOW, "request-1")
ANSWER = Answered(200, (("content-type", "text/plain"),), b"body")
REFUSAL = ANSWER._replace(own=True)
SECRETS = frozenset({"hmac-sha256"})


def exchange(*, known: bool = True, **changes: Any) -> Exchange:
    made = world.World().exchange()
    made.partner = replace(made.policy.partners[world.PARTNER], **changes) if known else None
    return made


def unsignable(signer: SignedAnswers, of: Exchange) -> str:
    with pytest.raises(Denied) as caught:
        signer.sign(of, ANSWER, STAMP)
    assert caught.value.reason is Reason.RESPONSE_UNSIGNABLE
    return caught.value.detail


def test_by_the_gates_own_key() -> None:
    signer = SignedAnswers(messages.scheme(), messages.own_key("ed25519"), SECRETS)
    signed = signer.sign(exchange(known=False), ANSWER, STAMP)
    assert signed is not None
    assert [name for name, _ in signed.fields] == ["content-digest", "signature-input", "signature"]
    assert signer.described == "rfc9421 by key ed25519"


def test_a_key_that_is_not_in_force_signs_nothing() -> None:
    for times in ({"not_after": world.NOW}, {"not_before": Instant(world.NOW + 1)}):
        key = replace(messages.own_key("ed25519"), **times)
        assert unsignable(SignedAnswers(messages.scheme(), key, SECRETS), exchange()) == (
            "gateway key 'ed25519' is not in force"
        )


def test_what_cannot_be_signed() -> None:
    scheme = messages.scheme(answers=messages.answers("date"))
    signer = SignedAnswers(scheme, messages.own_key("ed25519"), SECRETS)
    assert 'covers "date"' in unsignable(signer, exchange())
    wrong = SignedAnswers(messages.scheme(algorithms=SECRETS), messages.own_key("ed25519"), SECRETS)
    assert "is for ed25519" in unsignable(wrong, exchange())


def test_by_the_callers_secret() -> None:
    signer = SignedAnswers(messages.scheme(), None, SECRETS)
    assert signer.described == "rfc9421 by the caller's secret"
    signed = signer.sign(exchange(), ANSWER, STAMP)
    assert signed is not None
    assert f'keyid="{world.SIGNING_KEY_ID}"' in dict(signed.fields)["signature-input"]


def test_the_key_that_signed_the_request_signs_the_answer() -> None:
    keys = {name: world.signing_key(id=name) for name in ("one", "two")}
    of = exchange(signing_keys=keys)
    signer = SignedAnswers(messages.scheme(), None, SECRETS)
    for named, expected in (("one", "one"), (None, "two")):
        of.signature = None if named is None else VerifiedSignature(named, world.NOW, None, b"", None)
        signed = signer.sign(of, ANSWER, STAMP)
        assert signed is not None
        assert f'keyid="{expected}"' in dict(signed.fields)["signature-input"]


def test_who_shares_no_secret_gets_refusals_unsigned_and_nothing_else() -> None:
    signer = SignedAnswers(messages.scheme(), None, SECRETS)
    public = {"ed25519": messages.signing_key("ed25519")}
    ended = {"k": world.signing_key(id="k", not_after=world.NOW)}
    for of in (exchange(known=False), exchange(signing_keys=public), exchange(signing_keys=ended)):
        assert signer.sign(of, REFUSAL, STAMP) is None
        assert "no secret in force" in unsignable(signer, of)


def test_a_vendors_own_scheme_signs_the_answers_body() -> None:
    signer = SignedAnswers(world.scheme(), None, SECRETS)
    of = exchange()
    signed = signer.sign(of, ANSWER, STAMP)
    assert signed is not None
    head, _ = signed.applied(of.request, ANSWER.body)
    keys = {world.SIGNING_KEY_ID: world.signing_key()}
    assert world.scheme().verify(head, ANSWER.body, keys, messages.WINDOW, world.NOW).nonce == "request-1"
    of.head = None
    assert signer.sign(of, REFUSAL, STAMP) is None


def test_a_signature_in_the_query_is_none_of_a_response(monkeypatch: pytest.MonkeyPatch) -> None:
    scheme = world.scheme()
    sign = type(scheme).sign
    monkeypatch.setattr(type(scheme), "sign", lambda *a, **b: sign(*a, **b)._replace(target="/?sign=1"))
    assert "puts its signature into the query" in unsignable(SignedAnswers(scheme, None, SECRETS), exchange())


# Requests to an upstream


def test_a_request_is_signed_as_its_client_would() -> None:
    signer = SignedRequests(messages.scheme(), messages.own_key("ed25519"))
    assert signer.described == "rfc9421 by key ed25519"
    assert signer.replaces == {"signature", "signature-input", "content-digest", "repr-digest"}
    head = messages.head()
    made, body = signer.sign(head, messages.BODY, Stamp(messages.NOW, "request-1")).applied(head, messages.BODY)
    found = messages.scheme().verify(made, body, messages.keys(), messages.WINDOW, messages.NOW)
    assert (found.key_id, found.nonce) == ("ed25519", "request-1")


@pytest.mark.parametrize(
    ("changes", "said"), [({"not_after": world.NOW}, "is not in force"), ({"algorithm": "ed25519"}, "authorization")]
)
def test_a_request_that_cannot_be_signed(changes: dict[str, Any], said: str) -> None:
    scheme = messages.scheme("@method", "authorization")
    signer = SignedRequests(scheme, replace(messages.own_key("ed25519"), **changes))
    with pytest.raises(Denied, match=said) as caught:
        signer.sign(messages.head(), messages.BODY, STAMP)
    assert caught.value.reason is Reason.REQUEST_UNSIGNABLE


def test_the_media_type_of_the_answer_counts() -> None:
    """A route that is only read gets JSON signed inside, though its requests have no Content-Type."""
    scheme = world.scheme(
        parts=(p.Field("json", "/status"), p.Timestamp()), nonce=None, key_id=None, timestamp=InContent("json", "/at"),
        signature=InContent("json", "/sign"),
    )  # fmt: skip
    answer = ANSWER._replace(fields=[("content-type", "application/json")], body=b'{"status":"ok"}')
    signed = SignedAnswers(scheme, None, SECRETS).sign(exchange(), answer, STAMP)
    assert signed is not None
    assert b'"sign":"' in (signed.body or b"")
