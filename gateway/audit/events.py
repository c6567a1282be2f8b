"""What the gate records: one frozen type for each kind of event, made by the engine, turned into OCSF by `record`."""

from dataclasses import dataclass
from typing import NamedTuple

from gateway.core.barred import Thing
from gateway.core.decision import Decision
from gateway.core.message import Address, Instant, Tls
from gateway.core.reasons import Reason


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """Which policy was in force."""

    name: str
    digest: str


class RequestDecided(NamedTuple):
    """A request was allowed or denied. An allow is recorded before anything is forwarded.

    A denial is the end of its request: `status` is what the caller was answered. An allow has no status yet;
    exactly one RequestFinished with the same request id follows.
    """

    at: Instant
    request_id: str
    decision: Decision
    gate_seconds: float
    """Time from the head's first byte to the decision, waiting for the body included."""
    status: int | None
    unread: str | None = None
    """For a head that could not be read: its first line, escaped and cut."""


class RequestFinished(NamedTuple):
    """The outcome of an allowed request."""

    at: Instant
    request_id: str
    decision: Decision
    reason: Reason
    """ALLOWED where upstream's answer was passed on whole; else what went wrong after the allow."""
    detail: str
    status: int | None
    """Status the caller was sent; None where none was."""
    gate_seconds: float
    """Time the gate itself took: the total less the upstream's."""
    upstream_seconds: float | None
    """Time from the request's first byte to upstream until the end of its answer; None: it was never reached."""
    response_bytes: int


@dataclass(frozen=True, slots=True)
class ConnectionRefused:
    """A connection that was closed before a request could be read from it."""

    at: Instant
    policy: PolicyFacts
    connection_id: str
    listener: str
    address: Address
    port: int
    reason: Reason
    detail: str
    tls: Tls | None = None


@dataclass(frozen=True, slots=True)
class ConnectionCut:
    """An established connection that may not be used any more: its certificate was revoked, ended, or is nobody's.

    A request that was allowed before still comes to its outcome; all others are denied.
    """

    at: Instant
    policy: PolicyFacts
    connection_id: str
    listener: str
    address: Address
    port: int
    reason: Reason
    detail: str
    tls: Tls | None = None


@dataclass(frozen=True, slots=True)
class ClockState:
    """What the kernel knows of the machine's clock."""

    synchronised: bool | None
    """Whether something keeps it right; None: not known."""
    offset: float | None = None
    """Seconds that it is still being moved by."""
    error: float | None = None
    """Seconds that it is off, as estimated."""
    most: float | None = None
    """Seconds that it is off at most."""
    why: str = ""
    """Why nothing is known."""


@dataclass(frozen=True, slots=True)
class GateStarted:
    """The gate listens."""

    at: Instant
    policy: PolicyFacts
    listeners: tuple[str, ...]
    """`name address:port` of each."""
    warnings: tuple[str, ...] = ()
    clock: ClockState | None = None
    log_key: str = ""
    """Name and number of the key that signs the log."""


@dataclass(frozen=True, slots=True)
class GateStopped:
    """The gate stopped in good order: the last record of a run."""

    at: Instant
    policy: PolicyFacts
    because: str
    unfinished: int = 0
    """Requests that were cut off when the time to drain was over."""


@dataclass(frozen=True, slots=True)
class PolicyLoaded:
    """A new policy is in force."""

    at: Instant
    policy: PolicyFacts
    previous: PolicyFacts
    because: str
    """`signal` or `file change`."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyRefused:
    """A new policy was refused; the old one stays in force."""

    at: Instant
    policy: PolicyFacts
    """The one that stays."""
    because: str
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ControlFailed:
    """A control or something it depends on stopped working (PCI DSS 10.7)."""

    at: Instant
    policy: PolicyFacts
    control: str
    """`audit`, `state`, `token.keys:operator`, …"""
    detail: str


@dataclass(frozen=True, slots=True)
class ControlRecovered:
    """The end of a failure."""

    at: Instant
    policy: PolicyFacts
    control: str
    failed_at: Instant
    detail: str
    denied: int = 0
    """Requests refused meanwhile that could not be recorded one by one."""


@dataclass(frozen=True, slots=True)
class BarChanged:
    """Somebody took something out of use, or lifted that, by `gateway revoke`."""

    at: Instant
    """When it came into force here."""
    policy: PolicyFacts
    action: str
    """`revoke` or `lift`."""
    number: int
    thing: Thing
    value: str
    requested_at: Instant
    until: Instant | None
    by: str
    because: str


@dataclass(frozen=True, slots=True)
class LimitsReset:
    """Somebody had a partner's rate counters begin anew, by `gateway limits reset`."""

    at: Instant
    policy: PolicyFacts
    number: int
    partner: str
    routes: tuple[str, ...]
    """Empty: all of them."""
    counters: int | None
    """How many began anew here; None where they are counted elsewhere."""
    requested_at: Instant
    by: str
    because: str


@dataclass(frozen=True, slots=True)
class LogSealed:
    """A file of the log was compressed: it is older than what the policy wants at hand."""

    at: Instant
    policy: PolicyFacts
    file: str
    """Its name before."""
    first: int
    last: int
    """Sequences of its records."""
    sha256: str
    """Of what it held."""


@dataclass(frozen=True, slots=True)
class LogDeleted:
    """A file of the log is deleted: it is older than the policy keeps them. Recorded before it is done."""

    at: Instant
    policy: PolicyFacts
    file: str
    first: int
    last: int
    """Sequences of its records."""
    keep: str
    """How long the policy keeps files."""


@dataclass(frozen=True, slots=True)
class ClockSeen:
    """The state of the machine's clock, once an hour and where it changed (PCI DSS 10.6)."""

    at: Instant
    policy: PolicyFacts
    clock: ClockState
    because: str
    stepped: float | None = None
    """Seconds by which the clock was set; None: it was not."""


type Event = (
    RequestDecided
    | RequestFinished
    | ConnectionRefused
    | ConnectionCut
    | GateStarted
    | GateStopped
    | PolicyLoaded
    | PolicyRefused
    | ControlFailed
    | ControlRecovered
    | BarChanged
    | LimitsReset
    | LogSealed
    | LogDeleted
    | ClockSeen
)
