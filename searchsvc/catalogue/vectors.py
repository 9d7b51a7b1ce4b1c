"""Vectors: one for each text that was embedded, by the digest of that text and of the model."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from searchsvc.catalogue.connection import Session, checksum
from searchsvc.catalogue.records import PassageVectors

NO_SENTENCES = np.empty(0, np.int8)


@dataclass(frozen=True, slots=True)
class Vectors:
    """Vectors of passages (float16), and short ones of the sentences within (int8, times 127)."""

    session: Session

    def known(self, digests: Collection[bytes]) -> set[bytes]:
        """Return those of the digests whose vector is recorded."""
        db, sql = self.session.db, "SELECT 1 FROM vectors WHERE digest = ?"
        return {digest for digest in digests if db.execute(sql, (digest,)).fetchone()}

    def of_articles(self, articles: Iterable[int], space: int) -> PassageVectors:
        """Return the vectors of the passages of articles, given by ascending row, in a space."""
        db = self.session.db
        sql = """SELECT p.row, p.article, v.vector FROM passages p JOIN vectors v ON v.digest = p.vector
                 WHERE p.article = ? AND p.space = ? ORDER BY p.row"""
        rows = [row for article in articles for row in db.execute(sql, (article, space))]
        vectors = np.frombuffer(b"".join(row[2] for row in rows), np.float16)
        return PassageVectors(
            np.array([row[0] for row in rows], np.int64),
            np.array([row[1] for row in rows], np.int64),
            vectors.reshape(len(rows), -1 if rows else 0),
        )

    def of_sentences(self, passages: Iterable[int]) -> dict[int, NDArray[np.int8]]:
        """Return the vectors of passages' sentences, (sentences, width), times 127, by the passage's row."""
        db = self.session.db
        sql = """SELECT p.row, length(p.sentences) / 8, v.sentences FROM passages p
                 JOIN vectors v ON v.digest = p.vector WHERE p.row = ?"""
        rows = [row for passage in passages if (row := db.execute(sql, (passage,)).fetchone())]
        return {row: np.frombuffer(blob, np.int8).reshape(count, -1) for row, count, blob in rows if count}

    def add(
        self,
        vectors: Iterable[tuple[bytes, NDArray[np.float16]]],
        sentences: Mapping[bytes, NDArray[np.int8]] = MappingProxyType({}),
    ) -> None:
        """Record vectors, and those of the sentences within, by the digest of what was embedded; known ones stay."""
        rows = (_row(digest, vector, sentences.get(digest, NO_SENTENCES)) for digest, vector in vectors)
        sql = "INSERT OR IGNORE INTO vectors (digest, vector, sentences, checksum) VALUES (?, ?, ?, ?)"
        self.session.writing.executemany(sql, rows)

    def replace(
        self, vectors: Iterable[tuple[bytes, NDArray[np.float16]]], sentences: Mapping[bytes, NDArray[np.int8]]
    ) -> None:
        """Record vectors in the place of those that are recorded by these digests."""
        rows = (_row(digest, vector, sentences[digest]) for digest, vector in vectors)
        sql = "UPDATE vectors SET vector = ?2, sentences = ?3, checksum = ?4 WHERE digest = ?1"
        self.session.writing.executemany(sql, rows)


def _row(digest: bytes, vector: NDArray[np.float16], sentences: NDArray[np.int8]) -> tuple[bytes, bytes, bytes, int]:
    values = (digest, vector.astype("<f2").tobytes(), sentences.tobytes())
    return (*values, checksum(*values))
