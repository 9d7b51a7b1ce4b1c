"""A brief: what a library says about a question, in sentences that are all quoted, each with its citation.

Nothing in it is written by a machine but headings and fixed labels.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby

from searchsvc.search.results import Results
from searchsvc.search.timeline import about
from searchsvc.text.article import Article, Excerpt
from searchsvc.text.dates import long_date
from searchsvc.text.sanitize import escape_markdown, link

ENTITY = re.compile(r"&(?=#?\w+;)")  # which Markdown would read in an address, too
LONGEST_SENTENCE = 1_000  # characters shown


@dataclass(frozen=True, slots=True)
class Citation:
    """A quoted sentence of an article, word for word. `also_in` are the article's near-duplicates."""

    number: int
    article: Article
    sentence: Excerpt
    also_in: tuple[Article, ...] = ()


@dataclass(frozen=True, slots=True)
class BriefDay:
    """What was published on a day (UTC), or, with no date, on days that are not known; the best first."""

    date: date | None
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Brief:
    """The citations that answer a question by day, the newest first and undated ones last; numbered in this order.

    `convincing` says whether the library answers the question at all, as far as `confidence` tells.
    """

    question: str
    as_of: datetime
    confidence: float | None
    convincing: bool
    days: tuple[BriefDay, ...]

    @property
    def citations(self) -> tuple[Citation, ...]:
        """All citations, by number."""
        return tuple(citation for day in self.days for citation in day.citations)


def brief_of(results: Results) -> Brief:
    """Return what a search found as a brief; a sentence that several articles hold is quoted once."""
    hits = {" ".join(hit.answer.text.split()): hit for hit in reversed(about(results)) if hit.answer}
    newest = sorted(hits.values(), key=lambda hit: (_day(hit.article) or date.min, -hit.rank), reverse=True)
    numbered = [
        Citation(number, hit.article, hit.answer, hit.also_in) for number, hit in enumerate(newest, 1) if hit.answer
    ]
    return Brief(
        question=results.query.text,
        as_of=results.as_of,
        confidence=results.confidence,
        convincing=results.convincing,
        days=tuple(
            BriefDay(day, tuple(citations))
            for day, citations in groupby(numbered, lambda citation: _day(citation.article))
        ),
    )


def brief_markdown(brief: Brief) -> str:
    """Return a brief as Markdown, of which nothing that articles say is read as markup."""
    parts = [f"# {escape_markdown(brief.question, LONGEST_SENTENCE)}"]
    if not brief.convincing or not brief.days:
        parts.append("**Nothing convincing was found.**")
    parts.append(f"As of {long_date(brief.as_of.date())}. Every sentence is quoted word for word.")
    for day in brief.days:
        parts.append(f"## {long_date(day.date) if day.date else 'Undated'}")
        parts += [
            f"> {escape_markdown(citation.sentence.text, LONGEST_SENTENCE)} [{citation.number}]"
            for citation in day.citations
        ]
    if brief.days:
        parts += ["## Sources", "\n".join(map(_source, brief.citations))]
    return "\n\n".join(parts) + "\n"


def _source(citation: Citation) -> str:
    article = citation.article
    url = ENTITY.sub(r"\\&", link(article.url) or "")
    title = escape_markdown(article.title) or "Untitled"
    parts = [
        f"[{title}](<{url}>)" if url else title,
        escape_markdown(article.credit.removeprefix("www.")) if article.credit else "",
        long_date(article.published.astimezone(UTC).date()) if article.published else "undated",
        f"`{article.id}`, characters {citation.sentence.start} to {citation.sentence.end}",
        f"also in {len(citation.also_in)} more" if citation.also_in else "",
    ]
    return f"{citation.number}. {', '.join(citation for citation in parts if citation)}"


def _day(article: Article) -> date | None:
    return article.published.astimezone(UTC).date() if article.published else None
