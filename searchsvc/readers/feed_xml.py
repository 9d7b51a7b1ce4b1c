"""XML feeds: RSS, Atom and RDF, whole or broken.

lxml reads the tree; what its elements mean is in one table here. No document type, and so no entity, comes as far.
Where formats and broken feeds leave a choice, it is feedparser's, so that keys and texts are those that it would give.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from html import escape
from html.entities import html5
from typing import Any
from urllib.parse import urljoin

from searchsvc.errors import Unreadable
from searchsvc.readers.feed_entries import Feed, FeedEntry, feed_entry_of, resolved
from searchsvc.readers.feed_text import plain_text

Element = Any  # of lxml

_ROOTS = frozenset({"rss", "rdf", "feed", "channel"})
_ENTRIES = frozenset({"item", "entry"})
# What an element of an entry is, by its namespace's usual prefix and its name in lower case.
_FIELDS = {
    "title": "title", "dc:title": "title", "link": "link", "guid": "id", "id": "id", "source": "source",
    "description": "summary", "dc:description": "summary", "summary": "summary", "abstract": "summary",
    "content": "content", "content:encoded": "content",
    "author": "author", "dc:author": "author", "dc:creator": "author",
    "language": "language", "dc:language": "language",
    "published": "published", "issued": "published", "pubdate": "published", "dcterms:issued": "published",
    "updated": "updated", "modified": "updated", "dc:date": "updated",
    "dcterms:modified": "updated",
}  # fmt: skip
_HTML_BY_DEFAULT = frozenset({"description", "dc:description", "content:encoded"})
_DECLARED = {"content": "http://purl.org/rss/1.0/modules/content/", "dc": "http://purl.org/dc/elements/1.1/"}
_PREFIXES = {namespace: prefix for prefix, namespace in _DECLARED.items()} | {
    "http://purl.org/dc/terms/": "dcterms",
    "http://www.w3.org/2005/atom": "",
    "http://purl.org/atom/ns#": "",
    "http://purl.org/rss/1.0/": "",
    "http://my.netscape.com/rdf/simple/0.9/": "",
    "http://blogs.law.harvard.edu/tech/rss": "",
    "http://purl.org/rss/1.0/modules/rss091#": "",
}
# Titles and texts of pictures and of sound, under the names that the article has for its own.
_OF_MEDIA = ("search.yahoo.com/mrss", "itunes.com")
_TYPES = {"text": "text/plain", "plain": "text/plain", "html": "text/html", "xhtml": "application/xhtml+xml"}
_XHTML = "application/xhtml+xml"
_MAX_LENGTH = 4_000  # characters of a link, a name or a date
_XML = "{http://www.w3.org/XML/1998/namespace}"
_CP1252 = {code: bytes([code]).decode("cp1252", "ignore") or chr(code) for code in range(0x80, 0xA0)}

_TAG = re.compile(r"<[A-Za-z_]")
_ROOT = re.compile(r"<(?:[\w.-]{1,20}:)?(?:rss|rdf|feed|channel|html)\b", re.I)
_END = re.compile(r"</(?:[\w.-]{1,20}:)?(?:rss|rdf|feed|channel)\s*>", re.I)
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_VOID = re.compile(r"<(br|hr|img|input|wbr)\b([^<>]*?)/?>", re.I)
_PARAGRAPH = re.compile(r"</?p(?:\s[^<>]*)?/?>", re.I)
_NAMED = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)(\w{2,31};)")
_STRAY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});)")


_LOOKS_LIKE_HTML = re.compile(r"</\w+>|&#?\w+;")


@dataclass(frozen=True, slots=True)
class Text:
    """A text of a feed with its media type and language."""

    value: str
    kind: str
    language: str = ""

    @property
    def plain(self) -> str:
        """The text without markup; empty where it is of no type that can be read."""
        if self.kind == "text/plain":
            return self.value
        return plain_text(self.value) if self.kind in {"text/html", _XHTML} else ""


@dataclass(slots=True)
class Fields:
    """What the elements of one entry say, each field as in the last element for it; the first one wins for `title`."""

    id: str = ""
    title: str = ""
    link: str = ""
    guid_link: str = ""
    source: str = ""
    language: str = ""
    published: str = ""
    updated: str = ""
    summary: Text | None = None
    contents: list[Text] = field(default_factory=list)
    authors: list[str] = field(default_factory=list)


def xml_feed(text: str, url: str, limit: int | None) -> Feed:
    """Return the first `limit` entries of a feed; raises `Unreadable` where the text is none."""
    tree, cut_short = _tree(text)
    root = _local(tree)
    if root == "html":
        raise Unreadable("is a web page, not a feed")
    if root not in _ROOTS:
        raise Unreadable(f"is no feed: its outermost element is {root[:_MAX_LENGTH]}")
    entries = [element for element in tree.iter("*") if _local(element) in _ENTRIES]
    channels = (child for child in _children(tree) if _name(child) == "channel")
    channel = tree if root in {"feed", "channel"} else next(channels, None)
    if not entries and (channel is None or root == "channel") and root != "rss":
        raise Unreadable("is no feed")
    for entry in entries:
        # In broken XML, entries stand inside those before them.
        entries[0].getparent().append(entry)
    languages = (_text(child) for child in _children(channel) if _FIELDS.get(_name(child)) == "language")
    language = next(filter(None, languages), "") or _language(tree)
    return Feed(tuple(_entry(entry, url, language, is_atom=root == "feed") for entry in entries[:limit]), cut_short)


def _tree(text: str) -> tuple[Any, bool]:
    """Return a feed as a tree, repaired where it is broken, and whether its end is missing."""
    from lxml import etree  # type: ignore[import-untyped]

    def parser(*, recover: bool) -> Any:
        return etree.XMLParser(
            encoding="utf-8", recover=recover, resolve_entities=False, no_network=True,
            remove_comments=True, remove_pis=True,
        )  # fmt: skip

    try:
        return etree.fromstring(_from(_TAG, text).encode(), parser(recover=False)), False
    except etree.XMLSyntaxError:
        tree = etree.fromstring(_repaired(_from(_ROOT, text)).encode(), parser(recover=True))
    if tree is None:
        raise Unreadable("is no feed")
    return tree, not _END.search(text, max(0, len(text) - 1_000))


def _from(tag: re.Pattern[str], text: str) -> str:
    """Return a feed without what stands before it: a document type, which it does not need, or a server's warnings."""
    match = tag.search(text)
    if match is None:
        raise Unreadable("is no feed")
    return text[match.start() :].rstrip()


def _repaired(text: str) -> str:
    """Return XML without its most common faults.

    These are the entities, paragraphs and void elements of HTML, a bare `&`, and control characters.
    """
    text = _NO_XML.sub("", text)
    text = _NAMED.sub(lambda match: escape(html5[match[1]]) if match[1] in html5 else match[0], text)
    text = _STRAY.sub("&amp;", text)
    text = _PARAGRAPH.sub("<br/><br/>", _VOID.sub(r"<\1\2/>", text))
    for prefix, namespace in _DECLARED.items():
        if f"xmlns:{prefix}" not in text:
            text = re.sub(r"^<[\w.:-]+", rf'\g<0> xmlns:{prefix}="{namespace}"', text, count=1)
    return text


def _entry(entry: Element, url: str, feed_language: str, *, is_atom: bool) -> FeedEntry:
    fields = Fields(id=_attribute(entry, "about"))
    for child in _children(entry):
        name = _name(child)
        match _FIELDS.get(name):
            case "title":
                fields.title = fields.title or _marked_up(child, name, is_atom=is_atom).value
            case "link":
                _read_link(child, fields, url)
            case "id":
                _read_id(child, fields, url)
            case "author":
                fields.authors.append(_person(child))
            case "published" | "updated" | "language" as kind:
                setattr(fields, kind, _text(child))
            case "source":
                titles = (_text(title) for title in _children(child) if _name(title) == "title")
                fields.source = _text(child) or next(titles, "")
            case "content":
                fields.contents.append(_marked_up(child, name, is_atom=is_atom))
            case "summary":
                text = _marked_up(child, name, is_atom=is_atom)
                if fields.summary and not fields.contents:
                    fields.contents.append(text)  # the second of two summaries is the longer one
                else:
                    fields.summary = text
    texts = [*fields.contents, *([fields.summary] if fields.summary else [])]
    languages = [fields.language, *(text.language for text in texts), feed_language]
    return feed_entry_of(
        key=fields.id,
        url=resolved(url, fields.link or fields.guid_link),
        title=fields.title,
        content=max((text.plain for text in fields.contents), key=len, default=""),
        summary=fields.summary.plain if fields.summary else "",
        author=", ".join(dict.fromkeys(filter(None, fields.authors))),
        source=fields.source,
        published=fields.published,
        updated=fields.updated,
        language=next(filter(None, languages), ""),
    )


def _read_link(element: Element, fields: Fields, url: str) -> None:
    """Take over the address of the article itself, not those of what belongs to it."""
    address = next(filter(None, (_attribute(element, name) for name in ("url", "uri", "href"))), "")
    kind = _attribute(element, "type") or "text/html"
    if not address:
        fields.link = _joined(_base(element, url), _text(element).replace("&amp;", "&"))
    elif (_attribute(element, "rel") or "alternate") == "alternate" and _TYPES.get(kind, kind) in {"text/html", _XHTML}:
        fields.link = _joined(_base(element, url), address)


def _read_id(element: Element, fields: Fields, url: str) -> None:
    """Take over an id, which is the article's address too unless it says that it is none."""
    fields.id = _text(element)
    if (_attribute(element, "ispermalink") or "true") == "true":
        fields.id = fields.guid_link = _joined(_base(element, url), fields.id)


def _person(element: Element) -> str:
    """Return the name of an author: the element `name` within, or the text without `name@host (Name)`'s address."""
    names = [_text(child) for child in _children(element) if _name(child) == "name"]
    text = names[-1] if names else _text(element)
    words = text.split()
    without_mail = [word for word in words if "@" not in word[1:]]
    return text if without_mail == words else " ".join(without_mail).strip(" ()<>")


def _marked_up(element: Element, name: str, *, is_atom: bool) -> Text:
    """Return the text of an element that may hold markup, escaped or as elements."""
    kind = (_attribute(element, "type") or ("text/html" if name in _HTML_BY_DEFAULT else "text/plain")).lower()
    kind = _TYPES.get(kind, kind)
    value = element.text or ""
    if not kind.endswith("xml") and all(_local(inner) == "div" for inner in element.iterdescendants("*")):
        value = "".join(element.itertext())  # escaped markup, in a wrapper that is none
    elif len(element):
        value = (escape(value, quote=False) if kind == _XHTML else value) + "".join(map(_serialized, element))
        kind = kind if kind.endswith("xml") else _XHTML
    if _attribute(element, "mode") == "base64":
        try:
            value = base64.b64decode(value).decode()
        except (binascii.Error, ValueError):
            value = ""
    value = _decoded_once_more(value).strip()
    if kind == "text/plain" and not is_atom and _looks_like_html(value):
        kind = "text/html"
    return Text(value, kind, _language(element))


def _serialized(element: Element) -> str:
    from lxml import etree

    for descendant in element.iter("*"):
        descendant.tag = _local(descendant)
    return str(etree.tostring(element, encoding="unicode", method="html"))


def _looks_like_html(text: str) -> bool:
    """Say whether a text that is said to be plain has tags or entities, and of HTML alone."""
    from lxml.html.defs import tags  # type: ignore[import-untyped]

    return (
        _LOOKS_LIKE_HTML.search(text) is not None
        and all(tag.lower() in tags for tag in re.findall(r"</?(\w+)", text))
        and all(f"{entity};" in html5 for entity in re.findall(r"&(\w+);", text))
    )


def _decoded_once_more(text: str) -> str:
    """Return a text of which UTF-8 was taken for Latin-1, or Windows' letters for control characters, as it was."""
    with suppress(UnicodeError):
        text = text.encode("latin-1").decode()
    return text.translate(_CP1252)


def _text(element: Element) -> str:
    """Return the text of an element for a link, a name or a date."""
    return _decoded_once_more((element.text or "")[:_MAX_LENGTH]).strip()


def _children(element: Element | None) -> Iterator[Element]:
    return element.iterchildren("*") if element is not None else iter(())


def _attribute(element: Element, name: str) -> str:
    """Return an attribute by its name in lower case, whatever its namespace."""
    return next((value for key, value in element.attrib.items() if key.rpartition("}")[2].lower() == name), "").strip()


def _language(element: Element) -> str:
    """Return the language of an element: its own, or that of the one around it."""
    languages = (e.get(f"{_XML}lang") or e.get("lang") for e in (element, *element.iterancestors()))
    return next(filter(None, languages), "")


def _base(element: Element, url: str) -> str:
    """Return the address against which the links of an element are resolved."""
    for outer in reversed((element, *element.iterancestors())):
        url = _joined(url, outer.get(f"{_XML}base") or outer.get("base") or "") or url
    return url


def _joined(base: str, link: str) -> str:
    try:
        return urljoin(base, link) if link else ""
    except ValueError:
        return link


def _name(element: Element) -> str:
    """Return the name of an element in lower case, behind its namespace's usual prefix; empty for media."""
    namespace, _, name = str(element.tag).lower().rpartition("}")
    namespace = namespace.removeprefix("{")
    if ":" in name or any(media in namespace for media in _OF_MEDIA):
        return ""
    prefix = "" if "backend.userland.com/rss" in namespace else _PREFIXES.get(namespace, element.prefix or "")
    return f"{prefix}:{name}" if prefix else name


def _local(element: Element) -> str:
    return str(element.tag).rpartition("}")[2].rpartition(":")[2].lower()
