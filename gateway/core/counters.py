"""Which rate counters are a partner's: for whoever looks at them, or has them begin anew."""

from hashlib import blake2b
from typing import NamedTuple

from gateway.core.chain import Take


class PartnerCounters(NamedTuple):
    """A partner's counters on one route."""

    policy: str
    route: str
    partner: str
    takes: tuple[Take, ...]
    """One for each bucket that is counted by the partner alone."""
    mixed: bool
    """Whether there are others, counted by the partner and something else: they are known by `mark`."""

    @property
    def mark(self) -> str:
        """What stands in the name of each bucket that is counted by the partner and something else."""
        return mark_of(self.policy, self.route, self.partner)


def mark_of(policy: str, route: str, partner: str) -> str:
    """Give a digest by which a partner's buckets are known among all of a route."""
    return blake2b(repr((policy, route, partner)).encode(), digest_size=8).hexdigest()
