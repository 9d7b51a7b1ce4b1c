"""Writing: what can change in a catalogue, within one transaction."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from datetime import UTC, datetime
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from searchsvc.catalogue import boilerplate as blocks
from searchsvc.catalogue import failing_parts as parts
from searchsvc.catalogue import near_duplicates as stories
from searchsvc.catalogue.checksums import ARTICLE, Key, Table, checksum, fill
from searchsvc.catalogue.database import Connection
from searchsvc.catalogue.records import EmbeddingSpace, FailingPart, FeedState, FileState, Job, to_microseconds
from searchsvc.text.article import Article
from searchsvc.text.boilerplate import Block
from searchsvc.text.passages import Passage

MOST_VERSIONS = 100  # kept of one article
MOST_JOBS = 1_000

Cut = tuple[Passage, bytes]  # a passage, and the digest of its vector


class Writer:
    """What can be written to a catalogue within one transaction."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self._at = to_microseconds(datetime.now(UTC))
        self._touched: set[int] = set()  # blocks that more or fewer articles hold now
        self._cut: dict[int, frozenset[int]] = {}  # the junk that articles which came were cut without, by row

    def settle(self) -> None:
        """Judge what is junk now; the last thing to be done in a transaction."""
        blocks.judge(self._db, self._touched, self._cut)

    # ------------------------------------------------------------------ articles

    def put(
        self,
        entry: Article,
        *,
        digest: bytes,
        given: bytes,
        file: int | None,
        space: int,
        passages: Sequence[Cut],
        held: Iterable[Block] = (),
        without: frozenset[int] = frozenset(),
    ) -> bool:
        """Put an article in force, with its passages in a space; return whether one with its id was in force before.

        The row, version and time of the entry are ignored. `digest` is of all that the source gave, `given` of title
        and text alone: where that is another than before, this is another version. `held` are its blocks; the passages
        were cut `without` those of them.
        """
        sql = "UPDATE articles SET until = ? WHERE id = ? AND until IS NULL RETURNING row, version, since, given"
        before = self._db.execute(sql, (self._at, entry.id)).fetchall()
        version, since = 1, self._at
        for row, old, old_since, old_given in before:
            version, since = (old, old_since) if old_given in {None, given} else (old + 1, self._at)
            self._log(row, "removed")
            self._release(row)
        published = None if entry.published is None else to_microseconds(entry.published)
        values = (entry.id, entry.key, entry.title, entry.text, entry.url, entry.source, entry.author, published,
                  entry.published_from, entry.language, version, since, digest, given, entry.origin)  # fmt: skip
        cursor = self._db.execute(
            f"""INSERT INTO articles ({", ".join(ARTICLE)}, file, checksum)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            (*values, file, checksum(*values)),
        )
        article: int = cursor.lastrowid  # type: ignore[assignment]
        self.add_passages(article, space, passages)
        if file is not None:
            self._db.execute("INSERT OR IGNORE INTO claims VALUES (?, ?)", (file, entry.id))
        self._log(article, "added")
        stories.enter(self._db, article)
        self._hold(article, held)
        self._cut[article] = without
        return bool(before)

    def rename(self, ident: str, other: str) -> None:
        """Give an article, with all its versions, another id, which no article may have."""
        sql = "UPDATE articles SET id = ?, checksum = NULL WHERE id = ? RETURNING row"
        rows = [row for (row,) in self._db.execute(sql, (other, ident)).fetchall()]
        fill(self._db, "articles", rows)

    def recut(self, article: int, space: int, passages: Sequence[Cut]) -> None:
        """Give an article, by row, other passages, cut without what is junk now.

        Its rows are never changed, so it gets another row, of the same version, and passages in no other space.
        """
        columns = """id, key, title, text, url, source, author, published, published_from, language, version, since,
                     digest, given, origin, file, checksum"""
        self._db.execute("UPDATE articles SET until = ? WHERE row = ?", (self._at, article))
        sql = f"INSERT INTO articles ({columns}) SELECT {columns} FROM articles WHERE row = ?"
        row: int = self._db.execute(sql, (article,)).lastrowid  # type: ignore[assignment]
        self._log(article, "removed")
        self._log(row, "added")
        self.add_passages(row, space, passages)
        self._db.execute("UPDATE blocks SET article = ? WHERE article = ?", (row, article))
        stories.renumber(self._db, article, row)
        self.confirm(article)

    def confirm(self, article: int) -> None:
        """Record that an article's passages are cut without what is junk now."""
        self._db.execute("DELETE FROM outdated WHERE article = ?", (article,))

    def count(self, article: int, held: Iterable[Block]) -> None:
        """Record the blocks of an article that is in force, where none were recorded of it."""
        if self._db.execute("DELETE FROM uncounted WHERE article = ? RETURNING 1", (article,)).fetchone():
            self._hold(article, held)

    def _hold(self, article: int, held: Iterable[Block]) -> None:
        found = list(held)
        blocks.hold(self._db, article, found)
        self._touched.update(one.number for one in found)

    def _release(self, article: int) -> None:
        self._db.execute("DELETE FROM damaged WHERE article = ?", (article,))
        self._touched.update(blocks.release(self._db, article))
        stories.leave(self._db, article)
        self._cut.pop(article, None)

    def add_passages(self, article: int, space: int, passages: Iterable[Cut]) -> None:
        """Add an article's passages in a space."""
        rows = (
            (article, space, one.start, one.end, np.array(one.sentences, "<i4").tobytes(), vector)
            for one, vector in passages
        )
        self._db.executemany(
            """INSERT INTO passages (article, space, start, end, sentences, vector, checksum)
               VALUES (?, ?, ?, ?, ?, ?, ?)""",
            ((*row, checksum(*row)) for row in rows),
        )

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
        self._db.executemany(
            "INSERT OR IGNORE INTO vectors (digest, vector, sentences, checksum) VALUES (?, ?, ?, ?)",
            ((*row, checksum(*row)) for row in rows),
        )

    def remove(self, ident: str) -> bool:
        """Take an article out, with all its versions; return whether it was there."""
        digests = """SELECT DISTINCT vector, ? FROM passages
                     WHERE article IN (SELECT row FROM articles WHERE id = ?)"""
        self._db.execute(f"INSERT OR REPLACE INTO unused {digests}", (self._at, ident))
        for (row,) in self._db.execute("SELECT row FROM newest WHERE id = ?", (ident,)).fetchall():
            self._release(row)
        found = self._db.execute("DELETE FROM articles WHERE id = ? RETURNING row, until", (ident,)).fetchall()
        for row, until in found:
            if until is None:
                self._log(row, "removed")
        self._db.execute("DELETE FROM claims WHERE id = ?", (ident,))
        return bool(found)

    # ------------------------------------------------------------------ stories

    def set_bands(self, article: int, bands: Iterable[int]) -> None:
        """Record the bands of an article, by row, by which its copies have been looked for."""
        stories.set_bands(self._db, article, bands)

    def set_story(self, articles: Iterable[int], story: int) -> None:
        """Record that these articles, by row, tell a story, named by the row that one of its copies has or had."""
        stories.set_story(self._db, articles, story)

    def unfold_all(self, making: str) -> None:
        """Let copies be looked for again of all articles, by bands that are made in this way."""
        stories.unfold_all(self._db, making)

    # ------------------------------------------------------------------ files

    def begin_file(self, path: str, key: str | None = None) -> int:
        """Record a file whose articles are being added; return its row. The key that it was first given stays."""
        sql = """INSERT INTO files (path, key) VALUES (?, ?)
                 ON CONFLICT (path) DO UPDATE SET size = NULL, key = coalesce(key, excluded.key) RETURNING row"""
        row: int = self._db.execute(sql, (path, key)).fetchone()[0]
        return row

    def end_file(self, path: str, seen: FileState) -> None:
        """Record that a file was read to its end, as it was when that began."""
        row = self.begin_file(path, seen.key)
        sql = """UPDATE files SET size = ?, modified_ns = ?, changed_ns = ?, seen_ns = ?, digest = ?, cut = ?,
                 problems = ? WHERE row = ?"""
        problems = json.dumps([astuple(one) for one in seen.problems]) if seen.problems else None
        times = (seen.modified_ns, seen.changed_ns, seen.seen_ns)
        self._db.execute(sql, (seen.size, *times, seen.digest, seen.cut, problems, row))

    def own(self, ident: str, file: int) -> None:
        """Record that an article's text is in force as this file holds it."""
        sql = "UPDATE articles SET file = ? WHERE id = ? AND until IS NULL AND file IS NOT ?"
        self._db.execute(sql, (file, ident, file))
        self._db.execute("INSERT OR IGNORE INTO claims VALUES (?, ?)", (file, ident))

    def disclaim(self, path: str, idents: Iterable[str]) -> tuple[int, set[str]]:
        """Record that a file holds these articles no longer.

        Those whose text is in force as this file held it, or as one did that gave it up before, are taken out, unless
        another file holds them too: such files must be read again. Return how many were taken out, and the paths of
        those files.
        """
        removed, again = 0, set()
        file = self._db.execute("SELECT row FROM files WHERE path = ?", (path,)).fetchone()
        for ident in idents if file else ():
            self._db.execute("DELETE FROM claims WHERE file = ? AND id = ?", (*file, ident))
            given_up = """SELECT 1 FROM newest WHERE id = ? AND file IS NOT NULL AND NOT EXISTS
                          (SELECT 1 FROM claims WHERE claims.file = newest.file AND claims.id = newest.id)"""
            if self._db.execute(given_up, (ident,)).fetchone() is None:
                continue
            others = """UPDATE files SET size = NULL WHERE row IN (SELECT file FROM claims WHERE id = ?)
                        RETURNING path"""
            holders = {path for (path,) in self._db.execute(others, (ident,)).fetchall()}
            again |= holders
            removed += not holders and self.remove(ident)
        return removed, again

    def forget_file(self, path: str) -> None:
        """Record that there is no such file; what it held must have been disclaimed."""
        # What another file holds too is that one's from now on: nothing else would take it out in the end.
        sql = """UPDATE articles SET file =
                 (SELECT min(c.file) FROM claims c WHERE c.id = articles.id AND c.file <> articles.file)
                 WHERE file = (SELECT row FROM files WHERE path = ?)"""
        self._db.execute(sql, (path,))
        self._db.execute("DELETE FROM files WHERE path = ?", (path,))

    # ------------------------------------------------------------------ feeds

    def set_feed(self, url: str, feed: FeedState) -> None:
        """Record what a feed's server said, and when it may be asked again."""
        later = None if feed.next_at is None else to_microseconds(feed.next_at)
        sql = """INSERT INTO feeds (url, etag, modified, failures, next, given_by) VALUES (?, ?, ?, ?, ?, ?)
                 ON CONFLICT (url) DO UPDATE SET etag = excluded.etag, modified = excluded.modified,
                 failures = excluded.failures, next = excluded.next, given_by = excluded.given_by"""
        self._db.execute(sql, (url, feed.etag, feed.modified, feed.failures, later, feed.given_by))

    def set_entry(self, url: str, key: str, digest: bytes) -> None:
        """Record an entry of a feed as it was seen."""
        self._db.execute("INSERT OR IGNORE INTO feeds (url, failures) VALUES (?, 0)", (url,))
        sql = "INSERT OR REPLACE INTO entries SELECT row, ?, ? FROM feeds WHERE url = ?"
        self._db.execute(sql, (key, digest, url))

    # ------------------------------------------------------------------ jobs

    def set_job(self, job: Job) -> None:
        """Record a job as it stands; the oldest beyond a thousand are forgotten."""
        ended = None if job.ended is None else to_microseconds(job.ended)
        values = (job.id, to_microseconds(job.began), ended, job.said, job.owner)
        self._db.execute("INSERT OR REPLACE INTO jobs (id, began, ended, said, owner) VALUES (?, ?, ?, ?, ?)", values)
        kept = "SELECT id FROM jobs ORDER BY began DESC LIMIT ?"
        self._db.execute(f"DELETE FROM jobs WHERE id NOT IN ({kept})", (MOST_JOBS,))

    # ------------------------------------------------------------------ health

    def set_parts(self, owner: str, failing: Iterable[FailingPart]) -> None:
        """Record which parts of a process are failing: these, and no others of it."""
        parts.replace(self._db, owner, failing)

    # ------------------------------------------------------------------ spaces

    def begin_space(
        self, model: str, fingerprint: str, dimension: int, passage_tokens: int, state: str
    ) -> EmbeddingSpace:
        """Record a space, `serving` or `making`; one that was in the making before is given up."""
        self._db.execute("UPDATE spaces SET state = 'ended', at = 0 WHERE state = 'making'")
        sql = """INSERT INTO spaces (model, fingerprint, dimension, passage_tokens, state, at)
                 VALUES (?, ?, ?, ?, ?, ?) RETURNING row"""
        values = (model, fingerprint, dimension, passage_tokens, state, self._at)
        return EmbeddingSpace(
            self._db.execute(sql, values).fetchone()[0], model, fingerprint, dimension, passage_tokens
        )

    def serve_space(self, space: int) -> None:
        """Put a space in force instead of the one that is."""
        self._db.execute("UPDATE spaces SET state = 'ended', at = ? WHERE state = 'serving'", (self._at,))
        self._db.execute("UPDATE spaces SET state = 'serving', at = ? WHERE row = ?", (self._at, space))

    # ------------------------------------------------------------------ damage

    def fill(self, table: Table, keys: Iterable[Key]) -> None:
        """Give rows of an older version, by key, the checksum of what they say now."""
        fill(self._db, table, keys)

    def reread(self, article: int) -> None:
        """Let the file of an article, by row, be read again, and the article be recorded again as that gives it."""
        sql = "UPDATE files SET size = NULL, digest = NULL WHERE row = (SELECT file FROM articles WHERE row = ?)"
        self._db.execute(sql, (article,))
        self._db.execute("UPDATE articles SET digest = x'', given = NULL WHERE row = ?", (article,))

    def drop_replaced(self, article: int) -> None:
        """Forget an article, by row, that is not in force."""
        self._drop_passages("article = ?", article)
        self._db.execute("DELETE FROM articles WHERE row = ? AND until IS NOT NULL", (article,))

    def take_out(self, article: int) -> None:
        """Take an article out, by row alone: its id may be no one's."""
        self._db.execute("UPDATE articles SET until = ? WHERE row = ?", (self._at, article))
        self._log(article, "removed")
        self._release(article)

    def drop_passages(self, passages: Iterable[int]) -> None:
        """Forget passages, by row."""
        self._db.executemany("DELETE FROM passages WHERE row = ?", ((row,) for row in passages))

    def renew_vectors(
        self, vectors: Mapping[bytes, NDArray[np.float16]], sentences: Mapping[bytes, NDArray[np.int8]]
    ) -> None:
        """Put vectors, and those of the sentences within, in the place of those that are kept by these digests."""
        rows = [(digest, one.astype("<f2").tobytes(), sentences[digest].tobytes()) for digest, one in vectors.items()]
        sql = "UPDATE vectors SET vector = ?2, sentences = ?3, checksum = ?4 WHERE digest = ?1"
        self._db.executemany(sql, ((*row, checksum(*row)) for row in rows))

    def note_damaged(self, said: Mapping[int, str], *, all_looked_at: bool) -> None:
        """Record what is wrong with articles, by row, that could not be mended."""
        if all_looked_at:
            self._db.execute("DELETE FROM damaged")
        self._db.executemany("INSERT OR REPLACE INTO damaged SELECT row, ? FROM articles WHERE row = ?",
                             ((why, row) for row, why in said.items()))  # fmt: skip

    def set_fact(self, name: str, value: str | None) -> None:
        """Record something of the whole catalogue under a name; None forgets it."""
        if value is None:
            self._db.execute("DELETE FROM facts WHERE name = ?", (name,))
        else:
            self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    # ------------------------------------------------------------------ upkeep

    def tidy(self, before: datetime) -> None:
        """Let go of passages and vectors not in force since `before`, and of versions past the hundredth."""
        moment = to_microseconds(before)
        replaced = "article IN (SELECT row FROM articles WHERE until < ?)"
        self._drop_passages(replaced, moment)
        ended = self._db.execute("SELECT row FROM spaces WHERE state = 'ended' AND at < ?", (moment,)).fetchall()
        for (space,) in ended:
            self._drop_passages("space = ?", space)
            self._db.execute("DELETE FROM spaces WHERE row = ?", (space,))
        again = """SELECT 1 FROM articles newer WHERE newer.id = articles.id AND newer.row > articles.row
                   AND newer.version IN (articles.version, articles.version + ?)"""
        sql = f"DELETE FROM articles WHERE until < ? AND EXISTS ({again})"
        self._db.execute(sql, (moment, MOST_VERSIONS))
        gone = "SELECT digest FROM unused WHERE since < ? AND NOT EXISTS (SELECT 1 FROM passages WHERE vector = digest)"
        self._db.execute(f"DELETE FROM vectors WHERE digest IN ({gone})", (moment,))
        self._db.execute("DELETE FROM unused WHERE since < ?", (moment,))

    def _drop_passages(self, which: str, value: int) -> None:
        digests = f"SELECT DISTINCT vector, 0 FROM passages WHERE {which}"
        self._db.execute(f"INSERT OR IGNORE INTO unused {digests}", (value,))
        self._db.execute(f"DELETE FROM passages WHERE {which}", (value,))

    def _log(self, article: int, action: str) -> None:
        self._db.execute("INSERT INTO changes (article, action, at) VALUES (?, ?, ?)", (article, action, self._at))
