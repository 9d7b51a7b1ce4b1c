"""The catalogue: the record of everything indexed, one SQLite file from which all else can be rebuilt.

    articles ──< passages >── vectors          changes: 1, 2, 3, … which article came, which went

An article's row and its passages' rows are written once and never reused: an article that changes gets a new row under
the same id, and the old one stays as an earlier version. An engine (FAISS, tantivy) therefore only needs the changes
behind the last number that it applied. Passages of a replaced row are kept for a while, for searches that are still
answered from a snapshot that holds them. Vectors are kept by what was embedded, so the same text is never embedded
twice; passages and vectors belong to a space, of which one serves while the next may be in the making.

What is read and written stands by noun: `catalogue.articles`, `catalogue.files`, …; `with catalogue.writing() as
writer` gives the same nouns for one transaction.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from searchsvc.catalogue.backup import back_up, is_catalogue, put_in_place, validated
from searchsvc.catalogue.checksums import Key, Table
from searchsvc.catalogue.connection import Connection, Identity, Session, connect, identity
from searchsvc.catalogue.records import (
    Counts,
    DateSpan,
    EmbeddingSpace,
    FailingPart,
    FeedState,
    FileState,
    Job,
    PassageVectors,
    RecurringBlock,
    StoredPassage,
    from_microseconds,
    to_microseconds,
)
from searchsvc.catalogue.schema import make, migrate
from searchsvc.catalogue.writer import Nouns, Writer
from searchsvc.errors import Busy, NoIndex

__all__ = [
    "Catalogue",
    "Counts",
    "DateSpan",
    "EmbeddingSpace",
    "FailingPart",
    "FeedState",
    "FileState",
    "Job",
    "Key",
    "PassageVectors",
    "RecurringBlock",
    "StoredPassage",
    "Table",
    "Writer",
    "from_microseconds",
    "to_microseconds",
]


class Catalogue(Nouns):
    """One SQLite file in WAL mode; a connection for each thread, any number of readers, one writer.

    Everything raises NoIndex once the file is gone from its path, and Busy once another lies there: what is read would
    no longer be so, and nobody would find what is written. A Catalogue that is opened then is of what lies there.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Open a catalogue, bringing it to this version; raises NoIndex, DamagedCatalogue or ModelMismatch."""
        if not create and not path.is_file():
            raise NoIndex(f"there is no index in {path.parent}", "searchsvc index PATH… makes one")
        if not path.exists():
            make(path)
        super().__init__(Session(lambda: self._db))
        self.path = path
        self._threads = threading.local()
        self._opened: Identity | None = None
        # Kept open beyond its thread, so that no other file is given the inode, and the log stays.
        self._keeper: Connection | None = None
        try:
            migrate(self._db, create=create)
        except BaseException:
            self.close()
            raise

    @property
    def is_current(self) -> bool:
        """Whether the file that is open still lies at its path, with its write-ahead log."""
        return self._opened is None or identity(self.path) == self._opened

    @property
    def is_beside_its_log(self) -> bool:
        """Whether another file lies at its path beside the log that it had, which SQLite would play into that one."""
        (file, log), opened = identity(self.path), self._opened
        return opened is not None and log is not None and log == opened[1] and file is not None and file != opened[0]

    def must_be_current(self) -> None:
        """Raise NoIndex where the file is gone from its path, Busy where another lies there."""
        if self.is_current:
            return
        if not self.path.is_file():
            raise NoIndex(
                f"the index in {self.path.parent} is gone: its catalogue was deleted or moved away",
                "put it back, or searchsvc index PATH… makes another",
            )
        raise Busy(f"another index was put in place of the one in {self.path.parent}", "do it again")

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._threads, "connection", None)
        if connection is not None:
            connection.close()
            self._threads.connection = None
        if connection is self._keeper:
            self._keeper = self._opened = None

    def lineage(self) -> str:
        """Return the random name that a catalogue gets when it is made, and anew when another is restored over it."""
        return str(self._db.execute("SELECT value FROM metadata WHERE name = 'lineage'").fetchone()[0])

    def counts(self) -> Counts:
        """Return how much there is in force, and the number and time of the last change."""
        last = "SELECT number, at FROM changes ORDER BY number DESC LIMIT 1"
        number, at = self._db.execute(last).fetchone() or (0, None)
        serving = "SELECT row FROM spaces WHERE state = 'serving'"
        passages = self._number(f"SELECT count(*) FROM passages WHERE space = ({serving})")
        replaced = f"""SELECT count(*) FROM passages WHERE space = ({serving})
                       AND article IN (SELECT row FROM articles WHERE until IS NOT NULL)"""
        return Counts(
            articles=self._number("SELECT count(*) FROM current_articles"),
            passages=passages - self._number(replaced),
            generation=number,
            updated=None if at is None else from_microseconds(at),
        )

    def unused_bytes(self) -> tuple[int, int]:
        """Return how many bytes of the file hold nothing, and its size."""
        free, pages, size = (self._number(f"PRAGMA {name}") for name in ("freelist_count", "page_count", "page_size"))
        return free * size, pages * size

    def check(self) -> list[str]:
        """Return what SQLite finds wrong with the file and with its references; empty when all is well."""
        faults = [str(line) for (line,) in self._db.execute("PRAGMA integrity_check") if line != "ok"]
        faults += [f"a row of {table} refers to nothing" for table, *_ in self._db.execute("PRAGMA foreign_key_check")]
        return faults

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Open a transaction; all that its writer wrote is committed at the end, or nothing is."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            self.must_be_current()  # others may have written for a while
            writer = Writer(db)
            yield writer
            writer.settle()
            self.must_be_current()
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        self.must_be_current()  # else it lies where nobody will find it

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Make all reads within see one and the same state; inside of another, that of the other."""
        db = self._db
        if db.in_transaction:
            yield
            return
        db.execute("BEGIN")
        try:
            yield
        finally:
            db.execute("COMMIT")

    def compact(self) -> None:
        """Give the file's unused space back to the disk; searches go on meanwhile."""
        self._db.execute("VACUUM")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def back_up(self, file: Path) -> None:
        """Write a consistent, compact copy into a file, whoever is reading or writing meanwhile; see `backup`."""
        back_up(self._db, file)

    @staticmethod
    def is_in(file: Path) -> bool:
        """Return whether a file is a catalogue, or a backup of one, by its header."""
        return file.is_file() and is_catalogue(file)

    @classmethod
    def restored(cls, file: Path, path: Path, prepare: "Callable[[Catalogue], None]" = lambda _: None) -> "Catalogue":
        """Put what a backup holds in the place of the catalogue at `path`, and open it; see `backup`.

        What was there stays, untouched, until the backup has been validated and `prepare` has done with it what is to
        be done before.
        """
        with validated(file, path) as part:
            beside = cls(part)
            try:
                prepare(beside)
            finally:
                beside.close()
            put_in_place(part, path)
        return cls(path)

    @property
    def _db(self) -> Connection:
        connection: Connection | None = getattr(self._threads, "connection", None)
        if connection is not None and connection.in_transaction:
            return connection  # which was looked at when that began
        self.must_be_current()
        if connection is None:
            connection = self._threads.connection = self._connected()
        return connection

    def _connected(self) -> Connection:
        before, _ = identity(self.path)
        connection = connect(self.path)
        try:
            if self._opened is None:
                connection.execute("SELECT 1 FROM sqlite_schema").fetchone()  # which opens the log
                self._opened, self._keeper = (before, identity(self.path)[1]), connection
            self.must_be_current()
        except BaseException:
            connection.close()
            raise
        return connection

    def _number(self, sql: str) -> int:
        value: int = self._db.execute(sql).fetchone()[0]
        return value
