import click
import pytest

from gateway.cli.answers import response_in, verify_answer
from gateway.cli.messages import Message
from tests import messages, world
from tests.messages import NOW, WINDOW

GET = Message(messages.head(method="GET", body=b""), b"")
HEAD = Message(messages.head(method="HEAD", body=b""), b"")
RAW = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A:  1\r\n\r\nok"


@pytest.mark.parametrize("raw", [RAW, RAW.replace(b"\r\n", b"\n"), RAW + b"\n"])
def test_an_answer_in_a_file(raw: bytes) -> None:
    response, body = response_in(raw, GET)
    assert (response.status, response.headers.single("x-a"), body) == (200, "1", b"ok")
    assert response.request is not None
    assert response.request.method == "GET"


def test_an_answer_to_head_has_no_body_whatever_it_says() -> None:
    raw = RAW.removesuffix(b"ok")
    assert response_in(raw, HEAD)[1] == b""
    assert response_in(raw.replace(b"200", b"304"), GET)[1] == b""


@pytest.mark.parametrize("raw", [b"", b"200 OK\n\n", b"HTTP/1.1 OK\n\n", b"HTTP/1.1\n"])
def test_what_is_no_answer(raw: bytes) -> None:
    with pytest.raises(click.UsageError, match="status line"):
        response_in(raw, GET)


def test_answers_of_vendors_are_signed_as_their_requests_are() -> None:
    response, body = response_in(RAW, GET)
    with pytest.raises(click.UsageError, match="none of RFC 9421"):
        verify_answer(world.scheme(), response, body, lambda _: {}, WINDOW, NOW)
