"""How the audit log is kept and published: the policy's section `audit`, compiled."""

from dataclasses import dataclass
from pathlib import PurePath

from gateway.core.secret import Secret


@dataclass(frozen=True, slots=True)
class Witness:
    """Who signs that a checkpoint goes on from those that it has seen (C2SP tlog-witness)."""

    url: str
    """Prefix of its address, without a slash at the end."""
    key: str
    """Its public key, as C2SP signed-note writes it."""

    @property
    def name(self) -> str:
        """Its name, which its signatures bear."""
        return self.key.partition("+")[0]


@dataclass(frozen=True, slots=True)
class Retention:
    """How long the files of the log are kept."""

    at_hand: float = 90 * 86_400.0
    """Seconds until a file is compressed."""
    keep: float = 365 * 86_400.0
    """Seconds until it is deleted."""


@dataclass(frozen=True, slots=True)
class DigestOf:
    """A place in a request whose value is logged as a keyed digest."""

    place: str
    """`header`, `query`, `claim`, or `json` for a place in the body."""
    name: str
    """Of the field (lower case), the parameter or the claim; a JSON pointer."""

    @property
    def label(self) -> str:
        """How the policy and the records name it."""
        return f"{self.place}:{self.name}"


@dataclass(frozen=True, slots=True)
class Digests:
    """Which values are logged as digests, and by which secret."""

    secret: Secret
    of: tuple[DigestOf, ...]


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """How the audit log is kept and published."""

    origin: str | None = None
    """Name of the transparency log; None: the one its key has, or one made of the policy's name."""
    key: PurePath | None = None
    """File of the key that signs checkpoints; None: one in the folder of the state, made where it is missing."""
    interval: float = 10.0
    """Seconds between checkpoints."""
    durable: bool = False
    """Whether an allow is on the disk before anything is forwarded, and not only with the kernel."""
    copies: tuple[str, ...] = ()
    """Where each checkpoint goes as well: `stdout`, `syslog`, or the path of a file behind `file:`."""
    witnesses: tuple[Witness, ...] = ()
    retention: Retention | None = None
    """None: files are neither compressed nor deleted."""
    digests: Digests | None = None
    """None: no value is logged as a digest."""
    previous_key: PurePath | None = None
    """File of the key that signed before; None: the key was never another."""
