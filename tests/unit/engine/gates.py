"""A gate without sockets and files: its state, its log and its clock are the test's."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from gateway.audit.events import ConnectionRefused, Event, RequestDecided, RequestFinished
from gateway.audit.log import AuditLog
from gateway.core.chain import Claim, ClaimOnce, RateTaken, ReadBody, TakeRate
from gateway.core.decision import Decision
from gateway.core.holds import Remember, Remembered, Reserve, Reserved, Settlement
from gateway.core.message import Instant
from gateway.core.policy import Policy
from gateway.core.reasons import Reason, Unavailable
from gateway.engine.clock import Clock
from gateway.engine.commit import GroupCommit, Waiter
from gateway.engine.gate import Gate, Handling, Step
from gateway.engine.in_force import InForce
from tests import world


class Log:
    """Keeps what is appended; fails while `error` is set."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.writes: list[int] = []
        """How many events each write had."""
        self.error: Unavailable | None = None
        self.published = 0

    @property
    def sequence(self) -> int:
        return len(self.events)

    def append_all(self, events: Sequence[Event]) -> list[Unavailable | None]:
        if self.error is None and events:
            self.events += events
            self.writes.append(len(events))
        return [self.error] * len(events)

    def of[E](self, kind: type[E]) -> list[E]:
        """Give the events of one kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def decided(self) -> list[Reason]:
        """Reason of each decision, in order."""
        return [event.decision.reason for event in self.of(RequestDecided)]

    @property
    def finished(self) -> list[Reason]:
        """Reason of each outcome, in order."""
        return [event.reason for event in self.of(RequestFinished)]

    @property
    def refused(self) -> list[Reason]:
        """Reason of each refused connection, in order."""
        return [event.reason for event in self.of(ConnectionRefused)]


class State:
    """Counts nothing and remembers what was claimed; `taking` and `claiming` take the place of its answers."""

    def __init__(self) -> None:
        self.taking: Callable[[TakeRate], Any] | None = None
        self.claiming: Callable[[ClaimOnce], Any] | None = None
        self.remembering: Callable[[Remember], Any] | None = None
        self.reserving: Callable[[Reserve], Any] | None = None
        self.settling: Callable[[Settlement], Any] | None = None
        self.settled: list[Settlement] = []
        self._answers = world.Answers()

    def take(self, ask: TakeRate, now: Instant) -> RateTaken:
        del now
        return cast("RateTaken", (self.taking or self._answers)(ask))

    def claim(self, ask: ClaimOnce, now: Instant) -> Claim:
        del now
        return cast("Claim", (self.claiming or self._answers)(ask))

    def remember(self, ask: Remember, now: Instant) -> Remembered:
        del now
        return cast("Remembered", (self.remembering or self._answers)(ask))

    def reserve(self, ask: Reserve, now: Instant) -> Reserved:
        del now
        return cast("Reserved", (self.reserving or self._answers)(ask))

    def settle(self, settlement: Settlement, now: Instant) -> Any:
        del now
        self.settled.append(settlement)
        return None if self.settling is None else self.settling(settlement)

    def close(self) -> None:
        pass


@dataclass
class Time:
    """A clock that stands still until it is moved."""

    now: float = world.NOW
    monotonic: float = 1_000.0

    def clock(self) -> Clock:
        """Give the gate's clock."""
        return Clock(now=lambda: Instant(self.now), monotonic=lambda: self.monotonic)

    def move(self, seconds: float) -> None:
        """Move both clocks."""
        self.now += seconds
        self.monotonic += seconds


class ByHand(GroupCommit):
    """A commit whose turns are the test's: there need not be a loop."""

    def soon(self, event: Event, waiter: Waiter | None = None) -> None:
        self._events.append(event)
        self._waiters.append(waiter)


@dataclass
class Made:
    """A gate, and what stands around it."""

    log: Log = field(default_factory=Log)
    state: State = field(default_factory=State)
    time: Time = field(default_factory=Time)
    policy: Policy = field(default_factory=world.policy)

    def __post_init__(self) -> None:
        in_force = InForce(self.policy, {"operator": world.key_set()})
        self.gate = Gate(in_force, self.state, cast("AuditLog", self.log), self.time.clock())

    def handling(self) -> Handling:
        """Make what takes one request through."""
        return Handling(self.gate, world.peer())

    async def allowed(self) -> Handling:
        """Give a request that was allowed, and that is in the log."""
        handling = self.handling()
        await step(handling.begin(world.World(nonce=handling.request_id).head()))
        await step(handling.resume(world.BODY))
        assert handling.authorise().allowed
        return handling

    def turn(self) -> None:
        """End the loop's turn: what is queued is written, and whoever waits for it goes on."""
        while self.gate.commit._events:
            self.gate.commit._turn()


async def step(given: Step | Awaitable[Step]) -> Step:
    """Give what a decision came to, also where a store has to be waited for."""
    return given if isinstance(given, Decision | ReadBody) else await given


async def decided(made: Made, sent: world.World | None = None) -> Handling:
    """Give a request that was decided, and not recorded yet."""
    handling = made.handling()
    if isinstance(await step(handling.begin((sent or world.World()).head())), ReadBody):
        await step(handling.resume(world.BODY))
    return handling


def denial(handling: Handling) -> Reason:
    """Give the reason of a denial; an allow fails here."""
    assert handling.decision is not None
    assert not handling.decision.allowed
    return handling.decision.reason
