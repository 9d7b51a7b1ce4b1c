"""Serialize what the library returns for a chat model: sanitized, and each article with a URL to cite.

`pages` is where this server shows articles: the beginning of an address that ends in an article's id.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from searchsvc import schemas
from searchsvc.search.serialize import iso, iso_seconds, rounded
from searchsvc.text.sanitize import link, sanitize

if TYPE_CHECKING:  # so that tools are listed before numpy and the like are imported
    from searchsvc.search.quotes import QuoteCheck
    from searchsvc.search.results import Hit, Results
    from searchsvc.search.timeline import Timeline
    from searchsvc.text.article import Article, Excerpt

MAX_NAME = 300  # characters of a title, a source, an author
MAX_PASSAGE = 4_000  # a passage is far shorter, unless it holds no space
MAX_TEXT = 50_000  # of an article: what a chat takes in at once, about 12,000 tokens


def cite_links(results: "Results", pages: str) -> schemas.ArticleLinks:
    """Return the articles that answer, in ChatGPT's shape."""
    return {"results": [_link(hit.article, pages) for hit in results.hits]}


def cite_full(article: "Article", pages: str) -> schemas.FetchedArticle:
    """Return an article with its text, in ChatGPT's shape; `metadata` says where the text is cut."""
    metadata = {
        "source": _name(article.source),
        "author": _name(article.author),
        "published": iso(article.published),
        "language": article.language,
        "origin": article.origin,
    }
    if len(article.text) > MAX_TEXT:
        metadata["cut"] = f"the first {MAX_TEXT:,} of {len(article.text):,} characters"
    return {
        **_link(article, pages),
        "text": sanitize(article.text, MAX_TEXT),
        "metadata": {name: value for name, value in metadata.items() if value},
    }


def cite_as_text(article: "Article", pages: str) -> str:
    """Return an article as one text: title, metadata, link, and its own text."""
    full = cite_full(article, pages)
    metadata = (f"{name}: {value}" for name, value in full["metadata"].items())
    return "\n".join([full["title"], *metadata, full["url"], "", full["text"]])


def cite_results(results: "Results", pages: str) -> schemas.CitedResults:
    """Return the passages that answer a query."""
    return {
        "query": results.query.text,
        "as_of": iso_seconds(results.as_of),
        "period": results.period.words if results.period else None,
        "confidence": rounded(results.confidence),
        "convincing": results.convincing,
        "tokens": results.tokens,
        "hits": [_hit(hit, pages) for hit in results.hits],
    }


def cite_similar(ident: str, hits: Iterable["Hit"], pages: str) -> schemas.CitedSimilar:
    """Return the articles that are like one."""
    return {"id": ident, "hits": [_hit(hit, pages) for hit in hits]}


def cite_timeline(timeline: "Timeline", pages: str) -> schemas.CitedTimeline:
    """Return a timeline, oldest day first."""
    return {
        "query": timeline.question,
        "confidence": rounded(timeline.confidence),
        "convincing": timeline.convincing,
        "days": [
            {"date": day.date.isoformat(), "article": _article(day.hit.article, pages), "answer": _answer(day.hit)}
            for day in timeline.days
        ],
    }


def cite_quote_check(check: "QuoteCheck", pages: str) -> schemas.CitedQuoteCheck:
    """Return whether a quote was found."""
    return {
        "verdict": check.verdict,
        "similarity": round(check.similarity, 1),
        "wording": _span(check.wording) if check.wording else None,
        "article": _article(check.article, pages) if check.article else None,
    }


def _hit(hit: "Hit", pages: str) -> schemas.CitedHit:
    return {
        "article": _article(hit.article, pages),
        "passage": _span(hit.passage),
        "answer": _answer(hit),
        "also_in": [_article(article, pages) for article in hit.also_in],
    }


def _answer(hit: "Hit") -> schemas.TextSpan:
    return _span(hit.answer or hit.passage)


def _span(excerpt: "Excerpt") -> schemas.TextSpan:
    return {"text": sanitize(excerpt.text, MAX_PASSAGE), "start": excerpt.start, "end": excerpt.end}


def _link(article: "Article", pages: str) -> schemas.ArticleLink:
    return {"id": article.id, "title": _name(article.title), "url": link(article.url) or f"{pages}{article.id}"}


def _article(article: "Article", pages: str) -> schemas.CitedArticle:
    return {
        **_link(article, pages),
        "source": _name(article.source) or None,
        "author": _name(article.author) or None,
        "published": iso(article.published),
        "language": article.language,
        "origin": article.origin,
    }


def _name(name: str | None) -> str:
    return sanitize(name or "", MAX_NAME)
