"""Metadata: what is recorded of the whole catalogue, by name."""

from dataclasses import dataclass

from searchsvc.catalogue.connection import Session


@dataclass(frozen=True, slots=True)
class Metadata:
    """Texts by name, such as the catalogue's lineage."""

    session: Session

    def get(self, name: str) -> str | None:
        """Return what is recorded under a name."""
        row = self.session.db.execute("SELECT value FROM metadata WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set(self, name: str, value: str | None) -> None:
        """Record a text under a name; None deletes it."""
        if value is None:
            self.session.writing.execute("DELETE FROM metadata WHERE name = ?", (name,))
        else:
            self.session.writing.execute("INSERT OR REPLACE INTO metadata VALUES (?, ?)", (name, value))
