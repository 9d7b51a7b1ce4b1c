"""Blocks: which articles hold which, what of them is junk now, and which passages have yet to follow.

    an article comes or goes ──► its blocks are counted anew ──► junk ──► articles that hold what is, or was: outdated

All within the transaction in which the article comes or goes, so that nothing is lost between. What is junk follows
from the articles in force alone, and not from the order in which they came, except that of a feed's origin which has
more of it than can be learnt the first is.
"""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from searchsvc.text.boilerplate import LEAST_ARTICLES, MOST_LEARNT, Block, is_boilerplate

if TYPE_CHECKING:
    from searchsvc.catalogue.database import Connection

# Articles looked at for one block, however many hold it: those with the least sketches, which is as good as by chance.
SAMPLE = 60


def hold(db: "Connection", article: int, blocks: Iterable[Block]) -> None:
    """Record the blocks of an article."""
    rows = ((one.number, one.context, article, one.is_supported) for one in blocks)
    db.executemany("INSERT INTO blocks VALUES (?, ?, ?, ?)", rows)


def release(db: "Connection", article: int) -> list[int]:
    """Forget the blocks of an article; return their numbers."""
    db.execute("DELETE FROM uncounted WHERE article = ?", (article,))
    db.execute("DELETE FROM outdated WHERE article = ?", (article,))
    found = db.execute("DELETE FROM blocks WHERE article = ? RETURNING number", (article,))
    return [number for (number,) in found.fetchall()]


def among(db: "Connection", numbers: Iterable[int]) -> frozenset[int]:
    """Return which of these blocks are junk."""
    sql = "SELECT 1 FROM junk WHERE number = ?"
    return frozenset(number for number in numbers if db.execute(sql, (number,)).fetchone())


def of(db: "Connection", article: int) -> frozenset[int]:
    """Return which blocks of an article are junk."""
    sql = "SELECT number FROM blocks WHERE article = ? AND number IN (SELECT number FROM junk)"
    return frozenset(number for (number,) in db.execute(sql, (article,)))


def judge(db: "Connection", touched: Iterable[int], cut: Mapping[int, frozenset[int]]) -> None:
    """Judge blocks anew that other articles hold now, and note which articles must be cut again.

    `cut` says, of articles that came, without which blocks they were cut.
    """
    # Nearly all blocks are held by one article, and need no closer look.
    frequent = """SELECT value FROM json_each(?) WHERE value IN (SELECT number FROM junk)
                  OR EXISTS (SELECT 1 FROM blocks WHERE number = value LIMIT 1 OFFSET ?)"""
    sample = """SELECT count(*), sum(told) FROM (SELECT max(told) AS told FROM blocks WHERE number = ?
                GROUP BY sketch ORDER BY sketch LIMIT ?)"""
    for (number,) in db.execute(frequent, (json.dumps([*touched]), LEAST_ARTICLES - 1)).fetchall():
        articles, told = db.execute(sample, (number, SAMPLE)).fetchone()
        now = is_boilerplate(articles, told or 0)
        if now == bool(among(db, [number])):
            continue
        if now:
            origin = "SELECT origin FROM articles WHERE row = (SELECT article FROM blocks WHERE number = ? LIMIT 1)"
            (theirs,) = db.execute(origin, (number,)).fetchone()
            (learnt,) = db.execute("SELECT count(*) FROM junk WHERE origin = ?", (theirs,)).fetchone()
            if learnt >= MOST_LEARNT:
                continue
            db.execute("INSERT INTO junk (number, origin) VALUES (?, ?)", (number, theirs))
        else:
            db.execute("DELETE FROM junk WHERE number = ?", (number,))
        db.execute("INSERT OR IGNORE INTO outdated SELECT article FROM blocks WHERE number = ?", (number,))
    for article, without in cut.items():
        if of(db, article) != without:
            db.execute("INSERT OR IGNORE INTO outdated VALUES (?)", (article,))
