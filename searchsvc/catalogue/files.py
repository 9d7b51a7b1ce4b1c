"""Files: what each was when it was last read, and which articles it holds."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from searchsvc.catalogue.articles import Articles
from searchsvc.catalogue.connection import Session
from searchsvc.catalogue.records import FileState
from searchsvc.text.article import Problem

COLUMNS = "key, size, modified_ns, changed_ns, seen_ns, digest, prepare_version, problems"
UNDER = "(path = ? OR (path > ? AND path < ?))"


@dataclass(frozen=True, slots=True)
class Files:
    """Files by path."""

    session: Session
    articles: Articles

    def state(self, path: str) -> FileState | None:
        """Return what is known of a file."""
        row = self.session.db.execute(f"SELECT {COLUMNS} FROM files WHERE path = ?", (path,)).fetchone()
        return None if row is None else _state(row)

    def states_under(self, path: str) -> dict[str, FileState]:
        """Return what is known of a file, or of the files below a folder, by path."""
        sql = f"SELECT path, {COLUMNS} FROM files WHERE {UNDER}"
        return {name: _state(values) for name, *values in self.session.db.execute(sql, _bounds(path))}

    def count_under(self, path: str) -> int:
        """Return how many files are known at and below a path."""
        sql = f"SELECT count(*) FROM files WHERE {UNDER}"
        return int(self.session.db.execute(sql, _bounds(path)).fetchone()[0])

    def article_ids(self, path: str) -> set[str]:
        """Return the ids of the articles that a file holds, as it was last read."""
        sql = "SELECT id FROM file_articles f JOIN files ON f.file = files.row WHERE path = ?"
        return {ident for (ident,) in self.session.db.execute(sql, (path,))}

    def of_article(self, ident: str) -> str | None:
        """Return the path of the file that an article's text is from, or None."""
        sql = "SELECT path FROM files JOIN current_articles a ON a.file = files.row WHERE a.id = ?"
        row = self.session.db.execute(sql, (ident,)).fetchone()
        return None if row is None else str(row[0])

    def of_row(self, article: int) -> str | None:
        """Return the path of the file that the text of an article, by row, is from, or None."""
        sql = "SELECT path FROM files WHERE row = (SELECT file FROM articles WHERE row = ?)"
        row = self.session.db.execute(sql, (article,)).fetchone()
        return None if row is None else str(row[0])

    def begin(self, path: str, key: str | None = None) -> int:
        """Record a file whose articles are being added; return its row. The key that it was first given stays."""
        sql = """INSERT INTO files (path, key) VALUES (?, ?)
                 ON CONFLICT (path) DO UPDATE SET size = NULL, key = coalesce(key, excluded.key) RETURNING row"""
        row: int = self.session.writing.execute(sql, (path, key)).fetchone()[0]
        return row

    def end(self, path: str, state: FileState) -> None:
        """Record that a file was read to its end, as it was when that began."""
        row = self.begin(path, state.key)
        sql = """UPDATE files SET size = ?, modified_ns = ?, changed_ns = ?, seen_ns = ?, digest = ?,
                 prepare_version = ?, problems = ? WHERE row = ?"""
        problems = json.dumps([astuple(problem) for problem in state.problems]) if state.problems else None
        times = (state.modified_ns, state.changed_ns, state.seen_ns)
        values = (state.size, *times, state.digest, state.prepare_version, problems, row)
        self.session.writing.execute(sql, values)

    def hold(self, file: int, ident: str) -> None:
        """Record that a file, by row, holds an article, and that its text is in force as this file holds it."""
        sql = "UPDATE articles SET file = ? WHERE id = ? AND until IS NULL AND file IS NOT ?"
        self.session.writing.execute(sql, (file, ident, file))
        self.session.writing.execute("INSERT OR IGNORE INTO file_articles VALUES (?, ?)", (file, ident))

    def release(self, path: str, idents: Iterable[str]) -> tuple[int, set[str]]:
        """Record that a file holds these articles no longer.

        Those whose text is in force as this file held it, or as one did that gave it up before, are removed, unless
        another file holds them too: such files must be read again. Return how many were removed, and the paths of
        those files.
        """
        db = self.session.writing
        removed, again = 0, set()
        file = db.execute("SELECT row FROM files WHERE path = ?", (path,)).fetchone()
        for ident in idents if file else ():
            db.execute("DELETE FROM file_articles WHERE file = ? AND id = ?", (*file, ident))
            given_up = """SELECT 1 FROM current_articles a WHERE id = ? AND file IS NOT NULL AND NOT EXISTS
                          (SELECT 1 FROM file_articles f WHERE f.file = a.file AND f.id = a.id)"""
            if db.execute(given_up, (ident,)).fetchone() is None:
                continue
            others = """UPDATE files SET size = NULL WHERE row IN (SELECT file FROM file_articles WHERE id = ?)
                        RETURNING path"""
            holders = {path for (path,) in db.execute(others, (ident,)).fetchall()}
            again |= holders
            removed += not holders and self.articles.remove(ident)
        return removed, again

    def remove(self, path: str) -> None:
        """Record that there is no such file; what it held must have been released."""
        # What another file holds too is that one's from now on: nothing else would remove it in the end.
        sql = """UPDATE articles SET file =
                 (SELECT min(f.file) FROM file_articles f WHERE f.id = articles.id AND f.file <> articles.file)
                 WHERE file = (SELECT row FROM files WHERE path = ?)"""
        self.session.writing.execute(sql, (path,))
        self.session.writing.execute("DELETE FROM files WHERE path = ?", (path,))

    def read_again(self, article: int) -> None:
        """Let the file of an article, by row, be read again, and the article be recorded again as that gives it."""
        sql = "UPDATE files SET size = NULL, digest = NULL WHERE row = (SELECT file FROM articles WHERE row = ?)"
        self.session.writing.execute(sql, (article,))
        sql = "UPDATE articles SET digest = x'', content_digest = NULL WHERE row = ?"
        self.session.writing.execute(sql, (article,))


def _bounds(path: str) -> tuple[str, str, str]:
    """Return the bounds for `UNDER`: a slash comes right before a nought, so no other name lies between the two."""
    below = path.rstrip("/")
    return path, below + "/", below + "0"


def _state(values: Sequence[Any]) -> FileState:
    problems = tuple(Problem(*problem) for problem in json.loads(values[7] or "[]"))
    return FileState(*values[:7], problems)  # type: ignore[call-arg]
