"""Ranking: candidates become hits. Pure functions over a few hundred rows; nothing here reads or writes anything."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from searchsvc.engines import Candidates
from searchsvc.passages import Span
from searchsvc.words import placed

DENSE_WEIGHT = 0.4
LEXICAL_WEIGHT = 0.6

# A word's weight is its inverse frequency among the passages. In a library of a few articles that says nothing, so
# every word is first given this much evidence of being as rare as any other.
PRIOR_PASSAGES = 1_000
PRIOR_FREQUENCY = 10

WORDS_WEIGHT = 0.5  # of the share of a question's words that a sentence holds, against its likeness to the question


@dataclass(frozen=True, slots=True)
class Ranked:
    """A passage with its score, and what each retriever gave and added; rank 0: that retriever did not find it."""

    row: int
    article: int
    score: float
    dense_rank: int
    cosine: float
    dense_adds: float
    lexical_rank: int
    bm25: float
    lexical_adds: float


def fuse(dense: Candidates, lexical: Candidates) -> Iterator[Ranked]:
    """Yield all candidates by falling score in [0, 1]: the weighted sum of both retrievers' scaled scores.

    Scores are scaled to [0, 1], since ranks alone (RRF) throw away how much better the better one is: cosines from
    the least to the greatest found (min-max), BM25 from 0, the least that it can be (theoretical min-max; Bruch et
    al., An Analysis of Fusion Functions for Hybrid Retrieval, 2023). A passage that a retriever did not find gets
    nothing from it.
    """
    rows = np.union1d(dense.rows, lexical.rows)
    articles = np.zeros(len(rows), np.int64)
    ranks = np.zeros((2, len(rows)), np.int64)
    raw = np.zeros((2, len(rows)), np.float32)
    adds = np.zeros((2, len(rows)), np.float32)
    for number, (found, weight, least) in enumerate(((dense, DENSE_WEIGHT, math.inf), (lexical, LEXICAL_WEIGHT, 0.0))):
        at = np.searchsorted(rows, found.rows)
        articles[at] = found.articles
        ranks[number, at] = np.arange(1, len(at) + 1)
        raw[number, at] = found.scores
        adds[number, at] = weight * _scaled(found.scores, found.scores.min(initial=least))
    scores = adds.sum(axis=0)
    for i in np.lexsort((rows, -scores)).tolist():
        yield Ranked(
            row=int(rows[i]),
            article=int(articles[i]),
            score=float(scores[i]),
            dense_rank=int(ranks[0, i]),
            cosine=float(raw[0, i]),
            dense_adds=float(adds[0, i]),
            lexical_rank=int(ranks[1, i]),
            bm25=float(raw[1, i]),
            lexical_adds=float(adds[1, i]),
        )


def _scaled(scores: NDArray[np.float32], low: float) -> NDArray[np.float32]:
    """Return scores moved so that `low` is 0 and the greatest 1; all 1 where there is nothing between."""
    high = scores.max(initial=low)
    return (scores - low) / (high - low) if high > low else np.ones_like(scores)


def group(ranked: Iterable[Ranked], limit: int, per_article: int) -> list[Ranked]:
    """Return the best passages of the best `limit` articles, at most `per_article` of each, best first.

    Looks no further than it must: the candidates are made one by one as they are asked for.
    """
    taken: dict[int, int] = {}
    kept: list[Ranked] = []
    for one in ranked:
        seen = taken.get(one.article, 0)
        if seen < per_article and (seen or len(taken) < limit):
            taken[one.article] = seen + 1
            kept.append(one)
            if len(kept) == limit * per_article:
                break
    return kept


def word_weights(words: Sequence[str], frequencies: Sequence[int], passages: int) -> dict[str, float]:
    """Return how much each word of a question tells, from how many of the passages hold it."""
    return {
        word: math.log(1 + (passages + PRIOR_PASSAGES) / (frequency + PRIOR_FREQUENCY))
        for word, frequency in zip(words, frequencies, strict=True)
    }


def told(text: str, start: int, weights: Mapping[str, float]) -> list[tuple[str, int, int]]:
    """Return where the words of a question stand in a passage that begins at `start`, as offsets of the article."""
    return [(word, start + a, start + b) for word, a, b in placed(text, weights)]


def best_sentence(
    sentences: Sequence[Span],
    likeness: NDArray[np.float32],
    found: Sequence[tuple[str, int, int]],
    weights: Mapping[str, float],
) -> Span:
    """Return the sentence that answers best: like the question by the model, and holding its telling words.

    `likeness`, (n,), is each sentence's cosine with the question; `found` says where its words stand (see `told`).
    """
    everything = sum(weights.values()) or 1.0
    shares = [
        sum(weights[word] for word in {word for word, a, b in found if start <= a and b <= end}) / everything
        for start, end in sentences
    ]
    return sentences[int(np.argmax(likeness + WORDS_WEIGHT * np.array(shares, np.float32)))]
