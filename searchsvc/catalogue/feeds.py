"""Feeds: what is remembered of each between two polls, and which of its entries have been seen."""

from dataclasses import dataclass

from searchsvc.catalogue.connection import Session
from searchsvc.catalogue.records import FeedState, from_microseconds, to_microseconds


@dataclass(frozen=True, slots=True)
class Feeds:
    """Feeds and their entries, by the feed's address."""

    session: Session

    def state(self, url: str) -> FeedState:
        """Return what is known of a feed."""
        sql = "SELECT etag, modified, failures, next_at, given_by FROM feeds WHERE url = ?"
        row = self.session.db.execute(sql, (url,)).fetchone()
        if row is None:
            return FeedState()
        etag, modified, failures, next_at, given_by = row
        return FeedState(etag, modified, failures, None if next_at is None else from_microseconds(next_at), given_by)

    def urls(self) -> list[str]:
        """Return the addresses of the feeds that have been polled."""
        return [url for (url,) in self.session.db.execute("SELECT url FROM feeds ORDER BY url")]

    def entry_digest(self, url: str, key: str) -> bytes | None:
        """Return the digest of a feed's entry as it was last seen; None for one that is new."""
        sql = "SELECT digest FROM feed_entries e JOIN feeds ON e.feed = feeds.row WHERE url = ? AND key = ?"
        row = self.session.db.execute(sql, (url, key)).fetchone()
        return None if row is None else bytes(row[0])

    def set_state(self, url: str, state: FeedState) -> None:
        """Record what a feed's server answered, and when it may be polled again."""
        next_at = None if state.next_at is None else to_microseconds(state.next_at)
        sql = """INSERT INTO feeds (url, etag, modified, failures, next_at, given_by) VALUES (?, ?, ?, ?, ?, ?)
                 ON CONFLICT (url) DO UPDATE SET etag = excluded.etag, modified = excluded.modified,
                 failures = excluded.failures, next_at = excluded.next_at, given_by = excluded.given_by"""
        values = (url, state.etag, state.modified, state.failures, next_at, state.given_by)
        self.session.writing.execute(sql, values)

    def set_entry(self, url: str, key: str, digest: bytes) -> None:
        """Record an entry of a feed as it was seen."""
        db = self.session.writing
        db.execute("INSERT OR IGNORE INTO feeds (url, failures) VALUES (?, 0)", (url,))
        sql = "INSERT OR REPLACE INTO feed_entries SELECT row, ?, ? FROM feeds WHERE url = ?"
        db.execute(sql, (key, digest, url))
