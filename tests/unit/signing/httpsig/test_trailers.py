"""Trailers under a signature (RFC 9421 2.1.4)."""

from typing import Any

from gateway.core.message import Headers, RequestHead
from gateway.core.reasons import Denied
from gateway.signing.httpsig.base import Covered
from gateway.signing.httpsig.digest import write_digest
from gateway.signing.httpsig.message import Request
from gateway.signing.httpsig.scheme import HttpMessageScheme
from gateway.signing.httpsig.sign import sign
from tests import messages
from tests.messages import BODY, WINDOW, head, scheme
from tests.mint import NOW


def trailed(*trailers: tuple[str, str], covered: tuple[str, ...] = ("@method", '"x-sum";tr', "content-digest")) -> Any:
    """Give a request with trailers, and its signature over some of them."""
    by = scheme("@method")
    plain = head(("content-digest", write_digest(BODY)), ("transfer-encoding", "chunked"), body=b"")
    plain = plain._replace(trailers=Headers(trailers) if trailers else None)
    made = sign(Request.of(plain), Covered(messages.components(*covered)), messages.terms(), "sig1", messages.signer())
    return by, plain._replace(headers=Headers([*plain.headers.fields, *made]))


def verified(by: HttpMessageScheme, request: RequestHead) -> str:
    try:
        presented = by.read(request)
        assert presented.trailers
        by.match(request, BODY, presented, by.admit(presented, messages.keys(), WINDOW, NOW), WINDOW)
    except Denied as denied:
        return denied.reason.code
    return "verified"


def test_trailers_that_are_covered() -> None:
    by, request = trailed(("x-sum", "1"))
    assert verified(by, request) == "verified"
    for trailers, reason in (
        ((("x-sum", "2"),), "signature.mismatch"),
        ((), "signature.coverage"),
        ((("x-sum", "1"), ("x-more", "2")), "signature.coverage"),
        ((("x-sum", "1"), ("x-sum", "1")), "signature.mismatch"),
    ):
        changed = request._replace(trailers=Headers(trailers) if trailers else None)
        assert verified(by, changed) == reason, trailers


def test_a_digest_that_follows_the_body() -> None:
    covered = ("@method", '"content-digest";tr')
    by, request = trailed(("content-digest", write_digest(BODY)), covered=covered)
    request = request._replace(headers=Headers(f for f in request.headers.fields if f[0] != "content-digest"))
    assert verified(by, request) == "verified"
    by, request = trailed(("content-digest", write_digest(b"other")), covered=covered)
    assert verified(by, request) == "signature.digest_mismatch"
