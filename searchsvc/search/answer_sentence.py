"""The answer sentence: where a passage answers. Pure functions over one passage and the terms of a query."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from searchsvc.query.interpretation import Interpretation
from searchsvc.text.analysis import WORD, locate_terms
from searchsvc.text.article import Span
from searchsvc.text.cleaning import CLOSING, QUOTES

# A word's weight is its inverse frequency among the passages. In a library of a few articles that says nothing, so
# every word is first given this much evidence of being as rare as any other.
PRIOR_PASSAGES = 1_000
PRIOR_FREQUENCY = 10

WORDS_WEIGHT = 0.5  # of the share of a question's words that a sentence holds, against its likeness to the question
KIND_WEIGHT = 0.15  # of holding the kind of thing that is asked for: a number, or a name
FRAGMENT_WEIGHT = 0.2  # against what is no sentence: captions, headings, related headlines

NUMBER = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozens?|hundred|thousand|million|billion"
    r"|half)\b",
    re.IGNORECASE,
)
SHORTEST_NAME = 3  # letters

Match = tuple[str, int, int]  # a word of the question, and where it stands, as offsets of the article


def term_weights(words: Sequence[str], frequencies: Sequence[int], passages: int) -> dict[str, float]:
    """Return how much each word of a question tells, from how many of the passages hold it."""
    return {
        word: math.log(1 + (passages + PRIOR_PASSAGES) / (frequency + PRIOR_FREQUENCY))
        for word, frequency in zip(words, frequencies, strict=True)
    }


def locate_matches(text: str, start: int, weights: Mapping[str, float]) -> list[Match]:
    """Return where the words of a question stand in a passage that begins at `start`."""
    return [(word, start + a, start + b) for word, a, b in locate_terms(text, weights)]


def weight_share(words: Iterable[str], weights: Mapping[str, float]) -> float:
    """Return how much of what a question says these words are, 0 to 1."""
    everything = sum(weights.values())
    return sum(weights[word] for word in {*words}) / everything if everything else 0.0


def answer_sentence(
    interpretation: Interpretation,
    text: str,
    sentences: Sequence[Span],
    cosines: NDArray[np.float32],
    matches: Sequence[Match],
    weights: Mapping[str, float],
) -> Span:
    """Return the sentence that answers best.

    It is like the question by the model, holds its terms, and holds a number or a name that the question does not,
    where one is asked for; a heading or a caption is not a sentence. `text` is the article's; `cosines`, (n,), are the
    sentences' with the question; `matches` say where its terms stand (see `locate_matches`).
    """
    shares = [
        weight_share((term for term, a, b in matches if start <= a and b <= end), weights) for start, end in sentences
    ]
    answers = [_holds_kind_asked_for(interpretation, text[start:end]) for start, end in sentences]
    fragments = [text[start:end].rstrip(f"{QUOTES})]")[-1:] not in CLOSING for start, end in sentences]
    scores = cosines + WORDS_WEIGHT * np.array(shares, np.float32) + KIND_WEIGHT * np.array(answers, np.float32)
    scores -= FRAGMENT_WEIGHT * np.array(fragments, np.float32)
    return sentences[int(np.argmax(scores))]


def _holds_kind_asked_for(interpretation: Interpretation, sentence: str) -> bool:
    """Say whether a sentence holds a number or a name that a question asks for, and does not hold itself.

    A capital at the sentence's beginning says nothing.
    """
    if not (interpretation.asks_for_number or interpretation.asks_for_name):
        return False
    asked, words = _words_of(interpretation.topic), WORD.findall(sentence)
    if interpretation.asks_for_number:
        return any(word.casefold() not in asked and NUMBER.search(word) for word in words)
    return any(
        word[0].isupper() and len(word) >= SHORTEST_NAME and word.casefold() not in asked and word != words[0]
        for word in words
    )


@lru_cache(maxsize=8)
def _words_of(topic: str) -> frozenset[str]:
    return frozenset(word.casefold() for word in WORD.findall(topic))
