"""The demo's client: httpx for what is HTTP, a bare TLS socket for what httpx would rightly refuse to send."""

import asyncio
import http.client
import json
import ssl
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from io import BytesIO
from types import TracebackType
from typing import Self

import httpx

from gateway.core.reasons import Reason
from gateway.demo.calls import NOBODY, Call, Message
from gateway.demo.credentials import Credentials

HOST = "127.0.0.1"

PATIENCE = 15.0
"""Seconds to wait for any answer: longer than the gate's own time limits."""

MAX_ANSWER = 1_048_576


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client saw."""

    status: int | None
    """None where there was no HTTP answer."""
    code: str | None
    """The stable code of a refusal (RFC 9457 problem details), or of an answer that was given before."""
    words: str
    """What happened instead of an answer."""
    milliseconds: float = 0.0


class Client:
    """Sends calls. Connections are kept, as a partner would keep them, one pool for each certificate and address."""

    def __init__(self, credentials: Credentials, port: int) -> None:
        self._credentials = credentials
        self._authority = f"{HOST}:{port}"
        self._port = port
        self._pools: dict[tuple[str, str, bool], httpx.AsyncClient] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def send(self, call: Call, message: Message) -> Answer:
        """Send a call's message in the way the call asks for."""
        started = time.perf_counter()
        if call.plaintext:
            answer = await self._send_raw(message, None)
        elif call.change is not None:
            answer = await self._send_raw(message, self._context(call.certificate))
        else:
            answer = await self._send_http(call, message)
        return replace(answer, milliseconds=(time.perf_counter() - started) * 1000)

    async def _send_http(self, call: Call, message: Message) -> Answer:
        pool = await self._pool(call)
        try:
            response = await pool.request(
                message.method,
                f"https://{self._authority}{message.target}",
                headers=list(message.fields),
                content=message.body or None,
            )
        except httpx.TransportError as error:
            return Answer(None, None, _words(error))
        if response.headers.get("idempotent-replayed") == "true":
            return Answer(response.status_code, Reason.IDEMPOTENCY_ANSWERED.code, "")
        return Answer(response.status_code, _code(response.headers.get("content-type"), response.content), "")

    async def _pool(self, call: Call) -> httpx.AsyncClient:
        key = (call.certificate, call.source, call.http2)
        pool = self._pools.get(key)
        if pool is None:
            transport = httpx.AsyncHTTPTransport(
                verify=self._context(call.certificate),
                http1=not call.http2,
                http2=call.http2,
                local_address=call.source,
                trust_env=False,
            )
            # trust_env: a proxy set in the environment must not stand between client and gate.
            pool = httpx.AsyncClient(transport=transport, timeout=PATIENCE, trust_env=False)
            self._pools[key] = await self._stack.enter_async_context(pool)
        return pool

    async def _send_raw(self, message: Message, context: ssl.SSLContext | None) -> Answer:
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection(HOST, self._port, ssl=context)
                try:
                    writer.write(message.render(self._authority))
                    return await _read_answer(reader)
                finally:
                    writer.transport.abort()
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            return Answer(None, None, _words(error))

    def _context(self, identity: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._credentials.authority)
        if identity != NOBODY:
            context.load_cert_chain(self._credentials.certificate(identity), self._credentials.key(identity))
        return context


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    head = await reader.readuntil(b"\r\n\r\n")
    line, _, fields = head.partition(b"\r\n")
    headers = http.client.parse_headers(BytesIO(fields))
    length = int(headers.get("content-length", "0"))
    body = await reader.readexactly(min(length, MAX_ANSWER))
    return Answer(int(line.split()[1]), _code(headers.get("content-type"), body), "")


def _code(content_type: str | None, body: bytes) -> str | None:
    if content_type != "application/problem+json":
        return None
    problem = json.loads(body)
    code = problem.get("code")
    return code if isinstance(code, str) else None


def _words(error: BaseException) -> str:
    """Say what happened as the client's TLS library saw it: the alert, or just that the connection was closed."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError) and cause.reason:
            alert = cause.reason.lower().replace("_", " ")
            return alert.removeprefix("tlsv1 ").removeprefix("tlsv13 ").removeprefix("sslv3 ")
        cause = cause.__cause__ or cause.__context__
    return "no answer in time" if isinstance(error, (TimeoutError, httpx.TimeoutException)) else "connection closed"
