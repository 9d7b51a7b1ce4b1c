"""Splitting again: when other blocks are boilerplate than before, the passages of the articles that hold these follow.

    articles to be split again ── split ── embed what is new ──► their passages, a batch at a time

Which articles these are is recorded in the transaction that made it so, and until they have been split again: whatever
interrupts the work, the next run goes on where this one ended.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from searchsvc.catalogue import Catalogue, EmbeddingSpace, Writer
from searchsvc.ingest.prepare import PreparedPassage, Preparer, Unprepared, new_passages
from searchsvc.ingest.report import Report
from searchsvc.ingest.write import TakeLock, write
from searchsvc.text.article import Article
from searchsvc.text.boilerplate import blocks_in

AT_ONCE = 200  # articles

_log = logging.getLogger("searchsvc")


@dataclass(frozen=True, slots=True)
class Resplit:
    """Of articles of one catalogue, in the space that serves; the model is loaded only where there are any."""

    catalogue: Catalogue
    space: EmbeddingSpace
    preparer: Callable[[], Preparer]
    take_lock: TakeLock

    def run(self) -> Report:
        """Split until all is done; where another space has taken over, the next run does what is left."""
        report = Report(unit="article")
        boilerplate = self.catalogue.boilerplate
        while articles := boilerplate.to_count(AT_ONCE):
            self._count(articles)
        while (articles := boilerplate.to_resplit(AT_ONCE)) and self._is_serving():
            report.embedded += self._resplit(articles)
        return report

    def _is_serving(self) -> bool:
        return self.catalogue.spaces.get() == self.space

    def _count(self, articles: list[Article]) -> None:
        blocks = {a.row: blocks_in(a.source, a.title, a.text, a.origin) for a in articles}
        with self.take_lock(), self.catalogue.writing() as writer:
            for row in self.catalogue.articles.by_row(blocks):
                writer.boilerplate.count(row, blocks[row])

    def _resplit(self, articles: list[Article]) -> int:
        """Split some articles; return how many passages were embedded."""
        boilerplate, preparer = self.catalogue.boilerplate, self.preparer()
        left_out = {article.row: boilerplate.in_article(article.row) for article in articles}
        after = {article.row: _split(preparer, article, left_out[article.row]) for article in articles}
        changed = {row for row, passages in after.items() if passages is not None and self._differs(row, passages)}

        def record(writer: Writer) -> None:
            reembedding = self.catalogue.spaces.get("making") is not None  # whose passages may be of one in between
            for row, passages in after.items():
                if not boilerplate.is_to_resplit(row) or boilerplate.in_article(row) != left_out[row]:
                    continue  # another process was quicker, or other blocks are boilerplate by now
                if passages is not None and (row in changed or reembedding):
                    writer.articles.resplit(row, self.space.row, new_passages(passages))
                else:
                    writer.boilerplate.resplit_done(row)

        passages = [passage for row in after if row in changed for passage in after[row] or ()]
        return write(self.catalogue, self.take_lock, lambda: preparer, passages, record, may_commit=self._is_serving)

    def _differs(self, row: int, passages: tuple[PreparedPassage, ...]) -> bool:
        before = self.catalogue.passages.of_article(row, self.space.row)
        return [prepared.passage for prepared in passages] != [stored.passage for stored in before]


def _split(preparer: Preparer, article: Article, left_out: frozenset[int]) -> tuple[PreparedPassage, ...] | None:
    try:
        return preparer.split(article, left_out)
    except Unprepared:
        # Else it would be tried again and again, and no other article be split.
        _log.exception("article %s cannot be split again, and keeps its passages", article.id)
        return None
