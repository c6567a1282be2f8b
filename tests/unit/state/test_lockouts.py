from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.barred import Caller, Thing
from gateway.core.message import Instant
from gateway.state.lockouts import Event, What, origin_of, take_over
from gateway.state.revocations import Entry, add, read_all
from tests.world import NOW

CALLER = Caller(Thing.LOCKED_ADDRESS, "203.0.113.9")
WHAT = What(CALLER, "gate", "4 failed authentications, at last “token.signature”", "here")
BEGAN = Event(1, "e-1", False, 1_800.0, WHAT)
LIFTED = Event(2, "e-1", True, 1_700.0, WHAT._replace(by="maria", because="mended"))


def entry(event: Event, origin: str = "here") -> Entry:
    return event.entry(NOW, origin)


def lines(folder: Path) -> list[tuple[int, str, str | None, int | None]]:
    return [(each.number, each.action, each.lock, each.of) for each in read_all(folder)]


def test_what_an_event_says_comes_back() -> None:
    assert What.unpack(WHAT.pack()) == WHAT


@pytest.mark.parametrize("data", [b"", b"[]", b'["partner","acme","a","b","c"]', b'["no-such","acme","a","b","c"]'])
def test_what_no_gate_wrote_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        What.unpack(data)


def test_an_event_becomes_a_line_of_the_journal() -> None:
    began, lifted = entry(BEGAN), entry(LIFTED, "another machine")
    assert (began.action, began.thing, began.value, began.until) == ("revoke", *CALLER, NOW + 1_800)
    assert (began.lock, began.elsewhere) == ("e-1", False)
    assert (lifted.action, lifted.until, lifted.by, lifted.elsewhere) == ("lift", None, "maria", True)


def test_what_several_workers_take_over_stands_there_once(tmp_path: Path) -> None:
    for _ in range(3):
        take_over(tmp_path, [entry(BEGAN), entry(LIFTED), entry(BEGAN)])
    assert lines(tmp_path) == [(1, "revoke", "e-1", None), (2, "lift", "e-1", 1)]


def test_a_lifting_counts_for_its_lock_out_only(tmp_path: Path) -> None:
    take_over(tmp_path, [entry(replace(BEGAN, lock="e-3"))])
    assert take_over(tmp_path, [entry(LIFTED)]) == []
    assert take_over(tmp_path / "other", [entry(LIFTED)]) == []


def test_what_was_lifted_here_is_not_lifted_again(tmp_path: Path) -> None:
    take_over(tmp_path, [entry(BEGAN)])
    add(tmp_path, [Entry(0, "lift", *CALLER, Instant(NOW + 1), None, "jo", "mended", of=1, lock="e-1")])
    assert take_over(tmp_path, [entry(LIFTED)]) == []


def test_lock_outs_without_a_name_are_added_each_time(tmp_path: Path) -> None:
    own = replace(entry(BEGAN), lock=None)
    take_over(tmp_path, [own])
    take_over(tmp_path, [own])
    assert lines(tmp_path) == [(1, "revoke", None, None), (2, "revoke", None, None)]


def test_a_machine_has_a_name_for_good(tmp_path: Path) -> None:
    first = origin_of(tmp_path / "state")
    assert origin_of(tmp_path / "state") == first != origin_of(tmp_path / "other")
    assert len(first) == 16
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["origin"]
