from typing import Any

import pytest

from gateway.core.reasons import Denied, Reason
from gateway.signing.jws_header import JoseHeader
from gateway.signing.jws_payload import MAX_FIELDS, BodyPayload, RequestPayload
from tests.vendors import request

HEAD, BODY = request("POST", "/pay?a=1", {"x-one": "1", "x-two": "caf\xe9"}, b"{}")


def header(**parameters: Any) -> JoseHeader:
    return JoseHeader("ES512", "k", False, {"tl_version": "2", **parameters}, "e30")


def refused(payload: RequestPayload, **parameters: Any) -> tuple[Reason, str]:
    with pytest.raises(Denied) as caught:
        payload.check(header(**parameters), HEAD)
    return caught.value.reason, caught.value.detail


def test_the_body() -> None:
    payload = BodyPayload()
    payload.check(header(), HEAD)
    assert (payload.build(header(), HEAD, BODY), payload.parameters(), payload.fields) == (BODY, {}, frozenset())


def test_method_path_fields_and_body() -> None:
    payload = RequestPayload(("X-One",))
    named = header(tl_headers="X-Two, x-ONE")
    payload.check(named, HEAD)
    assert payload.build(named, HEAD, BODY) == b"POST /pay\nX-Two: caf\xe9\nx-ONE: 1\n{}"
    assert payload.build(header(), HEAD, BODY) == b"POST /pay\n{}"
    assert payload.parameters() == {"tl_version": "2", "tl_headers": "X-One"}


def test_what_must_be_covered_is() -> None:
    assert refused(RequestPayload(("X-One",)), tl_headers="X-Two") == (
        Reason.SIGNATURE_COVERAGE, "the signature does not cover x-one",
    )  # fmt: skip
    assert refused(RequestPayload(), tl_headers="X-Three")[1] == "the signature covers x-three, absent here"
    assert refused(RequestPayload(), tl_version="1")[0] is Reason.SIGNATURE_COVERAGE


@pytest.mark.parametrize(
    "names", [["X-One"], "X-One,,X-Two", "X One", "x-one\n", "\xe9", ",".join(f"X-{n}" for n in range(MAX_FIELDS + 1))]
)
def test_what_is_no_list_of_fields(names: object) -> None:
    assert refused(RequestPayload(), tl_headers=names)[0] is Reason.SIGNATURE_MALFORMED


def test_a_field_is_named_once() -> None:
    assert refused(RequestPayload(), tl_headers="X-One,x-one") == (
        Reason.SIGNATURE_MALFORMED, "tl_headers names a field twice",
    )  # fmt: skip
