"""Stories: which articles are copies of one another, and whose copies have yet to be looked for.

    an article comes ──► unfolded ── its copies are looked for ──► bands, and a story with those that were found
    a copy goes ──► unfolded: the others of its story, which may be no copies of each other

All this is about articles in force alone, given by row.
"""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from searchsvc.catalogue.database import Connection

MOST_DISSOLVED = 50  # copies: where there are more, hardly one of them alone holds them together


def enter(db: "Connection", article: int) -> None:
    """Let copies be looked for of an article that comes."""
    db.execute("INSERT INTO unfolded VALUES (?)", (article,))


def leave(db: "Connection", article: int) -> None:
    """Forget an article that goes; a story that may have held together by it is told apart, and looked at again."""
    for table in ("bands", "unfolded"):
        db.execute(f"DELETE FROM {table} WHERE article = ?", (article,))
    for story in db.execute("DELETE FROM stories WHERE article = ? RETURNING story", (article,)).fetchall():
        (left,) = db.execute("SELECT count(*) FROM stories WHERE story = ?", story).fetchone()
        if left <= MOST_DISSOLVED:
            db.execute("INSERT OR IGNORE INTO unfolded SELECT article FROM stories WHERE story = ?", story)
            db.execute("DELETE FROM stories WHERE story = ?", story)


def renumber(db: "Connection", article: int, row: int) -> None:
    """Keep all that is known of an article whose row is another now, and whose text is not."""
    for table in ("bands", "unfolded", "stories"):
        db.execute(f"UPDATE {table} SET article = ? WHERE article = ?", (row, article))


def set_bands(db: "Connection", article: int, bands: Iterable[int]) -> None:
    """Record an article's bands, by which its copies have been looked for."""
    db.execute("DELETE FROM unfolded WHERE article = ?", (article,))
    db.executemany("INSERT OR IGNORE INTO bands VALUES (?, ?)", ((band, article) for band in bands))


def set_story(db: "Connection", articles: Iterable[int], story: int) -> None:
    """Record that these articles tell a story, named by the row that one of its copies has or had."""
    db.executemany("INSERT OR REPLACE INTO stories VALUES (?, ?)", ((article, story) for article in articles))


def unfold_all(db: "Connection", making: str) -> None:
    """Let copies be looked for again of all articles, by bands that are made in this way."""
    db.execute("DELETE FROM bands")
    db.execute("DELETE FROM stories")
    db.execute("INSERT OR IGNORE INTO unfolded SELECT row FROM newest")
    db.execute("INSERT OR REPLACE INTO facts VALUES ('bands', ?)", (making,))


def making(db: "Connection") -> str | None:
    """Return how the bands are made; None where there never were any."""
    found = db.execute("SELECT value FROM facts WHERE name = 'bands'").fetchone()
    return None if found is None else str(found[0])


def alike(db: "Connection", bands: Iterable[int], most: int) -> list[int]:
    """Return the articles that hold any of these bands, those that hold most of them first.

    Of each band the newest `most` are looked at: a story goes round within days.
    """
    sql = "SELECT article FROM bands WHERE band = ? ORDER BY article DESC LIMIT ?"
    shared = Counter(row for band in bands for (row,) in db.execute(sql, (band, most)))
    return sorted(shared, key=lambda row: (-shared[row], -row))


def of(db: "Connection", article: int) -> int:
    """Return the story of an article: the same number for all its copies; its own row where it has none."""
    found = db.execute("SELECT story FROM stories WHERE article = ?", (article,)).fetchone()
    return article if found is None else int(found[0])


def copies(db: "Connection", article: int) -> list[int]:
    """Return the other copies of the story that an article tells."""
    sql = "SELECT article FROM stories WHERE story = (SELECT story FROM stories WHERE article = ?1) AND article <> ?1"
    return [row for (row,) in db.execute(sql, (article,))]


def origins(db: "Connection", article: int, most: int) -> dict[str | None, int]:
    """Return the first of each origin among the first `most` copies of an article's story; none where it has none."""
    told = "SELECT article FROM stories WHERE story = (SELECT story FROM stories WHERE article = ?) LIMIT ?"
    sql = f"SELECT origin, min(row) FROM articles WHERE row IN ({told}) GROUP BY origin"
    return dict(db.execute(sql, (article, most)).fetchall())
