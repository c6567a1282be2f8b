"""Idempotency keys and reserved amounts in the store: of a partner all in one house (`houses`), so in one slot.

A house that may have lost memory says up to when. A key that is not known is then of unknown fate for `after_loss` from
that time on, since a request with it may have been forwarded; and nothing is counted against a limit for as long, or
for the limit's window where that is shorter, since what was counted is not known. Digests are keyed with the policy's
secret, which all gates of a store share.
"""

import os
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, cast

from gateway.core.holds import (
    GiveBack,
    KeyState,
    Remember,
    Remembered,
    Reserve,
    Reserved,
    SettleKey,
)
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.core.stores import StateSettings
from gateway.state.answers import Answers
from gateway.state.valkey.asked import Asked
from gateway.state.valkey.houses import House, Houses
from gateway.state.valkey.places import Places
from gateway.state.valkey.script import CLOCK, Script
from gateway.state.valkey.wire import Reply

_NOT_COUNTED, _COUNTED, _UNOPENED, _LOST, _FULL = range(5)

type Unopened = Callable[[House, Asked[Any]], None]


class Bounds(NamedTuple):
    """What the policy in force says."""

    keys: int
    answer_bytes: int
    counters: int
    after_loss: float


def scripts(clock: str | None) -> tuple[Script, ...]:
    """Read what Money calls."""
    before = (clock or CLOCK) + (Path(__file__).parent / "secret.lua").read_text(encoding="utf-8")
    return tuple(Script.read(name, before) for name in ("remember", "settle", "reserve", "give_back"))


class Money:
    """Makes the calls."""

    def __init__(
        self, places: Places, houses: Houses, settings: StateSettings, unopened: Unopened, scripts: Sequence[Script]
    ) -> None:
        self._places = places
        self._houses = houses
        self._unopened = unopened
        self._remember, self._settle, self._reserve, self._give_back = scripts
        self.adopt(settings)

    def adopt(self, settings: StateSettings) -> None:
        """Take over the bounds and the secret of a policy."""
        self._bounds = Bounds(settings.keys, settings.answer_bytes, settings.counters, settings.after_loss)
        self._answers = Answers(settings.secret)
        # The digests' key is not the one that seals: whoever has one should not have the other.
        revealed = b"" if settings.secret is None else settings.secret.reveal()
        self._secret = blake2b(revealed, digest_size=32, person=b"gateway digests").digest()
        self._which = blake2b(self._secret, digest_size=8, person=b"gateway secret").hexdigest().encode()

    def remember(self, ask: Remember, now: Instant) -> "Remembering":
        """Give what is to be sent for a key."""
        house, digest = self._houses.house(ask.partner), self._digest("key", ask.partner, ask.route, ask.key)
        keys = (house.epoch, *self._shelves(house, ask.partner), _entry(house, digest))
        token, bounds = os.urandom(8), self._bounds
        arguments = (
            b"%r" % bounds.after_loss, b"%d" % bounds.keys, digest, ask.sameness, b"%.6f" % (ask.lease - now),
            b"%.6f" % (max(ask.until, ask.lease) - now), b"%d" % ask.fresh, b"%d" % ask.again, token, self._which,
        )  # fmt: skip
        return Remembering(self, house, self._remember, keys, arguments, Taken(ask.partner, digest, token))

    def reserve(self, ask: Reserve) -> "Reserving":
        """Give what is to be sent for amounts."""
        house, bounds = self._houses.house(ask.partner), self._bounds
        digests = [self._digest("sum", ask.partner, ask.route, *spend.key) for spend in ask.spends]
        counters = tuple(b"gw:{%b}:sum:%b" % (house.tag, digest.hex().encode()) for digest in digests)
        index = b"gw:{%b}:sums:%b" % (house.tag, self._houses.name(ask.partner))
        spends = [
            part
            for digest, spend in zip(digests, ask.spends, strict=True)
            for part in (digest, b"%d" % spend.limit.window, b"%d" % spend.limit.most, b"%d" % spend.amount)
        ]
        arguments = (
            b"%r" % bounds.after_loss,
            b"%d" % bounds.counters,
            b"%d" % ask.even_if_reached,
            self._which,
            *spends,
        )
        return Reserving(self, house, self._reserve, (house.epoch, index, *counters), arguments, ask)

    def settle(self, settlement: SettleKey | GiveBack) -> "Settling":
        """Give what is to be sent for what became of a hold."""
        house = self._houses.house(settlement.ask.partner)
        if isinstance(settlement, GiveBack):
            spent = cast("Spent", settlement.token)
            keys = (
                house.epoch,
                b"gw:{%b}:back:%b" % (house.tag, spent.name),
                *(each.counter for each in spent.counted),
            )
            amounts = [part for each in spent.counted for part in (b"%d" % each.part, b"%d" % each.amount)]
            return Settling(self, house, self._give_back, keys, (b"%d" % spent.at, *amounts))
        return Settling(self, house, self._settle, *self._settlement(house, settlement))

    def _settlement(self, house: House, settlement: SettleKey) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        taken = cast("Taken", settlement.token)
        answer = b"" if settlement.answer is None else self._answers.pack(taken.digest, settlement.answer)
        keys = (*self._shelves(house, taken.partner), _entry(house, taken.digest))
        return keys, (
            taken.digest, taken.token, settlement.state.value.encode(), answer, b"%d" % settlement.forget,
            b"%d" % self._bounds.answer_bytes,
        )  # fmt: skip

    def _shelves(self, house: House, partner: str) -> tuple[bytes, bytes]:
        name = self._houses.name(partner)
        return b"gw:{%b}:keys:%b" % (house.tag, name), b"gw:{%b}:sizes:%b" % (house.tag, name)

    def _digest(self, *values: str | bytes) -> bytes:
        digest = blake2b(digest_size=16, key=self._secret)
        for value in values:
            raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
            digest.update(b"%d:%b" % (len(raw), raw))
        return digest.digest()

    # for the calls

    @property
    def places(self) -> Places:
        """Where the servers are."""
        return self._places

    def unopened(self, house: House, asked: Asked[Any]) -> None:
        """Have a house opened, and the call made again."""
        self._unopened(house, asked)

    def opened(self, digest: bytes, packed: bytes) -> Remembered:
        """Give a stored answer; what cannot be opened was not kept."""
        answer = self._answers.open(digest, packed)
        return Remembered(KeyState.NOT_KEPT if answer is None else KeyState.ANSWERED, answer)

    def full(self, reason: Reason, partner: str) -> Unavailable:
        """Say that a partner has used up its share."""
        most = self._bounds.keys if reason is Reason.IDEMPOTENCY_FULL else self._bounds.counters
        return Unavailable(reason, f"{most} of {partner} are kept")


class Taken(NamedTuple):
    """The token of a key in flight."""

    partner: str
    digest: bytes
    token: bytes


class Counted(NamedTuple):
    """What was counted against one limit."""

    counter: bytes
    part: int
    amount: int


class Spent(NamedTuple):
    """The token of reserved amounts."""

    name: bytes
    """Random: by it the store knows that they were given back."""
    at: int
    """When they were counted, in milliseconds by the store's clock."""
    counted: tuple[Counted, ...]


class _Called[T](Asked[T]):
    """One call in a house."""

    __slots__ = ("_arguments", "_house", "_keys", "_money")

    def __init__(
        self, money: Money, house: House, script: Script, keys: tuple[bytes, ...], arguments: tuple[bytes, ...]
    ) -> None:
        super().__init__(money.places, house.slot, script)
        self._money = money
        self._house = house
        self._keys = keys
        self._arguments = arguments


class Remembering(_Called[Remembered]):
    """Takes a key."""

    __slots__ = ("_taken",)

    def __init__(
        self, money: Money, house: House, script: Script, keys: tuple[bytes, ...], arguments: tuple[bytes, ...],
        taken: Taken,
    ) -> None:  # fmt: skip
        super().__init__(money, house, script, keys, arguments)
        self._taken = taken

    def undone(self, ask: Remember) -> SettleKey:
        """Give what takes it back, should it have been taken."""
        back = KeyState.UNKNOWN if ask.again else KeyState.FREE
        return SettleKey(ask, self._taken, back, forget=ask.fresh)

    def command(self, run: bytes) -> bytes:
        """Give the command for this run of the server."""
        return self.script.call(self._keys, run, *self._arguments)

    def answered(self, reply: Reply | Exception) -> None:
        """Give the answer, or have the house opened."""
        if reply == [b"unopened"]:
            self._money.unopened(self._house, self)
        elif reply == [b"full"]:
            self.future.set_exception(self._money.full(Reason.IDEMPOTENCY_FULL, self._taken.partner))
        else:
            super().answered(reply)

    def decode(self, reply: Sequence[bytes]) -> Remembered:
        """Read what the script replied."""
        state = KeyState(reply[0].decode())
        if state is KeyState.ANSWERED:
            return self._money.opened(self._taken.digest, reply[1] if len(reply) > 1 else b"")
        return Remembered(state, None, self._taken if state in (KeyState.NEW, KeyState.AGAIN) else None)


class Reserving(_Called[Reserved]):
    """Counts against all limits, or none."""

    __slots__ = ("_ask",)

    def __init__(
        self, money: Money, house: House, script: Script, keys: tuple[bytes, ...], arguments: tuple[bytes, ...],
        ask: Reserve,
    ) -> None:  # fmt: skip
        super().__init__(money, house, script, keys, arguments)
        self._ask = ask

    def command(self, run: bytes) -> bytes:
        """Give the command for this run of the server."""
        return self.script.call(self._keys, run, *self._arguments)

    def answered(self, reply: Reply | Exception) -> None:
        """Give the answer, or have the house opened."""
        if reply == [_UNOPENED]:
            self._money.unopened(self._house, self)
        elif reply == [_LOST]:
            detail = "the store has lost some of its memory: what was counted is not known"
            self.future.set_exception(Unavailable(Reason.STATE_UNAVAILABLE, detail))
        elif reply == [_FULL]:
            self.future.set_exception(self._money.full(Reason.VELOCITY_FULL, self._ask.partner))
        else:
            super().answered(reply)

    def decode(self, reply: Sequence[int]) -> Reserved:
        """Read what the script replied."""
        kind, *numbers, at = reply
        spends = self._ask.spends
        if kind not in (_COUNTED, _NOT_COUNTED) or len(numbers) != 2 * len(spends):
            raise ValueError("another number of limits")
        reached = tuple(spend.limit for spend, flag in zip(spends, numbers[::2], strict=True) if flag)
        if kind == _NOT_COUNTED:
            return Reserved(reached)
        counted = zip(self._keys[2:], numbers[1::2], spends, strict=True)
        spent = tuple(Counted(counter, part, spend.amount) for counter, part, spend in counted)
        return Reserved(reached, Spent(os.urandom(12).hex().encode(), at, spent))


class Settling(_Called[None]):
    """Tells what became of a hold."""

    __slots__ = ()

    def command(self, run: bytes) -> bytes:
        """Give the command, which is the same on any run of a server."""
        del run
        return self.script.call(self._keys, *self._arguments)

    def decode(self, reply: int) -> None:
        """Read what the script replied: nothing follows from it."""
        if reply not in (0, 1):
            raise ValueError("no settlement")


def _entry(house: House, digest: bytes) -> bytes:
    return b"gw:{%b}:key:%b" % (house.tag, digest.hex().encode())
