"""Answers from one index: each from one snapshot, and again where the index was replaced at that moment."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from searchsvc.errors import Busy, DamagedIndex, NotFound
from searchsvc.library.index import Index
from searchsvc.models.embedder import BUNDLED
from searchsvc.query import Query
from searchsvc.query.filter import Filter
from searchsvc.query.interpretation import MAX_TERMS, interpret
from searchsvc.search.pipeline import Pipeline
from searchsvc.search.quotes import QuoteCheck, check_quote, words_of_quote
from searchsvc.search.results import Hit, Results
from searchsvc.search.similar import similar
from searchsvc.text.analysis import content_terms
from searchsvc.text.article import Article
from searchsvc.text.sources import sources_called

QUOTE_CANDIDATES = 50  # passages, whose articles are searched for a quote

Answer = TypeVar("Answer")


class Answers:
    """What one index answers."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def search(self, query: Query) -> Results:
        """Answer a query; see `Library.search`."""
        interpretation = interpret(query)

        def answer() -> Results:
            index, serving = self._index, self._index.serving
            sources = self._known_sources(interpretation.filters.sources)
            pipeline = Pipeline(
                index.snapshot(serving),
                index.catalogue,
                serving.embedder,
                index.reranker,
                calibrated=serving.space.model == BUNDLED,
            )
            filters = replace(interpretation.filters, sources=sources)
            return pipeline.run(query, replace(interpretation, filters=filters))

        return self._steadily(answer)

    def similar(self, ident: str, limit: int) -> tuple[Hit, ...]:
        """Return the articles most like one; see `Library.similar`."""

        def answer() -> tuple[Hit, ...]:
            index, article, serving = self._index, self.article(ident), self._index.serving
            filters = Filter(as_of=datetime.now(UTC))
            return similar(article, limit, index.snapshot(serving), index.catalogue, serving.space, filters)

        return self._steadily(answer)

    def verify_quote(self, quote: str, ident: str | None) -> QuoteCheck:
        """Say whether an article says this; see `Library.verify_quote`."""
        terms = content_terms(words_of_quote(quote))[:MAX_TERMS]
        if ident is not None:
            return check_quote(quote, [self.article(ident)])
        candidates = self._index.snapshot().lexical(terms, QUOTE_CANDIDATES, Filter())
        articles = self._index.catalogue.articles.by_row(dict.fromkeys(candidates.articles.tolist()))
        return check_quote(quote, articles.values())

    def article(self, ident: str) -> Article:
        """Return the article with this id; raises NotFound."""
        article = self._index.catalogue.articles.get(ident)
        if article is None:
            raise NotFound(f"there is no article {ident}", "ids come with the hits of a search")
        return article

    def _known_sources(self, names: frozenset[str]) -> frozenset[str]:
        """Return the sources that are known by these names; where there are none, the names, which find nothing."""
        sources = self._index.catalogue.articles.sources() if names else []
        return sources_called(names, (source for source, _ in sources)) or names

    def _steadily(self, answer: Callable[[], Answer]) -> Answer:
        """Return an answer; look again where another catalogue was put in its place at this moment."""
        for _ in range(2):
            with suppress(DamagedIndex):
                return answer()
        raise Busy(f"the index in {self._index.folder} is being replaced", "try again in a moment")
