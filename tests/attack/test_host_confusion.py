"""Host confusion: exactly one host is named, and every part of a request agrees on it."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.policy import Match
from gateway.core.reasons import Reason
from tests import world
from tests.engine.harness import Running, balance, get, read_response, request, running
from tests.engine.http2 import Http2Client, get_fields

OTHER = "admin.psp.example"

REFUSED = {
    "no Host": get(host=None),
    "empty Host": get(host=""),
    "two Hosts": request(world.World(extra=[("host", OTHER)])),
    "two equal Hosts": request(world.World(extra=[("host", world.HOST)])),
    "a list": get(host=f"{world.HOST}, {OTHER}"),
    "white space within": get(host=f"{world.HOST} {OTHER}"),
    "user": get(host=f"a@{world.HOST}"),
    "path": get(host=f"{world.HOST}/a"),
    "query": get(host=f"{world.HOST}?a"),
    "port beyond all": get(host=f"{world.HOST}:99999"),
    "port that is none": get(host=f"{world.HOST}:a"),
    "percent-encoding": get(host="api%2epsp.example"),
    "beyond ASCII": get(host="api.psp.\xe9xample"),
    "brackets": get(host="[api.psp.example]"),
    "absolute form of another host": get(f"https://{OTHER}/v1/balance"),
    "absolute form of another port": get(f"https://{world.HOST}:1/v1/balance"),
    "absolute form without a host": get("https:///v1/balance"),
    "absolute form with a user": get(f"https://{OTHER}@{world.HOST}/v1/balance"),
}


@pytest.mark.parametrize("sent", REFUSED.values(), ids=REFUSED)
async def test_a_host_in_doubt_is_refused(up: Running, sent: bytes) -> None:
    assert (await up.send(sent)).code == "http.host"

    assert up.decided == [Reason.HOST_INVALID]
    assert up.upstream.untouched


@pytest.mark.parametrize(
    "target",
    [
        "ftp://api.psp.example/v1/balance",
        "file:///v1/balance",
        "api.psp.example:443",
        "*",
        "//api.psp.example/v1/balance",
    ],
)
async def test_a_target_in_another_form_is_refused(up: Running, target: str) -> None:
    response = await up.send(get(target))

    assert response.status == 400
    assert up.decided[0] in (Reason.TARGET_INVALID, Reason.TARGET_AMBIGUOUS)
    assert up.upstream.untouched


async def test_an_absolute_form_that_agrees_is_sent_on_in_origin_form(up: Running) -> None:
    assert (await up.send(get(f"https://{world.HOST}/v1/balance?a=1"))).status == 200

    assert up.upstream.heads[0].startswith(b"GET /v1/balance?a=1 HTTP/1.1\r\nhost: api.psp.example\r\n")


async def test_the_upstream_is_told_the_host_that_was_judged(tmp_path: Path) -> None:
    async with running(tmp_path) as up:
        await up.send(get(host="API.psp.example:443"))

        assert [value for name, value in up.upstream.fields() if name == "host"] == ["API.psp.example:443"]


async def test_a_route_of_another_host_is_not_reached(tmp_path: Path) -> None:
    only = balance(world.upstream(), name="admin", match=Match(frozenset({"GET"}), "/v1/admin", frozenset({OTHER})))
    async with running(tmp_path) as up:
        compiled = up.gate.in_force.policy
        admin = replace(only, upstream=compiled.upstreams["psp"])
        up.gate.in_force = replace(up.gate.in_force, policy=replace(compiled, routes=(*compiled.routes, admin)))
        reader, writer = await up.connect()

        for sent, status in [
            (get("/v1/admin"), 404),
            (get("/v1/admin", x_forwarded_host=OTHER), 404),
            (get("/v1/admin", x_host=OTHER), 404),
            (get("/v1/admin", host=OTHER), 200),
        ]:
            writer.write(sent)
            assert (await read_response(reader)).status == status


async def test_the_name_of_the_handshake_does_not_count(up: Running) -> None:
    assert (await up.send(get(host="localhost"))).status == 200  # the route names no host; SNI was localhost, too

    assert dict(up.upstream.fields())["host"] == "localhost"


async def test_host_and_authority_that_disagree(up: Running) -> None:
    async with Http2Client(up) as client:
        client.begin([*get_fields(), ("host", OTHER)])
        await client.read_to_end()  # h2 takes it for a broken protocol

    assert up.decided == [Reason.MESSAGE_MALFORMED]
    assert up.upstream.untouched


async def test_host_and_authority_that_agree_are_one(up: Running) -> None:
    async with Http2Client(up) as client:
        assert (await client.answer(client.begin([*get_fields(), ("host", world.HOST)]))).status == 200

    assert [value for name, value in up.upstream.fields() if name == "host"] == [world.HOST]
