import orjson
import pytest

from gateway.audit.events import Event
from gateway.audit.record import line
from gateway.audit.verify import heads
from gateway.audit.verify.heads import Alike, Head, Run, head_of, last_deleted
from gateway.core.message import Instant
from tests.unit.audit.examples import DENIED, EVENTS, NOW, changed, decided, finished


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS.keys())
def test_every_kind_of_record_is_read_by_its_beginning(event: Event) -> None:
    made = line(event, 7, "0" * 12)
    record = orjson.loads(made)
    about = record["metadata"]
    correlation = about.get("correlation_uid")
    wanted = Head(
        record["time"], about["event_code"].encode(), correlation and correlation.encode(), 7,
        allowed=False,
    )  # fmt: skip
    assert heads._HEAD.match(made)
    for head in (head_of(made), head_of(b" " + made)):  # the second as JSON that looks another way
        assert head is not None
        assert head._replace(allowed=False) == wanted
        assert head.allowed == (record.get("action_id") == 1) or head.kind != b"decision"


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"{}", b'{"time":1,"metadata":{"sequence":"1","event_code":"x"}}', b"7", b'{"metadata":7}'],
)
def test_what_is_no_record(text: bytes) -> None:
    assert head_of(text) is None


LINES = [
    line(changed(event, at=Instant(NOW + number), request_id=f"r-{number}"), number + 1, "0" * 12)
    for number, event in enumerate((decided(), finished(), DENIED))
]


def run(*lines: bytes) -> Run | None:
    data = b"\n" + b"".join(lines)
    ends = [place for place, char in enumerate(data) if char == 10][1:]
    return Alike().run(data, [1, *[end + 1 for end in ends[:-1]]], ends)


def test_records_about_requests_are_read_all_at_once() -> None:
    found = run(*LINES)
    assert found is not None
    one_by_one = [head_of(one) for one in LINES]
    assert [Head(*each) for each in zip(*found, strict=True)] == [
        head and head._replace(allowed=head.allowed) for head in one_by_one
    ]


@pytest.mark.parametrize(
    "other",
    [
        line(EVENTS["start"], 2, "0" * 12),
        line(EVENTS["connection"], 2, "0" * 12),
        LINES[1].replace(b'"version":"0.1.0"', b'"version":"0.2.0"'),
        LINES[1].replace(b'{"time"', b'{"timf"'),
        LINES[1].replace(b'{"time":1', b'{"time":x'),
        LINES[1].replace(b'{"time":1', b'{"time":'),
        LINES[1].replace(b'"sequence":2', b'"sequence":-2'),
        LINES[1].replace(b'"r-1"', b'"r\\n1"'),
        LINES[1].replace(b'"psp"', b'"other"', 1),
        b"\n",
        b"{}\n",
    ],
)
def test_one_that_is_another_is_not_read_with_them(other: bytes) -> None:
    assert other != LINES[1]
    assert run(LINES[0], other, LINES[2]) is None


def test_what_comes_later_may_be_alike_in_another_way() -> None:
    alike, other = Alike(), [one.replace(b'"version":"0.1.0"', b'"version":"0.2.0"') for one in LINES]
    for lines in (LINES, other, LINES):
        for one in lines:
            assert alike.run(b"\n" + one, [1], [len(one)]) is not None
    assert alike.run(b"\n{}\n", [1], [3]) is None
    assert alike.run(b"\n" + LINES[0], [1], [len(LINES[0])]) is not None


def test_which_records_one_says_to_be_deleted() -> None:
    assert last_deleted(line(EVENTS["log.deleted"], 7, "0" * 12)) > 0
    assert last_deleted(b"{}") == last_deleted(b"x") == last_deleted(b'{"unmapped":{"last_sequence":"7"}}') == 0
