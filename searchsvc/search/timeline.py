"""A timeline: what was published on a question, day by day, from what a search found."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

from searchsvc.search.results import Hit, Results

ABOUT = 0.6  # of the best hit's score, from which on a hit is about the question


@dataclass(frozen=True, slots=True)
class Day:
    """A day (UTC) on which something about a question was published, and the best hit of it."""

    date: date
    hit: Hit


@dataclass(frozen=True, slots=True)
class Timeline:
    """The days, oldest first; `convincing` says whether the library answers it at all."""

    question: str
    as_of: datetime
    confidence: float | None
    convincing: bool
    days: tuple[Day, ...]


def about(results: Results) -> list[Hit]:
    """Return the hits that are about the question as the best one is, best first."""
    best = results.hits[0].score if results.hits else 0.0
    return [hit for hit in results.hits if hit.score >= ABOUT * best]


def timeline_of(results: Results, limit: int) -> Timeline:
    """Return the best `limit` days of what a search found, the best hit of each; hits without a date are left out."""
    days: dict[date, Hit] = {}
    for hit in about(results):
        if hit.article.published is not None and len(days) < limit:
            days.setdefault(hit.article.published.astimezone(UTC).date(), hit)
    return Timeline(
        question=results.query.text,
        as_of=results.as_of,
        confidence=results.confidence,
        convincing=results.convincing,
        days=tuple(Day(day, days[day]) for day in sorted(days)),
    )
