"""The catalogue's parts by name, and one transaction that writes to them."""

from datetime import UTC, datetime

from searchsvc.catalogue.articles import Articles
from searchsvc.catalogue.boilerplate import Boilerplate
from searchsvc.catalogue.changes import Changes
from searchsvc.catalogue.checksums import Checksums
from searchsvc.catalogue.connection import Connection, Session
from searchsvc.catalogue.failing_parts import FailingParts
from searchsvc.catalogue.feeds import Feeds
from searchsvc.catalogue.files import Files
from searchsvc.catalogue.jobs import Jobs
from searchsvc.catalogue.metadata import Metadata
from searchsvc.catalogue.near_duplicates import NearDuplicates
from searchsvc.catalogue.passages import Passages
from searchsvc.catalogue.records import to_microseconds
from searchsvc.catalogue.spaces import Spaces
from searchsvc.catalogue.vectors import Vectors

MAX_VERSIONS = 100  # kept of one article


class Nouns:
    """What a catalogue holds, a class a noun, each with its reads and its writes."""

    def __init__(self, session: Session) -> None:
        self.metadata = Metadata(session)
        self.changes = Changes(session)
        self.spaces = Spaces(session)
        self.vectors = Vectors(session)
        self.passages = Passages(session)
        self.checksums = Checksums(session)
        self.boilerplate = Boilerplate(session)
        self.near_duplicates = NearDuplicates(session)
        self.articles = Articles(
            session, self.changes, self.passages, self.boilerplate, self.near_duplicates, self.checksums
        )
        self.files = Files(session, self.articles)
        self.feeds = Feeds(session)
        self.jobs = Jobs(session)
        self.failing_parts = FailingParts(session)


class Writer(Nouns):
    """One transaction: what is written to its nouns is committed at the end, or nothing is."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        super().__init__(Session(lambda: db, to_microseconds(datetime.now(UTC))))

    def settle(self) -> None:
        """Do what has to be done last in the transaction."""
        self.boilerplate.settle()

    def tidy(self, before: datetime) -> None:
        """Delete passages and vectors not in force since `before`, and versions past the hundredth of an article."""
        moment = to_microseconds(before)
        self.passages.remove_where("article IN (SELECT row FROM articles WHERE until < ?)", moment)
        ended = self._db.execute("SELECT row FROM spaces WHERE state = 'ended' AND at < ?", (moment,)).fetchall()
        for (space,) in ended:
            self.passages.remove_where("space = ?", space)
            self._db.execute("DELETE FROM spaces WHERE row = ?", (space,))
        newer = """SELECT 1 FROM articles newer WHERE newer.id = articles.id AND newer.row > articles.row
                   AND newer.version IN (articles.version, articles.version + ?)"""
        sql = f"DELETE FROM articles WHERE until < ? AND EXISTS ({newer})"
        self._db.execute(sql, (moment, MAX_VERSIONS))
        unused = """SELECT digest FROM unused_vectors WHERE since < ?
                    AND NOT EXISTS (SELECT 1 FROM passages WHERE vector = digest)"""
        self._db.execute(f"DELETE FROM vectors WHERE digest IN ({unused})", (moment,))
        self._db.execute("DELETE FROM unused_vectors WHERE since < ?", (moment,))
