import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.core.policy import Endpoint
from gateway.engine import metrics_server
from gateway.engine.metrics_server import MAX_HEAD, MetricsServer
from gateway.engine.start import StartError
from tests.engine.harness import read_to_end


@pytest.fixture
async def server() -> AsyncIterator[MetricsServer]:
    made = MetricsServer(lambda: b"gateway_up 1\n")
    await made.start(Endpoint("127.0.0.1", 0))
    yield made
    await made.close()


async def ask(server: MetricsServer, raw: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(raw)
    answer = await read_to_end(reader)
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("request_line", "status", "body"),
    [
        (b"GET /metrics HTTP/1.1", b"200 OK", b"gateway_up 1\n"),
        (b"GET /metrics?name[]=x HTTP/1.0", b"200 OK", b"gateway_up 1\n"),
        (b"GET / HTTP/1.1", b"404 Not Found", b"at /metrics\n"),
        (b"POST /metrics HTTP/1.1", b"405 Method Not Allowed", b"GET only\n"),
        (b"nonsense", b"404 Not Found", b"at /metrics\n"),
    ],
)
async def test_only_metrics_are_served(server: MetricsServer, request_line: bytes, status: bytes, body: bytes) -> None:
    answer = await ask(server, request_line + b"\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert answer.endswith(body)
    assert b"version=0.0.4" in answer


async def test_a_head_beyond_all_measure_is_not_answered(server: MetricsServer) -> None:
    assert await ask(server, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 2 * MAX_HEAD) == b""


async def test_who_says_nothing_is_let_go(server: MetricsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "TIMEOUT", 0.001)
    assert await ask(server, b"GET") == b""


async def test_few_are_served_at_the_same_time(server: MetricsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "MAX_CONNECTIONS", 0)
    assert await ask(server, b"GET /metrics HTTP/1.1\r\n\r\n") == b""


async def test_a_fault_ends_one_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> bytes:
        raise ZeroDivisionError

    made = MetricsServer(fail)
    await made.start(Endpoint("127.0.0.1", 0))
    assert await ask(made, b"GET /metrics HTTP/1.1\r\n\r\n") == b""
    assert "ZeroDivisionError" in caplog.text
    await made.close()


async def test_a_port_that_is_taken_stops_the_start(server: MetricsServer) -> None:
    other = MetricsServer(lambda: b"")
    with pytest.raises(StartError, match=r"metrics at 127\.0\.0\.1"):
        await other.start(Endpoint("127.0.0.1", server.port))
    await other.close()
    with pytest.raises(RuntimeError, match="does not listen"):
        _ = other.port
