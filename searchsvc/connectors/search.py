"""Asking: a question put to a Library in this process, or to a server, and answered alike.

What articles say passes through `quoting` on its way out, which leaves every character where it stood.
"""

from collections.abc import Iterable

from searchsvc import schemas
from searchsvc.interfaces.client import Client
from searchsvc.interfaces.serialize import serialize_results
from searchsvc.library import Library
from searchsvc.search.results import Results
from searchsvc.text.dates import parse_bound
from searchsvc.text.sanitize import link, sanitize


def ask(
    library: Library | Client,
    question: str,
    *,
    limit: int,
    per_article: int = 1,
    max_tokens: int | None = None,
    after: str | None = None,
    before: str | None = None,
    as_of: str | None = None,
    sources: Iterable[str] = (),
    languages: Iterable[str] = (),
) -> schemas.Results:
    """Answer a question, in the shape that a server answers with; dates are ISO 8601, as the command line takes them.

    Raises what `Library.search` and `Client.search` raise.
    """
    moments = ((after, False), (before, True), (as_of, True))
    since, until, seen = (None if said is None else parse_bound(said, end=end) for said, end in moments)
    found = library.search(
        question,
        limit=limit,
        per_article=per_article,
        max_tokens=max_tokens,
        after=since,
        before=until,
        as_of=seen,
        sources=sources,
        languages=languages,
    )
    return serialize_results(found) if isinstance(found, Results) else found


def metadata(hit: schemas.Hit, answer: schemas.Results, library: Library | Client) -> dict[str, object]:
    """Return what is known of a passage beside its text: what a citation needs, and how good the hit is.

    `start` and `end` bound the passage in the article's text, in code points. `confidence` is the whole answer's.
    """
    return {
        **_citation(hit["article"], library),
        "start": hit["passage"]["start"],
        "end": hit["passage"]["end"],
        "score": hit["score"],
        "answer": sanitize(hit["answer"]["text"]) if hit["answer"] else None,
        "also_in": [_citation(copy, library) for copy in hit["also_in"]],
        "confidence": answer["confidence"],
    }


def link_to(article: schemas.Article | schemas.NearDuplicate, library: Library | Client) -> str | None:
    """Return where a person can read an article: its own address, else its page on the server, if one was asked."""
    page = f"{library.url}/read/{article['id']}" if isinstance(library, Client) else None
    return link(article["url"]) or page


def _citation(article: schemas.Article | schemas.NearDuplicate, library: Library | Client) -> dict[str, object]:
    return {
        "id": article["id"],
        "key": sanitize(article["key"]),
        "title": sanitize(article["title"]),
        "date": article["published"],
        "source": article["source"] and sanitize(article["source"]),
        "origin": article.get("origin"),  # which servers before this version do not tell
        "link": link_to(article, library),
    }
