"""Similarity: which articles are like one that is known, by what their passages mean. No model is needed.

an article's own vectors ── each ──► candidates (dense) ── the nearest pair of passages, a hit a cluster ──► hits

An article is as much like another as the two passages of theirs that are most alike. Where several right articles are
known to one question of a judged set of news, this found 85 % of them among the first ten for each other, the mean of
the article's passages 62 %, and the sum over its passages 67 %.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from searchsvc.catalogue import Catalogue, EmbeddingSpace
from searchsvc.engines import Snapshot
from searchsvc.errors import DamagedIndex
from searchsvc.query.filter import Filter
from searchsvc.search.pipeline import prefer_originals
from searchsvc.search.ranking import Ranked, group
from searchsvc.search.results import Hit
from searchsvc.text.article import Article, Span

CANDIDATES = 300  # for each passage of the article
MOST_PASSAGES = 16  # of a longer article, so many are looked at, evenly spread
SPARE = 3  # more articles than asked for, in case one is deleted meanwhile


def similar(
    article: Article, limit: int, snapshot: Snapshot, catalogue: Catalogue, space: EmbeddingSpace, filters: Filter
) -> tuple[Hit, ...]:
    """Return the articles most like this one, each with the passage that is, most alike first; no copies of it.

    The score is the cosine of the nearest two passages; the answer is the sentence of the passage that is most like
    the whole of it. Raises DamagedIndex where the catalogue was replaced by another since the snapshot was taken.
    """
    with catalogue.reading():
        if catalogue.changes.identity(snapshot.generation) != snapshot.identity:
            raise DamagedIndex("the index is being replaced")
        own_cluster = catalogue.near_duplicates.cluster_of(article.row)
        nearest = [*_nearest(catalogue.vectors.of_articles([article.row], space.row).vectors, snapshot, filters)]
        preferred = prefer_originals(nearest, {candidate.article for candidate in nearest}, catalogue)
        others = (
            candidate
            for candidate in preferred
            if catalogue.near_duplicates.cluster_of(candidate.article) != own_cluster
        )
        ranked = group(others, limit + SPARE, 1, catalogue.near_duplicates.cluster_of)
        passages = catalogue.passages.by_row(candidate.row for candidate in ranked)
        articles = catalogue.articles.by_row(candidate.article for candidate in ranked)
        sentences = catalogue.vectors.of_sentences(candidate.row for candidate in ranked)
    hits: list[Hit] = []
    for candidate in ranked:
        if (
            candidate.row in passages
            and candidate.article in articles
            and candidate.row in sentences
            and len(hits) < limit
        ):
            passage = passages[candidate.row].passage
            answer = _central(passage.sentences, sentences[candidate.row])
            hits.append(
                Hit(
                    rank=len(hits) + 1,
                    score=candidate.score,
                    article=articles[candidate.article],
                    passage=articles[candidate.article].excerpt(passage.start, passage.end),
                    answer=articles[candidate.article].excerpt(*answer),
                    sentences=passage.sentences,
                    why=candidate,
                )
            )
    return tuple(hits)


def _nearest(vectors: NDArray[np.float16], snapshot: Snapshot, filters: Filter) -> Iterator[Ranked]:
    """Yield the passages nearest to any of these vectors, (n, dimension), by falling cosine."""
    if len(vectors) > MOST_PASSAGES:
        vectors = vectors[np.linspace(0, len(vectors) - 1, MOST_PASSAGES).round().astype(int)]
    best: dict[tuple[int, int], float] = {}
    for vector in vectors.astype(np.float32):
        candidates = snapshot.dense(vector, CANDIDATES, filters)
        for row, article, cosine in zip(
            candidates.rows.tolist(), candidates.articles.tolist(), candidates.scores.tolist(), strict=True
        ):
            best[row, article] = max(cosine, best.get((row, article), -1.0))
    for rank, (row, article) in enumerate(sorted(best, key=lambda pair: (-best[pair], pair)), 1):
        cosine = best[row, article]
        yield Ranked(
            row=row,
            article=article,
            score=cosine,
            dense_rank=rank,
            cosine=cosine,
            dense_adds=cosine,
            lexical_rank=0,
            bm25=0.0,
            lexical_adds=0.0,
        )


def _central(sentences: tuple[Span, ...], vectors: NDArray[np.int8]) -> Span:
    """Return the sentence whose vector, of (n, width), is most like all of them together."""
    whole = vectors.astype(np.float32)
    return sentences[int(np.argmax(whole @ whole.sum(axis=0)))]
