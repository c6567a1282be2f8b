"""The chain of controls: what a control is, what it may ask for, and the order that no policy changes.

Asks and answers that every request makes anew are named tuples, which take a third of the time to make that frozen
dataclasses take.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from gateway.core.holds import Enter, Remember, Reserve
from gateway.core.message import Instant
from gateway.core.periods import Calendar

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange
    from gateway.core.trailers import Trailers

ORDER = ("mutual_tls", "ip_allowlist", "token", "rate_limit", "signature", "replay")
"""Cheap and identifying controls first; the rate is taken before the body is read and before costly crypto;
a nonce is claimed only after a good signature. Controls of third parties follow in the order of their names."""

BODY_RULES = ("concurrency", "idempotency", "velocity")
"""Controls that a route may go without, asked after all others: what they take is held until the request has ended. A
repeated request is answered before its amount would count again."""


class ReadBody(NamedTuple):
    """Ask for the whole body as received, transfer coding removed. Answer: `bytes`.

    The engine MUST read no more than `limit` bytes and throw Denied(BODY_TOO_LARGE) in beyond that.
    """

    limit: int
    trailers: "Trailers | None" = None
    """Where trailers go. None: they are refused."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`amount` requests in `window` seconds: in fixed windows, a sliding one, those of the calendar, or steadily."""

    name: str
    amount: int
    window: int
    """Of a calendar's windows, the longest."""
    sliding: bool
    calendar: Calendar | None = None
    """Where it is given, windows are days or months in UTC, and none slides."""
    burst: int | None = None
    """Where it is given, a bucket of so many is refilled evenly: within any t seconds, no more than `burst` and t times
    `amount` / `window` is taken. There is no window then."""

    @property
    def room(self) -> int:
        """The most that can be taken at once."""
        return self.amount if self.burst is None else self.burst

    @property
    def kind(self) -> str | bool:
        """How it is counted: limits that differ in it have buckets of their own."""
        return self.calendar or ("burst" if self.burst is not None else self.sliding)


class Take(NamedTuple):
    """One request's cost against one limit, counted under `key`."""

    limit: RateLimit
    key: tuple[str, ...]
    """Policy, route, the limit's name, and the values that it counts by."""
    cost: int = 1
    whose: str | None = None
    """The partner, where it counts by the partner and something else."""


class TakeRate(NamedTuple):
    """Ask to take from several buckets, all or none. Answer: `RateTaken`."""

    takes: tuple[Take, ...]


class RateState(NamedTuple):
    """Where a bucket stands after the ask."""

    limit: RateLimit
    allowed: bool
    remaining: int
    reset_after: float
    """Seconds until the bucket takes this request again (where refused), or has more remaining (where allowed)."""


class RateTaken(NamedTuple):
    """Answer to TakeRate: taken everywhere, or nowhere."""

    allowed: bool
    states: tuple[RateState, ...]


class Claim(Enum):
    """Answer to ClaimOnce."""

    NEW = "new"
    SEEN = "seen"
    UNKNOWABLE = "unknowable"
    """Dated before the store's memory begins: whether it was seen cannot be told."""


class ClaimOnce(NamedTuple):
    """Ask to claim `key` in `space` for the first and only time. Answer: `Claim`.

    The store MUST keep the claim until `until`, that instant included, and MUST NOT answer NEW for anything that may
    have been claimed before its memory begins.
    """

    space: str
    key: bytes
    dated: Instant | None
    """The time the signer stated; None where none was stated, and it may have been claimed at any time."""
    until: Instant


@dataclass(frozen=True, slots=True)
class FetchKeys:
    """Ask for an issuer's verification keys. Answer: a key set as the token control understands it.

    Where `unknown` names a key that the last answer did not have, the engine MAY look for newer keys before it answers,
    and MUST bound how often callers can have it do so.
    """

    issuer: str
    unknown: str | None = None


class Introspect(NamedTuple):
    """Ask an issuer whether a token is good. Answer: `Introspected`.

    The engine MUST NOT show the token, and MUST NOT give an answer for longer than the policy says.
    """

    issuer: str
    token: str
    digest: bytes
    """SHA-256 of the token, by which an answer is known."""
    caller: str = ""
    """Who brought it, as failures are counted; the engine MAY bound how many questions one caller brings about."""

    def __repr__(self) -> str:
        """Without the token."""
        return f"Introspect({self.issuer})"


@dataclass(frozen=True, slots=True, eq=False)
class Introspected:
    """Answer to Introspect, as the issuer gave it (RFC 7662 2.2). Two are never equal: each was given at its time."""

    active: bool
    claims: Mapping[str, object] = field(repr=False)
    """Empty where it is not active."""
    at: Instant


type Ask = ReadBody | TakeRate | ClaimOnce | FetchKeys | Introspect | Remember | Reserve | Enter

type Answer = object
"""Each ask states the type of its answer; whoever asks checks it (`answered`)."""

type Asks = Generator[Ask, Answer, None] | tuple[()]
"""What `check` gives: a generator that asks, or NOTHING where there is nothing to ask."""

NOTHING: tuple[()] = ()


class Control(Protocol):
    """One check of the chain, bound to a route's settings when the policy was compiled.

    `check` raises Denied where the request must not pass, and adds what it verified to the exchange. It MUST NOT
    do I/O or read a clock, MUST NOT keep anything of one exchange for another but what it verified beyond doubt,
    and MUST NOT put a secret into a Denied.
    """

    name: ClassVar[str]

    def check(self, exchange: "Exchange") -> Asks:
        """Check one exchange."""
        ...


def answered[T](answer: Answer, kind: type[T]) -> T:
    """Give the answer with its type; an engine that answers with another type is at fault."""
    if not isinstance(answer, kind):
        raise TypeError(f"asked for {kind.__name__}, answered with {type(answer).__name__}")
    return answer
