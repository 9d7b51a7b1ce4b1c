"""Passages: the stretches of articles that are searched, in each embedding space."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from searchsvc.catalogue.connection import Session, checksum
from searchsvc.catalogue.records import StoredPassage
from searchsvc.text.passages import Passage

COLUMNS = "p.row, p.article, p.start, p.end, p.sentences"

NewPassage = tuple[Passage, bytes]  # a passage, and the digest of its vector


@dataclass(frozen=True, slots=True)
class Passages:
    """Passages by row; rows are never used again, and the passages of one article have theirs in order."""

    session: Session

    def by_row(self, rows: Iterable[int]) -> dict[int, StoredPassage]:
        """Return passages by row, those of replaced articles too; one that is gone is not among them."""
        db, sql = self.session.db, f"SELECT {COLUMNS} FROM passages p WHERE row = ?"
        found = (db.execute(sql, (row,)).fetchone() for row in rows)
        return {values[0]: _passage(values) for values in found if values is not None}

    def of_article(self, article: int, space: int) -> list[StoredPassage]:
        """Return the passages of one article, by row, in a space, in order."""
        sql = f"SELECT {COLUMNS} FROM passages p WHERE article = ? AND space = ? ORDER BY row"
        return [_passage(values) for values in self.session.db.execute(sql, (article, space))]

    def exist(self, article: int, space: int) -> bool:
        """Return whether an article, by row, has passages in a space."""
        sql = "SELECT 1 FROM passages WHERE article = ? AND space = ?"
        return self.session.db.execute(sql, (article, space)).fetchone() is not None

    def count(self, articles: Iterable[int], space: int) -> int:
        """Return how many passages these articles have in a space."""
        db, sql = self.session.db, "SELECT count(*) FROM passages WHERE article = ? AND space = ?"
        return sum(db.execute(sql, (article, space)).fetchone()[0] for article in articles)

    def rows(self, space: int) -> NDArray[np.int64]:
        """Return the rows of all passages in force in a space, ascending."""
        sql = """SELECT p.row FROM passages p JOIN current_articles a ON a.row = p.article
                 WHERE p.space = ? ORDER BY p.row"""
        return np.fromiter((row for (row,) in self.session.db.execute(sql, (space,))), np.int64)

    def with_vector(self, digest: bytes) -> list[StoredPassage]:
        """Return the passages of articles in force whose vector is recorded by this digest."""
        sql = f"""SELECT {COLUMNS} FROM passages p JOIN current_articles a ON a.row = p.article
                  WHERE p.vector = ?"""
        return [_passage(values) for values in self.session.db.execute(sql, (digest,))]

    def possible_owners(self, passage: int, space: int) -> set[int]:
        """Return the articles in force, by row, to which a damaged passage of a space may belong.

        Passages of one article have been given rows in order, so its neighbours tell where it does not itself.
        """
        sql = """SELECT article FROM passages WHERE row BETWEEN ?1 - 1 AND ?1 + 1
                 AND article IN (SELECT row FROM current_articles) AND (space = ?2 OR row = ?1)"""
        return {article for (article,) in self.session.db.execute(sql, (passage, space))}

    def add(self, article: int, space: int, passages: Iterable[NewPassage]) -> None:
        """Add an article's passages in a space."""
        rows = (
            (article, space, passage.start, passage.end, np.array(passage.sentences, "<i4").tobytes(), digest)
            for passage, digest in passages
        )
        self.session.writing.executemany(
            """INSERT INTO passages (article, space, start, end, sentences, vector, checksum)
               VALUES (?, ?, ?, ?, ?, ?, ?)""",
            ((*row, checksum(*row)) for row in rows),
        )

    def remove(self, rows: Iterable[int]) -> None:
        """Delete passages, by row; their vectors stay."""
        self.session.writing.executemany("DELETE FROM passages WHERE row = ?", ((row,) for row in rows))

    def remove_where(self, condition: str, value: int) -> None:
        """Delete the passages of which an SQL condition with one value holds; their vectors may be unused then."""
        db = self.session.writing
        digests = f"SELECT DISTINCT vector, 0 FROM passages WHERE {condition}"
        db.execute(f"INSERT OR IGNORE INTO unused_vectors {digests}", (value,))
        db.execute(f"DELETE FROM passages WHERE {condition}", (value,))


def _passage(values: tuple[int, int, int, int, bytes]) -> StoredPassage:
    row, article, start, end, sentences = values
    pairs = np.frombuffer(sentences, "<i4").reshape(-1, 2).tolist()
    return StoredPassage(row, article, Passage(start, end, tuple((a, b) for a, b in pairs)))
