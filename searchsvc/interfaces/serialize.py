"""Serialize what indexing did and how an index stands; what a search found, `search.serialize` does."""

import json
from typing import TYPE_CHECKING, Any

from searchsvc.catalogue import FailingPart, Job
from searchsvc.ingest.report import Report
from searchsvc.library import Status
from searchsvc.search.serialize import iso
from searchsvc.search.verification import Verification
from searchsvc.text.article import Problem

if TYPE_CHECKING:  # types alone, which cost 20 ms to import
    from searchsvc import schemas


def serialize_report(report: Report) -> "schemas.Report":
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
        "kept": [{"folder": missing.folder, "gone": missing.gone, "known": missing.known} for missing in report.kept],
    }


def serialize_problem(problem: Problem) -> "schemas.Problem":
    """Return what was wrong, where, and whether an article is missing because of it."""
    return {"where": problem.where, "reason": problem.reason, "lost": problem.lost, "count": problem.count}


def serialize_job(job: Job) -> "schemas.Job":
    """Return how a job stands."""
    outcome: Any = json.loads(job.result) if job.result else {}
    failed = "error" in outcome
    return {
        "id": job.id,
        "state": "running" if job.ended is None else "failed" if failed else "done",
        "began": iso(job.began),
        "ended": iso(job.ended),
        "report": None if failed or not outcome else outcome,
        "error": outcome["error"] if failed else None,
    }


def serialize_status(status: Status) -> "schemas.Status":
    """Return the state of an index."""
    return {
        "articles": status.articles,
        "passages": status.passages,
        "generation": status.generation,
        "pending": status.pending,
        "updated": iso(status.updated),
        "model": status.model,
        "bytes_on_disk": status.bytes_on_disk,
        "engine": status.engine,
        "index": status.index,
        "passage_tokens": status.passage_tokens,
        "oldest": iso(status.oldest),
        "newest": iso(status.newest),
        "undated": status.undated,
        "sources": [{"source": name, "articles": count} for name, count in status.sources],
        "unused_bytes": status.unused_bytes,
        "moving_to": status.moving_to,
        "reranker": status.reranker,
        "parts": [serialize_failing_part(part) for part in status.parts],
        "damaged": list(status.damaged),
        "health": "failing" if status.parts else "ok",
    }


def serialize_failing_part(part: FailingPart) -> "schemas.FailingPart":
    """Return a part that is failing."""
    return {
        "name": part.name,
        "state": "failing",
        "failures": part.failures,
        "message": part.message,
        "since": iso(part.since),
        "next_try": iso(part.next_try),
    }


def serialize_verification(verification: Verification) -> "schemas.Verification":
    """Return what is wrong with an index, and the recall of its dense part."""
    return {
        "well": not verification.problems,
        "problems": list(verification.problems),
        "recall_at_10": None if verification.recall is None else round(verification.recall, 4),
        "sample": verification.sample,
    }
