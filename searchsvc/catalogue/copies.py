"""Copies: a whole catalogue in one file, taken while it is in use, and put back."""

import os
import sqlite3
from pathlib import Path

from searchsvc.catalogue.database import APPLICATION, Connection, connect, migrate, naming
from searchsvc.errors import BadInput, DamagedCatalogue, Unwritable


def copy(db: Connection, file: Path) -> None:
    """Write a consistent, compact copy into a file, all of it or nothing, whoever reads or writes meanwhile.

    Raises BadInput where the file is there and no copy of a catalogue, Unwritable where it cannot be written.
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


def restore(file: Path, path: Path) -> None:
    """Put what a copy holds in the place of the catalogue at `path`, all of it or nothing.

    The copy is checked first. Whoever has the old catalogue open goes on with the new one, unless the old one was
    damaged. Raises BadInput for a file that is no catalogue, DamagedCatalogue for one that is damaged.
    """
    if not file.is_file() or not is_catalogue(file):
        raise BadInput(f"{file} is no backup of searchsvc", "searchsvc backup FILE makes one")
    part = path.with_name(f".{path.name}.part")
    _clear(part)
    try:
        _checked_copy(file, part)
        if not _pour(part, path):
            for end in ("-wal", "-shm"):
                path.with_name(path.name + end).unlink(missing_ok=True)
            part.replace(path)
    finally:
        _clear(part)


def _clear(part: Path) -> None:
    for end in ("", "-journal", "-wal", "-shm"):
        part.with_name(part.name + end).unlink(missing_ok=True)


def is_catalogue(file: Path) -> bool:
    """Say whether a file is a catalogue, by its header (bytes 68 to 71 of an SQLite file)."""
    header = _header(file)
    return header.startswith(b"SQLite format 3\0") and header[68:] == APPLICATION.to_bytes(4, "big")


def _is_one_file(file: Path) -> bool:
    """Say whether a catalogue has no write-ahead log, as no copy has: one that has is in use (bytes 18 and 19)."""
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


def _checked_copy(file: Path, part: Path) -> None:
    """Make a copy of this version, with a lineage of its own: what followed the old catalogue must not follow it."""
    source = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, factory=Connection)
    source.path = file
    target = connect(part, create=True)
    try:
        try:
            with naming(source):
                source.backup(target)
            migrate(target, create=False)
            sound = target.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        except DamagedCatalogue:
            sound = False
        if not sound:
            raise DamagedCatalogue(f"the backup {file} is damaged", "take an older one")
        target.execute("UPDATE facts SET value = hex(randomblob(8)) WHERE name = 'lineage'")
        target.execute("PRAGMA journal_mode = DELETE")  # so that it is one file
    finally:
        source.close()
        target.close()


def _pour(part: Path, path: Path) -> bool:
    """Copy into the catalogue that is there, for those who have it open; return whether there is one that is sound."""
    if not path.exists():
        return False
    source = connect(part, journal="DELETE")
    try:
        target = connect(path)
        try:
            with naming(target):
                source.backup(target)
        finally:
            target.close()
    except DamagedCatalogue:
        return False
    finally:
        source.close()
    return True
