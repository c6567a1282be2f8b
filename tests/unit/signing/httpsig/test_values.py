import pytest

from gateway.core.message import Headers
from gateway.signing.httpsig.component import Component
from gateway.signing.httpsig.message import Message, Request, Response
from gateway.signing.httpsig.values import (
    FIELD_KINDS,
    MAX_QUERY_PARAMETERS,
    AbsentError,
    Reading,
    read_query,
    value_of,
)
from tests import messages

REQUEST = Request.of(messages.head(("x-one", "a=1, b"), ("x-text", "caf\xe9"), target="/v1/a?b=c&b=d&e=%FF&f=~"))
RESPONSE = Response(201, Headers([("x-one", "c"), ("set-cookie", "a=b"), ("set-cookie", "c=d")]), REQUEST)


def value(written: str, message: Message = REQUEST) -> str:
    return value_of(Component.parse(written), {"x-one": "dictionary"})(Reading(message))


@pytest.mark.parametrize(
    ("written", "message", "expected"),
    [
        ("@method;req", RESPONSE, "POST"),
        ("@target-uri;req", RESPONSE, f"https://{messages.HOST}/v1/a?b=c&b=d&e=%FF&f=~"),
        ("x-one;req", RESPONSE, "a=1, b"),
        ('x-one;key="b";req', RESPONSE, "?1"),
        ("x-one", RESPONSE, "c"),
        ("@status", RESPONSE, "201"),
        ("set-cookie;bs", RESPONSE, ":YT1i:, :Yz1k:"),
        ("x-text;bs", REQUEST, ":Y2Fm6Q==:"),
        ("x-text", REQUEST, "caf\xe9"),
        ("@target-uri", REQUEST._replace(query=None), f"https://{messages.HOST}/v1/a"),
        ("@path", REQUEST._replace(path=""), "/"),
        ("host", REQUEST._replace(headers=Headers([]), authority="Api.example:8443"), "Api.example:8443"),
        ("x-one;tr", REQUEST._replace(trailers=Headers([("x-one", "t")])), "t"),
        ('x-one;tr;key="a"', REQUEST._replace(trailers=Headers([("x-one", "a=2")])), "2"),
    ],
)
def test_values(written: str, message: Message, expected: str) -> None:
    assert value(written, message) == expected


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("x-lacking", REQUEST),
        ("x-lacking;bs", REQUEST),
        ("x-one;tr", REQUEST),
        ('x-one;key="c"', REQUEST),
        ('@query-param;name="lacking"', REQUEST._replace(query="a=b")),
        ('@query-param;name="lacking"', REQUEST._replace(query=None)),
        ("@method;req", RESPONSE._replace(request=None)),
    ],
)
def test_what_a_message_does_not_have(written: str, message: Message) -> None:
    with pytest.raises(AbsentError):
        value(written, message)


@pytest.mark.parametrize(
    ("written", "message", "said"),
    [
        ("@status", REQUEST, "@status in a request"),
        ("@method", RESPONSE, "is of requests"),
        ("@method;req", REQUEST, "`req` in a request"),
        ("set-cookie", RESPONSE, "cannot be joined"),
        ("@query", REQUEST._replace(query=""), "empty query"),
        ('@query-param;name="b"', REQUEST._replace(query="b=c&b=d"), "stands 2 times"),
        ('@query-param;name="b"', REQUEST, "not UTF-8"),
        ("x-one;sf", REQUEST._replace(headers=Headers([("x-one", "a=1, a=2")])), "stands twice"),
    ],
)
def test_what_cannot_be_signed(written: str, message: Message, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        value(written, message)
    assert not isinstance(caught.value, AbsentError)


def test_sf_needs_a_known_structure() -> None:
    with pytest.raises(ValueError, match='structure of "x-other";sf is not known'):
        value_of(Component.parse("x-other;sf"), {})
    assert value_of(Component.parse("x-other;sf"), {"x-other": "list"})
    assert FIELD_KINDS["content-digest"] == "dictionary"
    assert FIELD_KINDS["priority"] == "dictionary"


def test_a_dictionary_is_taken_apart_once() -> None:
    reading = Reading(REQUEST)
    component = Component.parse('x-one;key="a"')
    assert reading.dictionary(component) is reading.dictionary(component)
    plain = Reading(REQUEST._replace(query="a=b"))
    assert plain.parameters() is plain.parameters()


def test_queries_are_encoded_again() -> None:
    assert read_query("a=b&&c&d=e=f&=g&%61=+%7E%20*") == {
        "a": ["b", "%20%7E%20*"],
        "c": [""],
        "d": ["e%3Df"],
        "": ["g"],
    }


def test_queries_are_bounded() -> None:
    with pytest.raises(ValueError, match="at most 256"):
        read_query("&".join(["a=b"] * (MAX_QUERY_PARAMETERS + 1)))
    assert len(read_query("&".join(["a=b"] * MAX_QUERY_PARAMETERS))["a"]) == MAX_QUERY_PARAMETERS
