"""The publisher as a process of its own, so that the gate neither waits for it nor holds the key that signs.

1. the gate starts it with the log's folder, and with file and name of the key; standard input is a socket to the gate
2. the gate says how far records are on the disk (`Work`); they are published, and the checkpoint is copied
3. old files are compressed and deleted; the gate is asked to record each of them, and records it before the file goes
4. meanwhile it is told, once a second, how far that is; at last, what was tried and what went wrong (`Done`)

Messages are lines of JSON. The process ends with its gate: at the end of the socket, or with the next word to it.
"""

import fcntl
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, Self

from gateway.audit.files import COMPRESSED
from gateway.audit.tlog.copies import send
from gateway.audit.tlog.key import read_key
from gateway.audit.tlog.lines import RecordsLostError
from gateway.audit.tlog.note import Checkpoint, NoteError
from gateway.audit.tlog.publisher import FOLDER, Publisher, TlogError
from gateway.audit.tlog.retention import DAY, OldFiles
from gateway.audit.tlog.witness import Prove, WitnessClient, WitnessError
from gateway.core.exchange import failure
from gateway.core.message import Instant
from gateway.core.publication import Retention, Witness

CONTROL = "audit.checkpoint"
"""What fails, in records, where nothing can be published."""

COPY, WITNESS = "audit.copy", "audit.witness"
"""What fails, with what it is behind a colon, where a copy cannot be made, and where a witness does not sign."""

RETENTION = "audit.retention"
"""What fails where old files cannot be compressed or deleted."""

KEEP_SECONDS = 3_600.0
"""How often it is looked whether files are old."""

NICE = 5
"""Priority below the gate's: a quarter of a core that the gate wants all of, several times what it needs."""

HURRY = signal.SIGUSR1
"""Tells the process that its gate stops: old files are left for the next run."""

SAY_SECONDS = 1.0
"""How often it is said how far the work is."""

LOCK_SECONDS = 0.1
"""How often it is tried whether the publisher of a gate that was killed has ended."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done: as the policy in force says it."""

    last: int
    """Sequence up to which the records are on the disk."""
    now: Instant
    copies: tuple[str, ...] = ()
    witnesses: tuple[Witness, ...] = ()
    retention: Retention | None = None

    def line(self) -> bytes:
        """Write it for the channel."""
        return message(asdict(self))

    @classmethod
    def read(cls, line: bytes) -> Self:
        """Read what `line` wrote."""
        read = json.loads(line)
        retention = read["retention"]
        return cls(
            read["last"], Instant(read["now"]), tuple(read["copies"]),
            tuple(Witness(**one) for one in read["witnesses"]), None if retention is None else Retention(**retention),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it."""

    size: int = 0
    """How many records the last checkpoint counts."""
    tried: dict[str, str | None] = field(default_factory=dict)
    """What was tried, by the name of a control, and what went wrong with it."""


def message(content: object) -> bytes:
    """Give a message for the channel."""
    return json.dumps(content).encode() + b"\n"


class GateGoneError(Exception):
    """The gate has ended."""


class _HurryError(Exception):
    """The gate stops: what can wait is left for its next run."""


class Channel:
    """The publisher's end."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._lines: BinaryIO = end.makefile("rb")
        self._said = time.monotonic()

    def next(self) -> bytes:
        """Wait for a message. Raises GateGoneError."""
        try:
            line = self._lines.readline()
        except OSError:
            line = b""
        if line[-1:] != b"\n":
            raise GateGoneError
        return line

    def say(self, content: object) -> None:
        """Send a message. Raises GateGoneError."""
        try:
            self._socket.sendall(message(content))
        except OSError:
            raise GateGoneError from None

    def progress(self, size: int | None = None) -> None:
        """Say how far the work is, now and then. Raises GateGoneError."""
        if time.monotonic() >= self._said + SAY_SECONDS:
            self._said = time.monotonic()
            self.say({"at": size})

    def record(self, what: str, **about: object) -> None:
        """Have the gate record something, on the disk. Raises OSError where it cannot."""
        self.say({"record": {"what": what, **about}})
        if json.loads(self.next()) != {"recorded": True}:
            raise OSError(5, "the log could not record it")


class Desk:
    """Does the work, and remembers what the next one goes on from."""

    def __init__(
        self, directory: Path, key: Path, name: str, channel: Channel, hurried: Callable[[], bool] = lambda: False
    ) -> None:
        """`hurried` tells whether the gate stops, so that only what must be done is to be done."""
        self._hurried = hurried
        self._directory = directory
        self._key, self._name = key, name
        self._channel = channel
        self._publisher: Publisher | None = None
        self._lock: int | None = None
        self._kept = -KEEP_SECONDS
        self._witnesses: dict[Witness, WitnessClient] = {}

    def do(self, work: Work) -> Done:
        """Publish, copy, compress and delete. Raises GateGoneError."""
        tried = dict[str, str | None]()

        def cosign(checkpoint: Checkpoint, note: str, prove: Prove) -> str:
            return "".join(self._ask(witness, (checkpoint, note, prove), tried) for witness in work.witnesses)

        note = _attempt(CONTROL, lambda: self._opened().publish(work.last, work.now, cosign), tried)
        if note is not None:
            for where in work.copies:
                _attempt(f"{COPY}:{where}", partial(send, where, note), tried)
        if work.retention is not None:
            _attempt(RETENTION, partial(self._keep, work.retention, work.now), tried)
        return Done(self._size, tried)

    def close(self) -> None:
        """Let the next publisher in."""
        if self._lock is not None:
            os.close(self._lock)

    @property
    def _size(self) -> int:
        """How many records the last checkpoint counts."""
        published = None if self._publisher is None else self._publisher.checkpoint
        return 0 if published is None else published.size

    def _opened(self) -> Publisher:
        if self._publisher is None:
            signer = read_key(self._key).named(self._name)
            self._lock = self._lock or lock(self._directory / FOLDER, self._channel.progress)
            self._publisher = Publisher(self._directory, signer, progress=self._channel.progress)
        return self._publisher

    def _ask(self, witness: Witness, what: tuple[Checkpoint, str, Prove], tried: dict[str, str | None]) -> str:
        if witness not in self._witnesses:
            self._witnesses[witness] = WitnessClient(witness.url, witness.key)
        self._channel.progress()
        return _attempt(f"{WITNESS}:{witness.name}", partial(self._witnesses[witness].cosign, *what), tried) or ""

    def _keep(self, age: Retention, now: Instant) -> None:
        """Compress and delete what is old; looked at once an hour."""
        if now < self._kept + KEEP_SECONDS or not self._size:
            return
        with suppress(_HurryError):
            self._kept = now
            self._take_care(OldFiles(self._directory, self._directory / FOLDER, self._go_on), age, now)

    def _go_on(self) -> None:
        """Say how far it is, and give up if the gate stops: a file that is half compressed is no harm."""
        if self._hurried():
            raise _HurryError
        self._channel.progress()

    def _take_care(self, old: OldFiles, age: Retention, now: Instant) -> None:
        sealed, deleted = old.due(age, self._size, now)
        for due in sealed:
            digest = old.seal(due)
            self._channel.record("sealed", file=due.file.path.name, first=due.file.first, last=due.last, sha256=digest)
        for due in deleted:
            # Nothing is deleted that the log does not say before, on the disk.
            name = due.file.path.name.removesuffix(COMPRESSED)
            about = {"first": due.file.first, "last": due.last, "keep": f"{age.keep / DAY:g}d"}
            self._channel.record("deleted", file=name, **about)
            old.delete(due)
        if deleted:
            old.prune()


def lock(folder: Path, progress: Callable[[], None] = lambda: None) -> int:
    """Wait until no other publisher is at work in a folder, and keep others out; gives what is to be closed.

    The publisher of a gate that was killed may still be at its last work.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return fd
            progress()
            time.sleep(LOCK_SECONDS)
    except BaseException:
        os.close(fd)
        raise


def _attempt[T](control: str, work: Callable[[], T], tried: dict[str, str | None]) -> T | None:
    """Do something that may fail, and note under the name of a control whether it did."""
    try:
        done = work()
    except GateGoneError:
        raise
    except (OSError, NoteError, TlogError, RecordsLostError, WitnessError) as error:
        of_system = isinstance(error, OSError) and error.strerror
        named = f": {error.filename}" if isinstance(error, OSError) and error.filename else ""
        tried[control] = f"{of_system}{named}" if of_system else str(error)
        return None
    except Exception as error:  # noqa: BLE001 - whatever it is, the next turn tries again
        tried[control] = failure(error).detail
        return None
    tried[control] = None
    return done


def serve(
    directory: Path, key: Path, name: str, end: socket.socket, hurried: Callable[[], bool] = lambda: False
) -> None:
    """Work until the gate ends."""
    channel = Channel(end)
    desk = Desk(directory, key, name, channel, hurried)
    with suppress(GateGoneError):
        while True:
            channel.say({"done": asdict(desk.do(Work.read(channel.next())))})
    desk.close()


def main(arguments: list[str]) -> None:
    """Serve the gate at the other end of standard input."""
    # What stops the gate comes to its whole group: this process ends after the gate's last word.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    hurry = threading.Event()
    signal.signal(HURRY, lambda *_: hurry.set())
    with suppress(OSError):  # where system calls are filtered
        os.nice(NICE)
    directory, key, name = arguments
    serve(Path(directory), Path(key), name, socket.socket(fileno=os.dup(0)), hurry.is_set)


if __name__ == "__main__":
    main(sys.argv[1:])
