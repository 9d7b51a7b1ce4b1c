"""The catalogue: what is committed is there to the last bit, and nothing else is."""

import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from searchsvc.catalogue import Catalogue, Counts, Dates, Entry, from_microseconds, to_microseconds
from searchsvc.catalogue.database import MIGRATIONS
from searchsvc.errors import DamagedCatalogue, ModelMismatch, NoIndex
from searchsvc.passages import Passage

TABLES = {"facts", "files", "articles", "vectors", "passages", "changes"}


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path / "catalogue.sqlite3", create=True)


def entry(ident: str, text: str = "Text.", published: datetime | None = None, source: str | None = None) -> Entry:
    return Entry(0, ident, f"key {ident}", "Title", text, "https://a.b/c", source, "A. Hack", published, "given", "en")


def vector(*values: float) -> np.ndarray:
    return np.array(values, np.float16)


def put(catalogue: Catalogue, ident: str, text: str = "Text.", passages: int = 1, **facts: object) -> int:
    """Put an article with some passages, and return its row."""
    made = [(Passage(n, n + 1, ((n, n + 1),)), f"{ident}{text}{n}".encode()) for n in range(passages)]
    with catalogue.writing() as writer:
        writer.add_vectors((digest, vector(n, 0.5)) for n, (_, digest) in enumerate(made))
        writer.put(entry(ident, text, **facts), b"digest", None, made)  # type: ignore[arg-type]
    found = catalogue.article(ident)
    assert found is not None
    return found.row


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
        writer.put(entry("a"), b"d", None, [(Passage(0, 1, ((0, 1),)), b"unknown")])
    assert catalogue.article("a") is None
    assert catalogue.generation() == 0


def test_an_article_cannot_name_a_file_that_is_not_there(catalogue: Catalogue) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"), catalogue.writing() as writer:
        writer.put(entry("a"), b"d", 77, [])
    assert catalogue.counts() == Counts(0, 0, 0, 0, None)


def test_passages_go_with_their_article_and_vectors_stay(catalogue: Catalogue) -> None:
    row = put(catalogue, "a", passages=3)
    with catalogue.writing() as writer:
        assert writer.remove("a") is True
        assert writer.remove("a") is False
    assert catalogue.passages_of(row) == []
    counts = catalogue.counts()
    assert (counts.articles, counts.passages, counts.vectors, counts.generation) == (0, 0, 3, 2)


def test_the_file_is_in_wal_mode_so_that_readers_never_wait(catalogue: Catalogue) -> None:
    assert plain(catalogue.path).execute("PRAGMA journal_mode").fetchone() == ("wal",)


# Versions


def test_a_new_file_is_brought_to_the_newest_version(catalogue: Catalogue) -> None:
    assert plain(catalogue.path).execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)


def test_a_file_of_version_0_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite3"
    old = plain(path)
    old.execute("PRAGMA journal_mode = WAL")
    old.close()
    catalogue = Catalogue(path, create=True)
    assert catalogue.counts() == Counts(0, 0, 0, 0, None)
    assert put(catalogue, "a") == 1


def test_a_newer_version_is_refused_and_left_as_it_is(catalogue: Catalogue) -> None:
    put(catalogue, "a")
    plain(catalogue.path).execute("PRAGMA user_version = 9999")
    with pytest.raises(ModelMismatch, match=r"newer searchsvc \(catalogue version 9999\)") as refusal:
        Catalogue(catalogue.path)
    assert refusal.value.hint is not None
    assert plain(catalogue.path).execute("PRAGMA user_version").fetchone() == (9999,)
    assert plain(catalogue.path).execute("SELECT id FROM articles").fetchall() == [("a",)]


def test_a_migration_that_fails_leaves_the_old_version(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    put(catalogue, "a")
    bad = (*MIGRATIONS, "CREATE TABLE more (a TEXT) STRICT; INSERT INTO nowhere VALUES (1);")
    monkeypatch.setattr("searchsvc.catalogue.database.MIGRATIONS", bad)
    with pytest.raises((DamagedCatalogue, sqlite3.OperationalError), match="nowhere"):
        Catalogue(catalogue.path)
    db = plain(catalogue.path)
    assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'more'").fetchone() == (0,)


def test_a_later_migration_keeps_what_is_there(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    row = put(catalogue, "a")
    more = (*MIGRATIONS, "ALTER TABLE files ADD COLUMN note TEXT")
    monkeypatch.setattr("searchsvc.catalogue.database.MIGRATIONS", more)
    newer = Catalogue(catalogue.path)
    assert plain(catalogue.path).execute("PRAGMA user_version").fetchone() == (len(more),)
    assert newer.article("a") == catalogue.articles([row])[row]


def test_two_that_open_a_new_file_at_once_both_get_a_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite3"
    first = plain(path)
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
    for statement in MIGRATIONS[0].split(";"):
        first.execute(statement)
    first.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    first.execute("COMMIT")
    thread.join(30)
    assert outcome == [Counts(0, 0, 0, 0, None)]


# Articles and the change log


def test_an_article_comes_back_as_it_was_put(catalogue: Catalogue) -> None:
    text = "Nul \x00, astral 😀, combining e\u0301, right-to-left שלום, line\r\nends."
    when = datetime(2024, 6, 18, 23, 59, 59, 999_999, tzinfo=UTC)
    row = put(catalogue, "a", text, published=when, source="Reuters")
    assert catalogue.article("a") == Entry(
        row, "a", "key a", "Title", text, "https://a.b/c", "Reuters", "A. Hack", when, "given", "en"
    )
    assert catalogue.articles([row, 99]) == {row: catalogue.article("a")}
    assert catalogue.article("A") is None


def test_a_changed_article_gets_a_new_row_under_the_same_id(catalogue: Catalogue) -> None:
    first = put(catalogue, "a", "Old.")
    other = put(catalogue, "b")
    second = put(catalogue, "a", "New.")
    assert (first, other, second) == (1, 2, 3)
    found = catalogue.article("a")
    assert found is not None
    assert (found.row, found.text) == (second, "New.")
    assert catalogue.articles([first]) == {}
    log = plain(catalogue.path).execute("SELECT number, article, action FROM changes ORDER BY number").fetchall()
    assert log == [(1, 1, "added"), (2, 2, "added"), (3, 1, "removed"), (4, 3, "added")]


def test_put_says_whether_it_replaced(catalogue: Catalogue) -> None:
    with catalogue.writing() as writer:
        assert writer.put(entry("a"), b"1", None, []) is False
        assert writer.put(entry("a"), b"2", None, []) is True
    assert catalogue.digests(["a", "b"]) == {"a": b"2"}


def test_rows_are_never_used_again_even_when_the_newest_is_removed(catalogue: Catalogue) -> None:
    row = put(catalogue, "a", passages=2)
    passages = [found.row for found in catalogue.passages_of(row)]
    with catalogue.writing() as writer:
        writer.remove("a")
    again = put(catalogue, "a", passages=2)
    assert again == row + 1
    assert [found.row for found in catalogue.passages_of(again)] == [passages[-1] + 1, passages[-1] + 2]
    assert catalogue.passages(passages) == {}


def test_changes_tell_what_came_and_went_in_a_span(catalogue: Catalogue) -> None:
    a, b = put(catalogue, "a"), put(catalogue, "b")  # changes 1, 2
    new = put(catalogue, "a", "New.")  # 3: a's first row goes; 4: its second comes
    with catalogue.writing() as writer:
        writer.remove("b")  # 5
    assert catalogue.generation() == 5
    assert catalogue.changes(0, 5) == ([new], [a, b])
    assert catalogue.changes(0, 2) == ([a, b], [])
    assert catalogue.changes(2, 4) == ([new], [a])
    assert catalogue.changes(3, 5) == ([new], [b])
    assert catalogue.changes(1, 1) == ([], [])
    assert catalogue.changes(5, 5) == ([], [])
    assert catalogue.changes(4, 900) == ([], [b])


def test_what_is_added_and_removed_within_a_span_is_not_added(catalogue: Catalogue) -> None:
    row = put(catalogue, "a")
    with catalogue.writing() as writer:
        writer.remove("a")
    assert catalogue.changes(0, 2) == ([], [row])
    assert catalogue.changes(0, 1) == ([row], [])
    assert catalogue.changes(1, 2) == ([], [row])


def test_a_change_knows_its_moment(catalogue: Catalogue) -> None:
    before = datetime.now(UTC)
    put(catalogue, "a")
    at = catalogue.changed_at(1)
    assert at is not None
    assert before - timedelta(microseconds=1) <= at <= datetime.now(UTC)
    assert catalogue.changed_at(2) is None
    assert catalogue.counts() == Counts(1, 1, 1, 1, at)


def test_names_are_keys_or_ids_before_they_are_sources(catalogue: Catalogue) -> None:
    put(catalogue, "a", source="BBC")
    put(catalogue, "b", source="BBC")
    put(catalogue, "c", source="key a")
    assert catalogue.ids_of("a") == ["a"]
    assert catalogue.ids_of("key a") == ["a"]
    assert sorted(catalogue.ids_of("BBC")) == ["a", "b"]
    assert catalogue.ids_of("nobody") == []
    assert catalogue.ids_of("' OR 1 = 1 --") == []


def test_sources_and_span_are_counted(catalogue: Catalogue) -> None:
    assert catalogue.span() == Dates(None, None, 0)
    old, new = datetime(1912, 4, 15, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
    for ident, when, source in (("a", new, "BBC"), ("b", old, "AP"), ("c", None, "BBC"), ("d", None, None)):
        put(catalogue, ident, published=when, source=source)
    assert catalogue.span() == Dates(old, new, 2)
    assert catalogue.sources() == [("BBC", 2), ("AP", 1)]


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
    found = catalogue.article("a")
    assert found is not None
    assert found.published == moment
    assert found.published.tzinfo is UTC


def test_a_moment_in_another_zone_is_kept_as_the_same_moment(catalogue: Catalogue) -> None:
    put(catalogue, "a", published=datetime(1950, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))))
    found = catalogue.article("a")
    assert found is not None
    assert found.published == datetime(1949, 12, 31, 20, 0, tzinfo=UTC)


# Passages and vectors


def test_passages_and_their_sentences_come_back_in_order(catalogue: Catalogue) -> None:
    passages = [Passage(0, 90, ((0, 30), (31, 90))), Passage(92, 2**31 - 1, ((92, 2**31 - 1),)), Passage(3, 3, ())]
    with catalogue.writing() as writer:
        writer.add_vectors([(b"v", vector(1, 0))])
        writer.put(entry("a"), b"d", None, [(passage, b"v") for passage in passages])
    found = catalogue.passages_of(1)
    assert [one.passage for one in found] == passages
    assert [one.article for one in found] == [1, 1, 1]
    assert catalogue.passages([3, 1, 44]) == {3: found[2], 1: found[0]}
    assert catalogue.passage_count([1, 2]) == 3


def test_every_float16_comes_back_bit_for_bit(catalogue: Catalogue) -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)  # also the infinities and all that are not numbers
    with catalogue.writing() as writer:
        writer.add_vectors([(b"v", every)])
        writer.put(entry("a"), b"d", None, [(Passage(0, 1, ()), b"v")])
    assert catalogue.rows([1]).vectors.view(np.uint16).tolist() == [list(range(2**16))]


def test_a_vector_is_kept_once_by_what_was_embedded_and_never_changed(catalogue: Catalogue) -> None:
    with catalogue.writing() as writer:
        writer.add_vectors([(b"v", vector(1, 2)), (b"w", vector(3, 4))])
        writer.add_vectors([(b"v", vector(9, 9))])
        for ident in "ab":
            writer.put(entry(ident), b"d", None, [(Passage(0, 1, ()), b"v"), (Passage(1, 2, ()), b"w")])
    assert catalogue.has_vectors([b"v", b"w", b"x"]) == {b"v", b"w"}
    assert catalogue.counts().vectors == 2
    assert catalogue.rows([1, 2]).vectors.tolist() == [[1, 2], [3, 4], [1, 2], [3, 4]]


def test_rows_come_by_ascending_row_with_the_vectors_beside_them(catalogue: Catalogue) -> None:
    a, b = put(catalogue, "a", passages=2), put(catalogue, "b", passages=3)
    rows = catalogue.rows([a, b])
    assert rows.rows.tolist() == [1, 2, 3, 4, 5]
    assert rows.articles.tolist() == [a, a, b, b, b]
    assert rows.vectors.tolist() == [[0, 0.5], [1, 0.5], [0, 0.5], [1, 0.5], [2, 0.5]]
    assert (rows.rows.dtype, rows.articles.dtype, rows.vectors.dtype) == (np.int64, np.int64, np.float16)


def test_rows_of_articles_that_have_gone_are_left_out(catalogue: Catalogue) -> None:
    a, b = put(catalogue, "a"), put(catalogue, "b")
    with catalogue.writing() as writer:
        writer.remove("a")
    assert catalogue.rows([a, b]).rows.tolist() == [2]
    assert catalogue.rows([a]).vectors.shape == (0, 0)


# Files


def test_a_file_counts_as_read_only_when_it_was_read_to_its_end(catalogue: Catalogue) -> None:
    with catalogue.writing() as writer:
        row = writer.begin_file("/news/a.txt")
        writer.put(entry("a"), b"d", row, [])
    assert catalogue.file("/news/a.txt") is None
    assert catalogue.file_of("a") == "/news/a.txt"
    with catalogue.writing() as writer:
        writer.end_file("/news/a.txt", 2**40, 1_718_000_000_123_456_789, "7")
    assert catalogue.file("/news/a.txt") == (2**40, 1_718_000_000_123_456_789, "7")
    assert catalogue.ids_from("/news/a.txt") == {"a"}
    assert catalogue.ids_from("/news/b.txt") == set()
    assert catalogue.file_of("b") is None
    with catalogue.writing() as writer:
        assert writer.begin_file("/news/a.txt") == row
    assert catalogue.file("/news/a.txt") is None


# Transactions


def test_a_transaction_that_fails_half_way_leaves_nothing(catalogue: Catalogue) -> None:
    row = put(catalogue, "a", "Old.")
    before = (catalogue.article("a"), catalogue.counts(), catalogue.facts())

    def fail_half_way() -> None:
        with catalogue.writing() as writer:
            writer.set_facts({"model": "x"})
            writer.end_file("/f", 1, 1, "1")
            writer.add_vectors([(b"new", vector(1, 1))])
            writer.put(entry("a", "New."), b"d", None, [])
            writer.put(entry("b"), b"d", None, [(Passage(0, 1, ()), b"new")])
            writer.remove("a")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_half_way()
    assert (catalogue.article("a"), catalogue.counts(), catalogue.facts()) == before
    assert catalogue.has_vectors([b"new"]) == set()
    assert catalogue.file("/f") is None
    assert put(catalogue, "c") == row + 1  # and the next transaction can begin


def test_what_is_not_committed_is_seen_by_nobody_else(catalogue: Catalogue) -> None:
    put(catalogue, "a")
    other = Catalogue(catalogue.path)
    before = other.generation()
    with catalogue.writing() as writer:
        writer.remove("a")
        assert other.counts().articles == 1
        assert other.generation() == before
    assert other.counts().articles == 0
    assert other.generation() == before + 1


def test_a_process_that_dies_while_writing_leaves_what_was_committed(catalogue: Catalogue) -> None:
    put(catalogue, "a", "Old.")
    code = """
import os, sys
from pathlib import Path
from searchsvc.catalogue import Catalogue
with Catalogue(Path(sys.argv[1])).writing() as writer:
    writer.remove("a")
    writer.set_facts({"half": "done"})
    os._exit(9)
"""
    done = subprocess.run([sys.executable, "-c", code, str(catalogue.path)], check=False, timeout=60)
    assert done.returncode == 9
    after = Catalogue(catalogue.path)
    found = after.article("a")
    assert found is not None
    assert found.text == "Old."
    assert after.facts() == {}
    assert after.check() == []


def test_all_reads_within_reading_see_one_state(catalogue: Catalogue) -> None:
    row = put(catalogue, "a", "Old.")
    other = Catalogue(catalogue.path)
    with other.reading():
        assert other.generation() == 1
        put(catalogue, "a", "New.")
        assert other.generation() == 1
        assert other.articles([row])[row].text == "Old."
        assert other.rows([row]).rows.tolist() == [1]
    assert other.generation() == 3
    assert other.articles([row]) == {}


def test_readers_in_threads_see_only_whole_transactions(catalogue: Catalogue) -> None:
    rounds, wrong, done = 60, [], threading.Event()
    put(catalogue, "a", "0")
    put(catalogue, "b", "0")

    def read() -> None:
        last = 0
        while not done.is_set():
            with catalogue.reading():
                texts = {one.text for ident in "ab" if (one := catalogue.article(ident))}
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
                writer.put(entry("a", str(number)), b"d", None, [])
                writer.put(entry("b", str(number)), b"d", None, [])
    finally:
        done.set()
        for thread in threads:
            thread.join(30)
    assert wrong == []
    assert catalogue.generation() == 2 + 4 * rounds


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
        a, b = catalogue.article("a"), catalogue.article("b")
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
                    writer.put(entry(ident, str(number)), b"d", None, [])
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
    catalogue = Catalogue(path, create=True)
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
        Catalogue(path).articles(range(1, 61))


def test_damage_that_only_reading_meets_is_named_too(tmp_path: Path, settled: Callable[[Path], None]) -> None:
    path = tmp_path / "catalogue.sqlite3"
    filled(path, settled)
    data = bytearray(path.read_bytes())
    data[40_960:] = b"\xa5" * (len(data) - 40_960)  # the schema is whole, and most of the articles are not
    path.write_bytes(data)
    with pytest.raises(DamagedCatalogue, match=re.escape(str(path))):
        Catalogue(path).articles(range(1, 61))


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
