"""Faults of the engine itself: the connection ends, what was under way is recorded, nothing goes on."""

from typing import Any, Never

import pytest

from gateway.core.reasons import Reason
from gateway.engine import http1, translate
from gateway.engine import stream as stream_module
from gateway.engine.connection import Connection
from gateway.engine.gate import Handling
from gateway.engine.http1 import StrictHttp1Server
from gateway.engine.http2 import StrictHttp2Server
from gateway.engine.layers import GateHttpLayer
from gateway.engine.stream import GateStream
from gateway.engine.upstream import StrictHttp1Client
from gateway.engine.upstream_tls import UpstreamTls
from tests.engine.harness import Running, get, read_to_end, request
from tests.engine.http2 import Http2Client

pytestmark = pytest.mark.layers


def raises(*_: object, **__: object) -> Never:
    raise ZeroDivisionError("secret-7f3a")


BEFORE_THE_ALLOW: list[tuple[Any, str]] = [
    (StrictHttp1Server, "_read_head"),
    (http1, "check_raw"),
    (StrictHttp1Server, "read_body"),
    (GateHttpLayer, "make_stream"),
    (GateStream, "state_wait_for_request_headers"),
    (GateStream, "state_consume_request_body"),
    (GateStream, "_conclude"),
    (Connection, "begins"),
    (Connection, "head_begins"),
    (Handling, "authorise"),
    (Handling, "answer"),
]


@pytest.mark.parametrize(("owner", "name"), BEFORE_THE_ALLOW, ids=lambda one: getattr(one, "__name__", one))
async def test_before_the_allow(up: Running, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    reader, writer = await up.connect()
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, raises)
        writer.write(request() if name != "answer" else request().replace(b"Bearer", b"Basic"))

        received = await read_to_end(reader)

    assert received == b""
    assert Reason.ALLOWED not in up.decided
    assert len(up.decided) == (0 if name == "authorise" else 1)
    assert up.upstream.untouched
    assert (await up.send(get())).status == 200


AFTER_THE_ALLOW: list[tuple[Any, str]] = [
    (GateStream, "_forward"),
    (translate, "request_to_upstream"),
    (Connection, "upstream_key"),
    (GateHttpLayer, "get_connection"),
    (Handling, "upstream_fields"),
]


@pytest.mark.parametrize(("owner", "name"), AFTER_THE_ALLOW, ids=lambda one: getattr(one, "__name__", one))
async def test_after_the_allow(up: Running, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    reader, writer = await up.connect()
    monkeypatch.setattr(owner, name, raises)
    writer.write(request())

    assert await read_to_end(reader) == b""

    assert (up.decided, up.finished) == ([Reason.ALLOWED], [Reason.CONTROL_FAILED])
    assert up.upstream.untouched


WITH_THE_ANSWER: list[tuple[Any, str]] = [
    (GateStream, "state_wait_for_response_headers"),
    (GateStream, "state_stream_response_body"),
    (translate, "response_to_client"),
    (StrictHttp1Client, "_read_head"),
    (StrictHttp1Client, "read_body"),
    (StrictHttp1Client, "mark_done"),
]


@pytest.mark.parametrize(("owner", "name"), WITH_THE_ANSWER, ids=lambda one: getattr(one, "__name__", one))
async def test_with_the_answer(up: Running, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    reader, writer = await up.connect()
    monkeypatch.setattr(owner, name, raises)
    writer.write(request())

    assert not (await read_to_end(reader)).endswith(b'{"status":"ok"}')

    assert (up.decided, up.finished) == ([Reason.ALLOWED], [Reason.CONTROL_FAILED])


async def test_a_fault_in_http2(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Http2Client(up) as client:
        monkeypatch.setattr(StrictHttp2Server, "handle_h2_event", raises)
        client.post()
        await client.read_to_end()

    assert up.decided == [Reason.CONTROL_FAILED]
    assert up.upstream.untouched


async def test_a_fault_in_one_stream_ends_all_of_its_connection(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Http2Client(up) as client:
        monkeypatch.setattr(stream_module.translate, "request_to_upstream", raises)
        for number in range(3):
            client.begin(client_fields(number))
        await client.read_to_end()

    await up.until_finished(up.decided.count(Reason.ALLOWED))
    assert set(up.finished) == {Reason.CONTROL_FAILED}
    assert up.upstream.untouched


def client_fields(number: int) -> list[tuple[str, str]]:
    from tests.engine.http2 import get_fields  # noqa: PLC0415 - for this alone

    return get_fields(f"/v1/balance?n={number}")


async def test_a_fault_ends_no_other_connection(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = await up.connect()
    with monkeypatch.context() as patched:
        patched.setattr(GateStream, "_conclude", raises)
        assert (await read_to_end_of(up, request())) == b""

    writer.write(get(connection="close"))
    assert (await read_to_end(reader)).startswith(b"HTTP/1.1 200 ")


async def read_to_end_of(up: Running, sent: bytes) -> bytes:
    reader, writer = await up.connect()
    writer.write(sent)
    return await read_to_end(reader)


@pytest.mark.parametrize("error", [ZeroDivisionError, OSError, ValueError, RuntimeError])
async def test_the_way_to_the_upstream(up: Running, monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def fails(*_: object) -> Never:
        raise error("secret-7f3a")

    monkeypatch.setattr(UpstreamTls, "context", fails)

    response = await up.send(request())

    assert (response.status, response.code) == (502, "upstream.unreachable")
    assert up.finished == [Reason.UPSTREAM_UNREACHABLE]
    assert "secret-7f3a" not in up.outcomes()[0].detail
    assert up.upstream.untouched
