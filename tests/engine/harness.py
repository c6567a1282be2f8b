"""The real gate on loopback: real TLS, a real upstream, a real log; only the clock is moved by hand."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from gateway.audit.log import AuditLog
from gateway.core.message import Instant
from gateway.core.networks import NetworkSet
from gateway.core.policy import Limits, Policy, StateSettings
from gateway.engine.gate import Clock, Gate, InForce
from gateway.engine.service import GateMaster
from gateway.state.memory import MemoryState
from tests import world
from tests.engine import pki
from tests.engine.upstream import FakeUpstream

LIMITS = Limits(head_timeout=20.0, body_timeout=20.0, handshake_timeout=20.0, idle_timeout=60.0)


@dataclass
class Time:
    """The wall clock of a gate under test."""

    now: Instant = world.NOW

    def clock(self) -> Clock:
        """Give the gate's clock."""
        return Clock(now=lambda: self.now)


@dataclass
class Response:
    """What a client read."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The stable code of a refusal."""
        return str(json.loads(self.body)["code"])


@dataclass
class Running:
    """A gate that accepts, and what stands around it."""

    directory: Path
    gate: Gate
    master: GateMaster
    upstream: FakeUpstream
    time: Time
    port: int
    log: AuditLog
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def records(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Give the records in the log so far, oldest first; those of one kind where it is named."""
        lines = [line for file in sorted((self.directory / "audit").glob("*.jsonl")) for line in file.open()]
        records = [json.loads(line) for line in lines]
        return [record for record in records if kind is None or kind_of(record) == kind]

    def reasons(self) -> list[str]:
        """Give the reasons of all records that have one, in order."""
        return [reason for record in self.records() if (reason := reason_of(record)) is not None]

    async def connect(
        self, certificate: str | None = "partner", *, tls: ssl.SSLContext | None = None, before: bytes = b""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection over TLS; `before` is sent ahead of the handshake."""
        context = tls or pki.client_context(self.directory, certificate)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        if before:
            writer.write(before)
        await writer.start_tls(context, server_hostname="localhost")
        return reader, writer

    async def send(self, raw: bytes, certificate: str | None = "partner", **options: Any) -> Response:
        """Send raw bytes on a connection of their own and read one response."""
        reader, writer = await self.connect(certificate, **options)
        writer.write(raw)
        response = await read_response(reader)
        writer.close()
        return response

    async def close(self) -> None:
        """Close what the test left open, then the gate."""
        for writer in self._writers:
            writer.close()
        for handler in list(self.master.handlers):
            handler.abort()
        for listener in self.master.listeners.values():
            listener.close()
            listener.abort()
        while self.master.handlers or any(one.connections for one in self.master.listeners.values()):
            await asyncio.sleep(0)
        await self.master.done()
        await self.upstream.stop()
        self.gate.state.close()
        self.log.close()


def kind_of(record: Mapping[str, Any]) -> str:
    """Give what a record is about: `request.decided`, `connection.refused`, …"""
    return str(record["metadata"]["event_code"])


def reason_of(record: Mapping[str, Any]) -> str | None:
    """Give a record's reason code."""
    return record.get("status_code")


async def read_response(reader: asyncio.StreamReader, *, head_request: bool = False) -> Response:
    """Read one HTTP/1.1 response strictly enough for a test."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status_line, *lines = head[:-4].split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    status = int(status_line.split(" ")[1])
    body = b""
    if fields.get("transfer-encoding") == "chunked" and not head_request:
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
    elif not head_request and status >= 200:
        body = await reader.readexactly(int(fields.get("content-length", "0")))
    return Response(status, fields, body)


def policy(directory: Path, upstream_port: int, *, limits: Limits = LIMITS, **changes: Any) -> Policy:
    """Give the world's policy on a free port of loopback, its upstream being the test's."""
    upstream = changes.pop("upstream", world.upstream(port=upstream_port))
    listener = replace(
        world.listener(), port=0, tls=pki.write(directory), limits=limits, **changes.pop("listener", {})
    )
    networks = NetworkSet([ip_network("127.0.0.0/8")])
    partners = {
        one.name: replace(one, networks=networks) for one in (world.partner(), world.other_partner())
    }
    route = changes.pop("route", {})
    routes: Sequence[Any] = changes.pop("routes", None) or [
        world.route(upstream=upstream, **route),
        world.route(
            name="balance",
            match=world.Match(frozenset({"GET", "HEAD"}), "/v1/balance"),
            upstream=upstream,
            chain=world.chain(signature=None, replay=None),
            **{name: value for name, value in route.items() if name != "chain"},
        ),
    ]
    return world.policy(
        *routes, listeners={"public": listener}, upstreams={"psp": upstream}, partners=partners, **changes
    )


@asynccontextmanager
async def running(directory: Path, **changes: Any) -> AsyncIterator[Running]:
    """Bring up upstream and gate; take them down at the end."""
    upstream = FakeUpstream()
    await upstream.start()
    compiled = policy(directory, upstream.port, **changes)
    time = Time()
    log = AuditLog(directory / "audit")
    state = MemoryState(StateSettings(), time.now)
    gate = Gate(InForce(compiled, {"operator": world.key_set()}), state, log, time.clock())
    master = GateMaster(gate, compiled)
    await master.start()
    port = master.listeners["public"].sockets[0].getsockname()[1]
    up = Running(directory, gate, master, upstream, time, port, log)
    try:
        yield up
    finally:
        await up.close()


def request(made: world.World | None = None, *, path: str | None = None) -> bytes:
    """Write the world's request as HTTP/1.1."""
    made = made or world.World()
    target = made.target if path is None else path.encode()
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in made.raw_fields())
    return made.method + b" " + target + b" HTTP/1.1\r\n" + lines + b"\r\n" + made.body


def get(path: str = "/v1/balance", **fields: str | None) -> bytes:
    """Write a GET that passes: no body, no signature."""
    return request(world.World(method=b"GET", target=path.encode(), body=b"", fields={"content-length": None, **fields}))
