"""Restoring a hostile file: refused by name before anything in it is run, and the index that was there serves on."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from searchsvc.catalogue.connection import Connection
from searchsvc.catalogue.schema import APPLICATION, VERSION, create_tables
from searchsvc.errors import DamagedCatalogue, ModelMismatch
from searchsvc.library import Library
from searchsvc.text.article import RawArticle

VERSION_8 = Path(__file__).with_name("version_8.sql").read_text(encoding="utf-8")
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT"

FITTING = "UPDATE {}, checksum = NULL"  # as in rows of an older version


def edited(sql: str) -> Callable[[Path], None]:
    def edit(file: Path) -> None:
        with closing(sqlite3.connect(file, isolation_level=None)) as db:
            db.executescript(sql)

    return edit


def redefined(table: str, old: str, new: str) -> Callable[[Path], None]:
    """Change how a table is defined, as an attacker can, without changing what is in it."""

    def edit(file: Path) -> None:
        with closing(sqlite3.connect(file, isolation_level=None)) as db:
            db.execute("PRAGMA writable_schema = ON")
            sql = "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = ? AND instr(sql, ?)"
            assert db.execute(sql, (old, new, table, old)).rowcount == 1

    return edit


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 3])


HARMS = {
    "a trigger": (edited("CREATE TRIGGER t AFTER INSERT ON articles BEGIN DELETE FROM articles; END"), "its trigger t"),
    "a trigger that never ends": (
        edited(f"CREATE TRIGGER t AFTER UPDATE ON metadata BEGIN INSERT INTO boilerplate {ENDLESS} x FROM n; END"),
        "its trigger t",
    ),
    "another view of our name": (
        edited(f"DROP VIEW current_articles; CREATE VIEW current_articles AS {ENDLESS} max(x) AS row FROM n"),
        "its view current_articles is none",
    ),
    "a view that never ends": (edited(f"CREATE VIEW v AS {ENDLESS} max(x) FROM n"), "its view v is none of ours"),
    "a view for a table": (
        edited("ALTER TABLE metadata RENAME TO kept; CREATE VIEW metadata AS SELECT * FROM kept"), "its table kept",
    ),
    "a generated column": (
        edited("ALTER TABLE jobs ADD COLUMN more TEXT GENERATED ALWAYS AS (upper(result))"), "its table jobs is none",
    ),
    "a column more": (edited("ALTER TABLE files ADD COLUMN more BLOB DEFAULT (randomblob(9))"), "its table files"),
    "an expression in an index": (edited("CREATE INDEX i ON articles (lower(title))"), "its index i is none of ours"),
    "an index that is missing": (edited("DROP INDEX file_articles_by_id"), "its index file_articles_by_id is missing"),
    "a table that takes any type": (redefined("articles", ") STRICT", ")"), "its table articles is none of ours"),
    "a check that always holds": (redefined("changes", "action IN", "1 OR action IN"), "its table changes"),
    "no such version": (edited("PRAGMA user_version = 0"), "of no version that is known"),
    "a reference to nothing": (
        edited("PRAGMA foreign_keys = OFF; UPDATE passages SET article = 99"), "a row of passages refers to nothing",
    ),
    "a passage outside its article": (edited(FITTING.format("passages SET end = 1000000000")), "outside its article"),
    "a passage before its article": (edited(FITTING.format("passages SET start = -5")), "outside its article"),
    "vectors that are too short": (edited(FITTING.format("vectors SET vector = x'0102'")), "another length"),
    "an article that never came": (edited("UPDATE changes SET article = 99"), "never came"),
    "changes from afar": (edited("UPDATE changes SET number = 9000000000000000000 WHERE number = 2"), "numbered"),
    "problems that are no JSON": (edited("INSERT INTO files (path, problems) VALUES ('/x', '[[')"), "no JSON"),
    "a flipped bit": (edited("UPDATE articles SET text = replace(text, 'o', 'n')"), "does not fit its checksum"),
    "no room for more rows": (
        edited("UPDATE sqlite_sequence SET seq = 9223372036854775807 WHERE name = 'articles'"), "no room for more",
    ),
    "a date beyond all years": (
        edited(FITTING.format("articles SET published = 9000000000000000000")), "outside of the years 1 to 9999",
    ),
    "no lineage": (edited("DELETE FROM metadata"), "no lineage"),
    "a file that is cut": (cut, "is damaged"),
}  # fmt: skip


@pytest.fixture
def stocked(open_library: Callable[[], Library], tmp_path: Path) -> Library:
    shelf = open_library()
    shelf.add(
        [RawArticle("a", "First", "The committee spoke of copper."), RawArticle("b", "Second", "Nickel came up too.")]
    )
    shelf.backup(tmp_path / "backup")
    shelf.add([RawArticle("c", "Third", "Cobalt was bought later.")])
    return shelf


def keys(shelf: Library, word: str) -> list[str]:
    return [hit.article.key for hit in shelf.search(word).hits if word in hit.passage.text.lower()]


def files(shelf: Library) -> list[str]:
    return sorted(file.name for file in shelf.folder.rglob("*") if not re.search("-(wal|shm)$", file.name))


@pytest.mark.parametrize("harm", HARMS)
def test_what_no_catalogue_holds_is_refused_and_the_old_index_answers(
    stocked: Library, open_library: Callable[[], Library], tmp_path: Path, harm: str
) -> None:
    spoil, said = HARMS[harm]
    spoil(tmp_path / "backup")
    before, lineage = files(stocked), stocked.catalogue.lineage()
    with pytest.raises(DamagedCatalogue, match=said) as refused:
        open_library().restore(tmp_path / "backup")
    assert refused.value.message.startswith(f"the backup {tmp_path / 'backup'} ")
    for shelf in (stocked, open_library()):
        assert (keys(shelf, "copper"), keys(shelf, "cobalt")) == (["a"], ["c"])
        assert shelf.catalogue.lineage() == lineage
    assert files(stocked) == before
    assert stocked.verify().problems == ()


def test_a_proof_that_takes_too_long_is_ended(
    stocked: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("searchsvc.catalogue.validation.MIN_SECONDS", 0.0)
    monkeypatch.setattr("searchsvc.catalogue.validation.BYTES_A_SECOND", 1e12)
    monkeypatch.setattr("searchsvc.catalogue.validation.STEPS", 1)
    with pytest.raises(DamagedCatalogue, match=r"within 0 seconds|after 0 seconds"):
        stocked.restore(tmp_path / "backup")
    assert keys(stocked, "cobalt") == ["c"]


def test_a_file_that_is_larger_than_the_disk_is_refused_at_once(stocked: Library, tmp_path: Path) -> None:
    from searchsvc.errors import Unwritable

    with (tmp_path / "backup").open("rb+") as stream:
        stream.truncate(1 << 43)
    with pytest.raises(Unwritable, match="are free"):
        stocked.restore(tmp_path / "backup")
    assert keys(stocked, "cobalt") == ["c"]


def test_the_old_index_serves_until_the_followers_of_the_new_one_are_there(
    stocked: Library, open_library: Callable[[], Library], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from searchsvc.engines.local import dense

    seen = []
    write = dense.write

    def look(*given: object) -> None:
        write(*given)  # type: ignore[arg-type]
        seen.append(keys(open_library(), "cobalt"))

    monkeypatch.setattr(dense, "write", look)
    stocked.restore(tmp_path / "backup")
    assert seen == [["c"]]
    said: list[str] = []
    for shelf in (stocked, Library(stocked.settings, announce=said.append)):
        assert (keys(shelf, "copper"), keys(shelf, "cobalt")) == (["a"], [])
        assert shelf.verify().problems == ()
    assert said == []  # nothing had to be made anew


def test_a_backup_of_searchsvc_0_1_is_taken(stocked: Library, tmp_path: Path) -> None:
    edited(VERSION_8)(tmp_path / "old")
    stocked.restore(tmp_path / "old")
    assert (keys(stocked, "copper"), stocked.status().articles) == ([], 9)
    assert keys(stocked, "bakery") == ["bakery.md"]
    assert stocked.verify().problems == ()


@pytest.mark.parametrize("version", [8, VERSION])
def test_an_empty_backup_is_taken_whatever_its_comments(stocked: Library, tmp_path: Path, version: int) -> None:
    with closing(sqlite3.connect(tmp_path / "empty", isolation_level=None, factory=Connection)) as db:
        create_tables(db, version)
        db.execute(f"PRAGMA user_version = {version}")
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute("INSERT INTO spaces VALUES (1, 'm', 'f', 32, 160, 'serving', 0)")
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = replace(sql, ',', ', -- a comment\n   ') WHERE name = 'jobs'")
    stocked.restore(tmp_path / "empty")
    assert stocked.status().articles == 0
    assert stocked.verify().problems == ()


@pytest.mark.parametrize(
    "harm", ["DROP INDEX claims_by_id", "ALTER TABLE jobs ADD COLUMN more TEXT", "DELETE FROM vectors"]
)
def test_a_backup_of_searchsvc_0_1_is_looked_at_as_closely(stocked: Library, tmp_path: Path, harm: str) -> None:
    edited(f"{VERSION_8}; {harm}")(tmp_path / "old")
    with pytest.raises(DamagedCatalogue, match=r"claims_by_id is missing|table jobs is none|refers to nothing"):
        stocked.restore(tmp_path / "old")
    assert keys(stocked, "cobalt") == ["c"]


@pytest.mark.parametrize("version", range(1, 8))
def test_a_backup_of_a_version_that_was_never_released_is_refused(
    stocked: Library, tmp_path: Path, version: int
) -> None:
    edited(f"{VERSION_8}; PRAGMA user_version = {version}")(tmp_path / "old")
    with pytest.raises(
        ModelMismatch, match=rf"^the backup .*old was made by .* \(catalogue version {version}\)"
    ) as refused:
        stocked.restore(tmp_path / "old")
    assert "`searchsvc index`" in str(refused.value.hint)
    assert keys(stocked, "cobalt") == ["c"]


def test_what_processes_recorded_of_themselves_is_not_taken_over(
    stocked: Library, open_library: Callable[[], Library], tmp_path: Path
) -> None:
    endless = 2**63 - 1
    edited(
        f"""INSERT INTO failing_parts VALUES ('0123456789abcdef', 'feed', 1, 'gone', {endless}, {endless});
        INSERT OR REPLACE INTO metadata VALUES ('swept', 'articles abc'), ('loss', 'all of it');
        INSERT INTO files (path, size, problems) VALUES ('/x', 1, '[1]')"""
    )(tmp_path / "backup")
    stocked.restore(tmp_path / "backup")
    shelf = open_library()
    assert (shelf.status().parts, shelf.status().damaged) == ((), ())
    assert shelf.catalogue.metadata.get("swept") is None
    seen = shelf.catalogue.files.state("/x")
    assert seen is not None
    assert (seen.size, seen.problems) == (None, ())  # it is read again
    assert keys(shelf, "copper") == ["a"]
