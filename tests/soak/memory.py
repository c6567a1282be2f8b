"""Does the gate grow? `make soak`: 100,000 requests through `gateway run`, its resident size after each 10,000.

Eight in ten are allowed, one has a bad token, one a bad signature; each connection carries 200 requests. Fails where
the size after the last is more than 30 MB above the size after the first 10,000.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

from rich.progress import Progress, TextColumn, TimeRemainingColumn

from gateway.core.message import Instant
from tests import world
from tests.engine import pki
from tests.engine.harness import read_response, request
from tests.engine.upstream import FakeUpstream

REQUESTS = 100_000
STEP = 10_000
CONNECTIONS = 16
PER_CONNECTION = 200
ALLOWED_GROWTH_MB = 30.0

POLICY = """
version: 1
name: soak
owner: gateway
review_by: 2100-01-01
listener:
  address: 127.0.0.1:{port}
  tls: {{certificate: gateway.pem, key: gateway.key, client_ca: partners-ca.pem}}
upstreams:
  psp: {{url: "http://127.0.0.1:{upstream}"}}
issuers:
  operator: {{issuer: "https://idp.operator.example", keys: file:jwks.json, algorithms: [ES256]}}
schemes:
  reference:
    algorithm: hmac-sha256
    encoding: hex
    separator: "\\n"
    string_to_sign: [method, path, timestamp, nonce, body]
    key_id: {{header: X-Key-Id}}
    timestamp: {{header: X-Timestamp, format: unix}}
    nonce: {{header: X-Nonce}}
    signature: {{header: X-Signature}}
partners:
  acme-casino:
    certificate: {{san_uri: "spiffe://acme.example/casino"}}
    networks: [127.0.0.0/8]
    subjects: {{operator: [acme-backend]}}
    signing_keys: [{{id: acme-2026-11, algorithm: hmac-sha256, secret: env:SOAK_SECRET}}]
routes:
  - name: deposit
    match: {{method: POST, path: /v1/deposits}}
    upstream: psp
    partners: [acme-casino]
    mutual_tls: required
    ip_allowlist: partner
    token: {{issuer: operator, audience: psp, scopes: ["deposit:write"]}}
    rate_limit: ["1000000/second per partner"]
    signature: {{scheme: reference, max_age: 30s, max_ahead: 5s}}
    replay: required
"""


def resident_mb(pid: int) -> float:
    """Give the resident size of a process in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def free_port() -> int:
    """Give a port nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Load:
    """Sends the requests over kept-alive connections and counts what came back wrong."""

    def __init__(self, directory: Path, port: int) -> None:
        self.context = pki.client_context(directory)
        self.port = port
        self.sent = 0
        self.wrong: list[str] = []
        self._token = ""
        self._token_until = 0

    def message(self, number: int) -> tuple[bytes, int]:
        """Make request `number` and the status it must get."""
        now = int(time.time())
        if now >= self._token_until:
            self._token = world.token(world.claims(iat=now - 60, nbf=now - 60, exp=now + 240))
            self._token_until = now + 120
        fields: dict[str, str | None] = {}
        expected = 200
        if number % 10 == 8:
            fields, expected = {"authorization": "Bearer nonsense"}, 401
        elif number % 10 == 9:
            fields, expected = {"x-signature": "0" * 64}, 401
        made = world.World(now=Instant(now), nonce=f"n-{number}", token=self._token, fields=fields)
        return request(made), expected

    async def connection(self, until: int) -> None:
        """Send until `until` were sent by all."""
        while self.sent < until:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self.port, ssl=self.context, server_hostname="localhost"
            )
            for _ in range(PER_CONNECTION):
                if self.sent >= until:
                    break
                self.sent += 1
                raw, expected = self.message(self.sent - 1)
                writer.write(raw)
                response = await read_response(reader)
                if response.status != expected and len(self.wrong) < 10:
                    self.wrong.append(f"request {self.sent}: {response.status} {response.body!r}")
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def main() -> int:
    """Run it all; gives the exit code."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        pki.write(directory)
        (directory / "jwks.json").write_bytes(world.jwks())
        upstream = FakeUpstream()
        await upstream.start()
        port = free_port()
        (directory / "policy.yaml").write_text(POLICY.format(port=port, upstream=upstream.port))
        gate = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "run", str(directory / "policy.yaml"),
            "--audit", str(directory / "audit"), "--state", str(directory / "state"),
            env={**os.environ, "SOAK_SECRET": world.SIGNING_SECRET.decode()}, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert gate.stderr is not None
        started = []
        while b"in force" not in (line := await gate.stderr.readline()):
            started.append(line.decode())
            if not line:
                print("".join(started), file=sys.stderr)
                return 1
        drain = asyncio.create_task(gate.stderr.read())
        load, sizes = Load(directory, port), []
        began = time.monotonic()
        with Progress(
            *Progress.get_default_columns()[:3], TimeRemainingColumn(), TextColumn("{task.fields[size]}")
        ) as bar:
            task = bar.add_task("requests", total=REQUESTS, size="")
            for until in range(STEP, REQUESTS + 1, STEP):
                await asyncio.gather(*(load.connection(until) for _ in range(CONNECTIONS)))
                upstream.requests.clear()
                sizes.append(resident_mb(gate.pid))
                bar.update(task, completed=until, size=f"{sizes[-1]:.1f} MB")
        seconds = time.monotonic() - began
        gate.terminate()
        code = await gate.wait()
        await drain
        await upstream.stop()
        growth = sizes[-1] - sizes[0]
        figures = {
            "requests": REQUESTS,
            "requests_per_second": round(REQUESTS / seconds),
            "resident_mb": [round(size, 1) for size in sizes],
            "growth_mb": round(growth, 1),
            "exit_code": code,
        }
        print(json.dumps(figures))
        for wrong in load.wrong:
            print(wrong, file=sys.stderr)
        return 1 if load.wrong or code or growth > ALLOWED_GROWTH_MB else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
