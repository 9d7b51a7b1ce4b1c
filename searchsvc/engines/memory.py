"""The engine in memory: exact, without files, read anew from the catalogue after each change.

It is a second, independent implementation of the seam, for tests and for libraries of some thousand passages.
"""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from searchsvc.catalogue import Catalogue, EmbeddingSpace
from searchsvc.engines import Candidates, Snapshot
from searchsvc.engines.columns import Columns, mask, published_in, read_articles
from searchsvc.models import Vectors
from searchsvc.query.filter import Filter
from searchsvc.text.analysis import analyzer, surface_tokens

K1, B = 1.2, 0.75


@dataclass(frozen=True, slots=True)
class IndexedText:
    """One passage with its title: how often each word and pair of words stands in it, and its surface tokens."""

    words: Counter[str]
    pairs: Counter[tuple[str, str]]
    title: list[str]
    text: list[str]

    def holds(self, phrase: Sequence[str]) -> bool:
        """Say whether the tokens of a phrase stand one after another in the title or in the text."""
        size = len(phrase)
        return any(
            tokens[start : start + size] == phrase
            for tokens in (self.title, self.text)
            for start in range(len(tokens) - size + 1)
        )


@dataclass(frozen=True, slots=True)
class MemorySnapshot:
    """All passages of one state of the catalogue: vectors (n, dimension), columns and texts, by ascending row."""

    generation: int
    identity: str
    articles: int
    updated: datetime | None
    vectors: Vectors
    columns: Columns
    texts: tuple[IndexedText, ...]

    @property
    def passages(self) -> int:
        """The number of passages that can be found."""
        return len(self.columns)

    def dense(self, vector: Vectors, k: int, filters: Filter) -> Candidates:
        """Return the k passages nearest to a unit vector (dimension,), with their cosines."""
        return self._best(self.vectors @ vector, self._matching(filters), k)

    def lexical(
        self, words: Sequence[str], k: int, filters: Filter, pairs: Mapping[tuple[str, str], float] | None = None
    ) -> Candidates:
        """Return the k passages with the best BM25 scores for these words, and for these pairs side by side."""
        scores = np.zeros(self.passages)
        for word in words:
            scores += self._bm25([word], [text.words[word] for text in self.texts])
        for pair, weight in (pairs or {}).items():
            scores += weight * self._bm25(pair, [text.pairs[pair] for text in self.texts])
        return self._best(scores.astype(np.float32), self._matching(filters) & (scores > 0), k)

    def published(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return when passages, given by ascending row, were published, in microseconds since 1970; which are dated."""
        return published_in([self.columns], rows)

    def frequencies(self, words: Sequence[str]) -> list[int]:
        """Return the number of passages that hold each word."""
        return [sum(word in text.words for text in self.texts) for word in words]

    def rows(self) -> NDArray[np.int64]:
        """Return the rows of all passages, ascending."""
        return self.columns["row"]

    def _bm25(self, terms: Sequence[str], counts: Sequence[int]) -> NDArray[np.float64]:
        """Return BM25 (Robertson and Zaragoza, 2009; Lucene's idf) of terms that stand together so often, (n,)."""
        lengths = np.array([text.words.total() for text in self.texts], float)
        frequencies = np.array(self.frequencies(terms), float)
        idf = np.log1p((self.passages - frequencies + 0.5) / (frequencies + 0.5)).sum()
        tf = np.array(counts, float)
        norms = K1 * (1 - B + B * lengths / (lengths.mean() or 1)) if len(lengths) else lengths
        return np.asarray(idf * tf * (1 + K1) / np.where(tf > 0, tf + norms, 1))

    def _matching(self, filters: Filter) -> NDArray[np.bool_]:
        """Return which passages a filter lets through, (n,)."""
        rows = articles = None
        if phrases := _phrases(filters.phrases):
            rows = self.columns["row"][[all(map(text.holds, phrases)) for text in self.texts]]
        if excluded := _phrases(filters.excluded):
            articles = self.columns["article"][[any(map(text.holds, excluded)) for text in self.texts]]
        matching = mask(self.columns, filters, rows, articles)
        return np.ones(self.passages, bool) if matching is None else matching

    def _best(self, scores: NDArray[np.float32], matching: NDArray[np.bool_], k: int) -> Candidates:
        places = np.flatnonzero(matching)
        places = places[np.argsort(-scores[places], kind="stable")[:k]]
        return Candidates(self.columns["row"][places], self.columns["article"][places], scores[places])


class MemoryEngine:
    """Follows one catalogue, in one embedding space; what is committed is searchable at once."""

    def __init__(self, space: EmbeddingSpace) -> None:
        self._space = space
        self._lock = threading.Lock()
        self._current: MemorySnapshot | None = None

    def follow(self, catalogue: Catalogue) -> None:
        """Do nothing: each snapshot reads what has been committed."""

    def rebuild(self, catalogue: Catalogue) -> None:  # noqa: ARG002
        """Read everything anew."""
        self.reopen()

    def reopen(self) -> None:
        """Let the next snapshot read everything anew."""
        with self._lock:
            self._current = None

    def snapshot(self, catalogue: Catalogue) -> MemorySnapshot:
        """Return the newest state; the same object as before where nothing has changed."""
        with self._lock, catalogue.reading():
            generation = catalogue.changes.last()
            current, identity = self._current, catalogue.changes.identity(generation)
            if current is None or (current.generation, current.identity) != (generation, identity):
                self._current = current = _read(catalogue, self._space, generation, identity)
            return current

    def applied(self, catalogue: Catalogue) -> int:
        """Return the number of the catalogue's last change."""
        return catalogue.changes.last()

    def lost(self, catalogue: Catalogue) -> str | None:  # noqa: ARG002
        """Return None: nothing outlives the process that could tell."""
        return None

    def compare(self, catalogue: Catalogue, snapshot: Snapshot) -> list[str]:
        """Return, in words, what differs between a snapshot and the catalogue."""
        same = np.array_equal(catalogue.passages.rows(self._space.row), snapshot.rows())
        return [] if same else ["the index in memory does not hold the catalogue's passages"]


def _phrases(phrases: Sequence[str]) -> list[list[str]]:
    """Return the tokens of phrases; one without a word says nothing."""
    return [tokens for tokens in map(surface_tokens, phrases) if tokens]


def _read(catalogue: Catalogue, space: EmbeddingSpace, generation: int, identity: str) -> MemorySnapshot:
    articles, _ = catalogue.changes.between(0, generation)
    vectors, columns = read_articles(catalogue, articles, space)
    texts: list[IndexedText] = []
    for article in catalogue.articles.by_row(articles).values():
        for stored in catalogue.passages.of_article(article.row, space.row):
            text = article.text[stored.passage.start : stored.passage.end]
            words = list(analyzer().analyze(f"{article.title}\n{text}"))
            title, surface = surface_tokens(article.title), surface_tokens(text)
            texts.append(IndexedText(Counter(words), Counter(pairwise(words)), title, surface))
    count = len(np.unique(columns["article"]))
    updated = catalogue.changes.time_of(generation)
    return MemorySnapshot(generation, identity, count, updated, vectors.astype(np.float32), columns, tuple(texts))
