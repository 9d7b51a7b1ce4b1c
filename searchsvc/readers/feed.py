"""Feeds: what a site says is new, as RSS, Atom, RDF or JSON Feed.

    bytes ── letters ── well-formed, and only what is read here ── feedparser ──► Feed(entries)
                     └─ JSON ──────────────────────────────────────────────────►

feedparser knows what the formats mean. It is given a tree that lxml has made whole and pruned, because what it does by
itself for broken XML, for categories and for authors can be made to take hours; no document type, and so no entity,
comes as far.
"""

import re
import time
from calendar import timegm
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from html.entities import html5
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from searchsvc.articles import Article, Problem, article_id, site_of
from searchsvc.dates import parse_published
from searchsvc.errors import Unreadable
from searchsvc.readers.fields import language_code, without_surrogates
from searchsvc.readers.html import decode_page
from searchsvc.readers.json_values import one_value
from searchsvc.readers.packing import too_large, whole

LARGEST = 10_000_000  # bytes of a feed, which is read as a whole; a single article may be limited further
FULL = 1_500  # characters from which on a summary is taken for the whole text

_JSON_FEED = "https://jsonfeed.org/version/"
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

_SPACE = re.compile(r"\s+")
_HTML = re.compile(r"</?[A-Za-z!]|&#?\w{2,31};")
_NEVER_TEXT = frozenset({"script", "style", "template", "noscript", "iframe", "object", "svg", "button", "form"})
_BLOCKS = frozenset("""
    address article aside blockquote body dd details div dl dt figcaption figure footer h1 h2 h3 h4 h5 h6 header hr
    main ol p pre section summary table ul
""".split())  # fmt: skip
_LINES = frozenset({"br", "li", "tr"})
_ELLIPSIS = re.compile(r"(?:…|\.\.\.)[\])\s]*$", re.M)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a feed.

    `whole` says whether `text` is the full text rather than a summary of it; `text` is empty where there is neither.
    `published` is UTC, and `doubt` says why a date that the feed gives is not believed.
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

    entries: tuple[Entry, ...]
    cut_short: bool = False


def read_feed(path: Path, key: str, limit: int) -> Iterator[Article | Problem]:
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


def from_entry(entry: Entry, where: str, feed: str) -> Iterator[Article | Problem]:
    """Yield the article that an entry of the feed with this key holds, or the `Problem` for which there is none."""
    if entry.doubt:
        yield Problem(where, entry.doubt, lost=False)
    if not entry.text:
        yield Problem(where, "no text")
        return
    yield Article(
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
    if text.lstrip().startswith("{"):
        return _json_feed(text, url, most)
    return _xml_feed(text, url, most)


def json_entry(item: Mapping[str, object], url: str = "", feed: Mapping[str, object] | None = None) -> Entry:
    """Return an item of a JSON Feed as an entry, with the language and authors of its feed where it names none."""
    html, plain = _said(item, "content_html"), _said(item, "content_text")
    people = item.get("authors") or item.get("author") or (feed or {}).get("authors") or (feed or {}).get("author")
    published, doubt = _moment(item.get("date_published"))
    updated, doubt_of_update = _moment(item.get("date_modified"))
    return _entry(
        key=_said(item, "id"),
        url=_link(url, _said(item, "url") or _said(item, "external_url")),
        title=_said(item, "title"),
        content=plain_text(html) if html else plain.strip(),
        summary=_said(item, "summary").strip(),
        author=_names(people),
        source="",
        published=published,
        updated=updated,
        language=_said(item, "language") or _said(feed or {}, "language"),
        doubt=doubt or doubt_of_update,
    )


def plain_text(html: str) -> str:
    """Return a piece of HTML as plain paragraphs between blank lines."""
    from lxml import etree  # type: ignore[import-untyped]

    tree = etree.HTML(html.replace("\0", "").encode(errors="replace"), etree.HTMLParser(encoding="utf-8"))
    if tree is None:
        return ""
    parts: list[str] = []
    walk = etree.iterwalk(tree, events=("start", "end", "comment", "pi"))
    for event, element in walk:
        shown = event == "start" and element.tag not in _NEVER_TEXT
        if event == "start" and not shown:
            walk.skip_subtree()
        if event in {"start", "end"}:
            parts.append(_break(element, event))
        if shown:
            parts.append(_SPACE.sub(" ", element.text or ""))
        if event != "start":
            parts.append(_SPACE.sub(" ", element.tail or ""))
    text = re.sub(" ?\n ?", "\n", re.sub(" +", " ", "".join(parts)))
    return re.sub("\n{3,}", "\n\n", text).strip()


def _break(element: Any, event: str) -> str:
    """Return what parts an element from what stands around it."""
    if element.tag in _BLOCKS:
        return "\n\n"
    if event == "start" and element.tag in _LINES:
        return "\n- " if element.tag == "li" else "\n"
    if event == "start" and element.tag in {"td", "th"} and element.getprevious() is not None:
        return " | "
    return ""


# ------------------------------------------------------------------ JSON


def _json_feed(text: str, url: str, most: int | None) -> Feed:
    feed = one_value(text)
    items = feed.get("items") if isinstance(feed, dict) else None
    if not isinstance(feed, dict) or not isinstance(items, list) or not _said(feed, "version").startswith(_JSON_FEED):
        raise Unreadable("is JSON, but no JSON Feed")
    return Feed(tuple(json_entry(item, url, feed) for item in items[:most] if isinstance(item, Mapping)))


def _names(people: object) -> str:
    listed = people if isinstance(people, list) else [people]
    names = (_said(one, "name").strip() for one in listed if isinstance(one, Mapping))
    return ", ".join(dict.fromkeys(name for name in names if name))


# ------------------------------------------------------------------ XML


def _xml_feed(text: str, url: str, most: int | None) -> Feed:
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
    language = _said(found.feed, "language")
    return Feed(tuple(_xml_entry(entry, url, language) for entry in found.entries), cut_short)


def _tree(text: str) -> tuple[Any, bool]:
    """Return a feed as a tree, mended where it is broken, and whether its end is missing."""
    from lxml import etree

    def parser(*, recover: bool) -> Any:
        return etree.XMLParser(
            encoding="utf-8", recover=recover, resolve_entities=False, no_network=True,
            remove_comments=True, remove_pis=True,
        )  # fmt: skip

    def starting(tag: re.Pattern[str]) -> str:
        # What stands before a feed: a document type with entities, which it does not need, or a server's warnings.
        found = tag.search(text)
        if found is None:
            raise Unreadable("is no feed")
        return text[found.start() :].rstrip()

    try:
        return etree.fromstring(starting(_TAG).encode(), parser(recover=False)), False
    except etree.XMLSyntaxError:
        tree = etree.fromstring(_mended(starting(_ROOT)).encode(), parser(recover=True))
    if tree is None:
        raise Unreadable("is no feed")
    return tree, not _END.search(text, max(0, len(text) - 1_000))


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


def _xml_entry(entry: dict[str, Any], url: str, language: str) -> Entry:
    contents = [part for part in entry.get("content") or [] if isinstance(part, Mapping)]
    parts = [entry, *contents, entry.get("summary_detail")]
    published, doubt = _date(entry, "published")
    updated, doubt_of_update = _date(entry, "updated")
    source = entry.get("source")
    author = entry.get("author_detail")
    return _entry(
        key=_said(entry, "id"),
        url=_link(url, _said(entry, "link")),
        title=_said(entry, "title"),
        content=max(map(_shown, contents), key=len, default=""),
        summary=_shown(entry.get("summary_detail")),
        author=_names(entry.get("authors")) or (_said(author, "name") if isinstance(author, Mapping) else ""),
        source=_said(source, "title") if isinstance(source, Mapping) else "",
        published=published,
        updated=updated,
        language=next(
            (said for part in parts if isinstance(part, Mapping) and (said := _said(part, "language"))), language
        ),
        doubt=doubt or doubt_of_update,
    )


def _shown(part: object) -> str:
    """Return the text of an element that says what kind of text it holds."""
    if not isinstance(part, Mapping):
        return ""
    kind, value = _said(part, "type"), _said(part, "value")
    if kind == "text/plain":
        return value.strip()
    return plain_text(value) if kind in {"text/html", "application/xhtml+xml"} else ""


def _date(entry: dict[str, Any], name: str) -> tuple[datetime | None, str | None]:
    # Not get(): where there is no `updated`, feedparser's own looks for `published` and warns of it.
    said, parsed = dict.get(entry, name), dict.get(entry, f"{name}_parsed")
    try:
        return _moment(datetime.fromtimestamp(timegm(parsed), UTC) if isinstance(parsed, time.struct_time) else said)
    except (ValueError, OverflowError):
        return _moment(said)


# ------------------------------------------------------------------ both


def _entry(
    *,
    key: str,
    url: str | None,
    title: str,
    content: str,
    summary: str,
    author: str,
    source: str,
    published: datetime | None,
    updated: datetime | None,
    language: str,
    doubt: str | None,
) -> Entry:
    """Return an entry, whole where it has a content of its own, or a long summary, and that is not broken off."""
    full = len(content) >= len(summary)
    text = content if full else summary
    broken_off = _ELLIPSIS.search(text, max(0, len(text) - 300)) is not None
    title = _line(title)
    return Entry(
        key=key.strip() or url or article_id(f"{title}\n{text}"),
        title=title,
        text=text,
        whole=bool(text) and not broken_off and (full or len(text) >= FULL),
        url=url,
        author=_line(author) or None,
        source=_line(source) or None,
        published=published or updated,
        updated=updated,
        language=language_code(language),
        doubt=None if published or updated else doubt,
    )


def _said(record: Mapping[str, Any], name: str) -> str:
    """Return the text in a field; a number as JSON Feeds have for an id is one too."""
    value = record.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = f"{value:d}" if abs(value) < 10**_LONGEST else ""
    return without_surrogates(value) if isinstance(value, str) else ""


def _line(text: str) -> str:
    """Return a text on one line, without tags and with HTML's entities as the letters they stand for."""
    return " ".join((plain_text(text) if _HTML.search(text) else text).split())


def _link(base: str, link: str) -> str | None:
    try:
        address = urljoin(base, link.strip()) if link.strip() else ""
    except ValueError:
        return None
    return address if _is_address(address) else None


def _is_address(text: str) -> bool:
    return text.lower().startswith(("http://", "https://")) and site_of(text) is not None


def _moment(said: object) -> tuple[datetime | None, str | None]:
    """Return the moment that a feed names, or else why it is not believed."""
    try:
        return parse_published(said), None
    except ValueError as fault:
        return None, f"the date {str(said)[:100]!r} was left out: {fault}"
