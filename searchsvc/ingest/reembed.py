"""Embedding again: all is split and embedded in another space, beside the one that serves until it is complete.

    articles ── split ── embed ──► passages of the new space ── engine made ──► one transaction: the new space serves

Each batch is committed by itself, so that an interrupted run goes on where it ended, and other writers take the lock in
between; what they change is embedded again too before the new space takes over.
"""

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from searchsvc.catalogue import Catalogue, EmbeddingSpace, Writer
from searchsvc.ingest.prepare import PreparedPassage, Preparer, Unprepared, new_passages
from searchsvc.ingest.report import Progress, Report
from searchsvc.ingest.write import BATCH, TakeLock, write
from searchsvc.text.article import Article

AT_ONCE = 200  # articles read at a time
MAX_ENGINES = 3  # made while others write, before they have to wait

_log = logging.getLogger("searchsvc")


@dataclass(frozen=True, slots=True)
class Reembed:
    """From the space that serves to `space`; `make_engine` is called once all is embedded, before the swap."""

    catalogue: Catalogue
    space: EmbeddingSpace
    preparer: Preparer
    take_lock: TakeLock
    make_engine: Callable[[], None]

    def run(self, progress: Progress) -> None:
        """Embed everything and let the new space serve; `progress` hears of articles."""
        report = Report(unit="article")
        done, total = 0, self.catalogue.counts().articles
        for attempt in itertools.count(1):
            for articles in self._missing():
                report.embedded += self._add(articles)
                report.passages = report.embedded
                done += len(articles)
                progress(report, done, max(done, total))
            made_at = self.catalogue.changes.last()
            self.make_engine()
            with self.take_lock():
                # What others wrote meanwhile takes another round; where they never stop, they wait for the last one.
                if self._is_complete() and (made_at == self.catalogue.changes.last() or attempt >= MAX_ENGINES):
                    if made_at != self.catalogue.changes.last():
                        self.make_engine()
                    with self.catalogue.writing() as writer:
                        writer.spaces.serve(self.space.row)
                    return

    def _is_complete(self) -> bool:
        return not any(self._split(article, ()) for articles in self._missing() for article in articles)

    def _missing(self) -> Iterator[list[Article]]:
        """Yield the articles without passages in the new space, some at a time."""
        last = 0
        while articles := self.catalogue.articles.without_passages(self.space.row, last, AT_ONCE):
            yield articles
            last = articles[-1].row

    def _split(self, article: Article, left_out: Iterable[int]) -> tuple[PreparedPassage, ...]:
        try:
            return self.preparer.split(article, frozenset(left_out))
        except Unprepared:
            _log.exception("article %s cannot be split, and is not found in the new space", article.id)
            return ()

    def _add(self, articles: list[Article]) -> int:
        """Embed and record passages of some articles; return how many were embedded."""
        embedded = 0
        batch: dict[int, tuple[PreparedPassage, ...]] = {}
        for article in articles:
            batch[article.row] = self._split(article, self.catalogue.boilerplate.in_article(article.row))
            if sum(map(len, batch.values())) >= BATCH:
                embedded += self._write(batch)
                batch = {}
        return embedded + (self._write(batch) if batch else 0)

    def _write(self, batch: dict[int, tuple[PreparedPassage, ...]]) -> int:
        def record(writer: Writer) -> None:
            for row in self.catalogue.articles.by_row(batch):
                if not self.catalogue.passages.exist(row, self.space.row):
                    writer.passages.add(row, self.space.row, new_passages(batch[row]))

        passages = [passage for prepared in batch.values() for passage in prepared]
        return write(self.catalogue, self.take_lock, lambda: self.preparer, passages, record)
