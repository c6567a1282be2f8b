"""Refusals as problem details (RFC 9457): a stable code and a request id, and nothing that helps an attacker."""

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from gateway.core.holds import StoredAnswer
from gateway.core.reasons import Reason

BODILESS = frozenset({204, 304})
"""Statuses whose answers have no body."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response that the gate gives itself."""

    status: int
    fields: tuple[tuple[str, str], ...]
    """Without framing, which whoever writes the message adds."""
    body: bytes


def problem(reason: Reason, request_id: str, request_id_field: str, fields: Iterable[tuple[str, str]] = ()) -> Answer:
    """Make the answer to a request that was refused or failed for `reason`."""
    if reason.status is None or reason is Reason.ALLOWED:
        raise RuntimeError(f"{reason.code} is no refusal that HTTP can answer")
    body = orjson.dumps(
        {
            "type": f"urn:gateway:reason:{reason.code}",
            "title": reason.title,
            "status": reason.status,
            "code": reason.code,
            "request_id": request_id,
        }
    )
    return Answer(
        status=reason.status,
        fields=(
            ("content-type", "application/problem+json"),
            ("cache-control", "no-store"),
            (request_id_field, request_id),
            *fields,
        ),
        body=body,
    )


def again(
    stored: StoredAnswer, request_id: str, request_id_field: str, fields: Iterable[tuple[str, str]] = ()
) -> Answer:
    """Make the answer to a request that was answered before: the stored one, with the gate's own fields."""
    own = ((request_id_field, request_id), *fields)
    set_here = {name for name, _ in own}
    kept = tuple(line for line in stored.fields if line[0] not in set_here)
    return Answer(stored.status, (*kept, *own), stored.body)
