from gateway.audit.verify.findings import SHOWN, Findings, Problem


def test_the_first_is_that_of_the_lowest_record() -> None:
    found = Findings()
    assert found.first is None
    found.problem("the checkpoint is another")
    assert found.first == Problem(None, "the checkpoint is another")
    found.problem("changed", 7)
    found.problem("changed", 3)
    assert str(found.first) == "record 3: changed"


def test_many_are_counted() -> None:
    found = Findings()
    for number in range(SHOWN + 5):
        found.problem("changed", number)
    assert len(found.problems) == SHOWN
    assert found.count == SHOWN + 5


def test_notices_are_no_problems() -> None:
    found = Findings()
    found.notice("the clock was set back")
    assert found.count == 0
    assert found.notices == ["the clock was set back"]
