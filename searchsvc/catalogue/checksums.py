"""Checksums: each row of what matters carries one of what it said when it was written; a flipped bit no longer fits.

    a row is written ── checksum ──► later: read again, a slice at a time ──► fits, does not fit, never had one

CRC-32 finds every single flipped bit. What may change in a row (until when it was in force, which file holds it) is not
covered: SQLite's own check and the comparison with the search files see to that. Rows of older versions have none until
they are looked at for the first time.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from searchsvc.catalogue.database import Connection

Table = Literal["articles", "passages", "vectors"]
Key = int | bytes  # a row, or of a vector its digest

# Of each table its key, and what a checksum covers, in this order; what is text is marked.
KEYS: dict[Table, str] = {"articles": "row", "passages": "row", "vectors": "digest"}
TEXTS = frozenset({"id", "key", "title", "text", "url", "source", "author", "published_from", "language", "origin"})
ARTICLE = (
    "id", "key", "title", "text", "url", "source", "author", "published", "published_from", "language", "version",
    "since", "digest", "given", "origin",
)  # fmt: skip
COVERED: dict[Table, Sequence[str]] = {
    "articles": ARTICLE,
    "passages": ("article", "space", "start", "end", "sentences", "vector"),
    "vectors": ("digest", "vector", "sentences"),
}


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """Rows that were looked at: those that do not fit their checksum, those without one, the last; None at the end."""

    damaged: list[Key]
    without: list[Key]
    last: Key | None


def checksum(*values: object) -> int:
    """Return the CRC-32 of a row's values, each with its length; text counts as its UTF-8."""
    total = 0
    for value in values:
        data = b"" if value is None else value if isinstance(value, bytes) else str(value).encode()
        total = zlib.crc32(data, zlib.crc32(b"%d " % (-1 if value is None else len(data)), total))
    return total


def check_rows(db: "Connection", table: Table, after: Key | None, most: int) -> CheckedRows:
    """Look at the next rows of a table, those behind the key `after`, of which there may be `most`."""
    key = KEYS[table]
    behind = f"WHERE {key} > ?" if after is not None else ""
    sql = f"SELECT {key}, checksum, {_said(table)} FROM {table} {behind} ORDER BY {key} LIMIT ?"
    damaged, without = [], []
    last, count = None, 0
    for last, written, said in db.execute(sql, (*([] if after is None else [after]), most)):
        count += 1
        if written is None:
            without.append(last)
        elif written != said:
            damaged.append(last)
    return CheckedRows(damaged, without, last if count == most else None)


def fill(db: "Connection", table: Table, keys: Iterable[Key]) -> None:
    """Give rows that have no checksum one of what they say now."""
    sql = f"UPDATE {table} SET checksum = {_said(table)} WHERE {KEYS[table]} = ? AND checksum IS NULL"
    db.executemany(sql, ((key,) for key in keys))


def _said(table: Table) -> str:
    # Bytes, since what is damaged may be no text any more.
    columns = (f"CAST({name} AS BLOB)" if name in TEXTS else name for name in COVERED[table])
    return f"row_checksum({', '.join(columns)})"
