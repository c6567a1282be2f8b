import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from gateway.core.message import RequestHead
from gateway.core.reasons import Denied, Reason
from gateway.signing.algorithms import ALGORITHMS
from gateway.signing.httpsig.base import Covered
from gateway.signing.httpsig.digest import write_digest
from gateway.signing.httpsig.message import Request
from gateway.signing.httpsig.scheme import HttpMessageScheme
from gateway.signing.httpsig.sign import Terms, sign
from gateway.signing.window import Window
from tests import messages
from tests.messages import BODY, WINDOW, field, head, later, scheme, signed, with_fields
from tests.mint import NOW

UNREADABLE = 'sig1=("@method" "@target-uri" "content-digest"'


def denied(request: RequestHead, body: bytes = BODY, *, by: HttpMessageScheme | None = None, **changes: Any) -> Denied:
    keys = changes.get("keys", messages.keys())
    with pytest.raises(Denied) as caught:
        (by or scheme()).verify(request, body, keys, WINDOW, changes.get("now", NOW))
    assert caught.value.fields
    return caught.value


def resigned(request: RequestHead, *covered: str, label: str = "sig1", **parameters: Any) -> RequestHead:
    """Sign what a client would not, without the scheme's help."""
    fields = sign(
        Request.of(request), Covered(messages.components(*covered)), messages.terms(**parameters), label,
        messages.signer(),
    )  # fmt: skip
    return with_fields(request, *fields)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("alg", [True, False])
def test_a_signed_request(algorithm: str, alg: bool) -> None:
    request = signed(algorithm=algorithm, alg=algorithm if alg else None)
    found = scheme().verify(request, BODY, messages.keys(), WINDOW, NOW)
    assert found == (algorithm, NOW, "nonce-1", f"{algorithm}\nnonce-1".encode(), NOW + 60)


def test_without_a_nonce_the_signed_text_tells_requests_apart() -> None:
    request = signed(nonce=None)
    found = scheme().verify(request, BODY, messages.keys(), WINDOW, NOW)
    covered = Covered(messages.components("@method", "@target-uri", "content-digest"))
    base = covered.base(Request.of(request), ';created=1795352400;keyid="ed25519"')
    assert (found.nonce, found.identity) == (None, hashlib.sha256(base).digest())
    other = scheme().verify(signed(nonce=None, created=later(1)), BODY, messages.keys(), WINDOW, later(1))
    assert other.identity != found.identity


@pytest.mark.parametrize(("expires", "end"), [(30, 30), (90, 60), (None, 60)])
def test_a_request_counts_until_it_expires_or_leaves_the_window(expires: float | None, end: float) -> None:
    request = signed(expires=None if expires is None else later(expires))
    found = scheme().verify(request, BODY, messages.keys(), WINDOW, NOW)
    assert found.window_end == NOW + end
    scheme().verify(request, BODY, messages.keys(), WINDOW, later(end))
    assert denied(request, now=later(end + 1)).reason is Reason.SIGNATURE_STALE


def test_times_outside_of_the_window() -> None:
    assert denied(signed(), now=later(61)).reason is Reason.SIGNATURE_STALE
    assert denied(signed(), now=later(-6)).reason is Reason.SIGNATURE_FUTURE
    late = denied(signed(expires=later(10)), now=later(15))
    assert (late.reason, late.detail) == (Reason.SIGNATURE_STALE, "expired 5 s ago")


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"signature-input": None}, "no signature-input field"),
        ({"signature": None}, "no signature field"),
        ({"signature": "sig2=:AQI=:"}, "no signature with the label 'sig1'"),
        ({"signature-input": ""}, "none of 0 signatures is meant for the gate"),
        (
            {"signature-input": 'sig1=("@method" "@target-uri" "content-digest");created=1795352400'},
            "no parameter keyid",
        ),
        ({"signature-input": 'sig1=("@method" "@target-uri" "content-digest");keyid="a"'}, "no parameter created"),
    ],
)
def test_what_must_be_there(change: dict[str, str | None], detail: str) -> None:
    request = signed()
    kept = [(name, value) for name, value in request.headers.fields if name not in change]
    given = [(name, value) for name, value in change.items() if value is not None]
    found = denied(request._replace(headers=type(request.headers)([*kept, *given])))
    assert found.reason is Reason.SIGNATURE_MISSING
    assert detail in found.detail


@pytest.mark.parametrize("name", ["nonce", "expires"])
def test_parameters_that_the_scheme_asks_for(name: str) -> None:
    strict = scheme(**{f"{name}_required": True})
    assert f"no parameter {name}" in denied(signed(nonce=None), by=strict).detail
    strict.verify(signed(expires=later(30)), BODY, messages.keys(), WINDOW, NOW)


@pytest.mark.parametrize(
    ("name", "value", "detail"),
    [
        ("signature-input", UNREADABLE, "no dictionary"),
        ("signature-input", f"{UNREADABLE});created=1;created=1", "stands twice"),
        ("signature-input", f'{UNREADABLE} "@nothing");created=1', "no derived component"),
        ("signature-input", f'{UNREADABLE} "x-one";other);created=1', "unknown parameter"),
        ("signature-input", f'{UNREADABLE} "x-one";sf);created=1', "structure of"),
        ("signature-input", f'{UNREADABLE} "@method");created=1', "covered twice"),
        ("signature-input", f"{UNREADABLE});created=1;other", "unknown signature parameter"),
        ("signature-input", "a" * 8_193, "at most 8192"),
        ("signature", "sig1=1", "canonical base64"),
        ("signature", "a" * 8_193, "at most 8192"),
        ("content-digest", "sha-256=1", "no dictionary of byte sequences"),
        ("content-digest", "md5=:AQI=:", "no digest by sha-256"),
    ],
)
def test_malformed_fields(name: str, value: str, detail: str) -> None:
    found = denied(with_fields(signed(), (name, value)))
    assert found.reason is Reason.SIGNATURE_MALFORMED
    assert detail in found.detail


@pytest.mark.parametrize(
    ("covered", "detail"),
    [
        (["@method", "content-digest"], 'does not cover "@target-uri"'),
        (["@method", "@target-uri"], 'does not cover "content-digest"'),
        ([], 'does not cover "@method", "@target-uri", "content-digest"'),
    ],
)
def test_a_signature_that_covers_less(covered: list[str], detail: str) -> None:
    request = with_fields(head(), ("content-digest", write_digest(BODY)))
    found = denied(resigned(request, *covered))
    assert found.reason is Reason.SIGNATURE_COVERAGE
    assert detail in found.detail


def test_fields_that_must_be_covered_where_they_are_there() -> None:
    by = scheme(covered_if_present=("dpop",))
    by.verify(signed(by=by), BODY, messages.keys(), WINDOW, NOW)
    proof = head(("dpop", "proof"))
    by.verify(signed(proof, by=by), BODY, messages.keys(), WINDOW, NOW)
    assert 'does not cover "dpop"' in denied(signed(proof), by=by).detail


def test_a_signature_may_cover_more() -> None:
    request = with_fields(head(("x-one", "1")), ("content-digest", write_digest(BODY)))
    more = ("x-one", "@target-uri", "content-digest", "@method", "content-length", "@query", '@query-param;name="dry"')
    found = scheme().verify(resigned(request, *more), BODY, messages.keys(), WINDOW, NOW)
    assert found.key_id == "ed25519"
    changed = with_fields(resigned(request, *more), ("x-one", "2"))
    assert denied(changed).reason is Reason.SIGNATURE_MISMATCH


@pytest.mark.parametrize(
    ("covered", "reason", "detail"),
    [
        ('"x-two"', Reason.SIGNATURE_COVERAGE, 'covers "x-two", which the message does not have'),
        ('"x-two";tr', Reason.SIGNATURE_COVERAGE, "the message has no trailers"),
        ('"@method";req', Reason.SIGNATURE_MALFORMED, "`req` in a request"),
        ('"@status"', Reason.SIGNATURE_MALFORMED, "@status in a request"),
        ('"x-text"', Reason.SIGNATURE_MALFORMED, "not ASCII"),
        ('"@query-param";name="twice"', Reason.SIGNATURE_MALFORMED, "stands 2 times"),
    ],
)
def test_components_that_a_request_cannot_have(covered: str, reason: Reason, detail: str) -> None:
    request = signed(head(("x-text", "caf\xe9"), target="/v1/deposits?twice=1&twice=2"))
    inputs = field(request, "signature-input").replace("(", f"({covered} ")
    found = denied(with_fields(request, ("signature-input", inputs)))
    assert found.reason is reason
    assert detail in found.detail


def test_the_body_is_the_one_that_was_signed() -> None:
    found = denied(signed(), BODY + b" ")
    assert found.reason is Reason.SIGNATURE_DIGEST
    assert found.detail == f"content-digest by sha-256 is not that of the {len(BODY) + 1} bytes received"
    repr_digest = ("repr-digest", write_digest(b"other"))
    assert denied(signed(head(repr_digest))).reason is Reason.SIGNATURE_DIGEST


def test_a_digest_that_was_changed_with_the_body() -> None:
    request = with_fields(signed(), ("content-digest", write_digest(b"other")))
    assert denied(request, b"other").reason is Reason.SIGNATURE_MISMATCH


@pytest.mark.parametrize("changes", [{"method": "PUT"}, {"target": "/v1/deposits?dry=yes"}, {"target": "/v1/deposits"}])
def test_a_request_that_was_changed(changes: dict[str, str]) -> None:
    signature = [(name, field(signed(), name)) for name in ("content-digest", "signature-input", "signature")]
    found = denied(with_fields(head(**changes), *signature))
    assert found.reason is Reason.SIGNATURE_MISMATCH
    assert "is not that of key 'ed25519' over the " in found.detail


def test_keys() -> None:
    assert denied(signed(key_id="other")).reason is Reason.SIGNATURE_KEY_UNKNOWN
    narrow = scheme(algorithms=frozenset({"rsa-pss-sha512"}))
    assert "the scheme takes rsa-pss-sha512" in denied(signed(), by=narrow).detail
    ended = {"ed25519": messages.signing_key(not_after=NOW)}
    assert denied(signed(), keys=ended).reason is Reason.SIGNATURE_KEY_INACTIVE
    other = {"ed25519": messages.signing_key("ecdsa-p256-sha256", id="ed25519")}
    assert denied(signed(), keys=other).reason is Reason.SIGNATURE_MISMATCH
    secret = {"ed25519": messages.signing_key("hmac-sha256", id="ed25519")}
    assert denied(signed(), keys=secret).detail.endswith("bytes of the signature base")


def test_alg_is_that_of_the_key() -> None:
    found = denied(signed(alg="hmac-sha256"))
    assert found.reason is Reason.SIGNATURE_ALGORITHM
    assert found.detail == "alg is 'hmac-sha256', key 'ed25519' is for ed25519"


def test_the_log_is_told_what_can_be_told() -> None:
    request = with_fields(signed(), ("signature", "sig1=:AQI=:"))
    assert denied(request).detail.endswith(": has 2 octets, the key makes 64")


def two(first: str = "proxy", second: str = "sig1", **parameters: Any) -> RequestHead:
    """Give a request with two signatures: a proxy's, by a key of its own, and the partner's."""
    request = signed(by=scheme(label=second), **parameters)
    inputs, signature = field(request, "signature-input"), field(request, "signature")
    proxy = '("@method" "signature";key="sig1");created=1795352400;keyid="proxy-key";tag="proxy"'
    return with_fields(
        request, ("signature-input", f"{first}={proxy}, {inputs}"), ("signature", f"{first}=:AQI=:, {signature}")
    )


@pytest.mark.parametrize(
    ("by", "request_"),
    [
        (scheme(label="sig1"), two()),
        (scheme(label="partner"), two(second="partner")),
        (scheme(tag="payments"), two(tag="payments")),
        (scheme(tag="payments", label="sig1"), two(tag="payments")),
        (scheme(), two()),
        (scheme(tag="proxy"), two(tag="proxy")),
    ],
)
def test_the_signature_that_counts_among_several(by: HttpMessageScheme, request_: RequestHead) -> None:
    assert by.verify(request_, BODY, messages.keys(), WINDOW, NOW).key_id == "ed25519"


@pytest.mark.parametrize(
    ("by", "reason", "detail"),
    [
        (scheme(label="other"), Reason.SIGNATURE_MISSING, "none of 2 signatures with label 'other' is meant"),
        (scheme(tag="other"), Reason.SIGNATURE_MISSING, "none of 2 signatures with tag 'other' is meant"),
        (scheme(label="sig1", tag="other"), Reason.SIGNATURE_MISSING, "with label 'sig1' and tag 'other'"),
        (scheme(label="proxy"), Reason.SIGNATURE_COVERAGE, "signature 'proxy' does not cover"),
    ],
)
def test_no_signature_that_counts(by: HttpMessageScheme, reason: Reason, detail: str) -> None:
    found = denied(two(), by=by)
    assert found.reason is reason
    assert detail in found.detail


def test_which_of_two_signatures_counts_must_be_clear() -> None:
    request = signed()
    inputs, signature = field(request, "signature-input"), field(request, "signature")
    again = with_fields(
        request,
        ("signature-input", f"{inputs}, sig2={inputs.partition('=')[2]}"),
        ("signature", f"{signature}, sig2={signature.partition('=')[2]}"),
    )
    found = denied(again)
    assert (found.reason, found.detail) == (
        Reason.SIGNATURE_MALFORMED, "2 signatures by keys that are known: which one counts?",
    )  # fmt: skip
    with pytest.raises(Denied, match="2 signatures"):
        scheme().read(again)
    scheme(label="sig2").verify(again, BODY, messages.keys(), WINDOW, NOW)


def test_a_request_without_body() -> None:
    request = signed(head(body=b"", method="GET"), b"")
    assert "content-digest" not in request.headers
    scheme().verify(request, b"", messages.keys(), WINDOW, NOW)


def test_signing_as_a_client_does() -> None:
    by = HttpMessageScheme(
        "fapi", messages.components("@method", "@target-uri"), ("authorization",), tag="t", label="mine"
    )
    plain = head(("authorization", "Bearer token"), ("content-digest", write_digest(BODY, "sha-512")))
    fields = dict(by.sign_on(plain, BODY, signer=messages.signer(), terms=Terms(NOW, "ed25519")))
    assert fields["signature-input"] == (
        'mine=("@method" "@target-uri" "authorization" "content-digest");created=1795352400;keyid="ed25519";tag="t"'
    )
    assert fields.keys() == {"signature-input", "signature"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            lambda: scheme(nonce_required=True).sign_on(head(), BODY, signer=messages.signer(), terms=Terms(NOW, "k")),
            "nonce",
        ),
        (
            lambda: scheme("x-one").sign_on(head(), BODY, signer=messages.signer(), terms=Terms(NOW, "k")),
            "does not have",
        ),
        (lambda: scheme(algorithms=frozenset({"none"})), "algorithms .'none'. are none of"),
        (lambda: scheme(algorithms=frozenset()), "are none of"),
        (lambda: scheme("@status"), '"@status" is of responses'),
        (lambda: scheme("@method;req"), "is of responses"),
        (lambda: scheme("x-one;tr"), "those that come must be covered"),
        (lambda: scheme("x-one;sf"), "structure of"),
        (lambda: scheme("@method", "@method"), "covered twice"),
    ],
)
def test_what_cannot_be(given: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        given()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_signing_with_a_key_of_ones_own(algorithm: str) -> None:
    by = scheme(nonce_required=True, expires_required=True)
    plain, key = head(), messages.own_key(algorithm)
    request, body = by.sign(plain, BODY, key=key, now=NOW, nonce="n-1").applied(plain, BODY)
    verified = by.verify(request, body, messages.keys(), Window(3_600.0, 5.0), NOW)
    assert (verified.key_id, verified.nonce, verified.window_end) == (algorithm, "n-1", NOW + 60)


def test_a_digest_that_must_be_covered_is_made_of_no_body_too() -> None:
    by, plain = scheme("@method", "content-digest"), head(method="GET", body=b"")
    request, body = by.sign(plain, b"", key=messages.own_key(), now=NOW, nonce="n").applied(plain, b"")
    assert request.headers.single("content-digest") == write_digest(b"")
    assert by.verify(request, body, messages.keys(), Window(60.0, 5.0), NOW).nonce == "n"


def test_a_key_for_what_the_scheme_does_not_take_signs_nothing() -> None:
    with pytest.raises(ValueError, match="not for hmac-sha256"):
        scheme(algorithms=frozenset({"hmac-sha256"})).sign(head(), BODY, key=messages.own_key(), now=NOW, nonce="n")


def test_what_is_signed_can_be_shown() -> None:
    by, request = scheme(), signed()
    shown = by.string_to_sign(request, BODY, by.read(request))
    assert shown.startswith(b'"@method": POST\n"@target-uri": https://api.psp.example/v1/deposits?dry=no\n')


def test_what_cannot_be_signed_cannot_be_shown() -> None:
    by = scheme("x-one")
    presented = by.read(signed(head(("x-one", "1"), body=b""), b"", by=by))
    for plain, reason in (
        (head(), Reason.SIGNATURE_COVERAGE),
        (head(("x-one", "\xe9")), Reason.SIGNATURE_MALFORMED),
    ):
        with pytest.raises(Denied) as caught:
            by.string_to_sign(plain, b"", presented)
        assert caught.value.reason is reason


def test_weaknesses() -> None:
    assert scheme(nonce_required=True).weaknesses() == ()
    assert [weakness.partition(",")[0] for weakness in scheme("x-one").weaknesses()] == [
        "the method need not be signed",
        "the path need not be signed",
        "the query need not be signed",
        "the host need not be signed",
        "no nonce is asked for",
    ]
    assert scheme("@method", "@path", "@query", "@authority", nonce_required=True).weaknesses() == ()


def test_neither_signature_nor_nonce_is_shown() -> None:
    request = signed(nonce="secret-nonce")
    presented = scheme().read(request)
    assert "secret-nonce" not in repr(presented)
    assert repr(presented.signature) not in repr(presented)
