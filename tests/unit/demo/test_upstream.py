"""The demo's upstream over real sockets on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator
from http import HTTPStatus

import httpx
import pytest

from gateway.demo.upstream import MAX_BODY, Upstream

DEPOSIT = {"player": "p-1001", "amount": "25.00", "reference": "r-1"}


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def port(upstream: Upstream) -> AsyncIterator[int]:
    async with upstream.serving(0) as port:
        yield port


@pytest.fixture
async def client(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        yield client


async def exchange(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_deposit_is_answered_with_the_new_balance(client: httpx.AsyncClient) -> None:
    response = await client.post("/psp/v1/deposits", json=DEPOSIT)
    assert (response.status_code, response.json()["balance"]) == (201, "125.00")


async def test_a_balance_is_read(client: httpx.AsyncClient) -> None:
    response = await client.get("/pam/v1/players/p-1001/balance")
    assert response.json() == {"balance": "100.00", "bonus": "0.00", "currency": "EUR"}


async def test_several_requests_share_a_connection(port: int, upstream: Upstream) -> None:
    get = b"GET /pam/v1/players/p-1001 HTTP/1.1\r\nHost: x\r\n\r\n"
    assert (await exchange(port, get + get)).count(b"HTTP/1.1 200 ") == 2
    assert upstream.count()["pam-account"] == 2


async def test_a_body_in_chunks_is_read(port: int) -> None:
    body = json.dumps(DEPOSIT).encode()
    head = b"POST /psp/v1/deposits HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    chunks = b"%x\r\n%s\r\n5\r\n     \r\n0\r\n\r\n" % (len(body), body)
    assert b"HTTP/1.1 201 " in await exchange(port, head + chunks)


async def test_a_refusal_of_the_business_has_its_code(client: httpx.AsyncClient) -> None:
    response = await client.post("/psp/v1/withdrawals", json={**DEPOSIT, "amount": "500.00"})
    assert (response.status_code, response.json()) == (422, {"code": "insufficient_funds"})


@pytest.mark.parametrize(("content", "code"), [(b"{", "not_json"), (b"[1]", "not_an_object"), (b"\xff", "not_json")])
async def test_what_is_no_object_is_refused(client: httpx.AsyncClient, content: bytes, code: str) -> None:
    response = await client.post("/psp/v1/deposits", content=content)
    assert (response.status_code, response.json()) == (HTTPStatus.BAD_REQUEST, {"code": code})


async def test_an_unknown_operation_is_counted_as_such(client: httpx.AsyncClient, upstream: Upstream) -> None:
    response = await client.get("/admin")
    assert (response.status_code, dict(upstream.count())) == (404, {None: 1})


async def test_requests_are_counted_by_operation(client: httpx.AsyncClient, upstream: Upstream) -> None:
    await client.get("/pam/v1/players/p-1001")
    await client.get("/pam/v1/players/nobody")
    await client.post("/psp/v1/deposits", json=DEPOSIT)
    assert upstream.count() == {"pam-account": 2, "psp-deposit": 1}


async def test_what_the_gate_says_of_the_caller_is_remembered_and_nothing_else(
    client: httpx.AsyncClient, upstream: Upstream
) -> None:
    fields = [("X-Gateway-Partner", "a"), ("X-Gateway-Partner", "b"), ("Authorization", "Bearer secret")]
    await client.get("/pam/v1/players/p-1001", headers=fields)
    (received,) = upstream.received
    assert received.identity == {"x-gateway-partner": ["a", "b"]}


async def test_no_answer_repeats_what_was_sent(port: int) -> None:
    head = (
        b"GET /secret-path HTTP/1.1\r\nHost: secret-host\r\nAuthorization: Bearer secret\r\nConnection: close\r\n\r\n"
    )
    assert b"secret" not in await exchange(port, head)


async def test_what_is_not_http_is_not_answered(port: int, upstream: Upstream) -> None:
    assert await exchange(port, b"\x16\x03\x01 hello\r\n\r\n") == b""
    assert upstream.received == []


async def test_half_a_request_is_not_counted(port: int, upstream: Upstream) -> None:
    assert await exchange(port, b"POST /psp/v1/deposits HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{") == b""
    assert upstream.received == []


async def test_a_body_beyond_bounds_ends_the_connection(port: int, upstream: Upstream) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /psp/v1/deposits HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n" + bytes(MAX_BODY + 1))
    with pytest.raises(asyncio.IncompleteReadError):
        await reader.readexactly(1)
    writer.close()
    assert upstream.received == []


async def test_it_listens_on_loopback_only_and_ends_with_its_connections(upstream: Upstream) -> None:
    async with upstream.serving(0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert writer.get_extra_info("peername")[0] == "127.0.0.1"
    assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
