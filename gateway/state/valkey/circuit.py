"""How a server has served: failures by kind, outages, and the seconds in them."""

from collections import Counter
from collections.abc import Callable

TIMEOUT = "timeout"
"""No answer, or no connection, in time."""
CONNECTION = "connection"
"""Refused, closed or broken."""
PROTOCOL = "protocol"
"""What came could not be read."""
UNFIT = "unfit"
"""It answers, and cannot serve: wrong password, an eviction policy, a replica, still loading, no permission."""
FULL = "full"
"""It has no room for writes."""
ERROR = "error"
"""It answered a question with another error."""

KINDS = (TIMEOUT, CONNECTION, PROTOCOL, UNFIT, FULL, ERROR)

_KINDS_OF_CODES = {
    "OOM": FULL, "READONLY": UNFIT, "MASTERDOWN": UNFIT, "LOADING": UNFIT, "CLUSTERDOWN": UNFIT, "NOAUTH": UNFIT,
    "NOPERM": UNFIT, "WRONGPASS": UNFIT,
}  # fmt: skip


def kind_of_code(code: str) -> str:
    """Give the kind of failure that an error's code stands for."""
    return _KINDS_OF_CODES.get(code, ERROR)


class Circuit:
    """Figures of one server. It is open while nothing is asked of the server, since it failed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.failures: Counter[str] = Counter()
        """By kind."""
        self.outages = 0
        """How often it opened."""
        self._clock = clock
        self._since: float | None = None
        self._before = 0.0

    @property
    def open(self) -> bool:
        """Whether it is open now."""
        return self._since is not None

    @property
    def seconds(self) -> float:
        """For how long it has been open, all outages together, this one included."""
        return self._before + (0.0 if self._since is None else self._clock() - self._since)

    def failed(self, kind: str) -> None:
        """Count a failure that leaves the circuit as it is."""
        self.failures[kind] += 1

    def broke(self, kind: str) -> None:
        """Count a failure with which it opens, or stays open."""
        self.failed(kind)
        if self._since is None:
            self.outages += 1
            self._since = self._clock()

    def closed(self) -> None:
        """Note that the server serves again."""
        self._before, self._since = self.seconds, None
