"""The catalogue: the record of everything indexed, one SQLite file from which all else can be rebuilt.

    articles ──< passages >── vectors          changes: 1, 2, 3, … which article came, which went

An article's row and its passages' rows are written once and never reused: an article that changes gets a new row under
the same id, and the old one stays as an earlier version. A follower (FAISS, tantivy) therefore only needs the changes
behind the last number that it applied. Passages of a replaced row are kept for a while, for searches that are still
answered from a snapshot that holds them. Vectors are kept by what was embedded, so the same text is never embedded
twice; passages and vectors belong to a space, of which one serves while the next may be in the making.
"""

import json
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from searchsvc.catalogue import failing_parts as parts
from searchsvc.catalogue import near_duplicates as stories
from searchsvc.catalogue.backup import copy, is_catalogue, proven, put_in_place
from searchsvc.catalogue.boilerplate import among, of
from searchsvc.catalogue.checksums import CheckedRows, Key, Table, check_rows
from searchsvc.catalogue.database import Connection, Identity, connect, identity, make, migrate
from searchsvc.catalogue.records import (
    Counts,
    DateSpan,
    EmbeddingSpace,
    FailingPart,
    FeedState,
    FileState,
    Job,
    PassageVectors,
    RecurringBlock,
    StoredPassage,
    from_microseconds,
    to_microseconds,
)
from searchsvc.catalogue.writer import Writer
from searchsvc.errors import Busy, NoIndex
from searchsvc.text.article import Article, Problem, Version
from searchsvc.text.passages import Passage
from searchsvc.text.sources import standing

__all__ = [
    "Article",
    "Catalogue",
    "Counts",
    "DateSpan",
    "EmbeddingSpace",
    "FailingPart",
    "FeedState",
    "FileState",
    "Job",
    "Key",
    "PassageVectors",
    "RecurringBlock",
    "StoredPassage",
    "Table",
    "Version",
    "Writer",
    "from_microseconds",
    "to_microseconds",
]

ENTRY = "row, id, key, title, text, url, source, author, published, published_from, language, version, since, origin"
SEEN = "key, size, modified_ns, changed_ns, seen_ns, digest, cut, problems"

UNDER = "(path = ? OR (path > ? AND path < ?))"


class Catalogue:
    """One SQLite file in WAL mode; a connection for each thread, any number of readers, one writer.

    Everything raises NoIndex once the file is gone from its path, and Busy once another lies there: what is read would
    no longer be so, and nobody would find what is written. A Catalogue that is opened then is of what lies there.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Open a catalogue, bringing it to this version; raises NoIndex, DamagedCatalogue or ModelMismatch."""
        if not create and not path.is_file():
            raise NoIndex(f"there is no index in {path.parent}", "searchsvc index PATH… makes one")
        if not path.exists():
            make(path)
        self.path = path
        self._threads = threading.local()
        self._opened: Identity | None = None
        # Kept open beyond its thread, so that no other file is given the inode, and the log stays.
        self._first: Connection | None = None
        try:
            migrate(self._db, create=create)
        except BaseException:
            self.close()
            raise

    @property
    def is_current(self) -> bool:
        """Whether the file that is open still lies at its path, with its write-ahead log."""
        return self._opened is None or identity(self.path) == self._opened

    @property
    def is_beside_its_log(self) -> bool:
        """Whether another file lies at its path beside the log that it had, which SQLite would play into that one."""
        (file, log), opened = identity(self.path), self._opened
        return opened is not None and log is not None and log == opened[1] and file is not None and file != opened[0]

    def must_be_current(self) -> None:
        """Raise NoIndex where the file is gone from its path, Busy where another lies there."""
        if self.is_current:
            return
        if not self.path.is_file():
            raise NoIndex(
                f"the index in {self.path.parent} is gone: its catalogue was deleted or moved away",
                "put it back, or searchsvc index PATH… makes another",
            )
        raise Busy(f"another index was put in place of the one in {self.path.parent}", "do it again")

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._threads, "connection", None)
        if connection is not None:
            connection.close()
            self._threads.connection = None
        if connection is self._first:
            self._first = self._opened = None

    # ------------------------------------------------------------------ reading

    def lineage(self) -> str:
        """Return the random name that a catalogue gets when it is made, and anew when another is restored over it."""
        return str(self._db.execute("SELECT value FROM facts WHERE name = 'lineage'").fetchone()[0])

    def space(self, state: str = "serving") -> EmbeddingSpace | None:
        """Return the space that is `serving`, or the one that is `making`; None where there is none."""
        sql = "SELECT row, model, fingerprint, dimension, passage_tokens FROM spaces WHERE state = ?"
        found = self._db.execute(sql, (state,)).fetchone()
        return None if found is None else EmbeddingSpace(*found)

    def counts(self) -> Counts:
        """Return how much there is in force, and how far the change log goes."""
        last = "SELECT number, at FROM changes ORDER BY number DESC LIMIT 1"
        number, at = self._db.execute(last).fetchone() or (0, None)
        serving = "SELECT row FROM spaces WHERE state = 'serving'"
        passages = self._one(f"SELECT count(*) FROM passages WHERE space = ({serving})")
        replaced = f"""SELECT count(*) FROM passages WHERE space = ({serving})
                       AND article IN (SELECT row FROM articles WHERE until IS NOT NULL)"""
        return Counts(
            articles=self._one("SELECT count(*) FROM newest"),
            passages=passages - self._one(replaced),
            generation=number,
            updated=None if at is None else from_microseconds(at),
        )

    def span(self) -> DateSpan:
        """Return the first and last date of publication, and how many articles have none."""
        sql = "SELECT min(published), max(published), count(*) - count(published) FROM newest"
        low, high, undated = self._db.execute(sql).fetchone()
        oldest, newest = (None if value is None else from_microseconds(value) for value in (low, high))
        return DateSpan(oldest, newest, undated)

    def sources(self) -> list[tuple[str, int]]:
        """Return the sources with how many articles each has, most first."""
        sql = "SELECT source, count(*) FROM newest WHERE source IS NOT NULL GROUP BY source ORDER BY 2 DESC, 1"
        return [(source, count) for source, count in self._db.execute(sql)]

    def generation(self) -> int:
        """Return the number of the last change; 0 before the first."""
        return self._one("SELECT coalesce(max(number), 0) FROM changes")

    def changed_at(self, number: int) -> datetime | None:
        """Return when a change was made; None when there is no such change."""
        found = self._db.execute("SELECT at FROM changes WHERE number = ?", (number,)).fetchone()
        return None if found is None else from_microseconds(found[0])

    def stamp(self, number: int) -> str:
        """Return what tells a change from the one with the same number in another catalogue."""
        return f"{self.lineage()} {self.changed_at(number)}"

    def article(self, ident: str) -> Article | None:
        """Return the article with this id, or None."""
        found = self._db.execute(f"SELECT {ENTRY} FROM newest WHERE id = ?", (ident,)).fetchone()
        return None if found is None else _entry(found)

    def articles(self, rows: Iterable[int]) -> dict[int, Article]:
        """Return articles by row, replaced ones too; one that has gone is not among them."""
        db, sql = self._db, f"SELECT {ENTRY} FROM articles WHERE row = ?"
        found = (db.execute(sql, (row,)).fetchone() for row in rows)
        return {values[0]: _entry(values) for values in found if values is not None}

    def filterable(self, rows: Iterable[int]) -> dict[int, tuple[int | None, str | None, str | None]]:
        """Return what filters look at (published, in microseconds since 1970; source; language) by article's row."""
        db, sql = self._db, "SELECT published, source, language FROM articles WHERE row = ?"
        return {row: found for row in rows if (found := db.execute(sql, (row,)).fetchone()) is not None}

    def passages(self, rows: Iterable[int]) -> dict[int, StoredPassage]:
        """Return passages by row; one that has gone is not among them."""
        db, sql = self._db, "SELECT row, article, start, end, sentences FROM passages WHERE row = ?"
        found = (db.execute(sql, (row,)).fetchone() for row in rows)
        return {values[0]: _found(values) for values in found if values is not None}

    def sentence_vectors(self, rows: Iterable[int]) -> dict[int, NDArray[np.int8]]:
        """Return the vectors of passages' sentences, (sentences, width), times 127, by the passage's row."""
        db = self._db
        sql = """SELECT p.row, length(p.sentences) / 8, v.sentences FROM passages p
                 JOIN vectors v ON v.digest = p.vector WHERE p.row = ?"""
        found = [values for row in rows if (values := db.execute(sql, (row,)).fetchone())]
        return {row: np.frombuffer(blob, np.int8).reshape(count, -1) for row, count, blob in found if count}

    def ids_of(self, name: str) -> list[str]:
        """Return the id that this is, or else the ids of the articles with this key, or else of this source."""
        for column in ("id", "key", "source"):
            if found := self._db.execute(f"SELECT id FROM newest WHERE {column} = ?", (name,)).fetchall():
                return [ident for (ident,) in found]
        return []

    def digests(self, ids: Iterable[str]) -> dict[str, bytes]:
        """Return the digest of each of these articles that exists, by id."""
        db, sql = self._db, "SELECT id, digest FROM newest WHERE id = ?"
        return dict(found for ident in ids if (found := db.execute(sql, (ident,)).fetchone()))

    def origins(self, ids: Iterable[str]) -> dict[str, str | None]:
        """Return the origin of each of these articles that exists, by id; None where the owner gave it."""
        sql = "SELECT id, origin FROM newest WHERE id = ?"
        return dict(found for ident in ids if (found := self._db.execute(sql, (ident,)).fetchone()))

    def standings(self, rows: Iterable[int]) -> dict[int, int]:
        """Return how good the word is by which the source of each of these articles, by row, is known."""
        sql = "SELECT source, url, origin FROM articles WHERE row = ?"
        return {row: standing(*found) for row in rows if (found := self._db.execute(sql, (row,)).fetchone())}

    def seen(self, path: str) -> FileState | None:
        """Return what is known of a file."""
        found = self._db.execute(f"SELECT {SEEN} FROM files WHERE path = ?", (path,)).fetchone()
        return None if found is None else _seen(found)

    def seen_under(self, path: str) -> dict[str, FileState]:
        """Return what is known of a file, or of the files below a folder, by path."""
        sql = f"SELECT path, {SEEN} FROM files WHERE {UNDER}"
        return {name: _seen(rest) for name, *rest in self._db.execute(sql, _under(path))}

    def count_under(self, path: str) -> int:
        """Return how many files are known at and below a path."""
        return int(self._db.execute(f"SELECT count(*) FROM files WHERE {UNDER}", _under(path)).fetchone()[0])

    def has_passages(self, article: int, space: int) -> bool:
        """Say whether an article, given by row, has passages in a space."""
        sql = "SELECT 1 FROM passages WHERE article = ? AND space = ?"
        return self._db.execute(sql, (article, space)).fetchone() is not None

    def file_of(self, ident: str) -> str | None:
        """Return the path of the file that an article came from, or None."""
        sql = "SELECT path FROM files JOIN newest ON newest.file = files.row WHERE newest.id = ?"
        found = self._db.execute(sql, (ident,)).fetchone()
        return None if found is None else str(found[0])

    def ids_from(self, path: str) -> set[str]:
        """Return the ids of the articles that a file holds, as it was last read."""
        sql = "SELECT id FROM claims JOIN files ON claims.file = files.row WHERE path = ?"
        return {ident for (ident,) in self._db.execute(sql, (path,))}

    def versions(self, ident: str) -> list[Version]:
        """Return the texts that an article has had, newest first; empty where there is no such article."""
        sql = """SELECT version, title, text, since, until FROM articles WHERE row IN
                 (SELECT max(row) FROM articles WHERE id = ? GROUP BY version) ORDER BY version DESC"""
        return [
            Version(number, title, text, from_microseconds(since), until and from_microseconds(until))
            for number, title, text, since, until in self._db.execute(sql, (ident,))
        ]

    def feed(self, url: str) -> FeedState:
        """Return what is known of a feed."""
        sql = "SELECT etag, modified, failures, next, given_by FROM feeds WHERE url = ?"
        found = self._db.execute(sql, (url,)).fetchone()
        if found is None:
            return FeedState()
        etag, modified, failures, later, given_by = found
        return FeedState(etag, modified, failures, None if later is None else from_microseconds(later), given_by)

    def feeds(self) -> list[str]:
        """Return the addresses of the feeds that have been asked."""
        return [url for (url,) in self._db.execute("SELECT url FROM feeds ORDER BY url")]

    def entry_of(self, url: str, key: str) -> bytes | None:
        """Return the digest of a feed's entry as it was last seen; None for one that is new."""
        sql = "SELECT digest FROM entries JOIN feeds ON entries.feed = feeds.row WHERE url = ? AND key = ?"
        found = self._db.execute(sql, (url, key)).fetchone()
        return None if found is None else bytes(found[0])

    def job(self, ident: str) -> Job | None:
        """Return a job, or None."""
        found = self._db.execute("SELECT id, began, ended, said, owner FROM jobs WHERE id = ?", (ident,)).fetchone()
        return None if found is None else _job(found)

    def unended_jobs(self) -> list[Job]:
        """Return the jobs whose end is not on record, the oldest first."""
        sql = "SELECT id, began, ended, said, owner FROM jobs WHERE ended IS NULL ORDER BY began"
        return [_job(values) for values in self._db.execute(sql)]

    def failing_parts(self) -> list[tuple[str, FailingPart]]:
        """Return the parts on record as failing, each with the name of its process, which may have ended since."""
        return parts.every(self._db)

    def has_vectors(self, digests: Collection[bytes]) -> set[bytes]:
        """Return those of the digests whose vector is known."""
        db, sql = self._db, "SELECT 1 FROM vectors WHERE digest = ?"
        return {digest for digest in digests if db.execute(sql, (digest,)).fetchone()}

    def changes(self, after: int, upto: int) -> tuple[list[int], list[int]]:
        """Return the rows of articles (added and still there, removed) by the changes in (after, upto]."""
        added: dict[int, None] = {}
        removed: list[int] = []
        sql = "SELECT article, action FROM changes WHERE number > ? AND number <= ? ORDER BY number"
        for article, action in self._db.execute(sql, (after, upto)):
            if action == "added":
                added[article] = None
            else:
                added.pop(article, None)
                removed.append(article)
        return list(added), removed

    def passage_count(self, articles: Iterable[int], space: int) -> int:
        """Return how many passages these articles have in a space."""
        db, sql = self._db, "SELECT count(*) FROM passages WHERE article = ? AND space = ?"
        return sum(db.execute(sql, (article, space)).fetchone()[0] for article in articles)

    def deleted(self, articles: Iterable[int]) -> list[int]:
        """Return those of the articles, given by row, that are gone for good, and not merely replaced."""
        db, sql = self._db, "SELECT 1 FROM articles WHERE row = ?"
        return [row for row in articles if db.execute(sql, (row,)).fetchone() is None]

    def rows(self, articles: Sequence[int], space: int) -> PassageVectors:
        """Return the passages of articles, given by ascending row, with their vectors in a space."""
        db = self._db
        sql = """SELECT p.row, p.article, v.vector FROM passages p JOIN vectors v ON v.digest = p.vector
                 WHERE p.article = ? AND p.space = ? ORDER BY p.row"""
        found = [values for article in articles for values in db.execute(sql, (article, space))]
        vectors = np.frombuffer(b"".join(values[2] for values in found), np.float16)
        return PassageVectors(
            np.array([values[0] for values in found], np.int64),
            np.array([values[1] for values in found], np.int64),
            vectors.reshape(len(found), -1 if found else 0),
        )

    def passage_rows(self, space: int) -> NDArray[np.int64]:
        """Return the rows of all passages in force in a space, ascending."""
        sql = "SELECT p.row FROM passages p JOIN newest n ON n.row = p.article WHERE p.space = ? ORDER BY p.row"
        return np.fromiter((row for (row,) in self._db.execute(sql, (space,))), np.int64)

    def passages_of(self, article: int, space: int) -> list[StoredPassage]:
        """Return the passages of one article in a space, in order."""
        sql = "SELECT row, article, start, end, sentences FROM passages WHERE article = ? AND space = ? ORDER BY row"
        return [_found(values) for values in self._db.execute(sql, (article, space))]

    def lacking(self, space: int, after: int, most: int) -> list[Article]:
        """Return the first articles in force, by row, behind the row `after`, that have no passages in a space."""
        sql = f"""SELECT {ENTRY} FROM newest WHERE row > ? AND NOT EXISTS
                  (SELECT 1 FROM passages WHERE article = newest.row AND space = ?) ORDER BY row LIMIT ?"""
        return [_entry(values) for values in self._db.execute(sql, (after, space, most))]

    def junk_among(self, blocks: Iterable[int]) -> frozenset[int]:
        """Return which of these blocks, given by number, are junk."""
        return among(self._db, blocks)

    def junk_of(self, article: int) -> frozenset[int]:
        """Return the numbers of the junk in an article, given by row."""
        return of(self._db, article)

    def outdated(self, most: int) -> list[Article]:
        """Return the first articles whose passages do not follow from what is junk now, by row."""
        sql = f"SELECT {ENTRY} FROM newest WHERE row IN (SELECT article FROM outdated) ORDER BY row LIMIT ?"
        return [_entry(values) for values in self._db.execute(sql, (most,))]

    def is_outdated(self, article: int) -> bool:
        """Say whether an article, given by row, is among these."""
        return self._db.execute("SELECT 1 FROM outdated WHERE article = ?", (article,)).fetchone() is not None

    def uncounted(self, most: int) -> list[Article]:
        """Return the first articles whose blocks were never counted, by row."""
        sql = f"SELECT {ENTRY} FROM newest WHERE row IN (SELECT article FROM uncounted) ORDER BY row LIMIT ?"
        return [_entry(values) for values in self._db.execute(sql, (most,))]

    def recurring(self, least: int) -> list[RecurringBlock]:
        """Return the blocks that at least so many articles hold, most frequent first."""
        sql = """SELECT number, count(*), min(article), number IN (SELECT number FROM junk) FROM blocks
                 GROUP BY number HAVING count(*) >= ? ORDER BY 2 DESC, 1"""
        found = self._db.execute(sql, (least,))
        return [RecurringBlock(number, articles, row, bool(junk)) for number, articles, row, junk in found]

    def unfolded(self, most: int) -> list[Article]:
        """Return articles whose copies have not been looked for, the newest first."""
        newest = "SELECT article FROM unfolded ORDER BY article DESC LIMIT ?"
        sql = f"SELECT {ENTRY} FROM articles WHERE row IN ({newest}) ORDER BY row DESC"
        return [_entry(values) for values in self._db.execute(sql, (most,))]

    def making_of_bands(self) -> str | None:
        """Return how the bands are made; None where there never were any."""
        return stories.making(self._db)

    def alike(self, bands: Iterable[int], most: int) -> list[int]:
        """Return the articles, by row, that hold any of these bands; see `stories.alike`."""
        return stories.alike(self._db, bands, most)

    def story(self, article: int) -> int:
        """Return a number that all copies of an article's story share; its own row where it has no copy."""
        return stories.of(self._db, article)

    def copies(self, article: int) -> list[int]:
        """Return the rows of the other copies of an article's story."""
        return stories.copies(self._db, article)

    def origins_beside(self, article: int, most: int) -> dict[str | None, int]:
        """Return where the first copies of an article's story came from; see `stories.origins`."""
        return stories.origins(self._db, article, most)

    def unused_bytes(self) -> tuple[int, int]:
        """Return how many bytes of the file hold nothing, and its size."""
        free, pages, size = (self._one(f"PRAGMA {name}") for name in ("freelist_count", "page_count", "page_size"))
        return free * size, pages * size

    def check(self) -> list[str]:
        """Return what SQLite finds wrong with the file and with its references; empty when all is well."""
        found = [str(line) for (line,) in self._db.execute("PRAGMA integrity_check") if line != "ok"]
        found += [f"a row of {table} refers to nothing" for table, *_ in self._db.execute("PRAGMA foreign_key_check")]
        return found

    # ------------------------------------------------------------------ damage

    def check_rows(self, table: Table, after: Key | None, most: int) -> CheckedRows:
        """Look whether the next rows of a table fit their checksums; see `checksums.look`."""
        return check_rows(self._db, table, after, most)

    def using(self, vector: bytes) -> list[StoredPassage]:
        """Return the passages in force, or being made, whose vector is kept by this digest."""
        sql = """SELECT p.row, p.article, p.start, p.end, p.sentences FROM passages p
                 JOIN newest n ON n.row = p.article WHERE p.vector = ?"""
        return [_found(values) for values in self._db.execute(sql, (vector,))]

    def owners(self, passage: int, space: int) -> set[int]:
        """Return the articles in force, by row, to which a damaged passage of a space may belong.

        Passages of one article have been given rows in order, so its neighbours tell where it does not itself.
        """
        sql = """SELECT article FROM passages WHERE row BETWEEN ?1 - 1 AND ?1 + 1
                 AND article IN (SELECT row FROM newest) AND (space = ?2 OR row = ?1)"""
        return {article for (article,) in self._db.execute(sql, (passage, space))}

    def is_in_force(self, article: int) -> bool:
        """Say whether an article, given by row, is the one of its id that is in force."""
        return self._db.execute("SELECT 1 FROM newest WHERE row = ?", (article,)).fetchone() is not None

    def file_of_row(self, article: int) -> str | None:
        """Return the path of the file that an article, given by row, came from, or None."""
        sql = "SELECT path FROM files WHERE row = (SELECT file FROM articles WHERE row = ?)"
        found = self._db.execute(sql, (article,)).fetchone()
        return None if found is None else str(found[0])

    def damaged(self) -> list[str]:
        """Return what is wrong with articles that could not be mended."""
        return [said for (said,) in self._db.execute("SELECT said FROM damaged ORDER BY article")]

    def fact(self, name: str) -> str | None:
        """Return what is recorded under a name of the whole catalogue."""
        found = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    # ------------------------------------------------------------------ writing

    @contextmanager
    def writing(self) -> Iterator["Writer"]:
        """Give a writer; all that it wrote is committed at the end, or nothing is."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            self.must_be_current()  # others may have written for a while
            writer = Writer(db)
            yield writer
            writer.settle()
            self.must_be_current()
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        self.must_be_current()  # else it lies where nobody will find it

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Make all reads within see one and the same state; within another, that of the other."""
        db = self._db
        if db.in_transaction:
            yield
            return
        db.execute("BEGIN")
        try:
            yield
        finally:
            db.execute("COMMIT")

    def compact(self) -> None:
        """Give the file's unused space back to the disk; searches go on meanwhile."""
        self._db.execute("VACUUM")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def copy_to(self, file: Path) -> None:
        """Write a consistent, compact copy into a file, whoever is reading or writing meanwhile; see `copies.copy`."""
        copy(self._db, file)

    @staticmethod
    def is_in(file: Path) -> bool:
        """Say whether a file is a catalogue, or a copy of one, by its header."""
        return file.is_file() and is_catalogue(file)

    @classmethod
    def restored(cls, file: Path, path: Path, prepare: "Callable[[Catalogue], None]" = lambda _: None) -> "Catalogue":
        """Put what a copy holds in the place of the catalogue at `path`, and open it; see `copies`.

        What there was stays, untouched, until the copy has been proven and `prepare` has done with it what is to be
        done before.
        """
        with proven(file, path) as part:
            beside = cls(part)
            try:
                prepare(beside)
            finally:
                beside.close()
            put_in_place(part, path)
        return cls(path)

    # ------------------------------------------------------------------ inside

    @property
    def _db(self) -> Connection:
        connection: Connection | None = getattr(self._threads, "connection", None)
        if connection is not None and connection.in_transaction:
            return connection  # which was looked at when that began
        self.must_be_current()
        if connection is None:
            connection = self._threads.connection = self._connected()
        return connection

    def _connected(self) -> Connection:
        before, _ = identity(self.path)
        connection = connect(self.path)
        try:
            if self._opened is None:
                connection.execute("SELECT 1 FROM sqlite_schema").fetchone()  # which opens the log
                self._opened, self._first = (before, identity(self.path)[1]), connection
            self.must_be_current()
        except BaseException:
            connection.close()
            raise
        return connection

    def _one(self, sql: str) -> int:
        value: int = self._db.execute(sql).fetchone()[0]
        return value


def _entry(values: tuple[object, ...]) -> Article:
    published, since = (from_microseconds(at) if isinstance(at, int) else None for at in (values[8], values[12]))
    return Article(*values[:8], published, *values[9:12], since, values[13])  # type: ignore[call-arg, arg-type]


def _job(values: tuple[Any, ...]) -> Job:
    ident, began, ended, said, owner = values
    end = None if ended is None else from_microseconds(ended)
    return Job(ident, from_microseconds(began), end, said, owner or "")


def _under(path: str) -> tuple[str, str, str]:
    """Return the bounds for `UNDER`: a slash comes right before a nought, so no other name lies between the two."""
    below = path.rstrip("/")
    return path, below + "/", below + "0"


def _seen(values: Sequence[Any]) -> FileState:
    problems = tuple(Problem(*one) for one in json.loads(values[7] or "[]"))
    return FileState(*values[:7], problems)  # type: ignore[call-arg]


def _found(values: tuple[int, int, int, int, bytes]) -> StoredPassage:
    row, article, start, end, sentences = values
    pairs = np.frombuffer(sentences, "<i4").reshape(-1, 2).tolist()
    return StoredPassage(row, article, Passage(start, end, tuple((a, b) for a, b in pairs)))
