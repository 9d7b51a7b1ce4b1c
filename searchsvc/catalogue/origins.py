"""Origins: whose feed brought an article, found out for catalogues that were made before it was recorded.

A catalogue of that age knows which entries a feed had, and by their keys which articles are theirs. SQL cannot tell the
registrable domain of an address, so that a part of this migration is done here, in the same transaction.
"""

from typing import TYPE_CHECKING

from searchsvc.catalogue import boilerplate as blocks
from searchsvc.catalogue import near_duplicates as stories
from searchsvc.text.sources import origin_of

if TYPE_CHECKING:
    from searchsvc.catalogue.database import Connection

ORIGINS = """
    ALTER TABLE articles ADD COLUMN origin TEXT;    -- whose feed brought it; NULL: the owner gave it
    ALTER TABLE junk ADD COLUMN origin TEXT;        -- of the articles that hold it
    CREATE INDEX junk_by_origin ON junk (origin) WHERE origin IS NOT NULL;
    """


def attribute(db: "Connection") -> None:
    """Record whose the articles are that feeds brought, and let their blocks be counted, and their copies found, again.

    An article that several feeds claim may have been overwritten by any of them: it is taken for that of one that is
    not at home where the article says that it was published. The other feeds are asked for theirs again, and the files
    that hold such an article are read again.
    """
    sql = """SELECT a.row, a.id, coalesce(a.url, a.key), a.file IS NULL, e.feed, e.key, f.url FROM feeds f
             JOIN entries e ON e.feed = f.row JOIN articles a ON a.key = e.key AND a.until IS NULL ORDER BY f.row"""
    claims: dict[int, list[tuple[int, str, str]]] = {}  # by article: which feed claims it, under which key, and whose
    articles: dict[int, tuple[str, str, bool]] = {}
    for row, ident, url, is_feeds, feed, key, address in db.execute(sql):
        articles[row] = (ident, origin_of(url), bool(is_feeds))
        claims.setdefault(row, []).append((feed, key, origin_of(address)))
    touched: set[int] = set()
    for row, (ident, site, is_feeds) in articles.items():
        strangers = [origin for *_, origin in claims[row] if origin != site]
        origin = next(iter(strangers), site) if is_feeds else None
        for feed, key, other in claims[row]:
            if other != origin:
                db.execute("DELETE FROM entries WHERE feed = ? AND key = ?", (feed, key))
                db.execute("UPDATE feeds SET etag = NULL, modified = NULL WHERE row = ?", (feed,))
        if origin is not None:
            db.execute("UPDATE articles SET origin = ? WHERE row = ?", (origin, row))
            db.execute("UPDATE files SET size = NULL WHERE row IN (SELECT file FROM claims WHERE id = ?)", (ident,))
            touched.update(blocks.release(db, row))
            db.execute("INSERT INTO uncounted VALUES (?)", (row,))
            db.execute("INSERT INTO outdated VALUES (?)", (row,))
            stories.leave(db, row)
            stories.enter(db, row)
    blocks.judge(db, touched, {})
