"""What a listener knows of revoked certificates, and what of that is out of date."""

from collections.abc import Iterable, Mapping

from gateway.audit.events import PolicyFacts
from gateway.core.message import Instant
from gateway.core.policy import Revocation
from gateway.engine.health import Health
from gateway.engine.revocation_remote import Remote
from gateway.pki.chain import Chain
from gateway.pki.crl import RevocationList
from gateway.pki.revocation import Lists, Verdict, judge

CONTROL = "revocation:"
"""Beginning of the name under which a failure is recorded; the issuer follows."""


class RevocationCheck:
    """Tells whether a chain may be used. One for each listener that checks revocation, made anew on each reload."""

    def __init__(
        self, settings: Revocation, lists: Iterable[RevocationList] = (), remote: Remote | None = None
    ) -> None:
        self.settings = settings
        self._lists = Lists(lists)
        self._remote = remote if settings.asks else None

    async def learn(self, chain: Chain) -> None:
        """Ask over the network for what is missing to judge a chain, where the policy has it asked."""
        if self._remote is not None:
            await self._remote.learn(self.settings, chain, self._lists)

    def judge(self, chain: Chain, now: Instant) -> Verdict:
        """Say what is known of a chain now."""
        settings = self.settings
        learnt = None if self._remote is None else self._remote.learnt
        return judge(chain, self._lists, now, stale_for=settings.stale_for, leaf_only=settings.leaf_only, learnt=learnt)

    def stale(self, now: Instant) -> Mapping[str, Instant]:
        """Name the issuers whose list is out of date, and since when, whether it still counts or not."""
        return {issuer: end for issuer, end in self.ends.items() if end < now}

    @property
    def ends(self) -> Mapping[str, Instant]:
        """Name the issuers, and when the list of each goes out of date."""
        ends = self._lists.ends()
        if self._remote is None:
            return ends
        return {**ends, **Lists(list(self._remote.learnt.lists.values())).ends()}


def record_staleness(checks: Iterable[RevocationCheck], health: Health, now: Instant, policy: PolicyFacts) -> None:
    """Record lists that went out of date, and those that are up to date again."""
    stale: dict[str, Instant] = {}
    for check in checks:
        stale.update(check.stale(now))
    for issuer, since in stale.items():
        detail = f"the revocation list is out of date since {int(now - since)} s"
        health.failed(f"{CONTROL}{issuer}", detail, now, policy)
    if health.failing:
        over = [name for name in health.failing if name.startswith(CONTROL) and name.removeprefix(CONTROL) not in stale]
        health.worked(over, now, policy, "no list of it is out of date")
