import pytest

from gateway.core.memo import Bounded, Memo


def counted(**bounds: int) -> tuple[Memo[str, int], list[str]]:
    """Give a memo of `len`, and what it was called with."""
    calls: list[str] = []

    def length(text: str) -> int:
        calls.append(text)
        return len(text)

    return Memo(length, **bounds), calls


def test_what_is_asked_for_again_is_not_worked_out_again() -> None:
    memo, calls = counted()
    assert [memo["ab"], memo["c"], memo["ab"]] == [2, 1, 2]
    assert calls == ["ab", "c"]


def test_what_the_function_raises_is_raised_each_time() -> None:
    memo = Memo[str, int](int)
    for _ in range(2):
        with pytest.raises(ValueError, match="invalid literal"):
            memo["a"]
    assert not memo


def test_there_are_never_more_than_fit() -> None:
    memo, _ = counted(capacity=3)
    assert max(len(memo) for number in range(100) if memo[f"{number}"]) == 3


def test_one_that_is_full_is_emptied_and_fills_again() -> None:
    memo, calls = counted(capacity=2)
    assert [memo[key] for key in ("a", "b", "c", "c", "a")] == [1] * 5
    assert calls == ["a", "b", "c", "a"]


def test_long_keys_are_answered_and_not_kept() -> None:
    memo, _ = counted(longest=3)
    assert (memo["abc"], memo["abcd"]) == (3, 4)
    assert list(memo) == ["abc"]


def test_how_long_a_key_is_can_be_said() -> None:
    bounded = Bounded[tuple[str, ...], int](longest=3, size=lambda key: sum(map(len, key)))
    assert bounded.keep(("ab", "cd"), 1) == bounded.keep(("ab", "c"), 1) == 1
    assert list(bounded) == [("ab", "c")]


def test_entries_are_not_shown() -> None:
    memo, _ = counted(capacity=5)
    assert memo["/v1/players/4711"]
    assert repr(memo) == "Memo(1 of 5)"
    assert repr(Bounded(capacity=5)) == "Bounded(0 of 5)"
