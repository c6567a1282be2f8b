"""The layers of one client connection without sockets: bytes and events in, bytes and commands out."""

from functools import cache
from types import SimpleNamespace
from typing import Any, cast

from mitmproxy import options
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Client, ConnectionState, Server
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import Layer
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._hooks import HttpRequestHeadersHook, HttpRequestHook

from gateway.engine.addon import CoreAddon
from gateway.engine.connection import Connection
from gateway.engine.deadlines import DeadlinePassed, Deadlines, Key
from gateway.engine.layers import GateHttpLayer
from tests import world
from tests.unit.engine.gates import ByHand, Made
from tests.unit.engine.loops import Loop


@cache
def all_options() -> options.Options:
    """Give mitmproxy's options, those of its server included."""
    made = options.Options()
    Proxyserver().load(cast("Any", SimpleNamespace(add_option=made.add_option)))
    return made


class Wire:
    """One layer, and what it sends, hands on and closes. The hooks are the core's, at once."""

    def __init__(self, made: Made | None = None, *, alpn: bytes = b"http/1.1") -> None:
        self.made = made or Made()
        self.made.gate.commit = ByHand(self.made.gate.log)
        self.loop = Loop()
        self.connection = Connection(self.made.gate, world.peer(), Deadlines(cast("Any", self.loop), self.deadline))
        self.client = Client(
            peername=("198.51.100.7", 50_000), sockname=("127.0.0.1", 8443), timestamp_start=0.0,
            state=ConnectionState.OPEN, alpn=alpn,
        )  # fmt: skip
        self.context = Context(self.client, all_options())
        self.layer: Layer = GateHttpLayer(self.context, self.connection)
        self.addon: Any = CoreAddon()
        self.handed_on: list[Any] = []
        """Events for the streams, where the layer has none."""
        self.opening: list[commands.OpenConnection] = []
        """Upstream connections that are waited for."""
        self.hooks: list[commands.StartHook] = []
        """Hooks that are waited for, where `holds_hooks`."""
        self.holds_hooks = False
        self._sent: dict[Any, bytes] = {}

    def start(self) -> "Wire":
        """Start the layer."""
        self.feed(events.Start())
        return self

    # what comes in

    def feed(self, event: events.Event) -> None:
        """Give the layer an event, and do what it commands."""
        for command in self.layer.handle_event(event):
            self._do(command)
        self.made.turn()

    def receive(self, data: bytes, of: Client | Server | None = None) -> None:
        """Let bytes come, from the client unless another is named."""
        self.feed(events.DataReceived(of or self.client, data))

    def leave(self, who: Client | Server | None = None) -> None:
        """Let one side close its connection: the client unless another is named."""
        who = who or self.client
        who.state = ConnectionState.CLOSED
        self.feed(events.ConnectionClosed(who))

    def deadline(self, key: Key) -> None:
        """Let a deadline pass."""
        self.feed(DeadlinePassed(key))

    def open(self, error: str | None = None) -> Server:
        """Let the next upstream connection be open, or fail."""
        command = self.opening.pop(0)
        server = command.connection
        server.state = ConnectionState.CLOSED if error else ConnectionState.OPEN
        server.error = error
        self.feed(events.OpenConnectionCompleted(command, error))
        return server

    def go_on(self) -> None:
        """Let the next hook be done."""
        self.feed(events.HookCompleted(self._run(self.hooks.pop(0))))

    # what goes out

    def sent(self, to: Client | Server | None = None) -> bytes:
        """Give what was sent since the last call, to the client unless another is named."""
        return self._sent.pop(to or self.client, b"")

    def closed(self, who: Client | Server | None = None) -> bool:
        """Whether the layer closed a connection, the client's unless another is named."""
        return (who or self.client).state is ConnectionState.CLOSED

    def _do(self, command: commands.Command) -> None:
        if isinstance(command, commands.SendData):
            assert command.connection.state is ConnectionState.OPEN, "sent on a connection that is closed"
            self._sent[command.connection] = self._sent.get(command.connection, b"") + command.data
        elif isinstance(command, commands.CloseConnection):
            command.connection.state = ConnectionState.CLOSED
        elif isinstance(command, commands.OpenConnection):
            self.opening.append(command)
        elif isinstance(command, ReceiveHttp):
            self.handed_on.append(command.event)
        elif isinstance(command, commands.StartHook):
            self.hooks.append(command)
            if not self.holds_hooks:
                self.go_on()
        else:
            assert not command.blocking, command

    def _run(self, hook: commands.StartHook) -> commands.StartHook:
        if isinstance(hook, HttpRequestHeadersHook):
            _at_once(self.addon.requestheaders(hook.flow))
        elif isinstance(hook, HttpRequestHook):
            _at_once(self.addon.request(hook.flow))
        return hook


def _at_once(coroutine: Any) -> None:
    """Run what waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    except Exception:  # noqa: BLE001 - mitmproxy logs what an addon raises, and goes on
        return
    raise AssertionError("a hook that waits")
