"""Ranking: candidates become an order. Pure functions over a few hundred rows; nothing here reads or writes anything.

dense, lexical ── fuse ──► Fused ── add_freshness ──► Fused ── best first ──► Ranked ── group ──► passages to show
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from searchsvc.engines import Candidates
from searchsvc.search import freshness
from searchsvc.search.results import Explanation

DENSE_WEIGHT = 0.4  # … and the rest is the lexical retriever's
LOOKUP_DENSE_WEIGHT = 0.2  # where a name or a few words are looked up, and nothing is asked
AGREEMENT_WEIGHT = 0.08  # of what an article's best passages say together, against its best alone
AGREEING = 3  # passages of an article, each counting …
FADING = 0.7  # … so much of the one before


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked(Explanation):
    """A passage and its article, by row, with the score and how it came about.

    What pairs of terms add is a part of `lexical_adds`, until `separate_pairs` takes it out.
    """

    row: int
    article: int


@dataclass(frozen=True, slots=True)
class Fused:
    """The candidates of both retrievers, one element a passage, by ascending row.

    `ranks` and `raw` are (2, n): what the dense and the lexical retriever gave; `adds` is (4, n): what these, the
    agreement of an article's passages and freshness add to the score, which is their sum.
    """

    rows: NDArray[np.int64]
    articles: NDArray[np.int64]
    ranks: NDArray[np.int64]
    raw: NDArray[np.float32]
    adds: NDArray[np.float32]
    recent: NDArray[np.float32]

    @property
    def scores(self) -> NDArray[np.float32]:
        """The scores, (n,), in [0, 1]."""
        summed: NDArray[np.float32] = self.adds.sum(axis=0)
        return summed

    def best_first(self) -> Iterator[Ranked]:
        """Yield all passages by falling score; each is made only when it is asked for."""
        scores = self.scores
        for i in np.lexsort((self.rows, -scores)).tolist():
            yield Ranked(
                row=int(self.rows[i]),
                article=int(self.articles[i]),
                score=float(scores[i]),
                dense_rank=int(self.ranks[0, i]),
                cosine=float(self.raw[0, i]),
                dense_adds=float(self.adds[0, i]),
                lexical_rank=int(self.ranks[1, i]),
                bm25=float(self.raw[1, i]),
                lexical_adds=float(self.adds[1, i]),
                recency=float(self.recent[i]),
                agreement_adds=float(self.adds[2, i]),
                freshness_adds=float(self.adds[3, i]),
            )


def fuse(dense: Candidates, lexical: Candidates, dense_weight: float = DENSE_WEIGHT) -> Fused:
    """Return all candidates, each with the weighted sum of both retrievers' scaled scores.

    Scores are scaled to [0, 1], since ranks alone (RRF) throw away how much better the better one is: cosines from
    the least to the greatest found (min-max), BM25 from 0, the least that it can be (theoretical min-max; Bruch et
    al., An Analysis of Fusion Functions for Hybrid Retrieval, 2023). A passage that a retriever did not find gets
    nothing from it. To each is added what the best passages of its article say together, by BM25.
    """
    rows = np.union1d(dense.rows, lexical.rows)
    articles = np.zeros(len(rows), np.int64)
    ranks = np.zeros((2, len(rows)), np.int64)
    raw = np.zeros((2, len(rows)), np.float32)
    adds = np.zeros((4, len(rows)), np.float32)
    both = ((dense, dense_weight, math.inf), (lexical, 1 - dense_weight, 0.0))
    for number, (candidates, weight, lowest) in enumerate(both):
        at = np.searchsorted(rows, candidates.rows)
        articles[at] = candidates.articles
        ranks[number, at] = np.arange(1, len(at) + 1)
        raw[number, at] = candidates.scores
        adds[number, at] = weight * _scaled(candidates.scores, candidates.scores.min(initial=lowest))
    adds *= 1 - AGREEMENT_WEIGHT
    adds[2] = AGREEMENT_WEIGHT * _agreement(articles, raw[1])
    return Fused(rows, articles, ranks, raw, adds, np.zeros(len(rows), np.float32))


def add_freshness(fused: Fused, recent: NDArray[np.float32], *, urgent: bool) -> Fused:
    """Return the candidates with their scores moved towards how recent they are, (n,); see `freshness`."""
    part = freshness.share(fused.scores, recent, urgent=urgent)
    return replace(fused, adds=np.vstack([(1 - part) * fused.adds[:3], part * recent[None]]), recent=recent)


def _agreement(articles: NDArray[np.int64], bm25: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much the best passages of each passage's article hold of the question together, 0 to 1."""
    order = np.lexsort((-bm25, articles))
    starts = np.flatnonzero(np.diff(articles[order], prepend=-1))
    lengths = np.diff(starts, append=len(order))
    place = np.arange(len(order)) - np.repeat(starts, lengths)  # among the passages of its article
    counted = np.where(place < AGREEING, bm25[order] * FADING**place, 0)
    together = np.empty(len(order), np.float32)
    together[order] = np.repeat(np.add.reduceat(counted, starts), lengths) if len(order) else 0
    return _scaled(together, 0.0) if together.any() else together


def separate_pairs(candidate: Ranked, bm25: float) -> Ranked:
    """Return a passage with what pairs of words add told apart, given its BM25 score without them."""
    pairs = candidate.lexical_adds * max(0.0, 1 - bm25 / candidate.bm25) if candidate.bm25 else 0.0
    return replace(candidate, lexical_adds=candidate.lexical_adds - pairs, pairs_adds=pairs)


def _scaled(scores: NDArray[np.float32], low: float) -> NDArray[np.float32]:
    """Return scores moved so that `low` is 0 and the greatest 1; all 1 where there is nothing between."""
    high = scores.max(initial=low)
    return (scores - low) / (high - low) if high > low else np.ones_like(scores)


def rerank(ranked: Sequence[Ranked], scores: NDArray[np.float32]) -> list[Ranked]:
    """Return passages in the order of a reranker's scores, (n,), in [0, 1]; equal ones keep theirs.

    A passage's score becomes 1 and the reranker's, so that it stays ahead of all that were not read again, whose scores
    are at most 1; `rerank_adds` is what that takes.
    """
    reordered = sorted(zip(scores.tolist(), ranked, strict=True), key=lambda pair: -pair[0])
    return [
        replace(candidate, score=1 + score, rerank_adds=1 + score - candidate.score) for score, candidate in reordered
    ]


def group(
    ranking: Iterable[Ranked], limit: int, passages: int, cluster_of: Callable[[int], int] = lambda article: article
) -> list[Ranked]:
    """Return the best passages of the best `limit` articles, at most so many `passages` of each, best first.

    Of the near-duplicates in one cluster, only the one with the best passage is taken, and counts. Looks no
    further than it must: the candidates are made one by one as they are asked for.
    """
    taken: dict[int, tuple[int, int]] = {}  # by cluster: which article, and how many of its passages
    grouped: list[Ranked] = []
    for candidate in ranking:
        cluster = cluster_of(candidate.article)
        article, count = taken.get(cluster, (candidate.article, 0))
        if article == candidate.article and count < passages and (count or len(taken) < limit):
            taken[cluster] = (article, count + 1)
            grouped.append(candidate)
            if len(grouped) == limit * passages:
                break
    return grouped
