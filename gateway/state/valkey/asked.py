"""What is asked of a store: by a script, with one answer, whatever comes between."""

import asyncio
from typing import TYPE_CHECKING, Any

from libvalkey import ReplyError

from gateway.core.reasons import Reason, Unavailable
from gateway.state.valkey.circuit import kind_of_code
from gateway.state.valkey.node import Node, code
from gateway.state.valkey.script import Script, command
from gateway.state.valkey.wire import LostError, Reply

if TYPE_CHECKING:
    from gateway.state.valkey.places import Places

MOST_TRIES = 4
"""Times that one thing is sent at most. Only what a server says it has not done is sent again."""

_DISTRUSTED = frozenset({"READONLY", "MASTERDOWN", "LOADING", "CLUSTERDOWN", "NOAUTH"})
"""Codes of servers that cannot answer, but another one, or the same one soon, may."""


class Asked[T]:
    """One call of a script, and the future of its answer: `command` and `decode` are its own."""

    __slots__ = ("_places", "_slot", "_tries", "future", "script")

    def __init__(self, places: "Places", slot: int, script: Script) -> None:
        self._places = places
        self._slot = slot
        self._tries = 0
        self.script = script
        self.future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def command(self, run: bytes) -> bytes:
        """Give the command that calls the script on this run of a server."""
        raise NotImplementedError

    def decode(self, reply: Any) -> T:  # noqa: ANN401 - each script's own
        """Read the script's reply. Whatever this raises, there is no answer then."""
        raise NotImplementedError

    def go(self) -> asyncio.Future[T]:
        """Send it. Raises Unavailable where it is known that there will be no answer."""
        try:
            node = self._places.node(self._slot)
        except LostError as error:
            raise Unavailable(Reason.STATE_UNAVAILABLE, str(error), told=True) from None
        if not node.usable:
            raise Unavailable(Reason.STATE_UNAVAILABLE, f"{node}: {node.because}", told=True)
        self._tries += 1
        node.send(self)
        return self.future

    def again(self) -> None:
        """Send once more what was not carried out."""
        if self._tries >= MOST_TRIES:
            self._fail("it was sent on again and again")
            return
        try:
            self.go()
        except Unavailable as error:
            self.future.set_exception(error)

    def __call__(self, reply: Reply | Exception) -> None:
        """Take the reply."""
        if self.future.done():
            return
        if isinstance(reply, LostError):
            self._fail(str(reply), told=True)
        elif isinstance(reply, ReplyError):
            self._refused(reply)
        else:
            try:
                self.answered(reply)
            except Exception as error:  # noqa: BLE001 - whatever it is, there is no answer
                self._fail(f"{self.script.name}: an unexpected answer ({type(error).__name__})")

    def answered(self, reply: Reply | Exception) -> None:
        """Give the answer to whoever waits for it."""
        self.future.set_result(self.decode(reply))

    def _refused(self, error: ReplyError) -> None:
        said = str(error).split(" ")
        node = self._node()
        if said[0] == "NOSCRIPT" and node is not None and node.wire is not None:
            node.wire.send(self.script.load, _ignore)
            self.again()
        elif said[0] == "MOVED" and len(said) == 3:
            self._places.moved(int(said[1]), said[2])
            self.again()
        elif said[0] == "ASK" and len(said) == 3:
            self._ask_at(self._places.asked(said[2]))
        else:
            if node is not None and said[0] in _DISTRUSTED:
                node.distrust(f"it answers {said[0]}")
            elif node is not None:
                node.circuit.failed(kind_of_code(said[0]))
            self._fail(f"the store answered {code(error)}")

    def _ask_at(self, node: Node) -> None:
        """Ask the server that is taking the slot over."""
        if node.wire is None or self._tries >= MOST_TRIES:
            self._fail("its part of the Cluster is being moved")
            return
        self._tries += 1
        node.wire.send(command(b"ASKING"), _ignore)
        node.send(self)

    def _node(self) -> Node | None:
        try:
            return self._places.node(self._slot)
        except LostError:
            return None

    def _fail(self, because: str, *, told: bool = False) -> None:
        self.future.set_exception(Unavailable(Reason.STATE_UNAVAILABLE, because, told=told))


def _ignore(reply: Reply | Exception) -> None:
    """Take a reply that nothing follows from."""
