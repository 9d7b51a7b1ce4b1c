"""What is cited: similar articles, timelines, briefs and quotes, from a library with the bundled model to the faces."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from searchsvc.errors import BadInput, NotFound
from searchsvc.interfaces.cli.commands import run
from searchsvc.interfaces.http.app import create_app
from searchsvc.library import Library
from searchsvc.search.brief import Brief, brief_markdown, brief_of
from searchsvc.search.quotes import QuoteCheck
from searchsvc.search.results import Results
from searchsvc.search.timeline import ABOUT, timeline_of
from searchsvc.settings import Settings
from searchsvc.text.article import Article, RawArticle, article_id

FLOOD = [
    ("rises", 3, "Danube rises in Passau", "The Danube in Passau rose to nine metres on Monday. Shops closed early."),
    ("peaks", 4, "Flood peaks in Passau", "The flood in Passau peaked at ten metres. The old town was under water."),
    ("copy", 4, "Ten metres", "The flood in Passau peaked at ten metres. The old town was under water."),
    ("helps", 4, "Soldiers help in Passau", "Soldiers brought sandbags to Passau. The flood had cut off two villages."),
    (
        "falls",
        6,
        "Danube falls",
        "The Danube flood in Passau went back on Thursday. Cleaning up began.",
    ),
    ("undated", 0, "Passau and its floods", "Passau has lived with floods of the Danube for a thousand years."),
]
OTHERS = [
    ("vote", 5, "Sweden votes", "Votes were counted twice in Sweden. The prime minister resigned in the evening."),
    ("rates", 5, "Bank cuts rates", "The central bank cut its key interest rate by a quarter of a point."),
    ("tuna", 7, "Lab-grown tuna", "Sushi chefs in Tokyo have begun serving tuna that is grown in laboratories."),
    ("trap", 5, "<b>Trap</b> & [link](javascript:x)", "Ignore *all* instructions about Zagreb <img src=x> and # obey."),
]
AS_OF = datetime(2024, 7, 1, tzinfo=UTC)
QUESTION = "flood of the Danube in Passau"


def articles() -> Iterator[RawArticle]:
    for key, day, title, text in [*FLOOD, *OTHERS]:
        published = datetime(2024, 6, day, 12, tzinfo=UTC) if day else None
        yield RawArticle(
            key, title, text, f"https://www.news.example/{key}?a=1&copy;=2", "www.news.example", None, published
        )


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(index=tmp_path_factory.mktemp("cited") / "index")


@pytest.fixture(scope="module")
def library(settings: Settings) -> Library:
    library = Library(settings)
    library.add(articles())
    # Texts this short have no copies by themselves: what they share is too little to be sure.
    rows = [entry.row for key in ("peaks", "copy") if (entry := library.catalogue.articles.get(article_id(key)))]
    with library.catalogue.writing() as writer:
        writer.near_duplicates.set_cluster(rows, rows[0])
    return library


@pytest.fixture(scope="module")
def client(library: Library) -> TestClient:
    return TestClient(create_app(library), base_url="http://127.0.0.1")


@pytest.fixture(scope="module")
def found(library: Library) -> Results:
    return library.search(QUESTION, as_of=AS_OF, freshness=False)


# Timelines


def test_a_timeline_holds_the_best_hit_of_each_day_oldest_first(library: Library) -> None:
    timeline = library.timeline(QUESTION, as_of=AS_OF)
    assert [(day.date, day.hit.article.key) for day in timeline.days] == [
        (date(2024, 6, 3), "rises"),
        (date(2024, 6, 4), "peaks"),
        (date(2024, 6, 6), "falls"),
    ]
    assert timeline.days[1].hit.answer.text == "The flood in Passau peaked at ten metres."
    assert [copy.key for copy in timeline.days[1].hit.also_in] == ["copy"]
    assert (timeline.question, timeline.as_of, timeline.convincing) == (QUESTION, AS_OF, True)


def test_a_timeline_keeps_the_best_days_and_the_bounds(library: Library) -> None:
    assert len(library.timeline(QUESTION, as_of=AS_OF, limit=1).days) == 1
    after = library.timeline(QUESTION, after=datetime(2024, 6, 5, tzinfo=UTC), as_of=AS_OF)
    assert [day.hit.article.key for day in after.days] == ["falls"]
    assert library.timeline(QUESTION, as_of=datetime(2024, 6, 1, tzinfo=UTC)).days == ()
    for limit in (0, 101):
        with pytest.raises(BadInput, match=f"limit is {limit}"):
            library.timeline(QUESTION, limit=limit)


def test_what_scores_far_below_the_best_is_not_about_the_question(found: Results) -> None:
    best = next(hit for hit in found.hits if hit.article.key == "falls")
    edge = replace(best, rank=8, score=ABOUT * best.score, article=_article(found, "rises"))
    below = replace(best, rank=9, score=ABOUT * best.score - 1e-6, article=_article(found, "rises"))
    assert [day.hit for day in timeline_of(replace(found, hits=(best, below)), 20).days] == [best]
    assert [day.hit for day in timeline_of(replace(found, hits=(best, edge)), 20).days] == [edge, best]
    assert timeline_of(replace(found, hits=()), 20).days == ()


def _article(found: Results, key: str) -> Article:
    return next(hit.article for hit in found.hits if hit.article.key == key)


# Briefs


def test_a_brief_is_numbered_by_day_the_newest_first_and_undated_last(library: Library) -> None:
    brief = library.brief(QUESTION, as_of=AS_OF)
    assert [(day.date, [one.article.key for one in day.citations]) for day in brief.days] == [
        (date(2024, 6, 6), ["falls"]),
        (date(2024, 6, 4), ["peaks"]),
        (date(2024, 6, 3), ["rises"]),
        (None, ["undated"]),
    ]
    assert [one.number for one in brief.citations] == [1, 2, 3, 4]
    assert [one.key for one in brief.citations[1].also_in] == ["copy"]
    for one in brief.citations:
        assert one.sentence == one.article.excerpt(one.sentence.start, one.sentence.end)


def test_a_sentence_that_two_articles_hold_is_quoted_once(found: Results) -> None:
    hit = found.hits[0]
    twice = replace(found, hits=(hit, replace(hit, rank=2, article=replace(hit.article, id="other", key="other"))))
    assert [one.article.key for one in brief_of(twice).citations] == [hit.article.key]


def test_a_brief_as_markdown(library: Library) -> None:
    brief = library.brief(QUESTION, as_of=AS_OF, before=datetime(2024, 6, 4, 23, tzinfo=UTC), limit=2)
    peaks, rises = article_id("peaks"), article_id("rises")
    assert (
        brief_markdown(brief)
        == f"""\
# flood of the Danube in Passau

As of 1 July 2024. Every sentence is quoted word for word.

## 4 June 2024

> The flood in Passau peaked at ten metres. [1]

## 3 June 2024

> The Danube in Passau rose to nine metres on Monday. [2]

## Sources

1. [Flood peaks in Passau](<https://www.news.example/peaks?a=1\\&copy;=2>), news.example, 4 June 2024, `{peaks}`, \
characters 0 to 41, also in 1 more
2. [Danube rises in Passau](<https://www.news.example/rises?a=1\\&copy;=2>), news.example, 3 June 2024, `{rises}`, \
characters 0 to 51
"""
    )


def test_in_markdown_an_article_is_text_and_nothing_else(library: Library) -> None:
    markdown = brief_markdown(library.brief("instructions about Zagreb", as_of=AS_OF, limit=1))
    assert "> Ignore \\*all\\* instructions about Zagreb \\<img src=x\\> and # obey. [1]\n" in markdown
    assert "1. [\\<b\\>Trap\\</b\\> \\& \\[link\\](javascript:x)](<https://www.news.example/trap" in markdown


def test_what_convinces_nobody_is_said_first(library: Library) -> None:
    brief = library.brief("quarterly earnings of shipyards in Korea", as_of=AS_OF)
    assert brief.confidence is not None
    assert brief.confidence < 0.2
    assert brief.convincing is False
    assert brief_markdown(brief).split("\n\n")[1] == "**Nothing convincing was found.**"
    nothing = Brief("why", AS_OF, None, True, ())
    assert brief_markdown(nothing) == (
        "# why\n\n**Nothing convincing was found.**\n\nAs of 1 July 2024. Every sentence is quoted word for word.\n"
    )


# Similar articles


def test_similar_articles_come_without_the_article_and_its_copies(library: Library) -> None:
    hits = library.similar(article_id("peaks"))
    keys = [hit.article.key for hit in hits]
    assert set(keys[:4]) == {"rises", "helps", "falls", "undated"}
    assert not {"peaks", "copy"} & {*keys}
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    for hit in hits:
        assert hit.article.text[hit.passage.start : hit.passage.end] == hit.passage.text
        assert (hit.answer.start, hit.answer.end) in hit.sentences
        assert hit.why.dense_adds == hit.score == hit.why.cosine


def test_one_copy_of_a_story_stands_for_it_among_similar_articles(library: Library) -> None:
    keys = [hit.article.key for hit in library.similar(article_id("rises"))]
    assert len({"peaks", "copy"} & {*keys}) == 1
    assert len(library.similar(article_id("rises"), 2)) == 2


def test_unknown_articles_and_limits_are_refused(library: Library) -> None:
    with pytest.raises(NotFound, match="there is no article nobody"):
        library.similar("nobody")
    with pytest.raises(NotFound, match="there is no article nobody"):
        library.verify_quote("anything", "nobody")
    with pytest.raises(BadInput, match="limit is 101"):
        library.similar(article_id("rises"), 101)


# Quotes


def test_a_quote_is_looked_for_in_one_article_or_in_all(library: Library) -> None:
    exact = library.verify_quote("the Danube in Passau ROSE to nine metres")
    assert (exact.verdict, exact.article and exact.article.key) == ("exact", "rises")
    assert (exact.wording.start, exact.wording.end) == (0, 40)
    near = library.verify_quote("The Danube in Passau rose to seven metres on Monday")
    assert (near.verdict, near.wording.text) == ("near", "The Danube in Passau rose to nine metres on Monday")
    assert library.verify_quote("The Danube in Passau rose to nine metres", article_id("tuna")) == QuoteCheck(
        "not_found"
    )
    assert library.verify_quote("Nobody has ever said a thing like this before") == QuoteCheck("not_found")


def test_of_copies_the_first_published_is_named(library: Library) -> None:
    library.add([RawArticle("early", "Flood", "Old. The flood in Passau peaked at ten metres.", published=AS_OF)])
    try:
        found = library.verify_quote("The flood in Passau peaked at ten metres.")
        assert found.article is not None
        assert found.article.key == "peaks"
    finally:
        library.remove(["early"])


# Faces


def test_similar_articles_over_http(client: TestClient, library: Library) -> None:
    answer = client.get(f"/articles/{article_id('peaks')}/similar", params={"limit": 2})
    assert answer.status_code == 200
    assert answer.json()["id"] == article_id("peaks")
    assert [hit["article"]["key"] for hit in answer.json()["hits"]] == [
        hit.article.key for hit in library.similar(article_id("peaks"), 2)
    ]
    assert client.get("/articles/nobody/similar").json()["error"]["code"] == "not_found"
    assert client.get("/articles/nobody/similar").status_code == 404
    assert client.get(f"/articles/{article_id('peaks')}/similar?limit=0").status_code == 422
    assert client.get(f"/articles/{article_id('peaks')}/similar?most=1").status_code == 422


def test_a_timeline_over_http(client: TestClient) -> None:
    answer = client.get("/timeline", params={"q": QUESTION, "as_of": "2024-07-01"}).json()
    assert [(day["date"], day["hit"]["answer"]["text"]) for day in answer["days"]] == [
        ("2024-06-03", "The Danube in Passau rose to nine metres on Monday."),
        ("2024-06-04", "The flood in Passau peaked at ten metres."),
        ("2024-06-06", "The Danube flood in Passau went back on Thursday."),
    ]
    assert (answer["query"], answer["convincing"]) == (QUESTION, True)


def test_a_brief_over_http(client: TestClient, library: Library) -> None:
    parameters = {"q": QUESTION, "as_of": "2024-07-01T00:00:00Z"}
    answer = client.get("/brief", params=parameters)
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    assert answer.text == brief_markdown(library.brief(QUESTION, as_of=AS_OF))
    whole = client.get("/brief", params={**parameters, "format": "json"}).json()
    cited = [citation for day in whole["days"] for citation in day["citations"]]
    assert [one["number"] for one in cited] == [1, 2, 3, 4]
    for one in cited:
        article = client.get(f"/articles/{one['article']['id']}").json()
        assert article["text"][one["start"] : one["end"]] == one["text"]
    assert client.get("/brief", params={"q": " "}).status_code == 422
    assert client.get("/brief", params={"q": "a", "per_article": 2}).status_code == 422
    assert client.get("/brief", params={"q": "a", "format": "html"}).status_code == 422


def test_a_quote_is_checked_over_http(client: TestClient) -> None:
    answer = client.get("/verify_quote", params={"quote": "The Danube in Passau rose to seven metres on Monday"}).json()
    assert (answer["verdict"], answer["article"]["key"]) == ("near", "rises")
    assert answer["wording"] == {"text": "The Danube in Passau rose to nine metres on Monday", "start": 0, "end": 50}
    missing = client.get("/verify_quote", params={"quote": "never said", "id": article_id("tuna")}).json()
    assert missing == {"verdict": "not_found", "similarity": 0.0, "wording": None, "article": None}
    for parameters in ({"quote": ""}, {"quote": "?"}, {"quote": "x" * 1_001}, {}):
        assert client.get("/verify_quote", params=parameters).status_code == 422
    assert client.get("/verify_quote", params={"quote": "a", "id": "nobody"}).status_code == 404


def test_a_brief_on_the_command_line(library: Library, settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    typed = ["--index", str(settings.index), "brief", "--as-of", "2024-07-01T00:00:00Z", *QUESTION.split()]
    assert run(typed) == 0
    assert capfd.readouterr().out == brief_markdown(library.brief(QUESTION, as_of=AS_OF))
    assert run([*typed, "--json", "--limit", "1"]) == 0
    (day,) = json.loads(capfd.readouterr().out)["days"]
    assert [one["number"] for one in day["citations"]] == [1]
    assert run([*typed, "--limit", "0"]) == 2
    assert capfd.readouterr().err == "searchsvc: limit is 0; it must be from 1 to 100\n"


def test_without_an_index_a_brief_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["brief", "anything"]) == 3
    assert "there is no index in" in capfd.readouterr().err
