"""`gateway limits`: how much of its limits a partner has used, and having them begin anew."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import click

from gateway.cli.revoke import STATE, reasons
from gateway.controls.concurrency import Concurrency
from gateway.controls.partner_rates import PartnerRates, counters_of
from gateway.controls.rate_limit import RateLimits, RouteLimit
from gateway.core.chain import RateLimit, Take
from gateway.core.holds import Enter
from gateway.core.message import Instant
from gateway.core.policy import Policy, Route
from gateway.core.reasons import Unavailable
from gateway.core.stores import EmbeddedSettings
from gateway.engine.embedded import address_in
from gateway.engine.resetting import RECORDED
from gateway.engine.start import StartError
from gateway.policy import PolicyInvalid, load
from gateway.policy.describe import described_rate
from gateway.policy.problem import quoted
from gateway.policy.reader import suggestion
from gateway.state.looks import Question, Used
from gateway.state.resets import Reset, ResetsError, add
from gateway.state.valkey.operator import Operator
from gateway.state.valkey.store import ValkeyState

CONNECT_SECONDS = 3.0

TAKEN_SECONDS = 5.0
"""Time for which a command waits for the gate that counts in its memory."""


class Refused(click.ClickException):
    """It cannot be told, or done; the message says why."""

    exit_code = 2


@click.group()
def limits() -> None:
    """Look at the rate limits of a partner, and have them begin anew."""


@limits.command()
@click.argument("policy", type=click.Path(exists=True, path_type=Path))
@click.argument("partner")
@STATE
def show(policy: Path, partner: str, state: Path) -> None:
    """Show what PARTNER has used of its limits on each route of POLICY. Nothing is taken.

    Exits with 2 where it cannot be told.
    """
    read = _read(policy, (partner,))
    if read.state.store is None:
        lines = asyncio.run(_lines(_Told(_ask_the_gate(state, partner)), read, partner))
    else:
        lines = _with_store(read, state, lambda operator: _lines(operator, read, partner))
    for line in lines:
        click.echo(line)


@limits.command()
@click.argument("policy", type=click.Path(exists=True, path_type=Path))
@click.argument("partners", nargs=-1, required=True, metavar="PARTNER...")
@click.option("--route", "routes", multiple=True, help="Only on this route; may be given several times.")
@reasons
def reset(
    *, policy: Path, partners: tuple[str, ...], routes: tuple[str, ...], state: Path, by: str, because: str
) -> None:
    """Have the rate limits and quotas of PARTNERs on the routes of POLICY begin anew. Stands in the audit log.

    What is counted by the partner begins anew, alone or with something else; not what is counted by token, address
    or route only. Requests in flight, amounts and counts of velocity limits, and idempotency keys stay as they are.
    Exits with 2 where it cannot be done.
    """
    read = _read(policy, partners)
    known = [route.name for route in read.routes]
    for route in routes:
        if route not in known:
            raise Refused(f"no route {quoted(route)} in this policy ({suggestion(route, known)})")
    if not state.is_dir():
        raise Refused(f"{state} is no folder: name the one that gateway run has with --state")
    now = Instant(time.time())
    asked = [Reset(0, partner, routes, now, by, because) for partner in dict.fromkeys(partners)]
    if read.state.store is None:
        _by_the_gate(state, _note(state, asked))
        return

    async def begin_anew(operator: Operator) -> list[str]:
        # In the journal first: nothing is reset that no record tells of.
        return [await _by_the_store(operator, read, one) for one in _note(state, asked)]

    for line in _with_store(read, state, begin_anew):
        click.echo(line)


def _note(state: Path, resets: list[Reset]) -> list[Reset]:
    try:
        return add(state, resets)
    except (ResetsError, OSError) as error:
        raise Refused(f"resets in {state}: {error}") from None


async def _by_the_store(operator: Operator, policy: Policy, reset: Reset) -> str:
    gone = 0
    for counters in counters_of(policy, reset.partner, reset.routes):
        gone += await operator.forget(counters)
    return f"reset: {reset.partner} (number {reset.number}; counters in use: {gone})"


def _by_the_gate(state: Path, resets: Sequence[Reset]) -> None:
    """Wait until the gate that counts has taken it over."""
    ends = time.monotonic() + TAKEN_SECONDS
    while _taken(state) < resets[-1].number:
        if time.monotonic() > ends:
            numbers = ", ".join(str(each.number) for each in resets)
            raise Refused(
                f"noted (number {numbers}), and no gate has done it yet: does one run with this --state? "
                "Whichever runs with it next does it"
            )
        time.sleep(0.05)
    for each in resets:
        click.echo(f"reset: {each.partner} (number {each.number})")


def _taken(state: Path) -> int:
    try:
        return int((state / RECORDED).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def _read(policy: Path, partners: Sequence[str]) -> Policy:
    try:
        read = load(policy, os.environ, now=Instant(time.time())).policy
    except PolicyInvalid as invalid:
        raise Refused("\n".join(str(problem) for problem in invalid.problems)) from None
    for partner in partners:
        if partner not in read.partners:
            raise Refused(f"no partner {partner} in this policy")
    return read


def _with_store[T](policy: Policy, state: Path, work: Callable[[Operator], Awaitable[T]]) -> T:
    """Do something with the store that the gates share."""

    async def run() -> T:
        at = address_in(state) if isinstance(policy.state.store, EmbeddedSettings) else None
        store = ValkeyState(policy.name, policy.state, None, lambda: Instant(time.time()), at=at)
        store.looks = True
        try:
            await store.start(CONNECT_SECONDS)
            if not store.connected:
                raise StartError(store.because)
            return await work(store.operator)
        finally:
            await store.stop()

    try:
        return asyncio.run(run())
    except (OSError, StartError, Unavailable) as error:
        raise Refused(f"the store cannot be asked: {error}") from None


class _Source(Protocol):
    """Tells what is used."""

    def look(self, takes: Sequence[Take]) -> Awaitable[list[int]]:
        """Tell it of the buckets of one route."""
        ...

    def in_flight(self, ask: Enter) -> Awaitable[int]:
        """Tell how many requests are in flight."""
        ...


class _Told:
    """What the gate has told that counts in its memory."""

    def __init__(self, used: Used) -> None:
        self._used = used

    async def look(self, takes: Sequence[Take]) -> list[int]:
        """Tell it of the buckets of one route."""
        return [self._used.limits.get(take.key[1], {}).get(take.limit.name, 0) for take in takes]

    async def in_flight(self, ask: Enter) -> int:
        """Tell how many requests are in flight."""
        return self._used.in_flight.get(ask.route, 0)


def _ask_the_gate(state: Path, partner: str) -> Used:
    """Ask the gate that runs with this state."""
    try:
        question = Question(state, partner)
    except OSError as error:
        raise Refused(f"{state}: {error.strerror}: name the folder that gateway run has with --state") from None
    try:
        ends = time.monotonic() + TAKEN_SECONDS
        while (used := question.answer()) is None:
            if time.monotonic() > ends:
                raise Refused(f"the limits are counted in the memory of the gate, and none runs with {state}")
            time.sleep(0.05)
        return used
    finally:
        question.close()


async def _lines(operator: _Source, policy: Policy, partner: str) -> list[str]:
    rows = [row for route in policy.routes for row in await _rows(operator, policy, route, partner)]
    wide = [max((len(row[column]) for row in rows), default=0) for column in range(2)]
    return ["  ".join((row[0].ljust(wide[0]), row[1].ljust(wide[1]), row[2])) for row in rows]


async def _rows(operator: _Source, policy: Policy, route: Route, partner: str) -> list[tuple[str, str, str]]:
    """Give route, limit and what is used of it."""
    if route.partners is not None and partner not in route.partners:
        return []
    listed = list(_limits(route, partner))
    own = [each for each in listed if each.by == ("partner",)]
    takes = [Take(each.limit, (policy.name, route.name, each.limit.name, partner)) for each in own]
    used = dict(zip((each.limit.name for each in own), await operator.look(takes), strict=True)) if takes else {}
    rows = []
    for each in listed:
        name = each.limit.name
        said = f"counted by {', '.join(each.by)}: one bucket for each"
        if name in used:
            said = f"used {used[name]} of {_described(each.limit)}"
        rows.append((route.name, name, said))
    for control in route.chain:
        if isinstance(control, Concurrency):
            ask = Enter(partner, policy.name, route.name, control.most, control.lease)
            rows.append((route.name, control.name, f"{await operator.in_flight(ask)} of {control.most} in flight"))
    return rows


def _described(limit: RateLimit) -> str:
    if limit.burst is None:
        return described_rate(limit)
    return f"the burst of {limit.burst} at {described_rate(replace(limit, burst=None, sliding=True))}"


def _limits(route: Route, partner: str) -> Iterator[RouteLimit]:
    for control in route.chain:
        if isinstance(control, RateLimits):
            yield from control.limits
        elif isinstance(control, PartnerRates):
            yield from control.of(partner).limits
