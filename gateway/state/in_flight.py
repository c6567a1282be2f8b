"""Requests in flight, in the memory of the process."""

from gateway.core.holds import Enter, Entered, Leave
from gateway.core.message import Instant


class InFlight:
    """The places of each partner on each route. Those whose lease is over are free."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str, str], dict[int, float]] = {}
        """The end of each lease by token, oldest first."""
        self._last = 0

    def __len__(self) -> int:
        """Give how many partners and routes have requests in flight."""
        return len(self._places)

    def enter(self, ask: Enter, now: Instant) -> Entered:
        """Take a place where there is one."""
        places = self._places.setdefault((ask.policy, ask.route, ask.partner), {})
        while places and next(iter(places.values())) <= now:
            del places[next(iter(places))]
        if len(places) >= ask.most:
            return Entered(False)
        self._last += 1
        places[self._last] = now + ask.lease
        return Entered(True, self._last)

    def taken(self, policy: str, route: str, partner: str, now: Instant) -> int:
        """Give how many places are taken."""
        return sum(ends > now for ends in self._places.get((policy, route, partner), {}).values())

    def leave(self, leave: Leave) -> None:
        """Free a place, if it is still held."""
        key = (leave.ask.policy, leave.ask.route, leave.ask.partner)
        places = self._places.get(key)
        if places is None or not isinstance(leave.token, int):
            return
        places.pop(leave.token, None)
        if not places:
            del self._places[key]
