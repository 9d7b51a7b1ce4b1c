"""Serialize what a search found as the JSON values of `schemas`, for HTTP, the command line, MCP and `to_dict`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, overload

from searchsvc.query.periods import Period
from searchsvc.text.article import Article, Excerpt, Version

if TYPE_CHECKING:  # `results` serializes itself by this module; `schemas` are types alone, and cost 20 ms
    from searchsvc import schemas
    from searchsvc.search.brief import Brief, Citation
    from searchsvc.search.quotes import QuoteCheck
    from searchsvc.search.results import Explanation, Hit, Results
    from searchsvc.search.timeline import Timeline


# ---------------------------------------------------------------------- search results


def serialize_results(results: "Results", *, explain: bool = False) -> "schemas.Results":
    """Return the answer to a query."""
    return {
        "query": results.query.text,
        "as_of": iso_seconds(results.as_of),
        "took_ms": round(results.took_ms, 2),
        "index": {
            "generation": results.index.generation,
            "articles": results.index.articles,
            "passages": results.index.passages,
            "updated": iso(results.index.updated),
            "pending": results.index.pending,
        },
        "period": serialize_period(results.period),
        "confidence": rounded(results.confidence),
        "convincing": results.convincing,
        "tokens": results.tokens,
        "hits": [serialize_hit(hit, results.as_of, explain=explain) for hit in results.hits],
    }


def serialize_period(period: Period | None) -> "schemas.Period":
    """Return the time that the question names and the hits were published in; nulls where it names none."""
    if period is None:
        return {"after": None, "before": None, "words": None}
    after = iso_seconds(period.after) if period.after else None
    return {"after": after, "before": iso_seconds(period.before), "words": period.words}


def serialize_hit(hit: "Hit", as_of: datetime, *, explain: bool) -> "schemas.Hit":
    """Return one hit; `why` says how its score came about when `explain` is set."""
    revised = hit.article.revised
    return {
        "rank": hit.rank,
        "score": round(hit.score, 4),
        "article": serialize_article(hit.article),
        "passage": {"id": hit.passage.id, **_span(hit.passage)},
        "answer": _span(hit.answer) if hit.answer else None,
        "highlights": list(hit.highlights),
        "also_in": [serialize_near_duplicate(article) for article in hit.also_in],
        "text_newer_than_as_of": revised is not None and revised > as_of,
        "why": serialize_why(hit.why) if explain and hit.why else None,
    }


def _span(excerpt: Excerpt) -> "schemas.TextSpan":
    return {"text": excerpt.text, "start": excerpt.start, "end": excerpt.end}


def serialize_why(why: "Explanation") -> "schemas.Explanation":
    """Return what each part of the ranking adds to the score."""
    return {
        "dense": {"rank": why.dense_rank or None, "cosine": round(why.cosine, 4), "adds": round(why.dense_adds, 4)},
        "lexical": {"rank": why.lexical_rank or None, "bm25": round(why.bm25, 4), "adds": round(why.lexical_adds, 4)},
        "pairs": {"adds": round(why.pairs_adds, 4)},
        "agreement": {"adds": round(why.agreement_adds, 4)},
        "rerank": {"score": round(why.score - 1, 4), "adds": round(why.rerank_adds, 4)} if why.rerank_adds else None,
        "freshness": {"recency": round(why.recency, 4), "adds": round(why.freshness_adds, 4)},
        "words": explain_in_words(why),
    }


def explain_in_words(why: "Explanation") -> str:
    """Return how a score came about, as a sentence."""
    dense = (
        f"its meaning is the question's {ordinal(why.dense_rank)} nearest (cosine {why.cosine:.2f})"
        if why.dense_rank
        else f"its meaning is not among the nearest (cosine {why.cosine:.2f})"
    )
    lexical = (
        f"its words match {ordinal(why.lexical_rank)} best (BM25 {why.bm25:.1f})"
        if why.lexical_rank
        else "it shares no telling word with the question"
    )
    parts = [f"{dense} and adds {why.dense_adds:.2f}", f"{lexical} and adds {why.lexical_adds:.2f}"]
    if why.pairs_adds:
        parts.append(f"words of the question side by side add {why.pairs_adds:.2f}")
    if why.agreement_adds >= 0.005:
        parts.append(f"what its article says beside it adds {why.agreement_adds:.2f}")
    if why.freshness_adds:
        parts.append(f"being recent adds {why.freshness_adds:.2f}")
    if why.rerank_adds:
        reranked = f"the reranker gives it {why.score - 1:.2f} and adds {why.rerank_adds:.2f}"
        parts.append(f"{reranked}, ahead of all that it did not read")
    return f"{'; '.join(parts)}."


def serialize_similar(ident: str, hits: "Sequence[Hit]", now: datetime) -> "schemas.SimilarArticles":
    """Return the articles that are like one."""
    return {"id": ident, "hits": [serialize_hit(hit, now, explain=False) for hit in hits]}


def serialize_timeline(timeline: "Timeline") -> "schemas.Timeline":
    """Return a timeline, oldest day first."""
    return {
        "query": timeline.question,
        "as_of": iso_seconds(timeline.as_of),
        "confidence": rounded(timeline.confidence),
        "convincing": timeline.convincing,
        "days": [
            {"date": day.date.isoformat(), "hit": serialize_hit(day.hit, timeline.as_of, explain=False)}
            for day in timeline.days
        ],
    }


def serialize_brief(brief: "Brief") -> "schemas.Brief":
    """Return a brief: its citations by day."""
    return {
        "query": brief.question,
        "as_of": iso_seconds(brief.as_of),
        "confidence": rounded(brief.confidence),
        "convincing": brief.convincing,
        "days": [
            {
                "date": None if day.date is None else day.date.isoformat(),
                "citations": [_citation(citation) for citation in day.citations],
            }
            for day in brief.days
        ],
    }


def _citation(citation: "Citation") -> "schemas.Citation":
    return {
        "number": citation.number,
        **_span(citation.sentence),
        "article": serialize_article(citation.article),
        "also_in": [serialize_near_duplicate(article) for article in citation.also_in],
    }


def serialize_quote_check(check: "QuoteCheck") -> "schemas.QuoteCheck":
    """Return whether a quote was found, and the true wording."""
    article = check.article
    return {
        "verdict": check.verdict,
        "similarity": round(check.similarity, 1),
        "wording": _span(check.wording) if check.wording else None,
        "article": serialize_article(article) if article else None,
    }


# ---------------------------------------------------------------------- articles


def serialize_article(article: Article) -> "schemas.Article":
    """Return an article without its text."""
    return {
        "id": article.id,
        "key": article.key,
        "title": article.title,
        "url": article.url,
        "source": article.source,
        "author": article.author,
        "published": iso(article.published),
        "published_from": article.published_from,
        "language": article.language,
        "version": article.version,
        "revised": iso(article.revised),
        "origin": article.origin,
    }


def serialize_full_article(article: Article, window: tuple[int, int] | None = None) -> "schemas.FullArticle":
    """Return an article with its text, or with the part of it between two offsets."""
    start, end = window or (0, len(article.text))
    full: schemas.FullArticle = {
        **serialize_article(article),
        "text": article.text[start:end],
        "start": start,
        "end": end,
    }
    if window is None:
        del full["start"], full["end"]
    return full


def serialize_near_duplicate(article: Article) -> "schemas.NearDuplicate":
    """Return a near-duplicate of a hit's article."""
    return {
        "id": article.id,
        "key": article.key,
        "title": article.title,
        "source": article.source,
        "url": article.url,
        "published": iso(article.published),
        "origin": article.origin,
    }


def serialize_versions(versions: Sequence[Version]) -> "schemas.Versions":
    """Return the texts that an article has had, newest first."""
    return {
        "versions": [
            {
                "version": version.number,
                "title": version.title,
                "text": version.text,
                "since": iso(version.since),
                "until": iso(version.until),
            }
            for version in versions
        ]
    }


# ---------------------------------------------------------------------- moments and numbers


@overload
def iso(moment: datetime) -> str: ...
@overload
def iso(moment: datetime | None) -> str | None: ...
def iso(moment: datetime | None) -> str | None:
    """Return a moment as ISO 8601 in UTC, ending in Z."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def iso_seconds(moment: datetime) -> str:
    """Return a moment as `iso` does, without fractions of a second."""
    return iso(moment.replace(microsecond=0))


def rounded(confidence: float | None) -> float | None:
    """Return a confidence with as many digits as mean something."""
    return None if confidence is None else round(confidence, 3)


def ordinal(number: int) -> str:
    """Return `1st`, `22nd`, `113th`."""
    ending = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
