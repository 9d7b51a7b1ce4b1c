"""Moving to another model or passage size: the old index serves until the new one is complete, and nothing is lost."""

import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from searchsvc.errors import Busy
from searchsvc.ingest import reembed
from searchsvc.library import Library
from searchsvc.search.verification import Verification
from searchsvc.settings import Settings
from searchsvc.text.article import RawArticle, article_id

BUNDLED = "all-MiniLM-L6-v2"
LONG = " ".join(f"The river rose by {n} metres in the night." for n in range(12))
ARTICLES = [RawArticle(f"a{n}", f"Report {n}", f"The committee met on day {n}.") for n in range(12)]
ARTICLES.append(RawArticle("long", "Flood", LONG))


class Models:
    """Stands in for `load`: an embedder a name, and what shall happen while one embeds."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self.by_name: dict[str, Any] = {}
        self.meanwhile: list[Callable[[], object]] = []

    def load(self, name: str, **_: object) -> Any:
        if name not in self.by_name:
            dimension = 32 if name == BUNDLED else 48
            self.by_name[name] = self._disturbed(self.kind(dimension, f"weights of {name}"))
        return self.by_name[name]

    def _disturbed(self, embedder: Any) -> Any:
        plain = embedder.passages

        def passages(texts: Sequence[str]) -> Any:
            if self.meanwhile:
                self.meanwhile.pop(0)()
            return plain(texts)

        embedder.passages = passages
        return embedder


@pytest.fixture
def models(words: Any, monkeypatch: pytest.MonkeyPatch) -> Models:
    found = Models(type(words))
    monkeypatch.setattr("searchsvc.models.load_embedder", found.load)
    monkeypatch.setattr(reembed, "AT_ONCE", 4)
    return found


@pytest.fixture
def stocked(tmp_path: Path, models: Models) -> Library:
    shelf = Library(Settings(index=tmp_path / "index"))
    shelf.add(ARTICLES)
    assert [*models.by_name] == [BUNDLED]
    return shelf


def set_to(shelf: Library, **wishes: Any) -> Library:
    """Open the same index with other settings, as another process would."""
    return Library(replace(shelf.settings, **wishes))


def space_of(shelf: Library) -> tuple[str, int, int]:
    space = shelf.catalogue.spaces.get()
    return space.model, space.dimension, space.passage_tokens


def keys(shelf: Library, question: str) -> set[str]:
    return {hit.article.key for hit in shelf.search(question, limit=100).hits}


EVERY = {article.key for article in ARTICLES}


def test_another_model_embeds_everything_anew_while_the_old_index_answers(stocked: Library, models: Models) -> None:
    reader = set_to(stocked)
    seen: list[object] = []

    def ask() -> None:
        results = reader.search("committee river", limit=100)
        seen.append((space_of(reader), {hit.article.key for hit in results.hits}, results.index.pending))
        seen.append((reader.status().model, reader.status().passages, reader.verify().problems))

    models.meanwhile = [ask] * 3
    told: list[str] = []
    other = Library(replace(stocked.settings, model="other"), announce=told.append)
    heard: list[int] = []
    other.rebuild(lambda report, *_: heard.append(report.embedded))
    assert seen == [((BUNDLED, 32, 160), EVERY, 0), (BUNDLED, 13, ())] * 3
    assert heard == [4, 8, 12, 13]
    assert told == ["Embedding everything anew with other, passages of 160 tokens; the old index serves."]
    for shelf in (reader, stocked, other, set_to(stocked)):
        assert (space_of(shelf), keys(shelf, "committee river")) == (("other", 48, 160), EVERY)
        assert shelf.verify() == Verification((), 1.0, 13)
    assert len(models.by_name["other"].embedded) == 13
    assert len(models.by_name[BUNDLED].embedded) == 13


def test_indexing_moves_first_where_the_settings_name_another_model(
    stocked: Library, models: Models, tmp_path: Path
) -> None:
    note = tmp_path / "note.txt"
    note.write_text("Storm in Hamburg\n\nThe harbour was closed.")
    other = set_to(stocked, model="other")
    assert (other.search("river").hits[0].article.key, [*models.by_name]) == ("long", [BUNDLED])
    assert other.add([RawArticle("new", "New", "The volcano erupted.")]).embedded == 1
    assert space_of(other) == (BUNDLED, 32, 160)
    report = other.index([note])
    assert (report.added, report.embedded, space_of(other)) == (1, 1, ("other", 48, 160))
    assert keys(stocked, "harbour volcano river committee") == {*EVERY, "new", "note.txt"}
    assert stocked.index([note]).unchanged_files == 1
    assert space_of(stocked) == ("other", 48, 160)  # no model is named there, so the index keeps its own


def test_other_writers_go_on_and_what_they_change_is_in_the_new_space(stocked: Library, models: Models) -> None:
    writer = set_to(stocked)
    models.meanwhile = [
        lambda: writer.add([RawArticle("new", "New", "The volcano erupted.")]),
        lambda: writer.remove(["a0", "a11"]),
        lambda: writer.add([replace(ARTICLES[1], text="It never met."), replace(ARTICLES[10], text="It met twice.")]),
        lambda: writer.add([RawArticle("last", "Last", "The glacier melted.")]),
        lambda: None,
        lambda: writer.add([RawArticle("very last", "Last", "The comet returned.")]),
    ]
    set_to(stocked, model="other").rebuild()
    assert models.meanwhile == []
    assert space_of(writer) == ("other", 48, 160)
    assert keys(writer, "committee met river volcano glacier comet") == {*EVERY, "new", "last", "very last"} - {
        "a0",
        "a11",
    }
    assert {writer.article(article_id(key)).text for key in ("a1", "a10")} == {"It never met.", "It met twice."}
    assert writer.verify() == Verification((), 1.0, 14)


@pytest.mark.parametrize("fails_at", [1, 2, 4])
def test_an_interrupted_move_goes_on_where_it_ended(stocked: Library, models: Models, fails_at: int) -> None:
    embedder = models.load("other")
    embedder.fails_at = fails_at
    with pytest.raises(KeyboardInterrupt):
        set_to(stocked, model="other").rebuild()
    assert (space_of(stocked), keys(stocked, "committee river")) == ((BUNDLED, 32, 160), EVERY)
    assert stocked.verify().problems == ()
    assert len(embedder.embedded) == 4 * (fails_at - 1)
    stocked.add([replace(ARTICLES[0], text="It never met.")])
    stocked.tidy(timedelta(0))
    heard: list[int] = []
    set_to(stocked, model="other").rebuild(lambda report, *_: heard.append(report.embedded))
    again = fails_at > 1  # the first article, since its text is another now
    assert heard[-1] == 13 - 4 * (fails_at - 1) + again
    assert len(embedder.embedded) == 13 + again
    assert stocked.verify() == Verification((), 1.0, 13)
    assert space_of(stocked) == ("other", 48, 160)


def test_a_move_that_is_interrupted_when_all_is_embedded_is_completed_by_the_next(
    stocked: Library, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for method in ("searchsvc.engines.local.dense.write", "searchsvc.engines.local.lexical.Lexical.make",
                   "searchsvc.catalogue.spaces.Spaces.serve"):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(method, killed)
            with pytest.raises(KeyboardInterrupt):
                set_to(stocked, model="other").rebuild()
        assert (space_of(set_to(stocked)), keys(set_to(stocked), "committee river")) == ((BUNDLED, 32, 160), EVERY)
    set_to(stocked, model="other").rebuild()
    assert (space_of(stocked), stocked.verify()) == (("other", 48, 160), Verification((), 1.0, 13))
    assert len(models.load("other").embedded) == 13


def test_a_move_that_was_given_up_for_another_is_let_go_of(stocked: Library, models: Models) -> None:
    models.load("other").fails_at = 3
    with pytest.raises(KeyboardInterrupt):
        set_to(stocked, model="other").rebuild()
    set_to(stocked, model="third").rebuild()
    assert space_of(stocked) == ("third", 48, 160)
    stocked.tidy(timedelta(0))
    assert sorted(path.name for path in (stocked.folder / "local").iterdir()) == ["3"]
    assert stocked.catalogue.spaces.get("making") is None
    assert stocked.verify() == Verification((), 1.0, 13)


def test_tidying_removes_the_old_space_after_a_while(stocked: Library) -> None:
    set_to(stocked, model="other").rebuild()
    rows = [stocked.article(article_id(key)).row for key in sorted(EVERY)]
    assert {stocked.catalogue.passages.count(rows, space) for space in (1, 2)} == {13}
    stocked.tidy()
    assert stocked.catalogue.passages.count(rows, 1) == 13  # for searches that began before
    stocked.tidy(timedelta(0))
    assert (stocked.catalogue.passages.count(rows, 1), stocked.catalogue.passages.count(rows, 2)) == (0, 13)
    assert [path.name for path in (stocked.folder / "local").iterdir()] == ["2"]
    assert (keys(stocked, "committee river"), stocked.verify()) == (EVERY, Verification((), 1.0, 13))


def test_another_passage_size_embeds_only_passages_that_are_cut_anew(stocked: Library, models: Models) -> None:
    embedder = models.load(BUNDLED)
    embedder.embedded.clear()
    set_to(stocked, passage_tokens=32).rebuild()
    hits = stocked.search("river", limit=1, per_article=10).hits
    texts = [hit.passage.text for hit in sorted(hits, key=lambda hit: hit.passage.start)]
    assert " ".join(texts) == LONG
    assert sorted(embedder.embedded) == sorted(f"Flood\n{text}" for text in texts)
    assert (stocked.status().passages, stocked.status().passage_tokens) == (12 + len(texts), 32)
    stocked.tidy(timedelta(0))
    assert stocked.verify() == Verification((), 1.0, 13)
    set_to(stocked, passage_tokens=160).rebuild()
    assert embedder.embedded[len(texts) :] == [f"Flood\n{LONG}"]


def test_vectors_that_are_let_go_of_during_a_move_are_made_again(
    stocked: Library, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.load("other").fails_at = 2
    with pytest.raises(KeyboardInterrupt):
        set_to(stocked, model="other", passage_tokens=150).rebuild()
    # The second move finds the vectors of the first, whose space is let go of while it embeds others beside them.
    monkeypatch.setattr(reembed, "AT_ONCE", 8)
    embedder, sentences = models.load("other"), models.load("other").sentences
    tidying = [timedelta(0)]

    def disturbed(texts: Sequence[str]) -> Any:
        if tidying:
            stocked.tidy(tidying.pop())
        return sentences(texts)

    embedder.sentences = disturbed
    set_to(stocked, model="other").rebuild()
    assert stocked.verify() == Verification((), 1.0, 13)
    assert (tidying, len(embedder.embedded)) == ([], 4 + 13)


def test_a_writer_that_began_before_the_swap_is_told_to_begin_anew(stocked: Library, models: Models) -> None:
    models.meanwhile = [set_to(stocked, model="other").rebuild]
    with pytest.raises(Busy, match="has gone over to another model meanwhile") as refusal:
        stocked.add([RawArticle("new", "New", "The volcano erupted.")])
    assert refusal.value.hint == "do it again"
    assert stocked.add([RawArticle("new", "New", "The volcano erupted.")]).added == 1
    assert keys(set_to(stocked), "volcano committee river") == {*EVERY, "new"}


def test_an_index_of_nothing_moves_too(tmp_path: Path, models: Models) -> None:
    (tmp_path / "news").mkdir()
    shelf = Library(Settings(index=tmp_path / "index"))
    shelf.index([tmp_path / "news"])
    set_to(shelf, model="other", passage_tokens=64).index([tmp_path / "news"])
    assert (space_of(shelf), shelf.search("anything").hits) == (("other", 48, 64), ())
    assert sorted(models.by_name) == [BUNDLED, "other"]


def test_sentences_are_marked_after_a_move_as_before(stocked: Library) -> None:
    stocked.add([RawArticle("band", "A title", "The band played all night. Russia seeks ammunition. Nobody knew why.")])
    for wish in ({"model": "other"}, {"passage_tokens": 64}):
        set_to(stocked, **wish).rebuild()
        hit = stocked.search("what ammunition does Russia seek").hits[0]
        assert hit.answer.text == "Russia seeks ammunition."
        row = stocked.article(article_id("band")).row
        (passage,) = stocked.catalogue.passages.of_article(row, stocked.catalogue.spaces.get().row)
        assert stocked.catalogue.vectors.of_sentences([passage.row])[passage.row].shape == (3, 48)


def test_after_a_move_every_text_has_its_own_vector_of_the_new_model(stocked: Library, models: Models) -> None:
    set_to(stocked, model="other").rebuild()
    space, embedder = stocked.catalogue.spaces.get(), models.load("other")
    for key in sorted(EVERY):
        entry = stocked.article(article_id(key))
        vectors = stocked.catalogue.vectors.of_articles([entry.row], space.row).vectors
        wanted = [embedder.question(f"{entry.title}\n{entry.text}")]
        np.testing.assert_allclose(vectors, wanted, atol=2e-3)


# Killed


MOVING = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import conftest
from searchsvc import library, models
from searchsvc.ingest import reembed
reembed.AT_ONCE = 3
class Slow(conftest.BagOfWords):
    def passages(self, texts):
        time.sleep(0.02)
        with open(sys.argv[3], "a", encoding="utf-8") as stream:
            stream.writelines(text.partition("\\n")[0] + "\\n" for text in texts)
        return super().passages(texts)
embedder = Slow(48, "weights of other")
models.load_embedder = lambda *_, **__: embedder
shelf = library.Library(library.Settings(index=Path(sys.argv[2]), model="other"))
print("ready", flush=True)
shelf.rebuild()
print("moved", flush=True)
"""


@pytest.mark.usefixtures("models")
def test_a_move_that_is_killed_again_and_again_is_completed_in_the_end(tmp_path: Path) -> None:
    shelf = Library(Settings(index=tmp_path / "index"))
    articles = [RawArticle(f"a{n}", f"Report {n}", f"The committee met on day {n}.") for n in range(60)]
    shelf.add(articles)
    command = [sys.executable, "-c", MOVING, str(Path(__file__).parents[1]), str(shelf.folder), str(tmp_path / "log")]
    chance = random.Random(7)
    for _ in range(8):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0.0, 0.3))
            process.kill()
        reader = set_to(shelf)
        assert keys(reader, "committee") == {article.key for article in articles}
        assert reader.verify().problems == ()
    assert subprocess.run(command, capture_output=True, check=True, timeout=100).stdout == b"ready\nmoved\n"
    assert space_of(shelf) == ("other", 48, 160)
    assert shelf.verify() == Verification((), 1.0, 30)
    embedded = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert {*embedded} == {article.title for article in articles}
    assert len(embedded) <= 60 + 3 * 8  # a kill costs a batch at most
