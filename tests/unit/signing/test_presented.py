import pytest

from gateway.core.message import Headers
from gateway.core.reasons import Denied, Reason
from gateway.signing.content import Content
from gateway.signing.places import InContent, InHeader, InItems
from gateway.signing.presented import LATER, Presented, required, text_at, texts_at, visible
from tests.mint import NOW
from tests.vendors import request


def content(**fields: str) -> Content:
    given = {name.replace("_", "-"): value for name, value in fields.items()}
    return Content(*request("GET", "/?nonce=n-1", given, b""))


def test_texts_at_every_place() -> None:
    assert texts_at(InHeader("x-sign"), content(x_sign="ab"), "signature") == ["ab"]
    assert texts_at(InItems("x-sign", ","), content(x_sign="a,b"), "signature") == ["a", "b"]
    assert text_at(InContent("query", "nonce"), content(), "nonce") == "n-1"


def test_of_several_texts_none_is_the_one() -> None:
    with pytest.raises(Denied, match="2 items of x-sign could be the timestamp"):
        text_at(InItems("x-sign", ","), content(x_sign="1,2"), "timestamp")


def test_a_field_must_be_there() -> None:
    with pytest.raises(Denied) as caught:
        required(Headers(), "x-sign", "signature")
    assert caught.value.reason is Reason.SIGNATURE_MISSING


@pytest.mark.parametrize("text", ["", "a b", "\xe9", "x" * 129])
def test_ids_and_nonces_are_bounded_and_visible(text: str) -> None:
    assert visible("k-1", InHeader("x-id")) == "k-1"
    with pytest.raises(Denied, match="x-id is not 1 to 128 visible"):
        visible(text, InHeader("x-id"))


def test_no_signature_is_shown() -> None:
    presented = Presented("k", str(NOW), NOW, "n", b"signature", (b"signature",), content(x_sign="signature"))
    assert "signature" not in repr(presented)
    assert LATER.signature == b""
