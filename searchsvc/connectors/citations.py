"""Citations: what other tools are told of a passage beside its text, so that it can be cited and verified."""

from searchsvc.interfaces.client import Client
from searchsvc.library import Library
from searchsvc.search.results import Hit, Results
from searchsvc.text.article import Article
from searchsvc.text.sanitize import link, sanitize


def metadata(hit: Hit, results: Results, library: Library | Client) -> dict[str, object]:
    """Return what a citation needs, and how good the hit is.

    `start` and `end` bound the passage in the article's text, in code points. `confidence` is the whole answer's.
    """
    return {
        **_citation(hit.article, library),
        "start": hit.passage.start,
        "end": hit.passage.end,
        "score": round(hit.score, 4),
        "answer": sanitize(hit.answer.text) if hit.answer else None,
        "also_in": [_citation(article, library) for article in hit.also_in],
        "confidence": None if results.confidence is None else round(results.confidence, 3),
    }


def link_to(article: Article, library: Library | Client) -> str | None:
    """Return where a person can read an article: its own address, else its page on the server, if one was asked."""
    page = f"{library.url}/read/{article.id}" if isinstance(library, Client) else None
    return link(article.url) or page


def _citation(article: Article, library: Library | Client) -> dict[str, object]:
    return {
        "id": article.id,
        "key": sanitize(article.key),
        "title": sanitize(article.title),
        "date": article.published and article.published.isoformat().replace("+00:00", "Z"),
        "source": article.source and sanitize(article.source),
        "origin": article.origin,
        "link": link_to(article, library),
    }
