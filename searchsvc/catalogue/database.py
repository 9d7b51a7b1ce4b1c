"""The database: SQLite's file, its tables from the first version on, and its errors under our names."""

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from searchsvc.catalogue.checksums import checksum
from searchsvc.catalogue.origins import ORIGINS, attribute
from searchsvc.errors import Busy, DamagedCatalogue, ModelMismatch, Unwritable

LOG_BYTES = 32_000_000  # of the write-ahead log, beyond which it is cut once it is in the file
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
    # An article may have several rows, of which one is in force; passages belong to a space; files are known better.
    """
    CREATE TABLE spaces (
        row INTEGER PRIMARY KEY AUTOINCREMENT,
        model TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        dimension INTEGER NOT NULL,
        passage_tokens INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('making', 'serving', 'ended')),
        at INTEGER NOT NULL         -- when that state began
    ) STRICT;
    CREATE UNIQUE INDEX spaces_by_state ON spaces (state) WHERE state <> 'ended';
    INSERT INTO spaces SELECT 1, m.value, f.value, CAST(d.value AS INTEGER), CAST(t.value AS INTEGER), 'serving', 0
        FROM facts m, facts f, facts d, facts t
        WHERE m.name = 'model' AND f.name = 'fingerprint' AND d.name = 'dimension' AND t.name = 'passage_tokens';
    DELETE FROM facts;
    INSERT INTO facts VALUES ('lineage', hex(randomblob(8)));

    CREATE TABLE renewed (
        row INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL,
        key TEXT NOT NULL,
        title TEXT NOT NULL,
        url TEXT,
        source TEXT,
        author TEXT,
        published INTEGER,      -- microseconds since 1970, UTC
        published_from TEXT,
        language TEXT,
        version INTEGER NOT NULL,
        since INTEGER NOT NULL, -- when this version was recorded
        until INTEGER,          -- when another row took its place; NULL in the one that is in force
        digest BLOB NOT NULL,   -- of what the source gave and how it was cut
        given BLOB,             -- of the title and text that the source gave: others make another version
        file INTEGER REFERENCES files (row),
        text TEXT NOT NULL      -- last, so that the others are read without it
    ) STRICT;
    INSERT INTO renewed SELECT a.row, a.id, a.key, a.title, a.url, a.source, a.author, a.published,
        a.published_from, a.language, 1, coalesce(c.at, 0), NULL, a.digest, NULL, a.file, a.text
        FROM articles a LEFT JOIN changes c ON c.article = a.row AND c.action = 'added';
    DELETE FROM sqlite_sequence WHERE name = 'renewed';
    INSERT INTO sqlite_sequence SELECT 'renewed', seq FROM sqlite_sequence WHERE name = 'articles';
    DROP TABLE articles;
    ALTER TABLE renewed RENAME TO articles;
    CREATE UNIQUE INDEX articles_by_id ON articles (id) WHERE until IS NULL;
    CREATE INDEX articles_by_key ON articles (key) WHERE until IS NULL;
    CREATE INDEX articles_by_source ON articles (source) WHERE until IS NULL;
    CREATE INDEX articles_by_file ON articles (file);
    CREATE INDEX articles_by_date ON articles (published) WHERE until IS NULL;
    CREATE INDEX articles_by_version ON articles (id, version);
    CREATE INDEX articles_until ON articles (until) WHERE until IS NOT NULL;
    CREATE VIEW newest AS SELECT * FROM articles WHERE until IS NULL;

    ALTER TABLE passages ADD COLUMN space INTEGER NOT NULL DEFAULT 1 REFERENCES spaces (row);
    DROP INDEX passages_by_article;
    CREATE INDEX passages_by_article ON passages (article, space);
    CREATE INDEX passages_by_vector ON passages (vector);
    CREATE TABLE unused (           -- vectors that lost a passage, and may be needed by none now
        digest BLOB PRIMARY KEY,
        since INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    INSERT INTO unused SELECT digest, 0 FROM vectors WHERE digest NOT IN (SELECT vector FROM passages);

    ALTER TABLE files ADD COLUMN key TEXT;              -- what its articles' keys are made of
    ALTER TABLE files ADD COLUMN changed_ns INTEGER;    -- its inode's change time, then the clock when reading began
    ALTER TABLE files ADD COLUMN seen_ns INTEGER;
    ALTER TABLE files ADD COLUMN digest BLOB;           -- of its bytes
    ALTER TABLE files ADD COLUMN problems TEXT;         -- JSON: what in it could not be indexed, and why

    CREATE TABLE claims (           -- which files hold an article; `articles.file` is the one whose text is in force
        file INTEGER NOT NULL REFERENCES files (row) ON DELETE CASCADE,
        id TEXT NOT NULL,
        PRIMARY KEY (file, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX claims_by_id ON claims (id);
    INSERT INTO claims SELECT file, id FROM articles WHERE file IS NOT NULL;

    CREATE TABLE feeds (
        row INTEGER PRIMARY KEY,
        url TEXT NOT NULL UNIQUE,
        etag TEXT,
        modified TEXT,
        failures INTEGER NOT NULL,
        next INTEGER                -- not to be asked before; microseconds since 1970, UTC
    ) STRICT;
    CREATE TABLE entries (
        feed INTEGER NOT NULL REFERENCES feeds (row) ON DELETE CASCADE,
        key TEXT NOT NULL,
        digest BLOB NOT NULL,       -- of the entry as it was last seen
        PRIMARY KEY (feed, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        began INTEGER NOT NULL,
        ended INTEGER,
        said TEXT NOT NULL          -- JSON: the report, or what went wrong
    ) STRICT, WITHOUT ROWID;
    """,
    # Blocks that recur are counted, and left out of passages; copies of one story are found.
    """
    CREATE TABLE blocks (           -- which articles in force hold a block; see `junk.Held`
        number INTEGER NOT NULL,
        sketch INTEGER NOT NULL,
        article INTEGER NOT NULL REFERENCES articles (row) ON DELETE CASCADE,
        told INTEGER NOT NULL,
        PRIMARY KEY (number, sketch, article)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX blocks_by_article ON blocks (article);
    CREATE TABLE junk (number INTEGER PRIMARY KEY) STRICT;  -- the blocks that are
    CREATE TABLE outdated (         -- articles in force whose passages do not follow from what is junk now
        article INTEGER PRIMARY KEY REFERENCES articles (row) ON DELETE CASCADE
    ) STRICT;
    CREATE TABLE uncounted (        -- articles in force whose blocks were never counted
        article INTEGER PRIMARY KEY REFERENCES articles (row) ON DELETE CASCADE
    ) STRICT;
    INSERT INTO uncounted SELECT row FROM articles WHERE until IS NULL;

    CREATE TABLE unfolded (         -- articles in force whose copies have not been looked for
        article INTEGER PRIMARY KEY REFERENCES articles (row) ON DELETE CASCADE
    ) STRICT;
    INSERT INTO unfolded SELECT row FROM articles WHERE until IS NULL;
    CREATE TABLE bands (            -- what articles in force that may be copies have in common; see `stories.bands`
        band INTEGER NOT NULL,
        article INTEGER NOT NULL REFERENCES articles (row) ON DELETE CASCADE,
        PRIMARY KEY (band, article)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX bands_by_article ON bands (article);
    CREATE TABLE stories (          -- articles in force that have copies; a story has the row that one of them had
        article INTEGER PRIMARY KEY REFERENCES articles (row) ON DELETE CASCADE,
        story INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX stories_by_story ON stories (story);
    """,
    ORIGINS,
    # No field is longer than an answer has room for (see `readers/fields.py`), and no file has endless problems: one
    # that had is read again.
    """
    UPDATE articles SET author = substr(author, 1, 1000) WHERE length(author) > 1000;
    UPDATE articles SET source = substr(source, 1, 300) WHERE length(source) > 300;
    UPDATE articles SET key = substr(key, 1, 5000) WHERE length(key) > 5000;
    UPDATE articles SET url = NULL WHERE length(url) > 2000;
    UPDATE files SET problems = NULL, size = NULL WHERE length(problems) > 500000;
    """,
    # The server that gave a feed's etag is the only one that is told it; which one gave those before is not known.
    """
    ALTER TABLE feeds ADD COLUMN given_by TEXT;
    UPDATE feeds SET etag = NULL, modified = NULL;
    """,
    # What is failing is on record, and which process runs a job.
    """
    CREATE TABLE parts (            -- parts of running processes that are failing; see `health`
        owner TEXT NOT NULL,        -- the process's name; see `locking.Presence`
        name TEXT NOT NULL,
        failures INTEGER NOT NULL,  -- in a row
        message TEXT NOT NULL,
        since INTEGER NOT NULL,     -- microseconds since 1970, UTC, as is
        next INTEGER NOT NULL,      -- when it is tried again
        PRIMARY KEY (owner, name)
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE jobs ADD COLUMN owner TEXT;
    """,
    # Each row of what matters carries a checksum (see `checksums`); NULL until an older row is looked at.
    """
    ALTER TABLE articles ADD COLUMN checksum INTEGER;
    ALTER TABLE passages ADD COLUMN checksum INTEGER;
    ALTER TABLE vectors ADD COLUMN checksum INTEGER;
    CREATE TABLE damaged (          -- articles that could not be mended
        article INTEGER PRIMARY KEY REFERENCES articles (row) ON DELETE CASCADE,
        said TEXT NOT NULL          -- what is wrong, and what to do
    ) STRICT;
    """,
)
SIDES = ("wal", "shm", "journal")  # what SQLite keeps beside a file
APPLICATION = 0x5EA7C45C  # in the file's header: this is a catalogue of searchsvc


Identity = tuple[tuple[int, int] | None, tuple[int, int] | None]


def connect(path: Path, journal: str = "WAL", *, create: bool = False) -> "Connection":
    """Open a catalogue's file, for one thread; where there is none, only with `create` is one made."""
    if not create and path.is_file() and path.stat().st_size == 0:  # which SQLite would take for a new one
        raise DamagedCatalogue(f"the catalogue {path} is empty", _way_back(path))
    fixed = _how_fixed(path)
    place = f"{path.resolve().as_uri()}?mode={fixed or ('rwc' if create else 'rw')}"
    try:
        connection = sqlite3.connect(place, isolation_level=None, timeout=PATIENCE, factory=Connection, uri=True)
    except sqlite3.DatabaseError as error:
        raise _named(error, path) from error
    connection.path = path
    try:
        _prepare(connection, journal, fixed)
    except BaseException:
        connection.close()  # else it keeps SQLite's locks and log of this file until it is collected
        raise
    return connection


def _prepare(connection: "Connection", journal: str, fixed: str | None) -> None:
    connection.text_factory = _text
    connection.create_function("row_checksum", -1, checksum, deterministic=True)
    if fixed:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # of nothing: it keeps SQLite from making a -shm file
        return
    limit = f"journal_size_limit = {LOG_BYTES}"
    for pragma in (
        f"journal_mode = {journal}",
        "synchronous = FULL",
        "foreign_keys = ON",
        "trusted_schema = OFF",
        limit,
    ):
        connection.execute(f"PRAGMA {pragma}")


def _text(data: bytes) -> str:
    """Return a text as it is recorded; one that a flipped bit has made no UTF-8 stops nobody who reads it."""
    return data.decode(errors="replace")


def identity(path: Path) -> Identity:
    """Return device and inode of a catalogue's file and of its write-ahead log; None for one that is not there.

    A file that was emptied is not there. Whoever has both open may go on writing to them when they are deleted or moved
    away, and nobody will find it.
    """
    return _identity(os.fspath(path), least=1), _identity(f"{os.fspath(path)}-wal", least=0)


def _identity(path: str, least: int) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  every read comes through here, and a Path costs as much again
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_size >= least else None


def _how_fixed(path: Path) -> str | None:
    """Return how to open a catalogue where nothing can be written; None where SQLite can do as it always does.

    It can, even there, where the file lies by which those who use a log agree (-shm). Without one, nobody does.
    """
    if not path.is_file() or os.access(path.parent, os.W_OK):
        return None
    log, agreed = (path.with_name(f"{path.name}-{end}") for end in ("wal", "shm"))
    if not (log.exists() and log.stat().st_size):
        return "ro&immutable=1"
    return None if agreed.exists() else "ro&vfs=unix-none"


def make(path: Path) -> None:
    """Make a catalogue of this version that holds nothing, whole or not at all: nobody ever finds a part of one."""
    part = path.with_name(f".{path.name}.part")
    # What lies there is of one who was killed, or of a catalogue that was deleted: SQLite would take it for this one's.
    for file in (part, *(one.with_name(f"{one.name}-{end}") for one in (part, path) for end in SIDES)):
        file.unlink(missing_ok=True)
    db = connect(part, journal="DELETE", create=True)
    try:
        migrate(db, create=True)
        db.execute("PRAGMA journal_mode = WAL")
    finally:
        db.close()
    part.replace(path)


def migrate(db: "Connection", *, create: bool) -> None:
    """Bring a catalogue to this version in one transaction; raises ModelMismatch or DamagedCatalogue."""
    if _version(db) == len(MIGRATIONS):
        return
    db.execute("PRAGMA foreign_keys = OFF")  # a table that is made anew must not take its rows' dependents along
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
        for number in range(version + 1, len(MIGRATIONS) + 1):
            apply(db, number)
            db.execute(f"PRAGMA user_version = {number}")
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
        db.execute("PRAGMA foreign_keys = ON")


def apply(db: "Connection", number: int) -> None:
    """Bring a catalogue from the version before to this one."""
    script = MIGRATIONS[number - 1]
    for statement in re.sub("--.*", "", script).split(";"):
        db.execute(statement)
    if script is ORIGINS:
        attribute(db)


def _version(db: "Connection") -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version


class _Cursor(sqlite3.Cursor):
    """A cursor whose errors have our names: none of SQLite's leaves this module, except for mistakes in it."""

    def execute(self, sql: str, parameters: Any = ()) -> "_Cursor":
        with naming(self.connection):
            super().execute(sql, parameters)
        return self

    def executemany(self, sql: str, parameters: Iterable[Any]) -> "_Cursor":
        with naming(self.connection):
            super().executemany(sql, parameters)
        return self

    def __next__(self) -> Any:
        with naming(self.connection):
            return super().__next__()

    def fetchone(self) -> Any:
        with naming(self.connection):
            return super().fetchone()

    def fetchall(self) -> list[Any]:
        with naming(self.connection):
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
def naming(connection: sqlite3.Connection) -> Iterator[None]:
    """Give errors of SQLite's our names."""
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
    return f"searchsvc restore BACKUP puts it right; without a backup, delete {path.parent} and index the sources again"
