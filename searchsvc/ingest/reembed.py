"""A move: everything is cut and embedded anew in another space, beside the one that serves until it is complete.

    articles ── again ── embed ──► passages of the new space ── engine made ──► one transaction: the new space serves

Each batch is committed by itself, so an interrupted move goes on where it ended, and other writers have their turns in
between; what they change is moved too before the new space takes over.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from searchsvc.catalogue import Catalogue, EmbeddingSpace
from searchsvc.ingest.indexer import BATCH, Progress, Report, TakeLock
from searchsvc.ingest.prepare import Preparer
from searchsvc.text.article import Article

AT_ONCE = 200  # articles read at a time
PATIENCE = 3  # engines made while others write, before they have to wait


@dataclass(frozen=True, slots=True)
class Reembed:
    """From the space that serves to `space`; `make_engine` is called once all is embedded, before the swap."""

    catalogue: Catalogue
    space: EmbeddingSpace
    drafter: Preparer
    turn: TakeLock
    make_engine: Callable[[], None]

    def run(self, progress: Progress) -> None:
        """Move; `progress` hears of articles."""
        report = Report(unit="article")
        done, total = 0, self.catalogue.counts().articles
        for attempt in itertools.count(1):
            last = 0
            while entries := self._next(last):
                report.embedded += self._add(entries)
                report.passages = report.embedded
                done += len(entries)
                progress(report, done, max(done, total))
                last = entries[-1].row
            made_at = self.catalogue.changes.last()
            self.make_engine()
            with self.turn():
                # What others put in meanwhile takes another round; where they never stop, they wait for the last one.
                if self._is_complete() and (made_at == self.catalogue.changes.last() or attempt >= PATIENCE):
                    if made_at != self.catalogue.changes.last():
                        self.make_engine()
                    with self.catalogue.writing() as writer:
                        writer.spaces.serve(self.space.row)
                    return

    def _is_complete(self) -> bool:
        last = 0
        while entries := self._next(last):
            if any(self.drafter.again(entry, ()) for entry in entries):
                return False
            last = entries[-1].row
        return True

    def _next(self, after: int) -> list[Article]:
        return self.catalogue.articles.without_passages(self.space.row, after, AT_ONCE)

    def _add(self, entries: list[Article]) -> int:
        """Embed and record passages of some articles; return how many were embedded."""
        embedded = 0
        held = []
        count = 0
        for number, entry in enumerate(entries, 1):
            held.append((entry, self.drafter.again(entry, self.catalogue.boilerplate.in_article(entry.row))))
            count += len(held[-1][1])
            if count < BATCH and number < len(entries):
                continue
            passages = [(entry.text, *passage) for entry, cut in held for passage in cut]
            known = self.catalogue.vectors.known({digest for *_, digest in passages})
            new = [self.drafter.embed(passages, known)]
            with self.turn(), self.catalogue.writing() as writer:
                if lost := known - self.catalogue.vectors.known(known):  # let go of meanwhile
                    new.append(self.drafter.embed([one for one in passages if one[-1] in lost], ()))
                for some in new:
                    writer.vectors.add(some.vectors.items(), some.sentences)
                there = self.catalogue.articles.by_row(entry.row for entry, _ in held)
                for row, cut in ((entry.row, cut) for entry, cut in held if entry.row in there):
                    if not self.catalogue.passages.exist(row, self.space.row):
                        writer.passages.add(row, self.space.row, [(one, digest) for one, _, digest in cut])
            embedded += sum(len(some.vectors) for some in new)
            held, count = [], 0
        return embedded
