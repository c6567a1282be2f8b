from pathlib import Path

import pytest

from gateway.audit.tlog.note import Signer
from gateway.audit.verify.handovers import Handover, known
from gateway.audit.verify.notes import InvalidNoteError, Key
from tests.unit.audit.published import ORIGIN, Published, signer, stranger, verified
from tests.unit.audit.tlog.test_handover import took_over


def key(of: Signer) -> Key:
    return Key.parse(of.public)


def handover(of: Published) -> str:
    return (of.tlog / "handovers").read_text()[:-1]


@pytest.fixture
def third() -> Signer:
    return Signer.generate(ORIGIN)


def test_any_key_of_the_log_vouches_for_the_others(tmp_path: Path, third: Signer) -> None:
    took_over(tmp_path, stranger(), third, count=5)
    for one in (signer(), stranger(), third):
        found = verified(tmp_path, key=one)
        assert [str(problem) for problem in found.problems] == []
        assert (found.size, found.signed) == (15, 3)
        assert found.notices[:2] == [
            f"at 5 entries the key {stranger().id} took over from {signer().id}",
            f"at 10 entries the key {third.id} took over from {stranger().id}",
        ]
    assert verified(tmp_path, key=Signer.generate(ORIGIN)).count > 0


def test_whom_a_key_vouches_for_and_for_what(tmp_path: Path, third: Signer) -> None:
    log = took_over(tmp_path, stranger(), third, count=5)
    found = known(log.tlog, [key(stranger())])
    assert {one.name for one in found.keys} == {ORIGIN}
    assert found.problems == []
    sizes = {5: {signer(), stranger()}, 4: {signer()}, 6: {stranger()}, 10: {stranger(), third}, 99: {third}}
    for size, keys in sizes.items():
        assert set(found.of_size(size)) == {key(one) for one in keys}
    assert known(tmp_path, [key(third)]).of_size(7) == [key(third)]  # a log without handovers


def test_the_old_key_signs_nothing_any_more(tmp_path: Path) -> None:
    """Whoever has stolen it makes a checkpoint of a tree that goes on elsewhere."""
    log = took_over(tmp_path, stranger(), count=5)
    text = stranger().read(log.note).text
    (log.tlog / "checkpoint").write_text(signer().sign(text))
    for one in (signer(), stranger()):
        (problem, *_) = verified(tmp_path, key=one).problems
        assert str(problem).startswith(
            f"tlog/checkpoint: it counts 10 entries, for which {signer().id} is not the key any more, or not yet"
        )
    given = verified(tmp_path, [signer().sign(text)], key=stranger())
    assert any(str(one).startswith("a checkpoint given: it counts 10 entries") for one in given.problems)


def test_the_new_key_signs_nothing_of_before(tmp_path: Path) -> None:
    took_over(tmp_path, stranger(), count=5)
    text = f"{ORIGIN}\n3\n{'A' * 43}=\n"
    found = verified(tmp_path, [stranger().sign(text)], key=signer())
    assert any("it counts 3 entries, for which" in str(problem) for problem in found.problems)


def test_a_tree_that_was_made_anew_does_not_fit_the_handover(tmp_path: Path) -> None:
    """By whoever has the new key, and nothing of the old one."""
    took_over(tmp_path / "1", stranger(), count=5)
    other = Published(tmp_path / "2", key=stranger())
    other.grow(3, 9)
    other.close()
    (other.tlog / "handovers").write_bytes((tmp_path / "1/tlog/handovers").read_bytes())
    found = verified(tmp_path / "2", key=stranger())
    assert found.count > 0


def test_a_handover_to_a_stranger(tmp_path: Path, third: Signer) -> None:
    log = took_over(tmp_path, stranger(), count=5)
    note = handover(log).replace(signer().public, third.public)
    for torn in (note, handover(log).replace("— ", "- ", 1), handover(log).replace("\n5\n", "\n6\n"), "rubbish\n"):
        with pytest.raises(InvalidNoteError):
            Handover.read(torn)
    by_one = stranger().sign(handover(log).partition("\n\n")[0] + "\n")
    with pytest.raises(InvalidNoteError):
        Handover.read(by_one)
    (log.tlog / "handovers").write_text(f"{by_one}\n")
    found = verified(tmp_path, key=signer())
    assert str(found.problems[0]).startswith("tlog/handovers: it is signed by")


def test_a_handover_between_keys_of_another_log(tmp_path: Path) -> None:
    log = took_over(tmp_path, stranger(), count=5)
    text = handover(log).partition("\n\n")[0].replace(f"{ORIGIN}\n", "other\n", 1) + "\n"
    note = signer().sign(text) + stranger().sign(text).rpartition("\n\n")[2]
    with pytest.raises(InvalidNoteError, match="its keys are not those of other"):
        Handover.read(note)


def test_a_handover_that_no_key_leads_to(tmp_path: Path, third: Signer) -> None:
    log = took_over(tmp_path, stranger(), count=5)
    found = known(log.tlog, [key(third)])
    assert found.problems == [f"tlog/handovers: the key {stranger().id} took over from one that nobody knows"]
    assert found.keys == [key(third)]
