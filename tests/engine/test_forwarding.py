"""What is allowed goes on: the request written anew, its body untouched, and the answer passed back."""

from pathlib import Path

import pytest

from gateway.core.reasons import Reason
from tests import world
from tests.engine.harness import Running, chunked, get, read_response, request, running
from tests.engine.http2 import Http2Client, get_fields
from tests.engine.upstream import answers


async def test_an_allowed_request_reaches_the_upstream_and_its_answer_the_client(up: Running) -> None:
    response = await up.send(request())

    assert (response.status, response.body) == (200, b'{"status":"ok"}')
    assert (up.decided, up.finished) == ([Reason.ALLOWED], [Reason.ALLOWED])


async def test_the_request_is_recorded_before_it_is_forwarded(up: Running) -> None:
    recorded_when_reached: list[list[Reason]] = []

    async def behave(_: object, writer: object) -> None:
        recorded_when_reached.append(up.decided)
        await answers(up.upstream.answer)(_, writer)  # type: ignore[arg-type]

    up.upstream.behaviour = behave
    await up.send(request())

    assert recorded_when_reached == [[Reason.ALLOWED]]


async def test_request_line_and_host_are_those_received(up: Running) -> None:
    await up.send(get("/v1/balance?player=p-1&player=p%202"))

    assert up.upstream.heads[0].startswith(
        b"GET /v1/balance?player=p-1&player=p%202 HTTP/1.1\r\nhost: api.psp.example\r\n"
    )
    assert [name for name, _ in up.upstream.fields()].count("host") == 1


async def test_an_upstream_may_be_known_by_another_host(tmp_path: Path) -> None:
    async with running(tmp_path, to={"authority": "api.vendor.example:8443"}) as up:
        assert (await up.send(request())).status == 200
        async with Http2Client(up) as client:
            assert (await client.answer(client.begin(get_fields()))).status == 200

        for place in range(2):
            hosts = [value for name, value in up.upstream.fields(place) if name.lower() == "host"]
            assert hosts == ["api.vendor.example:8443"]


async def test_the_body_is_the_bytes_received(up: Running) -> None:
    body = b' {"amount" : 2500,\r\n\t"note":"\xc3\xa9\xff\x00"}\n'

    await up.send(request(world.World(body=body)))

    assert up.upstream.bodies == [body]


async def test_a_chunked_body_goes_on_whole_with_its_length(up: Running) -> None:
    await up.send(chunked(world.BODY, size=5))

    assert up.upstream.bodies == [world.BODY]
    assert ("content-length", str(len(world.BODY))) in up.upstream.fields()
    assert "transfer-encoding" not in dict(up.upstream.fields())


async def test_hop_by_hop_fields_do_not_go_on(up: Running) -> None:
    hop_by_hop = {"connection": "keep-alive", "keep_alive": "timeout=5", "te": "trailers", "upgrade": "h2c"}

    await up.send(get(**hop_by_hop, proxy_authorization="Basic eA==", proxy_connection="keep-alive"))

    sent = {name for name, _ in up.upstream.fields()}
    assert not sent & {"connection", "keep-alive", "te", "upgrade", "proxy-authorization", "proxy-connection"}


async def test_the_gate_tells_the_upstream_who_calls(up: Running) -> None:
    await up.send(request())

    sent = dict(up.upstream.fields())
    assert sent["x-gateway-partner"] == world.PARTNER
    assert sent["x-gateway-token-subject"] == world.SUBJECT
    assert sent["x-gateway-signing-key"] == world.SIGNING_KEY_ID
    assert sent["x-gateway-client-address"] == sent["x-forwarded-for"] == "127.0.0.1"
    assert sent["x-forwarded-proto"] == "https"


async def test_the_request_id_is_the_same_upstream_at_the_client_and_in_the_log(up: Running) -> None:
    response = await up.send(request())

    named = response.fields["x-gateway-request-id"]
    assert up.upstream.request_ids == [named]
    assert {record["metadata"]["correlation_uid"] for record in up.records("decision") + up.records("outcome")} == {
        named
    }


async def test_other_fields_go_on_in_their_order(up: Running) -> None:
    made = world.World(extra=[("x-first", "1"), ("accept", "a/b"), ("x-first", "2")])

    await up.send(request(made))

    sent = [line for line in up.upstream.fields() if line[0] in ("x-first", "accept")]
    assert sent == [("x-first", "1"), ("accept", "a/b"), ("x-first", "2")]


async def test_a_chunked_answer_is_passed_on(up: Running) -> None:
    up.upstream.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"

    response = await up.send(get())

    assert response.body == b"abcdefg"
    assert up.outcomes()[0].response_bytes == 7


async def test_a_chunked_answer_in_pieces_is_passed_on(up: Running) -> None:
    pieces = (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chu", b"nked\r\n\r", b"\n3\r\nabc\r", b"\n0\r\n", b"\r\n")
    up.upstream.behaviour = answers(*pieces)

    assert (await up.send(get())).body == b"abc"


async def test_trailers_of_an_answer_are_dropped(up: Running) -> None:
    up.upstream.answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"
    reader, writer = await up.connect()

    for _ in range(2):
        writer.write(get())
        assert (await read_response(reader)).body == b"abc"

    assert up.finished == [Reason.ALLOWED, Reason.ALLOWED]


async def test_an_answer_that_ends_with_its_connection_is_passed_on(up: Running) -> None:
    up.upstream.behaviour = answers(b"HTTP/1.1 200 OK\r\n\r\nup to the", b" end", close=True)
    reader, writer = await up.connect()
    writer.write(get())

    response = await read_response(reader)

    assert (response.status, response.body) == (200, b"up to the end")
    up.upstream.behaviour = None
    writer.write(get())
    assert (await read_response(reader)).status == 200


async def test_an_answer_to_head_has_the_fields_and_no_body(up: Running) -> None:
    up.upstream.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n"
    reader, writer = await up.connect()
    writer.write(get(method="HEAD"))

    response = await read_response(reader, head_request=True)

    assert response.fields["content-length"] == "400"
    up.upstream.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    writer.write(get())
    assert (await read_response(reader)).body == b"ok"


async def test_a_chunked_answer_to_head_has_no_body(up: Running) -> None:
    up.upstream.answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    reader, writer = await up.connect()
    writer.write(get(method="HEAD"))
    assert (await read_response(reader, head_request=True)).status == 200

    up.upstream.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    writer.write(get())

    assert (await read_response(reader)).body == b"ok"


async def test_answers_without_a_body_by_their_status(up: Running) -> None:
    reader, writer = await up.connect()
    for line in (b"204 No Content", b"304 Not Modified", b"204 No Content"):
        up.upstream.answer = b"HTTP/1.1 " + line + b"\r\nx-a: 1\r\n\r\n"
        writer.write(get())

        response = await read_response(reader)

        assert (response.status, response.fields["x-a"]) == (int(line[:3]), "1")
        assert "transfer-encoding" not in response.fields


async def test_an_answer_that_can_have_no_body_declares_none(up: Running) -> None:
    reader, writer = await up.connect()
    for _ in range(2):
        up.upstream.answer = b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n"
        writer.write(get())

        response = await read_response(reader)

        assert (response.status, response.fields.get("content-length")) == (204, None)


@pytest.mark.direct
async def test_what_follows_an_answer_that_can_have_no_body_is_no_answer(up: Running) -> None:
    up.upstream.answer = b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n"
    for _ in range(2):
        assert (await up.send(get())).status == 204
    assert up.upstream.connections == 2  # the five bytes may still come, and be taken for the next answer


async def test_an_empty_answer(up: Running) -> None:
    up.upstream.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"

    assert (await up.send(get())).body == b""


async def test_a_large_answer_is_streamed(up: Running) -> None:
    part = bytes(range(256)) * 256
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(part) * 64)
    up.upstream.behaviour = answers(head, *[part] * 64)

    response = await up.send(get())

    assert response.body == part * 64
    assert up.outcomes()[0].response_bytes == len(part) * 64


async def test_hop_by_hop_fields_of_an_answer_are_removed(up: Running) -> None:
    up.upstream.answer = (
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\n"
        b"X-Hop: 1\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\nTrailer: x-sum\r\nX-End: 1\r\n\r\nok"
    )

    response = await up.send(get())

    assert [name for name, _ in response.lines] == ["content-length", "x-end", "x-gateway-request-id"]


async def test_repeated_fields_of_an_answer_stay(up: Running) -> None:
    up.upstream.answer = b"HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 0\r\n\r\n"

    response = await up.send(get())

    assert [value for name, value in response.lines if name == "set-cookie"] == ["a=1", "b=2"]


async def test_an_upstream_cannot_forge_the_request_id(up: Running) -> None:
    up.upstream.answer = b"HTTP/1.1 200 OK\r\nX-Gateway-Request-Id: forged\r\ncontent-length: 0\r\n\r\n"

    response = await up.send(get())

    assert [value for name, value in response.lines if name == "x-gateway-request-id"] == up.upstream.request_ids


async def test_an_answer_carries_the_rate_limit_fields(up: Running) -> None:
    response = await up.send(request())

    assert response.fields["ratelimit-policy"] == '"50-per-second";q=50;w=1'
    assert response.fields["ratelimit"].startswith('"50-per-second";r=49')


async def test_a_refusal_is_a_problem_document_with_a_request_id(up: Running) -> None:
    response = await up.send(request(world.World(fields={"authorization": None})))

    assert (response.status, response.code) == (401, "token.missing")
    assert response.fields["content-type"] == "application/problem+json"
    assert response.fields["cache-control"] == "no-store"
    assert response.fields["x-gateway-request-id"] == up.records("decision")[0]["metadata"]["correlation_uid"]
    assert up.upstream.untouched


async def test_a_status_of_the_upstream_is_not_the_gates(up: Running) -> None:
    up.upstream.answer = b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\nretry-after: 1\r\n\r\nbusy"

    response = await up.send(get())

    assert (response.status, response.body, response.fields["retry-after"]) == (503, b"busy", "1")
    assert up.finished == [Reason.ALLOWED]
