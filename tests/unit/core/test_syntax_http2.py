"""The differences that HTTP/2 makes (RFC 9113 section 8)."""

from typing import Any

import pytest

from gateway.core.message import RequestHead
from gateway.core.reasons import Denied, Reason
from gateway.core.syntax import read_head

HOST = (b"host", b"api.psp.example")


def read(*fields: tuple[bytes, bytes], **parts: Any) -> RequestHead:
    valid: dict[str, Any] = {"method": b"POST", "target": b"/v1/deposits", "version": "HTTP/2.0"}
    return read_head(**valid | {"fields": fields, "authority": b"api.psp.example", "ends_with_head": True} | parts)


def reason(*fields: tuple[bytes, bytes], **parts: Any) -> Reason:
    with pytest.raises(Denied) as caught:
        read(*fields, **parts)
    return caught.value.reason


@pytest.mark.parametrize("version", ["HTTP/2", "HTTP/2.0"])
def test_http2_has_two_names(version: str) -> None:
    assert read(version=version).version == "2"


def test_authority_stands_for_host() -> None:
    head = read()
    assert (head.authority, head.host, head.has_body) == ("api.psp.example", "api.psp.example", False)


def test_host_may_stand_for_authority() -> None:
    assert read(HOST, authority=None).host == "api.psp.example"


def test_host_beside_authority_must_agree() -> None:
    assert read(HOST).host == "api.psp.example"
    assert reason(HOST, authority=b"evil.example") is Reason.HOST_INVALID


def test_neither_is_refused() -> None:
    assert reason(authority=None) is Reason.HOST_INVALID


@pytest.mark.parametrize("length", [None, b"0", b"5"])
def test_a_body_may_come_without_a_length(length: bytes | None) -> None:
    fields = [(b"content-length", length)] if length is not None else []
    assert read(*fields, ends_with_head=False).has_body


def test_an_empty_body_may_say_so() -> None:
    head = read((b"content-length", b"0"))
    assert (head.content_length, head.has_body) == (0, False)


def test_the_length_of_a_body_that_does_not_follow_is_refused() -> None:
    assert reason((b"content-length", b"5")) is Reason.FRAMING_AMBIGUOUS


def test_a_transfer_coding_is_refused() -> None:
    fields = (b"transfer-encoding", b"chunked")
    assert reason(fields, ends_with_head=False) is Reason.FRAMING_AMBIGUOUS


@pytest.mark.parametrize("target", [b"https://api.psp.example/v1", b"*", b""])
def test_the_path_has_origin_form_only(target: bytes) -> None:
    assert reason(target=target) is Reason.TARGET_INVALID


@pytest.mark.parametrize("name", [b"connection", b"keep-alive", b"proxy-connection", b"upgrade", b"http2-settings"])
def test_fields_of_http1_connections_are_refused(name: bytes) -> None:
    assert reason((name, b"close")) is Reason.FIELD_INVALID


def test_te_says_trailers_only() -> None:
    assert "te" in read((b"te", b"trailers")).headers
    assert reason((b"te", b"gzip")) is Reason.FIELD_INVALID


def test_names_in_upper_case_are_refused() -> None:
    assert reason((b"X-Key-Id", b"1")) is Reason.FIELD_INVALID
