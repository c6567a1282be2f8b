import orjson
import pytest

from gateway.audit.export.notices import notice
from gateway.core.message import Instant
from tests.unit.audit.examples import NOW
from tests.unit.audit.schema import class_schema, faults


@pytest.mark.parametrize(
    ("code", "bad"), [("forward.lost", True), ("forward.behind", True), ("forward.caught_up", False)]
)
def test_a_notice_is_a_record_of_ocsf(code: str, bad: bool) -> None:
    made = notice(Instant(NOW), code, "why", bad=bad)
    assert list(faults(orjson.loads(made.raw), class_schema(6008, ()))) == []
    assert (made.kind, made.reason, made.get("severity_id")) == (code, code, 4 if bad else 1)
