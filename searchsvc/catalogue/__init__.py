"""The catalogue: the record of everything indexed, one SQLite file from which all else can be rebuilt.

    articles ──< passages >── vectors          changes: 1, 2, 3, … which article came, which went

An article's row and its passages' rows are written once and never reused: an article that changes is removed and
added again under the same id with new rows. A follower (FAISS, tantivy) therefore only needs the changes behind the
last number that it applied. Vectors are kept by what was embedded, so the same text is never embedded twice.
"""

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from searchsvc.catalogue.database import Connection, connect, migrate
from searchsvc.catalogue.records import Counts, Dates, Entry, Found, Rows, from_microseconds, to_microseconds
from searchsvc.catalogue.writing import Writer
from searchsvc.errors import NoIndex
from searchsvc.passages import Passage

__all__ = ["Catalogue", "Counts", "Dates", "Entry", "Found", "Rows", "Writer", "from_microseconds", "to_microseconds"]

ENTRY = "row, id, key, title, text, url, source, author, published, published_from, language"


class Catalogue:
    """One SQLite file in WAL mode; a connection for each thread, any number of readers, one writer."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Open a catalogue, bringing it to this version; raises NoIndex, DamagedCatalogue or ModelMismatch."""
        if not create and not path.is_file():
            raise NoIndex(f"there is no index in {path.parent}", "searchsvc index PATH… makes one")
        self.path = path
        self._threads = threading.local()
        migrate(self._db, create=create)

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._threads, "connection", None)
        if connection is not None:
            connection.close()
            self._threads.connection = None

    # ------------------------------------------------------------------ reading

    def facts(self) -> dict[str, str]:
        """Return what the index was made with, by name."""
        return dict(self._db.execute("SELECT name, value FROM facts"))

    def counts(self) -> Counts:
        """Return how much there is."""
        number, at = self._db.execute("SELECT number, at FROM changes ORDER BY number DESC LIMIT 1").fetchone() or (
            0,
            None,
        )
        return Counts(
            articles=self._one("SELECT count(*) FROM articles"),
            passages=self._one("SELECT count(*) FROM passages"),
            vectors=self._one("SELECT count(*) FROM vectors"),
            generation=number,
            updated=None if at is None else from_microseconds(at),
        )

    def span(self) -> Dates:
        """Return the first and last date of publication, and how many articles have none."""
        sql = "SELECT min(published), max(published), count(*) - count(published) FROM articles"
        low, high, undated = self._db.execute(sql).fetchone()
        oldest, newest = (None if value is None else from_microseconds(value) for value in (low, high))
        return Dates(oldest, newest, undated)

    def sources(self) -> list[tuple[str, int]]:
        """Return the sources with how many articles each has, most first."""
        sql = "SELECT source, count(*) FROM articles WHERE source IS NOT NULL GROUP BY source ORDER BY 2 DESC, 1"
        return [(source, count) for source, count in self._db.execute(sql)]

    def generation(self) -> int:
        """Return the number of the last change; 0 before the first."""
        return self._one("SELECT coalesce(max(number), 0) FROM changes")

    def changed_at(self, number: int) -> datetime | None:
        """Return when a change was made; None when there is no such change."""
        found = self._db.execute("SELECT at FROM changes WHERE number = ?", (number,)).fetchone()
        return None if found is None else from_microseconds(found[0])

    def article(self, ident: str) -> Entry | None:
        """Return the article with this id, or None."""
        found = self._db.execute(f"SELECT {ENTRY} FROM articles WHERE id = ?", (ident,)).fetchone()
        return None if found is None else _entry(found)

    def articles(self, rows: Iterable[int]) -> dict[int, Entry]:
        """Return articles by row; one that has gone is not among them."""
        sql = f"SELECT {ENTRY} FROM articles WHERE row = ?"
        found = (self._db.execute(sql, (row,)).fetchone() for row in rows)
        return {values[0]: _entry(values) for values in found if values is not None}

    def passages(self, rows: Iterable[int]) -> dict[int, Found]:
        """Return passages by row; one that has gone is not among them."""
        sql = "SELECT row, article, start, end, sentences FROM passages WHERE row = ?"
        found = (self._db.execute(sql, (row,)).fetchone() for row in rows)
        return {values[0]: _found(values) for values in found if values is not None}

    def sentence_vectors(self, rows: Iterable[int]) -> dict[int, NDArray[np.int8]]:
        """Return the vectors of passages' sentences, (sentences, width), times 127, by the passage's row."""
        sql = """SELECT p.row, length(p.sentences) / 8, v.sentences FROM passages p
                 JOIN vectors v ON v.digest = p.vector WHERE p.row = ?"""
        found = [values for row in rows if (values := self._db.execute(sql, (row,)).fetchone())]
        return {row: np.frombuffer(blob, np.int8).reshape(count, -1) for row, count, blob in found if count}

    def ids_of(self, name: str) -> list[str]:
        """Return the id that this is, or else the ids of the articles with this key, or else of this source."""
        for column in ("id", "key", "source"):
            if found := self._db.execute(f"SELECT id FROM articles WHERE {column} = ?", (name,)).fetchall():
                return [ident for (ident,) in found]
        return []

    def digests(self, ids: Iterable[str]) -> dict[str, bytes]:
        """Return the digest of each of these articles that exists, by id."""
        sql = "SELECT id, digest FROM articles WHERE id = ?"
        return dict(found for ident in ids if (found := self._db.execute(sql, (ident,)).fetchone()))

    def file(self, path: str) -> tuple[int, int, str] | None:
        """Return (size, modified_ns, cut) of a file that was read to its end, or None."""
        sql = "SELECT size, modified_ns, cut FROM files WHERE path = ? AND size IS NOT NULL"
        found: tuple[int, int, str] | None = self._db.execute(sql, (path,)).fetchone()
        return found

    def file_of(self, ident: str) -> str | None:
        """Return the path of the file that an article came from, or None."""
        sql = "SELECT path FROM files JOIN articles ON articles.file = files.row WHERE articles.id = ?"
        found = self._db.execute(sql, (ident,)).fetchone()
        return None if found is None else str(found[0])

    def ids_from(self, path: str) -> set[str]:
        """Return the ids of the articles that came from a file."""
        sql = "SELECT id FROM articles JOIN files ON articles.file = files.row WHERE path = ?"
        return {ident for (ident,) in self._db.execute(sql, (path,))}

    def has_vectors(self, digests: Collection[bytes]) -> set[bytes]:
        """Return those of the digests whose vector is known."""
        sql = "SELECT 1 FROM vectors WHERE digest = ?"
        return {digest for digest in digests if self._db.execute(sql, (digest,)).fetchone()}

    def changes(self, after: int, upto: int) -> tuple[list[int], list[int]]:
        """Return the rows of articles (added and still there, removed) by the changes in (after, upto]."""
        added: dict[int, None] = {}
        removed: list[int] = []
        sql = "SELECT article, action FROM changes WHERE number > ? AND number <= ? ORDER BY number"
        for article, action in self._db.execute(sql, (after, upto)):
            if action == "added":
                added[article] = None
            else:
                added.pop(article, None)
                removed.append(article)
        return list(added), removed

    def passage_count(self, articles: Iterable[int]) -> int:
        """Return how many passages these articles have."""
        sql = "SELECT count(*) FROM passages WHERE article = ?"
        return sum(self._db.execute(sql, (article,)).fetchone()[0] for article in articles)

    def rows(self, articles: Sequence[int]) -> Rows:
        """Return the passages of articles, given by ascending row, with their vectors."""
        sql = """SELECT p.row, p.article, v.vector FROM passages p JOIN vectors v ON v.digest = p.vector
                 WHERE p.article = ? ORDER BY p.row"""
        found = [values for article in articles for values in self._db.execute(sql, (article,))]
        vectors = np.frombuffer(b"".join(values[2] for values in found), np.float16)
        return Rows(
            np.array([values[0] for values in found], np.int64),
            np.array([values[1] for values in found], np.int64),
            vectors.reshape(len(found), -1 if found else 0),
        )

    def passages_of(self, article: int) -> list[Found]:
        """Return the passages of one article, in order."""
        sql = "SELECT row, article, start, end, sentences FROM passages WHERE article = ? ORDER BY row"
        return [_found(values) for values in self._db.execute(sql, (article,))]

    def check(self) -> list[str]:
        """Return what SQLite finds wrong with the file and with its references; empty when all is well."""
        found = [str(line) for (line,) in self._db.execute("PRAGMA integrity_check") if line != "ok"]
        found += [f"a row of {table} refers to nothing" for table, *_ in self._db.execute("PRAGMA foreign_key_check")]
        return found

    # ------------------------------------------------------------------ writing

    @contextmanager
    def writing(self) -> Iterator["Writer"]:
        """Give a writer; all that it wrote is committed at the end, or nothing is."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            yield Writer(db)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Make all reads within see one and the same state."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("COMMIT")

    # ------------------------------------------------------------------ inside

    @property
    def _db(self) -> Connection:
        connection: Connection | None = getattr(self._threads, "connection", None)
        if connection is None:
            connection = self._threads.connection = connect(self.path)
        return connection

    def _one(self, sql: str) -> int:
        value: int = self._db.execute(sql).fetchone()[0]
        return value


def _entry(values: tuple[object, ...]) -> Entry:
    published = values[8]
    moment = from_microseconds(published) if isinstance(published, int) else None
    return Entry(*values[:8], moment, *values[9:])  # type: ignore[call-arg, arg-type]


def _found(values: tuple[int, int, int, int, bytes]) -> Found:
    row, article, start, end, sentences = values
    pairs = np.frombuffer(sentences, "<i4").reshape(-1, 2).tolist()
    return Found(row, article, Passage(start, end, tuple((a, b) for a, b in pairs)))
