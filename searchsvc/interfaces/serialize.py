"""The wire: what the faces say, as plain JSON values, in the shapes that programs outside rely on."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from searchsvc.catalogue import FailingPart, Job
from searchsvc.ingest.report import Report
from searchsvc.library import Status
from searchsvc.query.periods import Period
from searchsvc.search.brief import Brief, Citation
from searchsvc.search.pipeline import Hit, Results
from searchsvc.search.quotes import QuoteCheck
from searchsvc.search.ranking import Ranked
from searchsvc.search.recall import Verification
from searchsvc.search.timeline import Timeline
from searchsvc.text.article import Article, Problem, Version

Json = dict[str, object]


def moment(value: datetime | None) -> str | None:
    """Return a moment as ISO 8601 in UTC, ending in Z."""
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def serialize_results(results: Results, *, explain: bool = False) -> Json:
    """Return the answer to a question."""
    return {
        "query": results.question.typed,
        "as_of": moment(results.as_of.replace(microsecond=0)),
        "took_ms": round(results.took_ms, 2),
        "index": {
            "generation": results.generation,
            "articles": results.articles,
            "passages": results.passages,
            "updated": moment(results.updated),
            "pending": results.pending,
        },
        "period": serialize_period(results.question.period),
        "confidence": None if results.confidence is None else round(results.confidence, 3),
        "convincing": not results.is_doubtful,
        "tokens": results.tokens,
        "hits": [serialize_hit(hit, results.as_of, explain=explain) for hit in results.hits],
    }


def serialize_period(period: Period | None) -> Json:
    """Return the time that the question names and the hits were published in; nulls where it names none."""
    if period is None:
        return {"after": None, "before": None, "words": None}
    after = period.after and period.after.replace(microsecond=0)
    return {"after": moment(after), "before": moment(period.before.replace(microsecond=0)), "words": period.words}


def serialize_hit(hit: Hit, as_of: datetime, *, explain: bool) -> Json:
    """Return one hit; `why` says how its score came about when `explain` is set."""
    start, end = hit.answer
    revised = hit.article.revised
    return {
        "rank": hit.rank,
        "score": round(hit.score, 4),
        "article": serialize_article(hit.article),
        "passage": {"id": hit.passage_id, "text": hit.text, "start": hit.start, "end": hit.end},
        "answer": {"text": hit.answer_text, "start": start, "end": end},
        "highlights": [list(span) for span in hit.highlights],
        "also_in": [serialize_near_duplicate(entry) for entry in hit.also_in],
        "text_newer_than_as_of": revised is not None and revised > as_of,
        "why": serialize_why(hit.why) if explain else None,
    }


def serialize_near_duplicate(entry: Article) -> Json:
    """Return another copy of a hit's story."""
    return {
        "id": entry.id,
        "key": entry.key,
        "title": entry.title,
        "source": entry.source,
        "url": entry.url,
        "published": moment(entry.published),
        "origin": entry.origin,
    }


def serialize_why(why: Ranked) -> Json:
    """Return what each part of the ranking gave; what they add is the score."""
    return {
        "dense": {"rank": why.dense_rank or None, "cosine": round(why.cosine, 4), "adds": round(why.dense_adds, 4)},
        "lexical": {"rank": why.lexical_rank or None, "bm25": round(why.bm25, 4), "adds": round(why.lexical_adds, 4)},
        "pairs": {"adds": round(why.pairs_adds, 4)},
        "agreement": {"adds": round(why.agreement_adds, 4)},
        "rerank": {"score": round(why.score - 1, 4), "adds": round(why.rerank_adds, 4)} if why.rerank_adds else None,
        "freshness": {"recency": round(why.recency, 4), "adds": round(why.freshness_adds, 4)},
        "words": sentence_of(why),
    }


def sentence_of(why: Ranked) -> str:
    """Return why a hit is there, in words."""
    parts = [
        f"its meaning is the question's {_nth(why.dense_rank)} nearest (cosine {why.cosine:.2f})"
        if why.dense_rank
        else f"its meaning is not among the nearest (cosine {why.cosine:.2f})",
        f"its words match {_nth(why.lexical_rank)} best (BM25 {why.bm25:.1f})"
        if why.lexical_rank
        else "it shares no telling word with the question",
    ]
    said = [f"{parts[0]} and adds {why.dense_adds:.2f}", f"{parts[1]} and adds {why.lexical_adds:.2f}"]
    if why.pairs_adds:
        said.append(f"words of the question side by side add {why.pairs_adds:.2f}")
    if why.agreement_adds >= 0.005:
        said.append(f"what its article says beside it adds {why.agreement_adds:.2f}")
    if why.freshness_adds:
        said.append(f"being recent adds {why.freshness_adds:.2f}")
    if why.rerank_adds:
        given = f"the reranker gives it {why.score - 1:.2f} and adds {why.rerank_adds:.2f}"
        said.append(f"{given}, ahead of all that it did not read")
    return f"{'; '.join(said)}."


def _nth(rank: int) -> str:
    ending = "th" if rank % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{ending}"


def serialize_article(entry: Article, *, text: bool = False) -> Json:
    """Return an article; its text only when asked for."""
    fields: Json = {
        "id": entry.id,
        "key": entry.key,
        "title": entry.title,
        "url": entry.url,
        "source": entry.source,
        "author": entry.author,
        "published": moment(entry.published),
        "published_from": entry.published_from,
        "language": entry.language,
        "version": entry.version,
        "revised": moment(entry.revised),
        "origin": entry.origin,
    }
    return {**fields, "text": entry.text} if text else fields


def serialize_similar(ident: str, hits: Sequence[Hit], now: datetime) -> Json:
    """Return the articles that are like one."""
    return {"id": ident, "hits": [serialize_hit(hit, now, explain=False) for hit in hits]}


def serialize_timeline(timeline: Timeline) -> Json:
    """Return the story that a question asks for, by day."""
    return {
        **_head(timeline),
        "days": [
            {"date": day.date.isoformat(), "hit": serialize_hit(day.hit, timeline.as_of, explain=False)}
            for day in timeline.days
        ],
    }


def serialize_brief(brief: Brief) -> Json:
    """Return a brief: its citations by day."""
    return {
        **_head(brief),
        "days": [
            {
                "date": None if day.date is None else day.date.isoformat(),
                "citations": [_citation_out(citation) for citation in day.citations],
            }
            for day in brief.days
        ],
    }


def _head(told: Timeline | Brief) -> Json:
    return {
        "query": told.question,
        "as_of": moment(told.as_of.replace(microsecond=0)),
        "confidence": None if told.confidence is None else round(told.confidence, 3),
        "convincing": told.convincing,
    }


def _citation_out(citation: Citation) -> Json:
    return {
        "number": citation.number,
        "text": citation.text,
        "start": citation.start,
        "end": citation.end,
        "article": serialize_article(citation.article),
        "also_in": [serialize_near_duplicate(entry) for entry in citation.also_in],
    }


def serialize_quote_check(checked: QuoteCheck) -> Json:
    """Return whether a quote was found, and the true wording."""
    article = checked.article
    return {
        "verdict": checked.verdict,
        "similarity": round(checked.similarity, 1),
        "wording": {"text": checked.text, "start": checked.start, "end": checked.end} if article else None,
        "article": serialize_article(article) if article else None,
    }


def serialize_status(status: Status) -> Json:
    """Return the state of an index."""
    return {
        **asdict(status),
        "updated": moment(status.updated),
        "oldest": moment(status.oldest),
        "newest": moment(status.newest),
        "sources": [{"source": name, "articles": count} for name, count in status.sources],
        "damaged": list(status.damaged),
        "health": "failing" if status.parts else "ok",
        "parts": [serialize_failing_part(part) for part in status.parts],
    }


def serialize_failing_part(part: FailingPart) -> Json:
    """Return a part that is failing."""
    return {
        "name": part.name,
        "state": "failing",
        "failures": part.failures,
        "message": part.message,
        "since": moment(part.since),
        "next_try": moment(part.next_try),
    }


def serialize_report(report: Report) -> Json:
    """Return what indexing did."""
    return {
        "files": report.files,
        "unchanged_files": report.unchanged_files,
        "feeds": report.feeds,
        "added": report.added,
        "changed": report.changed,
        "unchanged": report.unchanged,
        "removed": report.removed,
        "passages": report.passages,
        "embedded": report.embedded,
        "seconds": round(report.seconds, 2),
        "problems": [serialize_problem(problem) for problem in report.problems],
        "kept": [{"folder": one.folder, "gone": one.gone, "known": one.known} for one in report.kept],
    }


def serialize_verification(verified: Verification) -> Json:
    """Return what is wrong with an index, and how well its dense part finds."""
    well = not verified.problems
    return {
        "well": well,
        "problems": list(verified.problems),
        "recall_at_10": None if verified.recall is None else round(verified.recall, 4),
        "sample": verified.sample,
    }


def serialize_versions(versions: Sequence[Version]) -> Json:
    """Return the texts that an article has had, newest first."""
    return {
        "versions": [
            {
                "version": one.number,
                "title": one.title,
                "text": one.text,
                "since": moment(one.since),
                "until": moment(one.until),
            }
            for one in versions
        ]
    }


def serialize_job(job: Job) -> Json:
    """Return how a job stands."""
    said: Json = json.loads(job.result) if job.result else {}
    failed = "error" in said
    return {
        "id": job.id,
        "state": "running" if job.ended is None else "failed" if failed else "done",
        "began": moment(job.began),
        "ended": moment(job.ended),
        "report": None if failed or not said else said,
        "error": said["error"] if failed else None,
    }


def serialize_problem(problem: Problem) -> Json:
    """Return what was wrong, where, and whether an article is missing because of it."""
    return {"where": problem.where, "reason": problem.reason, "lost": problem.lost, "count": problem.count}
