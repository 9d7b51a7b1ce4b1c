"""Proving: a file that calls itself a catalogue is one, object by object, before anything in it is believed or run.

    header ── version, application ── schema, object by object ── integrity, references ── what the rows say

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
from searchsvc.catalogue.database import APPLICATION, MIGRATIONS, Connection, apply
from searchsvc.errors import DamagedCatalogue, ModelMismatch

LEAST_SECONDS = 60.0  # that a proof may take, however small the file
BYTES_A_SECOND = 2_000_000  # that a proof gets through on a slow disk; large files are given so much longer
STEPS = 100_000  # of SQLite's machine between two looks at the clock: some milliseconds
ROWS_AT_ONCE = 5_000  # whose checksums are compared
MOST_ROWS = 1 << 53  # of a table, ever: a row is a number that every program can tell from the next
FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999  # microseconds since 1970: the years 1 to 9999
LONGEST_VALUE = 512_000_000  # bytes of one text or blob
LONGEST_SQL = 100_000  # characters of a statement; the longest of ours has some thousand

COMMENT = re.compile(r"""('[^']*'|"[^"]*"|`[^`]*`|\[[^]]*\])|--[^\n]*""")  # outside of what stands in quotes

Object = tuple[str, str, str, str]  # of the schema: its type, name, table and statement


class _Unproven(Exception):
    """Says what in a file is not as it is in a catalogue."""


def be_careful(db: Connection) -> None:
    """Make a connection wary of what it opens, before it has read any of it."""
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
        db.execute(f"PRAGMA {pragma}")
    for limit, value in (
        (sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE),
        (sqlite3.SQLITE_LIMIT_SQL_LENGTH, LONGEST_SQL),
        (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
        (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1),
    ):
        db.setlimit(limit, value)


def seconds_for(size: int) -> float:
    """Return for how many seconds a file of so many bytes may be looked at."""
    return LEAST_SECONDS + size / BYTES_A_SECOND


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


def prove(db: Connection) -> str | None:
    """Return what is wrong with a copy of a catalogue of this version or an older one; None where nothing is."""
    try:
        _prove_schema(db)
        _prove_file(db)
    except _Unproven as fault:
        return str(fault)
    return None


def prove_rows(db: Connection) -> str | None:
    """Return what the rows of a catalogue of this version, proven as a file, say that cannot be; None where all can."""
    checks = {
        "it has no lineage of its own": "SELECT count(*) <> 1 FROM facts WHERE name = 'lineage'",
        "it does not say with which model it was made": """SELECT count(*) FROM passages WHERE space NOT IN
            (SELECT row FROM spaces)""",
        "a passage lies outside its article": """SELECT count(*) FROM passages p JOIN articles a ON a.row = p.article
            WHERE p.start < 0 OR p.end < p.start OR p.end > length(CAST(a.text AS BLOB))
            OR length(p.sentences) % 8 <> 0""",
        "a vector has another length than its model's": """SELECT count(*) FROM passages p
            JOIN spaces s ON s.row = p.space JOIN vectors v ON v.digest = p.vector
            WHERE length(v.vector) <> 2 * s.dimension""",
        "an article in force never came": """SELECT count(*) FROM newest WHERE NOT EXISTS
            (SELECT 1 FROM temp.came WHERE article = newest.row)""",
        "its changes are not numbered as they were made": """SELECT count(*) <> coalesce(max(number), 0)
            FROM changes""",
        "the sentences of a passage have no vectors of one length": """SELECT count(*) FROM passages p
            JOIN vectors v ON v.digest = p.vector WHERE length(p.sentences) > 0
            AND length(v.sentences) % (length(p.sentences) / 8) <> 0""",
        "its rows leave no room for more": f"SELECT count(*) FROM sqlite_sequence WHERE seq > {MOST_ROWS}",
        "a date lies outside of the years 1 to 9999": f"""SELECT (SELECT count(*) FROM articles WHERE
            published NOT BETWEEN {FIRST} AND {LAST} OR since NOT BETWEEN {FIRST} AND {LAST}
            OR until NOT BETWEEN {FIRST} AND {LAST})
            + (SELECT count(*) FROM changes WHERE at NOT BETWEEN {FIRST} AND {LAST})""",
        "it holds notes that are no JSON": """SELECT (SELECT count(*) FROM jobs WHERE said <> '' AND
            NOT json_valid(said)) + (SELECT count(*) FROM files WHERE NOT json_valid(coalesce(problems, '[]')))""",
    }
    for table in KEYS:
        after: Key | None = None
        while True:
            some = check_rows(db, table, after, ROWS_AT_ONCE)
            if some.damaged:
                return f"a row of {table} ({_shown(some.damaged[0])}) does not fit its checksum"
            if (after := some.last) is None:
                break
    db.execute("CREATE TEMP TABLE came (article INTEGER PRIMARY KEY)")
    db.execute("INSERT OR IGNORE INTO temp.came SELECT article FROM changes WHERE action = 'added'")
    try:
        return next((said for said, sql in checks.items() if db.execute(sql).fetchone()[0]), None)
    finally:
        db.execute("DROP TABLE temp.came")


def _shown(key: Key) -> str:
    return key.hex() if isinstance(key, bytes) else str(key)


def _prove_schema(db: Connection) -> None:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise ModelMismatch(
            f"{db.path.name} was made by a newer searchsvc (catalogue version {version})", "install the newer searchsvc"
        )
    if application != APPLICATION or version < 1:
        raise _Unproven(f"it is of no version that is known ({version})")
    there, ours = _objects(db), _objects_of(version)
    for kind, name, _, _ in sorted(there - ours):
        raise _Unproven(f"its {kind} {name[:80]} is none of ours")
    for kind, name, _, _ in sorted(ours - there):
        raise _Unproven(f"its {kind} {name} is missing")


def _prove_file(db: Connection) -> None:
    for (said,) in db.execute("PRAGMA integrity_check(1)"):
        if said != "ok":
            raise _Unproven(str(said))
    for table, *_ in db.execute("PRAGMA foreign_key_check"):
        raise _Unproven(f"a row of {table} refers to nothing")


def _objects(db: Connection) -> set[Object]:
    """Return all that stands in a schema; comments and white space, which older versions left there, do not count."""
    found = db.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema").fetchall()
    return {(kind, name, table, " ".join(COMMENT.sub(r"\1", sql).split())) for kind, name, table, sql in found}


def _objects_of(version: int) -> set[Object]:
    """Return the schema of a catalogue that was made and brought to a version."""
    db = sqlite3.connect(":memory:", isolation_level=None, factory=Connection)
    try:
        for number in range(1, version + 1):
            apply(db, number)
        return _objects(db)
    finally:
        db.close()
