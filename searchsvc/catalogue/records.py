"""Records: what is read from the catalogue, one type a kind."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from searchsvc.text.article import Article, Problem
from searchsvc.text.passages import Passage

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

ARTICLE_COLUMNS = """row, id, key, title, text, url, source, author, published, published_from, language,
                     version, since, origin"""


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """An embedding space: the model that makes its vectors, and how long the passages are that it is given."""

    row: int
    model: str
    fingerprint: str
    dimension: int
    passage_tokens: int


@dataclass(frozen=True, slots=True)
class FileState:
    """A file as it was when it was last read to its end; its articles' keys are made of `key`.

    `size` is None while it has not been read to its end. Times are nanoseconds since 1970: of the last change to the
    bytes, of the last change to the inode, and by this machine's clock when reading began. `digest` is of the bytes;
    `prepare_version` names the rules by which its articles were cleaned and split, `problems` what is wrong with it.
    """

    key: str | None
    size: int | None
    modified_ns: int | None
    changed_ns: int | None
    seen_ns: int | None
    digest: bytes | None
    prepare_version: str | None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class FeedState:
    """What is remembered of a feed between two polls.

    `etag` and `modified` are those of the last answer, `failures` how often in a row it could not be read, `next_at`
    (UTC) the moment before which it should not be asked again. `given_by` is the URL whose server gave the first two,
    where redirects led to another server than the feed's own.
    """

    etag: str | None = None
    modified: str | None = None
    failures: int = 0
    next_at: datetime | None = None
    given_by: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work that a server was given; `result` is the JSON that came of it, once it has ended.

    `owner` is the name of the process that runs it; see `lock.ProcessMarker`.
    """

    id: str
    began: datetime
    ended: datetime | None = None
    result: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class FailingPart:
    """A part of a process that is failing, `failures` times in a row `since` then, and is tried again at `next_try`.

    The first word of the name is its kind, such as `feed`. Times are UTC.
    """

    name: str
    failures: int
    message: str
    since: datetime
    next_try: datetime


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """A passage of the catalogue with the row of its article."""

    row: int
    article: int
    passage: Passage


@dataclass(frozen=True, slots=True)
class RecurringBlock:
    """A block by number (see `text.boilerplate`), how many articles hold it, the row of one, and whether it is one."""

    number: int
    articles: int
    article: int
    is_boilerplate: bool


@dataclass(frozen=True, slots=True)
class PassageVectors:
    """Rows of passages, by ascending row, with their articles' rows and their vectors (passages, dimension)."""

    rows: NDArray[np.int64]
    articles: NDArray[np.int64]
    vectors: NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Counts:
    """How much is in force; `generation` is the number of the last change, `updated` its time."""

    articles: int
    passages: int
    generation: int
    updated: datetime | None


@dataclass(frozen=True, slots=True)
class DateSpan:
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


def to_article(values: tuple[object, ...]) -> Article:
    """Return an article from the values of `ARTICLE_COLUMNS`."""
    published, since = (from_microseconds(at) if isinstance(at, int) else None for at in (values[8], values[12]))
    return Article(*values[:8], published, *values[9:12], since, values[13])  # type: ignore[call-arg, arg-type]
