"""User addons: mitmproxy scripts that `gateway run --addon` loads, and the calling of their hooks.

mitmproxy logs what a hook raises and goes on. Here whoever calls a hook is told what went wrong with it, a hook that
does not return in time included; so the addons stand beside mitmproxy's addon manager, not in it.
"""

import asyncio
import hashlib
import inspect
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from traceback import format_tb
from types import CodeType, ModuleType
from typing import Any

from mitmproxy.addonmanager import traverse
from mitmproxy.connection import Client
from mitmproxy.flow import Flow
from mitmproxy.hooks import ConfigureHook, all_hooks
from mitmproxy.master import Master

from gateway.core.exchange import failure
from gateway.core.reasons import Denied, Reason
from gateway.engine.start import StartError

logger = logging.getLogger(__name__)

HOOK_SECONDS = 5.0
"""Time that one hook of one addon has for what it waits for; callers and upstreams wait meanwhile."""

LIFECYCLE = ("load", "configure", "running", "done")
ON_REQUEST = ("requestheaders", "request")
CALLED = (*LIFECYCLE, "client_connected", "client_disconnected", *ON_REQUEST, "responseheaders", "response", "error")
"""The hooks that the gate calls."""


class AddonInvalid(StartError):  # noqa: N818 - like PolicyInvalid
    """An addon that cannot be loaded; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Part:
    """A script, or an addon that one names in its `addons`."""

    name: str
    """For records: `amount.py`, or `amount.py:Limit` for an object in its `addons`."""
    hooks: dict[str, Callable[..., Any]]

    @property
    def control(self) -> str:
        """Its name among the controls that a request passed."""
        return f"addon:{self.name}"


class UserAddons:
    """The user addons of one run of the gate, in the order of the command line.

    They are loaded once: neither a changed script nor a reload of the policy loads them anew.
    """

    def __init__(self, paths: Sequence[Path], master: Master, *, hook_seconds: float = HOOK_SECONDS) -> None:
        """Load the scripts. Raises AddonInvalid."""
        self.hook_seconds = hook_seconds
        self._running: set[asyncio.Task[BaseException | None]] = set()
        scripts = [_load(path) for path in paths]
        if len({module.__name__ for module, _ in scripts}) < len(scripts):
            raise AddonInvalid("two addons have scripts of the same name: records could not tell them apart")
        self.lines = tuple(f"addon {path} sha256:{digest}" for path, (_, digest) in zip(paths, scripts, strict=True))
        """For the record of the start: whose code is inline."""
        self.parts = tuple(
            part for path, (module, _) in zip(paths, scripts, strict=True) for part in _register(path, module, master)
        )

    def having(self, hook: str) -> list[Part]:
        """Give the addons that have a hook, in order."""
        return [part for part in self.parts if hook in part.hooks]

    async def call(self, part: Part, hook: str, *arguments: object) -> str | None:
        """Call one hook of one addon, and wait for it and for a flow that it intercepts; tell what went wrong.

        Whatever it raises is caught. A hook that does not return in time is left to itself.
        """
        error: BaseException | None
        try:
            result = part.hooks[hook](*arguments)
        except BaseException as raised:  # noqa: BLE001 - SystemExit must not end the gate
            error = raised
        else:
            intercepted = [one for one in arguments if isinstance(one, Flow) and one.intercepted]
            if not inspect.isawaitable(result) and not intercepted:
                return None
            task = asyncio.create_task(_settled(result, arguments))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            try:
                done, _ = await asyncio.wait((task,), timeout=self.hook_seconds)
            finally:
                task.cancel()
            if not done:
                logger.error("addon %s, %s: not done within %g s", part.name, hook, self.hook_seconds)
                return f"not done within {self.hook_seconds:g} s"
            error = asyncio.CancelledError() if task.cancelled() else task.result()
        if error is None:
            return None
        _log(part, hook, error)
        return failure(error).detail

    async def start(self) -> None:
        """Tell the addons that the gate is about to accept connections. Raises AddonInvalid."""
        for part in self.having("running"):
            try:
                result = part.hooks["running"]()
                if inspect.isawaitable(result):
                    await result
            except (Exception, SystemExit) as error:
                raise AddonInvalid(f"addon {part.name}, running: {_told(error)}") from error

    async def stop(self) -> None:
        """Tell the addons that the gate has stopped; what they raise is logged."""
        for part in self.having("done"):
            await self.call(part, "done")

    async def admit(self, client: Client) -> Denied | None:
        """Tell the addons of a new connection; gives why it must be closed, where one fails or refuses it."""
        for part in self.having("client_connected"):
            who = f"addon {part.name}, client_connected"
            wrong = await self.call(part, "client_connected", client)
            if wrong is not None:
                return Denied(Reason.CONTROL_FAILED, f"{who}: {wrong}")
            if client.error:
                return Denied(Reason.ADDON_DENIED, f"{who}: {client.error}")
        return None

    async def farewell(self, client: Client) -> None:
        """Tell the addons that a connection has ended."""
        for part in self.having("client_disconnected"):
            await self.call(part, "client_disconnected", client)


def _log(part: Part, hook: str, error: BaseException) -> None:
    """Tell the operator where a hook failed, without the error's own words: they may quote a body."""
    places = "".join(format_tb(error.__traceback__)).rstrip()
    logger.error("addon %s, %s: %s\n%s", part.name, hook, type(error).__name__, places)


async def _settled(result: object, arguments: tuple[object, ...]) -> BaseException | None:
    """Wait for what a hook left to be waited for; gives what it raised."""
    try:
        if inspect.isawaitable(result):
            await result
        for one in arguments:
            if isinstance(one, Flow):
                await one.wait_for_resume()
    except BaseException as error:  # noqa: BLE001 - a task that lets SystemExit out ends the gate
        return error
    return None


class _Loader(SourceFileLoader):
    """Runs the very bytes whose digest is recorded, never a compiled file that lies beside them."""

    def __init__(self, name: str, path: str, source: bytes) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, _fullname: str) -> CodeType:
        return self.source_to_code(self._source, self.path)


def _load(path: Path) -> tuple[ModuleType, str]:
    """Run a script, as mitmproxy does: its folder is importable meanwhile. Give the module and the script's SHA-256."""
    try:
        source = path.read_bytes()
    except OSError as error:
        raise AddonInvalid(f"addon {path}: {error.strerror or error}") from error
    name = f"__mitmproxy_script__.{path.stem}"
    loader = _Loader(name, str(path), source)
    spec = spec_from_loader(name, loader)
    if spec is None:
        raise RuntimeError("a loader without a spec")
    module = module_from_spec(spec)
    before = sys.path[:]
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise AddonInvalid(f"addon {_place(error, path)}: {_told(error)}") from error
    finally:
        sys.path[:] = before
    if not getattr(module, "name", None):
        vars(module)["name"] = str(path)  # by which mitmproxy finds it
    return module, hashlib.sha256(source).hexdigest()


def _register(path: Path, module: ModuleType, master: Master) -> list[Part]:
    """Have the script load and configure itself, and find its hooks."""
    try:
        # To mitmproxy it is an addon that another one manages: known by its name, and not called.
        master.addons.register(module)
        parts = [_part(path, module, one) for one in traverse([module])]
        master.addons.invoke_addon_sync(module, ConfigureHook(set(master.options.keys())))
    except AddonInvalid:
        raise
    except (Exception, SystemExit) as error:
        raise AddonInvalid(f"addon {_place(error, path)}: {_told(error)}") from error
    return parts


def _part(path: Path, module: ModuleType, one: object) -> Part:
    name = path.name if one is module else f"{path.name}:{getattr(one, 'name', type(one).__name__)}"
    hooks: dict[str, Callable[..., Any]] = {}
    for hook in all_hooks:
        function = getattr(one, hook, None)
        if function is None or isinstance(function, ModuleType):  # as of `from mitmproxy import log`
            continue
        if not callable(function):
            raise AddonInvalid(f"addon {name}: {hook} is the name of a hook, and no function")
        if hook not in CALLED:
            raise AddonInvalid(f"addon {name}: the gate never calls the hook {hook}; see docs/addons.md")
        hooks[hook] = function
    return Part(name, hooks)


def _place(error: BaseException, path: Path) -> str:
    """Give the last place in the script that led to an error."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{error.filename}:{error.lineno}"
    line, traceback = "", error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == str(path):
            line = f":{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return f"{path}{line}"


def _told(error: BaseException) -> str:
    words = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
