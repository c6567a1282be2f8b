"""`gateway` without its audit log, for the one row of the benchmarks that shows what the log costs.

No record is made, written or published, and nobody is told: so this is no option of the gate, and stands here alone.
"""

from collections.abc import Sequence

from gateway.audit.events import Event
from gateway.audit.log import AuditLog
from gateway.cli import main
from gateway.engine.transparency import Transparency


def silence() -> None:
    """Have nothing recorded from now on in this process."""

    def none_of_them(_log: AuditLog, events: Sequence[Event]) -> list[None]:
        return [None] * len(events)

    setattr(AuditLog, "append", lambda _log, _event: None)  # noqa: B010 - it is put in place of a method
    setattr(AuditLog, "append_all", none_of_them)  # noqa: B010
    setattr(Transparency, "start", lambda _transparency: None)  # noqa: B010


if __name__ == "__main__":
    silence()
    main()
