"""Early denial: what is denied by its head is answered at once; nobody is told to send the body first."""

import pytest

from gateway.core.reasons import Reason
from tests import world
from tests.engine.harness import Running, chunked, read_response, read_to_end, request
from tests.engine.http2 import Http2Client, fields_of

DENIED: dict[str, tuple[dict[str, str | None], Reason]] = {
    "no token": ({"authorization": None}, Reason.TOKEN_MISSING),
    "no signature": ({"x-signature": None}, Reason.SIGNATURE_MISSING),
    "unknown key": ({"x-key-id": "unknown"}, Reason.SIGNATURE_KEY_UNKNOWN),
    "stale": ({"x-timestamp": str(int(world.NOW) - 100)}, Reason.SIGNATURE_STALE),
    "too large": ({"content-length": "70000"}, Reason.BODY_TOO_LARGE),
}


@pytest.mark.parametrize(("fields", "reason"), DENIED.values(), ids=DENIED)
@pytest.mark.parametrize("expect", [None, "100-continue"], ids=["sends at once", "asks first"])
async def test_the_answer_comes_before_the_body(
    up: Running, fields: dict[str, str | None], reason: Reason, expect: str | None
) -> None:
    head, _, _ = request(world.World(fields={"expect": expect, **fields})).partition(b"\r\n\r\n")
    reader, writer = await up.connect()
    writer.write(head + b"\r\n\r\n")

    response = await read_response(reader)

    assert (response.status, response.code) == (reason.status, reason.code)  # and no 100 Continue before it
    assert response.fields["connection"] == "close"
    assert up.upstream.untouched
    writer.close()
    assert await read_to_end(reader) == b""


@pytest.mark.parametrize(("fields", "reason"), DENIED.values(), ids=DENIED)
@pytest.mark.parametrize("expect", [None, "100-continue"], ids=["sends at once", "asks first"])
async def test_the_answer_comes_before_the_body_in_http2(
    up: Running, fields: dict[str, str | None], reason: Reason, expect: str | None
) -> None:
    async with Http2Client(up) as client:
        stream = client.begin(fields_of(world.World(fields={"expect": expect, **fields})), end=False)

        assert (await client.answer(stream)).code == reason.code
        assert not client.streams[stream].interim
    assert up.upstream.untouched


async def test_an_unknown_route_is_answered_before_its_body(up: Running) -> None:
    head, _, _ = request(world.World(target=b"/v1/nothing")).partition(b"\r\n\r\n")
    reader, writer = await up.connect()
    writer.write(head + b"\r\n\r\n")

    assert (await read_response(reader)).code == "route.unknown"


async def test_an_expectation_that_is_not_known(up: Running) -> None:
    response = await up.send(request(world.World(fields={"expect": "200-ok"})))

    assert (response.status, response.code) == (417, "http.expectation")
    assert up.upstream.untouched


async def test_a_refused_client_may_send_its_body_and_still_reads_its_answer(up: Running) -> None:
    made = chunked(b"x" * 60_000, size=1_000).replace(b"authorization: Bearer ", b"authorization: Basic ")
    reader, writer = await up.connect()
    for place in range(0, len(made), 4_096):
        writer.write(made[place : place + 4_096])

    assert (await read_response(reader)).code == "token.missing"
    assert up.decided == [Reason.TOKEN_MISSING]
