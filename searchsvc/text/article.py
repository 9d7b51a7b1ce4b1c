"""An article: as a reader returns it, and as the catalogue holds it.

`key` is the identity that the source gave; `id` is ours, derived from the key, and of what a feed brings from the
feed's origin too, so that it is the same after every reindexing and on every machine, and nobody's but the origin's.
"""

import hashlib
from base64 import b32encode
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from searchsvc.text.sources import credit, standing

Span = tuple[int, int]
"""Start and end of a part of a text, in code points."""


@dataclass(frozen=True, slots=True)
class RawArticle:
    """One article as its source gave it.

    `published` is timezone-aware UTC; `published_from` says how it is known: `given` (a field of the record),
    `meta` (the page's own metadata), `url` (the page's address), `text` (the page as people see it) or None with no
    date. `language` is an ISO 639-1 code such as `en`. `origin` is None where the owner gave the article, as a file or
    directly, and else names whoever sent it (see `sources.origin_of`): all else is what that one says of it.
    """

    key: str
    title: str  # empty where the source gives none
    text: str
    url: str | None = None
    source: str | None = None
    author: str | None = None
    published: datetime | None = None
    published_from: str | None = None
    language: str | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with an input: `where` (file, or file and line) and `reason`.

    `lost` says whether an article is missing because of it; a record that only lost its date is not lost. `count` is
    more than 1 where it stands for so many problems that are not listed (see `readers/problems.py`).
    """

    where: str
    reason: str
    lost: bool = True
    count: int = 1


def article_id(key: str, origin: str | None = None) -> str:
    """Return the id of the article with this key: 16 characters of a-z and 2-7, 80 bits of BLAKE2b.

    One key is as many articles as there are origins that use it: whoever repeats a key adds, and replaces nothing.
    """
    name = key if origin is None else f"{origin}\0{key}"
    return b32encode(hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=10).digest()).decode().lower()


def storable(name: str) -> str:
    """Return a key or a path as text that can be stored, whatever bytes it is made of."""
    return name.encode(errors="backslashreplace").decode()


def public_address(url: str) -> str:
    """Return a URL as anybody may read it: without a user, a password, and a query, in which keys of feeds often are.

    Where something was left out, a digest tells it from other URLs of the same place.
    """
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "an address that cannot be read"
    left_out = parts.query or "@" in parts.netloc
    mark = f"?…{hashlib.blake2b(url.encode(errors='replace'), digest_size=3).hexdigest()}" if left_out else ""
    return f"{parts.scheme}://{host}{parts.path}{mark}"


def site_of(url: str | None) -> str | None:
    """Return the host that a URL names, without `www.`; None when it names none."""
    try:
        host = urlsplit(url or "").hostname
    except ValueError:
        return None
    return host.removeprefix("www.") if host else None


@dataclass(frozen=True, slots=True)
class Article:
    """An article as the catalogue holds it: cleaned, and with its own row.

    `version` counts the texts that it has had, from 1; `since` is when this one was recorded. `origin` is None where
    the owner gave it, and else names whose feed brought it.
    """

    row: int
    id: str
    key: str
    title: str
    text: str = field(repr=False)
    url: str | None
    source: str | None
    author: str | None
    published: datetime | None
    published_from: str | None
    language: str | None
    version: int = 1
    since: datetime | None = None
    origin: str | None = None

    def excerpt(self, start: int, end: int) -> "Excerpt":
        """Return a part of the text."""
        return Excerpt(self.id, start, end, self.text[start:end])

    @property
    def credit(self) -> str | None:
        """Who published it, as shown to people; see `sources.credit`."""
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
class Excerpt:
    """A part of an article's text: `article.text[start:end] == text`."""

    article_id: str
    start: int
    end: int
    text: str = field(repr=False)

    @property
    def id(self) -> str:
        """ARTICLE_ID:START-END."""
        return f"{self.article_id}:{self.start}-{self.end}"


@dataclass(frozen=True, slots=True)
class Version:
    """A text that an article has or had: in force from `since` until `until` (None: still)."""

    number: int
    title: str
    text: str
    since: datetime
    until: datetime | None
