"""The addon trap: mitmproxy swallows what a hook raises and goes on; the gate denies."""

from collections.abc import Callable

import pytest

from gateway.core.reasons import Reason
from gateway.engine.addon import CoreAddon
from tests.engine.harness import Running, get, request
from tests.engine.http2 import Http2Client

pytestmark = pytest.mark.layers


class HookError(Exception):
    """Raised in a hook; its words are a secret."""


async def raises(*_: object) -> None:
    raise HookError("secret-7f3a")


async def raises_after(self: CoreAddon, flow: object, *, hook: Callable[..., object]) -> None:
    await hook(self, flow)  # type: ignore[misc]
    raise HookError("secret-7f3a")


@pytest.mark.parametrize("hook", ["requestheaders", "request"])
@pytest.mark.parametrize("protocol", ["1.1", "2"])
async def test_a_hook_that_raises_denies(
    up: Running, monkeypatch: pytest.MonkeyPatch, hook: str, protocol: str
) -> None:
    monkeypatch.setattr(CoreAddon, hook, raises)

    if protocol == "1.1":
        response = await up.send(request())
    else:
        async with Http2Client(up) as client:
            response = await client.answer(client.post())

    assert (response.status, response.code) == (503, "gate.control_failed")
    assert up.decided == [Reason.CONTROL_FAILED]
    assert up.upstream.untouched
    assert b"secret-7f3a" not in response.body


async def test_a_hook_that_does_nothing_denies(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def idle(*_: object) -> None:
        pass

    monkeypatch.setattr(CoreAddon, "requestheaders", idle)
    monkeypatch.setattr(CoreAddon, "request", idle)

    assert (await up.send(request())).status == 503
    assert (await up.send(get())).status == 503
    assert up.upstream.untouched


async def test_a_hook_that_is_not_there_denies(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(CoreAddon, "requestheaders")
    monkeypatch.delattr(CoreAddon, "request")

    assert (await up.send(request())).status == 503
    assert up.upstream.untouched


async def test_an_addon_that_is_gone_denies(up: Running) -> None:
    up.master.addons.remove(up.master.addons.get("coreaddon"))

    assert (await up.send(request())).status == 503
    assert up.upstream.untouched


async def test_another_addon_cannot_answer_in_the_gates_place(up: Running) -> None:
    from mitmproxy import http  # noqa: PLC0415 - for this alone

    class Meddler:
        """Answers, and changes the request, as addons may."""

        def requestheaders(self, flow: http.HTTPFlow) -> None:
            flow.response = http.Response.make(200, b"forged")

        def request(self, flow: http.HTTPFlow) -> None:
            flow.response = http.Response.make(200, b"forged")
            flow.request.headers["x-gateway-partner"] = "blue-bingo"
            flow.request.path = "/v1/admin"

    up.master.addons.add(Meddler())

    assert (await up.send(get(authorization=None))).code == "token.missing"
    assert up.upstream.untouched
    response = await up.send(request())
    assert (response.status, response.body) == (200, b'{"status":"ok"}')
    assert up.upstream.heads[0].startswith(b"POST /v1/deposits HTTP/1.1\r\n")
    assert dict(up.upstream.fields())["x-gateway-partner"] == "acme-casino"


async def test_another_addon_that_raises_changes_nothing(up: Running) -> None:
    class Failing:
        """Raises in every hook."""

        requestheaders = request = raises

    up.master.addons.add(Failing())

    assert (await up.send(get(authorization=None))).status == 401
    assert (await up.send(request())).status == 200


async def test_the_next_request_is_served_once_the_hook_works(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(CoreAddon, "requestheaders", raises)
        assert (await up.send(get())).status == 503

    assert (await up.send(get())).status == 200
    told = [
        (record["metadata"]["event_code"], record["unmapped"]["control"])
        for record in up.records()
        if "control" in record["unmapped"]
    ]
    assert told == [("control.failed", "engine"), ("control.recovered", "engine")]
