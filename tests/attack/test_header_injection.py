"""Header injection: no value becomes a line of its own, towards the upstream or back to a client."""

from pathlib import Path

import pytest

from gateway.core.reasons import Reason
from tests import world
from tests.engine.harness import Running, get, running
from tests.engine.http2 import Http2Client, get_fields
from tests.engine.upstream import answers


@pytest.mark.parametrize("value", ["a\x00b", "a\x01b", "a\x0bb", "a\x1bb", "a\x7fb"])
async def test_control_characters_in_a_value(up: Running, value: str) -> None:
    response = await up.send(get(x_note=value))

    assert response.status == 400
    assert up.decided[0] in (Reason.FIELD_INVALID, Reason.MESSAGE_MALFORMED)
    assert up.upstream.untouched


@pytest.mark.parametrize("name", ["x note", "x\tnote", "(x)", 'x"', "x@y", "x[1]", "x/y", "x\x7f", "x\xe9"])
async def test_names_that_are_no_tokens(up: Running, name: str) -> None:
    made = get().replace(b"\r\n\r\n", b"\r\n" + name.encode("latin-1") + b": 1\r\n\r\n")

    assert (await up.send(made)).code == "http.field"
    assert up.decided == [Reason.FIELD_INVALID]
    assert up.upstream.untouched


async def test_bytes_beyond_ascii_go_on_as_they_came(up: Running) -> None:
    await up.send(get().replace(b"\r\n\r\n", b"\r\nx-note: caf\xe9 \xc3\xa9\r\n\r\n"))

    assert b"\r\nx-note: caf\xe9 \xc3\xa9\r\n" in up.upstream.heads[0]


async def test_a_token_subject_cannot_add_a_field(tmp_path: Path) -> None:
    subject = "acme\r\nx-gateway-partner: blue-bingo"
    async with running(tmp_path, subjects=frozenset({subject})) as up:
        token = world.token(world.claims(sub=subject))
        response = await up.send(get(authorization=f"Bearer {token}"))

        assert response.status == 200
        sent = up.upstream.fields()
        assert [value for name, value in sent if name == "x-gateway-partner"] == [world.PARTNER]
        assert dict(sent)["x-gateway-token-subject"] == "acme%0D%0Ax-gateway-partner:%20blue-bingo"


@pytest.mark.parametrize("protocol", ["1.1", "2"])
async def test_an_answer_cannot_add_a_field(up: Running, protocol: str) -> None:
    up.upstream.behaviour = answers(b"HTTP/1.1 200 OK\r\nx-note: a\r set-cookie: b\r\ncontent-length: 0\r\n\r\n")
    if protocol == "1.1":
        response = await up.send(get())
    else:
        async with Http2Client(up) as client:
            response = await client.answer(client.begin(get_fields()))

    assert (response.status, response.code) == (502, "upstream.broken")
    assert "set-cookie" not in response.fields


async def test_a_refusal_repeats_nothing_of_the_request(up: Running) -> None:
    response = await up.send(get("/v1/marker-7f3a?marker-7f3a=1", x_note="marker-7f3a"))

    assert response.status == 404
    assert b"marker-7f3a" not in response.body
    assert not any("marker-7f3a" in value for value in response.fields.values())
