"""The client against a real server: what it asks, what it gives back, and what it raises."""

import asyncio
import inspect
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest

from searchsvc import AsyncClient, Client, Library, Query, SearchsvcError, Settings, errors
from searchsvc.interfaces.http.requests import NewArticle as Accepted
from searchsvc.schemas import NewArticle
from searchsvc.search.results import Results
from searchsvc.text.article import Excerpt

Site = Any  # see conftest
Serving = Callable[[Library], AbstractContextManager[httpx.Client]]

TUNA: NewArticle = {
    "key": "tuna",
    "title": "Tokyo chefs turn to lab-grown tuna",
    "text": "Sushi chefs in Tokyo have begun serving tuna grown in laboratories. The cultured fish costs more.",
    "url": "https://www.tokyo-daily.example/tuna",
    "source": "Tokyo Daily",
    "published": "2024-03-05T08:00:00+09:00",
}
GRAIN: NewArticle = {
    "key": "grain",
    "title": "Grain talks resume",
    "text": "Ministers met in Geneva on Monday. The talks on grain exports will go on all week.",
    "source": "Geneva Post",
    "published": "2024-06-18",
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    library = Library(Settings(index=tmp_path_factory.mktemp("client") / "index"))
    library.begin()
    return library


@pytest.fixture(scope="module")
def client(library: Library, serving: Serving) -> Iterator[Client]:
    with serving(library) as server, Client(str(server.base_url), timeout=120) as client:
        assert client.add([TUNA, GRAIN]).added == 2
        yield client


def test_a_search_gives_what_a_library_gives(client: Client) -> None:
    results = client.search("what do chefs in Tokyo serve", limit=1)
    (hit,) = results
    assert hit.article.key == "tuna"
    assert hit.article.published == datetime(2024, 3, 4, 23, tzinfo=UTC)
    assert hit.answer is not None
    assert hit.answer.text == "Sushi chefs in Tokyo have begun serving tuna grown in laboratories."
    assert TUNA["text"][hit.answer.start : hit.answer.end] == hit.answer.text
    assert (results.query.text, results.convincing, results.index.articles) == (
        "what do chefs in Tokyo serve", True, 2
    )  # fmt: skip


def keys(results: Results) -> list[str]:
    return [hit.article.key for hit in results]


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        ({}, {"tuna", "grain"}),
        ({"limit": 1}, {"grain"}),
        ({"after": "2024-04"}, {"grain"}),
        ({"after": datetime(2024, 4, 1, tzinfo=UTC)}, {"grain"}),
        ({"before": "2024-04"}, {"tuna"}),
        ({"as_of": "2024-06-17"}, {"tuna"}),
        ({"sources": ["tokyo daily"]}, {"tuna"}),
        ({"sources": ("Tokyo Daily", "Geneva Post")}, {"tuna", "grain"}),
        ({"languages": ["de"]}, set()),
        ({"max_tokens": 1}, set()),
    ],
)
def test_each_condition_reaches_the_server(client: Client, conditions: dict[str, Any], found: set[str]) -> None:
    assert set(keys(client.search("what was said in the talks on grain", **conditions))) == found


def test_switches_reach_the_server(client: Client) -> None:
    question = "grain talks in March 2024"
    assert client.search(question).period.words == "in March 2024"
    assert client.search(question, period=False).period is None
    why = client.search("grain talks", explain=True, freshness=False)[0].why
    assert (why.recency, why.freshness_adds) == (0.0, 0.0)


def test_half_a_character_in_a_question_is_no_obstacle(client: Client) -> None:
    assert keys(client.search("grain talks \ud83d", limit=1)) == ["grain"]


def test_an_article_is_read_whole(client: Client) -> None:
    article = client.article(client.search("tuna")[0].article.id)
    assert (article.text, article.source) == (TUNA["text"], "Tokyo Daily")


def test_what_is_cited_is_where_it_says(client: Client) -> None:
    (day,) = client.brief("what was said in the talks on grain", sources="Geneva Post").days
    (citation,) = day.citations
    assert (day.date, citation.number, citation.article.key) == (date(2024, 6, 18), 1, "grain")
    assert GRAIN["text"][citation.sentence.start : citation.sentence.end] == citation.sentence.text
    story = client.timeline("Tokyo tuna \ud83d", before="2024-04")
    assert [(day.date, day.hit.article.key) for day in story.days] == [(date(2024, 3, 4), "tuna")]
    ident = citation.article.id
    assert [hit.article.key for hit in client.similar(ident, limit=3)] == ["tuna"]
    checked = client.verify_quote("ministers met in Geneva", ident)
    assert (checked.verdict, checked.wording) == ("exact", Excerpt(ident, 0, 23, "Ministers met in Geneva"))
    assert client.verify_quote("The moon is made of cheese.").verdict == "not_found"


def test_articles_come_change_and_go(client: Client) -> None:
    report = client.add({"key": "okapi", "title": "An okapi", "text": "An okapi was born in Basel."})
    (ident,) = report.ids
    assert ident is not None
    assert (report.added, report.problems) == (1, [])
    assert keys(client.search("okapi", limit=1)) == ["okapi"]
    client.add({"key": "okapi", "title": "An okapi", "text": "Two okapis were born in Basel."})
    versions = client.versions(ident)
    assert [one.text for one in versions] == ["Two okapis were born in Basel.", "An okapi was born in Basel."]
    assert client.status().articles == 3
    client.delete(ident)
    assert client.status().articles == 2
    with pytest.raises(errors.NotFound):
        client.article(ident)


# ---------------------------------------------------------------------- what it raises


def raised(kind: type[SearchsvcError], ask: Callable[[], object]) -> tuple[str, str, str | None]:
    with pytest.raises(SearchsvcError) as caught:
        ask()
    assert type(caught.value) is kind
    return caught.value.code, caught.value.message, caught.value.hint


def test_a_refusal_is_the_error_that_a_library_raises_with_the_servers_words(client: Client, library: Library) -> None:
    assert raised(errors.BadInput, lambda: client.search("grain", limit=0)) == (
        "bad_input", "limit is 0; it must be from 1 to 100", None
    )  # fmt: skip
    code, message, hint = raised(errors.NotFound, lambda: client.article("nonesuch?"))
    assert (code, message) == ("not_found", "there is no article nonesuch?")
    with pytest.raises(errors.NotFound) as caught:
        library.article("nonesuch?")
    assert (message, hint) == (caught.value.message, caught.value.hint)
    raised(errors.NotFound, lambda: client.job("nonesuch"))
    raised(errors.NotFound, lambda: client.delete("nonesuch"))
    assert raised(errors.BadInput, client.reindex)[1:] == (
        "this server serves no folders", "start it with searchsvc serve --watch PATH…"
    )  # fmt: skip


def test_no_index_is_said_as_such(tmp_path: Path, serving: Serving) -> None:
    with serving(Library(Settings(index=tmp_path / "none"))) as server, Client(str(server.base_url)) as client:
        assert raised(errors.NoIndex, lambda: client.search("anything"))[0] == "no_index"


def test_a_refusal_that_has_no_error_of_its_own_keeps_the_servers_code(client: Client) -> None:
    long = {"key": "long", "text": "word " * 4_000_000}
    code, message, hint = raised(errors.Unserved, lambda: client.add(long))  # type: ignore[arg-type]
    assert (code, message, hint) == ("too_large", "the body is larger than 16 MiB", "send several smaller lists")


def test_a_server_that_is_not_there() -> None:
    with Client("http://127.0.0.1:1") as client:
        code, message, hint = raised(errors.Unserved, client.status)
    assert (code, hint) == ("unreachable", "searchsvc serve starts a server")
    assert message.startswith("http://127.0.0.1:1 cannot be reached: ")
    with Client("127.0.0.1") as client:
        assert raised(errors.Unserved, client.status)[0] == "unreachable"


def test_a_server_that_does_not_answer(site: Site) -> None:
    over = threading.Event()

    def wait(_: BaseHTTPRequestHandler) -> None:
        over.wait(60)

    site.pages["/status"] = [wait]
    with Client(site.url, timeout=0.2) as client:
        code, message, _ = raised(errors.Unserved, client.status)
    over.set()
    assert (code, message) == ("timed_out", f"{site.url} did not answer within 0.2 seconds")


@pytest.mark.parametrize(("status", "body"), [(200, "<html>hello</html>"), (502, "bad gateway"), (404, '{"error": 1}')])
def test_a_server_of_another_kind(site: Site, status: int, body: str) -> None:
    site.page("/status", body, status=status)
    with Client(site.url) as client:
        code, message, _ = raised(errors.Unserved, client.status)
    assert (code, message) == ("alien", f"{site.url} answered {status}, and not as a server of searchsvc does")


def test_headers_go_with_every_request(site: Site) -> None:
    site.page("/jobs/1", "{}", "application/json")
    with Client(site.url, key="secret", headers={"X-Newsroom": "Basel"}) as client:
        assert client.job("1") == {}
    assert (site.headers[0]["Authorization"], site.headers[0]["X-Newsroom"]) == ("Bearer secret", "Basel")


def test_now_is_by_the_servers_clock_unless_a_moment_is_given(site: Site) -> None:
    with Client(site.url) as client:
        for query in ("tuna", Query("tuna", as_of="2024-06-18")):
            raised(errors.Unserved, lambda query=query: client.timeline(query))
    assert ["as_of=" in asked for asked in site.asked] == [False, True]


def test_an_async_client_answers_as_the_other_does(client: Client) -> None:
    async def ask() -> tuple[Results, str, int]:
        async with AsyncClient(client.url, timeout=120) as other:
            results = await other.search("what do chefs in Tokyo serve", limit=1)
            article = await other.article(results[0].article.id)
            with pytest.raises(errors.NotFound):
                await other.delete("nonesuch")
            return results, article.text, (await other.status()).articles

    results, text, articles = asyncio.run(ask())
    assert results.hits == client.search("what do chefs in Tokyo serve", limit=1).hits
    assert (text, articles) == (TUNA["text"], client.status().articles)


def test_client_library_and_async_client_have_the_same_methods() -> None:
    both = {"search", "timeline", "brief", "similar", "verify_quote", "article", "versions", "status", "add", "delete"}
    served = both | {"reindex", "job", "close"}
    for kind, methods in ((Library, both | {"close"}), (Client, served), (AsyncClient, served)):
        assert methods <= {name for name in dir(kind) if not name.startswith("_")}
    for name in both:
        ours, theirs = (list(inspect.signature(getattr(kind, name)).parameters) for kind in (Library, Client))
        assert ours == theirs == list(inspect.signature(getattr(AsyncClient, name)).parameters), name


# ---------------------------------------------------------------------- its types


def test_what_is_added_is_typed_as_the_server_takes_it() -> None:
    assert set(NewArticle.__annotations__) == set(Accepted.model_fields)
    assert NewArticle.__required_keys__ == {name for name, one in Accepted.model_fields.items() if one.is_required()}


def test_importing_the_client_imports_no_engine() -> None:
    code = "import sys; from searchsvc import Client; print(' '.join(sorted(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"numpy", "torch", "faiss", "tantivy", "openvino", "fastapi"} & {
        one.split(".")[0] for one in loaded
    } == set()
