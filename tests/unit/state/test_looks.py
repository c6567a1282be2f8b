from pathlib import Path

from gateway.state.looks import ANSWER, QUESTION, Question, Questions, Used

USED = Used({"deposit": {"partner-1s": 12}}, {"deposit": 3})


def test_a_question_is_noticed_once_and_answered(tmp_path: Path) -> None:
    gate = Questions(tmp_path)
    assert gate.next() is None
    question = Question(tmp_path, "acme-casino")
    assert question.answer() is None
    asked = gate.next()
    assert asked is not None
    name, partner = asked
    assert (partner, gate.next()) == ("acme-casino", None)
    gate.answer(name, USED)
    assert question.answer() == USED
    assert {(tmp_path / each).stat().st_mode & 0o777 for each in (QUESTION, ANSWER)} == {0o600}
    question.close()
    assert list(tmp_path.iterdir()) == []
    question.close()
    assert gate.next() is None


def test_an_answer_to_another_question_is_none(tmp_path: Path) -> None:
    gate = Questions(tmp_path)
    first = Question(tmp_path, "acme-casino")
    second = Question(tmp_path, "blue-psp")
    asked = gate.next()
    assert asked is not None
    gate.answer(asked[0], USED)
    assert (first.answer(), second.answer()) == (None, USED)


def test_what_lies_there_from_before_and_what_is_no_question_is_passed_over(tmp_path: Path) -> None:
    Question(tmp_path, "acme-casino")
    gate = Questions(tmp_path)
    assert gate.next() is None
    for text in (b"nonsense", b"[]", b'{"name": 1, "partner": "x"}'):
        (tmp_path / "new").write_bytes(text)
        (tmp_path / "new").replace(tmp_path / QUESTION)
        assert gate.next() is None
    (tmp_path / QUESTION).unlink()
    (tmp_path / QUESTION).symlink_to("/etc/hostname")
    assert gate.next() is None
