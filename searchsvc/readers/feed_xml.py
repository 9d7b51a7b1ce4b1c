"""XML feeds: RSS, Atom and RDF, whole or broken.

feedparser knows what the formats mean. It is given a tree that lxml has made whole and pruned, because what it does by
itself for broken XML, for categories and for authors can be made to take hours; no document type, and so no entity,
comes as far.
"""

import re
import time
from calendar import timegm
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from html.entities import html5
from io import BytesIO
from typing import Any

from searchsvc.errors import Unreadable
from searchsvc.readers.feed_entries import Feed, FeedEntry, feed_entry_of, names_of, resolved, said
from searchsvc.readers.feed_text import plain_text

_ROOTS = frozenset({"rss", "rdf", "feed", "channel"})
_ENTRIES = frozenset({"item", "entry"})
_MARKUP = frozenset({"title", "description", "summary", "abstract", "content", "encoded"})
_PLAIN = frozenset({
    "channel", "item", "entry", "source", "author", "creator", "name", "link", "guid", "id", "language",
    "pubdate", "published", "issued", "date", "created", "updated", "modified",
})  # fmt: skip
_PEOPLE = frozenset({"author", "creator", "name"})
_ATTRIBUTES = frozenset("about base href ispermalink lang mode rel src type url version".split())
# Titles and texts of pictures and of sound, under the names that the article has for its own.
_OF_MEDIA = ("search.yahoo.com/mrss", "itunes.com")
_NAMESPACES = {"content": "http://purl.org/rss/1.0/modules/content/", "dc": "http://purl.org/dc/elements/1.1/"}
_LONGEST = 4_000  # characters of a link, a name or a date

_TAG = re.compile(r"<[A-Za-z_]")
_ROOT = re.compile(r"<(?:[\w.-]{1,20}:)?(?:rss|rdf|feed|channel|html)\b", re.I)
_END = re.compile(r"</(?:[\w.-]{1,20}:)?(?:rss|rdf|feed|channel)\s*>", re.I)
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_VOID = re.compile(r"<(br|hr|img|input|wbr)\b([^<>]*?)/?>", re.I)
_PARAGRAPH = re.compile(r"</?p(?:\s[^<>]*)?/?>", re.I)
_NAMED = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)(\w{2,31};)")
_STRAY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});)")


def xml_feed(text: str, url: str, most: int | None) -> Feed:
    """Return the first `most` entries of a feed; raises `Unreadable` where the text is none."""
    import feedparser  # type: ignore[import-untyped]

    tree, cut_short = _tree(text)
    root = _local(tree)
    if root == "html":
        raise Unreadable("is a web page, not a feed")
    if root not in _ROOTS:
        raise Unreadable(f"is no feed: its outermost element is {root[:_LONGEST]}")
    headers = {"content-type": "application/xml; charset=utf-8"} | ({"content-location": url} if url else {})
    try:
        found = feedparser.parse(
            BytesIO(_pruned(tree, most)), response_headers=headers, sanitize_html=False, resolve_relative_uris=False
        )
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError) as fault:
        raise Unreadable(f"the feed cannot be taken apart ({type(fault).__name__})") from fault
    if not found.entries and not found.version:
        raise Unreadable("is no feed")
    language = said(found.feed, "language")
    return Feed(tuple(_entry(entry, url, language) for entry in found.entries), cut_short)


def _tree(text: str) -> tuple[Any, bool]:
    """Return a feed as a tree, mended where it is broken, and whether its end is missing."""
    from lxml import etree  # type: ignore[import-untyped]

    def parser(*, recover: bool) -> Any:
        return etree.XMLParser(
            encoding="utf-8", recover=recover, resolve_entities=False, no_network=True,
            remove_comments=True, remove_pis=True,
        )  # fmt: skip

    try:
        return etree.fromstring(_from(_TAG, text).encode(), parser(recover=False)), False
    except etree.XMLSyntaxError:
        tree = etree.fromstring(_mended(_from(_ROOT, text)).encode(), parser(recover=True))
    if tree is None:
        raise Unreadable("is no feed")
    return tree, not _END.search(text, max(0, len(text) - 1_000))


def _from(tag: re.Pattern[str], text: str) -> str:
    """Return a feed without what stands before it: a document type, which it does not need, or a server's warnings."""
    found = tag.search(text)
    if found is None:
        raise Unreadable("is no feed")
    return text[found.start() :].rstrip()


def _mended(text: str) -> str:
    """Return XML without its most common faults.

    These are the entities, paragraphs and void elements of HTML, a bare `&`, and control characters.
    """
    text = _NO_XML.sub("", text)
    text = _NAMED.sub(lambda found: escape(html5[found[1]]) if found[1] in html5 else found[0], text)
    text = _STRAY.sub("&amp;", text)
    text = _PARAGRAPH.sub("<br/><br/>", _VOID.sub(r"<\1\2/>", text))
    for prefix, namespace in _NAMESPACES.items():
        if f"xmlns:{prefix}" not in text:
            text = re.sub(r"^<[\w.:-]+", rf'\g<0> xmlns:{prefix}="{namespace}"', text, count=1)
    return text


def _pruned(tree: Any, most: int | None) -> bytes:
    """Return the tree as XML, with its first entries side by side and nothing in it but what is read here."""
    from lxml import etree

    entries = [element for element in tree.iter(etree.Element) if _local(element) in _ENTRIES]
    for entry in entries:
        # In broken XML, entries stand inside those before them.
        entries[0].getparent().append(entry)
    for entry in entries[most:] if most is not None else ():
        entry.getparent().remove(entry)
    for element in tree.iter(etree.Element):
        for name in list(element.attrib):
            if name.rpartition("}")[2].lower() not in _ATTRIBUTES:
                del element.attrib[name]
        if ":" in element.tag.rpartition("}")[2]:
            element.tag = "undeclared"  # a prefix that would make it broken again
    _prune(tree)
    return bytes(etree.tostring(tree, encoding="utf-8", xml_declaration=True))


def _prune(element: Any) -> None:
    for child in list(element):
        child.tail = None
        if _local(child) in _PLAIN:
            child.text = (child.text or "")[:_LONGEST]
            if _local(child) in _PEOPLE:
                child.text = _without_mail(child.text)
            _prune(child)
        if _local(child) not in _PLAIN | _MARKUP or any(media in child.tag for media in _OF_MEDIA):
            element.remove(child)


def _without_mail(text: str) -> str:
    """Return the name alone of `name@host (Name)` and the like; feedparser gets it wrong for many a host."""
    words = text.split()
    names = [word for word in words if "@" not in word[1:]]
    return text if names == words else " ".join(names).strip(" ()<>")


def _local(element: Any) -> str:
    return str(element.tag).rpartition("}")[2].rpartition(":")[2].lower()


def _entry(entry: dict[str, Any], url: str, language: str) -> FeedEntry:
    contents = [part for part in entry.get("content") or [] if isinstance(part, Mapping)]
    languages = (said(part, "language") for part in [entry, *contents, entry.get("summary_detail")])
    return feed_entry_of(
        key=said(entry, "id"),
        url=resolved(url, said(entry, "link")),
        title=said(entry, "title"),
        content=max(map(_shown, contents), key=len, default=""),
        summary=_shown(entry.get("summary_detail")),
        author=names_of(entry.get("authors")) or said(entry.get("author_detail"), "name"),
        source=said(entry.get("source"), "title"),
        published=_date(entry, "published"),
        updated=_date(entry, "updated"),
        language=next(filter(None, languages), language),
    )


def _shown(part: object) -> str:
    """Return the text of an element that says what kind of text it holds."""
    kind, value = said(part, "type"), said(part, "value")
    if kind == "text/plain":
        return value.strip()
    return plain_text(value) if kind in {"text/html", "application/xhtml+xml"} else ""


def _date(entry: dict[str, Any], name: str) -> object:
    """Return a date as feedparser understands it, or else as the feed says it."""
    # Not get(): where there is no `updated`, feedparser's own looks for `published` and warns of it.
    text, understood = dict.get(entry, name), dict.get(entry, f"{name}_parsed")
    try:
        return datetime.fromtimestamp(timegm(understood), UTC) if isinstance(understood, time.struct_time) else text
    except (ValueError, OverflowError):
        return text
