"""Deserialize a server's JSON answers (see `schemas`) into what the library returns."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, cast, overload

from searchsvc import schemas
from searchsvc.query import Query
from searchsvc.query.periods import Period
from searchsvc.search.brief import Brief, BriefDay, Citation
from searchsvc.search.results import Explanation, Hit, IndexState, Results
from searchsvc.search.timeline import Day, Timeline
from searchsvc.text.article import Article, Excerpt, Problem, Version

if TYPE_CHECKING:  # these need numpy, which a client may do without
    from searchsvc.ingest.report import Report
    from searchsvc.library import Status
    from searchsvc.search.quotes import QuoteCheck


def results_from(answer: schemas.Results, query: Query) -> Results:
    """Return the answer to a query."""
    return Results(
        query=Query.of(query, {"as_of": answer["as_of"]}),
        hits=tuple(map(hit_from, answer["hits"])),
        index=IndexState(**answer["index"] | {"updated": _moment(answer["index"]["updated"])}),  # type: ignore[arg-type]
        period=_period(answer["period"], query.text),
        confidence=answer["confidence"],
        tokens=answer["tokens"],
        took_ms=answer["took_ms"],
    )


def hit_from(hit: schemas.Hit) -> Hit:
    """Return one hit."""
    article = article_from(hit["article"])
    return Hit(
        rank=hit["rank"],
        score=hit["score"],
        article=article,
        passage=_excerpt(article, hit["passage"]),
        answer=_excerpt(article, hit["answer"]) if hit["answer"] else None,
        highlights=tuple((start, end) for start, end in hit["highlights"]),
        also_in=tuple(map(article_from, hit["also_in"])),
        why=_explanation(hit["why"], hit["score"]) if hit["why"] else None,
    )


def article_from(article: "schemas.Article | schemas.NearDuplicate | schemas.FullArticle") -> Article:
    """Return an article, as far as the server tells of it."""
    fields = cast(Mapping[str, object], article)
    known = {name: fields.get(name) for name in ("url", "source", "author", "published_from", "language", "origin")}
    return Article(
        row=0,
        id=article["id"],
        key=article["key"],
        title=article["title"],
        text=str(fields.get("text", "")),
        published=_moment(article["published"]),
        version=cast(int, fields.get("version", 1)),
        since=_moment(cast(str | None, fields.get("revised"))),
        **known,  # type: ignore[arg-type]
    )


def versions_from(answer: schemas.Versions) -> tuple[Version, ...]:
    """Return the texts that an article has had, newest first."""
    return tuple(
        Version(one["version"], one["title"], one["text"], _moment(one["since"]), _moment(one["until"]))
        for one in answer["versions"]
    )


def timeline_from(answer: schemas.Timeline) -> Timeline:
    """Return a timeline."""
    days = tuple(Day(date.fromisoformat(day["date"]), hit_from(day["hit"])) for day in answer["days"])
    return Timeline(answer["query"], _moment(answer["as_of"]), answer["confidence"], answer["convincing"], days)


def brief_from(answer: schemas.Brief) -> Brief:
    """Return a brief."""
    days = tuple(
        BriefDay(date.fromisoformat(day["date"]) if day["date"] else None, tuple(map(_citation, day["citations"])))
        for day in answer["days"]
    )
    return Brief(answer["query"], _moment(answer["as_of"]), answer["confidence"], answer["convincing"], days)


def quote_check_from(answer: schemas.QuoteCheck) -> "QuoteCheck":
    """Return whether a quote was found, and the true wording."""
    from searchsvc.search.quotes import QuoteCheck

    article = article_from(answer["article"]) if answer["article"] else None
    wording = _excerpt(article, answer["wording"]) if article and answer["wording"] else None
    return QuoteCheck(answer["verdict"], article, wording, answer["similarity"])


def report_from(answer: schemas.AddReport) -> "Report":
    """Return what adding did."""
    from searchsvc.ingest.report import Report

    report = Report(
        added=answer["added"],
        changed=answer["changed"],
        unchanged=answer["unchanged"],
        removed=answer["removed"],
        passages=answer["passages"],
        embedded=answer["embedded"],
        seconds=answer["seconds"],
        ids=list(answer["ids"]),
    )
    report.note(*(Problem(**problem) for problem in answer["problems"]))
    return report


def status_from(answer: schemas.Status) -> "Status":
    """Return the state of an index."""
    from searchsvc.catalogue import FailingPart
    from searchsvc.library import Status

    moments = {name: _moment(answer[name]) for name in ("updated", "oldest", "newest")}
    sources = tuple((source["source"], source["articles"]) for source in answer["sources"])
    parts = tuple(
        FailingPart(part["name"], part["failures"], part["message"], _moment(part["since"]), _moment(part["next_try"]))
        for part in answer["parts"]
    )
    rest = {name: value for name, value in answer.items() if name in Status.__dataclass_fields__}
    return Status(**rest | moments | {"sources": sources, "parts": parts, "damaged": tuple(answer["damaged"])})  # type: ignore[arg-type]


def _citation(citation: schemas.Citation) -> Citation:
    article = article_from(citation["article"])
    also_in = tuple(map(article_from, citation["also_in"]))
    return Citation(citation["number"], article, _excerpt(article, citation), also_in)


def _excerpt(article: Article, span: schemas.TextSpan) -> Excerpt:
    return Excerpt(article.id, span["start"], span["end"], span["text"])


def _period(period: schemas.Period, text: str) -> Period | None:
    before, words = period["before"], period["words"]
    if before is None or words is None:
        return None
    start = max(text.find(words), 0)
    return Period(_moment(period["after"]), _moment(before), words, start, start + len(words))


def _explanation(why: schemas.Explanation, score: float) -> Explanation:
    return Explanation(
        score=score,
        dense_rank=why["dense"]["rank"] or 0,
        cosine=why["dense"]["cosine"],
        dense_adds=why["dense"]["adds"],
        lexical_rank=why["lexical"]["rank"] or 0,
        bm25=why["lexical"]["bm25"],
        lexical_adds=why["lexical"]["adds"],
        pairs_adds=why["pairs"]["adds"],
        agreement_adds=why["agreement"]["adds"],
        recency=why["freshness"]["recency"],
        freshness_adds=why["freshness"]["adds"],
        rerank_adds=why["rerank"]["adds"] if why["rerank"] else 0.0,
    )


@overload
def _moment(value: str) -> datetime: ...
@overload
def _moment(value: None) -> None: ...
@overload
def _moment(value: str | None) -> datetime | None: ...
def _moment(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)
