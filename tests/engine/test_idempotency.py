"""Idempotency, from a client's side: the first request goes through, the same one is answered again."""

from pathlib import Path

import pytest

from gateway.controls.idempotency import BodyKey, SignedKey
from gateway.controls.replay import Replay
from gateway.core.chain import Control
from gateway.core.document import Pointer
from gateway.core.exchange import Exchange
from gateway.core.outgoing import Answered, Stamp
from gateway.core.reasons import Reason
from tests import world
from tests.engine.harness import Running, read_response, request, running, until
from tests.engine.http2 import Http2Client
from tests.engine.money import KEY, chain, debit, idempotency
from tests.engine.upstream import Held, hangs

LONG = b"HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n" + b"x" * 101


async def test_the_same_request_is_answered_again_and_forwarded_once(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": chain(idempotency())}) as up:
        first = await up.send(debit(1))
        again = await up.send(debit(2))

        assert (first.status, again.status) == (200, 200)
        assert first.body == again.body == b'{"status":"ok"}'
        assert again.fields["idempotent-replayed"] == "true"
        assert "idempotent-replayed" not in first.fields
        assert again.fields["content-type"] == "application/json"
        assert again.fields["x-gateway-request-id"] != first.fields["x-gateway-request-id"]
        assert len(up.upstream.requests) == 1
        assert up.decided == [Reason.ALLOWED, Reason.IDEMPOTENCY_ANSWERED]
        answered = up.records("decision")[1]
        assert (answered["action_id"], answered["http_response"]["code"]) == (3, 200)
        assert answered["authorizations"][0]["decision"] == "answered as before"
        assert answered["unmapped"]["answered_by"] == "idempotency"
        assert len({record["unmapped"]["idempotency_key_sha256"] for record in up.records()}) == 1


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, b""),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", 200, b"abc"),
        (b"HTTP/1.1 409 Conflict\r\nset-cookie: a=b\r\ncontent-length: 2\r\n\r\nno", 409, b"no"),
    ],
)
async def test_whatever_upstream_answered_is_answered_again(
    tmp_path: Path, answer: bytes, status: int, body: bytes
) -> None:
    async with running(tmp_path, route={"chain": chain(idempotency())}) as up:
        up.upstream.answer = answer
        await up.send(debit(1))
        reader, writer = await up.connect()
        for number in (2, 3):  # on one connection: the first answer's end is where the gate says it is
            writer.write(debit(number))
            again = await read_response(reader)
            assert (again.status, again.body) == (status, body)
            assert "set-cookie" not in again.fields
        assert len(up.upstream.requests) == 1


async def test_another_body_under_the_same_key_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": chain(idempotency())}) as up:
        await up.send(debit(1))
        other = await up.send(debit(2, amount=9_999))

        assert (other.status, other.code) == (422, "idempotency.key_reused")
        assert len(up.upstream.requests) == 1


async def test_a_repetition_while_the_first_is_under_way_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": chain(idempotency())}) as up:
        held = Held(up.upstream)
        _, writer = await up.connect()
        writer.write(debit(1))
        await held.reached.wait()

        early = await up.send(debit(2))
        held.go_on.set()
        await up.until_finished()
        late = await up.send(debit(3))

        assert (early.status, early.code) == (409, "idempotency.in_flight")
        assert late.status == 200
        assert len(up.upstream.requests) == 1


async def broken_off(up: Running, *pieces: bytes) -> None:
    """Have a request reach upstream, and its answer break off."""
    up.upstream.behaviour = hangs(*pieces)
    _, writer = await up.connect()
    writer.write(debit(1))
    await until(lambda: up.upstream.requests)
    await up.upstream.stop()
    await up.until_finished()
    await up.upstream.restart()
    up.upstream.behaviour = None


async def test_an_outcome_that_nobody_knows_is_never_forwarded_again(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": chain(idempotency())}) as up:
        await broken_off(up)
        again = await up.send(debit(2))

        assert up.finished == [Reason.UPSTREAM_BROKEN]
        assert (again.status, again.code) == (409, "idempotency.unknown")
        assert len(up.upstream.requests) == 1


async def test_an_outcome_that_nobody_knows_may_be_asked_for_again_where_the_policy_says_why(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": chain(idempotency(again=True))}) as up:
        await broken_off(up)
        again = await up.send(debit(2))
        third = await up.send(debit(3))

        assert (again.status, third.status) == (200, 200)
        assert ("x-gateway-marks", "idempotency.again") in up.upstream.fields()
        assert up.records("decision")[1]["unmapped"]["marks"] == ["idempotency.again"]
        assert third.fields["idempotent-replayed"] == "true"
        assert len(up.upstream.requests) == 2


@pytest.mark.parametrize("status", [b"500 Internal Server Error", b"502 Bad Gateway", b"503 Service Unavailable"])
async def test_a_status_that_is_not_final_leaves_the_outcome_unknown(tmp_path: Path, status: bytes) -> None:
    async with running(tmp_path, route={"chain": chain(idempotency())}) as up:
        up.upstream.answer = b"HTTP/1.1 %b\r\ncontent-length: 0\r\n\r\n" % status
        await up.send(debit(1))
        assert (await up.send(debit(2))).code == "idempotency.unknown"
        assert len(up.upstream.requests) == 1


async def test_what_upstream_did_not_begin_is_forwarded_again(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": chain(idempotency())}) as up:
        up.upstream.answer = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n"
        assert (await up.send(debit(1))).status == 429
        await up.upstream.stop()
        assert (await up.send(debit(2))).code == "upstream.unreachable"
        await up.upstream.restart()
        up.upstream.answer = world_ok()
        assert (await up.send(debit(3))).status == 200
        assert len(up.upstream.requests) == 2


def world_ok() -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


@pytest.mark.parametrize("answer", [LONG, LONG.replace(b"content-length: 101\r\n", b"")[:-100]])
async def test_an_answer_that_was_not_kept_is_not_replayed(tmp_path: Path, answer: bytes) -> None:
    async with running(tmp_path, route={"chain": chain(idempotency(limit=0))}) as up:
        up.upstream.answer = answer
        if answer is not LONG:

            async def ends(_: object, writer: object) -> None:
                writer.write(answer)  # type: ignore[attr-defined]
                await writer.drain()  # type: ignore[attr-defined]
                raise ConnectionError

            up.upstream.behaviour = ends
        assert (await up.send(debit(1))).status == 200
        again = await up.send(debit(2))

        assert (again.status, again.code) == (409, "idempotency.not_kept")
        assert len(up.upstream.requests) == 1


@pytest.mark.parametrize(
    ("key", "code"),
    [(None, "idempotency.key_missing"), ("a b", "idempotency.key_invalid"), ("\xe9", "idempotency.key_invalid")],
)
async def test_a_request_without_a_usable_key_is_refused(tmp_path: Path, key: str | None, code: str) -> None:
    async with running(tmp_path, route={"chain": chain(idempotency())}) as up:
        answer = await up.send(debit(1, key))
        assert (answer.status, answer.code) == (400, code)
        assert up.upstream.untouched


async def test_keys_over_http2_and_http1_are_the_same(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": chain(idempotency(key=BodyKey(Pointer("/reference"))))}) as up:
        first = await up.send(request(world.World(nonce="one")))
        async with Http2Client(up) as client:
            again = await client.answer(client.post(world.World(nonce="two")))
        assert (first.status, again.status) == (200, 200)
        assert dict(again.fields)["idempotent-replayed"] == "true"
        assert len(up.upstream.requests) == 1


# A vendor that retries with the same signature


def answering() -> tuple[Control, ...]:
    return (*world.chain(replay=Replay(answers=True)), idempotency(key=SignedKey()))


async def test_a_signed_request_that_comes_again_is_answered_again(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": answering()}) as up:
        first = await up.send(request())
        again = await up.send(request())
        assert (first.status, again.status) == (200, 200)
        assert again.fields["idempotent-replayed"] == "true"
        assert len(up.upstream.requests) == 1


async def test_another_body_with_the_same_nonce_is_a_replay(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": answering()}) as up:
        await up.send(request())
        other = await up.send(request(world.World(body=b'{"amount":1}')))
        assert (other.status, other.code) == (409, "replay.seen")
        assert len(up.upstream.requests) == 1


async def test_a_signed_request_that_never_reached_upstream_may_come_again(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": answering()}) as up:
        await up.upstream.stop()
        assert (await up.send(request())).status == 502
        await up.upstream.restart()
        assert (await up.send(request())).status == 200
        assert len(up.upstream.requests) == 1


async def test_a_nonce_with_a_new_key_of_its_own_is_a_replay(tmp_path: Path) -> None:
    both = (*world.chain(replay=Replay(answers=True)), idempotency())
    async with running(tmp_path, route={"chain": both}) as up:
        await up.send(request(world.World(fields={KEY: "op-1"})))
        other = await up.send(request(world.World(fields={KEY: "op-2"})))
        assert (other.status, other.code) == (409, "replay.seen")
        assert len(up.upstream.requests) == 1


class Signing:
    """Signs answers with a field that is new in each."""

    limit = 1_000
    described = "test"
    body = None
    target = None

    def __init__(self, stamp: Stamp | None = None) -> None:
        self.fields = [] if stamp is None else [("x-signed-for", stamp.nonce)]

    def sign(self, exchange: Exchange, answer: Answered, stamp: Stamp) -> "Signing":
        del exchange, answer
        return Signing(stamp)


async def test_an_answer_that_the_gate_signs_is_stored_without_its_signature_and_signed_anew(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": chain(idempotency()), "answers": Signing()}) as up:
        answers = [await up.send(debit(number)) for number in range(3)]
        assert [answer.body for answer in answers] == [b'{"status":"ok"}'] * 3
        assert len({answer.fields["x-signed-for"] for answer in answers}) == 3
        assert [answer.fields["x-signed-for"] for answer in answers] == [
            answer.fields["x-gateway-request-id"] for answer in answers
        ]
        assert len(up.upstream.requests) == 1
