"""Backups: a whole catalogue in one file, taken while it is in use, and put back."""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from searchsvc.catalogue.connection import Connection, connect, our_errors
from searchsvc.catalogue.schema import APPLICATION, migrate
from searchsvc.catalogue.validation import distrust, file_fault, row_fault, seconds_for, within_time
from searchsvc.errors import BadInput, DamagedCatalogue, Unwritable

PAGES = 4_096  # copied between two checks of the time


def back_up(db: Connection, file: Path) -> None:
    """Write a consistent, compact copy into a file, all of it or nothing, whoever reads or writes meanwhile.

    Raises BadInput where the file is there and no backup of a catalogue, Unwritable where it cannot be written.
    """
    if file.exists() and not (is_catalogue(file) and _is_one_file(file)):
        raise BadInput(f"{file} is there and is no backup of searchsvc", "name another file")
    part = file.with_name(f".{file.name}.part")
    try:
        _clear(part)
        db.execute("VACUUM INTO ?", (str(part),))
        _sync(part)  # SQLite does not, and a power cut must not leave less than the backup that was there
        part.replace(file)
    except (OSError, Unwritable) as error:
        reason = error.__cause__ or error
        raise Unwritable(f"{file} cannot be written: {reason}", "name a folder that is there and has room") from error
    finally:
        _clear(part)


@contextmanager
def validated(file: Path, path: Path) -> Iterator[Path]:
    """Give a file beside the catalogue at `path`, of this version, that holds what a backup holds; it goes at the end.

    Nothing of the backup is trusted that was not checked (see `validation`). Raises BadInput for a file that is no
    catalogue, DamagedCatalogue for one that is damaged or holds what no catalogue does, ModelMismatch for a newer one.
    """
    if not file.is_file() or not is_catalogue(file):
        raise BadInput(f"{file} is no backup of searchsvc", "searchsvc backup FILE makes one")
    part = path.with_name(f".{path.name}.part")
    _clear(part)
    try:
        _copy_validated(file, part)
        yield part
    finally:
        _clear(part)


def put_in_place(part: Path, path: Path) -> None:
    """Put what a validated file holds in the place of the catalogue at `path`, in one step; a kill leaves one of both.

    Whoever has the old catalogue open goes on with the new one, unless the old one was damaged.
    """
    if not _copy_into(part, path):
        for end in ("-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
        part.replace(path)


def _clear(part: Path) -> None:
    for end in ("", "-journal", "-wal", "-shm"):
        part.with_name(part.name + end).unlink(missing_ok=True)


def is_catalogue(file: Path) -> bool:
    """Return whether a file is a catalogue, by its header (bytes 68 to 71 of an SQLite file)."""
    header = _header(file)
    return header.startswith(b"SQLite format 3\0") and header[68:] == APPLICATION.to_bytes(4, "big")


def _is_one_file(file: Path) -> bool:
    """Return whether a catalogue has no write-ahead log, as no backup has: one that has is in use (bytes 18 and 19)."""
    return _header(file)[18:20] == b"\1\1"


def _header(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(72)
    except OSError:
        return b""


def _sync(file: Path) -> None:
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())


def _copy_validated(file: Path, part: Path) -> None:
    """Make a copy of this version, with a lineage of its own: no engine that followed the old catalogue follows it."""
    size = file.stat().st_size
    free = shutil.disk_usage(part.parent).free
    if size > free:
        message = f"the index in {part.parent} cannot be written: {file} has {size:,} bytes, and {free:,} are free"
        raise Unwritable(message, "make room on the disk")
    source = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, factory=Connection)
    source.path = file
    target = connect(part, create=True)
    try:
        try:
            _copy_pages(source, target, seconds_for(size))
            distrust(target)
            with within_time(target, size, file):
                fault = file_fault(target, file)
                if fault is None:
                    migrate(target, create=False)
                    fault = row_fault(target)
        except DamagedCatalogue as damage:
            fault = damage.message.partition(": ")[2] or damage.message
        if fault is not None:
            raise DamagedCatalogue(f"the backup {file} is damaged or no backup: {fault}", "take an older one")
        target.execute("UPDATE metadata SET value = hex(randomblob(8)) WHERE name = 'lineage'")
        _forget_processes(target)
        target.execute("PRAGMA journal_mode = DELETE")  # so that it is one file
    finally:
        source.close()
        target.close()


def _forget_processes(db: Connection) -> None:
    """Forget what the processes that had a catalogue open recorded of themselves, and what was wrong with files."""
    db.execute("DELETE FROM metadata WHERE name IN ('swept', 'loss')")
    db.execute("DELETE FROM failing_parts")
    db.execute("UPDATE jobs SET owner = NULL")
    db.execute("UPDATE files SET problems = NULL, size = NULL WHERE problems IS NOT NULL")  # they are read again


def _copy_pages(source: Connection, target: Connection, seconds: float) -> None:
    end = time.monotonic() + seconds

    def check_time(_: int, left: int, pages: int) -> None:
        if time.monotonic() > end:
            raise DamagedCatalogue(f"copying: {left:,} of {pages:,} pages were left after {seconds:,.0f} seconds")

    with our_errors(source):
        source.backup(target, pages=PAGES, progress=check_time)


def _copy_into(part: Path, path: Path) -> bool:
    """Copy into the catalogue that is there, for those who have it open; return whether there is one that is sound."""
    source = connect(part, journal="DELETE")  # one file again, should anyone have had it open
    try:
        if not path.exists():
            return False
        target = connect(path)
        try:
            with our_errors(target):
                source.backup(target)
        finally:
            target.close()
    except DamagedCatalogue:
        return False
    finally:
        source.close()
    return True
