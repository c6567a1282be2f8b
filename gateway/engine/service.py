"""The service: brings everything up in order, watches, reloads, drains, and takes everything down again.

Start: policy, log, state, TLS, listeners; each failure stops the start with a message that says what to do.
Stop: listeners first, then open requests within their time, then state and log.
"""

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from gateway.audit.events import GateStarted, GateStopped, PolicyLoaded, PolicyRefused
from gateway.audit.log import AuditLog
from gateway.controls.signature import widest_window
from gateway.core.policy import Policy
from gateway.core.reasons import Unavailable
from gateway.engine.barring import Barring, Noticed
from gateway.engine.clock import Clock
from gateway.engine.counting import Counting
from gateway.engine.expiry import Expiries
from gateway.engine.gate import Gate
from gateway.engine.in_force import InForce
from gateway.engine.issuers import Issuers
from gateway.engine.kernel_clock import ClockWatch
from gateway.engine.master import GateMaster, make_contexts
from gateway.engine.mode import spec_of
from gateway.engine.resetting import Resetting
from gateway.engine.revocation import RevocationCheck, record_staleness
from gateway.engine.revocation_remote import Remote
from gateway.engine.revocation_store import KeptLists
from gateway.engine.shared_lockouts import lockouts_of
from gateway.engine.start import StartError, check_environment, explained, listeners_of
from gateway.engine.states import States, same_store
from gateway.engine.tls import ServerContext
from gateway.engine.transparency import Transparency, key_of
from gateway.engine.upstream_pool import Pools
from gateway.engine.upstream_tls import UpstreamTls
from gateway.engine.watch import Watch
from gateway.engine.worker import Worker
from gateway.policy import Loaded, PolicyInvalid, load
from gateway.state.restart import HEARTBEAT
from gateway.state.revocations import JournalError

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 30.0
"""Time that open requests have after SIGTERM."""

CUT_SECONDS = 2.0
"""Time for the outcomes of requests that are cut off to be recorded."""

_ALLOCATIONS = 20_000
"""Objects made and not freed until the collector looks at the young ones."""

TICK_SECONDS = 1.0
"""How often files are looked at and the log is synced."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to run the gate; everything else stands in the policy."""

    policy: Path
    audit: Path
    state: Path
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    drain_seconds: float = DRAIN_SECONDS
    clock: Clock = field(default_factory=Clock)
    shared: Path | None = None
    """Folder of the state that all workers share; None: `state`."""
    layers: bool = False
    """Whether HTTP/1.1 goes through mitmproxy's layers too, as HTTP/2 does."""
    addons: tuple[Path, ...] = ()
    """Scripts of user addons; with any, HTTP/1.1 goes through mitmproxy's layers."""
    worker: Worker | None = None
    """Which of several processes this one is; None: the only one."""
    ready: Callable[["Service"], None] | None = None
    """Called once the listeners accept."""


def run(settings: Settings) -> int:
    """Run the gate until it is told to stop; gives the exit code."""
    logging.getLogger("mitmproxy").setLevel(logging.ERROR)
    return explained(lambda: uvloop.run(Service(settings).run()))


def spare_collector() -> None:
    """Have the garbage collector pass over all that is there now.

    It would look at every object of the policy again and again, and no request is served meanwhile: a policy of
    10,000 partners has half a million of them. What a later policy replaces is freed all the same, as it has no cycles.
    """
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, 20, 20)


class Service:
    """One run of the gate."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = settings.clock
        self._stop = asyncio.Event()
        self._because = "unknown"
        self._reload = asyncio.Event()
        self._reload_because = ""
        self._log_failing = False
        self.expiries = Expiries()
        self._alone = settings.worker is None
        """Whether what this process counts and remembers is all there is."""

    async def run(self) -> int:
        """Run until stopped."""
        check_environment(self.settings.environ)
        began = self.clock.now()
        loaded = load(self.settings.policy, self.settings.environ, now=began, shared_state=self._alone)
        policy = loaded.policy
        if self.settings.worker is not None and set(self.settings.worker.listeners) != set(listeners_of(policy)):
            raise StartError("the policy's listeners are others than those of the workers: restart the gate")
        key = key_of(policy, self.settings.audit, self.settings.state, self.settings.worker, began)
        self.log = open_log(self.settings.audit, key.size)
        try:
            self.states = States(self.settings.state, alone=self._alone, clock=self.clock)
            store = await self.states.open(policy)
            self.state = self.states.state
            self.gate = Gate(coming_into_force(loaded), store, self.log, self.clock)
            self.watch = Watch(loaded.files, began)
            self.transparency = Transparency(key, self.gate)
            try:
                shared, worker = self.settings.shared or self.settings.state, self.settings.worker
                self.lockouts = lockouts_of(self.gate, self.state, shared, worker)
                self.barring = open_barring(self.gate, self.settings, self.lockouts.noticed)
                self.resetting = Resetting(self.gate, shared, self.settings.state)
                await self.lockouts.start()
                self.issuers = Issuers(policy, self.gate)
                kept = KeptLists(self.settings.state / "revocation")
                self.remote = Remote(self.clock, self.gate.hear, kept)
                self.gate.in_force = coming_into_force(loaded, self.issuers, self.remote)
                self.remote.adopt(check.settings for check in self.gate.in_force.revocation.values())
                self.master = GateMaster(
                    self.gate, policy,
                    flows=self.settings.layers, shared=not self._alone, addons=self.settings.addons,
                )  # fmt: skip
                self.counting = Counting(self.gate, self.master.listeners)
                await self.counting.start(policy.metrics, self.settings.worker)
                await self.master.start()
                spare_collector()
            except OSError as error:
                await self.states.close()
                raise StartError.of(error) from error
            except BaseException:
                await self.states.close()
                raise
            try:
                await self._serve(loaded)
            finally:
                await self._take_down()
        finally:
            close_log(self.log)
        return 0

    async def _serve(self, loaded: Loaded) -> None:
        policy = loaded.policy
        listeners = listeners_of(policy)
        self.expiries.adopt(loaded.material)
        self.counting.adopt(loaded.material)
        inline = () if self.master.user_addons is None else self.master.user_addons.lines
        warnings = (*inline, *(str(warning) for warning in loaded.warnings))
        self._clock_watch = ClockWatch(self.gate)
        try:
            # The first record of a run; without it nothing is served.
            now, facts, clock = self.clock.now(), self.gate.in_force.facts, self._clock_watch.started()
            self.log.append(GateStarted(now, facts, listeners, warnings, clock, self.transparency.key.id))
        except Unavailable as error:
            raise StartError(f"the audit log cannot be written: {error.detail}") from None
        self.transparency.start()
        self.states.attend(self.gate)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop, signal.Signals(number).name)
        loop.add_signal_handler(signal.SIGHUP, self.request_reload, "signal")
        for line in listeners:
            logger.info("listening: %s", line)
        logger.info("policy %s %s in force", policy.name, policy.digest[:12])
        self.barring.cut = self.master.standings.barred
        self.barring.start()
        self.resetting.look()
        self.gate.told = self.lockouts.decided if policy.lockout is not None else None
        self.issuers.tick()
        if self.settings.ready is not None:
            self.settings.ready(self)
        self._beat_at = self.clock.monotonic() + HEARTBEAT
        while not self._stop.is_set():
            await self._tick()

    async def _tick(self) -> None:
        waits = [asyncio.ensure_future(self._stop.wait()), asyncio.ensure_future(self._reload.wait())]
        await asyncio.wait(waits, timeout=TICK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if self._stop.is_set():
            return
        if not self._reload.is_set() and self.watch.changed():
            self.request_reload("file change")
        if self._reload.is_set():
            self._reload.clear()
            await self.reload(self._reload_because)
        self.issuers.tick()
        self.resetting.look()
        self._clock_watch.tick()
        # Off the loop: a slow disk must not hold up requests.
        await asyncio.to_thread(self.log.sync)
        if self.log.failing != self._log_failing:
            self._log_failing = self.log.failing
            logger.error("audit log: %s", "cannot be written, requests are refused" if self._log_failing else "works")
        self.remote.tick(self.master.standings.chains if self.remote.learnt.answers else ())
        if self.remote.news:
            self.remote.news = False
            self.master.standings.news()
        self.master.standings.look()
        in_force = self.gate.in_force
        record_staleness(in_force.revocation.values(), self.gate.health, self.clock.now(), in_force.facts)
        for line in self.expiries.due(self.clock.now()):
            logger.warning("%s", line)
        if self.clock.monotonic() >= self._beat_at:
            self._beat_at = self.clock.monotonic() + HEARTBEAT
            self._beat()

    def _beat(self) -> None:
        now, facts = self.clock.now(), self.gate.in_force.facts
        try:
            self.state.beat(now)
        except OSError as error:
            # By another name than the store's: it goes on answering from memory.
            self.gate.health.failed("state.folder", error.strerror or str(error), now, facts)
        else:
            self.gate.health.worked(["state.folder"], now, facts)

    def stop(self, because: str) -> None:
        """Begin to stop."""
        self._because = because
        self._stop.set()

    def request_reload(self, because: str) -> None:
        """Have the policy read again."""
        self._reload_because = because
        self._reload.set()

    async def reload(self, because: str) -> bool:
        """Read the policy anew and put it in force whole, or record why not and keep the old one."""
        old, began, before = self.gate.in_force, self.clock.now(), self.watch.look()
        try:
            # Off the loop: a policy of 10,000 partners takes seconds to read.
            loaded = await asyncio.to_thread(
                load, self.settings.policy, self.settings.environ, now=began, shared_state=self._alone
            )
            contexts = make_contexts(loaded.policy)
            pools = Pools(UpstreamTls(loaded.policy.upstreams), self.gate)
            issuers = Issuers(loaded.policy, self.gate)
            unchangeable(old.policy, loaded.policy)
            now = self.clock.now()
            self.state.adopt(loaded.policy.state, widest_window(loaded.policy), now)
        except PolicyInvalid as invalid:
            # What the refused policy names is watched too: the file it lacks may appear.
            self.watch = Watch(invalid.files, began, before)
            self._refuse_reload(because, tuple(str(problem) for problem in invalid.problems))
            return False
        except (OSError, StartError) as error:
            self._refuse_reload(because, (str(error),))
            return False
        except Exception as error:
            logger.exception("reload")
            self._refuse_reload(because, (f"{type(error).__name__} while the policy was read",))
            return False
        self.master.contexts = contexts
        self.master.pools.close()
        self.master.pools = pools
        self._admit_under(contexts)
        issuers.follow(self.issuers)
        self.gate.in_force = coming_into_force(loaded, issuers, self.remote)
        self.remote.adopt(check.settings for check in self.gate.in_force.revocation.values())
        self.gate.told = self.lockouts.decided if loaded.policy.lockout is not None else None
        self.issuers.retire()
        self.issuers = issuers
        issuers.tick()
        self.gate.commit.durable = loaded.policy.audit.durable
        self.master.standings.reloaded(old, contexts)
        self.expiries.adopt(loaded.material)
        self.counting.adopt(loaded.material)
        pools.forget_others(loaded.policy.upstreams.values())
        self.watch = Watch(loaded.files, began, before)
        warnings = tuple(str(warning) for warning in loaded.warnings)
        self.gate.record(PolicyLoaded(now, self.gate.in_force.facts, old.facts, because, warnings))
        spare_collector()
        logger.info("policy %s %s in force", loaded.policy.name, loaded.policy.digest[:12])
        return True

    def _admit_under(self, contexts: Mapping[str, ServerContext]) -> None:
        """Have handshakes made under new contexts."""
        for name, listener in self.master.listeners.items():
            listener.context = contexts[name]

    def _refuse_reload(self, because: str, problems: tuple[str, ...]) -> None:
        for problem in problems:
            logger.error("policy refused: %s", problem)
        self.gate.record(PolicyRefused(self.clock.now(), self.gate.in_force.facts, because, problems))

    async def _take_down(self) -> None:
        """Stop accepting, let open requests finish, then save the state and close the log."""
        self.gate.draining = True
        for listener in self.master.listeners.values():
            listener.close()
        for handler in list(self.master.handlers):
            handler.drain()
        await self._until_ended(self.settings.drain_seconds)
        unfinished = self.gate.unfinished
        for handler in list(self.master.handlers):
            handler.abort()
        await self._until_ended(CUT_SECONDS)
        for listener in self.master.listeners.values():
            listener.abort()
        await self.issuers.close()
        await self.lockouts.close()
        await self.barring.close()
        await self.remote.close()
        await self.counting.close()
        self.master.pools.close()
        await asyncio.sleep(0)
        await self.master.done()
        await self.states.close()
        self.gate.record(GateStopped(self.clock.now(), self.gate.in_force.facts, self._because, unfinished))
        self.gate.commit.close()
        await self.transparency.stop()
        logger.info("stopped: %s", self._because)

    async def _until_ended(self, seconds: float) -> None:
        """Wait until every connection has ended, `seconds` at most."""
        ends = self.clock.monotonic() + seconds
        while self.master.handlers and self.clock.monotonic() < ends:  # noqa: ASYNC110 - many ends, one wait
            await asyncio.sleep(0.02)


def coming_into_force(loaded: Loaded, issuers: Issuers | None = None, remote: Remote | None = None) -> InForce:
    """Give what comes into force with a policy that was read."""
    tls = {name: listener.tls.revocation for name, listener in loaded.policy.listeners.items()}
    checks = {
        name: RevocationCheck(settings, loaded.revocation_lists.get(name, ()), remote)
        for name, settings in tls.items()
        if settings is not None
    }
    if issuers is None:
        return InForce(loaded.policy, loaded.key_sets, checks)
    return InForce(loaded.policy, issuers.key_sets(loaded.key_sets), checks, issuers.introspectors)


def open_log(directory: Path, published: int = 0) -> AuditLog:
    """Open the audit log, of which so many records were published. Raises StartError."""
    try:
        return AuditLog(directory, published=published)
    except Exception as error:
        raise StartError(f"audit log in {directory}: {error}") from error


def close_log(log: AuditLog) -> None:
    """Close the log; what it could not write or sync is told on standard error, the only place left."""
    if log.failing:
        logger.error("audit log: it could not be written at the end, and lacks records")
    try:
        log.close()
    except Unavailable as error:
        logger.error("audit log: %s", error.detail)  # noqa: TRY400


def open_barring(gate: Gate, settings: Settings, noticed: Noticed) -> Barring:
    """Read what was taken out of use; the first of several workers records it. Raises StartError."""
    records = settings.worker is None or settings.worker.number == 1
    barring = Barring(gate, settings.shared or settings.state, settings.state, noticed, records=records)
    try:
        barring.load()
    except JournalError as error:
        raise StartError(f"revocations in {settings.shared or settings.state}: {error}") from error
    return barring


def unchangeable(old: Policy, new: Policy) -> None:
    """Raise StartError where a reload would change what only a restart can."""
    if {spec_of(one) for one in old.listeners.values()} != {spec_of(one) for one in new.listeners.values()}:
        raise StartError("listeners cannot be added, removed or moved while the gate runs: restart it")
    if (old.audit.origin, old.audit.key) != (new.audit.origin, new.audit.key):
        raise StartError("the audit log's origin and key cannot be changed while the gate runs: restart it")
    if old.metrics != new.metrics:
        raise StartError("metrics cannot be moved while the gate runs: restart it")
    if not same_store(old.state, new.state):
        raise StartError("the store of the state cannot change while the gate runs: restart it")
