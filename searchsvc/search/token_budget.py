"""What fits: the best passages that a reader of so many tokens can take in, none of them told twice."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NEW = 0.5  # of a passage: what must not have been said before for it to be worth its tokens


@dataclass(frozen=True, slots=True)
class BudgetItem:
    """A passage as it would be shown: what it weighs in tokens, its title counted, and the texts of its sentences."""

    tokens: int
    sentences: tuple[str, ...]


def within_budget(items: Sequence[BudgetItem], max_tokens: int) -> list[int]:
    """Return which of the offers, best first, to show in `most` tokens together: their places, in order.

    Greedy: one that does not fit is left out, and smaller ones after it may still fit. So is one of which more than
    half, by characters, was said word for word in those before it, as in near-duplicates that were split otherwise.
    """
    places: list[int] = []
    shown: set[tuple[str, ...]] = set()
    left = max_tokens
    for place, item in enumerate(items):
        if item.tokens <= left and not _is_repeat(item.sentences, shown):
            places.append(place)
            left -= item.tokens
            shown.update(map(_words, item.sentences))
    return places


def _is_repeat(sentences: Iterable[str], shown: set[tuple[str, ...]]) -> bool:
    sizes = [(len(sentence), _words(sentence) in shown) for sentence in sentences]
    return sum(size for size, is_known in sizes if not is_known) < NEW * sum(size for size, _ in sizes)


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", text.casefold()))
