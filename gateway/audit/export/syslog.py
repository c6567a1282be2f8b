"""Syslog messages (RFC 5424), framed by their length for TLS (RFC 5425)."""

from datetime import UTC, datetime

from gateway.audit.ocsf import milliseconds
from gateway.audit.reader import Entry

_AUDIT = 13
"""Facility: log audit (RFC 5424, 6.2.1)."""
_SEVERITY = {1: 6, 2: 5, 3: 4, 4: 3}
"""OCSF's to syslog's: informational, notice, warning, error."""
_MOST_SEQUENCE = 2_147_483_647
"""Where sequenceId begins anew (RFC 5424, 7.3.1)."""


def message(entry: Entry, text: bytes, host: str, worker: str) -> bytes:
    """Give the message about a record, whose MSG is `text`; UTF-8 without a mark, which is MSG-ANY."""
    priority = _AUDIT * 8 + _SEVERITY.get(entry.get("severity_id"), 5)
    at = datetime.fromtimestamp(milliseconds(entry.at) / 1000, UTC)
    stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    sequence = (entry.sequence - 1) % _MOST_SEQUENCE + 1
    head = (
        f"<{priority}>1 {stamp} {name(host, 255)} gateway {name(worker, 128)} {name(entry.kind, 32)}"
        f' [meta sequenceId="{sequence}"] '
    )
    return head.encode() + text


def framed(told: bytes) -> bytes:
    """Give the frame of a message: its length in octets, a space, the message."""
    return b"%d %b" % (len(told), told)


def name(text: str, most: int) -> str:
    """Give a field of the header: printable ASCII without spaces, `-` where there is nothing."""
    return "".join(char for char in text if "!" <= char <= "~")[:most] or "-"
