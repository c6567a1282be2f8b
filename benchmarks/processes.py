"""Running other programs: to their end for their output, or beside this one until they are stopped."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.errors import BenchError

LOOPBACK = "127.0.0.1"

START_SECONDS = 60.0
"""A gate with 10,000 partners reads its policy on one core."""

STOP_SECONDS = 45.0
"""Longer than the gate drains."""

POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Command:
    """A program, its arguments, and what its environment has beside this process's own."""

    arguments: Sequence[str | Path]
    environ: Mapping[str, str] = field(default_factory=dict)

    def on(self, core: int) -> "Command":
        """Give the same, kept on one core."""
        return Command(["taskset", "--cpu-list", str(core), *self.arguments], self.environ)


def output(command: Command, *, merged: bool = False) -> str:
    """Run to the end and give what it printed, with stderr where `merged`. Raises BenchError where it fails."""
    environ = {**os.environ, **command.environ}
    errors = subprocess.STDOUT if merged else subprocess.PIPE
    try:
        ran = subprocess.run(  # noqa: S603 - commands are made here, none of them of anyone else's text
            command.arguments, env=environ, stdout=subprocess.PIPE, stderr=errors, text=True, errors="replace",
            check=False,
        )  # fmt: skip
    except OSError as error:
        raise BenchError(f"{command.arguments[0]} cannot be run: {error.strerror}") from error
    if ran.returncode != 0:
        said = "\n".join(f"{ran.stdout}\n{ran.stderr or ''}".strip().splitlines()[-20:])
        raise BenchError(f"{' '.join(map(str, command.arguments))} ended with {ran.returncode}:\n{said}")
    return ran.stdout


@contextmanager
def running(command: Command, log: Path, port: int) -> Iterator[int]:
    """Run a server meanwhile; gives the id of its session, in which all its processes are.

    What it prints goes to `log`. Raises BenchError where nothing listens on `port` in time.
    """
    with log.open("wb") as printed:
        process = subprocess.Popen(  # noqa: S603 - as above
            command.arguments, env={**os.environ, **command.environ}, stdin=subprocess.DEVNULL, stdout=printed,
            stderr=printed, start_new_session=True,  # Ctrl-C is for this process, which stops the servers in order
        )  # fmt: skip
        try:
            _wait_for_port(process, port, log)
            yield process.pid
        finally:
            _stop(process)


def check_free(ports: Iterable[int]) -> None:
    """Raise BenchError where something else listens on one of these."""
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError as error:
                raise BenchError(f"{LOOPBACK}:{port} cannot be used ({error.strerror}): stop what uses it") from None


def _wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ends = time.monotonic() + START_SECONDS
    while time.monotonic() < ends:
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, port)) == 0:
                return
        time.sleep(POLL_SECONDS)
    why = "does not listen" if process.poll() is None else f"ended with {process.returncode}"
    said = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
    raise BenchError(f"the server on port {port} {why}:\n{said or f'(it printed nothing to {log})'}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    finally:  # a second Ctrl-C ends the waiting, and leaves nothing behind either
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
