"""Validation: a file that calls itself a catalogue is one, object by object, before anything in it is trusted or run.

    header ── version, application ── schema, object by object ── integrity, references ── what the rows hold

A backup may come from anywhere. Until its schema is known to be ours, nothing in it is run: no view is read, no trigger
can fire, and SQLite is told not to trust it.
"""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from searchsvc.catalogue.checksums import KEYS, Key, check_rows
from searchsvc.catalogue.connection import Connection
from searchsvc.catalogue.schema import APPLICATION, create_tables, must_be_readable
from searchsvc.errors import DamagedCatalogue

MIN_SECONDS = 60.0  # that validation may take, however small the file
BYTES_A_SECOND = 2_000_000  # that a slow disk gets through; large files are given so much longer
STEPS = 100_000  # of SQLite's machine between two looks at the clock: some milliseconds
ROWS_AT_ONCE = 5_000  # whose checksums are compared
MAX_ROW = 1 << 53  # a row is a number that every program can tell from the next
FIRST_DATE, LAST_DATE = -62_135_596_800_000_000, 253_402_300_799_999_999  # microseconds since 1970: the years 1 to 9999
MAX_VALUE = 512_000_000  # bytes of one text or blob
MAX_SQL = 100_000  # characters of a statement; the longest of ours has some thousand

COMMENT = re.compile(r"""('[^']*'|"[^"]*"|`[^`]*`|\[[^]]*\])|--[^\n]*""")  # outside of what stands in quotes

SPACED = re.compile(r" ?([(),]) ?")
QUOTED = re.compile(r'(CREATE TABLE |REFERENCES | ON )"(\w+)"')

Object = tuple[str, str, str, str]  # of the schema: its type, name, table and statement


class _Invalid(Exception):
    """Says what in a file is not as it is in a catalogue."""


def distrust(db: Connection) -> None:
    """Limit what a connection does for a file that may be hostile, before it has read any of it."""
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
        db.execute(f"PRAGMA {pragma}")
    for limit, value in (
        (sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE),
        (sqlite3.SQLITE_LIMIT_SQL_LENGTH, MAX_SQL),
        (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
        (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1),
    ):
        db.setlimit(limit, value)


def seconds_for(size: int) -> float:
    """Return for how many seconds a file of so many bytes may be looked at."""
    return MIN_SECONDS + size / BYTES_A_SECOND


@contextmanager
def within_time(db: Connection, size: int, file: Path) -> Iterator[None]:
    """End whatever a connection does when it takes longer than a file of so many bytes may take."""
    seconds = seconds_for(size)
    end = time.monotonic() + seconds
    db.set_progress_handler(lambda: time.monotonic() > end, STEPS)
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        raise DamagedCatalogue(
            f"the backup {file} could not be checked within {seconds:,.0f} seconds", "take another one"
        ) from error
    finally:
        db.set_progress_handler(None, 0)


def file_fault(db: Connection, backup: Path) -> str | None:
    """Return what is wrong with a copy of a backup, of this version or an older one; None where nothing is.

    Raises ModelMismatch for a version that cannot be read.
    """
    try:
        _validate_schema(db, backup)
        _validate_pages(db)
    except _Invalid as fault:
        return str(fault)
    return None


def row_fault(db: Connection) -> str | None:
    """Return what the rows of a catalogue of this version, valid as a file, hold that cannot be; None where all can."""
    checks = {
        "it has no lineage of its own": "SELECT count(*) <> 1 FROM metadata WHERE name = 'lineage'",
        "it does not say with which model it was made": """SELECT count(*) FROM passages WHERE space NOT IN
            (SELECT row FROM spaces)""",
        "a passage lies outside its article": """SELECT count(*) FROM passages p JOIN articles a ON a.row = p.article
            WHERE p.start < 0 OR p.end < p.start OR p.end > length(CAST(a.text AS BLOB))
            OR length(p.sentences) % 8 <> 0""",
        "a vector has another length than its model's": """SELECT count(*) FROM passages p
            JOIN spaces s ON s.row = p.space JOIN vectors v ON v.digest = p.vector
            WHERE length(v.vector) <> 2 * s.dimension""",
        "an article in force never came": """SELECT count(*) FROM current_articles WHERE NOT EXISTS
            (SELECT 1 FROM temp.added WHERE article = current_articles.row)""",
        "its changes are not numbered as they were made": """SELECT count(*) <> coalesce(max(number), 0)
            FROM changes""",
        "the sentences of a passage have no vectors of one length": """SELECT count(*) FROM passages p
            JOIN vectors v ON v.digest = p.vector WHERE length(p.sentences) > 0
            AND length(v.sentences) % (length(p.sentences) / 8) <> 0""",
        "its rows leave no room for more": f"SELECT count(*) FROM sqlite_sequence WHERE seq > {MAX_ROW}",
        "a date lies outside of the years 1 to 9999": f"""SELECT (SELECT count(*) FROM articles WHERE
            published NOT BETWEEN {FIRST_DATE} AND {LAST_DATE} OR since NOT BETWEEN {FIRST_DATE} AND {LAST_DATE}
            OR until NOT BETWEEN {FIRST_DATE} AND {LAST_DATE})
            + (SELECT count(*) FROM changes WHERE at NOT BETWEEN {FIRST_DATE} AND {LAST_DATE})""",
        "it holds notes that are no JSON": """SELECT (SELECT count(*) FROM jobs WHERE result <> '' AND
            NOT json_valid(result)) + (SELECT count(*) FROM files WHERE NOT json_valid(coalesce(problems, '[]')))""",
    }
    for table in KEYS:
        after: Key | None = None
        while True:
            checked = check_rows(db, table, after, ROWS_AT_ONCE)
            if checked.damaged:
                return f"a row of {table} ({_shown(checked.damaged[0])}) does not fit its checksum"
            if (after := checked.last) is None:
                break
    db.execute("CREATE TEMP TABLE added (article INTEGER PRIMARY KEY)")
    db.execute("INSERT OR IGNORE INTO temp.added SELECT article FROM changes WHERE action = 'added'")
    try:
        return next((fault for fault, sql in checks.items() if db.execute(sql).fetchone()[0]), None)
    finally:
        db.execute("DROP TABLE temp.added")


def _shown(key: Key) -> str:
    return key.hex() if isinstance(key, bytes) else str(key)


def _validate_schema(db: Connection, backup: Path) -> None:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION or version < 1:
        raise _Invalid(f"it is of no version that is known ({version})")
    must_be_readable(version, f"the backup {backup}")
    objects, ours = _objects(db), _objects_of(version)
    for kind, name, _, _ in sorted(objects - ours):
        raise _Invalid(f"its {kind} {name[:80]} is none of ours")
    for kind, name, _, _ in sorted(ours - objects):
        raise _Invalid(f"its {kind} {name} is missing")


def _validate_pages(db: Connection) -> None:
    for (line,) in db.execute("PRAGMA integrity_check(1)"):
        if line != "ok":
            raise _Invalid(str(line))
    for table, *_ in db.execute("PRAGMA foreign_key_check"):
        raise _Invalid(f"a row of {table} refers to nothing")


def _objects(db: Connection) -> set[Object]:
    """Return all that stands in a schema.

    Comments, white space, and quotes around the names of tables, which renaming puts there, do not count.
    """
    rows = db.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema").fetchall()
    return {(kind, name, table, _normal(sql)) for kind, name, table, sql in rows}


def _normal(sql: str) -> str:
    plain = " ".join(COMMENT.sub(r"\1", sql).split())
    return QUOTED.sub(r"\1\2", SPACED.sub(r"\1", plain))


def _objects_of(version: int) -> set[Object]:
    """Return the schema of a catalogue of a version."""
    db = sqlite3.connect(":memory:", isolation_level=None, factory=Connection)
    try:
        create_tables(db, version)
        return _objects(db)
    finally:
        db.close()
