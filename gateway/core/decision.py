"""What the core decides about one request."""

from typing import TYPE_CHECKING, NamedTuple

from gateway.core.holds import StoredAnswer
from gateway.core.reasons import Reason

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange


class Decision(NamedTuple):
    """Allow or deny, and why."""

    reason: Reason
    """ALLOWED, or why not."""
    detail: str
    """Diagnosis for the log; never for the caller, never with a secret."""
    control: str | None
    """The control that denied; None where none did."""
    response_fields: tuple[tuple[str, str], ...]
    """Fields to add to the answer, whoever gives it."""
    exchange: "Exchange"
    """The verified facts, for the record and for the way upstream."""
    answer: StoredAnswer | None = None
    """What the caller is given in place of a refusal: upstream's answer to the same request before."""

    @property
    def allowed(self) -> bool:
        """Whether the request may pass, once this is recorded."""
        return self.reason is Reason.ALLOWED
