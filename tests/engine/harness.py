"""The real gate on loopback: real TLS, a real upstream, a real log; only the clock is moved by hand.

Every gate that a test brings up is audited when the test is done (`Running.audit`): the log has no gap, each allow is
followed by exactly one outcome, and nothing reached the upstream that was not allowed before.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path
from time import monotonic
from typing import Any

from gateway.audit.events import ConnectionRefused, Event, RequestDecided, RequestFinished
from gateway.audit.log import AuditLog
from gateway.controls.signature import widest_window
from gateway.core.message import Instant
from gateway.core.networks import NetworkSet
from gateway.core.policy import Limits, Match, Policy, Route, Upstream
from gateway.core.reasons import Reason
from gateway.engine.clock import Clock
from gateway.engine.gate import Gate
from gateway.engine.in_force import InForce
from gateway.engine.master import GateMaster
from gateway.state.memory import MemoryState
from tests import world
from tests.engine import pki
from tests.engine.upstream import FakeUpstream

SAFETY = 30.0
"""Seconds after which a test that hangs fails; nothing is measured by it."""

FLOWS = True
"""Whether HTTP/1.1 goes through mitmproxy's layers, where a test does not say."""

LIMITS = Limits(head_timeout=20.0, body_timeout=20.0, handshake_timeout=20.0, idle_timeout=60.0)

SOON = 0.01
"""Seconds: a deadline of the gate that a test lets pass."""


@dataclass
class Time:
    """The clocks of a gate under test: the wall clock stands, the other one runs."""

    now: Instant = world.NOW
    ahead: float = 0.0
    """Seconds by which the monotonic clock is ahead of the real one."""

    def clock(self) -> Clock:
        """Give the gate's clock."""
        return Clock(now=lambda: self.now, monotonic=lambda: monotonic() + self.ahead)

    def move(self, seconds: float) -> None:
        """Move the clock."""
        self.now = Instant(self.now + seconds)


class WatchedLog(AuditLog):
    """The real log, which keeps what was appended, so that a test can wait for it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.events: list[Event] = []

    def append(self, event: Event) -> None:
        super().append(event)
        self.events.append(event)

    def _write_together(self, events: Sequence[Event]) -> bool:
        written = super()._write_together(events)
        if written:
            self.events += events
        return written


@dataclass
class Response:
    """What a client read."""

    status: int
    fields: dict[str, str]
    body: bytes
    lines: list[tuple[str, str]] = field(default_factory=list)
    """Field lines in order, also those that repeat."""

    @property
    def code(self) -> str:
        """The stable code of a refusal."""
        return str(json.loads(self.body)["code"])


type Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Running:
    """A gate that accepts, and what stands around it."""

    directory: Path
    gate: Gate
    master: GateMaster
    upstream: FakeUpstream
    time: Time
    port: int
    log: WatchedLog
    state: MemoryState
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    # The log

    @property
    def decided(self) -> list[Reason]:
        """Reason of each decision, in order."""
        return [event.decision.reason for event in self.log.events if isinstance(event, RequestDecided)]

    @property
    def finished(self) -> list[Reason]:
        """Reason of each outcome, in order."""
        return [event.reason for event in self.log.events if isinstance(event, RequestFinished)]

    @property
    def refused(self) -> list[Reason]:
        """Reason of each refused connection, in order."""
        return [event.reason for event in self.log.events if isinstance(event, ConnectionRefused)]

    def outcomes(self) -> list[RequestFinished]:
        """Give the outcomes, in order."""
        return [event for event in self.log.events if isinstance(event, RequestFinished)]

    def decisions(self) -> list[RequestDecided]:
        """Give the decisions, in order."""
        return [event for event in self.log.events if isinstance(event, RequestDecided)]

    def records(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Give the records in the log's files, oldest first; those of one kind where it is named."""
        return read_records(self.log.directory, kind)

    async def until_finished(self, count: int = 1) -> None:
        """Wait until so many outcomes are in the log."""
        await until(lambda: len(self.finished) >= count)

    async def until_refused(self, count: int = 1) -> None:
        """Wait until so many refused connections are in the log."""
        await until(lambda: len(self.refused) >= count)

    async def until_decided(self, count: int = 1) -> None:
        """Wait until so many decisions are in the log."""
        await until(lambda: len(self.decided) >= count)

    # Clients

    async def connect(
        self, certificate: str | None = "partner", *, tls: ssl.SSLContext | None = None, before: bytes = b""
    ) -> Client:
        """Open a connection over TLS; `before` is sent ahead of the handshake."""
        context = tls or pki.client_context(self.directory, certificate)
        reader, writer = await self.connect_plain()
        if before:
            writer.write(before)
        await writer.start_tls(context, server_hostname="localhost")
        return reader, writer

    async def connect_plain(self) -> Client:
        """Open a TCP connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        return reader, writer

    async def send(self, raw: bytes, certificate: str | None = "partner", **options: Any) -> Response:
        """Send raw bytes on a connection of their own and read one response."""
        reader, writer = await self.connect(certificate, **options)
        writer.write(raw)
        response = await read_response(reader, head_request=raw.startswith(b"HEAD "))
        writer.close()
        return response

    # The end

    async def close(self) -> None:
        """Close what the test left open, then the gate."""
        for writer in self.writers:
            writer.close()
        for handler in list(self.master.handlers):
            handler.abort()
        for listener in self.master.listeners.values():
            listener.close()
            listener.abort()
        await until(
            lambda: not self.master.handlers and not any(one.connections for one in self.master.listeners.values())
        )
        await self.master.done()
        self.state.close()
        self.log.close()

    def audit(self) -> None:
        """Check what holds for every run, by the log's files alone."""
        records = self.records()
        assert [record["metadata"]["sequence"] for record in records] == list(range(1, len(records) + 1))
        check_outcomes(records)
        allowed = {id_of(record) for record in records if kind_of(record) == "decision" and record["action_id"] == 1}
        reached = self.upstream.request_ids
        assert len(reached) == len(set(reached)), "an allow was used twice"
        assert set(reached) <= allowed, "something reached the upstream that was not allowed"
        assert self.gate.unfinished == 0


def check_outcomes(records: Sequence[Mapping[str, Any]]) -> None:
    """Check that each allow is followed by exactly one outcome, and no denial by any."""
    open_requests: set[str] = set()
    known: set[str] = set()
    for record in records:
        if kind_of(record) == "decision":
            assert id_of(record) not in known, "decided twice"
            known.add(id_of(record))
            if record["action_id"] == 1:
                open_requests.add(id_of(record))
        elif kind_of(record) == "outcome":
            assert id_of(record) in open_requests, "an outcome without its allow before it"
            open_requests.remove(id_of(record))
    assert not open_requests, "an allow without an outcome"


def read_records(directory: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """Give the records in a log's files, oldest first; those of one kind where it is named."""
    lines = [line for file in sorted(directory.glob("*.jsonl")) for line in file.read_bytes().splitlines()]
    records = [json.loads(line) for line in lines]
    return [record for record in records if kind is None or kind_of(record) == kind]


def kind_of(record: Mapping[str, Any]) -> str:
    """Give what a record is about: `decision`, `outcome`, `connection`, …"""
    return str(record["metadata"]["event_code"])


def id_of(record: Mapping[str, Any]) -> str:
    """Give the id of the request or connection that a record is about."""
    return str(record["metadata"]["correlation_uid"])


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until the condition holds."""
    async with asyncio.timeout(SAFETY):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0)


async def read_response(reader: asyncio.StreamReader, *, head_request: bool = False) -> Response:
    """Read one HTTP/1.1 response strictly enough for a test."""
    async with asyncio.timeout(SAFETY):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status_line, *rest = head[:-4].split("\r\n")
        lines = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in rest)]
        fields = dict(lines)
        status = int(status_line.split(" ")[1])
        body = b""
        if head_request or status < 200 or status in (204, 304):
            pass
        elif fields.get("transfer-encoding") == "chunked":
            while size := int(await reader.readline(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readexactly(2)
        else:
            body = await reader.readexactly(int(fields.get("content-length", "0")))
        return Response(status, fields, body, lines)


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    """Read what comes until the gate closes the connection, whichever way it does."""
    received = b""
    async with asyncio.timeout(SAFETY):
        try:
            while part := await reader.read(65_536):
                received += part
        except (ConnectionError, ssl.SSLError):
            pass
    return received


def policy(directory: Path, upstream: Upstream, *, limits: Limits = LIMITS, **changes: Any) -> Policy:
    """Give the world's policy on a free port of loopback, its upstream being the test's.

    `listener` and `route` change the listener and every route, `networks` every partner, `subjects` the one that
    calls. `routes` are all routes, or what makes them for the upstream.
    """
    tls = changes.pop("tls", None) or pki.write(directory)
    listener = replace(world.listener(), port=0, tls=tls, limits=limits)
    listener = replace(listener, **changes.pop("listener", {}))
    networks = changes.pop("networks", NetworkSet([ip_network("127.0.0.0/8")]))
    partners = {one.name: replace(one, networks=networks) for one in (world.partner(), world.other_partner())}
    subjects = changes.pop("subjects", None)
    if subjects is not None:
        partners[world.PARTNER] = replace(partners[world.PARTNER], subjects={"operator": subjects})
    route = changes.pop("route", {})
    routes = changes.pop("routes", None)
    routes = (routes(upstream) if callable(routes) else routes) or (
        deposit(upstream, **route),
        balance(upstream, **route),
    )
    values = {"listeners": {"public": listener}, "upstreams": {"psp": upstream}, "partners": partners, **changes}
    return world.policy(*routes, **values)


def deposit(upstream: Upstream, **changes: Any) -> Route:
    """Give the route with the full chain."""
    return world.route(upstream=upstream, **changes)


def balance(upstream: Upstream, **changes: Any) -> Route:
    """Give a route to read from: nothing is signed."""
    values = {
        "name": "balance",
        "match": Match(frozenset({"GET", "HEAD"}), "/v1/balance"),
        "chain": world.chain(signature=None, replay=None, rate_limit=None),
        **changes,
    }
    return world.route(upstream=upstream, **values)


@asynccontextmanager
async def running(
    directory: Path,
    *,
    upstream_tls: bool = False,
    flows: bool | None = None,
    audit: str = "audit",
    addons: Sequence[Path] = (),
    **changes: Any,
) -> AsyncIterator[Running]:
    """Bring up upstream and gate; take them down at the end, and audit what was recorded.

    `to` changes how the policy describes the upstream; other names are those of `policy`.
    """
    server_tls = pki.write(directory)
    https = {"scheme": "https", "host": "localhost", "ca": directory / "operator-ca.pem"} if upstream_tls else {}
    described = {**https, **changes.pop("to", {})}
    async with serving(pki.upstream_context(directory) if upstream_tls else None) as upstream:
        compiled = policy(directory, world.upstream(**{"port": upstream.port, **described}), tls=server_tls, **changes)
        time = Time()
        log = WatchedLog(directory / audit)
        state = MemoryState(compiled.state)
        state.restore(directory / "state", time.now, widest_window(compiled))
        gate = Gate(InForce(compiled, {"operator": world.key_set()}), state, log, time.clock())
        master = GateMaster(gate, compiled, flows=FLOWS if flows is None else flows, addons=addons)
        await master.start()
        port = master.listeners["public"].sockets[0].getsockname()[1]
        up = Running(directory, gate, master, upstream, time, port, log, state)
        try:
            yield up
        finally:
            await up.close()
    up.audit()


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[FakeUpstream]:
    """Bring up an upstream, and take it down."""
    upstream = FakeUpstream()
    await upstream.start(tls)
    try:
        yield upstream
    finally:
        await upstream.stop()


def request(made: world.World | None = None, *, path: str | None = None) -> bytes:
    """Write the world's request as HTTP/1.1."""
    made = made or world.World()
    target = made.target if path is None else path.encode()
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in made.raw_fields())
    return made.method + b" " + target + b" HTTP/1.1\r\n" + lines + b"\r\n" + made.body


def get(path: str = "/v1/balance", *, method: str = "GET", **fields: str | None) -> bytes:
    """Write a GET that passes: no body, no signature. Underscores in names of fields stand for hyphens."""
    unsigned = dict.fromkeys(("content-length", "content-type", "x-key-id", "x-timestamp", "x-nonce", "x-signature"))
    changed = {name.replace("_", "-"): value for name, value in fields.items()}
    return request(world.World(method=method.encode(), target=path.encode(), body=b"", fields={**unsigned, **changed}))


def chunked(body: bytes, *, size: int | None = None, nonce: str = "nonce-1", end: bytes = b"0\r\n\r\n") -> bytes:
    """Write the world's request with a chunked body, in chunks of `size` bytes."""
    size = size or max(len(body), 1)
    fields = {"content-length": None, "transfer-encoding": "chunked"}
    head, _, _ = request(world.World(body=body, nonce=nonce, fields=fields)).partition(b"\r\n\r\n")
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return head + b"\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + end
