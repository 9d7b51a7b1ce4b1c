"""Mending: what no longer fits its checksum is made again from what still does, or else said by article.

an article ── its file is still there ──► read again        a passage ──► cut again from its article's text
           └── it is not ──► said                           a vector  ──► embedded again from its passage
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from searchsvc.catalogue import Catalogue, EmbeddingSpace, Key, Table
from searchsvc.ingest.indexer import TakeLock
from searchsvc.ingest.prepare import Preparer

TABLES: tuple[Table, ...] = ("articles", "passages", "vectors")
AT_ONCE = 2_000  # rows looked at, or given a checksum, at a time
LACKING = 100  # articles without a passage that are looked for, in case a damaged one was theirs


@dataclass(slots=True)
class Damage:
    """What does not fit its checksum, by key; and how many rows have none yet."""

    rows: dict[Table, list[Key]] = field(default_factory=lambda: {table: [] for table in TABLES})
    without: int = 0

    def __bool__(self) -> bool:
        return any(self.rows.values())


@dataclass(slots=True)
class Repaired:
    """What was done, a sentence an article; `lost` are those, by row, that could not be mended."""

    said: list[str] = field(default_factory=list)
    lost: dict[int, str] = field(default_factory=dict)
    vectors: int = 0


def find_damage(catalogue: Catalogue) -> Damage:
    """Look at all rows of a catalogue."""
    found = Damage()
    for table in TABLES:
        after: Key | None = None
        while True:
            some = catalogue.checksums.check(table, after, AT_ONCE)
            found.rows[table] += some.damaged
            found.without += len(some.without)
            if (after := some.last) is None:
                break
    return found


@dataclass(frozen=True, slots=True)
class Repair:
    """Of one catalogue, in the space that serves; `reread` reads these files again. The model is loaded if needed."""

    catalogue: Catalogue
    space: EmbeddingSpace
    drafter: Callable[[], Preparer]
    turn: TakeLock
    reread: Callable[[Collection[str]], object]

    def run(self, damage: Damage) -> Repaired:
        """Mend what can be."""
        done = Repaired()
        rows = [row for row in damage.rows["articles"] if isinstance(row, int)]
        self._articles(rows, done)
        bad = {row for row in rows if self.catalogue.articles.is_in_force(row)}
        self._passages([row for row in damage.rows["passages"] if isinstance(row, int)], bad, done)
        self._vectors([key for key in damage.rows["vectors"] if isinstance(key, bytes)], bad, done)
        return done

    def fill(self) -> None:
        """Give the rows that have no checksum one, a batch a turn."""
        for table in TABLES:
            after: Key | None = None
            while True:
                some = self.catalogue.checksums.check(table, after, AT_ONCE)
                if some.without:
                    with self.turn(), self.catalogue.writing() as writer:
                        writer.checksums.fill(table, some.without)
                if (after := some.last) is None:
                    break

    def named(self, article: int) -> str:
        """Return how a person knows an article, given by row."""
        entry = self.catalogue.articles.by_row([article]).get(article)
        if entry is None:
            return f"an article that is gone (row {article})"
        file = self.catalogue.files.of_row(article)
        return f"article {entry.id} ({entry.title[:80]!r}, {file or entry.url or entry.key})"

    def _articles(self, rows: Sequence[int], done: Repaired) -> None:
        before = {row: self.named(row) for row in rows}
        files = {row: file for row in rows if (file := self.catalogue.files.of_row(row)) and Path(file).is_file()}
        again = [row for row in files if self.catalogue.articles.is_in_force(row)]
        if again:
            with self.turn(), self.catalogue.writing() as writer:
                for row in again:
                    writer.files.read_again(row)
            self.reread({files[row] for row in again})
        for row, name in before.items():
            if not self.catalogue.articles.is_in_force(row):
                with self.turn(), self.catalogue.writing() as writer:
                    writer.articles.remove_replaced(row)
                how = "it was read again from its file" if row in again else "an earlier text, which was let go of"
                done.said.append(f"{name} was damaged: {how}")
                continue
            seen = self.catalogue.files.state(files[row]) if row in files else None
            if seen is not None and seen.size is not None:  # read to its end, and this is no article of it
                with self.turn(), self.catalogue.writing() as writer:
                    writer.articles.remove_row(row)
                done.said.append(f"{name} was damaged beyond its name: its file was read again")
                continue
            done.lost[row] = f"{name} is damaged and its file is not there: add it again, or take it out"
            done.said.append(done.lost[row])

    def _passages(self, passages: Sequence[int], bad: Collection[int], done: Repaired) -> None:
        if not passages:
            return
        possible = self.catalogue.passages.possible_owners
        owners = {row for passage in passages for row in possible(passage, self.space.row)}
        with self.turn(), self.catalogue.writing() as writer:
            writer.passages.remove(passages)
        owners |= {entry.row for entry in self.catalogue.articles.without_passages(self.space.row, 0, LACKING)}
        for row in sorted(owners - {*bad}):
            drafter, entry = self.drafter(), self.catalogue.articles.by_row([row])[row]
            cut = drafter.again(entry, self.catalogue.boilerplate.in_article(row))
            known = self.catalogue.vectors.known({digest for *_, digest in cut})
            new = drafter.embed([(entry.text, *one) for one in cut], known)
            with self.turn(), self.catalogue.writing() as writer:
                if self.catalogue.articles.is_in_force(row):
                    writer.vectors.add(new.vectors.items(), new.sentences)
                    writer.articles.resplit(row, self.space.row, [(one, digest) for one, _, digest in cut])
            done.said.append(f"{self.named(row)} had damaged passages: it was cut again")
        if not owners:
            done.said.append(f"{len(passages):,} passages of earlier texts were damaged: they were let go of")

    def _vectors(self, digests: Iterable[bytes], bad: Collection[int], done: Repaired) -> None:
        for digest in digests:
            users = [one for one in self.catalogue.passages.with_vector(digest) if one.article not in bad]
            names = sorted({self.named(one.article) for one in users})
            for one in users:
                drafter, entry = self.drafter(), self.catalogue.articles.by_row([one.article])[one.article]
                text, same = drafter.vector_of(entry, one.passage)
                if same == digest:
                    new = drafter.embed([(entry.text, one.passage, text, digest)], ())
                    with self.turn(), self.catalogue.writing() as writer:
                        writer.vectors.replace(new.vectors.items(), new.sentences)
                    done.vectors += 1
                    done.said += [f"{name} had a damaged vector: it was embedded again" for name in names]
                    break
            else:
                done.lost |= {one.article: f"{self.named(one.article)} has a damaged vector" for one in users}
                of = ", ".join(names) or "an earlier text, which search never shows"
                done.said.append(f"a vector is damaged, of {of}; searchsvc rebuild --model embeds it again")
