"""Verification: whether the dense index finds what an exact search over the recorded vectors finds."""

from dataclasses import dataclass

import numpy as np

from searchsvc.catalogue import Catalogue, EmbeddingSpace
from searchsvc.engines import Snapshot
from searchsvc.query.filter import Filter

SAMPLE = 50  # vectors asked for
NEAREST = 10
AT_ONCE = 2_000  # articles


@dataclass(frozen=True, slots=True)
class Verification:
    """What is wrong with an index, in words; and recall@10 of its dense part, 0 to 1, over `sample` vectors."""

    problems: tuple[str, ...]
    recall: float | None
    sample: int


def measure_recall(snapshot: Snapshot, catalogue: Catalogue, space: EmbeddingSpace) -> tuple[float | None, int]:
    """Return recall@10 of the dense index against exact search, and over how many vectors; None where it is empty.

    The vectors asked for are recorded ones, evenly spread over the library. A passage counts as found when its recorded
    vector's cosine is within 0.001 of the tenth's, so that equals do not count as misses, nor other passages as found.
    """
    with catalogue.reading():
        articles, _ = catalogue.changes.between(0, snapshot.generation)
        sampled = articles[:: -(-len(articles) // SAMPLE) or 1]
        sample = catalogue.vectors.of_articles(sampled, space.row)
        if not len(sample.rows):
            return None, 0
        vectors = sample.vectors[np.searchsorted(sample.articles, np.unique(sample.articles))].astype(np.float32)
        approximate = [snapshot.dense(vector, NEAREST, Filter()).rows for vector in vectors]
        nearest = np.full((len(vectors), NEAREST), -np.inf, np.float32)
        cosines = [np.empty(0, np.float32) for _ in approximate]
        count = 0
        for start in range(0, len(articles), AT_ONCE):
            batch = catalogue.vectors.of_articles(articles[start : start + AT_ONCE], space.row)
            if not len(batch.rows):
                continue
            similarities = vectors @ batch.vectors.astype(np.float32).T
            nearest = -np.sort(-np.concatenate([nearest, similarities], axis=1), axis=1)[:, :NEAREST]
            cosines = [np.append(found, row[np.isin(batch.rows, rows)])
                       for found, row, rows in zip(cosines, similarities, approximate, strict=True)]  # fmt: skip
            count += len(batch.rows)
    expected = min(NEAREST, count)
    hits = [
        np.count_nonzero(found >= exact[expected - 1] - 1e-3) for found, exact in zip(cosines, nearest, strict=True)
    ]
    return float(np.mean(hits) / expected), len(vectors)
