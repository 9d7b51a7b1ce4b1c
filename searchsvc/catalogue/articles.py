"""Articles: one row in force for each id, and the rows that it replaced.

A row is written once: an article that changes gets another row under the same id. Its text counts as another version
where title or text differ.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from searchsvc.catalogue.boilerplate import Boilerplate
from searchsvc.catalogue.changes import Changes
from searchsvc.catalogue.checksums import ARTICLE, Checksums
from searchsvc.catalogue.connection import Session, checksum
from searchsvc.catalogue.near_duplicates import NearDuplicates
from searchsvc.catalogue.passages import NewPassage, Passages
from searchsvc.catalogue.records import ARTICLE_COLUMNS, DateSpan, from_microseconds, to_article, to_microseconds
from searchsvc.text.article import Article, Version
from searchsvc.text.boilerplate import Block
from searchsvc.text.sources import standing


@dataclass(frozen=True, slots=True)
class Articles:
    """Articles by id (those in force) and by row (replaced ones too)."""

    session: Session
    changes: Changes
    passages: Passages
    boilerplate: Boilerplate
    near_duplicates: NearDuplicates
    checksums: Checksums

    def get(self, ident: str) -> Article | None:
        """Return the article with this id, or None."""
        sql = f"SELECT {ARTICLE_COLUMNS} FROM current_articles WHERE id = ?"
        row = self.session.db.execute(sql, (ident,)).fetchone()
        return None if row is None else to_article(row)

    def by_row(self, rows: Iterable[int]) -> dict[int, Article]:
        """Return articles by row, replaced ones too; one that is gone is not among them."""
        db, sql = self.session.db, f"SELECT {ARTICLE_COLUMNS} FROM articles WHERE row = ?"
        found = (db.execute(sql, (row,)).fetchone() for row in rows)
        return {values[0]: to_article(values) for values in found if values is not None}

    def versions(self, ident: str) -> list[Version]:
        """Return the texts that an article has had, newest first; empty where there is no such article."""
        sql = """SELECT version, title, text, since, until FROM articles WHERE row IN
                 (SELECT max(row) FROM articles WHERE id = ? GROUP BY version) ORDER BY version DESC"""
        return [
            Version(number, title, text, from_microseconds(since), until and from_microseconds(until))
            for number, title, text, since, until in self.session.db.execute(sql, (ident,))
        ]

    def ids_named(self, name: str) -> list[str]:
        """Return the id that this is, or else the ids of the articles with this key, or else of this source."""
        for column in ("id", "key", "source"):
            sql = f"SELECT id FROM current_articles WHERE {column} = ?"
            if rows := self.session.db.execute(sql, (name,)).fetchall():
                return [ident for (ident,) in rows]
        return []

    def digests(self, ids: Iterable[str]) -> dict[str, bytes]:
        """Return the digest of each of these articles that exists, by id."""
        db, sql = self.session.db, "SELECT id, digest FROM current_articles WHERE id = ?"
        return dict(row for ident in ids if (row := db.execute(sql, (ident,)).fetchone()))

    def origins(self, ids: Iterable[str]) -> dict[str, str | None]:
        """Return the origin of each of these articles that exists, by id; None where the owner gave it."""
        db, sql = self.session.db, "SELECT id, origin FROM current_articles WHERE id = ?"
        return dict(row for ident in ids if (row := db.execute(sql, (ident,)).fetchone()))

    def standings(self, rows: Iterable[int]) -> dict[int, int]:
        """Return how good the word is by which the source of each of these articles, by row, is known."""
        db, sql = self.session.db, "SELECT source, url, origin FROM articles WHERE row = ?"
        return {row: standing(*values) for row in rows if (values := db.execute(sql, (row,)).fetchone())}

    def filter_fields(self, rows: Iterable[int]) -> dict[int, tuple[int | None, str | None, str | None]]:
        """Return what filters look at (published, in microseconds since 1970; source; language) by article's row."""
        db, sql = self.session.db, "SELECT published, source, language FROM articles WHERE row = ?"
        return {row: values for row in rows if (values := db.execute(sql, (row,)).fetchone()) is not None}

    def date_span(self) -> DateSpan:
        """Return the first and last date of publication, and how many articles have none."""
        sql = "SELECT min(published), max(published), count(*) - count(published) FROM current_articles"
        first, last, undated = self.session.db.execute(sql).fetchone()
        oldest, newest = (None if value is None else from_microseconds(value) for value in (first, last))
        return DateSpan(oldest, newest, undated)

    def sources(self) -> list[tuple[str, int]]:
        """Return the sources with how many articles each has, most first."""
        sql = """SELECT source, count(*) FROM current_articles WHERE source IS NOT NULL
                 GROUP BY source ORDER BY 2 DESC, 1"""
        return [(source, count) for source, count in self.session.db.execute(sql)]

    def is_in_force(self, row: int) -> bool:
        """Return whether the article with this row is the one of its id that is in force."""
        return self.session.db.execute("SELECT 1 FROM current_articles WHERE row = ?", (row,)).fetchone() is not None

    def deleted(self, rows: Iterable[int]) -> list[int]:
        """Return those of the rows that are gone for good, and not merely replaced."""
        db, sql = self.session.db, "SELECT 1 FROM articles WHERE row = ?"
        return [row for row in rows if db.execute(sql, (row,)).fetchone() is None]

    def without_passages(self, space: int, after: int, limit: int) -> list[Article]:
        """Return the first articles in force, by row, behind the row `after`, that have no passages in a space."""
        sql = f"""SELECT {ARTICLE_COLUMNS} FROM current_articles WHERE row > ? AND NOT EXISTS
                  (SELECT 1 FROM passages WHERE article = current_articles.row AND space = ?) ORDER BY row LIMIT ?"""
        return [to_article(values) for values in self.session.db.execute(sql, (after, space, limit))]

    def put(
        self,
        article: Article,
        *,
        digest: bytes,
        content_digest: bytes,
        file: int | None,
        space: int,
        passages: Sequence[NewPassage],
        blocks: Iterable[Block] = (),
        left_out: frozenset[int] = frozenset(),
    ) -> bool:
        """Put an article in force, with its passages in a space; return whether one with its id was in force before.

        The row, version and time of the article are ignored. `digest` is of all that the source gave, `content_digest`
        of title and text alone: where that is another than before, this is another version. `left_out` are those of
        its blocks that are no part of the passages.
        """
        db, now = self.session.writing, self.session.now
        sql = (
            "UPDATE articles SET until = ? WHERE id = ? AND until IS NULL RETURNING row, version, since, content_digest"
        )
        replaced = db.execute(sql, (now, article.id)).fetchall()
        version, since = 1, now
        for old_row, old_version, old_since, old_digest in replaced:
            is_same = old_digest in {None, content_digest}
            version, since = (old_version, old_since) if is_same else (old_version + 1, now)
            self.changes.add(old_row, "removed")
            self._forget(old_row)
        published = None if article.published is None else to_microseconds(article.published)
        values = (article.id, article.key, article.title, article.text, article.url, article.source, article.author,
                  published, article.published_from, article.language, version, since, digest, content_digest,
                  article.origin)  # fmt: skip
        cursor = db.execute(
            f"""INSERT INTO articles ({", ".join(ARTICLE)}, file, checksum)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            (*values, file, checksum(*values)),
        )
        row: int = cursor.lastrowid  # type: ignore[assignment]
        self.passages.add(row, space, passages)
        if file is not None:
            db.execute("INSERT OR IGNORE INTO file_articles VALUES (?, ?)", (file, article.id))
        self.changes.add(row, "added")
        self.near_duplicates.add(row)
        self.boilerplate.add(row, blocks, left_out)
        return bool(replaced)

    def resplit(self, row: int, space: int, passages: Sequence[NewPassage]) -> None:
        """Give an article, by row, other passages, without what is boilerplate now.

        Its rows are never changed, so it gets another row, of the same version, and passages in no other space.
        """
        db = self.session.writing
        columns = ", ".join((*ARTICLE, "file", "checksum"))
        db.execute("UPDATE articles SET until = ? WHERE row = ?", (self.session.now, row))
        sql = f"INSERT INTO articles ({columns}) SELECT {columns} FROM articles WHERE row = ?"
        new: int = db.execute(sql, (row,)).lastrowid  # type: ignore[assignment]
        self.changes.add(row, "removed")
        self.changes.add(new, "added")
        self.passages.add(new, space, passages)
        self.boilerplate.renumber(row, new)
        self.near_duplicates.renumber(row, new)
        self.boilerplate.resplit_done(row)

    def rename(self, ident: str, other: str) -> None:
        """Give an article, with all its versions, another id, which no article may have."""
        sql = "UPDATE articles SET id = ?, checksum = NULL WHERE id = ? RETURNING row"
        rows = [row for (row,) in self.session.writing.execute(sql, (other, ident)).fetchall()]
        self.checksums.fill("articles", rows)

    def remove(self, ident: str) -> bool:
        """Remove an article with all its versions; return whether it was there."""
        db = self.session.writing
        digests = """SELECT DISTINCT vector, ? FROM passages
                     WHERE article IN (SELECT row FROM articles WHERE id = ?)"""
        db.execute(f"INSERT OR REPLACE INTO unused_vectors {digests}", (self.session.now, ident))
        for (row,) in db.execute("SELECT row FROM current_articles WHERE id = ?", (ident,)).fetchall():
            self._forget(row)
        rows = db.execute("DELETE FROM articles WHERE id = ? RETURNING row, until", (ident,)).fetchall()
        for row, until in rows:
            if until is None:
                self.changes.add(row, "removed")
        db.execute("DELETE FROM file_articles WHERE id = ?", (ident,))
        return bool(rows)

    def remove_row(self, row: int) -> None:
        """Take the article with this row, which is in force, out of force: its id may be damaged."""
        self.session.writing.execute("UPDATE articles SET until = ? WHERE row = ?", (self.session.now, row))
        self.changes.add(row, "removed")
        self._forget(row)

    def remove_replaced(self, row: int) -> None:
        """Delete the article with this row, which is not in force."""
        self.passages.remove_where("article = ?", row)
        self.session.writing.execute("DELETE FROM articles WHERE row = ? AND until IS NOT NULL", (row,))

    def _forget(self, row: int) -> None:
        """Delete what is known of the article with this row only while it is in force."""
        self.session.writing.execute("DELETE FROM damaged_articles WHERE article = ?", (row,))
        self.boilerplate.remove(row)
        self.near_duplicates.remove(row)
