"""Jobs: work that a server was given, and what came of it."""

from dataclasses import dataclass
from typing import Any

from searchsvc.catalogue.connection import Session
from searchsvc.catalogue.records import Job, from_microseconds, to_microseconds

MAX_JOBS = 1_000
COLUMNS = "id, began, ended, result, owner"


@dataclass(frozen=True, slots=True)
class Jobs:
    """The last thousand jobs."""

    session: Session

    def get(self, ident: str) -> Job | None:
        """Return a job, or None."""
        row = self.session.db.execute(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (ident,)).fetchone()
        return None if row is None else _job(row)

    def unended(self) -> list[Job]:
        """Return the jobs whose end is not recorded, the oldest first."""
        sql = f"SELECT {COLUMNS} FROM jobs WHERE ended IS NULL ORDER BY began"
        return [_job(row) for row in self.session.db.execute(sql)]

    def put(self, job: Job) -> None:
        """Record a job as it stands; the oldest beyond `MAX_JOBS` are deleted."""
        db = self.session.writing
        ended = None if job.ended is None else to_microseconds(job.ended)
        values = (job.id, to_microseconds(job.began), ended, job.result, job.owner)
        db.execute(f"INSERT OR REPLACE INTO jobs ({COLUMNS}) VALUES (?, ?, ?, ?, ?)", values)
        latest = "SELECT id FROM jobs ORDER BY began DESC LIMIT ?"
        db.execute(f"DELETE FROM jobs WHERE id NOT IN ({latest})", (MAX_JOBS,))


def _job(row: tuple[Any, ...]) -> Job:
    ident, began, ended, result, owner = row
    end = None if ended is None else from_microseconds(ended)
    return Job(ident, from_microseconds(began), end, result, owner or "")
