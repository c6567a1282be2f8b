"""Where a policy has its counters and nonces live, compiled: the memory of the process, or a store that is shared."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING

from gateway.core.secret import Secret

if TYPE_CHECKING:
    from gateway.core.policy import ClientCertificate, Endpoint


class Layout(Enum):
    """How the servers of a store stand to each other."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    """The servers listed are Sentinels, which say where the primary is."""
    CLUSTER = "cluster"
    """Each of several servers holds a part."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who the gate is to a server."""

    user: str | None = None
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class ValkeySettings:
    """Where a Valkey or Redis keeps the state, and how it is reached."""

    servers: "tuple[Endpoint, ...]" = ()
    layout: Layout = Layout.SINGLE
    service: str = ""
    """The name by which Sentinels know the primary."""
    login: Login = field(default_factory=Login)
    sentinel_login: Login = field(default_factory=Login)
    database: int = 0
    tls: bool = False
    ca: PurePath | None = None
    """PEM file of the CAs that the servers' certificates must lead to; None: the system's."""
    client: "ClientCertificate | None" = None
    server_name: str | None = None
    timeout: float = 0.25
    """Seconds until a command without answer has failed."""


@dataclass(frozen=True, slots=True)
class EmbeddedSettings:
    """The gate runs a Valkey of its own."""

    every_write: bool = True
    """Whether each write is on the disk before it is confirmed; otherwise within a second."""
    timeout: float = 0.25


class OnFailure(Enum):
    """What a control does while its store cannot answer."""

    DENY = "deny"
    LOCAL = "local"
    """It counts and remembers in the memory of the process, for its share of what is allowed."""
    ALLOW = "allow"
    """It lets pass what it cannot check."""


@dataclass(frozen=True, slots=True)
class FailModes:
    """What each control does while the store cannot answer."""

    rate_limit: OnFailure = OnFailure.DENY
    replay: OnFailure = OnFailure.DENY
    lockout: OnFailure = OnFailure.DENY
    nodes: int = 1
    """Processes that are expected to share the store: each has so small a part of every limit meanwhile."""
    because: tuple[tuple[str, str], ...] = ()
    """Why a control allows, by its name."""


@dataclass(frozen=True, slots=True)
class StateSettings:
    """Where the state lives, and its bounds: nonces, keys, bytes of answers and counters, for each partner."""

    replay_entries: int = 1_000_000
    keys: int = 100_000
    answer_bytes: int = 67_108_864
    counters: int = 100_000
    secret: Secret | None = None
    """Seals stored answers; None: they are kept as they came."""
    store: ValkeySettings | EmbeddedSettings | None = None
    """None: the memory of the process."""
    on_failure: FailModes = field(default_factory=FailModes)
    """Of a store."""
    after_loss: float = 0.0
    """Seconds for which money routes refuse what a shared store does not know, after it lost some of its memory."""
