"""A page: what a person reads in a browser, the search and an article; made here whole, without scripts.

What articles say is escaped by jinja2 everywhere, and the policy that each page carries lets nothing else be loaded.
"""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from html import escape
from itertools import pairwise
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query
from fastapi.params import Depends as Dependency
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from searchsvc.errors import SearchsvcError
from searchsvc.interfaces.http.limits import KINDS, SEALS
from searchsvc.interfaces.http.paths import Places
from searchsvc.interfaces.http.requests import Ident, Only, bound, stretch
from searchsvc.library import Library
from searchsvc.search.results import Hit, Results
from searchsvc.text.article import Article, Span
from searchsvc.text.sanitize import link, one_line, safe

TEMPLATES = Environment(
    loader=PackageLoader("searchsvc.interfaces.http"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
STYLE = TEMPLATES.get_template("style.css").render().strip()
DOCS_STYLE = (  # of the page that describes the API
    "body{font:1rem/1.5 system-ui;max-width:50rem;margin:2rem auto;padding:0 1rem}th{text-align:left}"
    "th,td{vertical-align:top;padding:.2rem .8rem .2rem 0}"
)
LONGEST_TITLE = 1_000  # characters shown


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a paragraph; `first` is the one with which what is marked begins."""

    text: str
    marked: bool
    first: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was typed into the form of the search page."""

    q: str
    after: str
    before: str
    source: str


def paragraphs(text: str, span: Span, mark: Span) -> list[list[Piece]]:
    """Return the paragraphs of a span of a text, made safe, each cut where what is marked begins and ends."""
    return [list(_pieces(text, one, mark)) for one in _paragraphs(text, *span)]


def _paragraphs(text: str, start: int, end: int) -> Iterator[Span]:
    while start < end:
        stop = text.find("\n\n", start, end)
        stop = end if stop < 0 else stop
        if stop > start:
            yield start, stop
        start = stop + 2


def _pieces(text: str, span: Span, mark: Span) -> Iterator[Piece]:
    (start, end), (first, last) = span, mark
    cuts = sorted({start, end, min(max(first, start), end), min(max(last, start), end)})
    for a, b in pairwise(cuts):
        marked = first <= a < last
        yield Piece(safe(text[a:b]), marked, marked and a == first)


def add_pages(app: FastAPI, library: Library, turn: Dependency, places: Places) -> None:
    """Add the pages for people; `turn` bounds how many searches run at once."""

    @app.get("/", include_in_schema=False, dependencies=[Depends(Only("q", "after", "before", "source")), turn])
    def search_page(q: str = "", after: str = "", before: str = "", source: str = "") -> Response:
        """Show the form, and what it found."""
        asked = Wanted(q.strip(), after.strip(), before.strip(), source.strip())
        results, error = None, None
        said: tuple[str, ...] = ()
        try:
            results = _found(library, asked) if asked.q else None
        except SearchsvcError as fault:
            error = fault
            said = tuple(places.hidden(one) for one in (fault.message, fault.hint) if one)
        status = 200 if error is None else KINDS[type(error)][0]
        hits = [_shown(hit) for hit in results.hits] if results else []
        return _page("search.html", status, asked=asked, results=results, hits=hits, said=said)

    @app.get("/read/{id}", include_in_schema=False, dependencies=[Depends(Only("mark"))])
    def article_page(ident: Ident, mark: Annotated[str | None, Query()] = None) -> Response:
        """Show an article, with a stretch of it marked."""
        article = library.article(ident)
        whole = (0, len(article.text))
        marked = (0, 0) if mark is None else stretch("mark", mark, len(article.text))
        text = paragraphs(article.text, whole, marked)
        shown = {
            "title": one_line(article.title, LONGEST_TITLE),
            "language": article.language,
            "facts": _facts(article),
        }
        return _page("article.html", 200, **shown, text=text, link=link(article.url))


def show_docs(document: dict[str, Any]) -> Response:
    """Return the page that shows an OpenAPI document."""
    return HTMLResponse(_docs(document), headers=_headers(DOCS_STYLE))


def _docs(document: dict[str, Any]) -> str:
    """Return the operations of an OpenAPI document as a page of HTML."""
    parts = [f"<h1>{escape(document['info']['title'])}</h1><p>{escape(document['info']['description'])}</p>"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts.append(f"<h2><code>{method.upper()} {escape(path)}</code></h2>")
            parts.append(f"<p>{escape(operation.get('description', ''))}</p>")
            parameters = operation.get("parameters", [])
            rows = ((escape(row["name"]), escape(row.get("description", ""))) for row in parameters)
            table = "".join(f"<tr><th><code>{name}</code></th><td>{text}</td></tr>" for name, text in rows)
            parts.append(f"<table>{table}</table>" if table else "")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>searchsvc</title><style>{DOCS_STYLE}</style>'
        f'{"".join(parts)}<p>All of it, for programs: <a href="/openapi.json">/openapi.json</a></p></html>'
    )


def _page(template: str, status: int, **shown: Any) -> Response:
    made = TEMPLATES.get_template(template).render(style=Markup(STYLE), **shown)  # noqa: S704, our own style
    return HTMLResponse(made.encode("utf-8", "replace"), status, _headers(STYLE))


@cache
def _headers(style: str) -> dict[str, str]:
    """Return what a page with this style carries: it may load nothing, and be shown in no other page."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'"
    return {**SEALS, "Content-Security-Policy": f"{policy}; frame-ancestors 'none'"}


def _found(library: Library, asked: Wanted) -> Results:
    return library.search(
        asked.q,
        after=bound("after", asked.after or None, end=False),
        before=bound("before", asked.before or None, end=True),
        sources=[asked.source] if asked.source else [],
    )


def _shown(hit: Hit) -> dict[str, object]:
    passage = (hit.passage.start, hit.passage.end)
    start, end = (hit.answer.start, hit.answer.end) if hit.answer else passage
    return {
        "title": one_line(hit.article.title, LONGEST_TITLE),
        "language": hit.article.language,
        "page": f"/read/{hit.article.id}?mark={start}-{end}#mark",
        "text": paragraphs(hit.article.text, passage, (start, end)),
        "facts": _facts(hit.article),
        "link": link(hit.article.url),
        "also_in": [one_line(one.credit or one.title) for one in hit.also_in],
    }


def _facts(article: Article) -> str:
    """Return who published an article, and by whose word if that is not its own, who wrote it, and when."""
    published = article.published
    date = f"{published.day} {published:%B} {published.year}" if published else None
    return " · ".join(filter(None, (one_line(article.credit or ""), one_line(article.author or ""), date)))
