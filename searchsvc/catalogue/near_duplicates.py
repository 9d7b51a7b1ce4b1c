"""Near-duplicates: which articles are copies of one another, and which are still to be compared with the others.

    an article comes ──► to_compare ── its near-duplicates are looked for ──► bands, and a cluster with those found
    a member of a cluster goes ──► to_compare: the others, which may be no near-duplicates of each other

All this is about articles in force alone, given by row.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from searchsvc.catalogue.connection import Session
from searchsvc.catalogue.records import ARTICLE_COLUMNS, to_article
from searchsvc.text.article import Article

MAX_DISSOLVED = 50  # articles of a cluster: where there are more, hardly one of them alone holds them together


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Clusters of near-duplicates, and the bands by which they are found."""

    session: Session

    def of(self, article: int) -> list[int]:
        """Return the other articles of an article's cluster."""
        sql = """SELECT article FROM clusters WHERE cluster = (SELECT cluster FROM clusters WHERE article = ?1)
                 AND article <> ?1"""
        return [row for (row,) in self.session.db.execute(sql, (article,))]

    def cluster_of(self, article: int) -> int:
        """Return the number that all articles of a cluster share; its own row for an article that is in none."""
        row = self.session.db.execute("SELECT cluster FROM clusters WHERE article = ?", (article,)).fetchone()
        return article if row is None else int(row[0])

    def origins(self, article: int, limit: int) -> dict[str | None, int]:
        """Return the first article of each origin among the first `limit` of an article's cluster; {} without one."""
        members = (
            "SELECT article FROM clusters WHERE cluster = (SELECT cluster FROM clusters WHERE article = ?) LIMIT ?"
        )
        sql = f"SELECT origin, min(row) FROM articles WHERE row IN ({members}) GROUP BY origin"
        return dict(self.session.db.execute(sql, (article, limit)).fetchall())

    def sharing_bands(self, bands: Iterable[int], limit: int) -> list[int]:
        """Return the articles that have any of these bands, those that share most of them first.

        Of each band the newest `limit` are looked at: a story goes round within days.
        """
        db, sql = self.session.db, "SELECT article FROM bands WHERE band = ? ORDER BY article DESC LIMIT ?"
        shared = Counter(row for band in bands for (row,) in db.execute(sql, (band, limit)))
        return sorted(shared, key=lambda row: (-shared[row], -row))

    def to_compare(self, limit: int) -> list[Article]:
        """Return articles whose near-duplicates have not been looked for, the newest first."""
        newest = "SELECT article FROM to_compare ORDER BY article DESC LIMIT ?"
        sql = f"SELECT {ARTICLE_COLUMNS} FROM articles WHERE row IN ({newest}) ORDER BY row DESC"
        return [to_article(values) for values in self.session.db.execute(sql, (limit,))]

    def bands_version(self) -> str | None:
        """Return by which rules the bands were made; None where there never were any."""
        row = self.session.db.execute("SELECT value FROM metadata WHERE name = 'bands'").fetchone()
        return None if row is None else str(row[0])

    def set_bands(self, article: int, bands: Iterable[int]) -> None:
        """Record an article's bands, by which its near-duplicates have been looked for."""
        db = self.session.writing
        db.execute("DELETE FROM to_compare WHERE article = ?", (article,))
        db.executemany("INSERT OR IGNORE INTO bands VALUES (?, ?)", ((band, article) for band in bands))

    def set_cluster(self, articles: Iterable[int], cluster: int) -> None:
        """Record that these articles are one cluster, which is named by the row that one of them has or had."""
        sql = "INSERT OR REPLACE INTO clusters VALUES (?, ?)"
        self.session.writing.executemany(sql, ((article, cluster) for article in articles))

    def compare_all(self, version: str) -> None:
        """Mark all articles for comparison, by bands that are made by other rules."""
        db = self.session.writing
        db.execute("DELETE FROM bands")
        db.execute("DELETE FROM clusters")
        db.execute("INSERT OR IGNORE INTO to_compare SELECT row FROM current_articles")
        db.execute("INSERT OR REPLACE INTO metadata VALUES ('bands', ?)", (version,))

    def add(self, article: int) -> None:
        """Mark a new article for comparison."""
        self.session.writing.execute("INSERT INTO to_compare VALUES (?)", (article,))

    def remove(self, article: int) -> None:
        """Delete what is known of an article; a cluster that it may have held together is dissolved and compared."""
        db = self.session.writing
        for table in ("bands", "to_compare"):
            db.execute(f"DELETE FROM {table} WHERE article = ?", (article,))
        for cluster in db.execute("DELETE FROM clusters WHERE article = ? RETURNING cluster", (article,)).fetchall():
            (left,) = db.execute("SELECT count(*) FROM clusters WHERE cluster = ?", cluster).fetchone()
            if left <= MAX_DISSOLVED:
                db.execute("INSERT OR IGNORE INTO to_compare SELECT article FROM clusters WHERE cluster = ?", cluster)
                db.execute("DELETE FROM clusters WHERE cluster = ?", cluster)

    def renumber(self, article: int, row: int) -> None:
        """Keep all that is known of an article that has another row now, and the same text."""
        for table in ("bands", "to_compare", "clusters"):
            self.session.writing.execute(f"UPDATE {table} SET article = ? WHERE article = ?", (row, article))
