"""Embedding spaces: by which model passages are embedded. One serves, while the next may be in the making."""

from dataclasses import dataclass

from searchsvc.catalogue.connection import Session
from searchsvc.catalogue.records import EmbeddingSpace


@dataclass(frozen=True, slots=True)
class Spaces:
    """The spaces of a catalogue: at most one is `serving`, at most one `making`, the others have ended."""

    session: Session

    def get(self, state: str = "serving") -> EmbeddingSpace | None:
        """Return the space that is `serving`, or the one that is `making`; None where there is none."""
        sql = "SELECT row, model, fingerprint, dimension, passage_tokens FROM spaces WHERE state = ?"
        row = self.session.db.execute(sql, (state,)).fetchone()
        return None if row is None else EmbeddingSpace(*row)

    def begin(self, model: str, fingerprint: str, dimension: int, passage_tokens: int, state: str) -> EmbeddingSpace:
        """Record a space, `serving` or `making`; one that was in the making before is given up."""
        db = self.session.writing
        db.execute("UPDATE spaces SET state = 'ended', at = 0 WHERE state = 'making'")
        sql = """INSERT INTO spaces (model, fingerprint, dimension, passage_tokens, state, at)
                 VALUES (?, ?, ?, ?, ?, ?) RETURNING row"""
        values = (model, fingerprint, dimension, passage_tokens)
        (row,) = db.execute(sql, (*values, state, self.session.now)).fetchone()
        return EmbeddingSpace(row, *values)

    def serve(self, space: int) -> None:
        """Let a space, by row, serve instead of the one that does."""
        db, now = self.session.writing, self.session.now
        db.execute("UPDATE spaces SET state = 'ended', at = ? WHERE state = 'serving'", (now,))
        db.execute("UPDATE spaces SET state = 'serving', at = ? WHERE row = ?", (now, space))
