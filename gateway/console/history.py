"""The policy in force, and how it came to be: from the log's own records."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.console.archive import Reading, Row


@dataclass(frozen=True, slots=True)
class History:
    """Policies of the log."""

    in_force: Row | None
    """The newest start or load; None where the log has neither."""
    stopped: bool
    """The last thing the gate recorded of itself is that it stopped."""
    changes: Sequence[Row]
    """Starts, stops, loads and refusals, the newest first, each with what was said of it."""


def history(reading: Reading) -> History:
    """Gather it. Raises QuestionError."""
    changes = reading.ask(
        "SELECT time, kind, policy, policy_sha256, previous_policy, detail,"
        " coalesce(problems, warnings, []) AS remarks, listeners, worker, sequence FROM records"
        " WHERE kind IN ('start', 'stop', 'policy.loaded', 'policy.refused') ORDER BY time DESC, sequence DESC"
    )
    in_force = next((change for change in changes if change["kind"] in {"start", "policy.loaded"}), None)
    return History(in_force, bool(changes) and changes[0]["kind"] == "stop", changes)
