"""The whole service in this process: its policy from a file, its own log and state, stopped as a signal would."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.audit.verify.check import check
from gateway.audit.verify.notes import Key
from gateway.core.message import Instant
from gateway.engine.service import Service, Settings
from tests import world
from tests.engine import harness, pki
from tests.engine.harness import (
    Client,
    Response,
    Time,
    check_outcomes,
    kind_of,
    read_records,
    read_response,
    serving,
    until,
)
from tests.engine.upstream import FakeUpstream

POLICY = """\
version: 1
name: psp
owner: tests
review_by: 2100-01-01

listeners:
  public:
    address: 127.0.0.1:{port}
    tls: {{certificate: gateway.pem, key: gateway.key, client_ca: partners-ca.pem}}

upstreams:
  psp: {{url: "http://127.0.0.1:{upstream}"}}

issuers:
  operator: {{issuer: "{issuer}", keys: "file:operator-jwks.json", algorithms: [ES256]}}

schemes:
  lines:
    string_to_sign: [method, path, timestamp, nonce, body]
    separator: "\\n"
    algorithm: hmac-sha256
    encoding: hex
    key_id: {{header: X-Key-Id}}
    timestamp: {{header: X-Timestamp, format: unix}}
    nonce: {{header: X-Nonce}}
    signature: {{header: X-Signature}}

partners:
  acme-casino:
    certificate: {{san_uri: "spiffe://acme.example/casino"}}
    networks: [127.0.0.0/8]
    subjects: {{operator: [acme-backend]}}
    signing_keys:
      - {{id: acme-2026-11, algorithm: hmac-sha256, secret: "file:acme.secret"}}

routes:
  - name: deposit
    match: {{method: POST, path: /v1/deposits}}
    upstream: psp
    partners: [acme-casino]
    mutual_tls: required
    ip_allowlist: partner
    token: {{issuer: operator, audience: psp, scopes: ["deposit:write"]}}
    rate_limit: ["1000/second per partner"]
    signature: {{scheme: lines, max_age: 60s, max_ahead: 5s}}
    replay: required
    body: {{limit: 64KiB}}
  - name: balance
    match: {{method: GET, path: {balance}}}
    upstream: psp
    partners: [acme-casino]
    mutual_tls: required
    ip_allowlist: partner
    token: {{issuer: operator, audience: psp, scopes: ["deposit:write"]}}
    rate_limit: ["1000/second per partner"]
    signature: {{off: "reads only"}}
    replay: {{off: "reads only"}}
    body: {{limit: 0B}}
"""

STATELESS = {
    'rate_limit: ["1000/second per partner"]': 'rate_limit: {off: "the upstream limits"}',
    "replay: required": 'replay: {off: "the upstream remembers"}',
}
"""Changes that take from the policy what workers cannot share."""

EMBEDDED = {"issuers:\n": "state: {store: valkey, embedded: true}\n\nissuers:\n"}
"""A change that gives the policy a store that workers share."""


@dataclass
class Folder:
    """Where a policy and what it names lie."""

    path: Path
    upstream_port: int
    port: int = 0

    @property
    def policy(self) -> Path:
        """The policy's file."""
        return self.path / "policy.yaml"

    @property
    def audit(self) -> Path:
        """The folder of the log."""
        return self.path / "audit"

    def write(self) -> None:
        """Write everything, and date it long ago: it was there when the gate started."""
        pki.write(self.path)
        (self.path / "gateway.key").chmod(0o600)
        self.put("operator-jwks.json", world.jwks())
        self.put("acme.secret", world.SIGNING_SECRET)
        self.put_policy()
        for file in self.path.iterdir():
            if file.is_file():
                os.utime(file, (1_000_000_000, 1_000_000_000))

    def put(self, name: str, data: bytes) -> None:
        """Write a file, whole, readable by its owner alone."""
        fresh = self.path / f".{name}.new"
        fresh.write_bytes(data)
        fresh.chmod(0o600)
        fresh.rename(self.path / name)

    def put_policy(self, *, balance: str = "/v1/balance", **changes: str) -> None:
        """Write the policy; `changes` are pieces of its text and what takes their place."""
        text = POLICY.format(port=self.port, upstream=self.upstream_port, issuer=world.ISSUER, balance=balance)
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        self.put("policy.yaml", text.encode())

    def settings(self, **changes: Any) -> Settings:
        """Give the settings of a service with this policy."""
        return Settings(self.policy, self.audit, self.path / "state", {}, layers=harness.FLOWS, **changes)

    def records(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Give the records in the log's files, oldest first; those of one kind where it is named."""
        return read_records(self.audit, kind)

    def kinds(self) -> list[str]:
        """Give the kinds of all records, in order."""
        return [kind_of(record) for record in self.records()]

    def client_context(self, name: str | None = "partner") -> ssl.SSLContext:
        """Give the TLS context of a client."""
        return pki.client_context(self.path, name)


@dataclass
class Served:
    """A service that serves."""

    service: Service
    folder: Folder
    upstream: FakeUpstream
    time: Time
    running: asyncio.Task[int]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.service.master.listeners["public"].sockets[0].getsockname()[1])

    @property
    def directory(self) -> Path:
        """Where the certificates lie."""
        return self.folder.path

    async def connect(self, *, tls: ssl.SSLContext | None = None) -> Client:
        """Open a connection over TLS."""
        context = tls or self.folder.client_context()
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname="localhost")

    async def send(self, raw: bytes) -> Response:
        """Send raw bytes on a connection of their own and read one response."""
        reader, writer = await self.connect()
        writer.write(raw)
        response = await read_response(reader)
        writer.close()
        return response

    async def until_recorded(self, kind: str, count: int = 1) -> None:
        """Wait until so many records of a kind are in the log."""
        await until(lambda: self.folder.kinds().count(kind) >= count)

    async def stop(self, because: str = "SIGTERM") -> int:
        """Tell it to stop, and wait until it has; give its exit code."""
        self.service.stop(because)
        return await self.running


@asynccontextmanager
async def served(directory: Path, **changes: Any) -> AsyncIterator[Served]:
    """Bring up upstream and service; stop them at the end, and check the log's files."""
    async with serving() as upstream:
        folder = Folder(directory, upstream.port)
        folder.write()
        async with again(folder, upstream, **changes) as up:
            yield up


@asynccontextmanager
async def again(folder: Folder, upstream: FakeUpstream, **changes: Any) -> AsyncIterator[Served]:
    """Bring up a service in a folder that is there."""
    time = changes.pop("time", Time(Instant(world.NOW)))
    ready: asyncio.Future[Service] = asyncio.get_running_loop().create_future()
    service = Service(folder.settings(clock=time.clock(), ready=ready.set_result, **changes))
    running = asyncio.create_task(service.run())
    try:
        done, _ = await asyncio.wait((running, ready), return_when=asyncio.FIRST_COMPLETED)
        if running in done:
            running.result()
        yield Served(service, folder, upstream, time, running)
    finally:
        service.stop("end of the test")
        await asyncio.wait((running,))
    assert running.result() == 0
    records = folder.records()
    assert [record["metadata"]["sequence"] for record in records] == list(range(1, len(records) + 1))
    check_outcomes(records)
    assert kind_of(records[-1]) == "stop"
    verify(folder.audit)


def verify(directory: Path) -> None:
    """Have the log verified, as a stranger would: whole, and under a checkpoint to its last record."""
    found = check(directory, [Key.parse((directory / "tlog" / "log.vkey").read_text())])
    assert [str(problem) for problem in found.problems] == []
    assert found.size == found.records
