"""What the core decides about one request."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.core.reasons import Reason

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange


@dataclass(frozen=True, slots=True)
class Decision:
    """Allow or deny, and why."""

    allowed: bool
    reason: Reason
    """ALLOWED exactly where `allowed` is true."""
    detail: str
    """Diagnosis for the log; never for the caller, never with a secret."""
    control: str | None
    """The control that denied; None where none did."""
    response_fields: tuple[tuple[str, str], ...]
    """Fields to add to the answer, whoever gives it."""
    exchange: "Exchange"
    """The verified facts, for the record and for the way upstream."""

    def __post_init__(self) -> None:
        if self.allowed != (self.reason is Reason.ALLOWED):
            raise RuntimeError(f"allowed={self.allowed} with reason {self.reason.code}")
