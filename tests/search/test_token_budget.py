"""What fits: values of a pure function."""

import pytest

from searchsvc.search.token_budget import BudgetItem, within_budget


def offers(*tokens: int) -> list[BudgetItem]:
    return [BudgetItem(size, (f"Sentence {number} of none other.",)) for number, size in enumerate(tokens)]


@pytest.mark.parametrize(
    ("most", "kept"),
    [
        (100, [0, 1, 2, 3]),
        (99, [0, 1, 2]),
        (65, [0, 1, 3]),  # 2 would not fit any more, 3 does
        (45, [0, 3]),
        (34, [1, 3]),
        (10, [3]),
        (9, []),
    ],
)
def test_what_does_not_fit_makes_room_for_what_does(most: int, kept: list[int]) -> None:
    assert within_budget(offers(35, 20, 35, 10), most) == kept


def test_what_was_said_before_is_not_said_again() -> None:
    first = ("Ministers met in Geneva.", "They spoke of grain.")
    quoted = ("«Ministers met, in Geneva»", "THEY SPOKE OF GRAIN")
    half = ("They spoke of grain.", "It was late, they said")  # 22 of 42 characters are new
    mostly = ("Ministers met in Geneva.", "And left.")
    other = ("Nobody met.",)
    told = [BudgetItem(10, sentences) for sentences in (first, quoted, half, mostly, other)]
    assert within_budget(told, 100) == [0, 2, 4]
    assert within_budget(told[1:], 100) == [0, 1, 3]  # the first of those that are left


def test_what_did_not_fit_was_not_said() -> None:
    long, short = (
        BudgetItem(30, ("Ministers met in Geneva.", "They spoke.")),
        BudgetItem(10, ("Ministers met in Geneva.",)),
    )
    assert within_budget([long, short], 20) == [1]


def test_nothing_offered_is_nothing_kept() -> None:
    assert within_budget([], 10) == []
