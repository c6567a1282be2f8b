"""Logs that are asked: written by the real writer."""

import gzip
from collections.abc import Iterable
from pathlib import Path

from gateway.audit.events import Event
from gateway.audit.files import COMPRESSED
from gateway.audit.log import AuditLog
from gateway.audit.query.database import Database
from gateway.audit.query.index import Index
from gateway.audit.reader import Query

HOUR = 3600.0


def written(directory: Path, events: Iterable[Event], max_bytes: int = 2**28) -> Path:
    with AuditLog(directory, max_bytes=max_bytes) as log:
        for event in events:
            log.append(event)
    return directory


def database(directory: Path, query: Query | None = None) -> Database:
    index = Index(directory.with_name("index"), {directory: ""})
    return Database(index.bring_up_to_date(query or Query()))


def asked(directory: Path, sql: str) -> list[tuple[object, ...]]:
    with database(directory) as opened:
        return list(opened.ask(sql).rows)


def compressed(path: Path) -> None:
    """Compress a file of the log, as retention does."""
    path.with_name(f"{path.name}{COMPRESSED}").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
