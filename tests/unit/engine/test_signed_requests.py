from typing import Any

import pytest

from gateway.core.message import RequestHead
from gateway.core.outgoing import Stamp
from gateway.core.reasons import Denied, Reason
from gateway.engine.signed_requests import Outgoing, outgoing, signed_request
from gateway.signing.own import Signed
from tests import world
from tests.unit.engine.gates import Made


class Signer:
    """Signs by a field that says what it was given."""

    described = "for tests"
    replaces = frozenset({"content-digest"})

    def __init__(self, **changes: Any) -> None:
        self.changes = changes
        self.head: RequestHead | None = None

    def sign(self, head: RequestHead, body: bytes, stamp: Stamp) -> Signed:
        self.head = head
        assert stamp.now == world.NOW
        if "error" in self.changes:
            raise self.changes["error"]
        added = self.changes.get("fields", [("x-sign", body.decode())])
        return Signed(added, self.changes.get("target"), self.changes.get("body"))


async def sign(signer: Signer, body: bytes = world.BODY, fields: Any = None) -> Outgoing:
    handling = await Made().allowed()
    return signed_request(handling, signer, fields or handling.upstream_fields(), body)


async def test_the_request_is_signed_as_it_goes_out() -> None:
    signer = Signer()
    made = await sign(signer)
    assert ("x-sign", world.BODY.decode()) in made.fields
    assert signer.head is not None
    assert (signer.head.authority, signer.head.target) == (world.HOST, "/v1/deposits")
    assert signer.head.headers.single("content-length") == str(len(world.BODY))
    assert signer.head.headers.single("x-gateway-partner") == world.PARTNER
    assert "content-length" not in dict(made.fields)
    assert (made.head.target, made.body) == ("/v1/deposits", world.BODY)


async def test_the_host_that_is_signed_is_the_one_that_goes_out() -> None:
    signer = Signer()
    await sign(signer, fields=[("host", "api.vendor.example:8443")])
    assert signer.head is not None
    assert signer.head.authority == signer.head.headers.single("host") == "api.vendor.example:8443"


async def test_the_callers_signature_and_digest_stay_behind() -> None:
    fields = [
        ("host", "x"), ("X-Signature", "old"), ("x-key-id", "old"), ("Content-Digest", "old"), ("x-sign", "old"),
        ("x-other", "kept"),
    ]  # fmt: skip
    made = await sign(Signer(), b"body", fields)
    assert made.fields == [("host", "x"), ("x-other", "kept"), ("x-sign", "body")]


async def test_a_signature_in_the_query_or_in_the_body() -> None:
    made = await sign(Signer(target="/v1/deposits?sign=1", body=b"{}", fields=[("content-length", "2")]))
    assert (made.head.target, made.body, made.head.has_body) == ("/v1/deposits?sign=1", b"{}", True)
    assert "content-length" not in dict(made.fields)


async def test_what_cannot_be_signed_is_told() -> None:
    handling = await Made().allowed()
    denied = Denied(Reason.REQUEST_UNSIGNABLE, "why")
    assert outgoing(handling, Signer(error=denied), handling.upstream_fields(), b"") is denied
    fields = handling.upstream_fields()
    assert outgoing(handling, None, fields, b"x")[1:] == (fields, b"x")  # type: ignore[index]
    assert isinstance(outgoing(handling, Signer(), fields, b""), Outgoing)


def test_only_an_allowed_request_goes_upstream() -> None:
    with pytest.raises(RuntimeError, match="only an allowed request"):
        outgoing(Made().handling(), None, [], b"")
