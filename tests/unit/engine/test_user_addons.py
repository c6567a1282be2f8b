import asyncio
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mitmproxy import options
from mitmproxy.connection import Client, Server
from mitmproxy.http import HTTPFlow
from mitmproxy.master import Master

from gateway.core.reasons import Reason
from gateway.engine.start import StartError
from gateway.engine.user_addons import AddonInvalid, Part, UserAddons
from tests.engine.harness import until


@pytest.fixture
async def master() -> Master:
    made = Master(options.Options(), asyncio.get_running_loop())
    made._legacy_log_events.uninstall()
    return made


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    modules, path = set(sys.modules), sys.path[:]
    yield
    assert sys.path == path
    for name in set(sys.modules) - modules:
        if name.startswith("__mitmproxy_script__"):
            del sys.modules[name]


def write(directory: Path, text: str, name: str = "addon.py") -> Path:
    path = directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def only(addons: UserAddons, hook: str) -> Part:
    (part,) = addons.having(hook)
    return part


def client() -> Client:
    return Client(peername=("198.51.100.7", 50_000), sockname=("127.0.0.1", 8443))


# Loading


async def test_hooks_of_a_module_and_of_its_addons_are_found_in_order(tmp_path: Path, master: Master) -> None:
    text = """
class Limit:
    def request(self, flow): pass
class Named:
    name = "second"
    def request(self, flow): pass
    addons = [Limit()]
def request(flow): pass
def response(flow): pass
addons = [Named()]
"""
    addons = UserAddons([write(tmp_path, text)], master)
    assert [part.name for part in addons.having("request")] == ["addon.py", "addon.py:second", "addon.py:Limit"]
    assert [part.control for part in addons.having("response")] == ["addon:addon.py"]
    assert addons.having("error") == []
    assert master.addons.get("second") is not None


async def test_scripts_keep_the_order_of_the_command_line(tmp_path: Path, master: Master) -> None:
    paths = [write(tmp_path, "def request(flow): pass", name) for name in ("b.py", "a.py")]
    assert [part.name for part in UserAddons(paths, master).having("request")] == ["b.py", "a.py"]


async def test_the_digest_is_that_of_the_bytes_that_run(tmp_path: Path, master: Master) -> None:
    path = write(tmp_path, "def request(flow): pass")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert UserAddons([path], master).lines == (f"addon {path} sha256:{digest}",)
    assert not (tmp_path / "__pycache__").exists()


async def test_a_script_may_import_what_lies_beside_it(tmp_path: Path, master: Master) -> None:
    write(tmp_path, "LIMIT = 7", "beside_7f3a.py")
    text = "from __future__ import annotations\nimport beside_7f3a\nfrom dataclasses import dataclass, field\n"
    text += "@dataclass\nclass One:\n    a: int = field(default=beside_7f3a.LIMIT)\ndef request(flow): return One().a\n"
    UserAddons([write(tmp_path, text)], master)
    del sys.modules["beside_7f3a"]


async def test_load_and_configure_are_called_and_options_are_there(tmp_path: Path, master: Master) -> None:
    text = """
from mitmproxy import ctx
seen = []
def load(loader):
    loader.add_option("limit", int, 7, "The limit.")
def configure(updated):
    seen.append(("limit" in updated, ctx.options.limit))
"""
    addons = UserAddons([write(tmp_path, text)], master)
    assert addons.parts[0].hooks["configure"].__globals__["seen"] == [(True, 7)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def request(flow):\n    return (", r"addon .*addon\.py:2: SyntaxError: '\(' was never closed"),
        ("import os\n1 / 0\n", r"addon .*addon\.py:2: ZeroDivisionError: division by zero"),
        ("\n\nimport nothing_7f3a\n", r"addon .*addon\.py:3: ModuleNotFoundError: No module named 'nothing_7f3a'"),
        ("import sys\nsys.exit(0)\n", r"addon .*addon\.py:2: SystemExit: 0"),
        ("import json\njson.loads('')\n", r"addon .*addon\.py:2: JSONDecodeError: "),
        ("raise AssertionError\n", r"addon .*addon\.py:1: AssertionError$"),
        ("def load(loader):\n    1 / 0\n", r"addon .*addon\.py:2: ZeroDivisionError: "),
        ("def configure(updated):\n    raise KeyError(1)\n", r"addon .*addon\.py:2: KeyError: 1"),
        ("async def load(loader): pass\n", r"addon .*addon\.py: AddonManagerError: Async handler load"),
        ("class Core: pass\naddons = [Core(), Core()]\n", None),
        ("def tcp_message(flow): pass\n", r"addon addon\.py: the gate never calls the hook tcp_message"),
        ("def server_connect(data): pass\n", "the gate never calls the hook server_connect"),
        (
            "class A:\n    def websocket_message(self, flow): pass\naddons = [A()]\n",
            r"addon addon\.py:A: the gate never",
        ),
        ("request = 7\n", r"addon addon\.py: request is the name of a hook, and no function"),
        ("x = '\0'\n", r"addon .*addon\.py.*: SyntaxError: "),
    ],
)
async def test_a_script_that_cannot_be_loaded_is_told_of_with_its_place(
    tmp_path: Path, master: Master, text: str, words: str | None
) -> None:
    path = write(tmp_path, text)
    if words is None:  # the same name twice is mitmproxy's to refuse, once it is known
        UserAddons([path], master)
        with pytest.raises(AddonInvalid, match="already exists"):
            UserAddons([path], master)
        return
    with pytest.raises(AddonInvalid, match=words) as caught:
        UserAddons([path], master)
    assert isinstance(caught.value, StartError)


@pytest.mark.parametrize("text", ["from mitmproxy import tcp, log\n", "from mitmproxy import log as error\n"])
async def test_a_module_with_the_name_of_a_hook_is_no_hook(tmp_path: Path, master: Master, text: str) -> None:
    assert UserAddons([write(tmp_path, text)], master).parts[0].hooks == {}


async def test_a_script_that_is_not_there(tmp_path: Path, master: Master) -> None:
    with pytest.raises(AddonInvalid, match=r"addon .*gone\.py: No such file"):
        UserAddons([tmp_path / "gone.py"], master)


async def test_two_scripts_of_one_name_are_refused(tmp_path: Path, master: Master) -> None:
    paths = [write(tmp_path / folder, "", "limit.py") for folder in ("a", "b")]
    with pytest.raises(AddonInvalid, match="scripts of the same name"):
        UserAddons(paths, master)


# Start and stop


@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_start_and_stop_are_told(tmp_path: Path, master: Master, kind: str) -> None:
    text = f"seen = []\n{kind} running(): seen.append(1)\n{kind} done(): seen.append(2)\n"
    addons = UserAddons([write(tmp_path, text)], master)
    await addons.start()
    await addons.stop()
    assert only(addons, "done").hooks["done"].__globals__["seen"] == [1, 2]


@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_an_addon_that_fails_at_the_start_stops_it(tmp_path: Path, master: Master, kind: str) -> None:
    addons = UserAddons([write(tmp_path, f"{kind} running():\n    raise OSError('no model')\n")], master)
    with pytest.raises(AddonInvalid, match=r"addon addon\.py, running: OSError: no model"):
        await addons.start()


async def test_an_addon_that_fails_at_the_end_stops_nothing(
    tmp_path: Path, master: Master, caplog: pytest.LogCaptureFixture
) -> None:
    paths = [write(tmp_path, "seen = []\ndef done():\n    seen.append(1)\n    raise OSError", f"{n}.py") for n in "ab"]
    addons = UserAddons(paths, master)
    await addons.stop()
    assert [part.hooks["done"].__globals__["seen"] for part in addons.parts] == [[1], [1]]
    assert any("addon a.py, done: OSError" in message for message in caplog.messages)


# Calling


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("def error(flow): return 7", None),
        ("async def error(flow): pass", None),
        ("def error(flow): raise OSError('x')", "OSError at error (addon.py:1)"),
        ("async def error(flow): raise SystemExit", "SystemExit at error (addon.py:1)"),
        ("def error(): pass", "TypeError at UserAddons.call"),
        ("import asyncio\nasync def error(flow): await asyncio.Event().wait()", "not done within 0.01 s"),
        ("import asyncio\nasync def error(flow): asyncio.current_task().cancel()", "CancelledError"),
        ("import asyncio\ndef error(flow): return asyncio.get_running_loop().create_future()", "not done within"),
    ],
)
async def test_what_went_wrong_with_a_hook_is_told(
    tmp_path: Path, master: Master, text: str, wrong: str | None
) -> None:
    addons = UserAddons([write(tmp_path, text)], master, hook_seconds=0.01)
    told = await addons.call(only(addons, "error"), "error", None)
    assert told is None if wrong is None else (told or "").startswith(wrong)


async def test_a_call_that_is_cancelled_takes_its_hook_along(tmp_path: Path, master: Master) -> None:
    text = """
import asyncio
seen = []
async def error(flow):
    seen.append(1)
    try:
        await asyncio.Event().wait()
    finally:
        seen.append(2)
"""
    addons = UserAddons([write(tmp_path, text)], master)
    part = only(addons, "error")
    seen = part.hooks["error"].__globals__["seen"]
    calling = asyncio.create_task(addons.call(part, "error", None))
    await until(lambda: seen)
    calling.cancel()
    await asyncio.wait((calling,))
    await until(lambda: len(seen) == 2)
    assert calling.cancelled()


# Connections


@pytest.mark.parametrize(
    ("text", "reason", "words"),
    [
        ("client.error = 'no'", Reason.ADDON_DENIED, "addon addon.py, client_connected: no"),
        ("1 / 0", Reason.CONTROL_FAILED, "addon addon.py, client_connected: ZeroDivisionError at client_connected"),
    ],
)
async def test_a_connection_may_be_refused(
    tmp_path: Path, master: Master, text: str, reason: Reason, words: str
) -> None:
    first = write(tmp_path, f"def client_connected(client): {text}")
    second = write(tmp_path, "seen = []\ndef client_connected(client): seen.append(1)", "second.py")
    addons = UserAddons([first, second], master)
    denied = await addons.admit(client())
    assert denied is not None
    assert denied.reason is reason
    assert denied.detail.startswith(words)
    assert addons.parts[1].hooks["client_connected"].__globals__["seen"] == []


async def test_a_connection_that_nobody_minds_is_admitted(tmp_path: Path, master: Master) -> None:
    text = (
        "seen = []\ndef client_connected(client): seen.append(client.peername)\nclient_disconnected = client_connected"
    )
    addons = UserAddons([write(tmp_path, text)], master)
    assert await addons.admit(client()) is None
    await addons.farewell(client())
    assert only(addons, "client_connected").hooks["client_connected"].__globals__["seen"] == [client().peername] * 2


async def test_a_hook_in_a_thread_is_waited_for(tmp_path: Path, master: Master) -> None:
    text = """
import threading
from mitmproxy.script import concurrent
seen = []
@concurrent
def error(flow):
    seen.append(threading.current_thread() is threading.main_thread())
"""
    addons = UserAddons([write(tmp_path, text)], master)
    flow = HTTPFlow(client(), Server(address=None))
    assert await addons.call(only(addons, "error"), "error", flow) is None
    (script,) = [part for name, part in sys.modules.items() if name == "__mitmproxy_script__.addon"]
    assert script.seen == [False]
