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
        picked = articles[:: -(-len(articles) // SAMPLE) or 1]
        asked = catalogue.vectors.of_articles(picked, space.row)
        if not len(asked.rows):
            return None, 0
        vectors = asked.vectors[np.searchsorted(asked.articles, np.unique(asked.articles))].astype(np.float32)
        given = [snapshot.dense(vector, NEAREST, Filter()).rows for vector in vectors]
        best = np.full((len(vectors), NEAREST), -np.inf, np.float32)
        cosines = [np.empty(0, np.float32) for _ in given]
        count = 0
        for start in range(0, len(articles), AT_ONCE):
            some = catalogue.vectors.of_articles(articles[start : start + AT_ONCE], space.row)
            if not len(some.rows):
                continue
            near = vectors @ some.vectors.astype(np.float32).T
            best = -np.sort(-np.concatenate([best, near], axis=1), axis=1)[:, :NEAREST]
            cosines = [np.append(one, row[np.isin(some.rows, rows)])
                       for one, row, rows in zip(cosines, near, given, strict=True)]  # fmt: skip
            count += len(some.rows)
    due = min(NEAREST, count)
    found = [np.count_nonzero(one >= nearest[due - 1] - 1e-3) for one, nearest in zip(cosines, best, strict=True)]
    return float(np.mean(found) / due), len(vectors)
