"""Parts: which parts of the processes at work are failing; a process that has ended may have left some of its own."""

from collections.abc import Iterable

from searchsvc.catalogue.database import Connection
from searchsvc.catalogue.records import FailingPart, from_microseconds, to_microseconds


def every(db: Connection) -> list[tuple[str, FailingPart]]:
    """Return the failing parts, each with the name of its process."""
    sql = "SELECT owner, name, failures, message, since, next FROM parts ORDER BY since, owner, name"
    return [
        (owner, FailingPart(name, failures, message, from_microseconds(since), from_microseconds(later)))
        for owner, name, failures, message, since, later in db.execute(sql)
    ]


def replace(db: Connection, owner: str, parts: Iterable[FailingPart]) -> None:
    """Record that these parts of a process are failing, and no others of it."""
    db.execute("DELETE FROM parts WHERE owner = ?", (owner,))
    db.executemany(
        "INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?)",
        (
            (owner, one.name, one.failures, one.message, to_microseconds(one.since), to_microseconds(one.next_try))
            for one in parts
        ),
    )
