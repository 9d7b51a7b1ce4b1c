"""Feeds: what a site says is new, as RSS, Atom, RDF or JSON Feed.

    bytes ──► text ──┬── XML (RSS, Atom, RDF) ──► Feed(entries) ──► articles
                     └── JSON Feed ─────────────►

Nothing is fetched here: feeds by URL are fetched by `ingest/feeds.py`.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

from searchsvc.errors import Unreadable
from searchsvc.readers.compression import too_large, whole
from searchsvc.readers.feed_entries import Feed, FeedEntry
from searchsvc.readers.feed_json import json_entry, json_feed
from searchsvc.readers.feed_xml import xml_feed
from searchsvc.readers.html import decode_page
from searchsvc.text.article import Problem, RawArticle

__all__ = ["Feed", "FeedEntry", "fetched_feed", "from_entry", "json_entry", "parse_feed", "read_feed"]

LARGEST = 10_000_000  # bytes of a feed, which is read as a whole; a single article may be limited further

_FEEDS = frozenset({"application/rss+xml", "application/atom+xml", "application/feed+json"})


def read_feed(path: Path, key: str, limit: int) -> Iterator[RawArticle | Problem]:
    """Yield the article of each entry, whose text is what the feed holds of it; nothing is fetched.

    `limit`: bytes of one article. Raises `OSError`, and `Unreadable` where the file is no feed, is larger than
    `LARGEST` and `limit`, or, after what could be read, is cut short.
    """
    feed = parse_feed(whole(path, max(limit, LARGEST)))
    for number, entry in enumerate(feed.entries, 1):
        where = f"{path}, entry {number}"
        if len(entry.text.encode()) > limit:
            yield Problem(where, too_large(limit).message)
        else:
            yield from from_entry(entry, where, key)
    if feed.cut_short:
        raise Unreadable("the feed is cut short")


def from_entry(entry: FeedEntry, where: str, feed: str) -> Iterator[RawArticle | Problem]:
    """Yield the article that an entry of the feed with this key holds, or the `Problem` for which there is none."""
    if entry.doubt:
        yield Problem(where, entry.doubt, lost=False)
    if not entry.text:
        yield Problem(where, "no text")
        return
    yield RawArticle(
        key=entry.key_within(feed),
        title=entry.title,
        text=entry.text,
        url=entry.url,
        source=entry.source,
        author=entry.author,
        published=entry.published,
        published_from="given" if entry.published else None,
        language=entry.language,
    )


def parse_feed(data: bytes, url: str = "", charset: str = "", most: int | None = None) -> Feed:
    """Return what a feed holds, from its bytes, or the first `most` of its entries.

    Links are resolved against `url`; `charset` is the encoding that the server names. Raises `Unreadable` where the
    bytes are no feed.
    """
    text = decode_page(data, charset)
    read = json_feed if text.lstrip().startswith("{") else xml_feed
    return read(text, url, most)


def fetched_feed(data: bytes, url: str, charset: str, most: int, *, is_page: bool) -> Feed:
    """Return what `parse_feed` does; where it is a web page, as the server says or as it is, say which feed it names.

    Raises `Unreadable` where the bytes are no feed.
    """
    try:
        return parse_feed(data, url, charset, most)
    except Unreadable as fault:
        named = _named_feed(data, url, charset)
        if not named and not is_page:
            raise
        said = "is a web page, not a feed"
        raise Unreadable(f"{said}; the feed that it names is {named}" if named else said) from fault


def _named_feed(data: bytes, url: str, charset: str) -> str | None:
    """Return the URL of the feed that a web page names in its head."""
    from lxml import etree  # type: ignore[import-untyped]

    try:
        page = decode_page(data, charset)
    except Unreadable:
        return None
    tree = etree.HTML(page.replace("\0", "").encode(errors="replace"), etree.HTMLParser(encoding="utf-8"))
    for link in tree.iter("link") if tree is not None else ():
        kind = link.get("type", "").partition(";")[0].strip().lower()
        if "alternate" in link.get("rel", "").lower().split() and kind in _FEEDS and link.get("href"):
            try:
                return urljoin(url, str(link.get("href")).strip())
            except ValueError:
                continue
    return None
