"""The contract of every engine: the same candidates as a search by hand, whatever comes, goes, breaks or is filtered.

Each test gets its engine from `make_engine`; another engine joins by one more entry in ENGINES. Tests marked `local`
are about the files of the local engine.
"""

import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from searchsvc.catalogue import Catalogue, Writer, to_microseconds
from searchsvc.catalogue.changes import Changes
from searchsvc.engines import Engine, Snapshot, open_engine
from searchsvc.engines.local import dense, lexical, manifest
from searchsvc.errors import DamagedIndex
from searchsvc.library import Library
from searchsvc.query import Query
from searchsvc.query.filter import Filter
from searchsvc.query.interpretation import interpret
from searchsvc.settings import Settings
from searchsvc.text.article import Article
from searchsvc.text.passages import Passage

ENGINES = ("local", "memory")
ANY = Filter()
DAY = datetime(2024, 6, 18, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)

Shelf = Any  # see conftest


@pytest.fixture(params=ENGINES)
def make_engine(request: pytest.FixtureRequest, tmp_path: Path, shelf: Shelf) -> Callable[..., Engine]:
    """Make an engine over the one folder of this test, as a process of its own would."""
    return lambda folder="local", space=shelf.space: open_engine(request.param, tmp_path / folder, space)


local = pytest.mark.parametrize("make_engine", ["local"], indirect=True)


@pytest.fixture
def engine(make_engine: Callable[..., Engine]) -> Engine:
    return make_engine()


def followed(engine: Engine, shelf: Shelf) -> Snapshot:
    engine.follow(shelf.catalogue)
    return engine.snapshot(shelf.catalogue)


def words(question: str) -> tuple[str, ...]:
    return interpret(Query(question)).terms


def spoken(shelf: Shelf, snapshot: Snapshot, question: str, filters: Filter = ANY) -> list[str]:
    """Return the ids that the words of a question find, best first."""
    return shelf.ids(snapshot.lexical(words(question), 100, filters).articles)


def near(shelf: Shelf, snapshot: Snapshot, filters: Filter = ANY) -> set[str]:
    """Return the ids of everything that a dense search lets through."""
    return set(shelf.ids(snapshot.dense(shelf.vector("anything"), 100, filters).articles))


def both(shelf: Shelf, snapshot: Snapshot, filters: Filter = ANY) -> set[str]:
    """Return what both retrievers let through, of articles that all hold the word `news`."""
    by_vector, by_word = near(shelf, snapshot, filters), set(spoken(shelf, snapshot, "news", filters))
    assert by_vector == by_word
    return by_vector


def differences(engine: Engine, shelf: Shelf) -> list[str]:
    """Compare an engine, opened anew, with its catalogue."""
    engine.reopen()
    return engine.compare(shelf.catalogue, engine.snapshot(shelf.catalogue))


def by_hand(shelf: Shelf, vector: np.ndarray, k: int, let: Callable[[int], bool]) -> tuple[list[int], list[float]]:
    """Search all vectors of the catalogue one by one; articles' rows and passages' rows are the same on a shelf."""
    added, _ = shelf.catalogue.changes.between(0, shelf.catalogue.changes.last())
    rows = shelf.catalogue.vectors.of_articles(added, shelf.space.row)
    kept = np.array([let(row) for row in rows.articles.tolist()], bool)
    cosines = rows.vectors[kept].astype(np.float32) @ vector
    best = np.argsort(-cosines, kind="stable")[:k]
    return rows.rows[kept][best].tolist(), cosines[best].tolist()


# Dense


@pytest.fixture
def thousands(shelf: Shelf) -> Shelf:
    def facts(number: int) -> dict[str, object]:
        wide = "half" if number % 2 else "rest"
        source = "one in a thousand" if number % 1_000 == 7 else "three in a hundred" if number % 33 == 0 else None
        return {"source": source, "language": wide, "published": DAY + timedelta(hours=number)}

    shelf.put_all((f"a{number}", f"news {number}", facts(number)) for number in range(3_000))
    shelf.remove(*(f"a{number}" for number in range(11, 3_000, 50)))
    return shelf


FILTERS = {
    "all": ANY,
    "half": Filter(languages=frozenset({"HALF"})),
    "3 %": Filter(sources=frozenset({"Three in a hundred"})),
    "0.1 %": Filter(sources=frozenset({"one in a thousand"})),
    "nothing": Filter(sources=frozenset({"nobody"})),
    "a week": Filter(after=DAY + timedelta(days=30), before=DAY + timedelta(days=37)),
    "a week of one source": Filter(after=DAY + timedelta(days=30), sources=frozenset({"three in a hundred"})),
}


def lets(entry: Any, filters: Filter) -> bool:
    return (
        (filters.after is None or (entry.published is not None and entry.published >= filters.after))
        and (filters.before is None or (entry.published is not None and entry.published <= filters.before))
        and (filters.as_of is None or entry.published is None or entry.published <= filters.as_of)
        and (not filters.sources or (entry.source or "").casefold() in {one.casefold() for one in filters.sources})
        and (not filters.languages or entry.language in {one.casefold() for one in filters.languages})
    )


def test_dense_finds_what_a_search_by_hand_finds_under_every_filter(thousands: Shelf, engine: Engine) -> None:
    snapshot = followed(engine, thousands)
    entries = thousands.catalogue.articles.by_row(range(1, 3_001))
    assert (snapshot.passages, snapshot.articles, len(entries)) == (2_940, 2_940, 2_940)
    for name, filters in FILTERS.items():
        let = {row for row, entry in entries.items() if lets(entry, filters)}
        for number in range(5):
            vector = thousands.vector(f"question {number}")
            rows, cosines = by_hand(thousands, vector, 10, let.__contains__)
            found = snapshot.dense(vector, 10, filters)
            assert (name, found.rows.tolist()) == (name, rows)
            assert found.articles.tolist() == rows
            np.testing.assert_allclose(found.scores, cosines, atol=1e-5)


def test_both_retrievers_obey_the_same_filter_of_any_width(thousands: Shelf, engine: Engine) -> None:
    snapshot = followed(engine, thousands)
    entries = thousands.catalogue.articles.by_row(range(1, 3_001))
    for name, filters in FILTERS.items():
        expected = sorted(row for row, entry in entries.items() if lets(entry, filters))
        by_vector = snapshot.dense(thousands.vector("q"), 5_000, filters)
        by_word = snapshot.lexical(words("news"), 5_000, filters)
        assert (name, sorted(by_vector.rows.tolist())) == (name, expected)
        assert (name, sorted(by_word.rows.tolist())) == (name, expected)


def test_candidates_come_with_falling_scores_and_the_types_they_promise(thousands: Shelf, engine: Engine) -> None:
    snapshot = followed(engine, thousands)
    for found in (snapshot.dense(thousands.vector("q"), 50, ANY), snapshot.lexical(words("news 17"), 50, ANY)):
        assert (found.rows.dtype, found.articles.dtype, found.scores.dtype) == (np.int64, np.int64, np.float32)
        assert found.rows.shape == found.articles.shape == found.scores.shape == (50,)
        assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
        assert len(set(found.rows.tolist())) == 50


def test_an_empty_index_finds_nothing_and_says_so(shelf: Shelf, engine: Engine) -> None:
    snapshot = followed(engine, shelf)
    for filters in (ANY, Filter(as_of=DAY), Filter(after=DAY, sources=frozenset({"a"}))):
        for found in (snapshot.dense(shelf.vector("q"), 10, filters), snapshot.lexical(("news",), 10, filters)):
            assert (found.rows.tolist(), found.articles.tolist(), found.scores.tolist()) == ([], [], [])
    assert (snapshot.generation, snapshot.passages, snapshot.articles, snapshot.updated) == (0, 0, 0, None)
    assert snapshot.frequencies(["news"]) == [0]


def test_an_index_that_is_emptied_again_finds_nothing(shelf: Shelf, engine: Engine) -> None:
    shelf.put("a", "news")
    followed(engine, shelf)
    shelf.remove("a")
    snapshot = followed(engine, shelf)
    assert both(shelf, snapshot) == set()
    assert (snapshot.generation, snapshot.passages, snapshot.articles) == (2, 0, 0)


def test_a_snapshot_says_what_it_holds(shelf: Shelf, engine: Engine) -> None:
    shelf.put_all([("a", "news", {}), ("b", "news", {})])
    snapshot = followed(engine, shelf)
    assert (snapshot.generation, snapshot.articles, snapshot.passages) == (2, 2, 2)
    assert snapshot.updated == shelf.catalogue.changes.time_of(2)
    assert engine.snapshot(shelf.catalogue) is snapshot


def test_an_engine_says_what_it_has_applied_and_what_differs(shelf: Shelf, make_engine: Callable[..., Engine]) -> None:
    engine = make_engine()
    before = followed(engine, shelf)
    shelf.put_all([("a", "news", {}), ("b", "news", {"published": DAY})])
    after = followed(engine, shelf)
    assert (engine.applied(shelf.catalogue), make_engine().applied(shelf.catalogue)) == (2, 2)
    assert (engine.lost(shelf.catalogue), engine.compare(shelf.catalogue, after)) == (None, [])
    assert len(engine.compare(shelf.catalogue, before)) == 1
    moments, is_dated = after.published(after.rows())
    assert is_dated.tolist() == [False, True]
    assert moments[1] == to_microseconds(DAY)
    engine.rebuild(shelf.catalogue)
    assert both(shelf, engine.snapshot(shelf.catalogue)) == {"a", "b"}


# Lexical


def bm25(frequency: int, length: int, average: float, holding: int, passages: int) -> float:
    """BM25 as Robertson and Zaragoza give it, k1 = 1.2, b = 0.75, with Lucene's idf, which is never negative."""
    idf = math.log(1 + (passages - holding + 0.5) / (holding + 0.5))
    return idf * frequency * 2.2 / (frequency + 1.2 * (0.25 + 0.75 * length / average))


def test_scores_are_bm25_to_the_last_digits(shelf: Shelf, engine: Engine) -> None:
    shelf.put_all(
        [
            ("twice", "flood flood town", {}),
            ("once", "flood in the old town hall", {}),
            ("none", "wind storm", {}),
            ("other", "river", {}),
        ]
    )
    snapshot = followed(engine, shelf)
    average = (3 + 6 + 2 + 1) / 4
    found = snapshot.lexical(words("flood"), 10, ANY)
    assert shelf.ids(found.articles) == ["twice", "once"]
    np.testing.assert_allclose(found.scores, [bm25(2, 3, average, 2, 4), bm25(1, 6, average, 2, 4)], rtol=1e-5)
    found = snapshot.lexical(words("flood river"), 10, ANY)
    expected = {
        "twice": bm25(2, 3, average, 2, 4),
        "once": bm25(1, 6, average, 2, 4),
        "other": bm25(1, 1, average, 1, 4),
    }
    assert dict(zip(shelf.ids(found.articles), found.scores.tolist(), strict=True)) == pytest.approx(expected, rel=1e-5)


def test_a_filter_leaves_scores_as_they_are(shelf: Shelf, engine: Engine) -> None:
    shelf.put_all([(name, "flood town", {"source": name, "published": DAY, "language": "en"}) for name in "abc"])
    snapshot = followed(engine, shelf)
    plain = snapshot.lexical(words("flood"), 10, ANY).scores.tolist()
    narrow = Filter(DAY, DAY, DAY, frozenset({"a", "b"}), frozenset({"en"}))
    found = snapshot.lexical(words("flood"), 10, narrow)
    assert sorted(shelf.ids(found.articles)) == ["a", "b"]
    assert found.scores.tolist() == pytest.approx(plain[:2])


def test_words_of_the_title_count(shelf: Shelf, engine: Engine) -> None:
    shelf.put("a", "The town is under water.", title="Floods in Bavaria")
    shelf.put("b", "The town is dry.", title="Sunshine")
    snapshot = followed(engine, shelf)
    assert spoken(shelf, snapshot, "bavaria") == ["a"]
    assert spoken(shelf, snapshot, "flood") == ["a"]
    assert spoken(shelf, snapshot, "sunshine") == ["b"]


def test_words_match_without_case_accents_and_english_endings(shelf: Shelf, engine: Engine) -> None:
    shelf.put("a", "Élections présidentielles")
    shelf.put("b", "The president was NEGOTIATING")
    snapshot = followed(engine, shelf)
    assert spoken(shelf, snapshot, "elections") == ["a"]
    assert spoken(shelf, snapshot, "PRÉSIDENTIELLES") == ["a"]
    assert spoken(shelf, snapshot, "who negotiates?") == ["b"]


def test_a_question_of_stop_words_alone_is_still_answered(shelf: Shelf, engine: Engine) -> None:
    shelf.put("a", "To be or not to be.")
    shelf.put("b", "Nothing of the kind.")
    snapshot = followed(engine, shelf)
    assert spoken(shelf, snapshot, "to be or not to be") == ["a"]
    assert spoken(shelf, snapshot, "The Who") == ["b"]


def test_a_word_that_nobody_wrote_finds_nothing(shelf: Shelf, engine: Engine) -> None:
    shelf.put("a", "news")
    snapshot = followed(engine, shelf)
    assert spoken(shelf, snapshot, "xyzzy") == []
    assert snapshot.lexical((), 10, ANY).rows.tolist() == []
    assert spoken(shelf, snapshot, "?!… --- ()") == []
    assert spoken(shelf, snapshot, "news xyzzy") == ["a"]


@pytest.mark.parametrize(
    "question",
    ['"', "(", "site:bbc", "title:", "news AND NOT (", "ne*", "/n.*/", "news~2", "+news -news", "*", "[a TO z]", "\\",
     "body:[* TO *]", "'; DROP TABLE articles; --", "^2", "news:news"],
)  # fmt: skip
def test_the_syntax_of_query_languages_is_plain_text(shelf: Shelf, engine: Engine, question: str) -> None:
    shelf.put("a", "news", source="bbc")
    shelf.put("b", "elsewhere", source="bbc")
    snapshot = followed(engine, shelf)
    assert spoken(shelf, snapshot, question) == (["a"] if re.search(r"\bnews\b", question) else [])


def test_frequencies_count_the_passages_that_hold_a_word(shelf: Shelf, engine: Engine) -> None:
    shelf.put_all([("a", "flood flood", {}), ("b", "flood", {"title": "flood"}), ("c", "town", {"title": "Floods"})])
    snapshot = followed(engine, shelf)
    assert snapshot.frequencies(words("flood town xyzzy")) == [3, 1, 0]
    assert snapshot.frequencies([]) == []


def test_frequencies_forget_what_was_removed_when_the_index_is_made_anew(shelf: Shelf, engine: Engine) -> None:
    shelf.put_all([("a", "flood", {}), ("b", "flood", {}), ("c", "town", {})])
    followed(engine, shelf)
    shelf.remove("a")
    engine.rebuild(shelf.catalogue)
    assert engine.snapshot(shelf.catalogue).frequencies(words("flood town")) == [1, 1]


def test_two_words_side_by_side_add_their_weight_of_bm25_as_one_phrase(shelf: Shelf, engine: Engine) -> None:
    shelf.put_all([("pair", "white house town", {}), ("parted", "house of white", {}), ("one", "white wall", {})])
    snapshot = followed(engine, shelf)
    plain = {"white": bm25(1, 3, 8 / 3, 3, 3), "house": bm25(1, 3, 8 / 3, 2, 3)}
    found = snapshot.lexical(words("white house"), 10, ANY, {("white", "hous"): 0.5})
    scores = dict(zip(shelf.ids(found.articles), found.scores.tolist(), strict=True))
    assert scores["pair"] == pytest.approx(1.5 * (plain["white"] + plain["house"]), rel=1e-5)
    assert scores["parted"] == pytest.approx(plain["white"] + plain["house"], rel=1e-5)
    assert scores["one"] == pytest.approx(bm25(1, 2, 8 / 3, 3, 3), rel=1e-5)


# Filters


@pytest.fixture
def dated(shelf: Shelf, engine: Engine) -> Snapshot:
    shelf.put_all(
        [
            ("early", "news", {"published": DAY - TICK}),
            ("noon", "news", {"published": DAY}),
            ("late", "news", {"published": DAY + TICK}),
            ("titanic", "news", {"published": datetime(1912, 4, 15, tzinfo=UTC)}),
            ("undated", "news", {}),
        ]
    )
    return followed(engine, shelf)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filter(after=DAY), {"noon", "late"}),
        (Filter(before=DAY), {"titanic", "early", "noon"}),
        (Filter(after=DAY, before=DAY), {"noon"}),
        (Filter(as_of=DAY), {"titanic", "early", "noon", "undated"}),
        (Filter(as_of=DAY + TICK), {"titanic", "early", "noon", "late", "undated"}),
        (Filter(as_of=DAY, after=DAY), {"noon"}),
        (Filter(as_of=datetime(1900, 1, 1, tzinfo=UTC)), {"undated"}),
        (Filter(before=datetime(1969, 12, 31, tzinfo=UTC)), {"titanic"}),
        (Filter(after=datetime(1, 1, 1, tzinfo=UTC)), {"titanic", "early", "noon", "late"}),
        (Filter(before=datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)), {"titanic", "early", "noon", "late"}),
        (Filter(as_of=datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
         {"titanic", "early", "noon", "late", "undated"}),
        (Filter(after=DAY + TICK, before=DAY), set()),
    ],
)  # fmt: skip
def test_periods_are_inclusive_and_only_as_of_keeps_the_undated(
    shelf: Shelf, dated: Snapshot, filters: Filter, expected: set[str]
) -> None:
    assert both(shelf, dated, filters) == expected


def test_the_latest_article_may_lie_in_the_fresh_part(shelf: Shelf, engine: Engine) -> None:
    shelf.put("old", "news", published=DAY)
    followed(engine, shelf)
    shelf.put("new", "news", published=DAY + timedelta(days=9))
    snapshot = followed(engine, shelf)
    assert both(shelf, snapshot, Filter(as_of=DAY + timedelta(days=1))) == {"old"}
    assert both(shelf, snapshot, Filter(after=DAY + timedelta(days=1))) == {"new"}


@pytest.fixture
def sourced(shelf: Shelf, engine: Engine) -> Snapshot:
    shelf.put_all(
        [
            ("a", "news", {"source": "www.Example.org", "language": "en"}),
            ("b", "news", {"source": "example.ORG", "language": "DE"}),
            ("c", "news", {"source": "STRASSE", "language": "de"}),
            ("d", "news", {"source": "The New York Times"}),
            ("e", "news", {}),
        ]
    )
    return followed(engine, shelf)


@pytest.mark.parametrize(
    ("sources", "languages", "expected"),
    [
        ({"example.org"}, set(), {"a", "b"}),
        ({"WWW.EXAMPLE.ORG"}, set(), {"a", "b"}),
        ({"straße"}, set(), {"c"}),
        ({"the new york times", "strasse"}, set(), {"c", "d"}),
        ({"the new york"}, set(), set()),
        ({"new"}, set(), set()),
        (set(), {"de"}, {"b", "c"}),
        (set(), {"EN", "De"}, {"a", "b", "c"}),
        ({"Example.org"}, {"de"}, {"b"}),
        ({"nobody"}, {"de"}, set()),
    ],
)
def test_sources_and_languages_are_whole_names_without_case(
    shelf: Shelf, sourced: Snapshot, sources: set[str], languages: set[str], expected: set[str]
) -> None:
    filters = Filter(sources=frozenset(sources), languages=frozenset(languages))
    assert both(shelf, sourced, filters) == expected


@pytest.mark.parametrize("name", ["", "www."])
def test_an_empty_name_is_not_the_name_of_what_has_none(shelf: Shelf, sourced: Snapshot, name: str) -> None:
    assert both(shelf, sourced, Filter(sources=frozenset({name}))) == set()
    assert both(shelf, sourced, Filter(languages=frozenset({name}))) == set()


# Phrases


def holding(shelf: Shelf, snapshot: Snapshot, *phrases: str, **facts: Any) -> set[str]:
    """Return what both retrievers find with phrases, of articles that all hold the word `news`."""
    return both(shelf, snapshot, Filter(phrases=phrases, **facts))


def without(shelf: Shelf, snapshot: Snapshot, *excluded: str, **facts: Any) -> set[str]:
    """Return what both retrievers find without what is excluded."""
    return both(shelf, snapshot, Filter(excluded=excluded, **facts))


@pytest.fixture
def phrased(shelf: Shelf, engine: Engine) -> Snapshot:
    shelf.put_all(
        [
            ("said", "news: The White  House\nsaid no", {}),
            ("parted", "news of a white wooden house", {}),
            ("turned", "news of a house, white", {}),
            ("endings", "news of attacks by whites on houses", {}),
            ("one", "news of an attack", {}),
            ("titled", "news and nothing else", {"title": "In the WHITE HOUSE"}),
            ("split", "house news", {"title": "All in white"}),
            ("accents", "news: Élysée’s “well‑known” café", {}),
            ("apart", "news: the e\u0301lyse\u0301e", {}),
            ("long", f"news {'x' * 60} from here", {}),
        ]
    )
    return followed(engine, shelf)


@pytest.mark.parametrize(
    ("phrases", "expected"),
    [
        (("white house",), {"said", "titled"}),
        (("WHITE\tHouse",), {"said", "titled"}),
        (("white house said",), {"said"}),
        (("house white",), {"turned"}),
        (("white houses",), set()),
        (("attack",), {"one"}),
        (("attacks",), {"endings"}),
        (("attacked",), set()),
        (("elysee's well-known cafe",), {"accents"}),
        (("Élysée",), {"accents", "apart"}),
        (("white house", "said no"), {"said"}),
        (("white house", "attack"), set()),
        (("x" * 60 + " from here",), {"long"}),
        (("x" * 40 + " from here",), set()),
        (("whit",), set()),
        (("…",), {"said", "parted", "turned", "endings", "one", "titled", "split", "accents", "apart", "long"}),
        (("… ?", "attack"), {"one"}),
    ],
)
def test_a_phrase_stands_word_for_word_in_the_title_or_in_the_passage(
    shelf: Shelf, phrased: Snapshot, phrases: tuple[str, ...], expected: set[str]
) -> None:
    assert holding(shelf, phrased, *phrases) == expected


EVERY = {"said", "parted", "turned", "endings", "one", "titled", "split", "accents", "apart", "long"}


@pytest.mark.parametrize(
    ("excluded", "left_out"),
    [
        (("White",), {"said", "parted", "turned", "titled", "split"}),
        (("white house",), {"said", "titled"}),
        (("attack",), {"one"}),
        (("attack", "white house"), {"one", "said", "titled"}),
        (("news",), EVERY),
        (("xyzzy",), set()),
        (("…",), set()),
    ],
)
def test_what_is_excluded_stands_nowhere_in_what_is_found(
    shelf: Shelf, phrased: Snapshot, excluded: tuple[str, ...], left_out: set[str]
) -> None:
    assert without(shelf, phrased, *excluded) == EVERY - left_out


def halves(shelf: Shelf, ident: str, first: str, second: str) -> None:
    """Put an article of two passages."""
    text, cut = f"{first}\n{second}", len(first)
    with shelf.catalogue.writing() as writer:
        writer.vectors.add((half.encode(), shelf.vector(half).astype(np.float16)) for half in (first, second))
        passages = [
            (Passage(0, cut, ((0, cut),)), first.encode()),
            (Passage(cut + 1, len(text), ((cut + 1, len(text)),)), second.encode()),
        ]
        facts = {"digest": text.encode(), "content_digest": text.encode(), "file": None, "space": shelf.space.row}
        writer.articles.put(bare(ident, text), passages=passages, **facts)


def test_a_phrase_is_required_of_the_passage_and_excluded_from_the_whole_article(shelf: Shelf, engine: Engine) -> None:
    halves(shelf, "a", "news of the grain talks", "news of the weather")
    halves(shelf, "b", "news of the sun", "news of the rain")
    snapshot = followed(engine, shelf)
    first, *_ = (found.row for found in shelf.catalogue.passages.of_article(shelf.row("a"), shelf.space.row))
    for filters, rows in (
        (Filter(phrases=("grain talks",)), [first]),
        (Filter(phrases=("talks news",)), []),
        (Filter(excluded=("weather",)), [3, 4]),
        (Filter(excluded=("grain",), phrases=("news of the rain",)), [4]),
        (Filter(excluded=("grain",), phrases=("grain",)), []),
    ):
        assert sorted(snapshot.dense(shelf.vector("q"), 9, filters).rows.tolist()) == rows
        assert sorted(snapshot.lexical(words("news"), 9, filters).rows.tolist()) == rows


def test_phrases_narrow_together_with_dates_sources_and_languages(shelf: Shelf, engine: Engine) -> None:
    facts = {"source": "BBC", "language": "en"}
    shelf.put("old", "news of the grain talks", published=DAY, **facts)
    shelf.put("new", "news of the grain talks", published=DAY + timedelta(days=2), **facts)
    shelf.put("other", "news of the grain talks", published=DAY)
    shelf.put("none", "news of talks on grain", published=DAY, **facts)
    snapshot = followed(engine, shelf)
    noon = DAY + timedelta(hours=1)
    assert holding(shelf, snapshot, "grain talks") == {"old", "new", "other"}
    assert holding(shelf, snapshot, "grain talks", as_of=noon) == {"old", "other"}
    assert holding(shelf, snapshot, "grain talks", after=noon) == {"new"}
    assert holding(shelf, snapshot, "grain talks", as_of=noon, sources=frozenset({"bbc"})) == {"old"}
    assert without(shelf, snapshot, "grain talks", as_of=noon) == {"none"}
    assert without(shelf, snapshot, "on grain", before=noon, languages=frozenset({"en"})) == {"old"}


def test_phrases_are_found_by_meaning_alone_where_no_word_of_the_question_is(shelf: Shelf, engine: Engine) -> None:
    shelf.put("a", "The grain talks")
    shelf.put("b", "The peace talks")
    snapshot = followed(engine, shelf)
    filters = Filter(phrases=("the grain",))
    assert spoken(shelf, snapshot, "xyzzy", filters) == []
    assert near(shelf, snapshot, filters) == {"a"}


def test_phrases_see_what_has_come_and_gone(shelf: Shelf, make_engine: Callable[..., Engine]) -> None:
    writer, reader = make_engine(), make_engine()
    shelf.put_all([("a", "news of grain talks", {}), ("b", "news of grain", {})])
    followed(writer, shelf)
    before = reader.snapshot(shelf.catalogue)
    shelf.put("b", "news of grain talks")
    shelf.put("c", "news of grain talks")
    shelf.remove("a")
    after = followed(writer, shelf)
    assert holding(shelf, after, "grain talks") == {"b", "c"}
    assert without(shelf, after, "grain talks") == set()
    assert before.lexical(words("news"), 9, Filter(phrases=("grain talks",))).rows.tolist() == [1]
    assert before.dense(shelf.vector("q"), 9, Filter(excluded=("talks",))).rows.tolist() == [2]


# What comes and goes


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a new file be worth writing after three changed passages."""
    monkeypatch.setattr(dense, "FRESH_MIN", 2)


def test_removals_really_remove_from_file_and_fresh_part(shelf: Shelf, engine: Engine) -> None:
    shelf.put_all([(name, "news", {}) for name in "abc"])
    followed(engine, shelf)  # in the file
    shelf.put_all([(name, "news", {}) for name in "de"])
    assert both(shelf, followed(engine, shelf)) == set("abcde")  # d and e in memory
    shelf.remove("b", "d")
    snapshot = followed(engine, shelf)
    assert both(shelf, snapshot) == {"a", "c", "e"}
    assert (snapshot.passages, snapshot.articles, snapshot.generation) == (3, 3, 7)


def test_a_changed_article_is_found_by_its_new_words_only(shelf: Shelf, engine: Engine) -> None:
    shelf.put("a", "news of floods")
    followed(engine, shelf)
    row = shelf.put("a", "news of fires")
    snapshot = followed(engine, shelf)
    assert spoken(shelf, snapshot, "floods") == []
    assert snapshot.lexical(words("fires"), 10, ANY).articles.tolist() == [row]
    found = snapshot.dense(shelf.vector("a news of fires"), 10, ANY)
    assert found.articles.tolist() == [row]
    assert found.scores.tolist() == pytest.approx([1.0], abs=1e-3)


def test_an_article_that_came_and_went_between_two_looks_is_never_found(shelf: Shelf, engine: Engine) -> None:
    shelf.put("a", "news")
    followed(engine, shelf)
    shelf.put("b", "news")
    shelf.remove("b")
    snapshot = followed(engine, shelf)
    assert both(shelf, snapshot) == {"a"}
    assert snapshot.passages == 1


@pytest.mark.usefixtures("small_files")
@local
def test_an_old_snapshot_keeps_answering_unchanged_while_files_are_replaced(
    shelf: Shelf, engine: Engine, tmp_path: Path
) -> None:
    shelf.put_all([(f"a{number}", f"news {number}", {}) for number in range(20)])
    old = followed(engine, shelf)
    vector = shelf.vector("q")

    def said(snapshot: Snapshot) -> list[list[float]]:
        found = [snapshot.dense(vector, 99, ANY), snapshot.lexical(words("news"), 99, ANY)]
        return [part for one in found for part in (one.rows.tolist(), one.articles.tolist(), one.scores.tolist())]

    before, files = said(old), set(tmp_path.glob("local/dense-*"))
    for number in range(0, 20, 2):
        shelf.remove(f"a{number}")
        shelf.put_all([(f"b{number}{n}", "news", {}) for n in range(5)])
        assert followed(engine, shelf).generation == 20 + 6 * (number // 2 + 1)
    assert not files & set(tmp_path.glob("local/dense-*"))
    shutil.rmtree(tmp_path / "local")
    assert said(old) == before
    assert (old.generation, old.passages, old.articles) == (20, 20, 20)


def test_an_old_snapshot_finds_what_was_replaced_and_it_can_still_be_read(shelf: Shelf, engine: Engine) -> None:
    row = shelf.put("a", "news of floods")
    shelf.put("b", "news of storms")
    old = followed(engine, shelf)
    for number in range(10):
        shelf.put("a", f"news of fires {number}")
        assert spoken(shelf, followed(engine, shelf), "floods") == []
    (best,) = old.dense(shelf.vector("a news of floods"), 1, ANY).rows.tolist()
    assert old.lexical(words("floods"), 9, ANY).rows.tolist() == [best]
    found = shelf.catalogue.passages.by_row([best])[best]
    assert (found.article, shelf.catalogue.articles.by_row([row])[row].text) == (row, "news of floods")
    with shelf.catalogue.writing() as writer:
        writer.tidy(datetime.now(UTC) + timedelta(days=1))
    assert shelf.catalogue.passages.by_row([best]) == {}
    assert both(shelf, engine.snapshot(shelf.catalogue)) == {"a", "b"}


class Model:
    """What a library holds, in plain Python: the texts of each article's passages; filled at random."""

    def __init__(self, shelf: Shelf, seed: int) -> None:
        self.shelf = shelf
        self.held: dict[str, list[str]] = {}
        self.rng = random.Random(seed)

    def step(self) -> None:
        """Add, change or remove a few articles of no to three passages, in one transaction."""
        with self.shelf.catalogue.writing() as writer:
            for _ in range(self.rng.randint(1, 5)):
                ident = f"a{self.rng.randrange(60)}"
                if self.rng.random() < 0.3:
                    assert writer.articles.remove(ident) == (self.held.pop(ident, None) is not None)
                else:
                    texts = [" ".join(self.rng.choices(WORDS, k=6)) for _ in range(self.rng.randint(0, 3))]
                    self._put(writer, ident, texts)
                    self.held[ident] = texts

    def _put(self, writer: Writer, ident: str, texts: list[str]) -> None:
        body, cut = "\n".join(texts), []
        for text in texts:
            start = cut[-1][0].end + 1 if cut else 0
            cut.append((Passage(start, start + len(text), ((start, start + len(text)),)), text.encode()))
        writer.vectors.add((text.encode(), self.shelf.vector(text).astype(np.float16)) for text in texts)
        facts = {"digest": body.encode(), "content_digest": body.encode(), "file": None, "space": self.shelf.space.row}
        writer.articles.put(bare(ident, body), passages=cut, **facts)

    def rows(self) -> dict[int, str]:
        """Return the text of each passage by its row."""
        catalogue = self.shelf.catalogue
        return {
            one.row: text
            for ident, texts in self.held.items()
            for one, text in zip(catalogue.passages.of_article(self.shelf.row(ident), 1), texts, strict=True)
        }


def bare(ident: str, text: str) -> Article:
    return Article(0, ident, ident, "", text, None, None, None, None, None, None)


WORDS = [f"word{letter}" for letter in "bcdfghjklm"]


def said(snapshot: Snapshot, vector: np.ndarray) -> tuple[list[int], list[int], list[list[int]]]:
    """Return everything that a snapshot finds: by vector in order, and by each word."""
    by_word = [sorted(snapshot.lexical((word,), 999, ANY).rows.tolist()) for word in WORDS]
    return snapshot.rows().tolist(), snapshot.dense(vector, 999, ANY).rows.tolist(), by_word


@pytest.mark.parametrize("seed", range(3))
def test_after_any_steps_a_snapshot_is_what_one_taken_from_scratch_is(
    shelf: Shelf, make_engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(dense, "FRESH_MIN", 25)
    model, vector = Model(shelf, seed), shelf.vector("q")
    writer, reader = make_engine(), make_engine()
    held = []
    for number in range(90):
        model.step()
        writer.follow(shelf.catalogue)
        if model.rng.random() < 0.3:
            continue  # the next snapshot takes over several steps at once
        snapshot = reader.snapshot(shelf.catalogue)
        rows = model.rows()
        cosines = [shelf.vector(text).astype(np.float16).astype(np.float32) @ vector for text in rows.values()]
        by_word = [sorted(row for row, text in rows.items() if word in text) for word in WORDS]
        found = said(snapshot, vector)
        assert (found[0], sorted(found[1]), found[2]) == (sorted(rows), sorted(rows), by_word)
        np.testing.assert_allclose(snapshot.dense(vector, 999, ANY).scores, sorted(cosines)[::-1], atol=1e-5)
        assert (snapshot.passages, snapshot.articles) == (len(rows), sum(map(bool, model.held.values())))
        if number % 15 == 0:
            assert said(make_engine().snapshot(shelf.catalogue), vector)[0::2] == found[0::2]
            held.append((snapshot, found))
    scratch = make_engine("scratch")
    assert said(followed(scratch, shelf), vector)[0::2] == said(writer.snapshot(shelf.catalogue), vector)[0::2]
    assert [said(snapshot, vector) for snapshot, _ in held] == [found for _, found in held]
    assert differences(reader, shelf) == []


@local
def test_while_both_indexes_are_made_anew_nothing_is_found_twice(
    shelf: Shelf, make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    shelf.put("a", "news")
    followed(make_engine(), shelf)
    shelf.put("b", "news")
    shelf.put("a", "other news")
    dense.write(tmp_path / "local", shelf.catalogue, shelf.space)  # the first half of a rebuild
    reader = make_engine()
    assert reader.snapshot(shelf.catalogue).generation == 1
    make_engine().follow(shelf.catalogue)
    snapshot = reader.snapshot(shelf.catalogue)
    assert sorted(snapshot.dense(shelf.vector("q"), 9, ANY).rows.tolist()) == [2, 3]
    assert snapshot.passages == 2


def test_two_spaces_side_by_side_do_not_see_each_other(shelf: Shelf, make_engine: Callable[..., Engine]) -> None:
    shelf.put_all([("a", "news of floods", {}), ("b", "news of fires", {})])
    with shelf.catalogue.writing() as writer:
        other = writer.spaces.begin("other", "other", 3, 80, "making")
        writer.vectors.add([(b"other", np.array([1, 0, 0], np.float16))])
        writer.passages.add(shelf.row("a"), other.row, [(Passage(8, 14, ((8, 14),)), b"other")])
    first, second = make_engine("1"), make_engine("2", other)
    assert followed(first, shelf).rows().tolist() == [1, 2]
    assert followed(second, shelf).rows().tolist() == [3]
    assert spoken(shelf, first.snapshot(shelf.catalogue), "news") == ["a", "b"]
    assert spoken(shelf, second.snapshot(shelf.catalogue), "news") == []
    assert spoken(shelf, second.snapshot(shelf.catalogue), "floods") == ["a"]
    found = second.snapshot(shelf.catalogue).dense(np.array([1, 0, 0], np.float32), 9, ANY)
    assert (found.rows.tolist(), found.scores.tolist()) == ([3], [1.0])
    assert (differences(first, shelf), differences(second, shelf)) == ([], [])
    shelf.remove("a")
    assert [followed(engine, shelf).rows().tolist() for engine in (first, second)] == [[2], []]


@local
def test_while_one_thread_opens_a_newer_state_the_others_get_the_one_before(shelf: Shelf, engine: Engine) -> None:
    shelf.put("a", "news")
    before = followed(engine, shelf)
    shelf.put("b", "news")
    engine.follow(shelf.catalogue)
    reached, go_on = threading.Event(), threading.Event()

    class Slow(Changes):
        def between(self, after: int, upto: int) -> tuple[list[int], list[int]]:
            reached.set()
            go_on.wait(30)
            return super().between(after, upto)

    slow = Catalogue(shelf.path)
    slow.changes = Slow(slow.changes.session)
    opened: list[Snapshot] = []
    thread = threading.Thread(target=lambda: opened.append(engine.snapshot(slow)))
    thread.start()
    try:
        assert reached.wait(30)
        assert engine.snapshot(shelf.catalogue) is before
    finally:
        go_on.set()
        thread.join(30)
    assert engine.snapshot(shelf.catalogue) is opened[0]
    assert both(shelf, opened[0]) == {"a", "b"}


def lexical_folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


@local
def test_a_lexical_index_with_too_much_that_is_gone_is_made_anew_beside_the_old_one(
    shelf: Shelf, make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    shelf.put_all([(f"a{number}", "news", {}) for number in range(20)])
    writer, reader = make_engine(), make_engine()
    old = followed(writer, shelf)
    assert reader.snapshot(shelf.catalogue).frequencies(words("news")) == [20]
    shelf.remove("a0", "a1", "a2", "a3")
    followed(writer, shelf)
    assert lexical_folders(tmp_path / "local") == ["lexical-1"]
    shelf.remove("a4")
    assert followed(writer, shelf).frequencies(words("news")) == [15]
    assert lexical_folders(tmp_path / "local") == ["lexical-2"]
    assert reader.snapshot(shelf.catalogue).frequencies(words("news")) == [15]
    assert both(shelf, reader.snapshot(shelf.catalogue)) == {f"a{number}" for number in range(5, 20)}
    assert old.frequencies(words("news")) == [20]
    assert sorted(old.lexical(words("news"), 99, ANY).rows.tolist()) == list(range(1, 21))


@local
def test_many_small_commits_are_merged_and_the_manifest_names_what_is_there(
    shelf: Shelf, make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    engine = make_engine()
    for number in range(40):
        shelf.put(f"a{number}", "news")
        engine.follow(shelf.catalogue)
        home = tmp_path / "local/lexical-1"
        named = manifest.read(tmp_path / "local/lexical.json", lexical.FORMAT)["files"]
        there = {file.name for file in home.iterdir() if file.suffix != ".lock" and file.name != ".managed.json"}
        assert {*named} <= there
        assert {name: manifest.checksum(home / name) for name in named} == named
    segments = json.loads((home / "meta.json").read_bytes())["segments"]
    assert sum(one["max_doc"] for one in segments) == 40
    assert max(one["max_doc"] for one in segments) > 1
    assert differences(engine, shelf) == []
    assert both(shelf, make_engine().snapshot(shelf.catalogue)) == {f"a{number}" for number in range(40)}


@local
def test_a_commit_that_changed_nothing_and_was_not_recorded_is_no_damage(
    shelf: Shelf, make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    shelf.put("a", "news")
    followed(make_engine(), shelf)
    record = tmp_path / "local/lexical.json"
    before = record.read_bytes()
    with shelf.catalogue.writing() as writer:  # an article without passages, of which the index holds nothing
        writer.articles.put(
            bare("b", ""), digest=b"", content_digest=b"", file=None, space=shelf.space.row, passages=[]
        )
    followed(make_engine(), shelf)
    record.write_bytes(before)
    snapshot = make_engine().snapshot(shelf.catalogue)
    assert (snapshot.generation, both(shelf, snapshot)) == (1, {"a"})


WRITE_ON = """
import random, sys, time
from pathlib import Path
import numpy as np
from searchsvc.catalogue.changes import Changes
from searchsvc.catalogue import Catalogue
from searchsvc.engines.local import LocalEngine, dense
from searchsvc.text.passages import Passage
dense.FRESH_MIN = 6
catalogue = Catalogue(Path(sys.argv[1]))
space, example, rng = catalogue.spaces.get(), catalogue.articles.get("a"), random.Random(0)
engine = LocalEngine(Path(sys.argv[2]), space)
end = time.monotonic() + 5
while time.monotonic() < end:
    with catalogue.writing() as writer:
        ident = f"b{rng.randrange(30)}"
        if rng.random() < 0.4:
            writer.articles.remove(ident)
        else:
            digest = rng.randbytes(8)
            writer.vectors.add([(digest, np.full(space.dimension, 0.25, np.float16))])
            values = {**{name: getattr(example, name) for name in example.__slots__}, "id": ident}
            passages = [(Passage(0, 4, ((0, 4),)), digest)]
            article = type(example)(**values)
            writer.articles.put(
                article, digest=digest, content_digest=digest, file=None, space=1, passages=passages
            )
    engine.follow(catalogue)
"""


@local
def test_an_engine_opened_at_any_moment_while_another_process_writes_sees_no_damage(
    shelf: Shelf, make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    shelf.put("a", "news")
    followed(make_engine(), shelf)
    wrong, seen = [], []
    command = [sys.executable, "-c", WRITE_ON, str(shelf.path), str(tmp_path / "local")]
    kept = make_engine()
    with subprocess.Popen(command) as writer:
        while writer.poll() is None:
            for engine in (make_engine(), kept):
                try:
                    snapshot = engine.snapshot(shelf.catalogue)
                    found = snapshot.rows().tolist()
                    assert (len(found), len({*found}), 1 in found) == (snapshot.passages, snapshot.passages, True)
                    assert "a" in spoken(shelf, snapshot, "news")
                    seen.append(snapshot.generation)
                except (AssertionError, DamagedIndex) as error:
                    wrong.append(str(error))
    assert (wrong[:3], writer.returncode) == ([], 0)
    assert len({*seen}) > 5
    assert differences(make_engine(), shelf) == []


@pytest.mark.usefixtures("small_files")
@local
def test_a_grown_fresh_part_becomes_a_new_file_and_the_old_ones_go(
    shelf: Shelf, engine: Engine, tmp_path: Path
) -> None:
    def files() -> list[str]:
        return sorted(path.name for path in (tmp_path / "local").glob("*dense*"))

    shelf.put("a", "news")
    followed(engine, shelf)
    first = ["dense-000000000001.faiss", "dense-000000000001.npy", "dense.json"]
    assert files() == first
    shelf.put_all([("b", "news", {}), ("c", "news", {})])
    assert both(shelf, followed(engine, shelf)) == set("abc")
    assert files() == first
    shelf.put("d", "news")
    snapshot = followed(engine, shelf)
    assert files() == ["dense-000000000004.faiss", "dense-000000000004.npy", "dense.json"]
    assert both(shelf, snapshot) == set("abcd")
    assert (snapshot.generation, snapshot.passages) == (4, 4)
    shelf.remove("a", "b", "c")
    assert both(shelf, followed(engine, shelf)) == {"d"}
    assert files() == ["dense-000000000007.faiss", "dense-000000000007.npy", "dense.json"]


@pytest.mark.usefixtures("small_files")
def test_an_engine_elsewhere_sees_what_the_writer_took_over(shelf: Shelf, make_engine: Callable[..., Engine]) -> None:
    writer, reader = make_engine(), make_engine()
    expected: set[str] = set()
    for number in range(8):
        shelf.put(f"a{number}", "news")
        expected.add(f"a{number}")
        if number % 3 == 2:
            shelf.remove(f"a{number - 1}")
            expected.remove(f"a{number - 1}")
        writer.follow(shelf.catalogue)
        snapshot = reader.snapshot(shelf.catalogue)
        assert both(shelf, snapshot) == expected
        assert snapshot.generation == shelf.catalogue.changes.last()


@local
def test_what_is_not_taken_over_yet_is_not_found_and_what_is_removed_is_gone_at_once(
    shelf: Shelf, make_engine: Callable[..., Engine]
) -> None:
    shelf.put_all([("a", "news", {}), ("b", "news", {})])
    followed(make_engine(), shelf)
    shelf.put("c", "news")
    shelf.remove("b")
    snapshot = make_engine().snapshot(shelf.catalogue)
    assert snapshot.generation == 2
    assert near(shelf, snapshot) == {"a"}


# Crashes and damage


@local
def test_a_crash_before_the_lexical_number_is_recorded_leaves_no_duplicates(
    shelf: Shelf, make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    shelf.put_all([("a", "news", {}), ("b", "news", {})])
    followed(make_engine(), shelf)
    record = tmp_path / "local/lexical.json"
    before = record.read_bytes()
    shelf.put("c", "news")
    shelf.put("a", "news again")
    shelf.remove("b")
    followed(make_engine(), shelf)
    record.write_bytes(before)
    snapshot = followed(make_engine(), shelf)
    found = snapshot.lexical(words("news"), 100, ANY)
    assert sorted(shelf.ids(found.articles)) == ["a", "c"]
    assert len(set(found.rows.tolist())) == 2
    assert both(shelf, snapshot) == {"a", "c"}
    assert differences(make_engine(), shelf) == []


@pytest.mark.usefixtures("small_files")
@local
def test_a_crash_before_the_new_dense_files_are_in_force_leaves_the_old_ones(
    shelf: Shelf, make_engine: Callable[..., Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.put("a", "news")
    followed(make_engine(), shelf)
    shelf.put_all([(name, "news", {}) for name in "bcde"])

    write = manifest.write

    def crash(file: Path, facts: dict[str, object]) -> None:
        if file.name == "dense.json":
            raise KeyboardInterrupt
        write(file, facts)

    with monkeypatch.context() as patch:
        patch.setattr(manifest, "write", crash)
        with pytest.raises(KeyboardInterrupt):
            make_engine().follow(shelf.catalogue)
    assert manifest.read(tmp_path / "local/dense.json", dense.FORMAT)["generation"] == 1
    assert both(shelf, make_engine().snapshot(shelf.catalogue)) == set("abcde")
    assert both(shelf, followed(make_engine(), shelf)) == set("abcde")
    assert sorted(path.name for path in (tmp_path / "local").glob("dense-*")) == [
        "dense-000000000005.faiss",
        "dense-000000000005.npy",
    ]


def mended(shelf: Shelf, make_engine: Callable[..., Engine]) -> set[str]:
    """Answer as a process does that finds these files: what cannot be used is made anew first."""
    engine = make_engine()
    try:
        snapshot = engine.snapshot(shelf.catalogue)
    except DamagedIndex:
        snapshot = followed(make_engine(), shelf)
    assert snapshot.generation == shelf.catalogue.changes.last()
    assert snapshot.passages == shelf.catalogue.counts().passages
    return both(shelf, snapshot)


def worn(shelf: Shelf, make_engine: Callable[..., Engine]) -> None:
    """Fill a shelf in two commits with something removed, so that every kind of file is there."""
    shelf.put_all([(f"a{number}", f"news {number}", {"published": DAY}) for number in range(12)])
    followed(make_engine(), shelf)
    shelf.remove("a3")
    shelf.put("b", "news")
    followed(make_engine(), shelf)


LIVING = {f"a{number}" for number in range(12) if number != 3} | {"b"}


@pytest.mark.parametrize("harm", ["deleted", "emptied", "halved", "garbage"])
@local
def test_any_file_of_the_index_that_is_lost_or_cut_is_made_anew(
    shelf: Shelf, make_engine: Callable[..., Engine], tmp_path: Path, harm: str
) -> None:
    worn(shelf, make_engine)
    folder, whole = tmp_path / "local", tmp_path / "whole"
    shutil.copytree(folder, whole)
    wrong: dict[str, object] = {}
    for name in sorted(str(file.relative_to(whole)) for file in whole.rglob("*") if file.is_file()):
        folder.rename(tmp_path / f"before {name.replace('/', ' ')}")  # tantivy's threads may still write in it
        shutil.copytree(whole, folder)
        victim = folder / name
        data = victim.read_bytes()
        victim.unlink()
        if harm != "deleted":
            victim.write_bytes({"emptied": b"", "halved": data[: len(data) // 2], "garbage": b"\xa5" * 999}[harm])
        try:
            if (found := mended(shelf, make_engine)) != LIVING:
                wrong[victim.suffix or name] = sorted(LIVING ^ found)
        except BaseException as error:  # noqa: BLE001  tantivy's panics are no Exceptions
            wrong[victim.suffix or name] = repr(error)[:120]
    assert wrong == {}


@local
def test_a_flipped_bit_anywhere_never_gives_a_wrong_answer(
    shelf: Shelf, make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    worn(shelf, make_engine)
    folder, whole = tmp_path / "local", tmp_path / "whole"
    shutil.copytree(folder, whole)
    wrong: dict[str, object] = {}
    for name in sorted(str(file.relative_to(whole)) for file in whole.rglob("*") if file.stat().st_size):
        if (whole / name).is_dir():
            continue
        for share in (0.3, 0.8):
            folder.rename(tmp_path / f"before {name.replace('/', ' ')} {share}")
            shutil.copytree(whole, folder)
            victim = folder / name
            data = bytearray(victim.read_bytes())
            data[int(len(data) * share)] ^= 1
            victim.write_bytes(data)
            try:
                if (found := mended(shelf, make_engine)) != LIVING:
                    wrong[f"{victim.suffix} {share}"] = sorted(LIVING ^ found)
            except BaseException as error:  # noqa: BLE001  tantivy's panics are no Exceptions
                wrong[f"{victim.suffix} {share}"] = repr(error)[:120]
    assert wrong == {}


@pytest.mark.parametrize("name", ["dense.json", "lexical.json", "lexical-1/meta.json"])
@local
def test_no_flipped_bit_in_a_record_of_what_is_in_force_is_believed(
    shelf: Shelf, make_engine: Callable[..., Engine], tmp_path: Path, name: str
) -> None:
    worn(shelf, make_engine)
    file = tmp_path / "local" / name
    whole = file.read_bytes()
    wrong = []
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= 1
        file.write_bytes(data)
        try:
            snapshot = make_engine().snapshot(shelf.catalogue)
        except DamagedIndex:
            continue
        except Exception as error:  # noqa: BLE001  whatever else it is, it is wrong
            wrong.append((place, repr(error)[:80]))
            continue
        rows = snapshot.dense(shelf.vector("q"), 100, ANY).rows.tolist()
        if sorted(shelf.ids(rows)) != sorted(LIVING) or snapshot.generation != shelf.catalogue.changes.last():
            wrong.append((place, bytes(data[max(0, place - 14) : place + 3]).decode(errors="replace")))
    assert wrong == []


@local
def test_a_file_that_another_process_may_have_mapped_is_never_written_in_place(
    shelf: Shelf, make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    """A mapped file that gets shorter, for however short a time, kills the process that reads it."""
    worn(shelf, make_engine)
    (vectors,) = (tmp_path / "local").glob("dense-*.faiss")
    followed(make_engine(), shelf)
    (tmp_path / "local/dense.json").unlink()
    with vectors.open("rb") as mapped:
        followed(make_engine(), shelf)  # writes the files of this generation
        (tmp_path / "local/dense.json").unlink()
        (again,) = (tmp_path / "local").glob("dense-*.faiss")
        with again.open("rb") as newer:
            followed(make_engine(), shelf)
            assert os.fstat(mapped.fileno()).st_nlink == 0
            assert os.fstat(newer.fileno()).st_nlink == 0


@local
def test_the_whole_folder_may_be_deleted(shelf: Shelf, make_engine: Callable[..., Engine], tmp_path: Path) -> None:
    worn(shelf, make_engine)
    shutil.rmtree(tmp_path / "local")
    assert mended(shelf, make_engine) == LIVING


def test_an_index_that_is_ahead_of_its_catalogue_is_made_anew(
    shelf: Shelf, make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    worn(shelf, make_engine)
    other = type(shelf)(tmp_path / "other.sqlite3")
    other.put("z", "news")
    assert mended(other, make_engine) == {"z"}


def test_the_files_of_another_catalogue_are_never_believed(
    shelf: Shelf, make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    """As after deleting a damaged catalogue, or putting back an older one, and indexing again."""
    shelf.put_all([("a", "floods news", {}), ("b", "fires news", {})])
    followed(make_engine(), shelf)
    other = type(shelf)(tmp_path / "other.sqlite3")
    other.put_all([("x", "elections news", {}), ("y", "football news", {}), ("z", "weather news", {})])
    snapshot = followed(make_engine(), other)
    assert spoken(other, snapshot, "floods") == []
    assert spoken(other, snapshot, "elections") == ["x"]
    found = snapshot.dense(other.vector("y football news"), 1, ANY)
    assert other.ids(found.articles) == ["y"]


@local
def test_what_followed_a_catalogue_before_it_was_restored_is_never_believed(
    shelf: Shelf, make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    shelf.put_all([("a", "floods news", {}), ("b", "fires news", {})])
    shelf.catalogue.back_up(tmp_path / "backup")
    kept = make_engine()
    assert both(shelf, followed(kept, shelf)) == {"a", "b"}
    restored = Catalogue.restored(tmp_path / "backup", shelf.path)
    for engine in (kept, make_engine()):
        with pytest.raises(DamagedIndex, match="of another catalogue"):
            engine.snapshot(restored)
    shelf.put("c", "elections news")
    assert both(shelf, followed(make_engine(), shelf)) == {"a", "b", "c"}
    assert both(shelf, kept.snapshot(restored)) == {"a", "b", "c"}


@local
def test_vectors_of_another_model_are_not_searched(shelf: Shelf, make_engine: Callable[..., Engine]) -> None:
    shelf.put("a", "news")
    followed(make_engine(), shelf)
    with pytest.raises(DamagedIndex, match="another model"):
        make_engine(space=replace(shelf.space, fingerprint="other")).snapshot(shelf.catalogue)
    with pytest.raises(DamagedIndex, match="does not hold what it says"):
        make_engine(space=replace(shelf.space, dimension=8)).snapshot(shelf.catalogue)


# Through the library: mending embeds nothing


def filled(library: Library, folder: Path) -> None:
    folder.mkdir()
    records = [{"id": str(n), "title": f"Report {n}", "text": f"The committee met again on day {n}."} for n in range(9)]
    (folder / "news.jsonl").write_text("\n".join(map(json.dumps, records)))
    library.index([folder])


def answers(library: Library) -> list[str]:
    return sorted(hit.article.key for hit in library.search("committee").hits)


@pytest.mark.parametrize("name", ["dense.json", "dense-*.faiss", "dense-*.npy", "lexical-1/meta.json", "lexical-1"])
def test_a_search_mends_the_index_without_embedding(
    open_library: Callable[[], Library], words: Any, tmp_path: Path, name: str
) -> None:
    filled(open_library(), tmp_path / "news")
    embedded = list(words.embedded)
    (victim,) = (tmp_path / "index/local/1").glob(name)
    if victim.is_dir():
        shutil.rmtree(victim)
    else:
        victim.write_bytes(b"damaged")
    assert answers(open_library()) == list("012345678")
    assert open_library().verify().problems == ()
    assert words.embedded == embedded


@pytest.mark.usefixtures("words")
def test_a_library_runs_on_the_engine_that_its_settings_name(tmp_path: Path) -> None:
    settings = Settings(index=tmp_path / "index", engine="memory")
    library = Library(settings)
    filled(library, tmp_path / "news")
    assert (answers(library), answers(Library(settings))) == (list("012345678"), list("012345678"))
    assert (library.status().engine, library.status().pending) == ("memory", 0)
    library.backup(tmp_path / "backup")
    assert library.remove(["3"]) == 1
    library.rebuild()
    assert len(answers(library)) == 8
    assert library.verify().problems == ()
    library.restore(tmp_path / "backup")
    assert answers(library) == list("012345678")
    assert not list((tmp_path / "index").glob("local/*/*"))
    assert answers(Library(Settings(index=tmp_path / "index"))) == list("012345678")


def test_a_search_mends_an_index_whose_lexical_number_is_lost(
    open_library: Callable[[], Library], tmp_path: Path
) -> None:
    filled(open_library(), tmp_path / "news")
    (tmp_path / "index/local/1/lexical.json").unlink()
    results = open_library().search("committee")
    assert results.index.pending == 0
    assert [hit.why.lexical_rank > 0 for hit in results.hits] == [True] * 9


def test_searches_while_the_index_is_made_anew_find_all_that_there_is(
    open_library: Callable[[], Library], tmp_path: Path
) -> None:
    library = open_library()
    filled(library, tmp_path / "news")
    wrong: list[object] = []
    done, ready = threading.Event(), threading.Barrier(3)

    def ask_on() -> None:
        asker = Library(library.settings)
        asker.search("committee")
        ready.wait()
        while not done.is_set():
            try:
                results = asker.search("committee")
                if len(results.hits) != 9 or any(not hit.why.lexical_rank for hit in results.hits):
                    wrong.append([(hit.article.key, hit.why.lexical_rank) for hit in results.hits])
            except Exception as error:  # noqa: BLE001  whatever it is, it is wrong
                wrong.append(repr(error))

    threads = [threading.Thread(target=ask_on) for _ in range(2)]
    for thread in threads:
        thread.start()
    ready.wait()
    try:
        for _ in range(5):
            library.rebuild()
    finally:
        done.set()
        for thread in threads:
            thread.join(60)
    assert wrong[:3] == []
