"""Writing: what can change in a catalogue, within one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from searchsvc.catalogue.database import Connection
from searchsvc.catalogue.records import Entry, to_microseconds
from searchsvc.passages import Passage


class Writer:
    """What can be written to a catalogue within one transaction."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self._at = to_microseconds(datetime.now(UTC))

    def set_facts(self, facts: dict[str, str]) -> None:
        """Record what the index is made with."""
        self._db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())

    def begin_file(self, path: str) -> int:
        """Record a file whose articles are being added; return its row."""
        sql = """INSERT INTO files (path) VALUES (?)
                 ON CONFLICT (path) DO UPDATE SET size = NULL RETURNING row"""
        row: int = self._db.execute(sql, (path,)).fetchone()[0]
        return row

    def end_file(self, path: str, size: int, modified_ns: int, cut: str) -> None:
        """Record that a file was read to its end, as it was when that began, and by which rules it was cut."""
        sql = """INSERT INTO files (path, size, modified_ns, cut) VALUES (?, ?, ?, ?) ON CONFLICT (path) DO UPDATE
                 SET size = excluded.size, modified_ns = excluded.modified_ns, cut = excluded.cut"""
        self._db.execute(sql, (path, size, modified_ns, cut))

    def add_vectors(
        self,
        vectors: Iterable[tuple[bytes, NDArray[np.float16]]],
        sentences: Mapping[bytes, NDArray[np.int8]] = MappingProxyType({}),
    ) -> None:
        """Keep vectors, and those of the sentences within, by the digest of what was embedded."""
        none = np.empty(0, np.int8)
        rows = (
            (digest, vector.astype("<f2").tobytes(), sentences.get(digest, none).tobytes())
            for digest, vector in vectors
        )
        self._db.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?, ?)", rows)

    def put(self, entry: Entry, digest: bytes, file: int | None, passages: Sequence[tuple[Passage, bytes]]) -> bool:
        """Add an article (its `row` is ignored), with its passages and their vectors' digests.

        An article with the same id goes; return whether there was one.
        """
        replaced = self.remove(entry.id)
        published = None if entry.published is None else to_microseconds(entry.published)
        cursor = self._db.execute(
            """INSERT INTO articles (id, key, title, text, url, source, author, published, published_from, language,
                                     digest, file) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            (entry.id, entry.key, entry.title, entry.text, entry.url, entry.source, entry.author, published,
             entry.published_from, entry.language, digest, file),
        )  # fmt: skip
        article = cursor.lastrowid
        self._db.executemany(
            "INSERT INTO passages (article, start, end, sentences, vector) VALUES (?, ?, ?, ?, ?)",
            ((article, p.start, p.end, np.array(p.sentences, "<i4").tobytes(), vector) for p, vector in passages),
        )
        self._log(article, "added")
        return replaced

    def remove(self, ident: str) -> bool:
        """Take an article out; return whether it was there."""
        found = self._db.execute("DELETE FROM articles WHERE id = ? RETURNING row", (ident,)).fetchone()
        if found:
            self._log(found[0], "removed")
        return found is not None

    def _log(self, article: int | None, action: str) -> None:
        self._db.execute("INSERT INTO changes (article, action, at) VALUES (?, ?, ?)", (article, action, self._at))
