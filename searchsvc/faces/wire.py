"""The wire: what the faces say, as plain JSON values, in the shapes that programs outside rely on."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from searchsvc.articles import Problem
from searchsvc.catalogue import Entry, Job, Version
from searchsvc.indexing import Report
from searchsvc.library import Status
from searchsvc.ranking import Ranked
from searchsvc.searching import Hit, Results
from searchsvc.verification import Verified

Json = dict[str, object]


def moment(value: datetime | None) -> str | None:
    """Return a moment as ISO 8601 in UTC, ending in Z."""
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def results_out(results: Results, *, explain: bool = False) -> Json:
    """Return the answer to a question."""
    return {
        "query": results.question.text,
        "as_of": moment(results.as_of.replace(microsecond=0)),
        "took_ms": round(results.took_ms, 2),
        "index": {
            "generation": results.generation,
            "articles": results.articles,
            "passages": results.passages,
            "updated": moment(results.updated),
            "pending": results.pending,
        },
        "period": {"after": None, "before": None, "words": None},
        "hits": [hit_out(hit, results.as_of, explain=explain) for hit in results.hits],
    }


def hit_out(hit: Hit, as_of: datetime, *, explain: bool) -> Json:
    """Return one hit; `why` says how its score came about when `explain` is set."""
    start, end = hit.answer
    revised = hit.article.revised
    return {
        "rank": hit.rank,
        "score": round(hit.score, 4),
        "article": article_out(hit.article),
        "passage": {"id": hit.passage_id, "text": hit.text, "start": hit.start, "end": hit.end},
        "answer": {"text": hit.answer_text, "start": start, "end": end},
        "highlights": [list(span) for span in hit.highlights],
        "also_in": [],
        "text_newer_than_as_of": revised is not None and revised > as_of,
        "why": why_out(hit.why) if explain else None,
    }


def why_out(why: Ranked) -> Json:
    """Return what each retriever gave; what both add is the score."""
    return {
        "dense": {"rank": why.dense_rank or None, "cosine": round(why.cosine, 4), "adds": round(why.dense_adds, 4)},
        "lexical": {"rank": why.lexical_rank or None, "bm25": round(why.bm25, 4), "adds": round(why.lexical_adds, 4)},
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
    return f"{parts[0]} and adds {why.dense_adds:.2f}; {parts[1]} and adds {why.lexical_adds:.2f}."


def _nth(rank: int) -> str:
    ending = "th" if rank % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{ending}"


def article_out(entry: Entry, *, text: bool = False) -> Json:
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
    }
    return {**fields, "text": entry.text} if text else fields


def status_out(status: Status) -> Json:
    """Return the state of an index."""
    return {
        **asdict(status),
        "updated": moment(status.updated),
        "oldest": moment(status.oldest),
        "newest": moment(status.newest),
        "sources": [{"source": name, "articles": count} for name, count in status.sources],
    }


def report_out(report: Report) -> Json:
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
        "problems": [problem_out(problem) for problem in report.problems],
        "kept": [{"folder": one.folder, "gone": one.gone, "known": one.known} for one in report.kept],
    }


def verified_out(verified: Verified) -> Json:
    """Return what is wrong with an index, and how well its dense part finds."""
    well = not verified.problems
    return {
        "well": well,
        "problems": list(verified.problems),
        "recall_at_10": None if verified.recall is None else round(verified.recall, 4),
        "sample": verified.sample,
    }


def versions_out(versions: Sequence[Version]) -> Json:
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


def job_out(job: Job) -> Json:
    """Return how a job stands."""
    said: Json = json.loads(job.said) if job.said else {}
    failed = "error" in said
    return {
        "id": job.id,
        "state": "running" if job.ended is None else "failed" if failed else "done",
        "began": moment(job.began),
        "ended": moment(job.ended),
        "report": None if failed or not said else said,
        "error": said["error"] if failed else None,
    }


def problem_out(problem: Problem) -> Json:
    """Return what was wrong, where, and whether an article is missing because of it."""
    return {"where": problem.where, "reason": problem.reason, "lost": problem.lost}
