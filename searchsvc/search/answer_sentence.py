"""Marking: where a passage answers. Pure functions over one passage and the words of a question."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from searchsvc.text.analysis import WORD, locate_terms
from searchsvc.text.cleaning import CLOSING, QUOTES
from searchsvc.text.passages import Span

# A word's weight is its inverse frequency among the passages. In a library of a few articles that says nothing, so
# every word is first given this much evidence of being as rare as any other.
PRIOR_PASSAGES = 1_000
PRIOR_FREQUENCY = 10

WORDS_WEIGHT = 0.5  # of the share of a question's words that a sentence holds, against its likeness to the question
KIND_WEIGHT = 0.15  # of holding the kind of thing that is asked for: a number, or a name
FRAGMENT_WEIGHT = 0.2  # against what is no sentence: captions, headings, related headlines

ASKS_NUMBER = re.compile(
    r"\b(?:how (?:many|much|long|old|often|far|tall|high|big|soon|fast|large|likely)|when"
    r"|what (?:percent|percentage|number|year|age|share|magnitude))\b",
    re.IGNORECASE,
)
ASKS_NAME = re.compile(r"\b(?:who|whom|whose|which|where|what)\b", re.IGNORECASE)
NUMBER = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozens?|hundred|thousand|million|billion"
    r"|half)\b",
    re.IGNORECASE,
)
SHORTEST_NAME = 3  # letters

Match = tuple[str, int, int]  # a word of the question, and where it stands, as offsets of the article


def word_weights(words: Sequence[str], frequencies: Sequence[int], passages: int) -> dict[str, float]:
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
    question: str,
    text: str,
    sentences: Sequence[Span],
    likeness: NDArray[np.float32],
    found: Sequence[Match],
    weights: Mapping[str, float],
) -> Span:
    """Return the sentence that answers best.

    It is like the question by the model, holds its telling words, and holds a number or a name that the question does
    not, where one is asked for; a heading or a caption is not a sentence. `text` is the article's; `likeness`, (n,), is
    each sentence's cosine with the question; `found` says where its words stand (see `places`).
    """
    shares = [
        weight_share((word for word, a, b in found if start <= a and b <= end), weights) for start, end in sentences
    ]
    holds = [_holds_what_is_asked(question, text[start:end]) for start, end in sentences]
    fragments = [text[start:end].rstrip(f"{QUOTES})]")[-1:] not in CLOSING for start, end in sentences]
    scores = likeness + WORDS_WEIGHT * np.array(shares, np.float32) + KIND_WEIGHT * np.array(holds, np.float32)
    scores -= FRAGMENT_WEIGHT * np.array(fragments, np.float32)
    return sentences[int(np.argmax(scores))]


def _holds_what_is_asked(question: str, sentence: str) -> bool:
    """Say whether a sentence holds a number or a name that a question asks for, and does not hold itself.

    What kind of thing is asked for is read off the question's own words, as TREC's first question answerers did
    (Voorhees, The TREC-8 Question Answering Track Report, 1999). A capital at the sentence's beginning says nothing.
    """
    number, name, said = _asked(question)
    if number:
        return any(word.casefold() not in said and NUMBER.search(word) for word in WORD.findall(sentence))
    if not name:
        return False
    words = WORD.findall(sentence)
    return any(
        word[0].isupper() and len(word) >= SHORTEST_NAME and word.casefold() not in said and word != words[0]
        for word in words
    )


@lru_cache(maxsize=8)
def _asked(question: str) -> tuple[bool, bool, frozenset[str]]:
    """Return whether a question asks for a number, whether for a name, and the words that it says itself."""
    number, name = ASKS_NUMBER.search(question), ASKS_NAME.search(question)
    return number is not None, name is not None, frozenset(word.casefold() for word in WORD.findall(question))
