"""The library: what the faces can rely on, from an empty folder to an index that is damaged or in use."""

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from searchsvc import Settings, models
from searchsvc.errors import BadInput, Busy, DamagedCatalogue, ModelMismatch, NoIndex, NotFound, SearchsvcError
from searchsvc.library import Library
from searchsvc.search.verification import Verification
from searchsvc.text.article import Problem, RawArticle, article_id

Words = Any  # see conftest
Open = Callable[[], Library]

DAY = datetime(2024, 6, 18, tzinfo=UTC)

FLOOD = RawArticle(
    "flood", "Flood in Passau", "The Danube rose to nine metres. The old town was evacuated.", source="BBC"
)
FIRE = RawArticle("fire", "Fire in Athens", "The forest burned for a week. Villages were evacuated.", source="BBC")
VOTE = RawArticle("vote", "Election in Sweden", "The votes were counted twice.", source="Reuters", published=DAY)


@pytest.fixture
def stocked(open_library: Open) -> Library:
    shelf = open_library()
    shelf.add([FLOOD, FIRE, VOTE])
    return shelf


def keys(found: Library, question: str, **wishes: Any) -> list[str]:
    return [hit.article.key for hit in found.search(question, **wishes).hits]


def reopened(other: Library) -> Library:
    """Open the same index again, as another process would."""
    return Library(other.settings)


def written_anew(file: Path, data: bytes | bytearray) -> None:
    """Write a file, but not in place: the old one may be mapped into this process."""
    file.unlink()
    file.write_bytes(data)


# From nothing to an answer


def test_without_an_index_everything_says_so_and_makes_nothing(open_library: Open, tmp_path: Path) -> None:
    shelf = open_library()
    assert shelf.exists is False
    attempts: list[Callable[[], object]] = [
        lambda: shelf.search("anything"),
        shelf.status,
        lambda: shelf.article("a"),
        lambda: shelf.remove(["a"]),
        shelf.rebuild,
        shelf.verify,
    ]
    for attempt in attempts:
        with pytest.raises(NoIndex, match="there is no index in"):
            attempt()
    assert list(tmp_path.iterdir()) == []


def test_what_is_indexed_is_found_and_cited_to_the_letter(stocked: Library) -> None:
    results = stocked.search("how high was the Danube?")
    hit = results.hits[0]
    assert (hit.rank, hit.article.key, hit.article.title) == (1, "flood", "Flood in Passau")
    assert hit.passage.text == FLOOD.text
    assert hit.answer.text == "The Danube rose to nine metres."
    assert [hit.article.text[start:end] for start, end in hit.highlights] == ["Danube"]
    assert hit.passage.id == f"{article_id('flood')}:0-{len(FLOOD.text)}"
    assert stocked.article(hit.article.id) == hit.article
    state = results.index
    assert (state.articles, state.passages, state.generation, state.pending) == (3, 3, 3, 0)
    assert [one.rank for one in results.hits] == list(range(1, len(results.hits) + 1))
    scores = [one.score for one in results.hits]
    assert scores == sorted(scores, reverse=True)


def test_files_are_indexed_and_a_second_library_sees_them_at_once(open_library: Open, tmp_path: Path) -> None:
    writer, reader = open_library(), open_library()
    note = tmp_path / "note.txt"
    note.write_text("Storm in Hamburg\n\nThe harbour was closed.")
    assert writer.index([note]).added == 1
    assert keys(reader, "harbour") == ["note.txt"]
    note.write_text("Storm in Hamburg\n\nThe airport was closed for a day.")
    assert writer.index([note]).changed == 1
    assert [hit.passage.text for hit in reader.search("airport").hits] == ["The airport was closed for a day."]
    writer.remove(["note.txt"])
    assert keys(reader, "airport") == []


def test_another_process_sees_what_was_committed_and_commits_what_is_seen(stocked: Library) -> None:
    assert "flood" in keys(stocked, "the Danube in Passau")
    code = """
import sys
from pathlib import Path
from searchsvc.library import Library
from searchsvc.settings import Settings
print(Library(Settings(index=Path(sys.argv[1]))).remove(["flood"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(stocked.folder)], capture_output=True, text=True, check=True, timeout=100
    )
    assert done.stdout == "1\n"
    assert "flood" not in keys(stocked, "the Danube in Passau")
    assert stocked.status().articles == 2


def test_an_index_of_nothing_answers_with_nothing(open_library: Open, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    shelf = open_library()
    assert shelf.index([tmp_path / "empty"]).files == 0
    results = shelf.search("anything at all")
    assert (results.hits, results.index.articles, results.index.passages, results.index.updated) == ((), 0, 0, None)
    assert shelf.verify().problems == ()
    assert (shelf.status().articles, shelf.status().oldest) == (0, None)


# Wishes


def test_articles_of_the_future_are_hidden_unless_asked_for(open_library: Open) -> None:
    shelf = open_library()
    now = datetime.now(UTC)
    for key, published in (("past", now - timedelta(days=1)), ("future", now + timedelta(days=1)), ("undated", None)):
        shelf.add([RawArticle(key, f"News {key}", "Prices rose.", published=published)])
    assert sorted(keys(shelf, "prices")) == ["past", "undated"]
    assert sorted(keys(shelf, "prices", as_of=now + timedelta(days=2))) == ["future", "past", "undated"]
    assert keys(shelf, "prices", as_of=now - timedelta(days=2)) == ["undated"]
    assert keys(shelf, "prices", after=now - timedelta(days=2)) == ["past"]
    assert keys(shelf, "prices", before=now, after=now - timedelta(days=2), as_of=now) == ["past"]


def test_a_question_that_names_its_time_finds_what_was_published_then(open_library: Open) -> None:
    shelf = open_library()
    for year, why in ((2021, "Rain spoilt the wheat."), (2022, "War closed the ports."), (2023, "Gas cost more.")):
        day = datetime(year, 3, 9, tzinfo=UTC)
        shelf.add([RawArticle(str(year), why, f"The prices of bread rose in March. {why}", published=day)])
    shelf.add([RawArticle("undated", "Prices", "The prices of bread rose in March 2022.")])
    assert keys(shelf, "bread prices in March 2022") == ["2022"]
    assert keys(shelf, "bread prices since 2022", as_of=datetime(2023, 2, 1, tzinfo=UTC)) == ["2022"]
    assert sorted(keys(shelf, "bread prices before 2023")) == ["2021", "2022"]
    assert keys(shelf, "bread prices last year", as_of=datetime(2022, 6, 1, tzinfo=UTC)) == ["2021"]
    everything = keys(shelf, "bread prices in March 2022", period=False, fold=False)
    assert sorted(everything) == ["2021", "2022", "2023", "undated"]


def test_where_nothing_was_published_then_any_time_will_do(stocked: Library) -> None:
    results = stocked.search("votes in Sweden in March 2022")
    assert results.hits[0].article.key == "vote"
    assert results.period is None
    found = stocked.search("votes in Sweden in June 2024")
    assert [hit.article.key for hit in found.hits] == ["vote"]
    assert found.period is not None
    assert found.period.words == "in June 2024"


def test_the_moment_of_the_answer_is_said(stocked: Library) -> None:
    assert stocked.search("votes", as_of=DAY).as_of == DAY
    before = datetime.now(UTC)
    assert before <= stocked.search("votes").as_of <= datetime.now(UTC)


def test_sources_and_languages_narrow_an_answer(open_library: Open) -> None:
    shelf = open_library()
    for key, source, language in (("a", "www.BBC.com", "en"), ("b", "Reuters", "EN"), ("c", "bbc.COM", "de")):
        shelf.add([RawArticle(key, f"News {key}", f"Prices rose in {key}.", source=source, language=language)])
    assert sorted(keys(shelf, "prices", sources=["bbc.com"])) == ["a", "c"]
    assert sorted(keys(shelf, "prices", languages=["En"])) == ["a", "b"]
    assert keys(shelf, "prices", sources=["BBC.com", "reuters"], languages=["de"]) == ["c"]


def test_sources_are_asked_for_as_people_call_them(open_library: Open) -> None:
    shelf = open_library()
    for key, source in (("a", "www.theweek.co.uk"), ("b", "The Week"), ("c", "reuters.com"), ("d", "Reuters")):
        shelf.add([RawArticle(key, f"News {key}", f"Prices rose in {key * 9}.", source=source)])
    for name, expected in (
        ("theweek", ["a", "b"]),
        ("The Week", ["a", "b"]),
        ("theweek.co.uk", ["a"]),
        ("reuters", ["c", "d"]),
        ("week.com", []),
        ("nobody", []),
    ):
        assert sorted(keys(shelf, "prices", sources=[name])) == expected
        assert sorted(keys(shelf, f'source:"{name}" prices')) == expected
    assert sorted(keys(shelf, "prices source:week source:reuters", sources=["Reuters", "theweek.co.uk"])) == [
        "a", "c", "d",
    ]  # fmt: skip


def test_operators_narrow_an_answer(stocked: Library) -> None:
    assert sorted(keys(stocked, "evacuated")) == ["fire", "flood", "vote"]
    assert keys(stocked, 'evacuated "old town"') == ["flood"]
    assert keys(stocked, '"Villages were evacuated"') == ["fire"]
    assert keys(stocked, '"villages was evacuated"') == []
    assert keys(stocked, '"fire in Athens"') == ["fire"]
    assert keys(stocked, '"Athens the forest"') == []
    assert sorted(keys(stocked, "evacuated -danube")) == ["fire", "vote"]
    assert keys(stocked, 'evacuated -danube -"counted twice"') == ["fire"]
    assert keys(stocked, "evacuated source:reuters") == ["vote"]
    assert keys(stocked, "evacuated after:2024-06-18 before:2024-06") == ["vote"]
    assert keys(stocked, "evacuated after:2024-06-19") == []
    with pytest.raises(BadInput, match="where to look, and not what for"):
        stocked.search("source:bbc")


def test_the_words_of_a_phrase_are_marked_and_operators_are_not(stocked: Library) -> None:
    results = stocked.search('was the "old town" safe source:bbc -athens')
    (hit,) = results.hits
    assert hit.answer.text == "The old town was evacuated."
    assert [hit.article.text[start:end] for start, end in hit.highlights] == ["old", "town"]
    assert results.query.text == 'was the "old town" safe source:bbc -athens'


def test_each_article_gives_as_many_passages_as_are_wished(open_library: Open) -> None:
    shelf = open_library()
    text = "\n\n".join(f"The committee met on day {n}. " + f"Member {n} said that it was late. " * 16 for n in range(6))
    shelf.add([RawArticle("long", "Committee", text), RawArticle("short", "Committee", "The committee met.")])
    assert sorted(keys(shelf, "committee")) == ["long", "short"]
    for wished in (2, 3):
        hits = shelf.search("committee", per_article=wished).hits
        assert sorted(hit.article.key for hit in hits) == ["long"] * wished + ["short"]
        assert len({hit.passage.id for hit in hits}) == wished + 1
        assert all(hit.article.text[hit.passage.start : hit.passage.end] == hit.passage.text for hit in hits)
    (best,) = {hit.article.key for hit in shelf.search("committee", per_article=3, limit=1).hits}
    assert best == shelf.search("committee").hits[0].article.key


def test_hits_have_as_many_tokens_as_are_wished_at_most(stocked: Library, words: Words) -> None:
    hits = stocked.search("evacuated votes").hits
    assert len(hits) == 3
    sizes = [
        len(words.tokenizer.encode(f"{hit.article.title}\n{hit.passage.text}", add_special_tokens=False))
        for hit in hits
    ]
    for most, expected in ((min(sizes) - 1, 0), (sum(sizes[:2]), 2), (sum(sizes), 3)):
        shown = stocked.search("evacuated votes", max_tokens=most)
        assert [hit.passage.id for hit in shown.hits] == [hit.passage.id for hit in hits[:expected]]
        assert shown.tokens == sum(sizes[:expected])
    without_first = stocked.search("evacuated votes", max_tokens=sizes[0] - 1)
    assert hits[0].passage.id not in [hit.passage.id for hit in without_first.hits]


def test_limits_are_kept_and_impossible_ones_refused(stocked: Library) -> None:
    assert len(stocked.search("evacuated", limit=1).hits) == 1
    for wishes in ({"limit": 0}, {"limit": 101}, {"per_article": 0}, {"per_article": 11}, {"max_tokens": 0}):
        with pytest.raises(BadInput, match=next(iter(wishes))):
            stocked.search("evacuated", **wishes)  # type: ignore[arg-type]
    for question in ("", " \n\u200b ", "x" * 1_001):
        with pytest.raises(BadInput, match="the question"):
            stocked.search(question)


@pytest.mark.parametrize("question", ["?", "the", '"', "source:BBC AND (", "😀", "ß" * 1_000, "\u200d", "中国"])
def test_any_question_is_answered_without_complaint(stocked: Library, question: str) -> None:
    for hit in stocked.search(question).hits:
        assert hit.article.text[hit.passage.start : hit.passage.end] == hit.passage.text
        assert hit.passage.start <= hit.answer.start < hit.answer.end <= hit.passage.end
        assert 0.0 <= hit.score <= 1.0 + 1e-6


# Taking out


@pytest.mark.parametrize(
    ("name", "left"),
    [("flood", ["fire", "vote"]), (article_id("vote"), ["fire", "flood"]), ("BBC", ["vote"])],
)
def test_articles_are_taken_out_by_key_id_or_source(stocked: Library, name: str, left: list[str]) -> None:
    assert stocked.remove([name]) == 3 - len(left)
    assert sorted(keys(stocked, "evacuated votes")) == left
    assert stocked.verify().problems == ()
    assert stocked.status().passages == len(left)


def test_what_is_named_twice_is_taken_out_once(stocked: Library) -> None:
    assert stocked.remove(["flood", article_id("flood"), "BBC"]) == 2
    assert sorted(keys(stocked, "evacuated votes")) == ["vote"]


def test_one_unknown_name_takes_nothing_out(stocked: Library) -> None:
    with pytest.raises(NotFound, match="nothing is indexed under 'nobody'"):
        stocked.remove(["flood", "nobody"])
    assert sorted(keys(stocked, "evacuated votes")) == ["fire", "flood", "vote"]
    assert stocked.status().generation == 3


def test_an_unknown_article_is_not_found(stocked: Library) -> None:
    with pytest.raises(NotFound, match="there is no article flood") as refusal:
        stocked.article("flood")  # a key, where an id is wanted
    assert refusal.value.hint is not None


# Two at once


@contextmanager
def held_elsewhere(folder: Path, *, says_who: bool) -> Iterator[int]:
    """Hold the writer lock of an index in another process."""
    code = """
import os, sys
from pathlib import Path
from filelock import FileLock
folder = Path(sys.argv[1])
with FileLock(folder / "writer.lock"):
    if sys.argv[2] == "True":
        (folder / "writer.pid").write_text(str(os.getpid()))
    print("held", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", code, str(folder), str(says_who)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder.pid
        finally:
            holder.stdin.close()


@pytest.mark.parametrize("says_who", [True, False])
def test_a_second_writer_is_told_who_writes_while_searches_go_on(
    stocked: Library, open_library: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says_who: bool
) -> None:
    (tmp_path / "note.txt").write_text("Storm in Hamburg\n\nThe harbour was closed.")
    monkeypatch.setattr("searchsvc.catalogue.lock.PATIENCE", 0.2)
    with held_elsewhere(stocked.folder, says_who=says_who) as pid:
        who = f"process {pid}" if says_who else "another process"
        attempts: list[Callable[[], object]] = [
            lambda: stocked.add([replace(FLOOD, text="It fell again.")]),
            lambda: stocked.index([tmp_path / "note.txt"]),
            lambda: stocked.remove(["flood"]),
            stocked.rebuild,
            stocked.tidy,
            lambda: stocked.restore(tmp_path / "backup"),
        ]
        stocked.backup(tmp_path / "backup")
        assert stocked.add([FLOOD]).unchanged == 1
        for attempt in attempts:
            with pytest.raises(Busy, match=f"{who} is writing to the index in") as refusal:
                attempt()
            assert refusal.value.hint == "try again when it has finished"
        assert keys(open_library(), "Danube")[0] == "flood"
        assert open_library().verify().problems == ()
    assert stocked.remove(["flood"]) == 1


def test_a_writer_waits_for_another_that_is_quick(stocked: Library) -> None:
    threads = [
        threading.Thread(target=lambda n=n: reopened(stocked).add([RawArticle(f"a{n}", "T", f"Number {n}.")]))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert stocked.status().articles == 7
    assert stocked.status().pending == 0
    assert reopened(stocked).verify().problems == ()


def test_two_processes_that_index_one_folder_at_once_end_as_one_would(stocked: Library, tmp_path: Path) -> None:
    news = tmp_path / "news"
    news.mkdir()
    for part in range(3):
        records = [
            {"id": f"{n}", "title": f"Report {n}", "text": f"The committee met on day {n} of the month."}
            for n in range(part * 20, part * 20 + 30)  # ten of them stand in the next file too
        ]
        (news / f"{part}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    (news / "note.txt").write_text("Storm in Hamburg\n\nThe harbour was closed.")
    command = [sys.executable, "-c", INDEXING, str(Path(__file__).parent), str(stocked.folder), str(news)]
    writers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    assert [(writer.communicate(timeout=200)[0], writer.returncode) for writer in writers] == [("4 []\n", 0)] * 2
    shelf = reopened(stocked)
    assert (shelf.status().articles, shelf.status().passages, shelf.status().pending) == (74, 74, 0)
    assert shelf.verify() == Verification((), 1.0, 37)
    entries = {n: shelf.article(article_id(f"{n}")) for n in range(70)}
    assert {n: (entry.text, entry.version) for n, entry in entries.items()} == {
        n: (f"The committee met on day {n} of the month.", 1) for n in range(70)
    }
    assert shelf.index([news]).unchanged_files == 4
    (news / "1.jsonl").unlink()
    assert shelf.index([news]).removed == 10  # the others stand in another file too
    assert shelf.verify().problems == ()


INDEXING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import conftest
from searchsvc import library, models
from searchsvc.ingest import indexer as indexing
indexing.BATCH = 7
embedder = conftest.BagOfWords()
models.load_embedder = lambda *_, **__: embedder
shelf = library.Library(library.Settings(index=Path(sys.argv[2])))
print("ready", flush=True)
sys.stdin.readline()
report = shelf.index([Path(sys.argv[3])])
print(report.files, report.problems)
"""


def test_an_error_while_writing_frees_the_lock(stocked: Library, words: Words) -> None:
    words.fails_at = words.calls + 1
    with pytest.raises(KeyboardInterrupt):
        stocked.add([RawArticle("new", "New", "Something new.")])
    assert not (stocked.folder / "writer.pid").exists()
    assert Library(stocked.settings).add([RawArticle("new", "New", "Something new.")]).added == 1


def test_searches_go_on_while_another_thread_writes(stocked: Library) -> None:
    wrong: list[object] = []
    done = threading.Event()

    def ask_on() -> None:
        while not done.is_set():
            try:
                hits = stocked.search("Danube votes", limit=100).hits
                missing = {"flood", "fire", "vote"} - {hit.article.key for hit in hits}
                bad = [
                    hit.article.key
                    for hit in hits
                    if hit.article.text[hit.passage.start : hit.passage.end] != hit.passage.text
                ]
                if missing or bad or len({hit.article.id for hit in hits}) != len(hits):
                    wrong.append((missing, bad))
            except Exception as error:  # noqa: BLE001  whatever it is, it is wrong
                wrong.append(repr(error))

    threads = [threading.Thread(target=ask_on) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(8):
            stocked.add([RawArticle(f"a{n}", "Moving", f"Number {number} of {n}.") for n in range(3)])
            stocked.remove(["a1"])
    finally:
        done.set()
        for thread in threads:
            thread.join(60)
    assert wrong[:3] == []


# The model


def test_an_index_is_not_searched_with_another_model_of_the_same_name_until_it_is_made_anew(
    stocked: Library, words: Words, open_library: Open
) -> None:
    assert keys(open_library(), "Danube")[0] == "flood"
    words.fingerprint = "another"
    for attempt in (lambda: reopened(stocked).search("Danube"),
                    lambda: reopened(stocked).add([replace(FLOOD, text="It fell again.")])):  # fmt: skip
        with pytest.raises(ModelMismatch, match="with another model of the name all-MiniLM-L6-v2") as refusal:
            attempt()
        assert refusal.value.hint == "searchsvc rebuild --model all-MiniLM-L6-v2 embeds everything anew"
    assert reopened(stocked).status().articles == 3
    named = replace(stocked.settings, model="all-MiniLM-L6-v2")
    Library(named).rebuild()
    assert keys(reopened(stocked), "Danube")[0] == "flood"
    assert reopened(stocked).verify().problems == ()


def test_an_index_keeps_the_passage_size_that_it_was_made_with(open_library: Open, tmp_path: Path) -> None:
    text = ("The river rose by a metre in the night. " * 14).strip()
    Library(Settings(index=tmp_path / "index", passage_tokens=32)).add([FLOOD])
    shelf = open_library()
    shelf.add([RawArticle("long", "Long", text)])
    assert shelf.status().passage_tokens == 32
    texts = [hit.passage.text for hit in shelf.search("river", limit=1, per_article=10).hits]
    assert len(texts) == 5
    assert " ".join(texts) == text
    other = Library(Settings(index=tmp_path / "index", passage_tokens=160))
    other.add([FIRE])
    assert (other.status().passage_tokens, keys(other, "forest")[0]) == (32, "fire")


# What is in it, and is it well


def test_status_tells_what_there_is(stocked: Library) -> None:
    status = asdict(stocked.status())
    size = sum(file.stat().st_size for file in stocked.folder.rglob("*") if file.is_file())
    updated = status.pop("updated")
    assert datetime.now(UTC) - timedelta(minutes=5) < updated <= datetime.now(UTC)
    assert status == {
        "articles": 3,
        "passages": 3,
        "generation": 3,
        "pending": 0,
        "model": "all-MiniLM-L6-v2",
        "bytes_on_disk": size,
        "engine": "local",
        "index": str(stocked.folder),
        "passage_tokens": 160,
        "oldest": DAY,
        "newest": DAY,
        "undated": 2,
        "sources": (("BBC", 2), ("Reuters", 1)),
        "unused_bytes": 0,
        "moving_to": None,
        "reranker": None,
        "damaged": (),
        "parts": (),
    }
    assert {type(status[name]) for name in ("articles", "passages", "generation", "pending", "bytes_on_disk")} == {int}


def test_status_needs_no_model_and_makes_nothing(
    stocked: Library, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("searchsvc.models.load_embedder", refuse)
    before = sorted(stocked.folder.rglob("*"))
    assert reopened(stocked).status().articles == 3
    assert sorted(stocked.folder.rglob("*")) == before
    assert words.calls == 1


def test_rebuilding_embeds_nothing_and_changes_no_answer(stocked: Library, words: Words) -> None:
    stocked.remove(["fire"])
    before = [(hit.passage.id, hit.passage.text) for hit in stocked.search("evacuated votes").hits]
    embedded, files = (
        list(words.embedded),
        sorted(path.name for path in (stocked.folder / "local" / "1").glob("dense-*")),
    )
    stocked.rebuild()
    assert words.embedded == embedded
    assert sorted(path.name for path in (stocked.folder / "local" / "1").glob("dense-*")) != files
    for shelf in (stocked, reopened(stocked)):
        assert [(hit.passage.id, hit.passage.text) for hit in shelf.search("evacuated votes").hits] == before
        assert shelf.verify().problems == ()


def test_a_healthy_index_has_nothing_wrong(stocked: Library) -> None:
    assert stocked.verify().problems == ()
    stocked.remove(["flood"])
    assert stocked.verify().problems == ()
    assert Library(stocked.settings).verify().problems == ()


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("local/1/dense-*.faiss", "has changed since it was written"),
        ("local/1/dense-*.npy", "has changed since it was written"),
        ("local/1/dense.json", "dense"),
        ("local/1/lexical.json", "lexical"),
        ("local/1/lexical-1/meta.json", "lexical index"),
    ],
)
def test_verify_says_which_file_is_damaged_also_in_a_process_that_had_it_open(
    stocked: Library, pattern: str, said: str
) -> None:
    (file,) = stocked.folder.glob(pattern)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    written_anew(file, data)
    (found,) = reopened(stocked).verify().problems
    assert said in found


def test_verify_reads_every_file_of_the_lexical_index(stocked: Library) -> None:
    silent = []
    for file in sorted((stocked.folder / "local/1/lexical-1").iterdir()):
        whole = file.read_bytes()
        if not whole or file.name.startswith("."):
            continue
        data = bytearray(whole)
        data[len(data) // 3] ^= 1
        written_anew(file, data)
        try:
            if not reopened(stocked).verify().problems:
                silent.append(file.suffix)
        except BaseException as error:  # noqa: BLE001  tantivy's panics are no Exceptions
            silent.append(f"{file.suffix}: {error!r:.80}")
        written_anew(file, whole)
    assert silent == []


def test_verify_says_that_the_catalogue_is_damaged(stocked: Library, settled: Callable[[Path], None]) -> None:
    path = stocked.folder / "catalogue.sqlite3"
    settled(path)
    with sqlite3.connect(path) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'articles'").fetchone()
    db.close()
    data = bytearray(path.read_bytes())
    data[(page - 1) * 4096 : page * 4096] = b"\xa5" * 4096
    written_anew(path, data)
    try:
        found = reopened(stocked).verify().problems
    except DamagedCatalogue as damage:
        found = (damage.message,)
    assert found
    with pytest.raises(DamagedCatalogue):
        reopened(stocked).article(article_id("flood"))


def test_a_full_disk_is_said_and_leaves_what_was_there(stocked: Library) -> None:
    db = stocked.catalogue._db  # the only way to fill a disk that has room
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(SearchsvcError, match="full"):
        stocked.add([RawArticle("big", "Big", "It is a very long text. " * 5_000)])
    assert sorted(keys(stocked, "evacuated votes")) == ["fire", "flood", "vote"]
    assert reopened(stocked).verify().problems == ()


# Backups, and what is let go of


def test_a_backup_puts_everything_back_also_for_those_who_have_the_index_open(stocked: Library, tmp_path: Path) -> None:
    stocked.add([replace(FLOOD, text="The Danube fell again.")])
    before = (stocked.status(), stocked.article(article_id("flood")), stocked.versions(article_id("flood")))
    stocked.backup(tmp_path / "backup")
    other = reopened(stocked)
    assert "fire" in keys(other, "forest")
    stocked.remove(["fire", "flood"])
    stocked.add([RawArticle("new", "New", "The volcano erupted.")])
    reopened(stocked).restore(tmp_path / "backup")
    for shelf in (stocked, other, reopened(stocked)):
        assert sorted(keys(shelf, "forest volcano Danube votes")) == ["fire", "flood", "vote"]
        assert shelf.verify().problems == ()
        status = shelf.status()
        after = (status, shelf.article(article_id("flood")), shelf.versions(article_id("flood")))
        sizes = {"bytes_on_disk": 0, "unused_bytes": 0}
        assert (replace(after[0], **sizes), *after[1:]) == (replace(before[0], **sizes), *before[1:])
    assert stocked.add([FLOOD]).changed == 1
    assert [one.number for one in other.versions(article_id("flood"))] == [3, 2, 1]


def test_a_backup_is_restored_where_there_is_no_index(stocked: Library, tmp_path: Path) -> None:
    stocked.backup(tmp_path / "backup")
    elsewhere = Library(Settings(index=tmp_path / "elsewhere"))
    elsewhere.restore(tmp_path / "backup")
    assert elsewhere.verify() == Verification((), 1.0, 3)
    assert keys(elsewhere, "Danube")[0] == "flood"


def test_what_is_no_backup_is_refused_and_nothing_is_lost(stocked: Library, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("something else")
    for attempt in (lambda: stocked.backup(other), lambda: stocked.restore(other),
                    lambda: stocked.restore(tmp_path / "nowhere")):  # fmt: skip
        with pytest.raises(BadInput, match="no backup of searchsvc"):
            attempt()
    assert (other.read_text(), keys(stocked, "Danube")[0]) == ("something else", "flood")


def test_a_damaged_catalogue_is_put_right_by_a_backup(stocked: Library, tmp_path: Path) -> None:
    stocked.backup(tmp_path / "backup")
    stocked.catalogue.close()
    for extra in ("-wal", "-shm"):
        (stocked.folder / f"catalogue.sqlite3{extra}").unlink(missing_ok=True)
    written_anew(stocked.folder / "catalogue.sqlite3", b"garbage" * 1_000)
    shelf = reopened(stocked)
    shelf.restore(tmp_path / "backup")
    assert shelf.verify() == Verification((), 1.0, 3)
    assert reopened(stocked).verify() == Verification((), 1.0, 3)


def test_tidying_lets_go_of_what_is_not_in_force_and_changes_no_answer(stocked: Library, words: Words) -> None:
    stocked.add([replace(FLOOD, text="The Danube fell again."), replace(FIRE, source="AP")])
    before = [(hit.passage.id, hit.score) for hit in stocked.search("Danube forest votes").hits]
    rows = [version.number for version in stocked.versions(article_id("flood"))]
    stocked.tidy(timedelta(0))
    assert [(hit.passage.id, hit.score) for hit in stocked.search("Danube forest votes").hits] == before
    assert [version.number for version in stocked.versions(article_id("flood"))] == rows == [2, 1]
    assert stocked.verify() == Verification((), 1.0, 3)
    embedded = len(words.embedded)
    stocked.add([FLOOD])  # its vector was let go of
    assert words.embedded[embedded:] == [f"{FLOOD.title}\n{FLOOD.text}"]


def test_searches_that_began_before_it_was_tidied_are_answered(stocked: Library) -> None:
    snapshot = stocked.snapshot()
    stocked.remove(["fire"])
    stocked.add([replace(FLOOD, text="The Danube fell again.")])
    stocked.tidy()
    assert (
        len(stocked.catalogue.passages.by_row(snapshot.rows().tolist())) == 2
    )  # a replaced text, not a deleted article
    assert keys(stocked, "Danube")[0] == "flood"


def test_what_an_interrupted_run_committed_can_be_searched(
    open_library: Open, words: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("searchsvc.ingest.indexer.BATCH", 2)
    records = [{"id": str(n), "title": f"Report {n}", "text": f"The committee met on day {n}."} for n in range(6)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, records)))
    words.fails_at = 2
    with pytest.raises(KeyboardInterrupt):
        open_library().index([tmp_path / "a.jsonl"])
    shelf = Library(Settings(index=tmp_path / "index"))
    assert shelf.status().articles == 2
    assert sorted(keys(shelf, "committee")) == ["0", "1"]
    assert shelf.index([tmp_path / "a.jsonl"]).added == 4
    assert sorted(keys(shelf, "committee")) == list("012345")


def test_what_a_killed_writer_committed_can_be_searched(stocked: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("searchsvc.engines.local.LocalEngine.follow", killed)
        with pytest.raises(KeyboardInterrupt):
            stocked.add([RawArticle("new", "New", "The volcano erupted.")])
    results = reopened(stocked).search("volcano")
    assert (results.hits[0].article.key, results.index.pending) == ("new", 0)


def test_a_damaged_catalogue_is_refused_and_never_overwritten(stocked: Library, tmp_path: Path) -> None:
    stocked.catalogue.close()
    path = stocked.folder / "catalogue.sqlite3"
    for extra in ("-wal", "-shm"):
        path.with_name(path.name + extra).unlink(missing_ok=True)
    written_anew(path, b"garbage" * 1_000)
    attempts: list[Callable[[Library], object]] = [
        lambda shelf: shelf.search("a"), Library.status, Library.verify, lambda shelf: shelf.add([FLOOD]),
        lambda shelf: shelf.index([tmp_path]),
    ]  # fmt: skip
    for attempt in attempts:
        with pytest.raises(DamagedCatalogue, match=r"catalogue\.sqlite3"):
            attempt(reopened(stocked))
    assert path.read_bytes() == b"garbage" * 1_000


def test_a_catalogue_that_was_deleted_and_made_anew_is_answered_from(open_library: Open, tmp_path: Path) -> None:
    """The old search index still lies there, and holds fewer changes than the new catalogue."""
    open_library().add([FLOOD, FIRE])
    for file in (tmp_path / "index").glob("catalogue.sqlite3*"):
        file.unlink()
    shelf = reopened(Library(Settings(index=tmp_path / "index")))
    shelf.add(
        [VOTE, RawArticle("a", "Storm", "The harbour was closed."), RawArticle("b", "Drought", "The wells ran dry.")]
    )
    assert keys(shelf, "votes counted")[0] == "vote"
    assert {hit.article.key for hit in shelf.search("votes harbour wells").hits} == {"vote", "a", "b"}
    assert [hit.why.lexical_rank for hit in shelf.search("Danube").hits] == [0, 0, 0]


def test_problems_among_articles_are_reported_and_the_rest_is_searchable(open_library: Open) -> None:
    shelf = open_library()
    report = shelf.add([Problem("line 1", "not a record"), RawArticle("empty", "Empty", ""), FLOOD])
    assert [problem.where for problem in report.problems] == ["line 1", "empty"]
    assert (report.added, report.lost) == (1, 2)
    assert keys(shelf, "Danube") == ["flood"]


# With the real model


@pytest.fixture(scope="module")
def newsroom(tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("real")
    (folder / "news").mkdir()
    for name, text in {
        "korea.txt": "Putin visits Pyongyang\n\nThe two leaders signed a treaty. Moscow is likely seeking ammunition "
        "and construction workers.\n\nThousands lined the streets.",
        "bread.txt": "The price of bread\n\nWheat has become dearer since the harvest failed. Bakers raise prices.",
        "football.txt": "Late goal decides the final\n\nThe striker scored in the last minute. Fans celebrated.",
    }.items():
        (folder / "news" / name).write_text(text)
    shelf = Library(Settings(index=folder / "index"))
    shelf.index([folder / "news"])
    return shelf


@pytest.mark.parametrize(
    ("question", "key", "sentence"),
    [
        ("what does Russia want from North Korea", "korea.txt",
         "Moscow is likely seeking ammunition and construction workers."),
        ("why are loaves more expensive", "bread.txt", "Wheat has become dearer since the harvest failed."),
        ("who won the soccer match", "football.txt", "The striker scored in the last minute."),
    ],
)  # fmt: skip
def test_the_real_model_finds_the_sentence_that_answers(
    newsroom: Library, question: str, key: str, sentence: str
) -> None:
    hit = newsroom.search(question).hits[0]
    assert (hit.article.key, hit.answer.text) == (key, sentence)


def test_the_real_model_is_recognised_by_another_library_and_embeds_nothing_twice(newsroom: Library) -> None:
    again = Library(newsroom.settings)
    report = again.index([newsroom.folder.parent / "news"])
    assert (report.unchanged_files, report.embedded, report.added) == (3, 0, 0)
    assert again.status().model == "all-MiniLM-L6-v2"
    space = again.catalogue.spaces.get()
    assert (space.dimension, space.fingerprint) == (384, again.embedder.fingerprint)
    rows = again.catalogue.vectors.of_articles([1, 2, 3], space.row)
    assert again.verify() == Verification((), 1.0, 3)
    np.testing.assert_allclose(np.linalg.norm(rows.vectors.astype(np.float32), axis=1), 1.0, atol=2e-3)


def test_an_index_made_on_another_kind_of_machine_is_searched_and_marked_all_the_same(
    tmp_path: Path, words: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wider = type(words)(96)

    class Elsewhere(type(words)):  # type: ignore[misc]
        """The same model, whose sentences have longer vectors, as on a GPU."""

        def sentences(self, texts: list[str]) -> Any:
            return wider.passages(texts)

    text = "The band played all night. Russia seeks ammunition. Nobody knew why."
    for place, (maker, asker) in enumerate(((Elsewhere(), words), (words, Elsewhere()))):
        settings = Settings(index=tmp_path / f"index{place}")
        monkeypatch.setattr(models, "load_embedder", lambda *_, embedder=maker, **__: embedder)
        Library(settings).add([RawArticle("a", "A title", text)])
        monkeypatch.setattr(models, "load_embedder", lambda *_, embedder=asker, **__: embedder)
        (hit,) = Library(settings).search("what ammunition does Russia seek").hits
        assert hit.answer.text == "Russia seeks ammunition."
