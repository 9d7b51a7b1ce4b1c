"""The catalogue: what is committed is there to the last bit, and nothing else is."""

import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from searchsvc.catalogue import (
    Catalogue,
    Counts,
    DateSpan,
    EmbeddingSpace,
    FailingPart,
    FeedState,
    FileState,
    Job,
    Table,
    Writer,
    from_microseconds,
    to_microseconds,
)
from searchsvc.catalogue.checksums import CheckedRows
from searchsvc.catalogue.connection import Connection
from searchsvc.catalogue.schema import MIGRATIONS, VERSION, create_tables
from searchsvc.catalogue.schema import TABLES as RENAMED
from searchsvc.errors import DamagedCatalogue, ModelMismatch, NoIndex
from searchsvc.library import Library
from searchsvc.text.article import Article, Problem, RawArticle, Version
from searchsvc.text.passages import Passage

TABLES = {"metadata", "files", "articles", "file_articles", "changes", "spaces", "vectors", "unused_vectors",
          "passages", "blocks", "boilerplate", "to_resplit", "to_count", "bands", "to_compare", "clusters", "feeds",
          "feed_entries", "jobs", "failing_parts", "damaged_articles"}  # fmt: skip
SPACE = EmbeddingSpace(1, "model", "fingerprint", 2, 160)
LATER = timedelta(days=1)


def made(path: Path) -> Catalogue:
    """Make a catalogue with one space, which serves."""
    catalogue = Catalogue(path, create=True)
    with catalogue.writing() as writer:
        assert writer.spaces.begin("model", "fingerprint", 2, 160, "serving") == SPACE
    return catalogue


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return made(tmp_path / "catalogue.sqlite3")


def entry(ident: str, text: str = "Text.", published: datetime | None = None, source: str | None = None) -> Article:
    return Article(
        0, ident, f"key {ident}", "Title", text, "https://a.b/c", source, "A. Hack", published, "given", "en"
    )


def vector(*values: float) -> np.ndarray:
    return np.array(values, np.float16)


def put_into(writer: Writer, one: Article, passages: Sequence[tuple[Passage, bytes]] = (), **facts: object) -> bool:
    """Put an article, its text being its digest."""
    given = one.text.encode()
    usual: dict[str, object] = {
        "digest": given,
        "content_digest": given,
        "file": None,
        "space": 1,
        "passages": passages,
    }
    return writer.articles.put(one, **(usual | facts))  # type: ignore[arg-type]


def put(catalogue: Catalogue, ident: str, text: str = "Text.", passages: int = 1, **facts: object) -> int:
    """Put an article with some passages, and return its row."""
    cut = [(Passage(n, n + 1, ((n, n + 1),)), f"{ident}{text}{n}".encode()) for n in range(passages)]
    with catalogue.writing() as writer:
        writer.vectors.add((digest, vector(n, 0.5)) for n, (_, digest) in enumerate(cut))
        put_into(writer, entry(ident, text, **facts), cut)  # type: ignore[arg-type]
    return newest(catalogue, ident).row


def newest(catalogue: Catalogue, ident: str) -> Article:
    found = catalogue.articles.get(ident)
    assert found is not None
    return found


def remove(catalogue: Catalogue, *idents: str) -> None:
    with catalogue.writing() as writer:
        for ident in idents:
            assert writer.articles.remove(ident)


def tidy(catalogue: Catalogue, before: datetime | None = None) -> None:
    """Tidy, by default as if a day had passed."""
    with catalogue.writing() as writer:
        writer.tidy(before or datetime.now(UTC) + LATER)


def plain(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


# What the file is


def test_every_table_is_strict(catalogue: Catalogue) -> None:
    strict = {name: bool(flag) for _, name, kind, _, _, flag in plain(catalogue.path).execute("PRAGMA table_list")
              if kind == "table" and not name.startswith("sqlite_")}  # fmt: skip
    assert strict == dict.fromkeys(TABLES, True)


def test_a_value_of_the_wrong_type_is_refused(catalogue: Catalogue) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="cannot store TEXT value in INTEGER column"):
        plain(catalogue.path).execute("INSERT INTO changes (article, action, at) VALUES ('one', 'added', 0)")


def test_a_passage_cannot_name_a_vector_that_is_not_there(catalogue: Catalogue) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"), catalogue.writing() as writer:
        put_into(writer, entry("a"), [(Passage(0, 1, ((0, 1),)), b"unknown")])
    assert catalogue.articles.get("a") is None
    assert catalogue.changes.last() == 0


def test_an_article_cannot_name_a_file_that_is_not_there(catalogue: Catalogue) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"), catalogue.writing() as writer:
        put_into(writer, entry("a"), file=77)
    assert catalogue.counts() == Counts(0, 0, 0, None)


def test_a_passage_cannot_name_a_space_that_is_not_there(catalogue: Catalogue) -> None:
    row = put(catalogue, "a")
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"), catalogue.writing() as writer:
        writer.passages.add(row, 2, [(Passage(0, 1, ()), b"aText.0")])
    assert catalogue.passages.of_article(row, 2) == []


def test_passages_go_with_their_article_and_vectors_stay_for_a_while(catalogue: Catalogue) -> None:
    row = put(catalogue, "a", passages=3)
    with catalogue.writing() as writer:
        assert writer.articles.remove("a") is True
        assert writer.articles.remove("a") is False
    assert catalogue.passages.of_article(row, 1) == []
    counts = catalogue.counts()
    assert (counts.articles, counts.passages, counts.generation) == (0, 0, 2)
    assert catalogue.vectors.known([b"aText.0", b"aText.2"]) == {b"aText.0", b"aText.2"}


def test_the_file_is_in_wal_mode_so_that_readers_never_wait(catalogue: Catalogue) -> None:
    assert plain(catalogue.path).execute("PRAGMA journal_mode").fetchone() == ("wal",)


# Versions


def test_a_new_file_is_of_the_newest_version(catalogue: Catalogue) -> None:
    assert plain(catalogue.path).execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_a_file_without_tables_gets_them(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite3"
    old = plain(path)
    old.execute("PRAGMA journal_mode = WAL")
    old.close()
    catalogue = made(path)
    assert catalogue.counts() == Counts(0, 0, 0, None)
    assert put(catalogue, "a") == 1


@pytest.mark.parametrize(
    ("version", "message", "hint"),
    [
        (9999, r"newer searchsvc \(catalogue version 9999\)", "install the newer searchsvc"),
        (7, r"older than 0\.1\.0 \(catalogue version 7\)", "index the sources again with `searchsvc index`"),
        (1, r"older than 0\.1\.0 \(catalogue version 1\)", "index the sources again with `searchsvc index`"),
    ],
)
def test_a_version_that_cannot_be_read_is_refused_and_left_as_it_is(
    catalogue: Catalogue, version: int, message: str, hint: str
) -> None:
    put(catalogue, "a")
    plain(catalogue.path).execute(f"PRAGMA user_version = {version}")
    with pytest.raises(ModelMismatch, match=message) as refusal:
        Catalogue(catalogue.path)
    assert str(refusal.value.hint).startswith(hint)
    assert plain(catalogue.path).execute("PRAGMA user_version").fetchone() == (version,)
    assert plain(catalogue.path).execute("SELECT id FROM articles").fetchall() == [("a",)]


def next_version(monkeypatch: pytest.MonkeyPatch, *statements: str) -> None:
    monkeypatch.setitem(MIGRATIONS, VERSION, statements)
    monkeypatch.setattr("searchsvc.catalogue.schema.VERSION", VERSION + 1)


def test_a_migration_that_fails_leaves_the_old_version(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    put(catalogue, "a")
    next_version(monkeypatch, "CREATE TABLE more (a TEXT) STRICT", "INSERT INTO nowhere VALUES (1)")
    with pytest.raises((DamagedCatalogue, sqlite3.OperationalError), match="nowhere"):
        Catalogue(catalogue.path)
    db = plain(catalogue.path)
    assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
    assert db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'more'").fetchone() == (0,)


def test_a_later_migration_keeps_what_is_there(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    row = put(catalogue, "a")
    next_version(monkeypatch, "ALTER TABLE files ADD COLUMN note TEXT")
    newer = Catalogue(catalogue.path)
    assert plain(catalogue.path).execute("PRAGMA user_version").fetchone() == (VERSION + 1,)
    assert newer.articles.get("a") == catalogue.articles.by_row([row])[row]


# From version 8, of searchsvc 0.1.0


@pytest.fixture
def version_8(tmp_path: Path) -> Path:
    """A catalogue that searchsvc 0.1.0 wrote; see `version_8.sql`."""
    path = tmp_path / "index" / "catalogue.sqlite3"
    path.parent.mkdir()
    of_version_8(path)
    return path


def of_version_8(path: Path) -> None:
    db = plain(path)
    db.executescript(Path(__file__).with_name("version_8.sql").read_text(encoding="utf-8"))
    db.execute("PRAGMA journal_mode = WAL")
    db.close()


def contents(path: Path) -> dict[str, list[tuple[object, ...]]]:
    db = plain(path)
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    rows = {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in tables}
    db.close()
    return rows


def test_everything_of_version_8_is_there_under_its_new_name(version_8: Path) -> None:
    before = contents(version_8)
    assert all(before.values())
    Catalogue(version_8).close()
    after = contents(version_8)
    sequences = {RENAMED.get(str(name), name): number for name, number in before.pop("sqlite_sequence")}
    assert dict(after.pop("sqlite_sequence")) == sequences  # type: ignore[arg-type]
    assert after == {RENAMED.get(table, table): rows for table, rows in before.items()}
    assert set(after) == TABLES
    assert plain(version_8).execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_a_catalogue_of_version_8_is_read_as_it_was_written(version_8: Path) -> None:
    catalogue = Catalogue(version_8)
    assert catalogue.check() == []
    tables: tuple[Table, ...] = ("articles", "passages", "vectors")
    assert [catalogue.checksums.check(table, None, 99) for table in tables] == [CheckedRows([], [], None)] * 3
    assert catalogue.counts().articles == catalogue.counts().passages == 9
    assert catalogue.changes.last() == 25
    assert catalogue.changes.identity(25).startswith(f"{catalogue.lineage()} 20")
    space = catalogue.spaces.get()
    assert space is not None
    assert (space.row, space.dimension, catalogue.spaces.get("making")) == (1, 32, None)
    (ident,) = catalogue.articles.ids_named("urn:c")
    assert [(one.number, one.text[:12]) for one in catalogue.articles.versions(ident)] == [
        (2, "It will snow"), (1, "It will rain"),
    ]  # fmt: skip
    assert len(catalogue.files.states_under("/news")) == 6
    state = catalogue.files.state("/news/bakery.md")
    assert state is not None
    assert (state.key, state.prepare_version) == ("bakery.md", "1")
    (bakery,) = catalogue.files.article_ids("/news/bakery.md")
    assert catalogue.files.of_article(bakery) == "/news/bakery.md"
    first, second = (
        newest(catalogue, ident) for key in ("urn:a", "urn:b") for ident in catalogue.articles.ids_named(key)
    )
    assert catalogue.near_duplicates.cluster_of(first.row) == catalogue.near_duplicates.cluster_of(second.row)
    assert catalogue.near_duplicates.of(first.row) == [second.row]
    (block,) = catalogue.boilerplate.recurring(6)
    assert (block.articles, block.is_boilerplate) == (6, True)
    assert catalogue.boilerplate.in_article(newest(catalogue, bakery).row) == {block.number}
    for marked in (
        catalogue.boilerplate.to_resplit,
        catalogue.boilerplate.to_count,
        catalogue.near_duplicates.to_compare,
    ):
        assert len(marked(99)) == 1
    later = datetime(2031, 1, 1, tzinfo=UTC)
    url = "https://feed.example/rss"
    assert catalogue.feeds.state(url) == FeedState(
        'W/"x"', "Tue, 18 Jun 2024 12:00:00 GMT", 3, later, "https://other.example/"
    )
    assert catalogue.feeds.entry_digest(url, "1") == b"entry"
    began = datetime(2024, 6, 1, tzinfo=UTC)
    assert catalogue.jobs.get("job") == Job("job", began, began + LATER, '{"added": 1}', "owner")
    assert catalogue.failing_parts.all() == [("owner", FailingPart("feed x", 2, "no answer", began, later))]
    assert (catalogue.metadata.get("note"), catalogue.checksums.damaged()) == ("kept", ["is damaged"])


def test_a_catalogue_of_version_8_is_written_to_as_ever(version_8: Path) -> None:
    catalogue = Catalogue(version_8)
    last = dict(plain(version_8).execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    row = put(catalogue, "e", passages=2)
    assert row == last["articles"] + 1 == 18  # rows are never used again
    assert [found.row for found in catalogue.passages.of_article(row, 1)] == [
        last["passages"] + 1,
        last["passages"] + 2,
    ]
    assert catalogue.changes.between(25, 26) == ([row], [])
    with catalogue.writing() as writer:
        assert writer.spaces.begin("next", "next", 3, 80, "making").row == 2
    unused = len(plain(version_8).execute("SELECT digest FROM vectors").fetchall())
    tidy(catalogue)
    assert len(plain(version_8).execute("SELECT digest FROM vectors").fetchall()) < unused
    assert catalogue.check() == []


@pytest.mark.usefixtures("version_8")
def test_an_index_of_version_8_is_searched_and_verified(open_library: Callable[[], Library]) -> None:
    library = open_library()
    assert library.search("museum").hits[0].article.key == "museum.md"
    assert "newsletter" not in library.search("museum")[0].passage.text
    assert len(library.search("northern bridge closed").hits[0].also_in) == 1
    assert library.verify().problems == ()
    text = "It will snow in the valley on Thursday, says the forecaster."
    article = RawArticle("urn:c", "Weather", text, language="en")
    assert library.add([article]).unchanged == 1
    assert library.add([replace(article, text="It was sunny.")]).embedded == 1
    (ident,) = library.catalogue.articles.ids_named("urn:c")
    assert [one.number for one in library.versions(ident)] == [3, 2, 1]


KILL = """
import os, random, signal, sys
from pathlib import Path
from searchsvc.catalogue.connection import connect
from searchsvc.catalogue.schema import migrate

def steps(path, most):
    done = 0
    def step():
        nonlocal done
        done += 1
        if done == most:
            os.kill(os.getpid(), signal.SIGKILL)
    db = connect(path)
    db.set_progress_handler(step, 1)
    migrate(db, create=False)
    db.close()
    return done

unharmed, *paths = map(Path, sys.argv[1:])
every = steps(unharmed, 0)
for number, path in enumerate(paths):
    pid = os.fork()
    if pid == 0:
        steps(path, random.Random(number).randint(1, every - 1))
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
"""


def test_a_migration_that_is_killed_leaves_the_old_version_or_the_new_one_whole(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.sqlite3" for number in range(21)]
    for path in paths:
        of_version_8(path)
    before = contents(paths[-1])
    subprocess.run([sys.executable, "-c", KILL, *map(str, paths)], check=True, timeout=60)
    for path in paths:
        db = plain(path)
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.close()
        assert (version, {*contents(path)} == {*before}) in ((8, True), (VERSION, False))
        catalogue = Catalogue(path)
        assert catalogue.check() == []
        assert [*contents(path)["articles"]] == before["articles"]
        catalogue.close()


def test_two_that_open_a_new_file_at_once_both_get_a_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite3"
    first = sqlite3.connect(path, isolation_level=None, factory=Connection)
    first.execute("PRAGMA journal_mode = WAL")
    first.execute("BEGIN IMMEDIATE")
    outcome: list[object] = []

    def second() -> None:
        try:
            outcome.append(Catalogue(path, create=True).counts())
        except Exception as error:  # noqa: BLE001  whatever it is, it is the outcome
            outcome.append(error)

    thread = threading.Thread(target=second)
    thread.start()
    time.sleep(0.5)  # the second has seen version 0 and waits to write
    create_tables(first)
    first.execute(f"PRAGMA user_version = {VERSION}")
    first.execute("COMMIT")
    thread.join(30)
    assert outcome == [Counts(0, 0, 0, None)]


# Articles and the change log


def test_an_article_comes_back_as_it_was_put(catalogue: Catalogue) -> None:
    text = "Nul \x00, astral 😀, combining e\u0301, right-to-left שלום, line\r\nends."
    when = datetime(2024, 6, 18, 23, 59, 59, 999_999, tzinfo=UTC)
    row = put(catalogue, "a", text, published=when, source="Reuters")
    assert catalogue.articles.get("a") == Article(
        row, "a", "key a", "Title", text, "https://a.b/c", "Reuters", "A. Hack", when, "given", "en",
        1, catalogue.changes.time_of(1),
    )  # fmt: skip
    assert catalogue.articles.by_row([row, 99]) == {row: catalogue.articles.get("a")}
    assert catalogue.articles.get("A") is None


def test_a_changed_article_gets_a_new_row_under_the_same_id(catalogue: Catalogue) -> None:
    first = put(catalogue, "a", "Old.")
    other = put(catalogue, "b")
    second = put(catalogue, "a", "New.")
    assert (first, other, second) == (1, 2, 3)
    found = catalogue.articles.get("a")
    assert found is not None
    assert (found.row, found.text) == (second, "New.")
    assert catalogue.articles.by_row([first])[first].text == "Old."
    assert catalogue.articles.deleted([first, other, second, 4]) == [4]
    log = plain(catalogue.path).execute("SELECT number, article, action FROM changes ORDER BY number").fetchall()
    assert log == [(1, 1, "added"), (2, 2, "added"), (3, 1, "removed"), (4, 3, "added")]


def test_put_says_whether_it_replaced(catalogue: Catalogue) -> None:
    with catalogue.writing() as writer:
        assert put_into(writer, entry("a"), digest=b"1") is False
        assert put_into(writer, entry("a"), digest=b"2") is True
    assert catalogue.articles.digests(["a", "b"]) == {"a": b"2"}


def test_rows_are_never_used_again_even_when_the_newest_is_removed(catalogue: Catalogue) -> None:
    row = put(catalogue, "a", passages=2)
    passages = [found.row for found in catalogue.passages.of_article(row, 1)]
    with catalogue.writing() as writer:
        writer.articles.remove("a")
    again = put(catalogue, "a", passages=2)
    assert again == row + 1
    assert [found.row for found in catalogue.passages.of_article(again, 1)] == [passages[-1] + 1, passages[-1] + 2]
    assert catalogue.passages.by_row(passages) == {}


def test_changes_tell_what_came_and_went_in_a_span(catalogue: Catalogue) -> None:
    a, b = put(catalogue, "a"), put(catalogue, "b")  # changes 1, 2
    new = put(catalogue, "a", "New.")  # 3: a's first row goes; 4: its second comes
    with catalogue.writing() as writer:
        writer.articles.remove("b")  # 5
    assert catalogue.changes.last() == 5
    assert catalogue.changes.between(0, 5) == ([new], [a, b])
    assert catalogue.changes.between(0, 2) == ([a, b], [])
    assert catalogue.changes.between(2, 4) == ([new], [a])
    assert catalogue.changes.between(3, 5) == ([new], [b])
    assert catalogue.changes.between(1, 1) == ([], [])
    assert catalogue.changes.between(5, 5) == ([], [])
    assert catalogue.changes.between(4, 900) == ([], [b])


def test_what_is_added_and_removed_within_a_span_is_not_added(catalogue: Catalogue) -> None:
    row = put(catalogue, "a")
    with catalogue.writing() as writer:
        writer.articles.remove("a")
    assert catalogue.changes.between(0, 2) == ([], [row])
    assert catalogue.changes.between(0, 1) == ([row], [])
    assert catalogue.changes.between(1, 2) == ([], [row])


def test_a_change_knows_its_moment(catalogue: Catalogue) -> None:
    before = datetime.now(UTC)
    put(catalogue, "a")
    at = catalogue.changes.time_of(1)
    assert at is not None
    assert before - timedelta(microseconds=1) <= at <= datetime.now(UTC)
    assert catalogue.changes.time_of(2) is None
    assert catalogue.counts() == Counts(1, 1, 1, at)


def test_names_are_keys_or_ids_before_they_are_sources(catalogue: Catalogue) -> None:
    put(catalogue, "a", source="BBC")
    put(catalogue, "b", source="BBC")
    put(catalogue, "c", source="key a")
    assert catalogue.articles.ids_named("a") == ["a"]
    assert catalogue.articles.ids_named("key a") == ["a"]
    assert sorted(catalogue.articles.ids_named("BBC")) == ["a", "b"]
    assert catalogue.articles.ids_named("nobody") == []
    assert catalogue.articles.ids_named("' OR 1 = 1 --") == []


def test_sources_and_span_are_counted(catalogue: Catalogue) -> None:
    assert catalogue.articles.date_span() == DateSpan(None, None, 0)
    old, new = datetime(1912, 4, 15, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
    for ident, when, source in (("a", new, "BBC"), ("b", old, "AP"), ("c", None, "BBC"), ("d", None, None)):
        put(catalogue, ident, published=when, source=source)
    assert catalogue.articles.date_span() == DateSpan(old, new, 2)
    assert catalogue.articles.sources() == [("BBC", 2), ("AP", 1)]


def test_a_stamp_tells_a_change_from_the_same_number_elsewhere(catalogue: Catalogue, tmp_path: Path) -> None:
    other = made(tmp_path / "other.sqlite3")
    assert catalogue.changes.identity(0) == Catalogue(catalogue.path).changes.identity(0) != other.changes.identity(0)
    assert catalogue.changes.identity(1) == catalogue.changes.identity(0)  # there is no such change yet
    put(catalogue, "a")
    put(other, "a")
    assert (
        len(
            {
                catalogue.changes.identity(0),
                catalogue.changes.identity(1),
                other.changes.identity(0),
                other.changes.identity(1),
            }
        )
        == 4
    )


# Versions of an article


def test_another_text_is_another_version(catalogue: Catalogue) -> None:
    put(catalogue, "a", "First.")
    put(catalogue, "b", "First.")
    first = newest(catalogue, "a")
    assert (first.version, first.since, first.revised) == (1, catalogue.changes.time_of(1), None)
    put(catalogue, "a", "Second.")
    second, at = newest(catalogue, "a"), catalogue.changes.time_of(4)
    assert (second.version, second.since, second.revised) == (2, at, at)
    assert catalogue.articles.versions("a") == [
        Version(2, "Title", "Second.", at, None),
        Version(1, "Title", "First.", first.since, at),
    ]
    assert [one.number for one in catalogue.articles.versions("b")] == [1]
    assert catalogue.articles.versions("c") == []


def test_the_same_text_is_the_same_version_whatever_else_changed(catalogue: Catalogue) -> None:
    put(catalogue, "a", "First.")
    second = put(catalogue, "a", "Second.", source="AP")
    since = newest(catalogue, "a").since
    third = put(catalogue, "a", "Second.", source="BBC")
    found = newest(catalogue, "a")
    assert (found.row, found.version, found.since, found.source) == (third, 2, since, "BBC")
    assert catalogue.articles.by_row([second])[second].source == "AP"
    assert catalogue.articles.versions("a")[0] == Version(2, "Title", "Second.", since, None)
    assert [one.number for one in catalogue.articles.versions("a")] == [2, 1]
    assert catalogue.articles.sources() == [("BBC", 1)]


def test_a_text_that_comes_back_is_a_version_of_its_own(catalogue: Catalogue) -> None:
    for text in ("First.", "Second.", "First."):
        put(catalogue, "a", text)
    assert [(one.number, one.text) for one in catalogue.articles.versions("a")] == [
        (3, "First."),
        (2, "Second."),
        (1, "First."),
    ]


def test_the_last_hundred_versions_are_kept(catalogue: Catalogue) -> None:
    with catalogue.writing() as writer:
        for number in range(1, 251):
            put_into(writer, entry("a", f"{number}."))
    tidy(catalogue)
    assert [one.number for one in catalogue.articles.versions("a")] == list(range(250, 150, -1))
    put(catalogue, "a", "251.")
    tidy(catalogue)
    assert [(one.number, one.text) for one in catalogue.articles.versions("a")] == [
        (n, f"{n}.") for n in range(251, 151, -1)
    ]


def test_of_one_version_only_the_newest_row_is_kept(catalogue: Catalogue) -> None:
    rows = [put(catalogue, "a", text, source=source) for text in ("1.", "2.") for source in ("AP", "BBC", "CBC")]
    tidy(catalogue, datetime.now(UTC) - LATER)
    assert [*catalogue.articles.by_row(rows)] == rows
    tidy(catalogue)
    assert [*catalogue.articles.by_row(rows)] == [rows[2], rows[5]]
    assert [one.text for one in catalogue.articles.versions("a")] == ["2.", "1."]


def test_removal_takes_all_versions_away_for_good(catalogue: Catalogue) -> None:
    rows = [put(catalogue, "a", text) for text in ("First.", "Second.")]
    other = put(catalogue, "b")
    remove(catalogue, "a")
    assert (catalogue.articles.versions("a"), catalogue.articles.by_row(rows), catalogue.articles.deleted(rows)) == (
        [],
        {},
        rows,
    )
    assert catalogue.passages.count([*rows, other], 1) == 1
    assert catalogue.changes.between(0, 5) == ([other], [*rows])
    put(catalogue, "a", "Third.")
    assert newest(catalogue, "a").version == 1
    tidy(catalogue)
    assert catalogue.vectors.known([b"aFirst.0", b"aSecond.0", b"aThird.0", b"bText.0"]) == {b"aThird.0", b"bText.0"}


# Upkeep


def test_what_was_replaced_can_be_read_until_it_is_tidied_away(catalogue: Catalogue) -> None:
    old, new = put(catalogue, "a", "Old.", passages=2), put(catalogue, "a", "New.")
    passages = catalogue.passages.of_article(old, 1)
    assert [one.row for one in passages] == [1, 2]
    assert catalogue.passages.by_row([1, 2, 3]) == {
        one.row: one for one in (*passages, *catalogue.passages.of_article(new, 1))
    }
    assert catalogue.vectors.of_articles([old, new], 1).vectors.tolist() == [[0, 0.5], [1, 0.5], [0, 0.5]]
    assert catalogue.passages.rows(1).tolist() == [3]
    assert catalogue.counts().passages == 1
    tidy(catalogue, datetime.now(UTC) - LATER)
    assert catalogue.passages.of_article(old, 1) == passages
    tidy(catalogue)
    assert catalogue.passages.by_row([1, 2, 3]) == {3: catalogue.passages.of_article(new, 1)[0]}
    assert catalogue.vectors.known([b"aOld.0", b"aOld.1", b"aNew.0"]) == {b"aNew.0"}
    assert [one.text for one in catalogue.articles.versions("a")] == ["New.", "Old."]
    assert catalogue.check() == []


def test_a_vector_stays_as_long_as_a_passage_needs_it(catalogue: Catalogue) -> None:
    passages = [(Passage(0, 1, ()), b"shared"), (Passage(1, 2, ()), b"own")]
    with catalogue.writing() as writer:
        writer.vectors.add([(b"shared", vector(1, 0)), (b"own", vector(0, 1))])
        put_into(writer, entry("a"), passages)
        put_into(writer, entry("b"), passages[:1])
        put_into(writer, entry("a", "New."))
    tidy(catalogue)
    assert catalogue.vectors.known([b"shared", b"own"]) == {b"shared"}
    remove(catalogue, "b")
    tidy(catalogue, datetime.now(UTC) - LATER)
    assert catalogue.vectors.known([b"shared"]) == {b"shared"}
    tidy(catalogue)
    assert catalogue.vectors.known([b"shared"]) == set()


def test_a_vector_that_is_needed_again_in_time_stays(catalogue: Catalogue) -> None:
    put(catalogue, "a")
    remove(catalogue, "a")
    put(catalogue, "a")
    tidy(catalogue)
    assert catalogue.vectors.known([b"aText.0"]) == {b"aText.0"}
    remove(catalogue, "a")
    tidy(catalogue)
    assert catalogue.vectors.known([b"aText.0"]) == set()


def test_a_vector_is_kept_for_a_while_after_its_last_removal(catalogue: Catalogue) -> None:
    put(catalogue, "a")
    remove(catalogue, "a")
    put(catalogue, "a")
    between = datetime.now(UTC)
    remove(catalogue, "a")
    tidy(catalogue, between)
    assert catalogue.vectors.known([b"aText.0"]) == {b"aText.0"}


def test_a_space_that_has_ended_goes_with_its_passages_and_vectors(catalogue: Catalogue) -> None:
    row = put(catalogue, "a")
    with catalogue.writing() as writer:
        space = writer.spaces.begin("next", "next", 3, 80, "making")
        writer.vectors.add([(b"next", vector(1, 2, 3))])
        writer.passages.add(row, space.row, [(Passage(0, 2, ()), b"next")])
    assert (catalogue.spaces.get(), catalogue.spaces.get("making")) == (SPACE, space)
    assert catalogue.counts().passages == 1
    assert [one.passage.end for one in catalogue.passages.of_article(row, 2)] == [2]
    tidy(catalogue)
    with catalogue.writing() as writer:
        writer.spaces.serve(space.row)
    assert (catalogue.spaces.get(), catalogue.spaces.get("making")) == (space, None)
    tidy(catalogue, datetime.now(UTC) - LATER)
    assert catalogue.passages.rows(1).tolist() == [1]
    tidy(catalogue)
    assert (catalogue.passages.rows(1).tolist(), catalogue.passages.rows(2).tolist()) == ([], [2])
    assert catalogue.vectors.known([b"aText.0", b"next"]) == {b"next"}
    with catalogue.writing() as writer:
        assert writer.spaces.begin("third", "third", 3, 80, "making").row == 3


def test_a_space_that_is_given_up_goes_at_once(catalogue: Catalogue) -> None:
    row = put(catalogue, "a")
    with catalogue.writing() as writer:
        given_up = writer.spaces.begin("next", "next", 3, 80, "making").row
        writer.vectors.add([(b"next", vector(1, 2, 3))])
        writer.passages.add(row, given_up, [(Passage(0, 2, ()), b"next")])
        other = writer.spaces.begin("third", "third", 3, 80, "making")
    tidy(catalogue, datetime.now(UTC) - LATER)
    assert catalogue.spaces.get("making") == other
    assert catalogue.passages.of_article(row, given_up) == []
    assert catalogue.vectors.known([b"aText.0", b"next"]) == {b"aText.0"}


def test_lacking_are_the_articles_in_force_without_passages_in_a_space(catalogue: Catalogue) -> None:
    with catalogue.writing() as writer:
        space = writer.spaces.begin("next", "next", 3, 80, "making").row
    rows = {ident: put(catalogue, ident) for ident in "abcd"}
    rows["a"] = put(catalogue, "a", "New.")
    remove(catalogue, "d")
    with catalogue.writing() as writer:
        writer.passages.add(rows["c"], space, [(Passage(0, 1, ()), b"cText.0")])
    assert (catalogue.passages.exist(rows["c"], space), catalogue.passages.exist(rows["b"], space)) == (True, False)
    assert catalogue.articles.without_passages(space, 0, 9) == [newest(catalogue, "b"), newest(catalogue, "a")]
    assert catalogue.articles.without_passages(space, 0, 1) == [newest(catalogue, "b")]
    assert catalogue.articles.without_passages(space, rows["b"], 9) == [newest(catalogue, "a")]
    assert catalogue.articles.without_passages(1, 0, 9) == []


def test_unused_space_goes_back_to_the_disk_while_others_read(catalogue: Catalogue) -> None:
    for number in range(50):
        put(catalogue, f"article {number}", f"{number} says. " * 1_000)
    remove(catalogue, *(f"article {number}" for number in range(1, 50)))
    unused, size = catalogue.unused_bytes()
    assert unused > size / 2
    kept, wrong, reading, done = newest(catalogue, "article 0"), [], threading.Event(), threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                with catalogue.reading():
                    if (catalogue.articles.get("article 0"), catalogue.counts().articles) != (kept, 1):
                        wrong.append("another state")
            except Exception as error:  # noqa: BLE001  whatever it is, it is wrong
                wrong.append(repr(error))
            reading.set()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        reading.wait(30)
        catalogue.compact()
    finally:
        done.set()
        thread.join(30)
    assert wrong == []
    assert catalogue.unused_bytes() == (0, catalogue.path.stat().st_size)
    assert catalogue.path.stat().st_size < size - unused / 2
    assert catalogue.check() == []
    assert put(catalogue, "next") == 51


# Dates


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(1815, 6, 18, 11, 35, 0, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2024, 2, 29, 12, 0, 0, 123_457, tzinfo=UTC),
    ],
)
def test_moments_come_back_to_the_microsecond(catalogue: Catalogue, moment: datetime) -> None:
    assert from_microseconds(to_microseconds(moment)) == moment
    put(catalogue, "a", published=moment)
    found = catalogue.articles.get("a")
    assert found is not None
    assert found.published == moment
    assert found.published.tzinfo is UTC


def test_a_moment_in_another_zone_is_kept_as_the_same_moment(catalogue: Catalogue) -> None:
    put(catalogue, "a", published=datetime(1950, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))))
    found = catalogue.articles.get("a")
    assert found is not None
    assert found.published == datetime(1949, 12, 31, 20, 0, tzinfo=UTC)


# Passages and vectors


def test_passages_and_their_sentences_come_back_in_order(catalogue: Catalogue) -> None:
    passages = [Passage(0, 90, ((0, 30), (31, 90))), Passage(92, 2**31 - 1, ((92, 2**31 - 1),)), Passage(3, 3, ())]
    with catalogue.writing() as writer:
        writer.vectors.add([(b"v", vector(1, 0))])
        put_into(writer, entry("a"), [(passage, b"v") for passage in passages])
    found = catalogue.passages.of_article(1, 1)
    assert [one.passage for one in found] == passages
    assert [one.article for one in found] == [1, 1, 1]
    assert catalogue.passages.by_row([3, 1, 44]) == {3: found[2], 1: found[0]}
    assert catalogue.passages.count([1, 2], 1) == 3


def test_every_float16_comes_back_bit_for_bit(catalogue: Catalogue) -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)  # also the infinities and all that are not numbers
    with catalogue.writing() as writer:
        writer.vectors.add([(b"v", every)])
        put_into(writer, entry("a"), [(Passage(0, 1, ()), b"v")])
    assert catalogue.vectors.of_articles([1], 1).vectors.view(np.uint16).tolist() == [list(range(2**16))]


def test_a_vector_is_kept_once_by_what_was_embedded_and_never_changed(catalogue: Catalogue) -> None:
    with catalogue.writing() as writer:
        writer.vectors.add([(b"v", vector(1, 2)), (b"w", vector(3, 4))])
        writer.vectors.add([(b"v", vector(9, 9))])
        for ident in "ab":
            put_into(writer, entry(ident), [(Passage(0, 1, ()), b"v"), (Passage(1, 2, ()), b"w")])
    assert catalogue.vectors.known([b"v", b"w", b"x"]) == {b"v", b"w"}
    assert catalogue.vectors.of_articles([1, 2], 1).vectors.tolist() == [[1, 2], [3, 4], [1, 2], [3, 4]]


def test_rows_come_by_ascending_row_with_the_vectors_beside_them(catalogue: Catalogue) -> None:
    a, b = put(catalogue, "a", passages=2), put(catalogue, "b", passages=3)
    rows = catalogue.vectors.of_articles([a, b], 1)
    assert rows.rows.tolist() == [1, 2, 3, 4, 5]
    assert rows.articles.tolist() == [a, a, b, b, b]
    assert rows.vectors.tolist() == [[0, 0.5], [1, 0.5], [0, 0.5], [1, 0.5], [2, 0.5]]
    assert (rows.rows.dtype, rows.articles.dtype, rows.vectors.dtype) == (np.int64, np.int64, np.float16)


def test_rows_of_articles_that_have_gone_are_left_out(catalogue: Catalogue) -> None:
    a, b = put(catalogue, "a"), put(catalogue, "b")
    with catalogue.writing() as writer:
        writer.articles.remove("a")
    assert catalogue.vectors.of_articles([a, b], 1).rows.tolist() == [2]
    assert catalogue.vectors.of_articles([a], 1).vectors.shape == (0, 0)


# Files


SEEN = FileState("a.txt", 2**40, 1_718_000_000_123_456_789, 1_718_000_001_000_000_001, 2**62, b"digest", "7")


def test_a_file_counts_as_read_only_when_it_was_read_to_its_end(catalogue: Catalogue) -> None:
    with catalogue.writing() as writer:
        row = writer.files.begin("/news/a.txt", "a.txt")
        put_into(writer, entry("a"), file=row)
    assert catalogue.files.state("/news/a.txt") == FileState("a.txt", None, None, None, None, None, None)
    assert catalogue.files.of_article("a") == "/news/a.txt"
    with catalogue.writing() as writer:
        writer.files.end("/news/a.txt", SEEN)
    assert catalogue.files.state("/news/a.txt") == SEEN
    assert catalogue.files.article_ids("/news/a.txt") == {"a"}
    assert (catalogue.files.state("/news/b.txt"), catalogue.files.article_ids("/news/b.txt")) == (None, set())
    assert catalogue.files.of_article("b") is None
    with catalogue.writing() as writer:
        assert writer.files.begin("/news/a.txt", "another key") == row
    assert catalogue.files.state("/news/a.txt") == replace(SEEN, size=None)


def test_what_was_wrong_with_a_file_comes_back(catalogue: Catalogue) -> None:
    problems = (Problem("/f, line 2", 'no title: "x" \u2028 é', lost=True), Problem("/f", "no date", lost=False))
    with catalogue.writing() as writer:
        writer.files.end("/f", replace(SEEN, problems=problems))
    assert catalogue.files.state("/f") == replace(SEEN, problems=problems)


NAMES = ("/a", "/a/b", "/a/b/c", "/a/\x01", "/a/é", "/a-b", "/a.b", "/a0", "/a0/b", "/A/b", "/a_c", "/axc",
         "/a%", "/a%/b", "/a_", "/a_/b", "/b")  # fmt: skip


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a", {"/a", "/a/b", "/a/b/c", "/a/\x01", "/a/é"}),
        ("/a/", {"/a/b", "/a/b/c", "/a/\x01", "/a/é"}),
        ("/a/b", {"/a/b", "/a/b/c"}),
        ("/a%", {"/a%", "/a%/b"}),
        ("/a_", {"/a_", "/a_/b"}),
        ("/a0", {"/a0", "/a0/b"}),
        ("/a-b", {"/a-b"}),
        ("/", set(NAMES)),
        ("/nobody", set()),
    ],
)
def test_what_is_seen_under_a_path_lies_at_it_or_below_it(catalogue: Catalogue, path: str, expected: set[str]) -> None:
    with catalogue.writing() as writer:
        for name in NAMES:
            writer.files.end(name, replace(SEEN, key=name))
    assert catalogue.files.states_under(path) == {name: replace(SEEN, key=name) for name in expected}


# Which files hold an article


def hold(catalogue: Catalogue, path: str, *idents: str, text: str = "Text.") -> None:
    """Read a file to its end, whose articles come into force as it holds them."""
    with catalogue.writing() as writer:
        row = writer.files.begin(path, path)
        for ident in idents:
            put_into(writer, entry(ident, text), file=row)
        writer.files.end(path, replace(SEEN, key=path))


def disclaim(catalogue: Catalogue, path: str, *idents: str, forget: bool = False) -> tuple[int, set[str]]:
    with catalogue.writing() as writer:
        found = writer.files.release(path, idents)
        if forget:
            writer.files.remove(path)
    return found


def ids(catalogue: Catalogue) -> set[str]:
    return {ident for ident in "abcdef" if catalogue.articles.get(ident)}


def test_an_article_goes_when_the_only_file_that_holds_it_no_longer_does(catalogue: Catalogue) -> None:
    hold(catalogue, "/1", "a", "b")
    assert disclaim(catalogue, "/1", "a") == (1, set())
    assert (ids(catalogue), catalogue.files.article_ids("/1")) == ({"b"}, {"b"})
    assert disclaim(catalogue, "/1", "b", forget=True) == (1, set())
    assert (ids(catalogue), catalogue.files.state("/1")) == (set(), None)
    assert disclaim(catalogue, "/1", "b") == (0, set())


def test_an_article_that_another_file_holds_too_stays_and_that_one_is_read_again(catalogue: Catalogue) -> None:
    hold(catalogue, "/1", "a", text="Of the first.")
    hold(catalogue, "/2", "a", text="Of the second.")
    assert (catalogue.files.article_ids("/1"), catalogue.files.article_ids("/2"), catalogue.files.of_article("a")) == (
        {"a"},
        {"a"},
        "/2",
    )
    assert disclaim(catalogue, "/2", "a") == (0, {"/1"})
    assert newest(catalogue, "a").text == "Of the second."
    first, second = catalogue.files.state("/1"), catalogue.files.state("/2")
    assert first is not None
    assert second is not None
    assert (first.size, second.size) == (None, SEEN.size)
    hold(catalogue, "/1", "a", text="Of the first.")
    assert disclaim(catalogue, "/1", "a") == (1, set())
    assert ids(catalogue) == set()


def test_a_file_whose_text_is_not_in_force_gives_up_its_claim_alone(catalogue: Catalogue) -> None:
    hold(catalogue, "/1", "a")
    hold(catalogue, "/2", "a")
    generation = catalogue.changes.last()
    assert disclaim(catalogue, "/1", "a") == (0, set())
    assert (catalogue.changes.last(), catalogue.files.article_ids("/1"), catalogue.files.of_article("a")) == (
        generation,
        set(),
        "/2",
    )
    assert catalogue.files.state("/2") == replace(SEEN, key="/2")
    assert disclaim(catalogue, "/2", "a") == (1, set())


@pytest.mark.parametrize("order", [("/1", "/2"), ("/2", "/1")])
@pytest.mark.parametrize("forget", [False, True])
def test_an_article_goes_with_its_last_claim_in_whatever_order(
    catalogue: Catalogue, order: tuple[str, str], forget: bool
) -> None:
    hold(catalogue, "/1", "a")
    hold(catalogue, "/2", "a")
    removed = [disclaim(catalogue, path, "a", forget=forget)[0] for path in order]
    assert removed == [0, 1]
    assert ids(catalogue) == set()
    assert catalogue.check() == []


def test_two_files_that_vanish_at_once_take_along_what_both_held(catalogue: Catalogue) -> None:
    hold(catalogue, "/1", "a", "b")
    hold(catalogue, "/2", "a", "c")
    with catalogue.writing() as writer:
        assert [writer.files.release(path, catalogue.files.article_ids(path))[0] for path in ("/2", "/1")] == [1, 2]
        for path in ("/1", "/2"):
            writer.files.remove(path)
    assert ids(catalogue) == set()


def test_a_file_that_is_forgotten_leaves_what_another_holds_to_that_one(catalogue: Catalogue) -> None:
    hold(catalogue, "/1", "a")
    hold(catalogue, "/2", "a")
    assert disclaim(catalogue, "/2", "a", forget=True) == (0, {"/1"})
    assert (ids(catalogue), catalogue.files.of_article("a"), catalogue.files.state("/2")) == ({"a"}, "/1", None)


def test_an_article_that_was_given_directly_goes_with_no_file(catalogue: Catalogue) -> None:
    hold(catalogue, "/1", "a")
    put(catalogue, "a", "Given.")
    put(catalogue, "b", "Given.")
    assert (catalogue.files.of_article("a"), catalogue.files.article_ids("/1")) == (None, {"a"})
    assert disclaim(catalogue, "/1", "a", "b", forget=True) == (0, set())
    assert ids(catalogue) == {"a", "b"}


def test_an_unchanged_article_becomes_that_of_the_file_that_was_read_last(catalogue: Catalogue) -> None:
    hold(catalogue, "/1", "a")
    generation = catalogue.changes.last()
    with catalogue.writing() as writer:
        writer.files.hold(writer.files.begin("/2"), "a")
    assert (catalogue.files.of_article("a"), catalogue.files.article_ids("/1"), catalogue.files.article_ids("/2")) == (
        "/2",
        {"a"},
        {"a"},
    )
    assert catalogue.changes.last() == generation


def test_a_removed_article_is_claimed_by_nobody(catalogue: Catalogue) -> None:
    hold(catalogue, "/1", "a", "b")
    hold(catalogue, "/2", "a")
    remove(catalogue, "a")
    assert (catalogue.files.article_ids("/1"), catalogue.files.article_ids("/2")) == ({"b"}, set())


# Feeds


def test_a_feed_and_its_entries_come_back(catalogue: Catalogue) -> None:
    url, other = "https://a.b/feed", "https://a.b/other"
    assert (catalogue.feeds.state(url), catalogue.feeds.urls(), catalogue.feeds.entry_digest(url, "1")) == (
        FeedState(),
        [],
        None,
    )
    later = datetime(2031, 1, 1, 12, 0, 0, 1, tzinfo=UTC)
    with catalogue.writing() as writer:
        writer.feeds.set_entry(other, "1", b"other")
        writer.feeds.set_state(url, FeedState('W/"x"', "Tue, 18 Jun 2024 12:00:00 GMT", 3, later, "https://x.example/"))
        writer.feeds.set_entry(url, "1", b"first")
        writer.feeds.set_entry(url, "2", b"second")
        writer.feeds.set_entry(url, "1", b"changed")
    assert catalogue.feeds.state(url) == FeedState(
        'W/"x"', "Tue, 18 Jun 2024 12:00:00 GMT", 3, later, "https://x.example/"
    )
    assert catalogue.feeds.state(other) == FeedState()
    assert catalogue.feeds.urls() == [url, other]
    assert [catalogue.feeds.entry_digest(url, key) for key in ("1", "2", "3")] == [b"changed", b"second", None]
    assert catalogue.feeds.entry_digest(other, "1") == b"other"
    with catalogue.writing() as writer:
        writer.feeds.set_state(url, FeedState())
    assert (catalogue.feeds.state(url), catalogue.feeds.entry_digest(url, "2")) == (FeedState(), b"second")


def test_a_job_comes_back_as_it_last_stood(catalogue: Catalogue) -> None:
    began = datetime(2031, 1, 1, tzinfo=UTC)
    job = Job("a", began)
    with catalogue.writing() as writer:
        writer.jobs.put(job)
    assert (catalogue.jobs.get("a"), catalogue.jobs.get("b")) == (job, None)
    job = replace(job, ended=began + timedelta(microseconds=1), result='{"added": 1}')
    with catalogue.writing() as writer:
        writer.jobs.put(job)
    assert catalogue.jobs.get("a") == job


def test_the_oldest_jobs_are_forgotten(catalogue: Catalogue) -> None:
    began = datetime(2031, 1, 1, tzinfo=UTC)
    with catalogue.writing() as writer:
        for number in range(1_002):
            writer.jobs.put(Job(str(number), began + timedelta(seconds=number)))
    assert [catalogue.jobs.get(ident) is not None for ident in ("0", "1", "2", "1001")] == [False, False, True, True]


# Transactions


def test_a_transaction_that_fails_half_way_leaves_nothing(catalogue: Catalogue) -> None:
    row = put(catalogue, "a", "Old.")
    before = (catalogue.articles.get("a"), catalogue.counts(), catalogue.spaces.get(), catalogue.feeds.urls())

    def fail_half_way() -> None:
        with catalogue.writing() as writer:
            writer.spaces.serve(writer.spaces.begin("x", "x", 3, 80, "making").row)
            writer.feeds.set_entry("https://a.b/feed", "1", b"1")
            writer.files.end("/f", SEEN)
            writer.vectors.add([(b"new", vector(1, 1))])
            put_into(writer, entry("a", "New."))
            put_into(writer, entry("b"), [(Passage(0, 1, ()), b"new")])
            writer.articles.remove("a")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_half_way()
    assert (catalogue.articles.get("a"), catalogue.counts(), catalogue.spaces.get(), catalogue.feeds.urls()) == before
    assert catalogue.vectors.known([b"new"]) == set()
    assert catalogue.files.state("/f") is None
    assert put(catalogue, "c") == row + 1  # and the next transaction can begin


def test_what_is_not_committed_is_seen_by_nobody_else(catalogue: Catalogue) -> None:
    put(catalogue, "a")
    other = Catalogue(catalogue.path)
    before = other.changes.last()
    with catalogue.writing() as writer:
        writer.articles.remove("a")
        assert other.counts().articles == 1
        assert other.changes.last() == before
    assert other.counts().articles == 0
    assert other.changes.last() == before + 1


def test_a_process_that_dies_while_writing_leaves_what_was_committed(catalogue: Catalogue) -> None:
    put(catalogue, "a", "Old.")
    code = """
import os, sys
from pathlib import Path
from searchsvc.catalogue import Catalogue
with Catalogue(Path(sys.argv[1])).writing() as writer:
    writer.articles.remove("a")
    writer.feeds.set_entry("https://a.b/feed", "half", b"done")
    os._exit(9)
"""
    done = subprocess.run([sys.executable, "-c", code, str(catalogue.path)], check=False, timeout=60)
    assert done.returncode == 9
    after = Catalogue(catalogue.path)
    found = after.articles.get("a")
    assert found is not None
    assert found.text == "Old."
    assert after.feeds.urls() == []
    assert after.check() == []


def test_all_reads_within_reading_see_one_state(catalogue: Catalogue) -> None:
    row = put(catalogue, "a", "Old.")
    other = Catalogue(catalogue.path)
    with other.reading():
        assert other.changes.last() == 1
        put(catalogue, "a", "New.")
        assert other.changes.last() == 1
        assert other.articles.by_row([row])[row].text == "Old."
        assert other.vectors.of_articles([row], 1).rows.tolist() == [1]
    assert other.changes.last() == 3
    assert newest(other, "a").text == "New."


def test_readers_in_threads_see_only_whole_transactions(catalogue: Catalogue) -> None:
    rounds, wrong, done = 60, [], threading.Event()
    put(catalogue, "a", "0")
    put(catalogue, "b", "0")

    def read() -> None:
        last = 0
        while not done.is_set():
            with catalogue.reading():
                texts = {one.text for ident in "ab" if (one := catalogue.articles.get(ident))}
                counts = catalogue.counts()
            if len(texts) != 1 or counts.articles != 2 or counts.generation % 4 != 2 or int(min(texts)) < last:
                wrong.append((texts, counts))
            last = int(min(texts))

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(1, rounds + 1):
            with catalogue.writing() as writer:
                put_into(writer, entry("a", str(number)))
                put_into(writer, entry("b", str(number)))
    finally:
        done.set()
        for thread in threads:
            thread.join(30)
    assert wrong == []
    assert catalogue.changes.last() == 2 + 4 * rounds


def test_another_process_reads_while_one_writes(catalogue: Catalogue) -> None:
    put(catalogue, "a", "0")
    put(catalogue, "b", "0")
    code = """
import sys
from pathlib import Path
from searchsvc.catalogue import Catalogue
catalogue = Catalogue(Path(sys.argv[1]))
seen = []
while not seen or seen[-1] != "20":
    with catalogue.reading():
        a, b = catalogue.articles.get("a"), catalogue.articles.get("b")
    assert a.text == b.text, (a.text, b.text)
    seen.append(a.text)
    if len(seen) == 1:
        print("reading", flush=True)
assert list(map(int, seen)) == sorted(map(int, seen))
print("whole")
"""
    command = [sys.executable, "-c", code, str(catalogue.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reading\n"
        for number in range(1, 21):
            with catalogue.writing() as writer:
                for ident in "ab":
                    put_into(writer, entry(ident, str(number)))
        assert reader.stdout.read() == "whole\n"
    assert reader.returncode == 0


# Damage


def test_a_missing_catalogue_is_no_index_and_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(NoIndex, match=re.escape(str(tmp_path))):
        Catalogue(tmp_path / "catalogue.sqlite3")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("garbage", [b"garbage", b"not a database " * 1_000, b"SQLite format 3\x00" + b"\xff" * 5_000])
def test_garbage_is_refused_by_name(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "catalogue.sqlite3"
    path.write_bytes(garbage)
    for create in (False, True):
        with pytest.raises(DamagedCatalogue, match=re.escape(str(path))) as refusal:
            Catalogue(path, create=create)
        assert refusal.value.hint is not None
    assert path.read_bytes() == garbage


def filled(path: Path, settled: Callable[[Path], None]) -> None:
    catalogue = made(path)
    for number in range(60):
        put(catalogue, f"article {number}", f"{number} says. " * 300)
    catalogue.close()
    settled(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_catalogue_is_refused_by_name(
    tmp_path: Path, settled: Callable[[Path], None], share: float
) -> None:
    path = tmp_path / "catalogue.sqlite3"
    filled(path, settled)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(int(size * share) // 4096 * 4096)
    with pytest.raises(DamagedCatalogue, match=re.escape(str(path))):
        Catalogue(path).counts()
    with pytest.raises(DamagedCatalogue, match=re.escape(str(path))):
        Catalogue(path).articles.by_row(range(1, 61))


def test_damage_that_only_reading_meets_is_named_too(tmp_path: Path, settled: Callable[[Path], None]) -> None:
    path = tmp_path / "catalogue.sqlite3"
    filled(path, settled)
    data = bytearray(path.read_bytes())
    data[40_960:] = b"\xa5" * (len(data) - 40_960)  # the schema is whole, and most of the articles are not
    path.write_bytes(data)
    with pytest.raises(DamagedCatalogue, match=re.escape(str(path))):
        Catalogue(path).articles.by_row(range(1, 61))


def test_damage_is_said_by_check_and_not_thrown(tmp_path: Path, settled: Callable[[Path], None]) -> None:
    path = tmp_path / "catalogue.sqlite3"
    filled(path, settled)
    data = bytearray(path.read_bytes())
    data[40_960:] = b"\xa5" * (len(data) - 40_960)
    path.write_bytes(data)
    try:
        found = Catalogue(path).check()
    except DamagedCatalogue as damage:
        found = [damage.message]
    assert found


def test_check_names_a_reference_to_nothing(catalogue: Catalogue) -> None:
    put(catalogue, "a")
    assert catalogue.check() == []
    plain(catalogue.path).execute("DELETE FROM vectors")
    assert catalogue.check() == ["a row of passages refers to nothing"]


def test_an_emptied_catalogue_is_not_served_as_an_empty_index(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite3"
    path.write_bytes(b"")
    with pytest.raises((DamagedCatalogue, NoIndex)):
        Catalogue(path)
