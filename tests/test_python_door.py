"""The Python door: what `import searchsvc` gives, as somebody who has only read the documentation would use it."""

import pickle
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

import searchsvc
from searchsvc import BadInput, Hit, Library, Query, Results, Settings
from searchsvc.library import Parts
from searchsvc.text.article import RawArticle, article_id

NEWS = [
    {"key": "flood", "title": "Flood <b>in</b> Passau", "text": "The Danube rose to nine metres. Streets are closed."},
    {
        "key": "vote",
        "title": "Votes counted in Sweden",
        "text": "All votes in Sweden were counted on Sunday.",
        "source": "Evening Post",
        "published": "2024-06-09",
        "language": "en",
    },
]


@pytest.fixture
def library(open_library: Callable[[], Library]) -> Library:
    library = open_library()
    assert library.add(NEWS).ids == [article_id("flood"), article_id("vote")]  # type: ignore[arg-type]
    return library


def test_the_package_shows_what_there_is() -> None:
    names = dir(searchsvc)
    assert {"Article", "AsyncClient", "Client", "Hit", "Library", "Query", "Results", "Settings", "NotFound"} < {*names}
    for name in names:
        documented = getattr(searchsvc, name)
        assert documented.__doc__, name
    assert searchsvc.__version__.split(".")[:2] == ["0", "2"]
    with pytest.raises(AttributeError, match="no attribute 'Index'"):
        searchsvc.Index  # noqa: B018


def test_an_index_is_named_by_text_path_or_settings(tmp_path: Path) -> None:
    folder = tmp_path / "other"
    for library in (
        Library(str(folder)), Library(folder), Library(index=folder), Library(Settings(index=str(folder))),
        Library(index=str(folder), model="some/model"),
    ):  # fmt: skip
        assert (library.folder, repr(library)) == (folder, f"Library({str(folder)!r})")
    assert library.settings.model == "some/model"
    assert Library().folder == Path("index").resolve()


def test_a_library_closes_and_opens_again(library: Library) -> None:
    with library as opened:
        assert len(opened.search("votes", limit=1)) == 1
    assert len(library.search("votes", limit=1)) == 1
    again = pickle.loads(pickle.dumps(library))
    assert (again.folder, again.settings) == (library.folder, library.settings)
    assert [hit.article.key for hit in again.search("votes", limit=1)] == ["vote"]


def test_results_are_iterated_counted_and_shown(library: Library) -> None:
    results = library.search("how high did the Danube rise", limit=2)
    assert isinstance(results, Results)
    assert len(results) == len(list(results)) == 2
    assert results[0] is results.hits[0]
    (hit,) = results[:1]
    assert isinstance(hit, Hit)
    assert repr(hit) == (
        f"<Hit 1: {hit.score:.2f} 'Flood <b>in</b> Passau', {article_id('flood')}:0-51, "
        "answer='The Danube rose to nine metres.'>"
    )
    assert repr(results).startswith("<Results for 'how high did the Danube rise': 2 hits, ")
    assert "Streets are closed" not in repr(results) + repr(hit.article)
    page = results._repr_html_()
    assert "<mark>The Danube rose to nine metres.</mark> Streets are closed." in page
    assert "Flood &lt;b&gt;in&lt;/b&gt; Passau" in page


def test_results_are_a_dict_as_a_server_sends_it(library: Library) -> None:
    document = library.search("votes", limit=1, sources="Evening Post").to_dict()
    assert document["hits"][0]["article"]["key"] == "vote"
    assert document["hits"][0]["answer"] == {"text": NEWS[1]["text"], "start": 0, "end": 43}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"after": "2024-06"}, {"vote"}),
        ({"after": date(2024, 6, 9)}, {"vote"}),
        ({"after": datetime(2024, 6, 9)}, {"vote"}),  # noqa: DTZ001
        ({"after": datetime(2024, 6, 9, 1, tzinfo=UTC)}, set()),
        ({"before": "2024-06-08"}, set()),
        ({"as_of": date(2024, 6, 8)}, {"flood"}),
        ({"sources": "evening post"}, {"vote"}),
        ({"sources": {"Evening Post", "nobody"}}, {"vote"}),
        ({"languages": "en", "sources": ["Evening Post"]}, {"vote"}),
        ({"languages": "de"}, set()),
    ],
)
def test_dates_and_names_are_taken_as_people_write_them(
    library: Library, options: dict[str, object], expected: set[str]
) -> None:
    assert {hit.article.key for hit in library.search("votes Danube", **options)} == expected  # type: ignore[arg-type]


def test_a_query_can_be_made_first_and_changed(library: Library) -> None:
    query = Query("votes", limit=1, sources="Evening Post")
    ours = library.search("votes", limit=1, sources="Evening Post", as_of=query.as_of)
    assert library.search(query).hits == ours.hits
    assert library.search(query, sources="nobody").hits == ()
    with pytest.raises(TypeError, match="there is no option 'per_article'"):
        library.timeline(query, per_article=2)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("article", "message"),
    [
        ({"title": "No text"}, "article 1: text must not be empty"),
        ({"text": " "}, "article 1: text must not be empty"),
        ({"text": "x", "headline": "y"}, "article 1 has no field 'headline'"),
        ("a text", "article 1 is str, not a dict with a text"),
    ],
)
def test_an_article_that_cannot_be_added_is_refused(library: Library, article: object, message: str) -> None:
    with pytest.raises(BadInput) as refusal:
        library.add([article])  # type: ignore[list-item]
    assert refusal.value.message == message
    assert library.status().articles == 2


def test_one_article_is_added_and_deleted(library: Library) -> None:
    (ident,) = library.add({"text": "An okapi was born in Basel."}).ids
    assert ident is not None
    assert library.article(ident).title == "An okapi was born in Basel."
    library.delete(ident)
    assert library.status().articles == 2


def test_engine_and_models_can_be_given(tmp_path: Path, words: object) -> None:
    from searchsvc.engines import open_engine

    opened = []

    def engine(folder: Path, space: object) -> object:
        opened.append(folder)
        return open_engine("memory", folder, space)  # type: ignore[arg-type]

    parts = Parts(engine, lambda _: words, lambda _: pytest.fail("no reranker is set"))  # type: ignore[arg-type, return-value]
    library = Library(tmp_path / "index", parts=parts)
    library.add(RawArticle("a", "Storm", "The harbour was closed."))
    assert [hit.article.key for hit in library.search("harbour")] == ["a"]
    assert opened == [tmp_path / "index" / "local" / "1"]
