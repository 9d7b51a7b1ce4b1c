"""Pages: the search, an article and the API documentation, for a browser; made here whole, without scripts.

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
from searchsvc.interfaces.http.hidden_paths import HiddenPaths
from searchsvc.interfaces.http.requests import Ident, Only, offsets
from searchsvc.interfaces.http.responses import SECURITY_HEADERS
from searchsvc.library import Library
from searchsvc.search.results import Hit, Results
from searchsvc.text.article import Article, Span
from searchsvc.text.dates import long_date
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
MAX_TITLE = 1_000  # characters shown


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a paragraph; `first`: the marked text begins with it."""

    text: str
    marked: bool
    first: bool


@dataclass(frozen=True, slots=True)
class SearchForm:
    """What was typed into the form of the search page."""

    q: str
    after: str
    before: str
    source: str


def paragraphs(text: str, span: Span, mark: Span) -> list[list[Piece]]:
    """Return the paragraphs of a span of a text, made safe, each cut where the marked text begins and ends."""
    return [list(_pieces(text, paragraph, mark)) for paragraph in _paragraphs(text, *span)]


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


def add_pages(app: FastAPI, library: Library, slot: Dependency, hidden: HiddenPaths) -> None:
    """Add the pages for people; `slot` bounds how many searches run at once."""

    @app.get("/", include_in_schema=False, dependencies=[Depends(Only("q", "after", "before", "source")), slot])
    def search_page(q: str = "", after: str = "", before: str = "", source: str = "") -> Response:
        """Show the form, and the hits."""
        form = SearchForm(q.strip(), after.strip(), before.strip(), source.strip())
        results = None
        status, messages = 200, list[str]()
        try:
            results = _search(library, form) if form.q else None
        except SearchsvcError as error:
            status = error.http_status
            messages = [hidden.hide(message) for message in (error.message, error.hint) if message]
        hits = [_hit(hit) for hit in results or ()]
        return _page("search.html", status, form=form, results=results, hits=hits, messages=messages)

    @app.get("/read/{id}", include_in_schema=False, dependencies=[Depends(Only("mark"))])
    def article_page(ident: Ident, mark: Annotated[str | None, Query()] = None) -> Response:
        """Show an article, with a part of it marked."""
        article = library.article(ident)
        whole = (0, len(article.text))
        marked = (0, 0) if mark is None else offsets("mark", mark, len(article.text))
        return _page(
            "article.html",
            200,
            title=one_line(article.title, MAX_TITLE),
            language=article.language,
            facts=_facts(article),
            text=paragraphs(article.text, whole, marked),
            link=link(article.url),
        )

    @app.get("/docs", include_in_schema=False)
    def docs() -> Response:
        """Show what can be asked, as one page that fetches nothing."""
        return HTMLResponse(_docs(app.openapi()), headers=_headers(DOCS_STYLE))


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


def _page(template: str, status: int, **values: Any) -> Response:
    page = TEMPLATES.get_template(template).render(style=Markup(STYLE), **values)  # noqa: S704, our own style
    return HTMLResponse(page.encode("utf-8", "replace"), status, _headers(STYLE))


@cache
def _headers(style: str) -> dict[str, str]:
    """Return the headers of a page with this style: it may load nothing, and be shown in no other page."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'"
    return {**SECURITY_HEADERS, "Content-Security-Policy": f"{policy}; frame-ancestors 'none'"}


def _search(library: Library, form: SearchForm) -> Results:
    return library.search(form.q, after=form.after or None, before=form.before or None, sources=form.source)


def _hit(hit: Hit) -> dict[str, object]:
    passage = (hit.passage.start, hit.passage.end)
    start, end = (hit.answer.start, hit.answer.end) if hit.answer else passage
    return {
        "title": one_line(hit.article.title, MAX_TITLE),
        "language": hit.article.language,
        "page": f"/read/{hit.article.id}?mark={start}-{end}#mark",
        "text": paragraphs(hit.article.text, passage, (start, end)),
        "facts": _facts(hit.article),
        "link": link(hit.article.url),
        "also_in": [one_line(article.credit or article.title) for article in hit.also_in],
    }


def _facts(article: Article) -> str:
    """Return who published an article, and by whose word if that is not its own, who wrote it, and when."""
    date = long_date(article.published) if article.published else ""
    return " · ".join(filter(None, (one_line(article.credit or ""), one_line(article.author or ""), date)))
