"""Changes: 1, 2, 3, … which article's row came into force, and which went. Engines follow them."""

from dataclasses import dataclass
from datetime import datetime

from searchsvc.catalogue.connection import Session
from searchsvc.catalogue.records import from_microseconds


@dataclass(frozen=True, slots=True)
class Changes:
    """The change log; numbers have no gaps, and are never used again."""

    session: Session

    def last(self) -> int:
        """Return the number of the last change, which is the catalogue's generation; 0 before the first."""
        number: int = self.session.db.execute("SELECT coalesce(max(number), 0) FROM changes").fetchone()[0]
        return number

    def between(self, after: int, upto: int) -> tuple[list[int], list[int]]:
        """Return the rows of articles (added and not removed again, removed) by the changes in (after, upto]."""
        added: dict[int, None] = {}
        removed: list[int] = []
        sql = "SELECT article, action FROM changes WHERE number > ? AND number <= ? ORDER BY number"
        for article, action in self.session.db.execute(sql, (after, upto)):
            if action == "added":
                added[article] = None
            else:
                added.pop(article, None)
                removed.append(article)
        return list(added), removed

    def time_of(self, number: int) -> datetime | None:
        """Return when a change was made; None when there is no such change."""
        row = self.session.db.execute("SELECT at FROM changes WHERE number = ?", (number,)).fetchone()
        return None if row is None else from_microseconds(row[0])

    def identity(self, number: int) -> str:
        """Return what tells a change from the one with the same number in another catalogue."""
        (lineage,) = self.session.db.execute("SELECT value FROM metadata WHERE name = 'lineage'").fetchone()
        return f"{lineage} {self.time_of(number)}"

    def add(self, article: int, action: str) -> None:
        """Record that an article, by row, was `added` or `removed`."""
        sql = "INSERT INTO changes (article, action, at) VALUES (?, ?, ?)"
        self.session.writing.execute(sql, (article, action, self.session.now))
