"""Velocity limits, from a client's side."""

from pathlib import Path

import pytest

from gateway.core.reasons import Reason
from tests import world
from tests.engine.harness import request, running
from tests.engine.money import chain, debit, idempotency, velocity


async def test_amounts_add_up_to_the_limit_and_not_beyond(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": chain(velocity())}) as up:
        answers = [await up.send(debit(number, amount=amount)) for number, amount in enumerate([4_000, 1_000, 1])]
        other = await up.send(debit(9, player="p-2"))

        assert [answer.status for answer in (*answers, other)] == [200, 200, 403, 200]
        assert answers[2].code == "velocity.exceeded"
        assert b"day" not in answers[2].body  # which limit is for the log alone
        assert up.decisions()[2].decision.detail == "limit day is reached"
        assert len(up.upstream.requests) == 3


async def test_what_upstream_refuses_is_given_back(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": chain(velocity())}) as up:
        up.upstream.answer = b"HTTP/1.1 402 Payment Required\r\ncontent-length: 0\r\n\r\n"
        refused = await up.send(debit(1, amount=5_000))
        up.upstream.answer = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"
        failed = await up.send(debit(2, amount=5_000))
        beyond = await up.send(debit(3, amount=1))

        assert (refused.status, failed.status, beyond.status) == (402, 500, 403)


async def test_an_upstream_that_was_never_reached_costs_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": chain(velocity())}) as up:
        await up.upstream.stop()
        assert (await up.send(debit(1, amount=5_000))).status == 502
        await up.upstream.restart()
        assert (await up.send(debit(2, amount=5_000))).status == 200


async def test_a_repetition_is_answered_and_not_counted_again(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": chain(idempotency(), velocity())}) as up:
        answers = [await up.send(debit(number, amount=5_000)) for number in range(3)]
        denied = await up.send(debit(4, "op-2", amount=1))
        free = await up.send(debit(5, "op-2", amount=0))

        assert [answer.status for answer in answers] == [200, 200, 200]
        assert denied.code == "velocity.exceeded"
        assert free.status == 200  # its key was not used up by the denial
        assert len(up.upstream.requests) == 2


async def test_a_limit_that_only_marks_tells_upstream_and_the_log(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": chain(velocity(marks=True))}) as up:
        await up.send(debit(1, amount=5_000))
        marked = await up.send(debit(2, amount=1))

        assert marked.status == 200
        assert ("x-gateway-marks", "velocity.day") in up.upstream.fields()
        assert not any(name == "x-gateway-marks" for name, _ in up.upstream.fields(0))
        assert up.records("decision")[1]["unmapped"]["marks"] == ["velocity.day"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"player":"p-1","amount":"2000","currency":"EUR"}', Reason.BODY_VALUE_TYPE),
        (b'{"player":"p-1","amount":20.00,"currency":"EUR"}', Reason.VELOCITY_AMOUNT),
        (b'{"player":"p-1","amount":2e3,"currency":"EUR"}', Reason.VELOCITY_AMOUNT),
        (b'{"player":"p-1","amount":-2000,"currency":"EUR"}', Reason.VELOCITY_AMOUNT_NEGATIVE),
        (b'{"player":"p-1","amount":NaN,"currency":"EUR"}', Reason.BODY_NOT_JSON),
        (b'{"player":"p-1","currency":"EUR"}', Reason.BODY_VALUE_MISSING),
        (b'{"player":"p-1","amount":1,"amount":2000,"currency":"EUR"}', Reason.BODY_MEMBER_REPEATED),
        (b'{"player":"p-1","amount":1,"Amount":2000,"currency":"EUR"}', Reason.BODY_MEMBER_REPEATED),
        (b'{"player":"p-1","amount":[2000],"currency":"EUR"}', Reason.BODY_VALUE_TYPE),
        (b'{"player":"p-1","amount":2000,"currency":"SEK"}', Reason.VELOCITY_CURRENCY),
        ('{"player":"p\u00e9","amount":2000,"currency":"EUR"}'.encode(), Reason.VELOCITY_SUBJECT),
        ('{"player":"pe\u0301","amount":2000,"currency":"EUR"}'.encode(), Reason.VELOCITY_SUBJECT),
        (b"player=p-1&amount=2000", Reason.BODY_NOT_JSON),
    ],
)
async def test_what_could_go_around_a_limit_is_refused(tmp_path: Path, body: bytes, reason: Reason) -> None:
    async with running(tmp_path, route={"chain": chain(velocity())}) as up:
        answer = await up.send(debit(1, body=body))

        assert answer.code == reason.code
        assert up.decided == [reason]
        assert up.upstream.untouched


@pytest.mark.parametrize(
    "declared",
    [
        {"content-type": "application/x-www-form-urlencoded"},  # read as a form, the last amount may count
        {"content-type": "application/json; charset=utf-7"},  # +ACI- is a quotation mark there
        {"content-encoding": "deflate"},  # a text can be JSON and a compressed one
    ],
)
async def test_a_body_that_can_be_read_as_another_one_is_refused(tmp_path: Path, declared: dict[str, str]) -> None:
    body = b'{"player":"p-1","amount":1,"currency":"EUR","x":"&amount=900000&player=p-2&+ACI-,+ACI-amount+ACI-:9"}'
    async with running(tmp_path, route={"chain": chain(velocity())}) as up:
        answer = await up.send(request(world.World(body=body, fields=declared)))

        assert (answer.status, answer.code) == (400, "body.not_json")
        assert up.decided == [Reason.BODY_NOT_JSON]
        assert up.upstream.untouched
