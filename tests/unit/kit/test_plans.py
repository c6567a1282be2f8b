from typing import Any

import pytest

from gateway.kit.facts import Facts
from gateway.kit.plan import digests
from gateway.kit.plans import plan_of
from gateway.signing.jws_header import Expected
from gateway.signing.jws_payload import RequestPayload
from gateway.signing.jws_scheme import JwsScheme
from tests.unit.kit.kits import facts


def planned(found: Facts) -> Any:
    assert found.signing is not None
    return found.signing.plan


def written(pieces: Any) -> str:
    return "".join(f"{{{piece.text}}}" if piece.variable else piece.text for piece in pieces)


def test_a_vendors_scheme() -> None:
    plan = planned(facts())
    assert written(plan.string) == "{method}\n{path}\n{timestamp}\n{nonce}\n{body}"
    assert [(name, written(value)) for name, value in plan.headers] == [
        ("x-key-id", "{key_id}"), ("x-timestamp", "{timestamp}"), ("x-nonce", "{nonce}"), ("x-signature", "{signature}")
    ]  # fmt: skip
    assert (plan.algorithm, plan.encoding, digests(plan)) == ("hmac-sha256", "hex", [])


def test_json_web_signatures() -> None:
    named = JwsScheme(
        "jws", frozenset({"hmac-sha256"}), "x-jws", payload=RequestPayload(("Idempotency-Key",)),
        created_parameter="iat", nonce_field="idempotency-key",
    )  # fmt: skip
    plan = planned(facts(named))
    assert written(plan.jose) == (
        '{"alg":"HS256","kid":"{key_id}","iat":{timestamp},"tl_version":"2","tl_headers":"Idempotency-Key"}'
    )
    assert written(plan.string) == "{jose}.{payload}"
    assert written(plan.payload) == "{method} {path}\nIdempotency-Key: {nonce}\n{body}"
    assert [(name, written(value)) for name, value in plan.headers] == [
        ("idempotency-key", "{nonce}"), ("x-jws", "{jose}..{signature}")
    ]  # fmt: skip
    assert plan.sent == ()


def test_json_web_signatures_with_the_body_as_it_is_or_as_the_body() -> None:
    hmac = frozenset({"hmac-sha256"})
    plan = planned(facts(JwsScheme("jws", hmac, "x-jws", expected=Expected(unencoded=True))))
    assert (written(plan.string), plan.payload) == ("{jose}.{body}", ())
    plan = planned(facts(JwsScheme("jws", hmac, carried="body")))
    assert (written(plan.sent), plan.headers) == ("{jose}.{payload}.{signature}", ())


def test_no_words_for_the_schemes_of_others() -> None:
    found = facts().signing
    assert found is not None
    with pytest.raises(TypeError):
        plan_of(object(), "hmac-sha256", found.sample)  # type: ignore[arg-type]
