"""Repair: what no longer fits its checksum is made again from what still does, or else reported by article.

an article ──► read again from its file, where that is there; else reported
a passage ──► split again from its article's text
a vector ──► embedded again from its passage
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from searchsvc.catalogue import Catalogue, EmbeddingSpace, Key, StoredPassage, Table, Writer
from searchsvc.catalogue.checksums import CheckedRows
from searchsvc.ingest.prepare import PreparedPassage, Preparer, Unprepared, new_passages
from searchsvc.ingest.write import TakeLock, write

TABLES: tuple[Table, ...] = ("articles", "passages", "vectors")
AT_ONCE = 2_000  # rows checked, or given a checksum, at a time
WITHOUT_PASSAGES = 100  # articles without a passage that are looked at, in case a damaged one was theirs


@dataclass(slots=True)
class Damage:
    """What does not fit its checksum, by key; and how many rows have none yet."""

    rows: dict[Table, list[Key]] = field(default_factory=lambda: {table: [] for table in TABLES})
    without: int = 0

    def __bool__(self) -> bool:
        return any(self.rows.values())


@dataclass(slots=True)
class Repaired:
    """What was done, a sentence an article; `lost` are those, by row, that could not be repaired."""

    messages: list[str] = field(default_factory=list)
    lost: dict[int, str] = field(default_factory=dict)
    vectors: int = 0


def find_damage(catalogue: Catalogue) -> Damage:
    """Check all rows of a catalogue."""
    damage = Damage()
    for table, checked in _check_all(catalogue):
        damage.rows[table] += checked.damaged
        damage.without += len(checked.without)
    return damage


def _check_all(catalogue: Catalogue) -> Iterator[tuple[Table, CheckedRows]]:
    for table in TABLES:
        after: Key | None = None
        while True:
            checked = catalogue.checksums.check(table, after, AT_ONCE)
            yield table, checked
            if (after := checked.last) is None:
                break


@dataclass(frozen=True, slots=True)
class Repair:
    """Of one catalogue, in the space that serves; `reread` reads these files again. The model is loaded if needed."""

    catalogue: Catalogue
    space: EmbeddingSpace
    preparer: Callable[[], Preparer]
    take_lock: TakeLock
    reread: Callable[[Collection[str]], object]

    def run(self, damage: Damage) -> Repaired:
        """Repair what can be."""
        done = Repaired()
        rows = [row for row in damage.rows["articles"] if isinstance(row, int)]
        self._articles(rows, done)
        bad = {row for row in rows if self.catalogue.articles.is_in_force(row)}
        self._passages([row for row in damage.rows["passages"] if isinstance(row, int)], bad, done)
        for digest in damage.rows["vectors"]:
            if isinstance(digest, bytes):
                self._vector(digest, bad, done)
        return done

    def fill(self) -> None:
        """Give the rows that have no checksum one, a batch at a time."""
        for table, checked in _check_all(self.catalogue):
            if checked.without:
                self._commit(lambda writer, table=table, keys=checked.without: writer.checksums.fill(table, keys))  # type: ignore[misc]

    def named(self, row: int) -> str:
        """Return how a person knows an article, given by row."""
        article = self.catalogue.articles.by_row([row]).get(row)
        if article is None:
            return f"an article that is gone (row {row})"
        file = self.catalogue.files.of_row(row)
        return f"article {article.id} ({article.title[:80]!r}, {file or article.url or article.key})"

    def _commit(self, record: Callable[[Writer], object]) -> None:
        with self.take_lock(), self.catalogue.writing() as writer:
            record(writer)

    def _articles(self, rows: Sequence[int], done: Repaired) -> None:
        articles = self.catalogue.articles
        names = {row: self.named(row) for row in rows}
        paths = {row: self.catalogue.files.of_row(row) for row in rows}
        files = {row: path for row, path in paths.items() if path and Path(path).is_file()}
        again = [row for row in files if articles.is_in_force(row)]
        if again:
            with self.take_lock(), self.catalogue.writing() as writer:
                for row in again:
                    writer.files.read_again(row)
            self.reread({files[row] for row in again})
        for row, name in names.items():
            state = self.catalogue.files.state(files[row]) if row in files else None
            if not articles.is_in_force(row):
                self._commit(lambda writer, row=row: writer.articles.remove_replaced(row))  # type: ignore[misc]
                how = "it was read again from its file" if row in again else "an earlier text, which was let go of"
                done.messages.append(f"{name} was damaged: {how}")
            elif state is not None and state.size is not None:  # read to its end, and this is no article of it
                self._commit(lambda writer, row=row: writer.articles.remove_row(row))  # type: ignore[misc]
                done.messages.append(f"{name} was damaged beyond its name: its file was read again")
            else:
                done.lost[row] = f"{name} is damaged and its file is not there: add it again, or take it out"
                done.messages.append(done.lost[row])

    def _passages(self, passages: Sequence[int], bad: Collection[int], done: Repaired) -> None:
        if not passages:
            return
        catalogue, space = self.catalogue, self.space.row
        owners = {row for passage in passages for row in catalogue.passages.possible_owners(passage, space)}
        self._commit(lambda writer: writer.passages.remove(passages))
        owners |= {article.row for article in catalogue.articles.without_passages(space, 0, WITHOUT_PASSAGES)}
        for row in sorted(owners - {*bad}):
            article = catalogue.articles.by_row([row])[row]
            try:
                prepared = self.preparer().split(article, catalogue.boilerplate.in_article(row))
            except Unprepared as fault:
                done.lost[row] = f"{self.named(row)} has damaged passages, and cannot be split again ({fault})"
                done.messages.append(done.lost[row])
                continue
            self._resplit(row, prepared)
            done.messages.append(f"{self.named(row)} had damaged passages: it was split again")
        if not owners:
            done.messages.append(f"{len(passages):,} passages of earlier texts were damaged: they were let go of")

    def _resplit(self, row: int, passages: Sequence[PreparedPassage]) -> None:
        is_in_force = lambda: self.catalogue.articles.is_in_force(row)  # noqa: E731
        record = lambda writer: writer.articles.resplit(row, self.space.row, new_passages(passages))  # noqa: E731

        write(self.catalogue, self.take_lock, self.preparer, passages, record, may_commit=is_in_force)

    def _vector(self, digest: bytes, bad: Collection[int], done: Repaired) -> None:
        users = [stored for stored in self.catalogue.passages.with_vector(digest) if stored.article not in bad]
        names = sorted({self.named(stored.article) for stored in users})
        if (passage := self._passage_of(digest, users)) is not None:
            write(self.catalogue, self.take_lock, self.preparer, [passage], lambda _: None, replace=True)
            done.vectors += 1
            done.messages += [f"{name} had a damaged vector: it was embedded again" for name in names]
            return
        done.lost |= {stored.article: f"{self.named(stored.article)} has a damaged vector" for stored in users}
        of = ", ".join(names) or "an earlier text, which search never shows"
        done.messages.append(f"a vector is damaged, of {of}; searchsvc rebuild --model embeds it again")

    def _passage_of(self, digest: bytes, users: Iterable[StoredPassage]) -> PreparedPassage | None:
        """Return the first of these passages whose text, by the model that serves, has this digest."""
        for stored in users:
            article = self.catalogue.articles.by_row([stored.article])[stored.article]
            prepared = self.preparer().prepared(article, stored.passage)
            if prepared.digest == digest:
                return prepared
        return None
