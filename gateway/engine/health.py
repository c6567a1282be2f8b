"""Which controls are failing, so that the log tells the beginning and the end of each failure (PCI DSS 10.7)."""

from collections.abc import Callable, Iterable

from gateway.audit.events import ControlFailed, ControlRecovered, Event, PolicyFacts
from gateway.core.message import Instant


class Health:
    """Remembers since when a control fails; records the first failure and the recovery, not each request."""

    def __init__(self, record: Callable[[Event], object]) -> None:
        self._record = record
        self.failing: dict[str, Instant] = {}
        """The controls that fail now, and since when."""

    def failed(self, control: str, detail: str, now: Instant, policy: PolicyFacts) -> None:
        """Note that `control` could not do its work."""
        if control not in self.failing:
            self.failing[control] = now
            self._record(ControlFailed(at=now, policy=policy, control=control, detail=detail))

    def worked(self, controls: Iterable[str], now: Instant, policy: PolicyFacts, detail: str = "works again") -> None:
        """Note that the controls did their work, or what else ended their failure."""
        if not self.failing:
            return
        for control in controls:
            since = self.failing.pop(control, None)
            if since is not None:
                self._record(ControlRecovered(at=now, policy=policy, control=control, failed_at=since, detail=detail))
