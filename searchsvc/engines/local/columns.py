"""Columns: what filters look at, one element a passage, beside the vectors and in their order."""

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from searchsvc.catalogue import PassageVectors, to_microseconds
from searchsvc.query.filter import Filter
from searchsvc.text.sources import normalized

UNDATED = np.iinfo(np.int64).min

COLUMNS = np.dtype([("row", "<i8"), ("article", "<i8"), ("published", "<i8"), ("source", "<i8"), ("language", "<i8")])

Columns = NDArray[np.void]


def code(name: str | None) -> int:
    """Return 63 bits that stand for a name; the same in every snapshot, so that none needs a table of names."""
    if name is None:
        return -1
    return int.from_bytes(hashlib.blake2b(normalized(name).encode(), digest_size=8).digest(), "little") >> 1


def columns_of(rows: PassageVectors, known: Mapping[int, tuple[int | None, str | None, str | None]]) -> Columns:
    """Return the columns of passages, given (published, source, language) of their articles by row."""
    columns = np.zeros(len(rows.rows), COLUMNS)
    columns["row"] = rows.rows
    columns["article"] = rows.articles
    articles, places = np.unique(rows.articles, return_inverse=True)
    facts = [known[row] for row in articles.tolist()]
    published = [UNDATED if at is None else at for at, _, _ in facts]
    columns["published"] = np.array(published, np.int64)[places]
    columns["source"] = np.array([code(source) for _, source, _ in facts], np.int64)[places]
    columns["language"] = np.array([code(language) for _, _, language in facts], np.int64)[places]
    return columns


def mask(
    columns: Columns,
    allowed: Filter,
    holding: NDArray[np.int64] | None = None,
    excluded: NDArray[np.int64] | None = None,
) -> NDArray[np.bool_] | None:
    """Return which passages a filter lets through, or None where it lets all through.

    `holding`: the rows of the passages that hold its phrases; `excluded`: those of the articles that it excludes.
    """
    parts: list[NDArray[np.bool_]] = []
    published = columns["published"]
    if allowed.after is not None:
        parts.append(published >= to_microseconds(allowed.after))
    if allowed.before is not None:
        parts.append((published <= to_microseconds(allowed.before)) & (published != UNDATED))
    if allowed.as_of is not None and len(columns) and published.max() > (moment := to_microseconds(allowed.as_of)):
        parts.append(published <= moment)
    for name, wanted in (("source", allowed.sources), ("language", allowed.languages)):
        if wanted:
            parts.append(np.isin(columns[name], [code(one) for one in wanted]))
    if holding is not None:
        parts.append(np.isin(columns["row"], holding))
    if excluded is not None:
        parts.append(np.isin(columns["article"], excluded, invert=True))
    return np.logical_and.reduce(parts) if parts else None
