from pathlib import Path

from gateway.policy.problem import PolicyInvalid, Problem, Severity, quoted

ERROR = Problem(
    Path("policies/psp.yaml"), 12, 5, "routes[2].token.issuer", "no issuer `operater`", "did you mean `operator`?"
)


def test_a_problem_is_one_line_that_editors_understand() -> None:
    assert str(ERROR) == (
        "policies/psp.yaml:12:5: routes[2].token.issuer: no issuer `operater` (did you mean `operator`?)"
    )


def test_without_path_and_hint_their_marks_are_left_out() -> None:
    assert str(Problem(Path("psp.yaml"), 1, 1, "", "the file is empty")) == "psp.yaml:1:1: the file is empty"


def test_a_warning_says_so() -> None:
    warning = Problem(Path("psp.yaml"), 4, 1, "review_by", "overdue", severity=Severity.WARNING)
    assert str(warning) == "psp.yaml:4:1: warning: review_by: overdue"


def test_an_invalid_policy_tells_all_its_problems() -> None:
    invalid = PolicyInvalid([ERROR, ERROR], frozenset({Path("psp.yaml")}))
    assert str(invalid) == f"{ERROR}\n{ERROR}"
    assert invalid.files == {Path("psp.yaml")}


def test_text_of_the_policy_is_escaped_in_messages() -> None:
    assert quoted("a\x1b[2J\nb\u202e") == "`a\\x1b[2J\\nb\\u202e`"


def test_long_text_of_the_policy_is_cut() -> None:
    assert quoted("x" * 61) == f"`{'x' * 60}…`"
