import pytest

from gateway.core.message import Headers
from gateway.signing.httpsig.message import Request, Response
from tests import messages


def test_a_request_of_the_gate() -> None:
    head = messages.head(target="/v1/a?b=c")
    request = Request.of(head)
    assert request == ("POST", "https", messages.HOST, "/v1/a?b=c", "/v1/a", "b=c", head.headers, None)


@pytest.mark.parametrize(
    ("scheme", "authority", "normal"),
    [
        ("https", "API.Example", "api.example"),
        ("https", "api.example:443", "api.example"),
        ("https", "api.example:80", "api.example:80"),
        ("http", "api.example:80", "api.example"),
        ("http", "api.example:443", "api.example:443"),
        ("https", "api.example:8443", "api.example:8443"),
        ("https", "[2001:DB8::1]:443", "[2001:db8::1]"),
    ],
)
def test_one_authority_is_written_in_one_way(scheme: str, authority: str, normal: str) -> None:
    assert Request.of(messages.head(), scheme)._replace(authority=authority).normal_authority == normal


def test_a_response_knows_its_request() -> None:
    request = Request.of(messages.head())
    assert Response(200, Headers(), request).request is request
    assert Response(200, Headers()).trailers is None
