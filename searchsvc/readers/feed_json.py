"""JSON Feeds: a feed as one JSON object."""

from collections.abc import Mapping

from searchsvc.errors import Unreadable
from searchsvc.readers.feed_entries import Feed, FeedEntry, feed_entry_of, names_of, resolved, text_in
from searchsvc.readers.feed_text import plain_text
from searchsvc.readers.json_stream import one_value

_VERSIONS = "https://jsonfeed.org/version/"


def json_feed(text: str, url: str, limit: int | None) -> Feed:
    """Return the first `limit` entries of a JSON Feed; raises `Unreadable` where the text is none."""
    feed = one_value(text)
    items = feed.get("items") if isinstance(feed, dict) else None
    if not isinstance(feed, dict) or not isinstance(items, list) or not text_in(feed, "version").startswith(_VERSIONS):
        raise Unreadable("is JSON, but no JSON Feed")
    return Feed(tuple(json_entry(item, url, feed) for item in items[:limit] if isinstance(item, Mapping)))


def json_entry(item: Mapping[str, object], url: str = "", feed: Mapping[str, object] | None = None) -> FeedEntry:
    """Return an item of a JSON Feed as an entry, with the language and authors of its feed where it names none."""
    feed = feed or {}
    html, plain = text_in(item, "content_html"), text_in(item, "content_text")
    return feed_entry_of(
        key=text_in(item, "id"),
        url=resolved(url, text_in(item, "url") or text_in(item, "external_url")),
        title=text_in(item, "title"),
        content=plain_text(html) if html else plain.strip(),
        summary=text_in(item, "summary").strip(),
        author=names_of(item.get("authors") or item.get("author") or feed.get("authors") or feed.get("author")),
        source="",
        published=item.get("date_published"),
        updated=item.get("date_modified"),
        language=text_in(item, "language") or text_in(feed, "language"),
    )
