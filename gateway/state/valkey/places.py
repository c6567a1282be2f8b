"""Which server holds what: one server, the primary that Sentinels name, or the parts of a Cluster."""

import asyncio
from binascii import crc_hqx
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

from gateway.state.valkey.circuit import TIMEOUT
from gateway.state.valkey.node import Access, Address, Node, connect, text
from gateway.state.valkey.script import command
from gateway.state.valkey.wire import LostError, Reply

SLOTS = 16_384
"""Of a Cluster."""

FRESH_SECONDS = 0.25
"""Time for which what a Cluster said of its slots is not asked again."""

type MakeNode = Callable[[str, Callable[[], Awaitable[Address]]], Node]
"""Makes a node of a name, and of what says where it is."""


def slot(tag: bytes) -> int:
    """Give the slot of all keys with a hash tag."""
    return crc_hqx(tag, 0) % SLOTS


class Places(Protocol):
    """Where each slot is held."""

    @property
    def nodes(self) -> Sequence[Node]:
        """Every server that is kept connected."""
        ...

    def node(self, slot: int) -> Node:
        """Give the server that holds a slot. Raises LostError where none is known."""
        ...

    def moved(self, slot: int, to: str) -> None:
        """Take note that a server named another one for a slot, as `host:port`."""
        ...

    def asked(self, to: str) -> Node:
        """Give the server at `host:port`, which takes over a slot just now."""
        ...

    async def start(self) -> None:
        """Begin to connect; does not wait for it."""
        ...

    async def close(self) -> None:
        """Let go of all servers."""
        ...


class Single:
    """One server, wherever `locate` finds it."""

    def __init__(self, make: MakeNode, name: str, locate: Callable[[], Awaitable[Address]]) -> None:
        self._node = make(name, locate)
        self.nodes = (self._node,)

    def node(self, slot: int) -> Node:
        """Give the one."""
        del slot
        return self._node

    def moved(self, slot: int, to: str) -> None:
        """Refuse: what says this is part of a Cluster."""
        del slot, to
        self._node.distrust("it is part of a Cluster: write `layout: cluster`")

    def asked(self, to: str) -> Node:
        """Refuse likewise."""
        self.moved(0, to)
        return self._node

    async def start(self) -> None:
        """Begin to connect."""
        self._node.start()

    async def close(self) -> None:
        """Let go of it."""
        await self._node.close()


def fixed(address: Address) -> Callable[[], Awaitable[Address]]:
    """Locate a server that stays where it is."""

    async def locate() -> Address:
        return address

    return locate


class Sentinels:
    """Locate the primary of a service, by the first Sentinel that knows it."""

    def __init__(self, addresses: Sequence[Address], service: str, access: Access) -> None:
        self._addresses = list(addresses)
        self._command = command(b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service.encode())
        self._access = access._replace(database=0)

    async def __call__(self) -> Address:
        """Ask them. Raises LostError where none knows it."""
        why = LostError("no Sentinel is configured")
        for address in list(self._addresses):
            try:
                found = await _once(address, self._access, self._command)
            except (OSError, ValueError) as error:
                why = LostError(f"Sentinel {address}: {error}")
                continue
            match found:
                case [bytes(host), bytes(port)] if port.isdigit():
                    # The one that knew goes first the next time.
                    self._addresses.sort(key=lambda each: each != address)
                    return Address(host.decode(), int(port))
            why = LostError(f"Sentinel {address} does not know the service")
        raise why


class Cluster:
    """Several servers; each slot is held by one of them."""

    def __init__(self, make: MakeNode, seeds: Sequence[Address], access: Access) -> None:
        self._make = make
        self._seeds = tuple(seeds)
        self._access = access._replace(database=0)
        self._nodes: dict[Address, Node] = {}
        self._slots: list[Node | None] = [None] * SLOTS
        self._looking: asyncio.Task[None] | None = None
        self._looked = float("-inf")
        self.because = "the Cluster was not asked yet"

    @property
    def nodes(self) -> Sequence[Node]:
        """Every server that is known."""
        return tuple(self._nodes.values())

    def node(self, slot: int) -> Node:
        """Give the server of a slot; the Cluster is asked again where that one is not to be had."""
        node = self._slots[slot]
        if node is None or not node.usable:
            self.look()
        if node is None:
            raise LostError(self.because)
        return node

    def moved(self, slot: int, to: str) -> None:
        """Believe it, and ask the Cluster how it stands as a whole."""
        self._slots[slot] = self.asked(to)
        self.look()

    def asked(self, to: str) -> Node:
        """Give the server at an address, which is kept connected from now on."""
        host, _, port = to.rpartition(":")
        return self._at(Address(host, int(port)))

    async def start(self) -> None:
        """Ask the Cluster for the first time."""
        self.look()
        if self._looking is not None:
            await asyncio.wait((self._looking,))

    async def close(self) -> None:
        """Let go of all servers."""
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking
        for node in self._nodes.values():
            await node.close()

    def look(self) -> None:
        """Have the Cluster asked, unless that is under way or was done just now."""
        loop = asyncio.get_running_loop()
        if (self._looking is None or self._looking.done()) and loop.time() >= self._looked + FRESH_SECONDS:
            self._looking = loop.create_task(self._look())

    async def _look(self) -> None:
        known = [address for address, node in self._nodes.items() if node.wire is not None]
        for address in dict.fromkeys((*known, *self._seeds, *self._nodes)):
            try:
                self._take(address, await _once(address, self._access, command(b"CLUSTER", b"SLOTS")))
            except (OSError, ValueError) as error:
                self.because = f"{address}: {error}"
                continue
            break
        self._looked = asyncio.get_running_loop().time()

    def _take(self, source: Address, found: Reply) -> None:
        """Take what a server said of all slots. Raises LostError where it is something else."""
        if not isinstance(found, list):
            text(found)  # tells an error's code
            raise LostError("an unexpected answer")
        slots: list[Node | None] = [None] * SLOTS
        for each in found:
            match each:
                case [int(first), int(last), [host, int(port), *_], *_]:
                    node = self._at(Address(host.decode() if isinstance(host, bytes) and host else source.host, port))
                    slots[first : last + 1] = [node] * (last + 1 - first)
                case _:
                    raise LostError("an unexpected answer")
        self._slots = slots[:SLOTS]
        self.because = "no server holds the slot"
        for address in [one for one, node in self._nodes.items() if node not in slots and node.wire is None]:
            asyncio.get_running_loop().create_task(self._nodes.pop(address).close())

    def _at(self, address: Address) -> Node:
        node = self._nodes.get(address)
        if node is None:
            node = self._nodes[address] = self._make(str(address), fixed(address))
            node.start()
        return node


async def _once(address: Address, access: Access, asked: bytes) -> Reply:
    """Ask a server one thing, on a connection of its own. Raises OSError or ValueError."""
    try:
        async with asyncio.timeout(2 * access.timeout):
            wire = await connect(address, access)
            try:
                return await wire.ask(asked)
            finally:
                wire.close("asked")
    except TimeoutError:
        raise LostError("no connection in time", TIMEOUT) from None
