"""Results: what a search found, as `Library` and `Client` return it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, overload

from searchsvc.query import Query
from searchsvc.query.periods import Period
from searchsvc.search.confidence import DOUBTFUL
from searchsvc.search.serialize import serialize_results
from searchsvc.text.article import Article, Excerpt, Span

if TYPE_CHECKING:
    from searchsvc import schemas


@dataclass(frozen=True, slots=True)
class Explanation:
    """What each part of the ranking gave a passage, and what it added; what they add is the score.

    Rank 0: that retriever did not find it. `recency` is 0 to 1. `pairs_adds` is what pairs of terms side by side add.
    """

    score: float
    dense_rank: int
    cosine: float
    dense_adds: float
    lexical_rank: int
    bm25: float
    lexical_adds: float
    pairs_adds: float = 0.0
    agreement_adds: float = 0.0
    recency: float = 0.0
    freshness_adds: float = 0.0
    rerank_adds: float = 0.0


@dataclass(frozen=True, slots=True, repr=False)
class Hit:
    """A passage that answers, with its article and the sentence that answers best.

    `highlights` are where the query's terms stand, `sentences` the passage's sentences; all offsets are code points of
    the article's text. `also_in` are the near-duplicates of the article that the query lets through, the earliest first
    and undated ones last. From a server, articles come without their text (`Client.article` has it), hits without
    `sentences`, and `why` only where the query asks to explain.
    """

    rank: int
    score: float
    article: Article
    passage: Excerpt
    answer: Excerpt | None
    highlights: tuple[Span, ...] = ()
    also_in: tuple[Article, ...] = ()
    sentences: tuple[Span, ...] = ()
    why: Explanation | None = None

    def __repr__(self) -> str:
        answer = f", answer={_short(self.answer.text)!r}" if self.answer else ""
        return f"<Hit {self.rank}: {self.score:.2f} {_short(self.article.title)!r}, {self.passage.id}{answer}>"


@dataclass(frozen=True, slots=True)
class IndexState:
    """The state of the index that answered; `pending` counts changes that were not searchable yet."""

    generation: int
    articles: int
    passages: int
    updated: datetime | None
    pending: int


@dataclass(frozen=True, slots=True, repr=False)
class Results:
    """The answer to one query, best hit first; iterating gives the hits.

    `period` is the time that the question names, in which all hits were published. `confidence`, 0 to 1, says how
    likely it is that the library answers the question at all (see `confidence`); None for a model whose cosines it is
    not calibrated for. `tokens`, where the query bounds them, counts those of the hits' titles and passages.
    """

    query: Query
    hits: tuple[Hit, ...]
    index: IndexState
    period: Period | None
    confidence: float | None
    tokens: int | None
    took_ms: float

    @property
    def as_of(self) -> datetime:
        """The moment as at which it was answered."""
        return self.query.as_of

    @property
    def convincing(self) -> bool:
        """Whether the library answers the question, as far as that can be told."""
        return self.confidence is None or self.confidence >= DOUBTFUL

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    @overload
    def __getitem__(self, place: int) -> Hit: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, place: int | slice) -> Hit | tuple[Hit, ...]:
        return self.hits[place]

    def __repr__(self) -> str:
        count = f"{len(self.hits)} hit{'' if len(self.hits) == 1 else 's'}"
        doubt = ", nothing convincing" if not self.convincing else ""
        first = f", first {self.hits[0]!r}" if self.hits else ""
        return f"<Results for {_short(self.query.text)!r}: {count}{doubt}{first}>"

    def to_dict(self) -> "schemas.Results":
        """Return the results as JSON values, as a server sends them."""
        return serialize_results(self, explain=self.query.explain)

    def _repr_html_(self) -> str:
        """Return a small table for notebooks, the answering sentence marked; all that articles say is escaped."""
        rows = "".join(
            f"<tr><td>{hit.rank}</td><td>{escape(hit.article.title)}<br><small>{_byline(hit.article)}</small></td>"
            f'<td style="text-align:left">{_marked(hit)}</td></tr>'
            for hit in self.hits
        )
        doubt = "; nothing convincing was found" if not self.convincing or not self.hits else ""
        return f"<p>{escape(self.query.text)}{doubt}</p><table>{rows}</table>"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


def _byline(article: Article) -> str:
    date = f"{article.published:%Y-%m-%d}" if article.published else "undated"
    return escape(" · ".join(filter(None, (date, article.credit))))


def _marked(hit: Hit) -> str:
    text, answer = hit.passage.text, hit.answer
    if answer is None:
        return escape(text)
    start, end = answer.start - hit.passage.start, answer.end - hit.passage.start
    return f"{escape(text[:start])}<mark>{escape(text[start:end])}</mark>{escape(text[end:])}"
