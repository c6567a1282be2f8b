"""User addons that fail: whatever they raise, and however long they take, the request is denied and recorded."""

import asyncio
from pathlib import Path

import pytest

from gateway.core.reasons import Reason
from gateway.engine.user_addons import UserAddons
from gateway.engine.user_flows import AddonFlow
from tests.engine.addons import PROTOCOLS, detail, hurry, post, scope, script
from tests.engine.harness import SOON, Running, get, read_to_end, running, until

pytestmark = pytest.mark.layers

each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)
each_hook = pytest.mark.parametrize("hook", ["requestheaders", "request"])

SECRET = "secret-7f3a"


def failed(up: Running, words: str, hook: str) -> None:
    """Check that the request was denied because a hook failed, and that the log says so."""
    assert (up.decided, up.upstream.untouched) == ([Reason.CONTROL_FAILED], True)
    assert detail(up) == f"addon addon.py, {hook}: {words}"
    assert up.records("decision")[0]["unmapped"]["denied_by"] == f"addon:addon.py {hook}"
    assert up.records("control.failed")[0]["unmapped"]["control"] == f"addon:addon.py {hook}"


@pytest.mark.parametrize(
    "error",
    ["ZeroDivisionError", "SystemExit", "KeyboardInterrupt", "GeneratorExit", "RecursionError", "CancelledError"],
)
@pytest.mark.parametrize("kind", ["def", "async def"])
@each_protocol
async def test_whatever_a_hook_raises(
    tmp_path: Path, protocol: str, kind: str, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    text = f"""
        from asyncio import CancelledError
        {kind} request(flow):
            raise {error}("-".join(["secret", "7f3a"]))
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        response = await post(up, protocol)

        assert (response.status, response.code) == (503, "gate.control_failed")
        failed(up, f"{error} at request (addon.py:6)", "request")
        written = b"".join(file.read_bytes() for file in up.log.directory.glob("*.jsonl"))
        assert SECRET.encode() not in response.body + written
        assert SECRET not in "".join(record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("error", ["AddonHalt", "OptionsError"])
async def test_what_mitmproxy_takes_for_a_wish(tmp_path: Path, error: str) -> None:
    text = f"""
        from mitmproxy import exceptions
        def request(flow):
            raise exceptions.{error}
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        assert (await up.send(get())).status == 503
        failed(up, f"{error} at request (addon.py:6)", "request")


@each_hook
@each_protocol
async def test_a_hook_that_never_returns(tmp_path: Path, protocol: str, hook: str) -> None:
    text = f"""
        import asyncio
        async def {hook}(flow):
            await asyncio.Event().wait()
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        hurry(up, SOON)
        assert (await post(up, protocol)).code == "gate.control_failed"
        failed(up, "not done within 0.01 s", hook)


async def test_a_hook_that_does_not_let_itself_be_ended(tmp_path: Path) -> None:
    text = """
        import asyncio
        go_on = asyncio.Event()
        async def request(flow):
            while not go_on.is_set():
                try:
                    await go_on.wait()
                except asyncio.CancelledError:
                    pass
            flow.request.path = "/v1/forged"
            seen.append(flow)
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        hurry(up, SOON)
        assert (await up.send(get())).code == "gate.control_failed"
        failed(up, "not done within 0.01 s", "request")
        scope(up)["go_on"].set()
        await until(lambda: scope(up)["seen"])
        assert up.upstream.untouched


async def test_a_flow_that_is_intercepted_and_not_resumed(tmp_path: Path) -> None:
    async with running(tmp_path, addons=[script(tmp_path, "def request(flow): flow.intercept()")]) as up:
        hurry(up, SOON)
        assert (await up.send(get())).code == "gate.control_failed"
        failed(up, "not done within 0.01 s", "request")


async def test_a_flow_that_is_intercepted_and_resumed(tmp_path: Path) -> None:
    text = """
        import asyncio
        def request(flow):
            flow.intercept()
            asyncio.get_running_loop().call_soon(flow.resume)
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        assert (await up.send(get())).status == 200


@each_protocol
async def test_a_client_that_leaves_while_an_addon_thinks(tmp_path: Path, protocol: str) -> None:
    text = """
        import asyncio
        go_on = asyncio.Event()
        async def request(flow):
            seen.append(flow)
            await go_on.wait()
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        sending = asyncio.create_task(post(up, protocol))
        await until(lambda: scope(up)["seen"])
        sending.cancel()
        await asyncio.wait((sending,))
        for writer in up.writers:
            writer.close()
        await until(lambda: not next(iter(up.master.handlers)).client.connected)  # type: ignore[union-attr]
        scope(up)["go_on"].set()

        await up.until_decided()

        assert (up.decided, up.upstream.untouched) == ([Reason.CLIENT_CLOSED], True)


async def test_an_addon_that_works_again_is_recorded(tmp_path: Path) -> None:
    text = """
        def request(flow):
            seen.append(1 / len(seen))
        def responseheaders(flow):
            pass
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        assert (await up.send(get())).status == 503
        scope(up)["seen"].append(1)
        assert (await up.send(get())).status == 200
        assert (await up.send(get())).status == 200

        told = [
            (record["metadata"]["event_code"], record["unmapped"]["control"])
            for record in up.records()
            if "control" in record["unmapped"]
        ]
        assert told == [(f"control.{what}", "addon:addon.py request") for what in ("failed", "recovered")]


# The gate's own part


async def broken(*_: object) -> None:
    raise ZeroDivisionError(SECRET)


async def idle(*_: object) -> None:
    pass


@pytest.mark.parametrize("replacement", [broken, idle])
@each_protocol
async def test_addons_that_were_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str, replacement: object
) -> None:
    async with running(tmp_path, addons=[script(tmp_path, "def request(flow): pass")]) as up:
        with monkeypatch.context() as patched:
            patched.setattr(AddonFlow, "ask", replacement)
            assert (await post(up, protocol)).code == "gate.control_failed"
        assert (up.decided, up.upstream.untouched) == ([Reason.CONTROL_FAILED], True)
        assert detail(up) == "the addons were not called"


@pytest.mark.parametrize("replacement", [broken, idle])
@each_protocol
async def test_addons_that_were_not_asked_about_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str, replacement: object
) -> None:
    async with running(tmp_path, addons=[script(tmp_path, "def request(flow): pass")]) as up:
        with monkeypatch.context() as patched:
            patched.setattr(AddonFlow, "ask_about_answer", replacement)
            assert (await post(up, protocol)).code == "addon.withheld"
            await up.until_finished()
        assert up.finished == [Reason.ADDON_WITHHELD]


async def test_a_flow_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError(SECRET)

    async with running(tmp_path, addons=[script(tmp_path, "def request(flow): pass")]) as up:
        monkeypatch.setattr(AddonFlow, "__init__", fails)
        reader, writer = await up.connect()
        writer.write(get())
        assert await read_to_end(reader) == b""
        assert (up.decided, up.upstream.untouched) == ([Reason.CONTROL_FAILED], True)


# Connections


@pytest.mark.parametrize("fault", ["addon", "gate"])
async def test_a_connection_that_an_addon_fails_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    text = "def client_connected(client): raise ZeroDivisionError" if fault == "addon" else ""
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        if fault == "gate":
            monkeypatch.setattr(UserAddons, "admit", broken)
        reader, writer = await up.connect()
        writer.write(get())
        assert await reader.read() == b""
        await up.until_refused()
        assert (up.refused, up.upstream.untouched) == ([Reason.CONTROL_FAILED], True)
        assert SECRET not in detail(up, "connection")


async def test_an_addon_that_fails_on_a_connections_end(tmp_path: Path) -> None:
    async with running(tmp_path, addons=[script(tmp_path, "def client_disconnected(client): raise OSError")]) as up:
        assert (await up.send(get())).status == 200
        await until(lambda: not up.master.handlers)
        assert (await up.send(get())).status == 200
