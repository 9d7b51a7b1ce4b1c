"""Feed entries: what a feed says of one article, whatever its format."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urljoin

from searchsvc.readers.feed_text import one_line
from searchsvc.readers.fields import LONGEST_URL, short_key, without_surrogates
from searchsvc.text.article import article_id, site_of
from searchsvc.text.dates import parse_published
from searchsvc.text.language import language_code

FULL = 1_500  # characters from which on a summary is taken for the whole text

_DIGITS = 4_000  # of a number that is an id
_ELLIPSIS = re.compile(r"(?:…|\.\.\.)[\])\s]*$", re.M)


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One entry of a feed.

    `whole` says whether `text` is the full text rather than a summary of it; `text` is empty where there is neither.
    `published` is UTC, and `doubt` says why a date that the feed gives was left out.
    """

    key: str
    title: str
    text: str
    whole: bool
    url: str | None = None
    author: str | None = None
    source: str | None = None
    published: datetime | None = None
    updated: datetime | None = None
    language: str | None = None
    doubt: str | None = None

    def key_within(self, feed: str) -> str:
        """Return the entry's key, which is put behind the feed's where other feeds may use the same."""
        return self.key if _is_address(self.key) or self.key.startswith(("tag:", "urn:")) else f"{feed}#{self.key}"


@dataclass(frozen=True, slots=True)
class Feed:
    """What a feed holds, in its own order; `cut_short` says that its end is missing."""

    entries: tuple[FeedEntry, ...]
    cut_short: bool = False


def feed_entry_of(
    *,
    key: str,
    url: str | None,
    title: str,
    content: str,
    summary: str,
    author: str,
    source: str,
    published: object,
    updated: object,
    language: str,
) -> FeedEntry:
    """Return an entry, whole where it has a content of its own, or a long summary, and that is not broken off.

    `published` and `updated` are as the feed gives them.
    """
    is_content = len(content) >= len(summary)
    text = content if is_content else summary
    broken_off = _ELLIPSIS.search(text, max(0, len(text) - 300)) is not None
    title = one_line(title)
    first, doubt = _moment(published)
    last, doubt_of_last = _moment(updated)
    return FeedEntry(
        key=short_key(key.strip()) or url or article_id(f"{title}\n{text}"),
        title=title,
        text=text,
        whole=bool(text) and not broken_off and (is_content or len(text) >= FULL),
        url=url,
        author=one_line(author) or None,
        source=one_line(source) or None,
        published=first or last,
        updated=last,
        language=language_code(language),
        doubt=None if first or last else doubt or doubt_of_last,
    )


def text_in(record: object, name: str) -> str:
    """Return the text in a field, or an empty one; a number as JSON Feeds have for an id is a text too."""
    value = record.get(name) if isinstance(record, Mapping) else None
    if isinstance(value, int) and not isinstance(value, bool):
        value = f"{value:d}" if abs(value) < 10**_DIGITS else ""
    return without_surrogates(value) if isinstance(value, str) else ""


def names_of(people: object) -> str:
    """Return the names of one or many people."""
    names = (text_in(person, "name").strip() for person in (people if isinstance(people, list) else [people]))
    return ", ".join(dict.fromkeys(name for name in names if name))


def resolved(base: str, link: str) -> str | None:
    """Return the address that a link leads to, if it is one of the web."""
    try:
        address = urljoin(base, link.strip()) if link.strip() else ""
    except ValueError:
        return None
    return address if _is_address(address) and len(address) <= LONGEST_URL else None


def _is_address(text: str) -> bool:
    return text.lower().startswith(("http://", "https://")) and site_of(text) is not None


def _moment(date: object) -> tuple[datetime | None, str | None]:
    """Return the moment of a feed's date, or else why it was left out."""
    try:
        return parse_published(date), None
    except ValueError as fault:
        return None, f"the date {str(date)[:100]!r} was left out: {fault}"
