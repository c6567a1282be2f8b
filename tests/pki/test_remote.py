"""Revocation over the network, by parts that are not ours: `openssl ca` and `openssl ocsp`, a plain server, curl."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from socket import create_server
from typing import Any

import pytest

from gateway.audit.events import ConnectionCut
from gateway.core.message import Instant
from gateway.core.policy import Revocation
from gateway.core.reasons import Reason
from gateway.engine.revocation import RevocationCheck
from gateway.engine.revocation_remote import Remote
from gateway.engine.revocation_store import KeptLists
from tests import world
from tests.engine import pki
from tests.engine.harness import Running, get, read_response, read_to_end, running, until
from tests.engine.upstream import FakeUpstream
from tests.pki.openssl import LEAF, OpensslCa, openssl
from tests.pki.test_faults import curl

RESPONDER = """\
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = OCSPSigning
"""


@dataclass
class Network:
    """An authority whose certificates name a distribution point and a responder on loopback."""

    root: OpensslCa
    points: FakeUpstream
    responder: int
    process: subprocess.Popen[bytes] | None = None

    def issue(self, *, point: bool = False, responder: bool = False) -> Any:
        """Issue a certificate that names one of them, or both."""
        extensions = LEAF
        if point:
            extensions += f"crlDistributionPoints = URI:http://127.0.0.1:{self.points.port}/root.crl\n"
        if responder:
            extensions += f"authorityInfoAccess = OCSP;URI:http://127.0.0.1:{self.responder}/\n"
        return self.root.issue("casino", extensions)

    def publish(self) -> None:
        """Put the list at the distribution point, in DER."""
        body = openssl("crl", "-in", self.root.crl(), "-outform", "DER")
        self.points.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    async def respond(self) -> None:
        """Have `openssl ocsp` answer from the authority's database."""
        self.stop()
        signer = self.root.issue("responder", RESPONDER)
        self.process = subprocess.Popen(  # noqa: ASYNC220 - it runs beside the gate
            (
                "openssl", "ocsp", "-index", str(self.root.folder / "index.txt"), "-port", str(self.responder),
                "-rsigner", str(signer.certificate), "-rkey", str(signer.key), "-CA", str(self.root.certificate),
                "-nmin", "60", "-ignore_err",
            ),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self.process.stdout is not None
        said = await asyncio.to_thread(self.process.stdout.readline)
        assert said.startswith(b"ACCEPT")

    def stop(self) -> None:
        """Stop the responder."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[Network]:
    points = FakeUpstream()
    await points.start()
    with closing(create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    made = Network(OpensslCa(tmp_path / "root", "Acme Root CA"), points, port)
    yield made
    made.stop()
    await points.stop()


@dataclass
class Up:
    """A gate that asks over the network."""

    gate: Running
    remote: Remote
    network: Network

    def asks(self, **settings: Any) -> None:
        """Have it check revocation."""
        check = RevocationCheck(Revocation(**settings), (), self.remote)
        in_force = self.gate.gate.in_force
        self.gate.gate.in_force = replace(in_force, revocation={"public": check})


@pytest.fixture
async def up(tmp_path: Path, network: Network) -> AsyncIterator[Up]:
    tls = replace(pki.write(tmp_path), client_ca=network.root.certificate)
    async with running(tmp_path, flows=False, listener={"tls": tls}) as gate:
        gate.time.now = Instant(time.time())
        remote = Remote(gate.gate.clock, gate.gate.hear, KeptLists(tmp_path / "kept"))
        made = Up(gate, remote, network)
        yield made
        await remote.close()


def points(network: Network) -> dict[str, Any]:
    return {"point_hosts": frozenset({f"127.0.0.1:{network.points.port}"})}


def responders(network: Network) -> dict[str, Any]:
    return {"ocsp_hosts": frozenset({f"127.0.0.1:{network.responder}"})}


async def test_a_list_at_a_distribution_point(up: Up, network: Network) -> None:
    good, bad = network.issue(point=True), network.issue(point=True)
    network.root.revoke(bad)
    network.publish()
    up.asks(**points(network))

    assert await curl(up.gate, good.chained()) == (0, b"200")
    await curl(up.gate, bad.chained())

    await up.gate.until_refused()
    assert up.gate.refused == [Reason.TLS_CERTIFICATE_REVOKED]
    assert network.points.connections == 1


async def test_a_distribution_point_that_is_down(up: Up, network: Network) -> None:
    client = network.issue(point=True)
    network.publish()
    up.asks(**points(network))
    await network.points.stop()

    await curl(up.gate, client.chained())

    await up.gate.until_refused()
    assert up.gate.refused == [Reason.TLS_CERTIFICATE_STATUS]
    assert f"revocation.fetch:http://127.0.0.1:{network.points.port}/root.crl" in up.gate.gate.health.failing
    assert up.gate.upstream.untouched


async def test_a_responder_that_the_certificate_names(up: Up, network: Network) -> None:
    good, bad = network.issue(responder=True), network.issue(responder=True)
    network.root.revoke(bad)
    await network.respond()
    up.asks(**responders(network))

    assert await curl(up.gate, good.chained()) == (0, b"200")
    await curl(up.gate, bad.chained())

    await up.gate.until_refused()
    assert up.gate.refused == [Reason.TLS_CERTIFICATE_REVOKED]


async def test_a_responder_that_is_down(up: Up, network: Network) -> None:
    up.asks(**responders(network))
    await curl(up.gate, network.issue(responder=True).chained())

    await up.gate.until_refused()
    assert up.gate.refused == [Reason.TLS_CERTIFICATE_STATUS]
    assert up.gate.upstream.untouched


async def test_answers_count_after_a_restart_while_the_responder_is_down(up: Up, network: Network) -> None:
    good, bad, new = (network.issue(responder=True) for _ in range(3))
    network.root.revoke(bad)
    await network.respond()
    up.asks(**responders(network))
    assert await curl(up.gate, good.chained()) == (0, b"200")
    await curl(up.gate, bad.chained())
    network.stop()
    await up.remote.close()

    kept = KeptLists(up.gate.directory / "kept")
    up.remote = Remote(up.gate.gate.clock, up.gate.gate.hear, kept)
    up.asks(**responders(network))

    assert await curl(up.gate, good.chained()) == (0, b"200")
    await curl(up.gate, bad.chained())
    await curl(up.gate, new.chained())
    await up.gate.until_refused(3)
    assert up.gate.refused[1:] == [Reason.TLS_CERTIFICATE_REVOKED, Reason.TLS_CERTIFICATE_STATUS]


async def test_a_responder_of_another_host_is_not_asked(up: Up, network: Network) -> None:
    await network.respond()
    up.asks(ocsp_hosts=frozenset({"ocsp.acme.example"}))
    await curl(up.gate, network.issue(responder=True).chained())

    await up.gate.until_refused()
    assert up.gate.refused == [Reason.TLS_CERTIFICATE_STATUS]


async def test_a_revocation_that_the_responder_tells_later_cuts_the_connection(up: Up, network: Network) -> None:
    client = network.issue(responder=True)
    await network.respond()
    up.asks(**responders(network))
    context = pki.client_context(up.gate.directory, None)
    context.load_cert_chain(client.chained())
    reader, writer = await up.gate.connect(tls=context)
    writer.write(get(authorization=bearer(up)))
    assert (await read_response(reader)).status == 200

    network.root.revoke(client)
    await network.respond()
    up.gate.time.ahead += 3_600
    up.remote.news = False
    up.remote.tick(up.gate.master.standings.chains)
    await until(lambda: up.remote.news)
    up.gate.master.standings.news()

    assert await read_to_end(reader) == b""
    (cut,) = [event for event in up.gate.log.events if isinstance(event, ConnectionCut)]
    assert cut.reason is Reason.CERTIFICATE_REVOKED


def bearer(up: Up) -> str:
    now = int(up.gate.time.now)
    return f"Bearer {world.token(world.claims(iat=now - 5, exp=now + 300))}"
