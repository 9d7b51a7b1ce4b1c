"""The catalogue: the record of everything indexed, one SQLite file from which all else can be rebuilt.

    articles ──< passages >── vectors          changes: 1, 2, 3, … which article came, which went

An article's row and its passages' rows are written once and never reused: an article that changes is removed and
added again under the same id with new rows. A follower (FAISS, tantivy) therefore only needs the changes behind the
last number that it applied. Vectors are kept by what was embedded, so the same text is never embedded twice.
"""

import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from searchsvc.errors import Busy, DamagedCatalogue, ModelMismatch, NoIndex, Unwritable
from searchsvc.passages import Passage

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

# One entry a version; a catalogue of an older version gets the entries that it lacks, each in one transaction.
MIGRATIONS = (
    """
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE files (
        row INTEGER PRIMARY KEY,
        path TEXT NOT NULL UNIQUE,
        size INTEGER,           -- NULL while the file has not been read to its end
        modified_ns INTEGER,
        cut TEXT                -- by which rules its articles were cleaned and cut
    ) STRICT;
    CREATE TABLE articles (
        row INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        key TEXT NOT NULL,
        title TEXT NOT NULL,
        text TEXT NOT NULL,
        url TEXT,
        source TEXT,
        author TEXT,
        published INTEGER,      -- microseconds since 1970, UTC
        published_from TEXT,
        language TEXT,
        digest BLOB NOT NULL,   -- of what the source gave and how it was cut
        file INTEGER REFERENCES files (row)
    ) STRICT;
    CREATE INDEX articles_by_key ON articles (key);
    CREATE INDEX articles_by_source ON articles (source);
    CREATE INDEX articles_by_file ON articles (file);
    CREATE TABLE vectors (
        digest BLOB PRIMARY KEY,    -- of what was embedded
        vector BLOB NOT NULL,       -- float16
        sentences BLOB NOT NULL     -- int8: a short vector for each sentence, times 127
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE passages (
        row INTEGER PRIMARY KEY AUTOINCREMENT,
        article INTEGER NOT NULL REFERENCES articles (row) ON DELETE CASCADE,
        start INTEGER NOT NULL,
        end INTEGER NOT NULL,
        sentences BLOB NOT NULL,    -- int32 pairs: start, end
        vector BLOB NOT NULL REFERENCES vectors (digest)
    ) STRICT;
    CREATE INDEX passages_by_article ON passages (article);
    CREATE TABLE changes (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        article INTEGER NOT NULL,
        action TEXT NOT NULL CHECK (action IN ('added', 'removed')),
        at INTEGER NOT NULL         -- microseconds since 1970, UTC
    ) STRICT;
    """,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """An article as the catalogue holds it: cleaned, and with its own row."""

    row: int
    id: str
    key: str
    title: str
    text: str
    url: str | None
    source: str | None
    author: str | None
    published: datetime | None
    published_from: str | None
    language: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """A passage of the catalogue with the row of its article."""

    row: int
    article: int
    passage: Passage


@dataclass(frozen=True, slots=True)
class Rows:
    """What a follower needs of passages, one element a passage, by ascending row."""

    rows: NDArray[np.int64]
    articles: NDArray[np.int64]
    vectors: NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is, and how far the change log goes."""

    articles: int
    passages: int
    vectors: int
    generation: int
    updated: datetime | None


@dataclass(frozen=True, slots=True)
class Span:
    """The first and last date of publication; `undated` counts the articles without one."""

    oldest: datetime | None
    newest: datetime | None
    undated: int


def to_microseconds(moment: datetime) -> int:
    """Return microseconds since 1970 in UTC."""
    return (moment - EPOCH) // MICROSECOND


def from_microseconds(value: int) -> datetime:
    """Return the aware UTC moment of microseconds since 1970."""
    return EPOCH + value * MICROSECOND


class Catalogue:
    """One SQLite file in WAL mode; a connection for each thread, any number of readers, one writer."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Open a catalogue, bringing it to this version; raises NoIndex, DamagedCatalogue or ModelMismatch."""
        if not create and not path.is_file():
            raise NoIndex(f"there is no index in {path.parent}", "searchsvc index PATH… makes one")
        self.path = path
        self._threads = threading.local()
        self._migrate(create)

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

    def span(self) -> Span:
        """Return the first and last date of publication, and how many articles have none."""
        sql = "SELECT min(published), max(published), count(*) - count(published) FROM articles"
        low, high, undated = self._db.execute(sql).fetchone()
        oldest, newest = (None if value is None else from_microseconds(value) for value in (low, high))
        return Span(oldest, newest, undated)

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

    def data_version(self) -> int:
        """Return a number that changes when another connection has committed; costs microseconds."""
        return self._one("PRAGMA data_version")

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
    def _db(self) -> sqlite3.Connection:
        connection: _Connection | None = getattr(self._threads, "connection", None)
        if connection is None:
            try:
                connection = sqlite3.connect(self.path, isolation_level=None, timeout=30, factory=_Connection)
            except sqlite3.DatabaseError as error:
                raise _named(error, self.path) from error
            connection.path = self.path
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            self._threads.connection = connection
        return connection

    def _one(self, sql: str) -> int:
        value: int = self._db.execute(sql).fetchone()[0]
        return value

    def _migrate(self, create: bool) -> None:
        if self._version() == len(MIGRATIONS):
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            version = self._version()
            if version > len(MIGRATIONS):
                raise ModelMismatch(
                    f"the index in {self.path.parent} was made by a newer searchsvc (catalogue version {version})",
                    "install the newer searchsvc, or name another folder with --index",
                )
            if version == 0 and not create:
                raise DamagedCatalogue(f"the catalogue {self.path} is empty", _way_back(self.path))
            for number, script in enumerate(MIGRATIONS[version:], version + 1):
                for statement in script.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {number}")
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _version(self) -> int:
        return self._one("PRAGMA user_version")


class _Cursor(sqlite3.Cursor):
    """A cursor whose errors have our names: none of SQLite's leaves this module, except for mistakes in it."""

    def execute(self, sql: str, parameters: Any = ()) -> "_Cursor":
        with _naming(self.connection):
            super().execute(sql, parameters)
        return self

    def executemany(self, sql: str, parameters: Iterable[Any]) -> "_Cursor":
        with _naming(self.connection):
            super().executemany(sql, parameters)
        return self

    def __next__(self) -> Any:
        with _naming(self.connection):
            return super().__next__()

    def fetchone(self) -> Any:
        with _naming(self.connection):
            return super().fetchone()

    def fetchall(self) -> list[Any]:
        with _naming(self.connection):
            return super().fetchall()


class _Connection(sqlite3.Connection):
    path: Path

    def execute(self, sql: str, parameters: Any = ()) -> _Cursor:
        return self.cursor(_Cursor).execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any]) -> _Cursor:
        return self.cursor(_Cursor).executemany(sql, parameters)


@contextmanager
def _naming(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _named(error, connection.path) from error  # type: ignore[attr-defined]


def _named(error: sqlite3.DatabaseError, path: Path) -> Exception:
    """Return what an error of SQLite's means to a person; the error itself where it is our own mistake."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return Busy(f"another process holds the catalogue {path}", "try again in a moment")
    if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}:
        return Unwritable(f"the catalogue {path} cannot be written: {error}", "make room, or see who owns the folder")
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return DamagedCatalogue(f"the catalogue {path} is damaged: {error}", _way_back(path))
    return error


def _way_back(path: Path) -> str:
    return f"put a copy of {path.name} back in its place, or delete {path.parent} and index the sources again"


class Writer:
    """What can be written to a catalogue within one transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._at = to_microseconds(datetime.now(UTC))

    def set_facts(self, facts: dict[str, str]) -> None:
        """Record what the index is made with."""
        self._db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())

    def begin_file(self, path: str) -> int:
        """Record a file whose articles are being added; return its row."""
        sql = """INSERT INTO files (path) VALUES (?)
                 ON CONFLICT (path) DO UPDATE SET size = NULL RETURNING row"""
        row: int = self._db.execute(sql, (path,)).fetchone()[0]
        return row

    def end_file(self, path: str, size: int, modified_ns: int, cut: str) -> None:
        """Record that a file was read to its end, as it was when that began, and by which rules it was cut."""
        sql = """INSERT INTO files (path, size, modified_ns, cut) VALUES (?, ?, ?, ?) ON CONFLICT (path) DO UPDATE
                 SET size = excluded.size, modified_ns = excluded.modified_ns, cut = excluded.cut"""
        self._db.execute(sql, (path, size, modified_ns, cut))

    def add_vectors(
        self,
        vectors: Iterable[tuple[bytes, NDArray[np.float16]]],
        sentences: Mapping[bytes, NDArray[np.int8]] = MappingProxyType({}),
    ) -> None:
        """Keep vectors, and those of the sentences within, by the digest of what was embedded."""
        none = np.empty(0, np.int8)
        rows = (
            (digest, vector.astype("<f2").tobytes(), sentences.get(digest, none).tobytes())
            for digest, vector in vectors
        )
        self._db.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?, ?)", rows)

    def put(self, entry: Entry, digest: bytes, file: int | None, passages: Sequence[tuple[Passage, bytes]]) -> bool:
        """Add an article (its `row` is ignored), with its passages and their vectors' digests.

        An article with the same id goes; return whether there was one.
        """
        replaced = self.remove(entry.id)
        published = None if entry.published is None else to_microseconds(entry.published)
        cursor = self._db.execute(
            """INSERT INTO articles (id, key, title, text, url, source, author, published, published_from, language,
                                     digest, file) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            (entry.id, entry.key, entry.title, entry.text, entry.url, entry.source, entry.author, published,
             entry.published_from, entry.language, digest, file),
        )  # fmt: skip
        article = cursor.lastrowid
        self._db.executemany(
            "INSERT INTO passages (article, start, end, sentences, vector) VALUES (?, ?, ?, ?, ?)",
            ((article, p.start, p.end, np.array(p.sentences, "<i4").tobytes(), vector) for p, vector in passages),
        )
        self._log(article, "added")
        return replaced

    def remove(self, ident: str) -> bool:
        """Take an article out; return whether it was there."""
        found = self._db.execute("DELETE FROM articles WHERE id = ? RETURNING row", (ident,)).fetchone()
        if found:
            self._log(found[0], "removed")
        return found is not None

    def _log(self, article: int | None, action: str) -> None:
        self._db.execute("INSERT INTO changes (article, action, at) VALUES (?, ?, ?)", (article, action, self._at))


ENTRY = "row, id, key, title, text, url, source, author, published, published_from, language"


def _entry(values: tuple[object, ...]) -> Entry:
    published = values[8]
    moment = from_microseconds(published) if isinstance(published, int) else None
    return Entry(*values[:8], moment, *values[9:])  # type: ignore[call-arg, arg-type]


def _found(values: tuple[int, int, int, int, bytes]) -> Found:
    row, article, start, end, sentences = values
    pairs = np.frombuffer(sentences, "<i4").reshape(-1, 2).tolist()
    return Found(row, article, Passage(start, end, tuple((a, b) for a, b in pairs)))
