"""Records: what is read from the catalogue, one type a kind."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from searchsvc.articles import Problem
from searchsvc.passages import Passage
from searchsvc.sources import credit, standing

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Entry:
    """An article as the catalogue holds it: cleaned, and with its own row.

    `version` counts the texts that it has had, from 1; `since` is when this one was recorded. `origin` is None where
    the owner gave it, and else names whose feed brought it.
    """

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
    version: int = 1
    since: datetime | None = None
    origin: str | None = None

    @property
    def credit(self) -> str | None:
        """Who published it, as people are told; see `sources.credit`."""
        return credit(self.source, self.url, self.origin)

    @property
    def standing(self) -> int:
        """How good the word is by which its source is known; see `sources.standing`."""
        return standing(self.source, self.url, self.origin)

    @property
    def revised(self) -> datetime | None:
        """When this text took the place of an earlier one; None for a first version."""
        return self.since if self.version > 1 else None


@dataclass(frozen=True, slots=True)
class Version:
    """A text that an article has or had: in force from `since` until `until` (None: still)."""

    number: int
    title: str
    text: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Space:
    """An embedding space: the model that makes its vectors, and how long the passages are that it is given."""

    row: int
    model: str
    fingerprint: str
    dimension: int
    passage_tokens: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as it was when it was last read to its end; its articles' keys are made of `key`.

    `size` is None while it has not been read to its end. Times are nanoseconds since 1970: of the last change to the
    bytes, of the last change to the inode, and by this machine's clock when reading began. `digest` is of the bytes;
    `cut` names the rules by which its articles were cleaned and cut; `problems` are what was wrong with it.
    """

    key: str | None
    size: int | None
    modified_ns: int | None
    changed_ns: int | None
    seen_ns: int | None
    digest: bytes | None
    cut: str | None
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
    """A piece of work that a server was asked for; `said` is the JSON that came of it, once it has ended.

    `owner` is the name of the process that runs it; see `locking.Presence`.
    """

    id: str
    began: datetime
    ended: datetime | None = None
    said: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a process that is failing, `failures` times in a row `since` then, and is tried again at `next_try`.

    The first word of the name is its kind, such as `feed`. Times are UTC.
    """

    name: str
    failures: int
    message: str
    since: datetime
    next_try: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """A passage of the catalogue with the row of its article."""

    row: int
    article: int
    passage: Passage


@dataclass(frozen=True, slots=True)
class Recurring:
    """A block by its number (see `junk`), how many articles hold it, the row of one, and whether it is junk."""

    number: int
    articles: int
    article: int
    junk: bool


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
