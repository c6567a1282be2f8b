"""`gateway limits`: how much of its limits a partner has used, by the store that the gates share."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import click

from gateway.controls.partner_rates import PartnerRates
from gateway.controls.rate_limit import RateLimits, RouteLimit
from gateway.core.chain import Take
from gateway.core.message import Instant
from gateway.core.policy import Policy, Route
from gateway.core.reasons import Unavailable
from gateway.core.stores import EmbeddedSettings
from gateway.engine.embedded import address_in
from gateway.engine.start import StartError
from gateway.policy import PolicyInvalid, load
from gateway.policy.describe import described_rate
from gateway.state.valkey.store import ValkeyState

CONNECT_SECONDS = 3.0


class Refused(click.ClickException):
    """It cannot be told; the message says why."""

    exit_code = 2


@click.group()
def limits() -> None:
    """Look at rate limits."""


@limits.command()
@click.argument("policy", type=click.Path(exists=True, path_type=Path))
@click.argument("partner")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var/state"),
    show_default=True,
    help="As for `gateway run`, where the gate runs its own store.",
)
def show(policy: Path, partner: str, state: Path) -> None:
    """Show what PARTNER has used of its limits on each route of POLICY. Nothing is taken.

    Exits with 2 where it cannot be told.
    """
    try:
        read = load(policy, os.environ, now=Instant(time.time())).policy
    except PolicyInvalid as invalid:
        raise Refused("\n".join(str(problem) for problem in invalid.problems)) from None
    if partner not in read.partners:
        raise Refused(f"no partner {partner} in this policy")
    if read.state.store is None:
        raise Refused("the limits are counted in the memory of the gate: `state: {store: valkey}` can be looked at")
    try:
        for line in asyncio.run(_lines(read, partner, state)):
            click.echo(line)
    except (OSError, StartError, Unavailable) as error:
        raise Refused(f"the store cannot be asked: {error}") from None


async def _lines(policy: Policy, partner: str, state: Path) -> list[str]:
    at = address_in(state) if isinstance(policy.state.store, EmbeddedSettings) else None
    store = ValkeyState(policy.name, policy.state, None, lambda: Instant(time.time()), at=at)
    store.looks = True
    try:
        await store.start(CONNECT_SECONDS)
        if not store.connected:
            raise StartError(store.because)
        rows = [row for route in policy.routes for row in await _rows(store, policy, route, partner)]
    finally:
        await store.stop()
    wide = [max((len(row[column]) for row in rows), default=0) for column in range(2)]
    return ["  ".join((row[0].ljust(wide[0]), row[1].ljust(wide[1]), row[2])) for row in rows]


async def _rows(store: ValkeyState, policy: Policy, route: Route, partner: str) -> list[tuple[str, str, str]]:
    """Give route, limit and what is used of it."""
    if route.partners is not None and partner not in route.partners:
        return []
    listed = list(_limits(route, partner))
    own = [each for each in listed if each.by == ("partner",)]
    takes = [Take(each.limit, (policy.name, route.name, each.limit.name, partner)) for each in own]
    used = dict(zip((each.limit.name for each in own), await store.look(takes), strict=True)) if takes else {}
    rows = []
    for each in listed:
        name = each.limit.name
        said = f"counted by {', '.join(each.by)}: one bucket for each"
        if name in used:
            said = f"used {used[name]} of {described_rate(each.limit)}"
        rows.append((route.name, name, said))
    return rows


def _limits(route: Route, partner: str) -> Iterator[RouteLimit]:
    for control in route.chain:
        if isinstance(control, RateLimits):
            yield from control.limits
        elif isinstance(control, PartnerRates):
            yield from control.of(partner).limits
