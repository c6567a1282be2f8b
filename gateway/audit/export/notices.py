"""What a forwarder says of itself, as records like the log's own, so that a collector sees lag and loss."""

import orjson

from gateway.audit.ocsf import FAILURE, HIGH, INFORMATIONAL, PRODUCT, SUCCESS, VERSION, Json, milliseconds
from gateway.audit.reader import Entry
from gateway.audit.redact import LONG, clean
from gateway.core.message import Instant


def notice(at: Instant, code: str, detail: str, *, bad: bool) -> Entry:
    """Give a record of the forwarder's: `forward.lost`, `forward.behind`, `forward.caught_up`; it has no sequence."""
    record: Json = {
        "time": milliseconds(at),
        "metadata": {"version": VERSION, "product": PRODUCT, "log_name": "forward", "event_code": code},
        "category_uid": 6,
        "class_uid": 6008,
        "activity_id": 1 if bad else 99,
        "type_uid": 600_801 if bad else 600_899,
        "severity_id": HIGH if bad else INFORMATIONAL,
        "status_id": FAILURE if bad else SUCCESS,
        "status_code": code,
        "status_detail": clean(detail, LONG),
        "message": _TITLES[code],
    }
    if not bad:
        record["activity_name"] = "Recovery"
    return Entry(0, at, record, orjson.dumps(record))


_TITLES = {
    "forward.lost": "Records of the audit log cannot be forwarded",
    "forward.behind": "Forwarding of the audit log is behind",
    "forward.caught_up": "Forwarding of the audit log has caught up",
}
