"""Columns: what filters look at, one element a passage, beside the vectors and in their order."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from searchsvc.catalogue import Catalogue, EmbeddingSpace, PassageVectors, to_microseconds
from searchsvc.query.filter import Filter
from searchsvc.text.sources import normalized

UNDATED = np.iinfo(np.int64).min

COLUMNS = np.dtype([("row", "<i8"), ("article", "<i8"), ("published", "<i8"), ("source", "<i8"), ("language", "<i8")])

Columns = NDArray[np.void]

BATCH = 500  # articles read at a time


def read_articles(
    catalogue: Catalogue, articles: Sequence[int], space: EmbeddingSpace
) -> tuple[NDArray[np.float16], Columns]:
    """Return the vectors, (n, dimension), and columns, (n,), of articles, given by ascending row."""
    vectors = [np.empty((0, space.dimension), np.float16)]
    columns = [np.empty(0, COLUMNS)]
    for start in range(0, len(articles), BATCH):
        batch = articles[start : start + BATCH]
        passages = catalogue.vectors.of_articles(batch, space.row)
        if len(passages.rows):
            vectors.append(passages.vectors)
            columns.append(columns_of(passages, catalogue.articles.filter_fields(batch)))
    return np.concatenate(vectors), np.concatenate(columns)


def code(name: str | None) -> int:
    """Return a hash of a name, 63 bits, the same in every snapshot; -1 for none."""
    if name is None:
        return -1
    return int.from_bytes(hashlib.blake2b(normalized(name).encode(), digest_size=8).digest(), "little") >> 1


def columns_of(passages: PassageVectors, facts: Mapping[int, tuple[int | None, str | None, str | None]]) -> Columns:
    """Return the columns of passages, given (published, source, language) of their articles by row."""
    columns = np.zeros(len(passages.rows), COLUMNS)
    columns["row"] = passages.rows
    columns["article"] = passages.articles
    articles, places = np.unique(passages.articles, return_inverse=True)
    values = [facts[row] for row in articles.tolist()]
    published = [UNDATED if moment is None else moment for moment, _, _ in values]
    columns["published"] = np.array(published, np.int64)[places]
    columns["source"] = np.array([code(source) for _, source, _ in values], np.int64)[places]
    columns["language"] = np.array([code(language) for _, _, language in values], np.int64)[places]
    return columns


def mask(
    columns: Columns,
    filters: Filter,
    rows: NDArray[np.int64] | None = None,
    excluded: NDArray[np.int64] | None = None,
) -> NDArray[np.bool_] | None:
    """Return which passages a filter lets through, (n,), or None where it lets all through.

    `rows` are those of the passages that hold all its phrases; `excluded` those of the articles that it excludes.
    """
    parts: list[NDArray[np.bool_]] = []
    published = columns["published"]
    if filters.after is not None:
        parts.append(published >= to_microseconds(filters.after))
    if filters.before is not None:
        parts.append((published <= to_microseconds(filters.before)) & (published != UNDATED))
    if filters.as_of is not None and len(columns) and published.max() > (moment := to_microseconds(filters.as_of)):
        parts.append(published <= moment)
    for column, names in (("source", filters.sources), ("language", filters.languages)):
        if names:
            parts.append(np.isin(columns[column], [code(name) for name in names]))
    if rows is not None:
        parts.append(np.isin(columns["row"], rows))
    if excluded is not None:
        parts.append(np.isin(columns["article"], excluded, invert=True))
    return np.logical_and.reduce(parts) if parts else None


def published_in(parts: Sequence[Columns], rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return when passages, given by ascending row, were published, in microseconds since 1970; which are dated."""
    published = np.full(len(rows), UNDATED)
    for columns in parts:
        known = columns["row"]
        if len(known):
            places = np.minimum(np.searchsorted(known, rows), len(known) - 1)
            published = np.where(known[places] == rows, columns["published"][places], published)
    return published, published != UNDATED
