"""The schema of a catalogue: its tables, and how a catalogue of the last released version is brought to this one."""

import re
from pathlib import Path

from searchsvc.catalogue.connection import Connection, connect, way_back
from searchsvc.errors import DamagedCatalogue, ModelMismatch

APPLICATION = 0x5EA7C45C  # in the file's header: this is a catalogue of searchsvc
SIDE_FILES = ("wal", "shm", "journal")  # what SQLite keeps beside a file

# Times are microseconds since 1970, UTC, unless their name ends in `_ns`.
SCHEMA = """
    CREATE TABLE metadata (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO metadata VALUES ('lineage', hex(randomblob(8)));
    CREATE TABLE files (
        row INTEGER PRIMARY KEY,
        path TEXT NOT NULL UNIQUE,
        size INTEGER,           -- NULL while the file has not been read to its end
        modified_ns INTEGER,
        prepare_version TEXT,   -- of the rules by which its articles were cleaned and split
        key TEXT,               -- what its articles' keys are made of
        changed_ns INTEGER,     -- its inode's change time
        seen_ns INTEGER,        -- the clock when reading began
        digest BLOB,            -- of its bytes
        problems TEXT           -- JSON: what in it could not be indexed, and why
    ) STRICT;
    CREATE TABLE articles (     -- one row in force for each id, and the rows that it replaced
        row INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL,
        key TEXT NOT NULL,
        title TEXT NOT NULL, url TEXT, source TEXT, author TEXT,
        published INTEGER, published_from TEXT, language TEXT,
        version INTEGER NOT NULL,
        since INTEGER NOT NULL, -- when this version was recorded
        until INTEGER,          -- when another row took its place; NULL in the one that is in force
        digest BLOB NOT NULL,   -- of what the source gave and how it was split
        content_digest BLOB,    -- of the title and text that the source gave: others make another version
        file INTEGER REFERENCES files (row),
        text TEXT NOT NULL,     -- behind the others, which are so read without it
        origin TEXT,            -- whose feed brought it; NULL: the owner gave it
        checksum INTEGER        -- see `checksums`
    ) STRICT;
    CREATE UNIQUE INDEX articles_by_id ON articles (id) WHERE until IS NULL;
    CREATE INDEX articles_by_key ON articles (key) WHERE until IS NULL;
    CREATE INDEX articles_by_source ON articles (source) WHERE until IS NULL;
    CREATE INDEX articles_by_file ON articles (file);
    CREATE INDEX articles_by_date ON articles (published) WHERE until IS NULL;
    CREATE INDEX articles_by_version ON articles (id, version);
    CREATE INDEX articles_until ON articles (until) WHERE until IS NOT NULL;
    CREATE VIEW current_articles AS SELECT * FROM articles WHERE until IS NULL;
    CREATE TABLE file_articles (    -- which files hold an article; `articles.file` is the one whose text is in force
        file INTEGER NOT NULL REFERENCES files (row) ON DELETE CASCADE,
        id TEXT NOT NULL,
        PRIMARY KEY (file, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX file_articles_by_id ON file_articles (id);
    CREATE TABLE changes (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        article INTEGER NOT NULL,
        action TEXT NOT NULL CHECK (action IN ('added', 'removed')),
        at INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE spaces (
        row INTEGER PRIMARY KEY AUTOINCREMENT,
        model TEXT NOT NULL, fingerprint TEXT NOT NULL, dimension INTEGER NOT NULL, passage_tokens INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('making', 'serving', 'ended')),
        at INTEGER NOT NULL         -- when that state began
    ) STRICT;
    CREATE UNIQUE INDEX spaces_by_state ON spaces (state) WHERE state <> 'ended';
    CREATE TABLE vectors (
        digest BLOB PRIMARY KEY,    -- of what was embedded
        vector BLOB NOT NULL,       -- float16
        sentences BLOB NOT NULL,    -- int8: a short vector for each sentence, times 127
        checksum INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE unused_vectors (   -- vectors that lost a passage, and may be needed by none now
        digest BLOB PRIMARY KEY, since INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE passages (
        row INTEGER PRIMARY KEY AUTOINCREMENT,
        article INTEGER NOT NULL REFERENCES articles (row) ON DELETE CASCADE,
        start INTEGER NOT NULL, end INTEGER NOT NULL,
        sentences BLOB NOT NULL,    -- int32 pairs: start, end
        vector BLOB NOT NULL REFERENCES vectors (digest),
        space INTEGER NOT NULL DEFAULT 1 REFERENCES spaces (row),
        checksum INTEGER
    ) STRICT;
    CREATE INDEX passages_by_article ON passages (article, space);
    CREATE INDEX passages_by_vector ON passages (vector);

    CREATE TABLE blocks (           -- which articles in force hold a block; see `text.boilerplate.Block`
        number INTEGER NOT NULL, sketch INTEGER NOT NULL,
        article INTEGER NOT NULL REFERENCES articles (row) ON DELETE CASCADE,
        on_topic INTEGER NOT NULL,
        PRIMARY KEY (number, sketch, article)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX blocks_by_article ON blocks (article);
    CREATE TABLE boilerplate (      -- the blocks that are
        number INTEGER PRIMARY KEY,
        origin TEXT                 -- of the articles that hold it
    ) STRICT;
    CREATE INDEX boilerplate_by_origin ON boilerplate (origin) WHERE origin IS NOT NULL;
    CREATE TABLE to_resplit (       -- articles in force whose passages do not follow from what is boilerplate now
        article INTEGER PRIMARY KEY REFERENCES articles (row) ON DELETE CASCADE
    ) STRICT;
    CREATE TABLE to_count (         -- articles in force whose blocks were never counted
        article INTEGER PRIMARY KEY REFERENCES articles (row) ON DELETE CASCADE
    ) STRICT;
    CREATE TABLE bands (            -- what articles in force share that may be near-duplicates
        band INTEGER NOT NULL,
        article INTEGER NOT NULL REFERENCES articles (row) ON DELETE CASCADE,
        PRIMARY KEY (band, article)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX bands_by_article ON bands (article);
    CREATE TABLE to_compare (       -- articles in force whose near-duplicates have not been looked for
        article INTEGER PRIMARY KEY REFERENCES articles (row) ON DELETE CASCADE
    ) STRICT;
    CREATE TABLE clusters (         -- articles in force that have near-duplicates
        article INTEGER PRIMARY KEY REFERENCES articles (row) ON DELETE CASCADE,
        cluster INTEGER NOT NULL    -- the row that one of them has or had
    ) STRICT;
    CREATE INDEX clusters_by_cluster ON clusters (cluster);

    CREATE TABLE feeds (
        row INTEGER PRIMARY KEY,
        url TEXT NOT NULL UNIQUE,
        etag TEXT, modified TEXT,
        failures INTEGER NOT NULL,
        next_at INTEGER,            -- not to be polled before
        given_by TEXT               -- whose `etag` and `modified` these are, where it is another server
    ) STRICT;
    CREATE TABLE feed_entries (
        feed INTEGER NOT NULL REFERENCES feeds (row) ON DELETE CASCADE,
        key TEXT NOT NULL,
        digest BLOB NOT NULL,       -- of the entry as it was last seen
        PRIMARY KEY (feed, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY, began INTEGER NOT NULL, ended INTEGER,
        result TEXT NOT NULL,       -- JSON: the report, or what went wrong
        owner TEXT                  -- the name of the process that runs it; see `lock.ProcessMarker`
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE failing_parts (    -- of running processes; see `health`
        owner TEXT NOT NULL, name TEXT NOT NULL,
        failures INTEGER NOT NULL,  -- in a row
        message TEXT NOT NULL, since INTEGER NOT NULL, next_try INTEGER NOT NULL,
        PRIMARY KEY (owner, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE damaged_articles ( -- that could not be repaired
        article INTEGER PRIMARY KEY REFERENCES articles (row) ON DELETE CASCADE,
        message TEXT NOT NULL       -- what is wrong, and what to do
    ) STRICT;
    """

# Version 8, of searchsvc 0.1.0, has the same tables under other names: each with its name in version 9,
TABLES = {
    "facts": "metadata", "claims": "file_articles", "unused": "unused_vectors", "junk": "boilerplate",
    "outdated": "to_resplit", "uncounted": "to_count", "unfolded": "to_compare", "stories": "clusters",
    "entries": "feed_entries", "parts": "failing_parts", "damaged": "damaged_articles",
}  # fmt: skip
# columns, by the table's name in version 8,
COLUMNS = (
    ("files", "cut", "prepare_version"), ("articles", "given", "content_digest"), ("blocks", "told", "on_topic"),
    ("stories", "story", "cluster"), ("feeds", "next", "next_at"), ("jobs", "said", "result"),
    ("parts", "next", "next_try"), ("damaged", "said", "message"),
)  # fmt: skip
# and what has to be made anew to get another name.
MADE_ANEW = (
    ("VIEW", "newest AS SELECT * FROM articles WHERE until IS NULL",
             "current_articles AS SELECT * FROM articles WHERE until IS NULL"),
    ("INDEX", "claims_by_id ON claims (id)", "file_articles_by_id ON file_articles (id)"),
    ("INDEX", "junk_by_origin ON junk (origin) WHERE origin IS NOT NULL",
              "boilerplate_by_origin ON boilerplate (origin) WHERE origin IS NOT NULL"),
    ("INDEX", "stories_by_story ON stories (story)", "clusters_by_cluster ON clusters (cluster)"),
)  # fmt: skip


def _renaming(*, back: bool = False) -> list[str]:
    """Return the statements that bring version 8 to version 9, or back; no row is read or written."""
    order = -1 if back else 1
    tables = ["ALTER TABLE {} RENAME TO {}".format(*names[::order]) for names in TABLES.items()]
    columns = [f"ALTER TABLE {table} RENAME COLUMN {' TO '.join(names[::order])}" for table, *names in COLUMNS]
    made_anew = [(kind, *definitions[::order]) for kind, *definitions in MADE_ANEW]
    drops = [f"DROP {kind} {before.split()[0]}" for kind, before, _ in made_anew]
    return [*drops, *(columns + tables)[::order], *(f"CREATE {kind} {after}" for kind, _, after in made_anew)]


# By version, the statements that make the next version of it.
MIGRATIONS = {8: _renaming()}
VERSION = 9


def make(path: Path) -> None:
    """Make a catalogue of this version that holds nothing, whole or not at all: nobody ever finds a part of one."""
    part = path.with_name(f".{path.name}.part")
    # What lies there is of one who was killed, or of a catalogue that was deleted: SQLite would take it for this one's.
    for file in (part, *(main.with_name(f"{main.name}-{end}") for main in (part, path) for end in SIDE_FILES)):
        file.unlink(missing_ok=True)
    db = connect(part, journal="DELETE", create=True)
    try:
        migrate(db, create=True)
        db.execute("PRAGMA journal_mode = WAL")
    finally:
        db.close()
    part.replace(path)


def migrate(db: Connection, *, create: bool) -> None:
    """Bring a catalogue to this version in one transaction; raises ModelMismatch or DamagedCatalogue."""
    if _version(db) == VERSION:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        version = _version(db)
        if version == 0 and not create:
            raise DamagedCatalogue(f"the catalogue {db.path} is empty", way_back(db.path))
        if version == 0:
            create_tables(db)
        else:
            must_be_readable(version, f"the index in {db.path.parent}")
            for number in range(version, VERSION):
                for statement in MIGRATIONS[number]:
                    db.execute(statement)
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def must_be_readable(version: int, name: str) -> None:
    """Raise ModelMismatch for a catalogue, called `name`, of a version that is newer, or older than any released."""
    if version > VERSION:
        raise ModelMismatch(
            f"{name} was made by a newer searchsvc (catalogue version {version})",
            "install the newer searchsvc, or name another folder with --index",
        )
    if version < min(MIGRATIONS):
        raise ModelMismatch(
            f"{name} was made by a searchsvc older than 0.1.0 (catalogue version {version})",
            "index the sources again with `searchsvc index`, in another folder named with --index",
        )


def create_tables(db: Connection, version: int = VERSION) -> None:
    """Create the tables of this version, or of version 8, in an empty database."""
    for statement in re.sub("--.*", "", SCHEMA).split(";"):
        db.execute(statement)
    if version < VERSION:
        for statement in _renaming(back=True):
            db.execute(statement)


def _version(db: Connection) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version
