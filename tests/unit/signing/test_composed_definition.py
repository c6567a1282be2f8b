"""What a scheme refuses to be composed of, and what it says of its weaknesses."""

from typing import Any

import pytest

from gateway.signing import parts as p
from gateway.signing.places import InHeader
from tests import world

SIGNATURE_ONLY = {"key_id": None, "timestamp": None, "nonce": None}


def test_a_timestamp_that_is_not_signed_is_an_error() -> None:
    with pytest.raises(ValueError, match="the timestamp of x-timestamp is not signed"):
        world.scheme(parts=(p.Nonce(), p.Body()))


def test_a_nonce_that_is_not_signed_is_an_error() -> None:
    with pytest.raises(ValueError, match="the nonce of x-nonce is not signed"):
        world.scheme(parts=(p.Timestamp(), p.Body()))


@pytest.mark.parametrize("field", ["timestamp", "nonce"])
def test_a_signed_part_that_no_field_carries_is_an_error(field: str) -> None:
    with pytest.raises(ValueError, match="no field carries it"):
        world.scheme(**{field: None})


@pytest.mark.parametrize("parts", [(), (p.Literal("constant"),)])
def test_a_scheme_that_signs_nothing_is_an_error(parts: tuple[p.Part, ...]) -> None:
    with pytest.raises(ValueError, match="nothing of the request is signed"):
        world.scheme(parts=parts, **SIGNATURE_ONLY)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nonce": InHeader("x-timestamp")}, "each need a field of their own"),
        ({"signature": InHeader("X-Signature")}, "no field name in lower case"),
        ({"signature": InHeader("x signature")}, "no field name in lower case"),
        ({"algorithm": "hmac-sha3"}, "is none of hmac-sha256, hmac-sha384, hmac-sha512"),
    ],
)
def test_a_scheme_of_unfit_fields_or_algorithms_is_an_error(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        world.scheme(**changes)


def test_a_signature_that_signs_itself_is_an_error() -> None:
    with pytest.raises(ValueError, match="cannot sign itself"):
        world.scheme(parts=(*world.scheme().parts, p.Header("x-signature")))


@pytest.mark.parametrize(("part", "needed"), [(p.Body(), True), (p.BodyDigest("sha256"), True), (p.Target(), False)])
def test_the_body_is_needed_where_it_is_signed(part: p.Part, needed: bool) -> None:
    assert world.scheme(parts=(part,), **SIGNATURE_ONLY).needs_body is needed


# Weaknesses


def test_a_scheme_that_signs_everything_has_no_weakness() -> None:
    scheme = world.scheme(parts=(p.Method(), p.Target(), p.Timestamp(), p.Nonce(), p.Body()))
    assert scheme.weaknesses() == ()


def test_the_reference_scheme_leaves_the_query_open() -> None:
    assert world.scheme().weaknesses() == ("the query is not signed, so it can be changed: add query or target",)


@pytest.mark.parametrize(
    ("changes", "weakness"),
    [
        ({"parts": (p.Method(), p.Target(), p.Timestamp(), p.Nonce())}, "the body is not signed"),
        ({"parts": (p.Target(), p.Timestamp(), p.Nonce(), p.Body())}, "the method is not signed"),
        ({"parts": (p.Method(), p.Query(), p.Timestamp(), p.Nonce(), p.Body())}, "the path is not signed"),
        (
            {"parts": (p.Method(), p.Target(), p.Nonce(), p.Body()), "timestamp": None},
            "there is no timestamp",
        ),
        ({"parts": (p.Method(), p.Target(), p.Timestamp(), p.Body()), "nonce": None}, "there is no nonce"),
        (
            {"parts": (p.Method(), p.Timestamp(), p.Target(), p.Nonce(), p.BodyDigest("sha256")), "separator": b""},
            "nothing stands between",
        ),
    ],
)
def test_what_is_left_open_is_told_once_with_the_way_to_mend_it(changes: dict[str, Any], weakness: str) -> None:
    (found,) = world.scheme(**changes).weaknesses()
    assert found.startswith(weakness)
    assert ": add " in found


def test_parts_that_run_together_are_named() -> None:
    scheme = world.scheme(
        parts=(p.Header("x-account"), p.Body()),
        separator=b"",
        key_id=None,
        timestamp=None,
        nonce=None,
    )
    assert (
        "nothing stands between field x-account and body, so content can move between them: add a separator"
        in scheme.weaknesses()
    )
