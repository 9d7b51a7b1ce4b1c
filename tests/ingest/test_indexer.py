"""Indexing: the catalogue is in step with the sources after every run, and no run does twice what was done."""

import json
import os
import random
import shutil
import sys
from collections.abc import Collection, Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from searchsvc.catalogue import Catalogue
from searchsvc.ingest import file_state, indexer, prepare
from searchsvc.ingest.indexer import Indexer
from searchsvc.ingest.report import Report
from searchsvc.ingest.scan import Kept
from searchsvc.readers import READERS, read
from searchsvc.readers.text import read_text
from searchsvc.text import cleaning
from searchsvc.text.article import Article, Problem, RawArticle, article_id
from searchsvc.text.cleaning import Cleaned

Words = Any  # see conftest


class Desk:
    """A catalogue, and a new indexer over it for each run, with passages of at most 40 tokens."""

    def __init__(self, folder: Path, embedder: Words) -> None:
        self.catalogue = Catalogue(folder / "catalogue.sqlite3", create=True)
        with self.catalogue.writing() as writer:
            self.space = writer.spaces.begin("words", embedder.fingerprint, embedder.dimension, 40, "serving")
        self.embedder = embedder
        self.news = folder / "news"
        self.news.mkdir()

    def indexer(self) -> Indexer:
        return Indexer(self.catalogue, self.space, lambda: self.embedder, 1_000_000, nullcontext, read)

    def files(self, *paths: Path, only: Collection[Path] | None = None, prune: bool = False) -> Report:
        return self.indexer().files(paths or [self.news], lambda *_: None, only=only, prune=prune)

    def articles(self, *articles: RawArticle | Problem) -> Report:
        return self.indexer().articles(articles)

    def lines(self, name: str, *records: dict[str, str]) -> Path:
        """Write JSON Lines; a later time than before, so that the file counts as changed."""
        file = self.news / name
        later = file.stat().st_mtime_ns + 10**9 if file.exists() else None
        file.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
        if later:
            os.utime(file, ns=(later, later))
        return file

    def entry(self, key: str) -> Article:
        (ident,) = self.catalogue.articles.ids_named(key)
        found = self.catalogue.articles.get(ident)
        assert found is not None
        return found

    def all_keys(self) -> list[str]:
        """Return the keys of all articles, from the change log's rows."""
        added, _ = self.catalogue.changes.between(0, self.catalogue.changes.last())
        return sorted(entry.key for entry in self.catalogue.articles.by_row(added).values())

    def passages(self, key: str) -> list[str]:
        entry = self.entry(key)
        found = [one.passage for one in self.catalogue.passages.of_article(entry.row, self.space.row)]
        return [entry.text[passage.start : passage.end] for passage in found]


@pytest.fixture
def desk(tmp_path: Path, words: Words) -> Desk:
    return Desk(tmp_path, words)


Opened = list[Path]
_LISTENING: list[Opened] = []


@cache
def _listen() -> None:
    """Let the interpreter tell of every file that is opened; such a hook stays for good."""

    def heard(event: str, arguments: tuple[object, ...]) -> None:
        if _LISTENING and event == "open" and isinstance(arguments[0], str):
            _LISTENING[0].append(Path(arguments[0]))

    sys.addaudithook(heard)


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Return the list of the files that have been opened."""
    _listen()
    _LISTENING.append([])
    yield _LISTENING[0]
    _LISTENING.clear()


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Opened:
    """Return the list of the text files that a reader was given."""
    given: Opened = []

    def noted(path: Path, key: str, limit: int) -> Iterator[RawArticle | Problem]:
        given.append(path)
        return read_text(path, key, limit)

    monkeypatch.setitem(READERS, ".txt", noted)
    return given


@pytest.fixture
def certain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no file be in doubt, though it was made just now."""
    monkeypatch.setattr(file_state, "IN_DOUBT", -(10**12))


def counted(report: Report) -> dict[str, int]:
    """Return what a report counts, without what is 0."""
    names = ("added", "changed", "unchanged", "removed", "unchanged_files", "embedded", "lost")
    return {name: value for name in names if (value := getattr(report, name))}


def record(ident: str, text: str = "", **facts: str) -> dict[str, str]:
    return {"id": ident, "title": f"Title {ident}", "text": text or f"The {ident} was reported on Monday.", **facts}


# What is kept


def test_an_article_is_kept_as_its_source_gave_it_but_clean(desk: Desk) -> None:
    facts = {"url": "https://www.bbc.com/x", "published": "1969-07-20T20:17:40Z", "author": " Jo\u200b  Doe "}
    desk.lines("a.jsonl", record("moon", "The Eagle\u00a0has landed\u200b on the moon this morning.", **facts))
    began = datetime.now(UTC)
    report = desk.files()
    assert counted(report) == {"added": 1, "embedded": 1}
    assert (report.files, report.passages, report.problems) == (1, 1, [])
    entry = desk.entry("moon")
    assert entry.since is not None
    assert began <= entry.since <= datetime.now(UTC)
    assert replace(entry, since=None) == Article(
        row=1,
        id=article_id("moon"),
        key="moon",
        title="Title moon",
        text="The Eagle has landed on the moon this morning.",
        url="https://www.bbc.com/x",
        source="bbc.com",
        author="Jo Doe",
        published=datetime(1969, 7, 20, 20, 17, 40, tzinfo=UTC),
        published_from="given",
        language="en",
    )
    assert desk.embedder.embedded == ["Title moon\nThe Eagle has landed on the moon this morning."]


HOSTILE = {
    "plain": "One sentence here. And another one follows it. " * 30,
    "paragraphs": "\r\n\r\n".join(f"Paragraph {n} says “so”. It ends… Does it? Yes!" for n in range(20)),
    "no sentence ends": "word " * 3_000,
    "one endless word": "x" * 5_000,
    "astral": "😀 The 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 of it. 👩‍👩‍👧‍👦 are four people. " * 40,
    "combining": "Ele\u0301ctrons move. Cafe\u0301s open! Nai\u0308ve people wait? " * 40,
    "chinese": "中国外交部发言人周二表示，双方将于下个月举行新一轮会谈。分析人士认为，这将有助于缓解紧张局势。" * 20,
    "arabic": "قال الرئيس إن المحادثات ستستمر. وأضاف أن الأمر صعب؟ نعم. " * 30,
    "abbreviations": "Dr. Smith of the U.S. met Mr. Jones at 5 p.m. on Jan. 6. They spoke. " * 20,
    "line ends": "One.\rTwo.\x85Three.\u2028Four.\u2029Five.\x0bSix.\x0cSeven.\r\nEight. " * 20,
    "invisible": "\ufeffThe\u00ad \u202eword\u202c is\x00 here.\u200b It\u2060 stays. " * 20,
    "spaces": "A   b\u3000c\u2003d. \t\t E\u00a0f g.   " * 20,
    "dots": ". . . ! ? … " * 200 + "An end.",
    "html": "<p>Not &amp; parsed.</p> <script>alert('x')</script> " * 20,
}


@pytest.mark.parametrize("language", [None, "en", "xx", "EN-us", "", "../../etc/passwd"])
def test_every_passage_and_sentence_is_a_stretch_of_its_article(desk: Desk, language: str | None) -> None:
    report = desk.articles(*(RawArticle(key, f"About {key}", text, language=language) for key, text in HOSTILE.items()))
    assert report.problems == []
    assert desk.all_keys() == sorted(HOSTILE)
    for key in HOSTILE:
        entry, last = desk.entry(key), 0
        for found in desk.catalogue.passages.of_article(entry.row, desk.space.row):
            passage = found.passage
            text = entry.text[passage.start : passage.end]
            assert last <= passage.start < passage.end <= len(entry.text)
            assert text == text.strip()
            assert len(desk.embedder.tokenizer.encode(text, add_special_tokens=False)) <= 40
            last = passage.start
            for start, end in passage.sentences:
                assert last <= start < end <= passage.end
                assert entry.text[start:end] == entry.text[start:end].strip()
                last = end
            assert (passage.sentences[0][0], passage.sentences[-1][1]) == (passage.start, passage.end)
            last = passage.end
        covered = "".join(desk.passages(key))
        assert sorted("".join(covered.split())) == sorted("".join(entry.text.split()))  # nothing lost, nothing twice


def test_what_is_embedded_is_the_title_and_the_passage(desk: Desk) -> None:
    desk.articles(RawArticle("a", "Floods", "The river rose. " * 20))
    assert desk.embedder.embedded == list(dict.fromkeys(f"Floods\n{text}" for text in desk.passages("a")))


@pytest.mark.parametrize("text", ["", " \n\t ", "\u200b\ufeff", "Title a", "...", "—"])
def test_an_article_without_a_sentence_is_reported_or_found(desk: Desk, text: str) -> None:
    report = desk.articles(RawArticle("a", "Title a", text), RawArticle("b", "Title b", "Something was said."))
    if report.problems:
        assert report.problems == [Problem("a", "no sentence that could be searched")]
        assert desk.all_keys() == ["b"]
    else:
        assert desk.passages("a") == [text]
    assert desk.passages("b") == ["Something was said."]


@pytest.mark.parametrize("text", ["\u200d", "It rained. \u200d", "\u200c\n\nIt rained all day in the whole country."])
def test_an_article_with_letters_that_are_no_tokens_stops_nothing(desk: Desk, text: str) -> None:
    report = desk.articles(RawArticle("a", "Title a", text), RawArticle("b", "Title b", "Something was said."))
    assert report.lost <= 1
    assert "b" in desk.all_keys()


def test_an_article_that_is_no_unicode_stops_nothing(desk: Desk) -> None:
    report = desk.articles(
        RawArticle("a\ud800", "Title \udfff", "It \ud800 rained."), RawArticle("b", "T", "It was dry.")
    )
    assert report.lost <= 1
    assert "b" in desk.all_keys()


def test_a_title_of_a_thousand_words_leaves_room_for_the_text(desk: Desk) -> None:
    desk.articles(RawArticle("a", "Very long headline " * 1_000, "The text is here. " * 50))
    encoded = [len(desk.embedder.tokenizer.encode(text)) for text in desk.embedder.embedded]
    assert max(encoded) <= desk.embedder.longest
    assert " ".join(desk.passages("a")) == ("The text is here. " * 50).strip()


# What is not done twice


@pytest.mark.usefixtures("certain")
def test_a_file_that_has_not_changed_is_not_opened_again(desk: Desk, opened: Opened) -> None:
    file = desk.lines("a.jsonl", record("a"), record("b"))
    assert counted(desk.files()) == {"added": 2, "embedded": 2}
    opened.clear()
    assert counted(desk.files()) == {"unchanged_files": 1}
    assert file not in opened
    assert desk.catalogue.changes.last() == 2


def test_a_file_that_was_changed_just_before_it_was_read_is_looked_at_again_but_not_read(
    desk: Desk, opened: Opened, reading: Opened
) -> None:
    file = desk.news / "a.txt"
    file.write_text("A headline\n\nIt rained.")
    desk.files()
    opened.clear()
    assert counted(desk.files()) == {"unchanged_files": 1}
    assert (file in opened, reading) == (True, [file])


@pytest.mark.usefixtures("certain")
def test_a_file_that_is_only_newer_is_not_read_and_then_not_looked_at(
    desk: Desk, opened: Opened, reading: Opened
) -> None:
    file = desk.news / "a.txt"
    file.write_text("A headline\n\nIt rained.")
    desk.files()
    os.utime(file, ns=(1, 1))
    assert counted(desk.files()) == {"unchanged_files": 1}
    opened.clear()
    assert counted(desk.files()) == {"unchanged_files": 1}
    assert (opened.count(file), reading) == (0, [file])
    assert desk.catalogue.changes.last() == 1


@pytest.mark.usefixtures("certain")
def test_a_file_that_was_rewritten_under_the_same_size_and_time_is_read(desk: Desk) -> None:
    file = desk.lines("a.jsonl", record("a", "It was green."))
    desk.files()
    before = file.stat()
    file.write_text(file.read_text().replace("green", "black"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert counted(desk.files()) == {"changed": 1, "embedded": 1}
    assert desk.passages("a") == ["It was black."]


@pytest.mark.parametrize(
    ("seen_after_ns", "noticed"), [(3_000_000_000, False), (1_000_000_000, True), (-3_600_000_000_000, True)]
)
def test_times_are_trusted_only_of_a_file_that_lay_still_before_it_was_read(
    desk: Desk, seen_after_ns: int, noticed: bool
) -> None:
    """The last case is a clock that was set back, or a file from the future."""
    file = desk.lines("a.jsonl", record("a", "It was green."))
    desk.files()
    seen = desk.catalogue.files.state(str(file))
    assert seen is not None
    assert seen.changed_ns is not None
    # As if other bytes had been read, of a file that looked the same from without.
    with desk.catalogue.writing() as writer:
        writer.files.end(str(file), replace(seen, digest=b"other", seen_ns=seen.changed_ns + seen_after_ns))
        writer.articles.remove(article_id("a"))
    assert counted(desk.files()) == ({"added": 1} if noticed else {"unchanged_files": 1})


@pytest.mark.parametrize("step", ["+1s", "-1h", "same"])
def test_a_file_that_changes_while_it_is_read_is_read_again_next_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    file = desk.news / "a.txt"
    file.write_text("A headline\n\nIt rained.")

    def disturbed(path: Path, key: str, limit: int) -> Iterator[RawArticle | Problem]:
        yield from read_text(path, key, limit)
        before = path.stat().st_mtime_ns
        path.write_text("A headline\n\nIt snowed all day.")
        moved = {"+1s": 10**9, "-1h": -3_600 * 10**9, "same": 0}[step]
        os.utime(path, ns=(before, before + moved))

    with monkeypatch.context() as patch:
        patch.setitem(READERS, ".txt", disturbed)
        report = desk.files()
    reason = "changed while it was read; it is read again next time"
    assert report.problems == [Problem(str(file), reason, lost=False)]
    assert desk.passages("a.txt") == ["It rained."]
    assert counted(desk.files()) == {"changed": 1, "embedded": 1}
    assert desk.passages("a.txt") == ["It snowed all day."]
    assert counted(desk.files()) == {"unchanged_files": 1}


def test_a_file_that_is_replaced_while_it_is_read_is_read_again_next_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file, other = desk.news / "a.txt", tmp_path / "other"
    file.write_text("A headline\n\nIt rained.")
    other.write_text("A headline\n\nIt snowed.")
    os.utime(other, ns=(0, file.stat().st_mtime_ns))

    def disturbed(path: Path, key: str, limit: int) -> Iterator[RawArticle | Problem]:
        yield from read_text(path, key, limit)
        other.replace(path)

    with monkeypatch.context() as patch:
        patch.setitem(READERS, ".txt", disturbed)
        desk.files()
    assert counted(desk.files()) == {"changed": 1, "embedded": 1}
    assert desk.passages("a.txt") == ["It snowed."]


def test_nothing_is_taken_for_deleted_from_a_file_that_changed_while_it_was_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = desk.lines("a.jsonl", record("a"), record("b"))
    desk.files()

    def torn(path: Path, key: str, _limit: int) -> Iterator[RawArticle | Problem]:
        yield RawArticle("a", "Title a", "It is new.")
        desk.lines(path.name, record("a"), record("b"), record(key))

    desk.lines("a.jsonl", record("a"))
    with monkeypatch.context() as patch:
        patch.setitem(READERS, ".jsonl", torn)
        desk.files()
    assert desk.all_keys() == ["a", "b"]
    assert counted(desk.files()) == {"added": 1, "changed": 1, "unchanged": 1, "embedded": 1}
    assert desk.all_keys() == ["a", "a.jsonl", "b"]
    assert file.is_file()


def test_new_rules_of_cutting_read_every_file_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.lines("a.jsonl", record("a"), record("b"))
    desk.files()
    for module in (prepare, file_state):
        monkeypatch.setattr(module, "PREPARE_VERSION", "another")
    assert counted(desk.files()) == {"changed": 2}
    assert [desk.entry(key).version for key in "ab"] == [1, 1]
    assert counted(desk.files()) == {"unchanged_files": 1}


def test_only_passages_with_another_text_are_embedded_again(desk: Desk) -> None:
    first = [
        f"Paragraph {n} is about matters that concern the town of the number {n} and nobody else." for n in range(6)
    ]
    desk.lines("a.jsonl", record("a", "\n\n".join(first)))
    desk.files()
    before = desk.passages("a")
    desk.embedder.embedded.clear()
    desk.lines("a.jsonl", record("a", "\n\n".join([*first[:-1], first[-1].replace("nobody", "somebody")])))
    report = desk.files()
    changed = [text for text in desk.passages("a") if text not in before]
    assert 0 < len(changed) < len(before)
    assert desk.embedder.embedded == [f"Title a\n{text}" for text in changed]
    assert counted(report) == {"changed": 1, "embedded": len(changed)}


def test_a_changed_article_keeps_its_id_and_its_old_text_as_a_version(desk: Desk) -> None:
    desk.lines("a.jsonl", record("a", "It was green."), record("b"))
    desk.files()
    first, other = desk.entry("a"), desk.entry("b")
    desk.lines("a.jsonl", record("a", "It was blue."), record("b"))
    assert counted(desk.files()) == {"changed": 1, "unchanged": 1, "embedded": 1}
    second = desk.entry("a")
    assert (second.id, second.text) == (first.id, "It was blue.")
    assert second.row > first.row
    assert desk.entry("b") == other
    assert (desk.catalogue.counts().articles, desk.catalogue.counts().passages) == (2, 2)
    assert (second.version, second.revised) == (2, second.since)
    assert [(one.number, one.text, one.since, one.until) for one in desk.catalogue.articles.versions(first.id)] == [
        (2, "It was blue.", second.since, None),
        (1, "It was green.", first.since, second.since),
    ]


def test_a_text_that_comes_back_is_another_version_and_facts_alone_make_none(desk: Desk) -> None:
    for text, source in (("It was green.", "BBC"), ("It was blue.", "BBC"), ("It was green.", "AP")):
        desk.lines("a.jsonl", record("a", text, source=source))
        desk.files()
    desk.lines("a.jsonl", record("a", "It was green.", source="Reuters"))
    assert counted(desk.files()) == {"changed": 1}
    texts = [(one.number, one.text) for one in desk.catalogue.articles.versions(article_id("a"))]
    assert texts == [(3, "It was green."), (2, "It was blue."), (1, "It was green.")]
    assert len(desk.embedder.embedded) == 2
    desk.lines("a.jsonl", record("b"))
    assert counted(desk.files()) == {"added": 1, "removed": 1, "embedded": 1}
    assert desk.catalogue.articles.versions(article_id("a")) == []


def test_a_change_of_facts_alone_is_kept_and_embeds_nothing(desk: Desk) -> None:
    desk.lines("a.jsonl", record("a", source="BBC"))
    desk.files()
    desk.lines("a.jsonl", record("a", source="AP", published="2024-06-18"))
    assert counted(desk.files()) == {"changed": 1}
    entry = desk.entry("a")
    assert (entry.source, entry.published) == ("AP", datetime(2024, 6, 18, tzinfo=UTC))


def test_the_same_text_in_two_articles_is_embedded_once(desk: Desk) -> None:
    same = {"title": "Floods", "text": "The river rose."}
    desk.lines("a.jsonl", {"id": "a", **same}, {"id": "b", **same})
    assert counted(desk.files()) == {"added": 2, "embedded": 1}
    desk.lines("b.jsonl", {"id": "c", **same})
    assert counted(desk.files()) == {"added": 1, "unchanged_files": 1}
    assert desk.embedder.embedded == ["Floods\nThe river rose."]
    assert (desk.passages("a"), desk.passages("b"), desk.passages("c")) == (["The river rose."],) * 3


def test_articles_given_directly_are_added_replaced_and_recognised(desk: Desk) -> None:
    assert counted(desk.articles(RawArticle("a", "T", "It rained."))) == {"added": 1, "embedded": 1}
    assert counted(desk.articles(RawArticle("a", "T", "It rained."))) == {"unchanged": 1}
    problem = Problem("line 3", "not a record")
    report = desk.articles(RawArticle("a", "T", "It snowed."), problem)
    assert counted(report) == {"changed": 1, "embedded": 1, "lost": 1}
    assert report.problems == [problem]
    assert desk.passages("a") == ["It snowed."]


# What goes


def test_an_article_that_is_no_longer_in_its_file_disappears(desk: Desk) -> None:
    desk.lines("a.jsonl", record("a"), record("b"), record("c"))
    desk.files()
    desk.lines("a.jsonl", record("c"), record("a"))
    assert counted(desk.files()) == {"unchanged": 2, "removed": 1}
    assert desk.all_keys() == ["a", "c"]


def test_a_deleted_file_takes_its_articles_with_it(desk: Desk) -> None:
    file = desk.lines("a.jsonl", record("a"))
    desk.lines("b.jsonl", record("b"))
    desk.files()
    file.unlink()
    assert counted(desk.files()) == {"unchanged_files": 1, "removed": 1}
    assert desk.all_keys() == ["b"]
    assert desk.catalogue.files.state(str(file)) is None
    assert counted(desk.files()) == {"unchanged_files": 1}


def test_what_lay_in_a_folder_that_lost_most_of_its_files_is_kept_until_a_person_says_otherwise(desk: Desk) -> None:
    for name in "abc":
        desk.lines(f"{name}.jsonl", record(name))
    desk.files()
    for name in "ab":
        (desk.news / f"{name}.jsonl").unlink()
    for _ in range(2):
        report = desk.files()
        assert (counted(report), report.kept) == ({"unchanged_files": 1}, [Kept(str(desk.news), 2, 3)])
        assert desk.all_keys() == ["a", "b", "c"]
    report = desk.files(prune=True)
    assert (counted(report), report.kept) == ({"unchanged_files": 1, "removed": 2}, [])
    assert desk.all_keys() == ["c"]


def test_what_was_kept_is_found_unchanged_when_its_folder_is_back(desk: Desk, tmp_path: Path) -> None:
    desk.lines("a.jsonl", record("a"))
    desk.files()
    desk.news.rename(tmp_path / "away")
    report = desk.files()
    assert (report.problems, report.kept) == ([], [Kept(str(desk.news), 1, 1)])
    desk.news.mkdir()
    assert desk.files().kept == [Kept(str(desk.news), 1, 1)]
    desk.news.rmdir()
    (tmp_path / "away").rename(desk.news)
    assert counted(desk.files()) == {"unchanged_files": 1}
    shutil.rmtree(desk.news)
    report = desk.files(prune=True)
    assert (counted(report), report.problems) == ({"removed": 1}, [])
    assert desk.all_keys() == []


def test_only_what_is_named_is_looked_at(desk: Desk) -> None:
    for name in "abcd":
        desk.lines(f"{name}.jsonl", record(name))
    desk.files()
    desk.lines("a.jsonl", record("a", "It is new."))
    desk.lines("b.jsonl", record("b", "It is new."))
    (desk.news / "c.jsonl").unlink()
    (desk.news / "d.jsonl").unlink()
    report = desk.files(only=[desk.news / "a.jsonl", desk.news / "c.jsonl"])
    assert (report.files, counted(report)) == (1, {"changed": 1, "removed": 1, "embedded": 1})
    assert desk.all_keys() == ["a", "b", "d"]


def test_an_article_keeps_its_key_when_only_its_folder_is_indexed_again(desk: Desk) -> None:
    file = desk.news / "2024" / "a.txt"
    file.parent.mkdir()
    file.write_text("A headline\n\nIt rained.")
    desk.files()
    file.write_text("A headline\n\nIt snowed all day.")
    assert counted(desk.files(file.parent)) == {"changed": 1, "embedded": 1}
    file.write_text("A headline\n\nIt hailed all day long.")
    assert counted(desk.files(file)) == {"changed": 1, "embedded": 1}
    assert desk.all_keys() == ["2024/a.txt"]
    assert desk.entry("2024/a.txt").version == 3


# What several files hold


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("gone", ["a.jsonl", "b.jsonl"])
def test_an_article_that_two_files_hold_goes_with_the_last(desk: Desk, gone: str, at_once: bool) -> None:
    desk.lines("c.jsonl", record("c"))
    for name in "ab":
        desk.lines(f"{name}.jsonl", record("both"), record(name))
        if not at_once:
            desk.files()
    desk.files()
    (desk.news / gone).unlink()
    assert counted(desk.files())["removed"] == 1
    left = {"a.jsonl": "b", "b.jsonl": "a"}[gone]
    assert desk.all_keys() == sorted(["both", "c", left])
    (desk.news / f"{left}.jsonl").unlink()
    assert counted(desk.files())["removed"] == 2
    assert desk.all_keys() == ["c"]
    assert len(desk.embedder.embedded) == 4


@pytest.mark.parametrize("last_read", ["a", "b"])
def test_an_article_goes_when_all_files_that_hold_it_go_at_once(desk: Desk, last_read: str) -> None:
    for name in "abcd":
        desk.lines(f"{name}.jsonl", *([record("both")] if name in "ab" else []), record(name))
    desk.files()
    desk.lines(f"{last_read}.jsonl", record("both"), record("more"), record(last_read))
    desk.files()
    for name in "ab":
        (desk.news / f"{name}.jsonl").unlink()
    assert counted(desk.files()) == {"unchanged_files": 2, "removed": 4}
    assert desk.all_keys() == ["c", "d"]


@pytest.mark.parametrize("last_read", ["a", "b"])
def test_an_article_goes_when_all_files_drop_it_at_once(desk: Desk, last_read: str) -> None:
    for name in "ab":
        desk.lines(f"{name}.jsonl", record("both"), record(name))
    desk.files()
    desk.lines(f"{last_read}.jsonl", record("both"), record("more"), record(last_read))
    desk.files()
    for name in "ab":
        desk.lines(f"{name}.jsonl", record(name))
    assert counted(desk.files())["removed"] == 2
    assert desk.all_keys() == ["a", "b"]


def test_the_text_is_that_of_a_file_that_still_holds_it(desk: Desk) -> None:
    desk.lines("c.jsonl", record("c"))
    desk.lines("a.jsonl", record("both", "As the first has it."), record("a"))
    desk.lines("b.jsonl", record("both", "As the second has it."), record("b"))
    desk.files()
    assert desk.passages("both") == ["As the second has it."]
    desk.lines("b.jsonl", record("b"))
    report = desk.files()
    assert desk.passages("both") == ["As the first has it."]
    assert (report.removed, desk.catalogue.files.of_article(article_id("both"))) == (0, str(desk.news / "a.jsonl"))
    assert counted(desk.files()) == {"unchanged_files": 3}


@pytest.mark.parametrize("gone", ["a", "b"])
def test_of_two_texts_in_one_run_the_last_read_is_in_force_and_belongs_to_its_file(desk: Desk, gone: str) -> None:
    desk.lines("c.jsonl", record("c"))
    desk.lines("a.jsonl", record("both", "As the first has it."))
    desk.files()
    desk.lines("a.jsonl", record("both", "As the first has it."), record("more"))
    desk.lines("b.jsonl", record("both", "As the second has it."))
    desk.files()
    assert desk.passages("both") == ["As the second has it."]
    (desk.news / f"{gone}.jsonl").unlink()
    desk.files()
    assert desk.passages("both") == [{"a": "As the second has it.", "b": "As the first has it."}[gone]]


def test_a_renamed_file_loses_and_embeds_nothing(desk: Desk) -> None:
    desk.lines("c.jsonl", record("c"))
    for name in "ab":
        desk.lines(f"{name}.jsonl", record("both"), record(name))
    desk.files()
    rows = {key: desk.entry(key).row for key in desk.all_keys()}
    (desk.news / "b.jsonl").rename(desk.news / "new.jsonl")
    assert counted(desk.files()) == {"unchanged": 2, "unchanged_files": 2}
    assert {key: desk.entry(key).row for key in desk.all_keys()} == rows
    assert desk.catalogue.files.of_article(article_id("b")) == str(desk.news / "new.jsonl")
    (desk.news / "a.jsonl").unlink()
    assert counted(desk.files())["removed"] == 1
    assert desk.all_keys() == ["b", "both", "c"]


def test_two_files_that_are_renamed_at_once_both_hold_what_they_held(desk: Desk) -> None:
    for name in "abcd":
        desk.lines(f"{name}.jsonl", record("both"), record(name))
    desk.files()
    for name in "ab":
        (desk.news / f"{name}.jsonl").rename(desk.news / f"new-{name}.jsonl")
    for name in "cd":
        desk.lines(f"{name}.jsonl", record(name))
    desk.files()
    (desk.news / "new-b.jsonl").unlink()
    desk.files()
    assert desk.all_keys() == ["a", "both", "c", "d"]


def test_a_renamed_folder_embeds_nothing_again(desk: Desk) -> None:
    (desk.news / "old").mkdir()
    for name in "ab":
        (desk.news / "old" / f"{name}.txt").write_text(f"Headline {name}\n\nIt rained in {name}.")
        desk.lines(f"{name}.jsonl", record(name))
    desk.lines("old/c.jsonl", record("c"))
    desk.lines("d.jsonl", record("d"))
    desk.files()
    (desk.news / "old").rename(desk.news / "new")
    assert counted(desk.files()) == {"added": 2, "unchanged": 1, "unchanged_files": 3, "removed": 2}
    assert desk.all_keys() == ["a", "b", "c", "d", "new/a.txt", "new/b.txt"]
    assert len(desk.embedder.embedded) == 6


@pytest.mark.parametrize(("origin", "goal"), [("a.jsonl", "b.jsonl"), ("b.jsonl", "a.jsonl")])
def test_an_article_that_moves_to_another_file_stays(desk: Desk, origin: str, goal: str) -> None:
    desk.lines(origin, record("moving"), record("one"))
    desk.lines(goal, record("two"))
    desk.files()
    desk.lines(origin, record("one"))
    desk.lines(goal, record("two"), record("moving"))
    desk.files()
    assert desk.all_keys() == ["moving", "one", "two"]
    assert desk.catalogue.files.of_article(article_id("moving")) == str(desk.news / goal)
    assert counted(desk.files()) == {"unchanged_files": 2}


def test_a_file_that_was_renamed_does_not_lose_its_articles_later(desk: Desk) -> None:
    desk.lines("a.jsonl", record("one"), record("two")).rename(desk.news / "b.jsonl")
    desk.files()
    (desk.news / "b.jsonl").rename(desk.news / "c.jsonl")
    desk.files()
    desk.lines("b.jsonl", record("three"))
    desk.files()
    assert desk.all_keys() == ["one", "three", "two"]


def test_an_article_that_was_taken_out_stays_out_until_its_file_changes(desk: Desk) -> None:
    desk.lines("a.jsonl", record("a"), record("b"))
    desk.files()
    with desk.catalogue.writing() as writer:
        writer.articles.remove(article_id("a"))
    assert counted(desk.files()) == {"unchanged_files": 1}
    assert desk.all_keys() == ["b"]
    desk.lines("a.jsonl", record("a"), record("b"), record("c"))
    assert counted(desk.files()) == {"added": 2, "unchanged": 1, "embedded": 1}
    assert desk.all_keys() == ["a", "b", "c"]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_to_files_all_that_they_hold_is_indexed_and_nothing_else(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(indexer, "BATCH", 1 + seed % 4)
    chance = random.Random(seed)
    held: dict[str, dict[str, str]] = {}
    for _ in range(12):
        for _ in range(chance.randint(1, 4)):
            name = chance.choice([f"{n}.jsonl" for n in range(5)])
            match chance.choice(["write", "write", "rename", "delete"]):
                case "write":
                    ids = chance.sample("abcdef", chance.randint(1, 4))
                    held[name] = {one: f"Text {chance.randint(1, 2)} of {one}." for one in ids}
                    desk.lines(name, *(record(one, text) for one, text in held[name].items()))
                case "rename" if name in held:
                    goal = f"{chance.randint(0, 9)}.jsonl"
                    held[goal] = held.pop(name)
                    (desk.news / name).rename(desk.news / goal)
                case "delete" if name in held:
                    del held[name]
                    (desk.news / name).unlink()
        if chance.random() < 0.3:
            desk.embedder.fails_at = desk.embedder.calls + 1
            with suppress(KeyboardInterrupt):
                desk.files(prune=True)
            desk.embedder.fails_at = None
        report = desk.files(prune=True)
        assert report.problems == []
        wanted = {key: {texts[key] for texts in held.values() if key in texts} for key in "abcdef"}
        assert desk.all_keys() == [key for key in wanted if wanted[key]]
        for key in desk.all_keys():
            assert desk.entry(key).text in wanted[key]
            file = desk.catalogue.files.of_article(article_id(key))
            assert file is not None
            assert held[Path(file).name][key] == desk.entry(key).text
        assert desk.catalogue.check() == []
    assert counted(desk.files(prune=True)) == ({"unchanged_files": len(held)} if held else {})


# What is wrong with the sources


def test_a_broken_file_is_reported_every_time_the_rest_indexed_and_it_is_read_when_it_changes(
    desk: Desk, reading: Opened
) -> None:
    bad = desk.news / "bad.txt"
    bad.write_bytes(bytes(range(256)) * 4)
    (desk.news / "good.txt").write_text("A headline\n\nIt rained all day.")
    for _ in range(2):
        report = desk.files()
        assert [(problem.where, problem.lost) for problem in report.problems] == [(str(bad), True)]
        assert desk.all_keys() == ["good.txt"]
        assert reading == [bad, desk.news / "good.txt"]
    assert counted(report) == {"unchanged_files": 2, "lost": 1}
    bad.write_text("Another headline\n\nIt snowed.")
    assert counted(desk.files()) == {"added": 1, "embedded": 1, "unchanged_files": 1}
    assert desk.passages("bad.txt") == ["It snowed."]


def test_a_file_that_breaks_takes_nothing_out_until_it_is_whole(desk: Desk) -> None:
    file = desk.lines("a.jsonl", record("a"), record("b"))
    desk.files()
    file.write_text(json.dumps(record("a", "It is new.")) + "\n{broken\n")
    for expected in ({"changed": 1, "embedded": 1, "lost": 1}, {"unchanged_files": 1, "lost": 1}):
        report = desk.files()
        assert counted(report) == expected
        assert [problem.where for problem in report.problems] == [f"{file}, line 2"]
    assert (desk.all_keys(), desk.passages("a")) == (["a", "b"], ["It is new."])
    desk.lines("a.jsonl", record("a", "It is new."))
    assert counted(desk.files()) == {"unchanged": 1, "removed": 1}
    assert desk.all_keys() == ["a"]


def test_the_same_key_twice_in_one_file_is_reported_and_the_last_kept(desk: Desk) -> None:
    file = desk.lines("a.jsonl", record("a", "It was first."), record("b"), record("a", "It was last."))
    report = desk.files()
    reason = "the key 'a' stands more than once; the last article with it is kept"
    assert report.problems == [Problem(str(file), reason, lost=False)]
    assert counted(report) == {"added": 2, "embedded": 2}
    assert desk.passages("a") == ["It was last."]
    again = desk.files()
    assert (counted(again), again.problems) == ({"unchanged_files": 1}, report.problems)


def test_the_same_key_twice_keeps_the_last_even_when_the_first_is_what_was_kept(desk: Desk) -> None:
    desk.lines("a.jsonl", record("a", "It was first."))
    desk.files()
    desk.lines("a.jsonl", record("a", "It was first."), record("a", "It was last."))
    desk.files()
    assert desk.passages("a") == ["It was last."]
    desk.lines("a.jsonl", record("a", "It was another."), record("a", "It was last."))
    desk.files()
    assert desk.passages("a") == ["It was last."]


def test_two_folders_with_the_same_file_name_keep_both_articles(desk: Desk, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("x", "y")]
    for folder in folders:
        folder.mkdir()
        (folder / "note.txt").write_text(f"A headline\n\nThis is {folder.name}.")
    for _ in range(2):
        desk.files(*folders)
        desk.files(folders[1])
        added, _removed = desk.catalogue.changes.between(0, desk.catalogue.changes.last())
        entries = desk.catalogue.articles.by_row(added).values()
        assert [(entry.key, entry.text) for entry in entries] == [
            ("note.txt", "This is x."),
            ("note.txt", "This is y."),
        ]
    (folders[1] / "note.txt").write_text("A headline\n\nThis is y again.")
    assert counted(desk.files(*folders)) == {"changed": 1, "embedded": 1, "unchanged_files": 1}
    added, _ = desk.catalogue.changes.between(0, desk.catalogue.changes.last())
    texts = [entry.text for entry in desk.catalogue.articles.by_row(added).values()]
    assert texts == ["This is x.", "This is y again."]


def test_a_file_named_twice_is_read_once(desk: Desk) -> None:
    file = desk.lines("a.jsonl", record("a"))
    report = desk.files(file, desk.news, file)
    assert (report.files, counted(report)) == (1, {"added": 1, "embedded": 1})


def test_a_path_that_is_not_there_is_reported_by_name(desk: Desk, tmp_path: Path) -> None:
    desk.lines("a.jsonl", record("a"))
    report = desk.files(tmp_path / "nowhere", desk.news)
    assert report.problems == [Problem(str(tmp_path / "nowhere"), "no such file or folder")]
    assert desk.all_keys() == ["a"]


# Interruptions


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_an_interrupted_run_keeps_what_was_committed_and_the_next_completes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    monkeypatch.setattr(indexer, "BATCH", 2)
    desk.lines("a.jsonl", *(record(f"a{n}") for n in range(3)))
    desk.lines("b.jsonl", *(record(f"b{n}") for n in range(3)))
    desk.embedder.fails_at = fails_at
    with pytest.raises(KeyboardInterrupt):
        desk.files()
    every = ["a0", "a1", "a2", "b0", "b1", "b2"]
    assert desk.all_keys() == every[: 2 * (fails_at - 1)]
    assert desk.catalogue.check() == []
    assert {seen.size for seen in desk.catalogue.files.states_under(str(desk.news / "b.jsonl")).values()} <= {None}
    done = list(desk.embedder.embedded)
    report = desk.files()
    assert desk.all_keys() == every
    assert report.added == 6 - 2 * (fails_at - 1)
    assert sorted(desk.embedder.embedded) == sorted({*done, *desk.embedder.embedded})  # nothing twice
    assert len(desk.embedder.embedded) == 6
    assert counted(desk.files()) == {"unchanged_files": 2}


def test_an_interruption_takes_nothing_out_that_its_file_still_holds(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.lines("a.jsonl", *(record(f"a{n}") for n in range(6)))
    desk.files()
    monkeypatch.setattr(indexer, "BATCH", 2)
    desk.lines("a.jsonl", *(record(f"a{n}", f"It is new number {n}.") for n in range(5)))
    desk.embedder.fails_at = desk.embedder.calls + 2
    with pytest.raises(KeyboardInterrupt):
        desk.files()
    assert desk.all_keys() == [f"a{n}" for n in range(6)]
    assert counted(desk.files()) == {"changed": 3, "unchanged": 2, "removed": 1, "embedded": 3}
    assert [desk.passages(f"a{n}") for n in range(5)] == [[f"It is new number {n}."] for n in range(5)]


def test_progress_is_told_after_each_file(desk: Desk) -> None:
    for name in "abc":
        desk.lines(f"{name}.jsonl", record(name))
    told: list[tuple[int, int]] = []
    indexer = desk.indexer()
    report = indexer.files([desk.news], lambda _, done, every: told.append((done, every)))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert report.seconds >= 0


def test_names_of_files_that_are_no_text_are_indexed_all_the_same(desk: Desk) -> None:
    try:
        (desk.news / os.fsdecode(b"caf\xe9.txt")).write_text("A headline\n\nIt rained.")
    except OSError:
        pytest.skip("this file system wants names to be text")
    assert counted(desk.files()) == {"added": 1, "embedded": 1}
    assert counted(desk.files()) == {"unchanged_files": 1}
    assert desk.all_keys() == [r"caf\udce9.txt"]


def test_the_order_of_articles_in_a_file_is_the_order_of_their_rows(desk: Desk) -> None:
    desk.lines("a.jsonl", *(record(name) for name in ("z", "m", "a")))
    desk.files()
    assert [desk.entry(name).row for name in ("z", "m", "a")] == [1, 2, 3]


# What no file can do


def many_problems(file: Path, count: int) -> None:
    file.write_text("{\n" * count)


def test_of_many_problems_the_first_are_named_and_all_are_counted(desk: Desk) -> None:
    bad = desk.news / "bad.jsonl"
    many_problems(bad, 100_000)
    desk.lines("good.jsonl", record("a"))
    report = desk.files()
    assert (report.added, report.lost) == (1, 100_000)
    *named, rest = report.problems
    assert [problem.where for problem in named] == [f"{bad}, line {number}" for number in range(1, 21)]
    assert rest == Problem(str(bad), "99,980 more could not be indexed", count=99_980)
    again = desk.files()
    assert (again.lost, again.problems, again.unchanged_files) == (100_000, report.problems, 2)
    desk.catalogue.close()
    assert sum(file.stat().st_size for file in desk.catalogue.path.parent.glob("catalogue*")) < 1_000_000


def test_those_that_are_lost_are_named_though_many_others_came_before(desk: Desk) -> None:
    fine = [record(f"a{number}", date="31/31/2024") for number in range(100)]
    file = desk.lines("a.jsonl", *fine)
    with file.open("a", encoding="utf-8") as stream:
        stream.write("{\n" + json.dumps(record("b", " ")) + "\n")
    report = desk.files()
    assert (report.added, report.lost) == (100, 2)
    assert [(problem.where, problem.count) for problem in report.problems if problem.lost] == [
        (f"{file}, line 101", 1),
        (f"{file}, line 102", 1),
    ]
    assert [problem.count for problem in report.problems if not problem.lost] == [1] * 20 + [80]
    assert report.problems[-1] == Problem(str(file), "80 more were indexed with something amiss", False, 80)


def test_the_longest_path_with_many_problems(desk: Desk) -> None:
    folder = desk.news
    while (left := 4_000 - len(str(folder))) > 200:
        folder /= "d" * min(200, left - 100)
    folder.mkdir(parents=True)
    many_problems(folder / f"{'f' * (4_090 - len(str(folder / '.jsonl')))}.jsonl", 30_000)
    (folder / "good.txt").write_text("A headline\n\nIt rained.")
    report = desk.files()
    assert (report.added, report.lost, len(report.problems)) == (1, 30_000, 21)
    assert desk.files().problems == report.problems


def test_a_report_names_a_thousand_problems_and_counts_all() -> None:
    report, other = Report(), Report()
    for number in range(1_500):
        report.note(Problem(f"{number}", "is empty"), Problem(f"{number}", "x" * 10_000, lost=False))
        other.note(Problem(f"other {number}", "is empty"))
    assert (report.lost, len(report.problems)) == (1_500, 2_002)
    assert max(len(problem.reason) for problem in report.problems) == 500
    report.add(other)
    assert (report.lost, len(report.problems)) == (3_000, 2_002)
    assert Problem("other files", "2,000 more could not be indexed", count=2_000) in report.problems


@pytest.mark.parametrize("error", [AssertionError("a bug"), MemoryError(), RecursionError()])
def test_an_article_that_cannot_be_prepared_costs_itself_alone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def clean(title: str, text: str) -> Cleaned:
        if "harmful" in text:
            raise error
        return cleaning.clean(title, text)

    monkeypatch.setattr(prepare, "clean", clean)
    file = desk.lines("a.jsonl", record("a"), record("b", "A harmful text."), record("c"))
    report = desk.files()
    said = f"it could not be cleaned and split ({type(error).__name__}"
    assert [(one.where, one.reason[: len(said)], one.lost) for one in report.problems] == [(f"{file}, b", said, True)]
    assert desk.all_keys() == ["a", "c"]
    assert counted(desk.files()) == {"unchanged_files": 1, "lost": 1}
    assert counted(desk.articles(RawArticle("d", "", "A harmful text."), RawArticle("e", "", "It rained."))) == {
        "added": 1, "embedded": 1, "lost": 1,
    }  # fmt: skip


def test_a_panic_of_a_library_in_rust_costs_its_article_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):  # what pyo3 raises; it cannot be imported
        pass

    def panicking(text: str) -> str:
        if "harmful" in text:
            raise PanicException("index out of bounds")
        return "en"

    monkeypatch.setattr(prepare, "language_of", panicking)
    desk.lines("a.jsonl", record("a"), record("b", "A harmful text."))
    assert counted(desk.files()) == {"added": 1, "embedded": 1, "lost": 1}


TERABYTES = 15 * 10**12


@pytest.mark.usefixtures("certain")
@pytest.mark.parametrize("size", [16 * 10**9, TERABYTES])
def test_of_enormous_files_nothing_is_read_that_is_too_large_and_the_others_are_indexed(desk: Desk, size: int) -> None:
    """What is sparse takes no room: whoever reads all of it reads for minutes, or days."""
    names = [f"a{suffix}" for suffix in (*READERS, ".txt.gz", ".html.zst")]
    for name in names:
        with (desk.news / name).open("wb") as file:
            try:
                file.truncate(size)
            except OSError:
                pytest.skip("this file system has no files so large")
    (desk.news / "good.txt").write_text("A headline\n\nIt rained.")
    report = desk.files()
    assert counted(report) == {"added": 1, "embedded": 1, "lost": len(names)}
    held_whole = [name for name in names if not name.endswith((".json", ".jsonl", ".ndjson", ".csv", ".tsv"))]
    most = {name: 10_000_000 if name.endswith((".rss", ".atom", ".xml")) else 1_000_000 for name in held_whole}
    reasons = {Path(problem.where).name: problem.reason for problem in report.problems}
    assert {name: reasons[name] for name in held_whole} == {
        name: f"is larger than {most[name]} bytes" for name in held_whole
    }
    assert counted(desk.files()) == {"unchanged_files": len(names) + 1, "lost": len(names)}


def test_a_change_of_a_large_file_is_noticed_wherever_it_is(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where its size, its date and all pieces of it that are looked at stay the same."""
    for name, value in {"MAX_HASHED": 100, "PIECES": 2, "PIECE": 10, "IN_DOUBT": -(10**12)}.items():
        monkeypatch.setattr(file_state, name, value)
    file = desk.lines("a.jsonl", record("a"), record("b", "It was green."), record("c"))
    desk.files()
    assert counted(desk.files()) == {"unchanged_files": 1}
    before = file.stat()
    file.write_text(file.read_text().replace("It was green.", "It was brown."))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert counted(desk.files()) == {"changed": 1, "unchanged": 2, "embedded": 1}
    assert desk.passages("b") == ["It was brown."]


def test_a_large_file_that_is_moved_is_known_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_state, "MAX_HASHED", 100)
    file = desk.lines("a.jsonl", record("a"), record("b"))
    desk.files()
    file.rename(desk.news / "b.jsonl")
    report = desk.files()
    assert (counted(report), report.kept) == ({"unchanged": 2}, [])
    assert desk.all_keys() == ["a", "b"]


def test_no_field_is_longer_than_an_answer_has_room_for(desk: Desk) -> None:
    long = "x" * 150_000
    facts = {"title": long, "author": long, "source": long, "url": f"https://news.example/{long}"}
    file = desk.lines("a.jsonl", {"id": f"id{long}", "text": "It rained.", **facts}, record("b"))
    report = desk.files()
    assert counted(report) == {"added": 2, "embedded": 2}
    (key,) = set(desk.all_keys()) - {"b"}
    entry = desk.entry(key)
    assert (len(entry.author or ""), len(entry.source or ""), entry.url) == (1_000, 300, None)
    assert (len(entry.key), entry.id) == (133, article_id(key))
    assert [(problem.where, problem.reason, problem.lost) for problem in report.problems] == [
        (f"{file}, {key}", reason, False)
        for reason in (
            "the title has 150,000 characters, more than 1,000; it was cut",
            "the author has 150,000 characters, more than 1,000; it was cut",
            "the source has 150,000 characters, more than 300; it was cut",
            "the url has 150,021 characters, more than 2,000; it was left out",
            "the key has 150,002 characters, more than 5,000; a checksum stands for it",
        )
    ]
    desk.lines("a.jsonl", {"id": f"id{long}", "text": "It snowed.", **facts}, record("b"))
    assert counted(desk.files()) == {"changed": 1, "unchanged": 1, "embedded": 1}
    direct = RawArticle("d", "", "It rained.", url=f"https://www.post.example/{long}", language=long)
    assert counted(desk.articles(direct)) == {"added": 1, "embedded": 1}
    assert (desk.entry("d").source, desk.entry("d").url, desk.entry("d").language) == ("post.example", None, None)


def test_a_pipe_that_took_the_place_of_a_file_holds_up_nothing(desk: Desk) -> None:
    for name in "abc":
        desk.lines(f"{name}.jsonl", record("x"), record("y"))
    desk.files()
    for name in "ab":  # most are gone, so that what they held is kept, and read again when the third loses it
        (desk.news / f"{name}.jsonl").unlink()
        os.mkfifo(desk.news / f"{name}.jsonl")
    desk.lines("c.jsonl", record("y"))
    report = desk.files()
    assert {problem.reason for problem in report.problems} == {"is not a regular file"}
    assert desk.all_keys() == ["x", "y"]
