"""What a request holds in the store until its outcome is known: a key in flight, reserved amounts, a place.

A control asks for it; the store answers; the exchange keeps the hold. Once the request has ended, however it did, the
engine tells each hold how (`Ended`), and gives the store what the hold makes of it.

The fate of a key:

    (unknown to the store) ── Remember ──▶ in flight ── final status ─────▶ answered (or: answered, answer not kept)
                                               ├────── nothing was done ──▶ free
                                               └────── anything else ─────▶ unknown
"""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gateway.core.message import Instant

if TYPE_CHECKING:
    from gateway.core.chain import Take

type Statuses = frozenset[int]


class StoredAnswer(NamedTuple):
    """An answer of upstream, as it is given again."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes


class KeyState(Enum):
    """Answer to Remember, and what a key is settled to."""

    NEW = "new"
    """It is in flight from now on, for whoever asked."""
    AGAIN = "again"
    """As NEW; a request with this key was forwarded before, and what became of it is not known."""
    IN_FLIGHT = "in flight"
    ANSWERED = "answered"
    NOT_KEPT = "answered, and the answer was not kept"
    UNKNOWN = "unknown"
    OTHER = "of another request"
    """The key is held for a request that was another one."""
    FREE = "free"
    """Nothing was done."""
    ABSENT = "absent"
    """Not known, and it was not to be taken."""


class Remember(NamedTuple):
    """Ask to take a key into flight, or for what is known of it. Answer: `Remembered`.

    The store MUST give NEW to one of all that ask at once, and MUST have it on disk, or wherever else it outlives the
    process, before it does. A key that is in flight beyond its `lease` is UNKNOWN where whoever took it may be gone.
    The store MUST NOT keep `key` in clear.
    """

    partner: str
    """Whose share of the store is used."""
    route: str
    key: bytes
    sameness: bytes
    """Digest of what must be the same for two requests to be one."""
    lease: Instant
    until: Instant
    """The key is forgotten after that."""
    fresh: bool = True
    """Whether a key that is not known may be taken; where not, one that is known to be free still may."""
    again: bool = False
    """Whether a key of unknown fate is taken once more."""


class Remembered(NamedTuple):
    """Answer to Remember."""

    state: KeyState
    answer: StoredAnswer | None = None
    token: object = None
    """The store's own, by which it knows whose flight is settled."""


class SettleKey(NamedTuple):
    """Tell what became of a key in flight. Changes nothing where it is not in flight by this token any more."""

    ask: Remember
    token: object
    state: KeyState
    """ANSWERED, NOT_KEPT, UNKNOWN or FREE."""
    answer: StoredAnswer | None = None
    forget: bool = False
    """Whether a key that is free need not be remembered."""


class SumLimit(NamedTuple):
    """No more than `most` within any `window` seconds."""

    name: str
    most: int
    window: int


class Spend(NamedTuple):
    """What one request counts against one limit, under `key`."""

    limit: SumLimit
    key: tuple[str, ...]
    """In clear: the store MUST keep a keyed digest of it only."""
    amount: int


class Reserve(NamedTuple):
    """Ask to count against several limits, all or none. Answer: `Reserved`."""

    partner: str
    """Whose share of the store is used."""
    route: str
    spends: tuple[Spend, ...]
    even_if_reached: bool = False
    """Whether it is counted also where a limit is reached."""


class Reserved(NamedTuple):
    """Answer to Reserve."""

    reached: tuple[SumLimit, ...]
    """The limits that the request goes beyond; nothing was counted, but for `even_if_reached`."""
    token: object = None


class GiveBack(NamedTuple):
    """Take amounts back that were reserved and not spent."""

    ask: Reserve
    token: object


class Enter(NamedTuple):
    """Ask for one of the places that a partner's requests on a route have at the same time. Answer: `Entered`.

    The store MUST NOT let more than `most` be held whose lease is not over.
    """

    partner: str
    policy: str
    route: str
    most: int
    lease: int
    """Seconds."""


class Entered(NamedTuple):
    """Answer to Enter."""

    allowed: bool
    token: object = None


class Leave(NamedTuple):
    """Free a place."""

    ask: Enter
    token: object


class Charge(NamedTuple):
    """Take from buckets once more, whether it fits or not: what a request turned out to cost."""

    takes: "tuple[Take, ...]"


type Settlement = SettleKey | GiveBack | Leave | Charge


class Ended(NamedTuple):
    """How a request ended."""

    sent: bool
    """Whether any byte of it may have reached upstream."""
    status: int | None = None
    """Upstream's, once its head was read."""
    answer: StoredAnswer | None = None
    """All of upstream's answer, where it came whole and fits."""
    fields: tuple[tuple[str, str], ...] = ()
    """Those of the answer's fields that a hold keeps, names in lower case."""


class Hold(Protocol):
    """What is settled when a request has ended."""

    @property
    def wants(self) -> int | None:
        """Bytes of upstream's answer that it keeps at most; None: none, the status alone counts."""
        ...

    @property
    def fields(self) -> frozenset[str]:
        """Names of the fields that are kept of the answer."""
        ...

    def settle(self, ended: Ended) -> Settlement | None:
        """Give what the store is told; None: nothing changes."""
        ...


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key in flight."""

    ask: Remember
    token: object
    final: Statuses
    """With these the work is done, and the answer is the answer."""
    not_done: Statuses
    """With these nothing was done."""
    wants: int
    fields: frozenset[str]
    before: KeyState = KeyState.FREE
    """What it is again where nothing was done: UNKNOWN, where the fate of an earlier request is not known."""
    forget: bool = True
    """Whether a key that is free need not be remembered."""

    def settle(self, ended: Ended) -> SettleKey:
        """Give the state by upstream's status. What is in neither list is unknown, as is what never came."""
        if not ended.sent or ended.status in self.not_done:
            return SettleKey(self.ask, self.token, self.before, forget=self.forget)
        if ended.status in self.final:
            state = KeyState.NOT_KEPT if ended.answer is None else KeyState.ANSWERED
            return SettleKey(self.ask, self.token, state, ended.answer)
        return SettleKey(self.ask, self.token, KeyState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class HeldAmounts:
    """Amounts that are reserved."""

    ask: Reserve
    token: object
    returned: Statuses
    """With these upstream refused, and nothing was spent."""
    wants: int | None = None
    fields: frozenset[str] = frozenset()

    def settle(self, ended: Ended) -> GiveBack | None:
        """Give the amounts back where nothing was spent; what is not known to be unspent stays counted."""
        unspent = not ended.sent or ended.status in self.returned
        return GiveBack(self.ask, self.token) if unspent else None


@dataclass(frozen=True, slots=True)
class HeldPlace:
    """A place among a partner's requests in flight."""

    ask: Enter
    token: object
    wants: int | None = None
    fields: frozenset[str] = frozenset()

    def settle(self, ended: Ended) -> Leave:
        """Free it, however the request ended."""
        del ended
        return Leave(self.ask, self.token)


def undone(ask: object, answer: object) -> Settlement | None:
    """Give what takes an ask back whose answer came when nobody waited for it any more."""
    if isinstance(ask, Remember) and isinstance(answer, Remembered):
        if answer.state is KeyState.NEW:
            return SettleKey(ask, answer.token, KeyState.FREE, forget=ask.fresh)
        if answer.state is KeyState.AGAIN:
            return SettleKey(ask, answer.token, KeyState.UNKNOWN)
    elif isinstance(ask, Reserve) and isinstance(answer, Reserved) and answer.token is not None:
        return GiveBack(ask, answer.token)
    elif isinstance(ask, Enter) and isinstance(answer, Entered) and answer.allowed:
        return Leave(ask, answer.token)
    return None
