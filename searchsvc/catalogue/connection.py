"""Connections to a catalogue's SQLite file, which raise our errors."""

import os
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from searchsvc.errors import Busy, DamagedCatalogue, Unwritable

LOG_BYTES = 32_000_000  # of the write-ahead log, beyond which it is cut once it is in the file
PATIENCE = 30  # seconds that a connection waits for another to finish writing


Identity = tuple[tuple[int, int] | None, tuple[int, int] | None]


def connect(path: Path, journal: str = "WAL", *, create: bool = False) -> "Connection":
    """Open a catalogue's file, for one thread; where there is none, only with `create` is one made."""
    if not create and path.is_file() and path.stat().st_size == 0:  # which SQLite would take for a new one
        raise DamagedCatalogue(f"the catalogue {path} is empty", way_back(path))
    read_only = _read_only_mode(path)
    uri = f"{path.resolve().as_uri()}?mode={read_only or ('rwc' if create else 'rw')}"
    try:
        connection = sqlite3.connect(uri, isolation_level=None, timeout=PATIENCE, factory=Connection, uri=True)
    except sqlite3.DatabaseError as error:
        raise _our_error(error, path) from error
    connection.path = path
    try:
        _prepare(connection, journal, read_only=read_only is not None)
    except BaseException:
        connection.close()  # else it keeps SQLite's locks and log of this file until it is collected
        raise
    return connection


def _prepare(connection: "Connection", journal: str, *, read_only: bool) -> None:
    connection.text_factory = _text
    connection.create_function("row_checksum", -1, checksum, deterministic=True)
    if read_only:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # of nothing: it keeps SQLite from making a -shm file
        return
    for pragma in (
        f"journal_mode = {journal}",
        "synchronous = FULL",
        "foreign_keys = ON",
        "trusted_schema = OFF",
        f"journal_size_limit = {LOG_BYTES}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _text(data: bytes) -> str:
    """Decode a text; one that a flipped bit has made invalid UTF-8 can still be read."""
    return data.decode(errors="replace")


def checksum(*values: object) -> int:
    """Return the CRC-32 of a row's values, each with its length; text counts as its UTF-8."""
    total = 0
    for value in values:
        data = b"" if value is None else value if isinstance(value, bytes) else str(value).encode()
        total = zlib.crc32(data, zlib.crc32(b"%d " % (-1 if value is None else len(data)), total))
    return total


def identity(path: Path) -> Identity:
    """Return device and inode of a catalogue's file and of its write-ahead log; None for one that is not there.

    A file that was emptied is not there. Whoever has both open may go on writing to them when they are deleted or moved
    away, and nobody will find it.
    """
    return _identity(os.fspath(path), min_size=1), _identity(f"{os.fspath(path)}-wal", min_size=0)


def _identity(path: str, min_size: int) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116  every read comes through here, and a Path costs as much again
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if status.st_size >= min_size else None


def _read_only_mode(path: Path) -> str | None:
    """Return the mode in which to open a catalogue in a folder that cannot be written to; None for the usual one.

    The usual one works even there while the file lies beside it through which users of a log agree (-shm).
    """
    if not path.is_file() or os.access(path.parent, os.W_OK):
        return None
    log, shared = (path.with_name(f"{path.name}-{end}") for end in ("wal", "shm"))
    if not (log.exists() and log.stat().st_size):
        return "ro&immutable=1"
    return None if shared.exists() else "ro&vfs=unix-none"


class _Cursor(sqlite3.Cursor):
    """A cursor that raises our errors instead of SQLite's, except for mistakes in our own SQL."""

    def execute(self, sql: str, parameters: Any = ()) -> "_Cursor":
        with our_errors(self.connection):
            super().execute(sql, parameters)
        return self

    def executemany(self, sql: str, parameters: Iterable[Any]) -> "_Cursor":
        with our_errors(self.connection):
            super().executemany(sql, parameters)
        return self

    def __next__(self) -> Any:
        with our_errors(self.connection):
            return super().__next__()

    def fetchone(self) -> Any:
        with our_errors(self.connection):
            return super().fetchone()

    def fetchall(self) -> list[Any]:
        with our_errors(self.connection):
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


@dataclass(frozen=True, slots=True)
class Session:
    """Where a catalogue is read and written: `connection` returns this thread's; `moment` is set in a transaction.

    It is when the transaction began, in microseconds since 1970.
    """

    connection: Callable[[], Connection]
    moment: int | None = None

    @property
    def db(self) -> Connection:
        """The connection to read from."""
        return self.connection()

    @property
    def writing(self) -> Connection:
        """The connection to write to; raises RuntimeError outside of a transaction."""
        if self.moment is None:
            raise RuntimeError("a catalogue is written to within `with catalogue.writing() as writer` alone")
        return self.connection()

    @property
    def now(self) -> int:
        """When the transaction began."""
        assert self.moment is not None
        return self.moment


@contextmanager
def our_errors(connection: sqlite3.Connection) -> Iterator[None]:
    """Raise our errors instead of SQLite's."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _our_error(error, connection.path) from error  # type: ignore[attr-defined]


def _our_error(error: sqlite3.DatabaseError, path: Path) -> Exception:
    """Return our error for one of SQLite's; the error itself where it is our own mistake."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return Busy(f"another process holds the catalogue {path}", "try again in a moment")
    if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}:
        return Unwritable(f"the catalogue {path} cannot be written: {error}", "make room, or see who owns the folder")
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return DamagedCatalogue(f"the catalogue {path} is damaged: {error}", way_back(path))
    return error


def way_back(path: Path) -> str:
    """Return what to do about a damaged catalogue."""
    return f"searchsvc restore BACKUP puts it right; without a backup, delete {path.parent} and index the sources again"
