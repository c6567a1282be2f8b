from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.console.archive import Archive, Reading
from gateway.core.message import Instant
from gateway.core.policy import Partner
from gateway.core.reasons import Reason
from tests.unit.audit.examples import EVENTS, NOW, allowed, answered_before, changed, decided, finished
from tests.unit.audit.query.logs import HOUR, written


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of record, and an hour later three requests of another partner: whole, failed, cut off."""
    other = allowed(partner=Partner("bet-nord"))
    late = Instant(NOW + HOUR)
    events = [
        *(
            changed(event, request_id="denied") if name == "decision, denied" else event
            for name, event in EVENTS.items()
        ),
        changed(decided(other), at=late, request_id="whole"),
        changed(finished(), at=late, request_id="whole", decision=other),
        changed(decided(other), at=late, request_id="failed"),
        changed(finished(), at=late, request_id="failed", decision=other, reason=Reason.UPSTREAM_TIMEOUT, status=504),
        changed(decided(other), at=late, request_id="cut-off"),
        changed(answered_before(), at=late, request_id="answered"),
    ]
    return written(tmp_path_factory.mktemp("console") / "audit", events)


@pytest.fixture(scope="session")
def archive(directory: Path) -> Iterator[Archive]:
    with Archive(directory, directory.with_name("index"), lambda: 0.0) as opened:
        yield opened


@pytest.fixture
def reading(archive: Archive) -> Iterator[Reading]:
    with archive.read() as opened:
        yield opened
