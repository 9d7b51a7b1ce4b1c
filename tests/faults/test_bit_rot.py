"""Bit rot: whatever bit of a text, a title, a vector or an offset is turned over, it is noticed, and mended or said."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from searchsvc.catalogue.connection import checksum
from searchsvc.catalogue.lock import write_lock
from searchsvc.ingest.repair import find_damage
from searchsvc.library import Library
from searchsvc.search.verification import Verification
from searchsvc.settings import Settings
from searchsvc.text.article import RawArticle, article_id

METALS = ("copper", "nickel", "cobalt", "silver")


@pytest.fixture
def stocked(tmp_path: Path, words: Any) -> Library:  # noqa: ARG001
    news = tmp_path / "news"
    news.mkdir()
    for metal in METALS:
        (news / f"{metal}.txt").write_text(text_of(metal))
    shelf = Library(Settings(index=tmp_path / "index"))
    shelf.index([news])
    shelf.add([RawArticle("given", "Given directly", "The ministers met because of zinc. It was late.")])
    return shelf


def text_of(metal: str) -> str:
    return f"Report on {metal}\n\nThe committee met in the morning. It spoke of {metal} until noon."


def open_again(shelf: Library) -> Library:
    return Library(shelf.settings)


def plain(shelf: Library) -> sqlite3.Connection:
    return sqlite3.connect(shelf.folder / "catalogue.sqlite3", isolation_level=None)


def flipped(value: bytes | str | int, chance: random.Random) -> bytes | str | int:
    if isinstance(value, int):
        return value ^ (1 << chance.randrange(8))
    data = bytearray(value if isinstance(value, bytes) else value.encode())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(7)  # which leaves ASCII text what it is
    return bytes(data) if isinstance(value, bytes) else data.decode()


OF_PASSAGES = "row = (SELECT min(row) FROM passages WHERE article = (SELECT row FROM current_articles WHERE key = ?))"
OF_VECTORS = "digest = (SELECT vector FROM passages WHERE article = (SELECT row FROM current_articles WHERE key = ?))"
PLACES = [
    ("articles", "text", "key = ?"), ("articles", "title", "key = ?"), ("articles", "language", "key = ?"),
    ("articles", "content_digest", "key = ?"), ("articles", "since", "key = ?"),
    ("passages", "start", OF_PASSAGES), ("passages", "end", OF_PASSAGES), ("passages", "sentences", OF_PASSAGES),
    ("passages", "vector", OF_PASSAGES), ("vectors", "vector", OF_VECTORS), ("vectors", "sentences", OF_VECTORS),
]  # fmt: skip


def flip(shelf: Library, table: str, column: str, where: str, key: str, seed: int) -> None:
    with closing(plain(shelf)) as db:
        (value,) = db.execute(f"SELECT {column} FROM {table} WHERE {where}", (key,)).fetchone()
        sql = f"UPDATE {table} SET {column} = ? WHERE {where}"
        assert db.execute(sql, (flipped(value, random.Random(seed)), key)).rowcount == 1


def contents(shelf: Library) -> dict[str, Any]:
    """Return all that a search can show of each article, past its row."""
    found = {}
    catalogue = shelf.catalogue
    for metal in (*METALS, "given"):
        (ident,) = catalogue.articles.ids_named(f"{metal}.txt" if metal != "given" else metal)
        entry = catalogue.articles.get(ident)
        assert entry is not None
        passages = catalogue.passages.of_article(entry.row, 1)
        vectors = catalogue.vectors.of_articles([entry.row], 1).vectors.tobytes()
        sentences = [one.tobytes() for one in catalogue.vectors.of_sentences(p.row for p in passages).values()]
        found[metal] = (entry.title, entry.text, entry.language, [p.passage for p in passages], vectors, sentences)
    return found


@pytest.mark.parametrize(("table", "column", "where"), PLACES)
def test_a_flipped_bit_is_noticed_named_and_mended_from_the_file(
    stocked: Library, table: str, column: str, where: str
) -> None:
    before = contents(stocked)
    flip(stocked, table, column, where, "nickel.txt", seed=len(column))
    shelf = open_again(stocked)
    said = shelf.verify().problems
    assert [one for one in said if article_id("nickel.txt") in one and "nickel.txt" in one], said
    for one in (shelf, open_again(stocked)):
        assert one.verify() == Verification((), 1.0, 5)
        assert contents(one) == before
        assert one.search("nickel").hits[0].article.key == "nickel.txt"
        assert one.status().damaged == ()


@pytest.mark.parametrize(("table", "column", "where"), PLACES)
def test_a_flipped_bit_of_what_no_file_holds_is_said_or_mended(
    stocked: Library, table: str, column: str, where: str
) -> None:
    before = contents(stocked)
    flip(stocked, table, column, where, "given", seed=len(column))
    shelf = open_again(stocked)
    said = shelf.verify().problems
    assert [one for one in said if article_id("given") in one], said
    if table == "articles":
        assert any("add it again, or take it out" in one for one in said)
        assert [one for one in shelf.status().damaged if article_id("given") in one]
        assert shelf.verify().problems == said
        shelf.add([RawArticle("given", "Given directly", "The ministers met because of zinc. It was not late.")])
        assert shelf.status().damaged == ()
        assert ["let go of" in one for one in shelf.verify().problems] == [True]  # the text that was, said once
    else:
        assert contents(shelf) == before
    assert shelf.verify().problems == ()


@pytest.mark.parametrize("what", ["title", "text", "vector", "sentences"])
def test_a_bit_that_is_flipped_in_the_file_itself_is_noticed(stocked: Library, what: str) -> None:
    before = contents(stocked)
    title, text, _, _, vector, (sentences,) = before["silver"]
    sought = {"title": title.encode(), "text": text.encode(), "vector": vector, "sentences": sentences}[what]
    file = stocked.folder / "catalogue.sqlite3"
    stocked.catalogue.compact()
    stocked.catalogue.close()
    data = bytearray(file.read_bytes())
    places = [at for at in range(len(data)) if data.startswith(sought[-20:], at)]
    assert len(places) == 1
    data[places[0] + 7] ^= 0x80 if what == "text" else 1  # the text is none any more
    file.write_bytes(data)
    shelf = open_again(stocked)
    assert shelf.search("silver").hits[0].article.key == "silver.txt"
    assert [one for one in shelf.verify().problems if article_id("silver.txt") in one]
    assert shelf.verify().problems == ()
    assert contents(shelf) == before


def test_the_sweep_finds_it_by_and_by(stocked: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("searchsvc.library.maintenance.SWEEP_SECONDS", 0.0)
    monkeypatch.setattr("searchsvc.library.maintenance.SWEPT_ROWS", 2)
    before = contents(stocked)
    flip(stocked, "articles", "text", "key = ?", "cobalt.txt", 1)
    flip(stocked, "vectors", "vector", OF_VECTORS, "silver.txt", 2)
    said: list[str] = []
    for _ in range(12):  # each as a process of its own would
        Library(stocked.settings, announce=said.append).index([stocked.folder.parent / "news"])
    assert sorted(one.split("(")[0] for one in said if one.startswith("Attention")) == sorted(
        f"Attention: article {article_id(key)} " for key in ("cobalt.txt", "silver.txt")
    )
    assert contents(open_again(stocked)) == before
    assert open_again(stocked).verify().problems == ()


def test_a_catalogue_of_an_older_version_gets_its_checksums_when_it_is_looked_at(stocked: Library) -> None:
    with closing(plain(stocked)) as db:
        for table in ("articles", "passages", "vectors"):
            db.execute(f"UPDATE {table} SET checksum = NULL")
    assert open_again(stocked).verify().problems == ()
    with closing(plain(stocked)) as db:
        for table in ("articles", "passages", "vectors"):
            assert db.execute(f"SELECT count(*) - count(checksum) FROM {table}").fetchone() == (0,)


def test_a_read_only_look_says_what_it_cannot_mend(stocked: Library) -> None:
    flip(stocked, "articles", "text", "key = ?", "cobalt.txt", 1)
    shelf = open_again(stocked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("searchsvc.catalogue.lock.PATIENCE", 0.2)
        damage = find_damage(shelf.catalogue)
        with write_lock(stocked.folder, 0):
            (said,) = shelf._maintenance._repair(damage, all_checked=True)
    assert article_id("cobalt.txt") in said
    assert "it is not repaired" in said


@pytest.mark.parametrize("again", [False, True])
def test_a_catalogue_that_fell_back_behind_its_search_index_is_said(stocked: Library, again: bool) -> None:
    """As it is when the write-ahead log is damaged: what was acknowledged since is gone."""
    catalogue = stocked.folder / "catalogue.sqlite3"
    stocked.catalogue.compact()
    saved = catalogue.read_bytes()
    generation = stocked.catalogue.changes.last()
    stocked.add([RawArticle("late", "Late", "There was tin at the end.")])
    settings = stocked.settings
    stocked.catalogue.close()
    for end in ("-wal", "-shm"):
        catalogue.with_name(catalogue.name + end).unlink(missing_ok=True)
    catalogue.write_bytes(saved)
    said: list[str] = []
    shelf = Library(settings, announce=said.append)
    if again:
        shelf.add([RawArticle("other", "Other", "There was lead instead."), RawArticle("more", "More", "And mercury.")])
    assert [hit for hit in shelf.search("tin").hits if "tin" in hit.passage.text.split()] == []
    lost = f"the catalogue ends at change {generation}, the search index had reached {generation + 1} "
    assert [one for one in said if lost in one and "up to 1 changes may be lost; index the sources again" in one]
    for one in (shelf, Library(settings)):
        assert [problem for problem in one.verify().problems if lost in problem]
        assert [problem for problem in one.status().damaged if lost in problem]
    shelf.rebuild()
    assert (shelf.verify().problems, shelf.status().damaged) == ((), ())


def test_a_checksum_tells_every_bit_and_the_bounds_between_values() -> None:
    value = b"The committee met."
    sums = {checksum(value, None, 1)}
    for place in range(8 * len(value)):
        changed = bytearray(value)
        changed[place // 8] ^= 1 << place % 8
        sums.add(checksum(bytes(changed), None, 1))
    assert len(sums) == 8 * len(value) + 1
    assert checksum("ab", "c") != checksum("a", "bc")
    assert checksum(None) != checksum("")
