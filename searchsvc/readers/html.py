"""Web pages: the article on a page, without menus, banners, comments and related links."""

import logging
import re
from collections.abc import Iterator
from copy import deepcopy
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from searchsvc.errors import Unreadable
from searchsvc.readers.compression import whole
from searchsvc.readers.encoding import declared, decode
from searchsvc.readers.feed_text import text_of
from searchsvc.text.article import Problem, RawArticle, site_of
from searchsvc.text.dates import parse_published
from searchsvc.text.language import language_code

_DECLARED = re.compile(rb"""<(?:meta|\?xml)\b[^>]{0,200}?(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]{2,40})""", re.I)
_XML = re.compile(r"<\?xml[^>]{0,200}\?>")
_HEAD = 4_096
_JSON_DATE = re.compile(r'"datePublished"\s*:\s*"([^"\\]{8,40})"')
_MIN_TEXT = 40  # characters; less is "Home", or a line of the footer
_NEVER_ARTICLE = "//nav | //footer | //aside | //*[@role='navigation']"
# The time that trafilatura takes grows with the square of these. Even the pages of live blogs have fewer.
_MAX_ELEMENTS = 15_000  # of a page
_MAX_SIBLINGS = 4_000  # elements that stand within one
_MAX_META = 500  # elements in the head of a page that has too many
_MAX_DATES = 50  # on which a page may say that it was published, since to read one may take milliseconds
_BESIDE = frozenset({"head", "nav", "footer", "aside"})
_BLOCKS = frozenset({"p", "head", "quote", "code", "list", "item", "table", "row"})


def read_html(path: Path, key: str, limit: int) -> Iterator[RawArticle | Problem]:
    """Yield the one article of a page of at most `limit` bytes; raises `OSError` and `Unreadable`."""
    yield from article_on(decode_page(whole(path, limit)), str(path), key)


def article_on(page: str, where: str, key: str) -> Iterator[RawArticle | Problem]:
    """Yield the one article on a page that is in memory; raises `Unreadable` where there is none."""
    tree, extract, all_text = _extracted(_XML.sub("", page, count=1))
    title = " ".join((extract.title or "").split())
    text = _text(extract.body, title) if all_text is None else all_text
    if len(text) < _MIN_TEXT:
        raise Unreadable("no article text found in the page")
    if all_text is not None:
        yield Problem(where, "has more elements than an article; all that the page says was taken for it", lost=False)
    published: datetime | None = None
    known_from: str | None = None
    try:
        published, known_from = _published(tree, extract.date)
    except ValueError as fault:
        yield Problem(where, f"the date {extract.date!r} was left out: {fault}", lost=False)
    url = extract.url if site_of(extract.url) else None
    yield RawArticle(
        key=key,
        title=title or "",
        text=text,
        url=url,
        source=extract.sitename or site_of(url) or extract.hostname or None,
        author=extract.author or None,
        published=published,
        published_from=known_from,
        language=language_code(tree.get("lang") or tree.get("{http://www.w3.org/XML/1998/namespace}lang")),
    )


def decode_page(data: bytes, charset: str = "") -> str:
    """Return the text of a page: UTF-8 where it is, else by the encoding it declares, else as any text.

    `charset` is the encoding that the server names, which goes before the page's own.

    Pages often declare an encoding that they no longer have, and hardly any other is valid UTF-8 by chance.
    Raises `Unreadable` where there is no text.
    """
    match = _DECLARED.search(data[:_HEAD])
    names = [charset.lower(), match[1].decode("ascii", "replace").lower() if match else ""]
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")) or b"\0" in data:
        names = []
    for name in filter(None, names):
        # These are made of ASCII bytes alone, so that they always look like UTF-8.
        ascii_only = name.startswith(("iso-2022-", "hz"))
        text = None if declared(data, "utf-8") is not None and not ascii_only else declared(data, name)
        if text is not None and text.strip():
            return text
    return decode(data)


def _extracted(page: str) -> tuple[Any, Any, str | None]:
    """Return the page as a tree and what trafilatura found in it; both are untyped there.

    Where the page has too many elements, that is only what its head says, and comes with all of the page's text.
    """
    import trafilatura
    from lxml.etree import LxmlError  # type: ignore[import-untyped]

    # It logs what it discards; that is said in a Problem, so standard error need not hear it as well.
    for name in ("trafilatura", "htmldate", "readability", "justext", "courlan"):
        logging.getLogger(name).addHandler(logging.NullHandler())
    try:
        tree = trafilatura.load_html(page)
        if tree is not None and _is_crowded(tree):
            return tree, trafilatura.extract_metadata(_head_of(tree), extensive=False), text_of(tree, _BESIDE)
        extract = tree is not None and trafilatura.bare_extraction(
            tree,
            include_comments=False,
            include_tables=True,
            with_metadata=True,
            prune_xpath=_NEVER_ARTICLE,
            # The wider search takes any date on the page, such as that of its copyright.
            date_extraction_params={"original_date": True, "extensive_search": False},
        )
    except RecursionError as fault:
        raise Unreadable("the page is nested too deeply") from fault
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, LxmlError) as fault:
        raise Unreadable(f"the page cannot be taken apart ({type(fault).__name__})") from fault
    if not extract:
        raise Unreadable("no article text found in the page")
    return tree, extract, None


def _is_crowded(tree: Any) -> bool:
    """Say whether a page has so many elements that an article could not be looked for among them."""
    return any(number > _MAX_ELEMENTS or len(element) > _MAX_SIBLINGS for number, element in enumerate(tree.iter(), 1))


def _head_of(tree: Any) -> Any:
    """Return a page that has what the head of another one says about it, and nothing else."""
    from lxml.html import document_fromstring  # type: ignore[import-untyped]

    page = document_fromstring("<html><head></head><body></body></html>")
    page.head.extend(deepcopy(element) for element in islice(tree.iterfind("head/*"), _MAX_META) if not len(element))
    return page


def _published(tree: Any, day: str | None) -> tuple[datetime | None, str | None]:
    """Return the moment of a day, and how it is known; with the time of day where the page's metadata names it."""
    published = parse_published(day)
    if published is None or day is None:
        return None, None
    texts = [meta.get("content") for meta in tree.iter("meta") if meta.get("property") == "article:published_time"]
    for script in tree.iter("script"):
        if script.get("type") == "application/ld+json":
            texts += _JSON_DATE.findall(script.text or "")
    for text in texts[:_MAX_DATES]:
        try:
            moment = parse_published(text)
        except ValueError:
            continue
        if moment and abs(moment - published) <= timedelta(days=1, hours=14):
            return moment, "meta"
    if any(day in value for element in tree.iter("meta", "time", "abbr") for value in element.values()):
        return published, "meta"
    links = (link.get("href") or "" for link in tree.iter("link") if link.get("rel") == "canonical")
    return published, "url" if any(re.sub(r"\D", "", day) in re.sub(r"\D", "", link) for link in links) else "text"


def _text(body: Any, title: str) -> str:
    """Return trafilatura's tree of an article as paragraphs between blank lines, without its headline."""
    parts = list(_paragraphs(body))
    if len(parts) > 1 and title and parts[0].casefold() == title.casefold():
        parts = parts[1:]
    return "\n\n".join(parts)


def _paragraphs(element: Any) -> Iterator[str]:
    loose: list[str] = [element.text or ""]
    for child in element:
        if child.tag not in _BLOCKS:
            loose.append("".join(child.itertext()) if child.tag != "lb" else "\n")
            loose.append(child.tail or "")
            continue
        yield from _paragraph(" ".join(loose))
        match child.tag:
            case "list":
                items = (f"- {_line(item)}" for item in child.iter("item"))
                yield from _paragraph("\n".join(item for item in items if item != "- "))
            case "table":
                rows = (" | ".join(_line(cell) for cell in row.iter("cell")) for row in child.iter("row"))
                yield from _paragraph("\n".join(rows))
            case _:
                yield from _paragraphs(child)
        loose = [child.tail or ""]
    yield from _paragraph("".join(loose))


def _paragraph(words: str) -> Iterator[str]:
    text = "\n".join(" ".join(line.split()) for line in words.split("\n")).strip()
    if text:
        yield text


def _line(element: Any) -> str:
    return " ".join(" ".join(element.itertext()).split())
