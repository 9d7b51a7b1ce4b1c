"""A recut: when other blocks are junk than before, the passages of the articles that hold these follow.

    articles that are outdated ── cut again ── embed what is new ──► their passages, a batch a turn

What is outdated is recorded in the transaction that made it so, and until it has been cut again: whatever interrupts
the work, the next run goes on where this one ended.
"""

from collections.abc import Callable
from dataclasses import dataclass

from searchsvc.catalogue import Catalogue, EmbeddingSpace
from searchsvc.ingest.indexer import Report, TakeLock
from searchsvc.ingest.prepare import Preparer
from searchsvc.text.article import Article
from searchsvc.text.boilerplate import blocks_in

AT_ONCE = 200  # articles


@dataclass(frozen=True, slots=True)
class Resplit:
    """Of the articles of one catalogue, in the space that serves; the model is not loaded where nothing is outdated."""

    catalogue: Catalogue
    space: EmbeddingSpace
    drafter: Callable[[], Preparer]
    turn: TakeLock

    def run(self) -> Report:
        """Recut until nothing is outdated; where another space has taken over, the next run does what is left."""
        report = Report(unit="article")
        while entries := self.catalogue.boilerplate.to_count(AT_ONCE):
            self._count(entries)
        while (entries := self.catalogue.boilerplate.to_resplit(AT_ONCE)) and self.catalogue.spaces.get() == self.space:
            report.embedded += self._cut(entries)
        return report

    def _count(self, entries: list[Article]) -> None:
        counted = [(entry.row, blocks_in(entry.source, entry.title, entry.text, entry.origin)) for entry in entries]
        with self.turn(), self.catalogue.writing() as writer:
            there = self.catalogue.articles.by_row(row for row, _ in counted)
            for row, blocks in counted:
                if row in there:
                    writer.boilerplate.count(row, blocks)

    def _cut(self, entries: list[Article]) -> int:
        """Recut some articles; return how many passages were embedded."""
        drafter = self.drafter()
        junk = {entry.row: self.catalogue.boilerplate.in_article(entry.row) for entry in entries}
        cuts = {entry.row: drafter.again(entry, junk[entry.row]) for entry in entries}
        before = {row: [one.passage for one in self.catalogue.passages.of_article(row, self.space.row)] for row in cuts}
        other = {row for row, cut in cuts.items() if [one for one, *_ in cut] != before[row]}
        passages = [(entry.text, *one) for entry in entries if entry.row in other for one in cuts[entry.row]]
        known = self.catalogue.vectors.known({digest for *_, digest in passages})
        new = [drafter.embed(passages, known)]
        with self.turn():
            if self.catalogue.spaces.get() != self.space:
                return 0
            if lost := known - self.catalogue.vectors.known(known):  # let go of meanwhile
                new.append(drafter.embed([one for one in passages if one[-1] in lost], ()))
            moving = self.catalogue.spaces.get("making") is not None  # whose passages may be of a cut in between
            with self.catalogue.writing() as writer:
                for some in new:
                    writer.vectors.add(some.vectors.items(), some.sentences)
                for row, cut in cuts.items():
                    if (
                        not self.catalogue.boilerplate.is_to_resplit(row)
                        or self.catalogue.boilerplate.in_article(row) != junk[row]
                    ):
                        continue  # another process was quicker, or other blocks are junk by now
                    if row in other or moving:
                        writer.articles.resplit(row, self.space.row, [(one, digest) for one, _, digest in cut])
                    else:
                        writer.boilerplate.resplit_done(row)
        return sum(len(some.vectors) for some in new)
