"""Boilerplate: which blocks of text articles hold, which of them are boilerplate, and which articles must follow.

    an article comes or goes ──► its blocks are counted anew ──► boilerplate ──► articles that hold a block of which the
                                                                                judgement changed: to_resplit

All within the transaction in which the article comes or goes, so that nothing is lost between. What is boilerplate
follows from the articles in force alone, and not from the order in which they came, except that of a feed's origin
which has more of it than can be learnt the first is.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from searchsvc.catalogue.connection import Session
from searchsvc.catalogue.records import ARTICLE_COLUMNS, RecurringBlock, to_article
from searchsvc.text.article import Article
from searchsvc.text.boilerplate import LEAST_ARTICLES, MOST_LEARNT, Block, is_boilerplate

# Articles looked at for one block, however many hold it: those with the least sketches, which is as good as by chance.
SAMPLE = 60


@dataclass(frozen=True, slots=True)
class Boilerplate:
    """Blocks by number, and articles by row; within a transaction, `settle` judges the blocks that it touched."""

    session: Session
    _touched: set[int] = field(default_factory=set)  # blocks that more or fewer articles hold now
    _left_out: dict[int, frozenset[int]] = field(default_factory=dict)  # from the passages of articles that came

    def among(self, numbers: Iterable[int]) -> frozenset[int]:
        """Return which of these blocks are boilerplate."""
        db, sql = self.session.db, "SELECT 1 FROM boilerplate WHERE number = ?"
        return frozenset(number for number in numbers if db.execute(sql, (number,)).fetchone())

    def in_article(self, article: int) -> frozenset[int]:
        """Return which blocks of an article are boilerplate."""
        sql = "SELECT number FROM blocks WHERE article = ? AND number IN (SELECT number FROM boilerplate)"
        return frozenset(number for (number,) in self.session.db.execute(sql, (article,)))

    def recurring(self, min_articles: int) -> list[RecurringBlock]:
        """Return the blocks that at least so many articles hold, most frequent first."""
        sql = """SELECT number, count(*), min(article), number IN (SELECT number FROM boilerplate) FROM blocks
                 GROUP BY number HAVING count(*) >= ? ORDER BY 2 DESC, 1"""
        rows = self.session.db.execute(sql, (min_articles,))
        return [RecurringBlock(number, articles, row, bool(judged)) for number, articles, row, judged in rows]

    def to_resplit(self, limit: int) -> list[Article]:
        """Return the first articles, by row, whose passages do not follow from what is boilerplate now."""
        return self._marked("to_resplit", limit)

    def is_to_resplit(self, article: int) -> bool:
        """Return whether an article is among these."""
        sql = "SELECT 1 FROM to_resplit WHERE article = ?"
        return self.session.db.execute(sql, (article,)).fetchone() is not None

    def to_count(self, limit: int) -> list[Article]:
        """Return the first articles, by row, whose blocks were never counted."""
        return self._marked("to_count", limit)

    def _marked(self, table: str, limit: int) -> list[Article]:
        sql = f"""SELECT {ARTICLE_COLUMNS} FROM current_articles WHERE row IN (SELECT article FROM {table})
                  ORDER BY row LIMIT ?"""
        return [to_article(values) for values in self.session.db.execute(sql, (limit,))]

    def add(self, article: int, blocks: Iterable[Block], left_out: frozenset[int]) -> None:
        """Record the blocks of a new article, whose passages were split with those of `left_out` left out."""
        self._add(article, blocks)
        self._left_out[article] = left_out

    def count(self, article: int, blocks: Iterable[Block]) -> None:
        """Record the blocks of an article in force that were never counted; else do nothing."""
        sql = "DELETE FROM to_count WHERE article = ? RETURNING 1"
        if self.session.writing.execute(sql, (article,)).fetchone():
            self._add(article, blocks)

    def _add(self, article: int, blocks: Iterable[Block]) -> None:
        rows = [(block.number, block.context, article, block.is_supported) for block in blocks]
        self.session.writing.executemany("INSERT INTO blocks VALUES (?, ?, ?, ?)", rows)
        self._touched.update(row[0] for row in rows)

    def remove(self, article: int) -> None:
        """Delete the blocks of an article that goes."""
        db = self.session.writing
        db.execute("DELETE FROM to_count WHERE article = ?", (article,))
        db.execute("DELETE FROM to_resplit WHERE article = ?", (article,))
        numbers = db.execute("DELETE FROM blocks WHERE article = ? RETURNING number", (article,)).fetchall()
        self._touched.update(number for (number,) in numbers)
        self._left_out.pop(article, None)

    def renumber(self, article: int, row: int) -> None:
        """Keep the blocks of an article that has another row now, and the same text."""
        self.session.writing.execute("UPDATE blocks SET article = ? WHERE article = ?", (row, article))

    def resplit_done(self, article: int) -> None:
        """Record that an article's passages follow from what is boilerplate now."""
        self.session.writing.execute("DELETE FROM to_resplit WHERE article = ?", (article,))

    def settle(self) -> None:
        """Judge the blocks that other articles hold now, and mark which articles must be split again.

        It is the last thing to be done in a transaction.
        """
        db = self.session.writing
        # Nearly all blocks are held by one article, and need no closer look.
        frequent = """SELECT value FROM json_each(?) WHERE value IN (SELECT number FROM boilerplate)
                      OR EXISTS (SELECT 1 FROM blocks WHERE number = value LIMIT 1 OFFSET ?)"""
        for (number,) in db.execute(frequent, (json.dumps([*self._touched]), LEAST_ARTICLES - 1)).fetchall():
            self._judge(number)
        for article, left_out in self._left_out.items():
            if self.in_article(article) != left_out:
                db.execute("INSERT OR IGNORE INTO to_resplit VALUES (?)", (article,))

    def _judge(self, number: int) -> None:
        db = self.session.writing
        sample = """SELECT count(*), sum(on_topic) FROM (SELECT max(on_topic) AS on_topic FROM blocks WHERE number = ?
                    GROUP BY sketch ORDER BY sketch LIMIT ?)"""
        articles, on_topic = db.execute(sample, (number, SAMPLE)).fetchone()
        now = is_boilerplate(articles, on_topic or 0)
        if now == bool(self.among([number])):
            return
        if now:
            holder = "SELECT origin FROM articles WHERE row = (SELECT article FROM blocks WHERE number = ? LIMIT 1)"
            (origin,) = db.execute(holder, (number,)).fetchone()
            (learnt,) = db.execute("SELECT count(*) FROM boilerplate WHERE origin = ?", (origin,)).fetchone()
            if learnt >= MOST_LEARNT:
                return
            db.execute("INSERT INTO boilerplate (number, origin) VALUES (?, ?)", (number, origin))
        else:
            db.execute("DELETE FROM boilerplate WHERE number = ?", (number,))
        db.execute("INSERT OR IGNORE INTO to_resplit SELECT article FROM blocks WHERE number = ?", (number,))
