"""A citation: what was found, as a chat is told it. Articles' own words pass through `quoting`, and links through it.

`pages` is where this server shows articles: the beginning of an address that ends in an article's id.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from searchsvc.interfaces.mcp.schemas import (
    Answer,
    Cited,
    Day,
    FoundArticle,
    FoundArticles,
    Hit,
    QuoteCheck,
    Similar,
    Stretch,
    Timeline,
    WholeText,
)
from searchsvc.text.sanitize import link, sanitize

if TYPE_CHECKING:  # so that tools are listed before numpy and the like are imported
    from datetime import datetime

    from searchsvc.search.quotes import QuoteCheck as Checked
    from searchsvc.search.results import Hit as Found
    from searchsvc.search.results import Results
    from searchsvc.search.timeline import Timeline as Told
    from searchsvc.text.article import Article

LONGEST_NAME = 300  # characters of a title, a source, an author
LONGEST_PASSAGE = 4_000  # a passage is far shorter, unless it holds no space
LONGEST_TEXT = 50_000  # of an article: what a chat takes in at once, about 12,000 tokens


def results(found: "Results", pages: str) -> FoundArticles:
    """Return the articles that were found, in ChatGPT's shape."""
    entries = [hit.article for hit in found.hits]
    return FoundArticles(
        results=[FoundArticle(id=one.id, title=_name(one.title), url=url(one, pages)) for one in entries]
    )


def whole(entry: "Article", pages: str) -> WholeText:
    """Return an article with its text, in ChatGPT's shape; `metadata` says where the text is cut."""
    known = {
        "source": _name(entry.source),
        "author": _name(entry.author),
        "published": _moment(entry.published),
        "language": entry.language,
        "origin": entry.origin,
    }
    if len(entry.text) > LONGEST_TEXT:
        known["cut"] = f"the first {LONGEST_TEXT:,} of {len(entry.text):,} characters"
    return WholeText(
        id=entry.id,
        title=_name(entry.title),
        text=sanitize(entry.text, LONGEST_TEXT),
        url=url(entry, pages),
        metadata={name: value for name, value in known.items() if value},
    )


def plain(entry: "Article", pages: str) -> str:
    """Return an article as one text: title, what is known, link, and its own text."""
    about = whole(entry, pages)
    return "\n".join([about.title, *(f"{k}: {v}" for k, v in about.metadata.items()), about.url, "", about.text])


def answer(found: "Results", pages: str) -> Answer:
    """Return the passages that were found."""
    return Answer(
        query=found.query.text,
        as_of=_moment(found.as_of.replace(microsecond=0)) or "",
        period=found.period.words if found.period else None,
        confidence=_rounded(found.confidence),
        convincing=not found.is_doubtful,
        tokens=found.tokens,
        hits=_hits(found.hits, pages),
    )


def similar(ident: str, found: Iterable["Found"], pages: str) -> Similar:
    """Return the articles that are like one."""
    return Similar(id=ident, hits=_hits(found, pages))


def timeline(told: "Told", pages: str) -> Timeline:
    """Return a story by day."""
    return Timeline(
        query=told.question,
        confidence=_rounded(told.confidence),
        convincing=told.convincing,
        days=[
            Day(date=day.date.isoformat(), article=_cited(day.hit.article, pages), answer=_stretch(*_answer(day.hit)))
            for day in told.days
        ],
    )


def quote_check(checked: "Checked", pages: str) -> QuoteCheck:
    """Return whether a quote was found."""
    return QuoteCheck(
        verdict=checked.verdict,
        similarity=round(checked.similarity, 1),
        wording=_stretch(checked.wording.text, checked.wording.start, checked.wording.end) if checked.wording else None,
        article=_cited(checked.article, pages) if checked.article else None,
    )


def url(entry: "Article", pages: str) -> str:
    """Return where an article can be read: at its own address, else here."""
    return link(entry.url) or f"{pages}{entry.id}"


def _hits(found: Iterable["Found"], pages: str) -> list[Hit]:
    return [
        Hit(
            article=_cited(hit.article, pages),
            passage=_stretch(hit.passage.text, hit.passage.start, hit.passage.end),
            answer=_stretch(*_answer(hit)),
            also_in=[_cited(entry, pages) for entry in hit.also_in],
        )
        for hit in found
    ]


def _answer(hit: "Found") -> tuple[str, int, int]:
    answer = hit.answer or hit.passage
    return answer.text, answer.start, answer.end


def _stretch(text: str, start: int, end: int) -> Stretch:
    return Stretch(text=sanitize(text, LONGEST_PASSAGE), start=start, end=end)


def _cited(entry: "Article", pages: str) -> Cited:
    return Cited(
        id=entry.id,
        title=_name(entry.title),
        url=url(entry, pages),
        source=_name(entry.source) or None,
        author=_name(entry.author) or None,
        published=_moment(entry.published),
        language=entry.language,
        origin=entry.origin,
    )


def _name(said: str | None) -> str:
    return sanitize(said or "", LONGEST_NAME)


def _moment(value: "datetime | None") -> str | None:
    from searchsvc.interfaces.serialize import moment

    return moment(value)


def _rounded(confidence: float | None) -> float | None:
    return None if confidence is None else round(confidence, 3)
