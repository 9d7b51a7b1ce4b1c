"""The database: SQLite's file, its tables from the first version on, and its errors under our names."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from searchsvc.errors import Busy, DamagedCatalogue, ModelMismatch, Unwritable

PATIENCE = 30  # seconds that a connection waits for another to finish writing

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


def connect(path: Path) -> "Connection":
    """Open a catalogue's file, for one thread."""
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=PATIENCE, factory=Connection)
    except sqlite3.DatabaseError as error:
        raise _named(error, path) from error
    connection.path = path
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def migrate(db: "Connection", *, create: bool) -> None:
    """Bring a catalogue to this version in one transaction; raises ModelMismatch or DamagedCatalogue."""
    if _version(db) == len(MIGRATIONS):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        version = _version(db)
        if version > len(MIGRATIONS):
            raise ModelMismatch(
                f"the index in {db.path.parent} was made by a newer searchsvc (catalogue version {version})",
                "install the newer searchsvc, or name another folder with --index",
            )
        if version == 0 and not create:
            raise DamagedCatalogue(f"the catalogue {db.path} is empty", _way_back(db.path))
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            for statement in script.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _version(db: "Connection") -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version


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


class Connection(sqlite3.Connection):
    """A connection to one catalogue; `path` is its file."""

    path: Path

    def execute(self, sql: str, parameters: Any = ()) -> _Cursor:
        """Run one statement."""
        return self.cursor(_Cursor).execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any]) -> _Cursor:
        """Run one statement for each of these parameters."""
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
