import hashlib
import hmac
from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway.audit.digests import MOST_PARAMETERS, digests
from gateway.audit.record import line
from gateway.core.message import Headers
from gateway.core.publication import AuditSettings, DigestOf, Digests
from gateway.core.secret import Secret
from tests.unit.audit.examples import CLAIMS, HEAD, IN_FORCE, allowed, decided, exchange, finished

KEY = b"0123456789abcdef0123456789abcdef"
BODY = b'{"player":{"id":4711,"name":"Ann"},"tags":["x","y"],"a/b":{"~":"tilde"},"yes":true,"none":null,"rate":1.5}'


def digest(value: str) -> str:
    return hmac.digest(KEY, value.encode(), "sha256").hex()


def of(place: str, name: str, **changes: Any) -> str | list[str] | None:
    settings = Digests(Secret(KEY), (DigestOf(place, name),))
    return digests(exchange(**changes), settings).get(f"{place}:{name}")


def head(query: str | None = None, *fields: tuple[str, str]) -> Any:
    return HEAD._replace(query=query, headers=Headers(fields))


def test_a_field() -> None:
    assert of("header", "x-player", head=head(None, ("x-player", "p-1"))) == digest("p-1")
    twice = head(None, ("x-player", "p-1"), ("x-player", "p-2"))
    assert of("header", "x-player", head=twice) == [digest("p-1"), digest("p-2")]
    assert of("header", "x-player", head=head()) is None
    assert of("header", "x-player", head=None) is None


def test_a_parameter() -> None:
    assert of("query", "player", head=head("a=1&player=p%201&b")) == digest("p 1")
    assert of("query", "player", head=head("&".join(["player=x"] * 9))) == [digest("x")] * 4
    assert of("query", "player", head=head("&".join(["player=x"] * (MOST_PARAMETERS + 1)))) is None
    assert of("query", "player", head=head()) is None


def test_a_claim() -> None:
    claims = replace(CLAIMS, all={"sub": "acme-backend", "level": 3, "roles": ["a"]})
    assert of("claim", "sub", claims=claims) == digest("acme-backend")
    assert of("claim", "level", claims=claims) == digest("3")
    assert of("claim", "roles", claims=claims) is None
    assert of("claim", "none", claims=claims) is None
    assert of("claim", "sub", claims=None) is None


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/player/id", "4711"), ("/player/name", "Ann"), ("/tags/1", "y"), ("/a~1b/~0", "tilde"), ("/rate", "1.5"),
        ("/tags/2", None), ("/tags/x", None), ("/player", None), ("/none", None), ("/yes", None), ("/a/b", None),
        ("/player/id/x", None),
    ],
)  # fmt: skip
def test_a_place_in_the_body(pointer: str, value: str | None) -> None:
    assert of("json", pointer, body=BODY) == (None if value is None else digest(value))


def test_a_body_that_is_none() -> None:
    assert of("json", "/player", body=b"<player/>") is None
    assert of("json", "/player", body=b"") is None
    assert of("json", "/player", body=None) is None


def test_records_have_them_and_not_the_values() -> None:
    settings = Digests(Secret(KEY), (DigestOf("json", "/player/name"), DigestOf("query", "none")))
    policy = replace(IN_FORCE, audit=AuditSettings(digests=settings))
    decision = allowed(policy=policy, body=BODY)
    for event in (decided(decision), finished(decision=decision)):
        made = line(event, 1, "0" * 12)
        assert orjson.loads(made)["unmapped"]["digests"] == {"json:/player/name": digest("Ann")}
        assert b"Ann" not in made
    assert hashlib.sha256(b"Ann").hexdigest().encode() not in made
