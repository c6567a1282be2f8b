"""A policy that raises while it is asked denies; one that fails after the allow ends the connection."""

from dataclasses import replace
from typing import Never

import pytest

from gateway.core import exchange as exchange_module
from gateway.core.policy import Policy
from gateway.core.reasons import Reason
from gateway.engine import gate as gate_module
from tests.engine.harness import Running, read_to_end, request
from tests.engine.http2 import Http2Client


def raises(*_: object) -> Never:
    raise ZeroDivisionError("secret-7f3a")


@pytest.mark.parametrize(
    ("owner", "name", "control"),
    [
        (Policy, "route_for", "policy"),
        (exchange_module, "client_address", "policy"),
        (Policy, "partners_of", "mutual_tls"),
        (exchange_module.Exchange, "allow", "policy"),
        (exchange_module.Exchange, "identify", "mutual_tls"),
    ],
)
@pytest.mark.parametrize("protocol", ["1.1", "2"])
async def test_whatever_the_policy_raises_denies(
    up: Running, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, control: str, protocol: str
) -> None:
    monkeypatch.setattr(owner, name, raises)

    if protocol == "1.1":
        response = await up.send(request())
    else:
        async with Http2Client(up) as client:
            response = await client.answer(client.post())

    assert (response.status, response.code) == (503, "gate.control_failed")
    assert up.decided == [Reason.CONTROL_FAILED]
    assert up.records("control.failed")[0]["unmapped"]["control"] == control
    assert up.upstream.untouched


async def test_a_policy_that_lost_the_listener_denies(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await up.connect()
    compiled = up.gate.in_force.policy
    monkeypatch.setattr(up.gate, "in_force", replace(up.gate.in_force, policy=replace(compiled, listeners={})))

    client[1].write(request())
    received = await read_to_end(client[0])

    assert b" 200 " not in received
    assert up.upstream.untouched


async def test_what_fails_after_the_allow_sends_nothing_and_is_recorded(
    up: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    for written in ("upstream_fields", "upstream_lines"):  # the one by mitmproxy's layers, the other by the data path
        monkeypatch.setattr(gate_module, written, raises)
    reader, writer = await up.connect()
    writer.write(request())

    assert await read_to_end(reader) == b""

    assert (up.decided, up.finished) == ([Reason.ALLOWED], [Reason.CONTROL_FAILED])
    assert up.upstream.untouched


async def test_a_core_that_raises(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "decide", raises)

    response = await up.send(request())

    assert (response.status, response.code) == (503, "gate.control_failed")
    assert up.upstream.untouched


async def test_a_core_that_raises_for_what_is_no_request(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "refuse", raises)

    response = await up.send(b"no request\r\n\r\n")

    assert (response.status, response.code) == (503, "gate.control_failed")
    assert up.upstream.untouched
