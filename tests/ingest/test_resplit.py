"""Splitting again: what a library fails on costs its own article alone."""

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from searchsvc.ingest import prepare
from searchsvc.library import Library
from searchsvc.settings import Settings
from searchsvc.text.article import RawArticle

PLEA = "Please subscribe to our newsletter and support independent journalism every single morning."
TOPICS = ("harbour", "glacier", "orchestra", "vaccine", "football", "parliament")


class PanicException(BaseException):  # what pyo3 raises; it cannot be imported
    pass


@pytest.fixture
def library(open_library: Callable[[], Library]) -> Library:
    library = open_library()
    library.add(story(topic) for topic in TOPICS[:-1])
    return library


@pytest.fixture(params=[PanicException, AssertionError])
def fails(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a library fail on one article, as soon as it is split again."""
    clean = prepare.clean

    def failing(title: str, text: str) -> Any:
        if title == "" and "glacier" in text:
            raise request.param("index out of bounds")
        return clean(title, text)

    monkeypatch.setattr(prepare, "clean", failing)


def story(topic: str) -> RawArticle:
    own = f"Something unheard of took place at the {topic} on Monday, and {len(topic)} people had foreseen it."
    return RawArticle(topic, f"News of the {topic}", f"{own}\n\n{PLEA}", source="bbc")


def texts(library: Library) -> dict[str, str]:
    """Return what can be searched of each article, by key."""
    catalogue = library.catalogue
    space = catalogue.spaces.get()
    assert space is not None
    found = (catalogue.articles.get(ident) for topic in TOPICS for ident in catalogue.articles.ids_named(topic))
    return {
        article.key: " ".join(
            article.text[stored.passage.start : stored.passage.end]
            for stored in catalogue.passages.of_article(article.row, space.row)
        )
        for article in found
        if article is not None
    }


@pytest.mark.usefixtures("fails")
def test_an_article_that_cannot_be_split_again_keeps_its_passages(library: Library) -> None:
    assert library.add([story(TOPICS[-1])]).added == 1
    assert {key for key, text in texts(library).items() if PLEA in text} == {"glacier"}
    assert set(texts(library)) == {*TOPICS}
    assert library.catalogue.boilerplate.to_resplit(1) == []  # it is not tried again and again
    assert library.verify().problems == ()


@pytest.mark.usefixtures("fails")
def test_an_article_that_cannot_be_split_for_another_model_holds_up_no_other(library: Library) -> None:
    other = Library(Settings(index=library.folder, passage_tokens=100))
    other.rebuild()
    assert {key for key, text in texts(other).items() if text} == {*TOPICS[:-1]} - {"glacier"}
    assert other.search("harbour").hits[0].article.key == "harbour"


@pytest.mark.usefixtures("fails")
def test_an_article_whose_damaged_passages_cannot_be_split_again_is_named(library: Library) -> None:
    catalogue = library.catalogue
    (ident,) = catalogue.articles.ids_named("glacier")
    article = catalogue.articles.get(ident)
    assert article is not None
    with sqlite3.connect(catalogue.path) as db:
        db.execute("UPDATE passages SET end = end - 1 WHERE article = ?", (article.row,))
    db.close()
    problems = library.verify().problems
    assert [problem for problem in problems if f"{ident} " in problem and "cannot be split again" in problem]
    assert library.status().damaged
    assert library.search("harbour").hits[0].article.key == "harbour"
