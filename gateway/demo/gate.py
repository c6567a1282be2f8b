"""The gate as the demo runs it: a process of its own, started from the policies, stopped by SIGTERM."""

import asyncio
import socket
import sys
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from gateway.demo.journal import POLL_SECONDS, STARTED, Journal
from gateway.demo.upstream import LOOPBACK

START_POLLS = 3000
"""Thirty seconds: a loaded machine takes several to import everything."""

STOP_SECONDS = 40.0
"""Longer than the gate drains."""

GATE_PORT, UPSTREAM_PORT = 8443, 9000
"""As `policies/` has them."""


class DemoError(Exception):
    """The demo cannot go on; the message says why and what to do."""


def check_free(ports: Iterable[int]) -> None:
    """Raise DemoError where a port is taken."""
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError as error:
                raise DemoError(
                    f"{LOOPBACK}:{port} cannot be used ({error.strerror}): stop what listens there, "
                    f"or choose other ports with --port (0: any that are free)"
                ) from None


def free_port() -> int:
    """Give a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def copy_policies(source: Path, target: Path, gate_port: int, upstream_port: int) -> None:
    """Copy the policies with other ports. Raises DemoError where they do not name the usual ones."""
    target.mkdir(parents=True)
    changes = (
        (f"{LOOPBACK}:{GATE_PORT}", f"{LOOPBACK}:{gate_port}"),
        (f"http://{LOOPBACK}:{UPSTREAM_PORT}", f"http://{LOOPBACK}:{upstream_port}"),
    )
    texts = {file.name: file.read_text() for file in sorted(source.glob("*.yaml"))}
    for old, new in changes:
        if not any(old in text for text in texts.values()):
            raise DemoError(f"{source} does not name {old}: change it back, or run the demo without --port")
        texts = {name: text.replace(old, new) for name, text in texts.items()}
    for name, text in texts.items():
        (target / name).write_text(text)


@asynccontextmanager
async def running(command: Sequence[str | Path], journal: Journal, log: Path) -> AsyncGenerator[int]:
    """Run a gate meanwhile; gives its process id once the audit log says that it listens.

    What it prints goes to `log`. Raises DemoError with the end of that where it does not start, and where it does
    not stop in good order.
    """
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            await _wait_for_start(process, journal, log)
            yield process.pid
        finally:
            await _stop(process)
    if process.returncode != 0:
        raise DemoError(f"the gate ended with exit code {process.returncode}:\n{_end_of(log)}")


def command(policies: Path, audit: Path, state: Path) -> list[str | Path]:
    """Give the command that starts a gate with this interpreter."""
    return [sys.executable, "-m", "gateway", "run", policies, "--audit", audit, "--state", state]


async def _wait_for_start(process: asyncio.subprocess.Process, journal: Journal, log: Path) -> None:
    for _ in range(START_POLLS):
        if any(entry.kind == STARTED for entry in journal.read()):
            return
        if process.returncode is not None:
            raise DemoError(f"the gate did not start (exit code {process.returncode}):\n{_end_of(log)}")
        await asyncio.sleep(POLL_SECONDS)
    raise DemoError(f"the gate does not listen after {START_POLLS * POLL_SECONDS:.0f} s:\n{_end_of(log)}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):  # Ctrl-C reaches it too, and it may be gone by now
            process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _end_of(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) or f"(it printed nothing to {log})"
