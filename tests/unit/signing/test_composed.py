import hmac
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import pytest

from gateway.core.facts import VerifiedSignature
from gateway.core.message import Instant, RequestHead
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied, Reason
from gateway.core.secret import Secret
from gateway.signing import parts as p
from gateway.signing.composed import ComposedScheme
from gateway.signing.places import InHeader
from gateway.signing.scheme import read_whole
from gateway.signing.window import CHALLENGE, Window
from tests import vendors, world
from tests.world import BODY, NOW, SIGNING_KEY_ID, SIGNING_SECRET, World, own_key, signing_key

WINDOW = Window(60.0, 5.0)
KEYS = {SIGNING_KEY_ID: signing_key()}
SIGNATURE_ONLY = {"key_id": None, "timestamp": None, "nonce": None}


def verify(
    request: World | RequestHead | None = None,
    *,
    scheme: ComposedScheme | None = None,
    keys: Mapping[str, SigningKey] = KEYS,
    body: bytes = BODY,
    now: Instant = NOW,
) -> VerifiedSignature:
    head = request if isinstance(request, RequestHead) else (request or World()).head()
    return (scheme or world.scheme()).verify(head, body, keys, WINDOW, now)


def refused(*args: Any, **kwargs: Any) -> tuple[Reason, str]:
    with pytest.raises(Denied) as caught:
        verify(*args, **kwargs)
    if caught.value.reason.status == 401:
        assert caught.value.fields == (CHALLENGE,)
    return caught.value.reason, caught.value.detail


def signed_by(scheme: ComposedScheme, body: bytes = BODY, **options: Any) -> RequestHead:
    """Give a request that carries what the scheme's own client adds."""
    head = World(fields=dict.fromkeys(("x-key-id", "x-timestamp", "x-nonce", "x-signature"))).head()
    options = {"key": own_key(), "now": NOW, "nonce": "nonce-1", **options}
    return scheme.sign(head, body, **options).applied(head, body)[0]


def test_the_reference_scheme_verifies_what_others_signed() -> None:
    verified = verify()
    assert (verified.key_id, verified.created, verified.nonce) == (SIGNING_KEY_ID, NOW, "nonce-1")
    assert verified.window_end == NOW + 60


def test_a_request_is_told_from_others_by_key_and_nonce() -> None:
    assert verify().identity != verify(World(nonce="nonce-2")).identity
    assert verify().identity == verify(now=Instant(NOW + 1)).identity
    assert verify().identity == verify(World(body=b"{}"), body=b"{}").identity


@pytest.mark.parametrize(("key_id", "nonce"), [("a", "bc"), ("ab", "c"), ("a", "b"), ("b", "c")])
def test_key_and_nonce_do_not_run_together(key_id: str, nonce: str) -> None:
    head = signed_by(world.scheme(), key=own_key(id=key_id), nonce=nonce)
    assert verify(head, keys={key_id: signing_key(id=key_id)}).identity == f"{key_id}\n{nonce}".encode()


def test_without_a_nonce_a_request_is_told_from_others_by_what_was_signed() -> None:
    scheme = world.scheme(parts=(p.Timestamp(), p.Body()), nonce=None)
    assert verify(signed_by(scheme), scheme=scheme).identity == sha256(b"%d\n%b" % (NOW, BODY)).digest()


# Presence and form


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("x-key-id", "key id"),
        ("x-timestamp", "timestamp"),
        ("x-nonce", "nonce"),
        ("x-signature", "signature"),
    ],
)
def test_an_absent_field_is_named(name: str, what: str) -> None:
    assert refused(World(fields={name: None})) == (Reason.SIGNATURE_MISSING, f"no {name} field for the {what}")


@pytest.mark.parametrize("name", ["x-key-id", "x-timestamp", "x-nonce", "x-signature"])
def test_a_field_that_stands_twice_is_refused_even_with_the_same_value(name: str) -> None:
    value = World().head().headers.single(name)
    assert value is not None
    assert refused(World(extra=[(name, value)]))[0] is Reason.FIELD_REPEATED


@pytest.mark.parametrize("name", ["x-key-id", "x-nonce"])
@pytest.mark.parametrize("value", ["", "a b", "a\tb", "caf\xe9", "x" * 129])
def test_key_id_and_nonce_are_bounded_visible_ascii(name: str, value: str) -> None:
    assert refused(World(fields={name: value})) == (
        Reason.SIGNATURE_MALFORMED,
        f"{name} is not 1 to 128 visible ASCII characters",
    )


@pytest.mark.parametrize("nonce", ["x", "x" * 128, "".join(map(chr, range(0x21, 0x7F)))])
def test_a_nonce_may_have_up_to_128_of_all_visible_characters(nonce: str) -> None:
    assert verify(World(nonce=nonce)).nonce == nonce


@pytest.mark.parametrize("timestamp", ["1795352400000", "1795352400.0", "-795352400", "0795352400", "soon"])
def test_a_timestamp_has_one_form(timestamp: str) -> None:
    reason, detail = refused(World(fields={"x-timestamp": timestamp}))
    assert reason is Reason.SIGNATURE_MALFORMED
    assert detail.startswith("x-timestamp: expected unix as 10 digits")


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda text: text[:-1], "x-signature has 63 characters, expected 64 characters of hex"),
        (lambda text: text + "00", "x-signature has 66 characters, expected 64 characters of hex"),
        (lambda text: "g" + text[1:], "x-signature is not hex"),
        (lambda text: text[:-2] + "\xe9\xe9", "x-signature is not hex"),
        (lambda _: "", "x-signature has 0 characters, expected 64 characters of hex"),
    ],
)
def test_a_signature_has_its_exact_length_and_alphabet(change: Any, detail: str) -> None:
    text = world.signed(b"POST", b"/v1/deposits", BODY)["x-signature"]
    assert refused(World(fields={"x-signature": change(text)})) == (Reason.SIGNATURE_MALFORMED, detail)


def test_hex_in_upper_case_is_the_same_signature() -> None:
    text = world.signed(b"POST", b"/v1/deposits", BODY)["x-signature"]
    assert verify(World(fields={"x-signature": text.upper()})).key_id == SIGNING_KEY_ID


@pytest.mark.parametrize("value", ["", "sha512=", "SHA256=", "sha256 =", "0" * 64])
def test_a_signature_without_its_prefix_is_malformed(value: str) -> None:
    scheme = world.scheme(signature=InHeader("x-signature", "sha256="))
    head = World(fields={"x-signature": value}).head()
    assert refused(head, scheme=scheme) == (
        Reason.SIGNATURE_MALFORMED,
        "x-signature does not begin with 'sha256='",
    )


def test_a_prefix_is_taken_off() -> None:
    scheme = world.scheme(signature=InHeader("x-signature", "sha256="))
    assert verify(signed_by(scheme), scheme=scheme).key_id == SIGNING_KEY_ID


def test_a_signed_field_must_be_there() -> None:
    scheme = world.scheme(parts=(*world.scheme().parts, p.Header("x-amount")))
    assert refused(scheme=scheme) == (Reason.SIGNATURE_MISSING, "no x-amount field for the signed field")


def test_a_signed_field_must_stand_once() -> None:
    scheme = world.scheme(parts=(*world.scheme().parts, p.Header("x-amount")))
    assert refused(World(extra=[("x-amount", "1"), ("x-amount", "1")]), scheme=scheme)[0] is Reason.FIELD_REPEATED


def test_an_empty_query_is_not_taken_for_none() -> None:
    scheme = world.scheme(parts=(*world.scheme().parts, p.Query()))
    reason, detail = refused(World(target=b"/v1/deposits?"), scheme=scheme)
    assert (reason, "empty query" in detail) == (Reason.SIGNATURE_MALFORMED, True)


def test_a_nonce_that_holds_the_separator_is_refused_before_any_key_is_used() -> None:
    scheme = world.scheme(separator=b".")
    assert refused(World(nonce="a.b"), scheme=scheme, keys={}) == (
        Reason.SIGNATURE_MALFORMED,
        "the nonce holds the separator, so it could be read in two ways",
    )


def test_a_path_that_holds_the_separator_is_refused_before_any_key_is_used() -> None:
    reason, detail = refused(World(target=b"/v1.0/x"), scheme=world.scheme(separator=b"."), keys={})
    assert (reason, detail.startswith("the path holds")) == (Reason.SIGNATURE_MALFORMED, True)


# Keys


def test_an_unknown_key_is_refused() -> None:
    assert refused(World(fields={"x-key-id": "other"})) == (
        Reason.SIGNATURE_KEY_UNKNOWN,
        "key 'other' is none of the partner's",
    )


def test_a_key_for_another_algorithm_is_refused() -> None:
    keys = {SIGNING_KEY_ID: signing_key(algorithm="hmac-sha512")}
    assert refused(keys=keys) == (
        Reason.SIGNATURE_KEY_UNKNOWN,
        f"key {SIGNING_KEY_ID!r} is for hmac-sha512, the scheme signs by hmac-sha256",
    )


@pytest.mark.parametrize(
    ("times", "detail"),
    [
        ({"not_before": Instant(NOW + 50)}, f"key {SIGNING_KEY_ID!r} begins in 50 s"),
        ({"not_after": Instant(NOW - 3600)}, f"key {SIGNING_KEY_ID!r} ended 3600 s ago"),
        ({"not_after": NOW}, f"key {SIGNING_KEY_ID!r} ended 0 s ago"),
    ],
)
def test_a_key_outside_its_time_is_refused(times: dict[str, Instant], detail: str) -> None:
    assert refused(keys={SIGNING_KEY_ID: signing_key(**times)}) == (Reason.SIGNATURE_KEY_INACTIVE, detail)


def test_a_key_is_checked_before_the_window() -> None:
    assert refused(keys={}, now=Instant(NOW + 3600))[0] is Reason.SIGNATURE_KEY_UNKNOWN


@pytest.mark.parametrize("which", ["old", "new"])
def test_without_a_key_id_every_key_in_force_is_tried(which: str) -> None:
    keys = {
        "ended": SigningKey("ended", "hmac-sha256", Secret(b"0" * 32), not_after=NOW),
        "old": SigningKey("old", "hmac-sha256", Secret(b"1" * 32), not_after=Instant(NOW + 60)),
        "new": SigningKey("new", "hmac-sha256", Secret(b"2" * 32), not_before=Instant(NOW - 60)),
    }
    scheme = world.scheme(key_id=None)
    assert verify(signed_by(scheme, key=keys[which]), scheme=scheme, keys=keys).key_id == which


def test_without_a_key_id_a_key_out_of_force_is_not_tried() -> None:
    keys = {
        "ended": SigningKey("ended", "hmac-sha256", Secret(b"0" * 32), not_after=NOW),
        "new": SigningKey("new", "hmac-sha256", Secret(b"2" * 32)),
    }
    scheme = world.scheme(key_id=None)
    head = signed_by(scheme, key=keys["ended"])
    assert refused(head, scheme=scheme, keys=keys)[0] is Reason.SIGNATURE_MISMATCH
    assert refused(head, scheme=scheme, keys={"ended": keys["ended"]}) == (
        Reason.SIGNATURE_KEY_INACTIVE,
        "key 'ended' ended 0 s ago",
    )


@pytest.mark.parametrize("keys", [{}, {"a": SigningKey("a", "hmac-sha512", Secret(b"0" * 32))}])
def test_without_a_key_id_a_partner_without_fitting_keys_is_refused(keys: dict[str, SigningKey]) -> None:
    scheme = world.scheme(key_id=None)
    assert refused(scheme=scheme, keys=keys) == (
        Reason.SIGNATURE_KEY_UNKNOWN,
        "the partner has no key for hmac-sha256",
    )


# Window


def test_a_stale_request_is_refused_with_its_age() -> None:
    assert refused(now=Instant(NOW + 340)) == (Reason.SIGNATURE_STALE, "dated 340 s ago, the window is 60 s")


def test_a_post_dated_request_is_refused() -> None:
    assert refused(now=Instant(NOW - 6))[0] is Reason.SIGNATURE_FUTURE


def test_a_scheme_without_timestamp_has_no_window() -> None:
    scheme = world.scheme(parts=(p.Body(),), **SIGNATURE_ONLY)
    verified = verify(signed_by(scheme), scheme=scheme, now=Instant(NOW + 1e6))
    assert (verified.created, verified.window_end) == (None, None)


# Match


@pytest.mark.parametrize(
    "changed",
    [
        World(method=b"PUT", fields=world.signed(b"POST", b"/v1/deposits", BODY)),
        World(target=b"/v1/deposit", fields=world.signed(b"POST", b"/v1/deposits", BODY)),
        World(fields={"x-timestamp": str(int(NOW) + 1)}),
        World(fields={"x-nonce": "nonce-2"}),
    ],
)
def test_a_change_of_a_signed_part_is_refused(changed: World) -> None:
    assert refused(changed)[0] is Reason.SIGNATURE_MISMATCH


def test_a_change_of_the_body_is_refused_without_telling_what_was_signed() -> None:
    reason, detail = refused(body=BODY + b" ")
    assert reason is Reason.SIGNATURE_MISMATCH
    assert detail == f"differs from what lines gives over {len(BODY) + 38} bytes"


def test_a_body_serialised_anew_is_another_body() -> None:
    assert refused(body=BODY.replace(b":", b": "))[0] is Reason.SIGNATURE_MISMATCH


def test_another_secret_gives_another_signature() -> None:
    keys = {SIGNING_KEY_ID: signing_key(material=Secret(SIGNING_SECRET[:-1] + b"0"))}
    assert refused(keys=keys)[0] is Reason.SIGNATURE_MISMATCH


def test_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert refused()[0] is Reason.SIGNATURE_MISMATCH
    assert [(len(left), left == right) for left, right in compared] == [(32, True)]


# Signing


@pytest.mark.parametrize(("algorithm", "size"), [("hmac-sha256", 32), ("hmac-sha384", 48), ("hmac-sha512", 64)])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_what_is_signed_verifies(algorithm: str, size: int, encoding: str) -> None:
    scheme = world.scheme(algorithm=algorithm, encoding=encoding)
    key = signing_key(algorithm=algorithm)
    head = signed_by(scheme, key=own_key(algorithm=algorithm))
    assert len(scheme.read(head).signature) == size
    assert verify(head, scheme=scheme, keys={key.id: key}).key_id == key.id


def test_signing_gives_the_fields_in_the_order_they_are_named() -> None:
    head = World().head()
    fields = world.scheme().sign(head, BODY, key=own_key(), now=NOW, nonce="nonce-1").fields
    assert dict(fields) == world.signed(b"POST", b"/v1/deposits", BODY)
    assert [name for name, _ in fields] == ["x-key-id", "x-timestamp", "x-nonce", "x-signature"]


def test_a_scheme_of_a_signature_only_adds_that() -> None:
    scheme = world.scheme(parts=(p.Body(),), **SIGNATURE_ONLY)
    signed = scheme.sign(World().head(), BODY, key=own_key(), now=NOW, nonce="left aside")
    assert signed.fields == [("x-signature", hmac.digest(SIGNING_SECRET, BODY, "sha256").hex())]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": own_key(algorithm="hmac-sha384")}, "is for hmac-sha384"),
        ({"nonce": ""}, "would refuse the request: x-nonce"),
        ({"nonce": "two words"}, "would refuse the request: x-nonce"),
        ({"now": Instant(0.0)}, "would refuse the request: x-timestamp"),
    ],
)
def test_what_the_scheme_would_refuse_is_not_signed(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        signed_by(world.scheme(), **options)


def test_what_is_signed_can_be_shown() -> None:
    scheme, head = world.scheme(), World().head()
    lines = b"POST\n/v1/deposits\n%d\nnonce-1\n%b" % (NOW, BODY)
    assert scheme.string_to_sign(head, BODY, scheme.read(head)) == lines


# Secrets


def test_nothing_shows_the_signature() -> None:
    presented = world.scheme().read(World().head())
    shown = f"{presented} {presented!r} {world.scheme()!r}"
    assert presented.signature.hex() not in shown
    assert repr(presented.signature) not in shown


def test_what_is_matched_is_what_is_given_and_not_what_was_read() -> None:
    scheme, (head, body) = vendors.scheme("gitslotpark"), vendors.signed("gitslotpark")
    keys = vendors.keys("hmac-sha256")
    presented = read_whole(scheme, head, body, lambda _: True)
    admitted = scheme.admit(presented, keys, WINDOW, NOW)
    assert scheme.match(head, body, presented, admitted, WINDOW).key_id == vendors.KEY_ID
    with pytest.raises(Denied):
        scheme.match(head, body.replace(b"12.3", b"99.3"), presented, admitted, WINDOW)
