"""Faults before a request is read: the connection is closed and recorded, and the listener goes on."""

from typing import Any, Never

import pytest

from gateway.core.reasons import Reason
from gateway.engine import listener as listener_module
from gateway.engine import mode as mode_module
from gateway.engine import tls as tls_module
from gateway.engine.connection import GateConnectionHandler
from gateway.engine.tls import ServerContext
from tests.engine.harness import Running, get, read_to_end


def raises(*_: object, **__: object) -> Never:
    raise ZeroDivisionError("secret-7f3a")


def invalid(*_: object, **__: object) -> Never:
    raise ValueError("a serial number of 40 bytes")


async def refused(up: Running) -> bytes:
    """Connect, send a request, and give what comes back."""
    try:
        reader, writer = await up.connect()
    except ConnectionError:
        return b""
    writer.write(get())
    return await read_to_end(reader)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (ServerContext, "facts"),
        (ServerContext, "chain"),
        (tls_module, "_read"),
        (tls_module, "_verified_chain"),
        (listener_module, "Standing"),
        (listener_module, "Peer"),
    ],
    ids=lambda one: getattr(one, "__name__", one),
)
async def test_facts_that_cannot_be_read(up: Running, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, raises)
        assert await refused(up) == b""
        await up.until_refused()

    assert up.refused == [Reason.CONTROL_FAILED]
    assert "secret-7f3a" not in up.records("connection")[0]["status_detail"]
    assert up.upstream.untouched
    assert (await up.send(get())).status == 200


async def test_a_certificate_that_cannot_be_read(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(tls_module.Chain, "read", invalid)
        assert await refused(up) == b""
        await up.until_refused()

    assert up.refused == [Reason.TLS_CERTIFICATE_INVALID]
    assert up.upstream.untouched


@pytest.mark.layers
@pytest.mark.parametrize(
    ("owner", "name"),
    [(GateConnectionHandler, "__init__"), (mode_module, "GateHttpLayer"), (GateConnectionHandler, "serve")],
    ids=lambda one: getattr(one, "__name__", one),
)
async def test_a_connection_that_cannot_be_served(
    up: Running, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, raises)
        assert await refused(up) == b""

    assert up.upstream.untouched
    assert not up.master.handlers
    assert (await up.send(get())).status == 200
