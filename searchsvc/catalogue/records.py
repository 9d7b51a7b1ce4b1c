"""Records: what is read from the catalogue, one type a kind."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from searchsvc.passages import Passage

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Entry:
    """An article as the catalogue holds it: cleaned, and with its own row."""

    row: int
    id: str
    key: str
    title: str
    text: str
    url: str | None
    source: str | None
    author: str | None
    published: datetime | None
    published_from: str | None
    language: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """A passage of the catalogue with the row of its article."""

    row: int
    article: int
    passage: Passage


@dataclass(frozen=True, slots=True)
class Rows:
    """What a follower needs of passages, one element a passage, by ascending row."""

    rows: NDArray[np.int64]
    articles: NDArray[np.int64]
    vectors: NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is, and how far the change log goes."""

    articles: int
    passages: int
    vectors: int
    generation: int
    updated: datetime | None


@dataclass(frozen=True, slots=True)
class Dates:
    """The first and last date of publication; `undated` counts the articles without one."""

    oldest: datetime | None
    newest: datetime | None
    undated: int


def to_microseconds(moment: datetime) -> int:
    """Return microseconds since 1970 in UTC."""
    return (moment - EPOCH) // MICROSECOND


def from_microseconds(value: int) -> datetime:
    """Return the aware UTC moment of microseconds since 1970."""
    return EPOCH + value * MICROSECOND
