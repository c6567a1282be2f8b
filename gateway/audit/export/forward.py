"""Sending the log on as it is written, with neither lag nor loss hidden.

1. each folder is read on from its position (`follow`)
2. what was read is sent; only when that has succeeded is the position saved: at least once, in order, nothing left out
3. what cannot be had (a missing number, a line that is no record, another log) is told in the stream at its place
4. being behind for longer than is allowed is told in the stream, and so is having caught up
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gateway.audit.export.follow import Batch, Follower, Loss, Position, read_positions, write_positions
from gateway.audit.export.notices import notice
from gateway.audit.export.sinks import Sink
from gateway.audit.folders import log_folders
from gateway.audit.reader import Entry
from gateway.core.message import Instant

logger = logging.getLogger("gateway.forward")

POLL = 0.25
"""Seconds between two looks at a log that has nothing new."""
LONGEST_WAIT = 30.0
"""Seconds between two attempts to send, at most; the first wait is a second, and each is twice the one before."""

type Made = Callable[[Entry, str], bytes]
"""Makes a message of a record and its worker."""


@dataclass(slots=True)
class Settings:
    """What is forwarded, and how."""

    directory: Path
    positions: Path
    message: Made
    max_lag: float
    """Seconds that forwarding may be behind without being told of."""
    once: bool
    """End when everything there is was sent, or when something cannot be."""


@dataclass(slots=True)
class Outcome:
    """How it ended."""

    sent: int = 0
    lost: int = 0
    """Losses that were told of; not records: how many these were is not always known."""
    unsent: bool = False
    """Something that could be had was not sent."""


@dataclass(slots=True)
class Forwarder:
    """Forwards one log, its workers' folders in turn."""

    settings: Settings
    sink: Sink
    now: Callable[[], Instant]
    wait: Callable[[float], bool]
    """Waits so many seconds; tells whether it is time to stop."""
    outcome: Outcome = field(default_factory=Outcome)
    _positions: dict[str, Position] = field(default_factory=dict)
    _followers: dict[str, Follower] = field(default_factory=dict)
    _last: Instant | None = None
    _behind: bool = False

    def run(self) -> Outcome:
        """Forward until told to stop. Raises OSError where the log or the positions cannot be read or written."""
        self._positions = read_positions(self.settings.positions)
        stopping = False
        while not stopping:
            taken = False
            for worker, follower in self._folders():
                batch = follower.take()
                if batch.items:
                    taken = True
                    if not self._sent(worker, batch):
                        self.outcome.unsent = True
                        return self.outcome
            self._look_at_lag()
            if taken:
                continue
            if self.settings.once:
                return self.outcome
            stopping = self.wait(POLL)
        self.outcome.unsent = any(follower.behind() > 0 for follower in self._followers.values())
        return self.outcome

    def _folders(self) -> list[tuple[str, Follower]]:
        for folder in log_folders(self.settings.directory):
            worker = "" if folder == self.settings.directory else folder.name
            if worker not in self._followers:
                self._followers[worker] = Follower(folder, self._positions.get(worker))
        return list(self._followers.items())

    def _sent(self, worker: str, batch: Batch) -> bool:
        """Send a batch, and save the position behind it; tells whether it was sent before it was time to stop."""
        messages = []
        for item in batch.items:
            if isinstance(item, Loss):
                self.outcome.lost += 1
                detail = f"{worker}: {item.what}" if worker else item.what
                logger.warning("lost: %s", detail)
                messages.append(self._notice("forward.lost", detail, bad=True))
            else:
                self._last = item.at
                messages.append(self.settings.message(item, worker))
        if not self._delivered(messages):
            return False
        self.outcome.sent += sum(isinstance(item, Entry) for item in batch.items)
        if batch.position is not None and batch.position != self._positions.get(worker):
            self._positions[worker] = batch.position
            write_positions(self.settings.positions, self._positions)
        return True

    def _delivered(self, messages: list[bytes]) -> bool:
        """Send until it succeeds, or it is time to stop."""
        pause = 1.0
        while True:
            messages = [*self._newly_behind(), *messages]
            try:
                self.sink.send(messages)
            except OSError as error:
                logger.warning("not sent: %s: %s", type(error).__name__, error.strerror or error)
                if self.settings.once or self.wait(pause):
                    return False
                pause = min(2 * pause, LONGEST_WAIT)
            else:
                return True

    def _lag(self) -> float:
        """Give the seconds from the last record that was taken until now, where there is anything after it."""
        return 0.0 if self._last is None else max(0.0, self.now() - self._last)

    def _newly_behind(self) -> list[bytes]:
        """Give the message that says so, once it is behind."""
        lag = self._lag()
        if self._behind or self.settings.once or lag <= self.settings.max_lag:
            return []
        self._behind = True
        logger.warning("behind: %.0f s", lag)
        return [self._notice("forward.behind", f"{lag:.0f} s behind; what follows is late", bad=True)]

    def _look_at_lag(self) -> None:
        """Tell in the stream that it was behind, and that it has caught up."""
        if any(follower.behind() for follower in self._followers.values()):
            return
        self._last = None
        if not self._behind:
            return
        self._behind = False
        logger.info("caught up")
        told = f"was behind for more than {self.settings.max_lag:.0f} s; nothing was left out but what was told of"
        self._delivered([self._notice("forward.caught_up", told, bad=False)])

    def _notice(self, code: str, detail: str, *, bad: bool) -> bytes:
        return self.settings.message(notice(self.now(), code, detail, bad=bad), "")
