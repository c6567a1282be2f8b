import asyncio
import ssl
from pathlib import Path
from typing import cast

import pytest

from gateway.core.policy import ClientCertificate, Endpoint
from gateway.core.stores import StateSettings, ValkeySettings
from gateway.state.valkey.store import ValkeyState
from gateway.state.valkey.tls import context_of
from tests.engine import pki
from tests.engine.harness import until
from tests.valkey import Server
from tests.world import NOW


class Front(asyncio.Protocol):
    """Speaks TLS in front of a server that does not."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.before: list[bytes] = []
        self.behind: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.connecting = asyncio.get_running_loop().create_task(self.connect())

    async def connect(self) -> None:
        made = await asyncio.get_running_loop().create_unix_connection(lambda: Behind(self), self.server.address.host)
        self.behind = made[0]
        self.behind.writelines(self.before)

    def data_received(self, data: bytes) -> None:
        if self.behind is None:
            self.before.append(data)
        else:
            self.behind.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self.behind is not None:
            self.behind.abort()


class Behind(asyncio.Protocol):
    def __init__(self, front: Front) -> None:
        self.front = front

    def data_received(self, data: bytes) -> None:
        self.front.transport.write(data)


@pytest.mark.parametrize("name", ["localhost", "another.example"])
async def test_chain_and_name_are_verified(tmp_path: Path, server: Server, name: str) -> None:
    pki.write(tmp_path)
    context = pki.upstream_context(tmp_path)
    relayed = await asyncio.get_running_loop().create_server(lambda: Front(server), "127.0.0.1", 0, ssl=context)
    settings = ValkeySettings(
        (Endpoint("127.0.0.1", relayed.sockets[0].getsockname()[1]),), tls=True, ca=tmp_path / "operator-ca.pem",
        server_name=name, timeout=5.0,
    )  # fmt: skip
    state = ValkeyState("psp", StateSettings(1_000, store=settings), None, lambda: NOW)
    await state.start(20.0 if name == "localhost" else 0.0)
    if name == "localhost":
        assert state.connected
    else:
        await until(lambda: "not connected" not in state.because)
        assert "SSLCertVerificationError" in state.because or "certificate verify failed" in state.because.lower()
    await state.stop()
    relayed.close()
    await relayed.wait_closed()


def test_a_context_verifies_and_presents_what_the_policy_has(tmp_path: Path) -> None:
    pki.write(tmp_path)
    own = ClientCertificate(tmp_path / "gateway.pem", tmp_path / "gateway.key")
    context = context_of(ValkeySettings(ca=tmp_path / "operator-ca.pem", client=own))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    with pytest.raises(OSError, match="No such file"):
        context_of(ValkeySettings(ca=tmp_path / "nothing.pem"))
