"""Failing parts: which parts of running processes fail; a process that has ended may have left some of its own."""

from collections.abc import Iterable
from dataclasses import dataclass

from searchsvc.catalogue.connection import Session
from searchsvc.catalogue.records import FailingPart, from_microseconds, to_microseconds


@dataclass(frozen=True, slots=True)
class FailingParts:
    """Failing parts by the name of their process; see `health`."""

    session: Session

    def all(self) -> list[tuple[str, FailingPart]]:
        """Return the failing parts, each with the name of its process, which may have ended since."""
        sql = "SELECT owner, name, failures, message, since, next_try FROM failing_parts ORDER BY since, owner, name"
        return [
            (owner, FailingPart(name, failures, message, from_microseconds(since), from_microseconds(next_try)))
            for owner, name, failures, message, since, next_try in self.session.db.execute(sql)
        ]

    def replace(self, owner: str, parts: Iterable[FailingPart]) -> None:
        """Record that these parts of a process are failing, and no others of it."""
        db = self.session.writing
        db.execute("DELETE FROM failing_parts WHERE owner = ?", (owner,))
        db.executemany(
            "INSERT INTO failing_parts VALUES (?, ?, ?, ?, ?, ?)",
            (
                (owner, p.name, p.failures, p.message, to_microseconds(p.since), to_microseconds(p.next_try))
                for p in parts
            ),
        )
