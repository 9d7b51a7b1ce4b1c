"""Checksums: each row of what matters carries one of what was written; a flipped bit no longer fits.

    a row is written ── checksum ──► later: read again, some rows at a time ──► fits, does not fit, never had one

CRC-32 finds every single flipped bit. What may change in a row (until when it was in force, which file holds it) is not
covered: SQLite's own check and the comparison with the search files see to that. Rows of older versions have none until
they are checked for the first time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from searchsvc.catalogue.connection import Connection, Session

Table = Literal["articles", "passages", "vectors"]
Key = int | bytes  # a row, or of a vector its digest

# Of each table its key, and what a checksum covers, in this order; what is text is marked.
KEYS: dict[Table, str] = {"articles": "row", "passages": "row", "vectors": "digest"}
TEXTS = frozenset({"id", "key", "title", "text", "url", "source", "author", "published_from", "language", "origin"})
ARTICLE = (
    "id", "key", "title", "text", "url", "source", "author", "published", "published_from", "language", "version",
    "since", "digest", "content_digest", "origin",
)  # fmt: skip
COVERED: dict[Table, Sequence[str]] = {
    "articles": ARTICLE,
    "passages": ("article", "space", "start", "end", "sentences", "vector"),
    "vectors": ("digest", "vector", "sentences"),
}


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """Rows that were checked: those that do not fit their checksum, those without one, the last; None at the end."""

    damaged: list[Key]
    without: list[Key]
    last: Key | None


@dataclass(frozen=True, slots=True)
class Checksums:
    """The checksums of rows, and what is wrong with articles that could not be repaired."""

    session: Session

    def check(self, table: Table, after: Key | None, limit: int) -> CheckedRows:
        """Check the next rows of a table, those behind the key `after`; `last` is None at the end."""
        return check_rows(self.session.db, table, after, limit)

    def fill(self, table: Table, keys: Iterable[Key]) -> None:
        """Give rows that have no checksum, by key, one of what they hold now."""
        sql = f"UPDATE {table} SET checksum = {_computed(table)} WHERE {KEYS[table]} = ? AND checksum IS NULL"
        self.session.writing.executemany(sql, ((key,) for key in keys))

    def damaged(self) -> list[str]:
        """Return what is wrong with articles that could not be repaired."""
        rows = self.session.db.execute("SELECT message FROM damaged_articles ORDER BY article")
        return [message for (message,) in rows]

    def set_damaged(self, messages: Mapping[int, str], *, all_checked: bool) -> None:
        """Record what is wrong with articles, by row, that could not be repaired, and no others if all were checked."""
        db = self.session.writing
        if all_checked:
            db.execute("DELETE FROM damaged_articles")
        sql = "INSERT OR REPLACE INTO damaged_articles SELECT row, ? FROM articles WHERE row = ?"
        db.executemany(sql, ((message, row) for row, message in messages.items()))


def check_rows(db: Connection, table: Table, after: Key | None, limit: int) -> CheckedRows:
    """Check the next rows of a table, those behind the key `after`."""
    key = KEYS[table]
    behind = f"WHERE {key} > ?" if after is not None else ""
    sql = f"SELECT {key}, checksum, {_computed(table)} FROM {table} {behind} ORDER BY {key} LIMIT ?"
    damaged, without = [], []
    last, count = None, 0
    for last, written, computed in db.execute(sql, (*([] if after is None else [after]), limit)):
        count += 1
        if written is None:
            without.append(last)
        elif written != computed:
            damaged.append(last)
    return CheckedRows(damaged, without, last if count == limit else None)


def _computed(table: Table) -> str:
    # Bytes, since what is damaged may be no text any more.
    columns = (f"CAST({name} AS BLOB)" if name in TEXTS else name for name in COVERED[table])
    return f"row_checksum({', '.join(columns)})"
