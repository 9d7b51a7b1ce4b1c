"""The HTTP API, end to end: a real server, the bundled model, an index in a temporary folder."""

import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from searchsvc.interfaces.http.bodies import BODY_LIMITS
from searchsvc.interfaces.http.hostnames import hostnames_of
from searchsvc.interfaces.http.middleware import MAX_SEARCHES
from searchsvc.library import Library
from searchsvc.settings import Settings

SEEDS = sorted((Path(__file__).parents[2] / "seeds").glob("*.txt"))
QUESTION = "what does Russia want from North Korea"
ANSWER = "Russia is likely seeking ammunition, construction workers, even volunteers to go to the front line"
SUSHI = {
    "key": "sushi-1",
    "title": "Tokyo chefs turn to lab-grown tuna",
    "text": "Sushi chefs in Tokyo have begun serving tuna grown in laboratories. The cultured fish costs more. "
    "Customers told reporters that they could hardly taste a difference.",
    "url": "https://www.tokyo-daily.example/tuna",
    "source": "Tokyo Daily",
    "author": "Aiko Tanaka",
    "published": "2024-03-05T08:00:00+09:00",
    "language": "en",
}
BODY_BYTES = BODY_LIMITS["/articles"].size
JSON = {"content-type": "application/json"}
Serving = Callable[[Library], AbstractContextManager[httpx.Client]]


def until_ready(client: httpx.Client) -> httpx.Response:
    while (answer := client.get("/readyz")).status_code != 200:
        assert answer.json()["error"]["code"] in {"loading", "no_index"}
        time.sleep(0.05)
    return answer


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(index=tmp_path_factory.mktemp("api") / "index", article_bytes=100_000)


@pytest.fixture(scope="module")
def client(settings: Settings, serving: Serving) -> Iterator[httpx.Client]:
    Library(settings).index(SEEDS)
    with serving(Library(settings)) as client:
        until_ready(client)
        yield client


@pytest.fixture
def sushi(client: httpx.Client) -> Iterator[str]:
    answer = client.post("/articles", json=SUSHI)
    assert answer.status_code == 200
    (ident,) = answer.json()["ids"]
    yield ident
    client.delete(f"/articles/{ident}")


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [hit["article"]["id"] for hit in answer.json()["hits"]]


def error(answer: httpx.Response, status: int, code: str) -> dict[str, str | None]:
    assert answer.status_code == status, answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    body = answer.json()
    assert list(body) == ["error"]
    assert list(body["error"]) == ["code", "message", "hint"]
    assert body["error"]["code"] == code
    assert body["error"]["message"]
    for telltale in ("Traceback", "pydantic", "Input should", ".py"):
        assert telltale not in answer.text
    return body["error"]


# ---------------------------------------------------------------------- searching


def test_a_question_is_answered_with_the_sentence_that_says_it(client: httpx.Client) -> None:
    answer = client.get("/search", params={"q": f"  {QUESTION} "})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers
    body = answer.json()
    assert list(body) == [
        *("query", "as_of", "took_ms", "index", "period", "confidence", "convincing", "tokens", "hits"),
    ]
    assert 0.2 < body["confidence"] < 1
    assert body["convincing"] is True
    assert body["query"] == QUESTION
    assert body["period"] == {"after": None, "before": None, "words": None}
    assert body["index"]["articles"] == 1
    assert body["index"]["pending"] == 0
    hit = body["hits"][0]
    assert list(hit) == [
        "rank",
        "score",
        "article",
        "passage",
        "answer",
        "highlights",
        "also_in",
        "text_newer_than_as_of",
        "why",
    ]
    assert hit["rank"] == 1
    assert hit["article"]["key"] == "000_de6a2ec9b66b9b61.txt"
    assert hit["answer"]["text"].startswith(ANSWER)
    assert hit["why"] is None


def test_copies_are_one_hit_that_names_the_others_unless_that_is_not_wanted(client: httpx.Client, sushi: str) -> None:
    again = SUSHI | {"key": "sushi-2", "url": "https://post.example/tuna", "source": "Evening Post"}
    (other,) = client.post("/articles", json=again | {"published": "2024-03-06"}).json()["ids"]
    try:
        parameters = {"q": "tuna grown in laboratories", "limit": 1, "source": ["tokyo daily", "evening post"]}
        (hit,) = client.get("/search", params=parameters).json()["hits"]
        listed = {one["id"]: one for one in hit["also_in"]}
        assert {hit["article"]["id"], *listed} == {sushi, other}
        assert all(
            one.keys() == {"id", "key", "title", "source", "url", "published", "origin"} for one in listed.values()
        )
        every = client.get("/search", params=parameters | {"limit": 10, "fold": "false"})
        assert sorted(ids(every)) == sorted([sushi, other])
        assert [one["also_in"] for one in every.json()["hits"]] == [[], []]
    finally:
        client.delete(f"/articles/{other}")


def test_all_offsets_point_into_the_articles_text(client: httpx.Client) -> None:
    body = client.get("/search", params={"q": QUESTION, "per_article": 10}).json()
    hits = body["hits"]
    assert len(hits) == body["index"]["passages"] > 1
    for hit in hits:
        article = client.get(f"/articles/{hit['article']['id']}").json()
        assert {name: article[name] for name in hit["article"]} == hit["article"]
        text = article["text"]
        passage, answer = hit["passage"], hit["answer"]
        assert text[passage["start"] : passage["end"]] == passage["text"]
        assert text[answer["start"] : answer["end"]] == answer["text"]
        assert passage["id"] == f"{article['id']}:{passage['start']}-{passage['end']}"
        assert passage["start"] <= answer["start"] < answer["end"] <= passage["end"]
        for start, end in hit["highlights"]:
            assert passage["start"] <= start < end <= passage["end"]


def test_post_answers_as_get_does(client: httpx.Client) -> None:
    by_get = client.get("/search", params={"q": QUESTION, "limit": 3, "explain": "true"}).json()
    by_post = client.post("/search", json={"q": QUESTION, "limit": 3, "explain": True, "max_tokens": None}).json()
    assert by_post["hits"] == by_get["hits"]
    assert by_get["hits"][0]["why"]["dense"]["rank"] == 1


def test_max_tokens_bounds_what_is_shown(client: httpx.Client) -> None:
    def shown(**bound: int) -> tuple[list[str], int | None]:
        body = client.get("/search", params={"q": QUESTION, "per_article": 10, **bound}).json()
        return [hit["passage"]["id"].partition(":")[2] for hit in body["hits"]], body["tokens"]

    # In tokens: the title has 14, the passages 103, 103, 120 and 101.
    assert shown() == (["1155-1675", "1677-2219", "518-1153", "0-472"], None)
    assert shown(max_tokens=483) == (["1155-1675", "1677-2219", "518-1153", "0-472"], 483)
    assert shown(max_tokens=482) == (["1155-1675", "1677-2219", "518-1153"], 368)
    assert shown(max_tokens=367) == (["1155-1675", "1677-2219", "0-472"], 349)
    assert shown(max_tokens=117) == (["1155-1675"], 117)
    assert shown(max_tokens=116) == (["0-472"], 115)
    assert shown(max_tokens=1) == ([], 0)


@pytest.mark.parametrize(
    "question",
    [
        "ماذا تريد روسيا من كوريا الشمالية؟",
        "俄罗斯想从朝鲜得到什么？",
        'title:"x" AND (NOT *:* OR ~2^3) [a TO z} \\ + - && || ! ; -- \' % _',
        "source: after:all lang:english before:",
        "a",
        "?",
        "😀 \x00 \u202e",
        "x" * 1000,
    ],
)
def test_nothing_in_a_question_is_syntax(client: httpx.Client, question: str) -> None:
    assert client.get("/search", params={"q": question}).status_code == 200
    assert client.post("/search", json={"q": question}).status_code == 200


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("lab-grown tuna", True),
        ('lab-grown tuna "hardly taste a difference"', True),
        ("lab-grown tuna “cultured fishes”", True),
        ('lab-grown tuna "cultured fishes"', False),
        ("lab-grown tuna -sushi", False),
        ("lab-grown tuna source:tokyodaily after:2024-03-04 before:2024-03 lang:en", True),
        ("lab-grown tuna source:bbc", False),
        ("lab-grown tuna after:2024-04", False),
    ],
)
def test_operators_in_a_question_narrow_it(client: httpx.Client, sushi: str, question: str, found: bool) -> None:
    for answer in (client.get("/search", params={"q": question}), client.post("/search", json={"q": question})):
        assert answer.json()["query"] == question
        assert (sushi in ids(answer)) is found


def test_operators_that_cannot_be_met_are_refused_in_words(client: httpx.Client) -> None:
    def refused(**question: str) -> str:
        answer = client.get("/search", params=question)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_input")
        return str(answer.json()["error"]["message"])

    assert refused(q="source:cnn after:2024") == "the question says where to look, and not what for"
    assert refused(q="tuna before:2023", after="2024") == "after (2024-01-01) is later than before (2023-12-31)"
    assert refused(q="tuna source:cnn", source="bbc") == (
        "the question asks for the source cnn, but only bbc is allowed"
    )


def test_half_a_character_in_a_question_is_mended(client: httpx.Client) -> None:
    answer = client.post("/search", content=b'{"q": "\\ud83d Russia and North Korea"}', headers=JSON)
    assert answer.status_code == 200
    assert answer.json()["query"] == "� Russia and North Korea"


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"source": "\ud800"}, 200),
        ({"source": ["\udfff", "BBC"]}, 200),
        *(
            ({name: "\ud800"}, 422)
            for name in ("limit", "after", "before", "as_of", "language", "freshness", "explain")
        ),
        ({"\ud800": "x"}, 422),
    ],
)
def test_half_a_character_in_a_condition_is_mended_or_refused(
    client: httpx.Client, condition: dict[str, object], status: int
) -> None:
    answer = client.post("/search", content=json.dumps({"q": "\ud800", **condition}), headers=JSON)
    if status == 422:
        assert error(answer, 422, "bad_input")
    else:
        assert (answer.status_code, answer.json()["query"], answer.json()["hits"]) == (200, "\ufffd", [])


def test_many_threads_get_the_right_answers(client: httpx.Client) -> None:
    expected = {QUESTION: ANSWER, "how many artillery shells were shipped": "A recent Bloomberg report"}

    def ask(number: int) -> bool:
        question, sentence = list(expected.items())[number % 2]
        answer = client.get("/search", params={"q": question})
        return answer.status_code == 200 and answer.json()["hits"][0]["answer"]["text"].startswith(sentence)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(160))) == [True] * 160


# ---------------------------------------------------------------------- filters


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ({"after": "2024-03-04"}, True),
        ({"after": "2024-03-05"}, False),
        ({"after": "2024-03-05T08:00:00+09:00"}, True),  # httpx writes the + as %2B
        ({"before": "2024-03-04"}, True),
        ({"before": "2024-03-04T22:59:59Z"}, False),
        ({"before": "2024-03-03"}, False),
        ({"as_of": "2024-03-04"}, True),
        ({"as_of": "2024-03-03"}, False),
        ({"source": "Tokyo Daily"}, True),
        ({"source": ["BBC", "Tokyo Daily"]}, True),
        ({"source": ["BBC", "CNN"]}, False),
        ({"language": "en"}, True),
        ({"language": "en-GB"}, True),
        ({"language": ["de", "fr"]}, False),
        ({"freshness": "off", "fold": "false"}, True),
    ],
)
def test_filters_let_in_what_they_say(client: httpx.Client, sushi: str, condition: dict[str, str], found: bool) -> None:
    question = {"q": "laboratory grown tuna in Tokyo", **condition}
    assert (sushi in ids(client.get("/search", params=question))) is found
    assert (sushi in ids(client.post("/search", json=question))) is found


@pytest.mark.parametrize(
    ("words", "condition", "found", "period"),
    [
        ("in March 2024", {}, True, ("2024-03-01T00:00:00Z", "2024-03-31T23:59:59Z", "in March 2024")),
        ("before 2025", {}, True, (None, "2024-12-31T23:59:59Z", "before 2025")),
        ("yesterday", {"as_of": "2024-03-05"}, True, ("2024-03-04T00:00:00Z", "2024-03-05T23:59:59Z", "yesterday")),
        ("this week", {"as_of": "2024-03-09"}, True, (None, None, None)),  # freshness leans that way
        ("in March 2023", {}, True, (None, None, None)),  # nothing was published then
        ("in March 2024", {"period": "off"}, True, (None, None, None)),
        ("in March 2023", {"after": "2024-03-05"}, False, (None, None, None)),
    ],
)
def test_a_question_that_names_its_time_is_answered_from_it(
    client: httpx.Client,
    sushi: str,
    words: str,
    condition: dict[str, str],
    found: bool,
    period: tuple[str | None, str, str],
) -> None:
    question = {"q": f"laboratory grown tuna in Tokyo {words}", **condition}
    for answer in (client.get("/search", params=question), client.post("/search", json=question)):
        assert (sushi in ids(answer)) is found
        assert answer.json()["period"] == dict(zip(("after", "before", "words"), period, strict=True))


def test_a_plus_that_was_not_escaped_is_still_a_zone(client: httpx.Client, sushi: str) -> None:
    assert sushi in ids(client.get("/search?q=tuna+in+Tokyo&after=2024-03-05T08:00:00+09:00"))
    assert sushi not in ids(client.get("/search?q=tuna+in+Tokyo&after=2024-03-05T08:00:01+09:00"))


# ---------------------------------------------------------------------- articles


def test_an_article_is_added_found_changed_and_deleted(client: httpx.Client) -> None:
    report = client.post("/articles", json=SUSHI).json()
    assert (report["added"], report["changed"], report["problems"]) == (1, 0, [])
    (ident,) = report["ids"]
    hit = client.get("/search", params={"q": "chefs serve cultured tuna"}).json()["hits"][0]
    assert hit["article"] == {
        "id": ident,
        "key": "sushi-1",
        "title": SUSHI["title"],
        "url": SUSHI["url"],
        "source": "Tokyo Daily",
        "author": "Aiko Tanaka",
        "published": "2024-03-04T23:00:00Z",
        "published_from": "given",
        "language": "en",
        "version": 1,
        "revised": None,
        "origin": None,
    }
    assert hit["answer"]["text"] == "Sushi chefs in Tokyo have begun serving tuna grown in laboratories."

    again = client.post(
        "/articles", json=[{**SUSHI, "text": "Chefs have stopped serving cultured tuna at all."}]
    ).json()
    assert (again["added"], again["changed"], again["ids"]) == (0, 1, [ident])
    assert client.get(f"/articles/{ident}").json()["text"] == "Chefs have stopped serving cultured tuna at all."

    parameters = {"q": "chefs stopped serving cultured tuna"}
    hit = client.get("/search", params={**parameters, "as_of": "2024-06-01"}).json()["hits"][0]
    assert (hit["article"]["version"], hit["text_newer_than_as_of"]) == (2, True)
    hit = client.get("/search", params=parameters).json()["hits"][0]
    assert (hit["article"]["version"], hit["text_newer_than_as_of"]) == (2, False)
    versions = client.get(f"/articles/{ident}/versions").json()["versions"]
    assert [one["text"] for one in versions] == ["Chefs have stopped serving cultured tuna at all.", SUSHI["text"]]
    assert versions[0]["since"] == versions[1]["until"] == hit["article"]["revised"]

    gone = client.delete(f"/articles/{ident}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert ident not in ids(client.get("/search", params={"q": "chefs serve cultured tuna"}))
    error(client.get(f"/articles/{ident}"), 404, "not_found")
    error(client.delete(f"/articles/{ident}"), 404, "not_found")


def test_the_key_is_the_url_or_made_of_the_content(client: httpx.Client) -> None:
    by_url = {"url": "https://www.example.org/news/1", "title": "Storm", "text": "The harbour was closed all day."}
    bare = {"title": "Royal bees", "text": "Bees were seen in the garden of the royal palace this winter."}
    first = client.post("/articles", json=[by_url, bare]).json()
    assert first["added"] == 2
    again = client.post("/articles", json=[bare, by_url]).json()
    assert (again["unchanged"], again["ids"]) == (2, first["ids"][::-1])
    storm, bees = (client.get(f"/articles/{ident}").json() for ident in first["ids"])
    assert (storm["key"], storm["source"]) == (by_url["url"], "example.org")
    assert (bees["text"], bees["published"], bees["published_from"]) == (bare["text"], None, None)
    for ident in first["ids"]:
        assert client.delete(f"/articles/{ident}").status_code == 204


def test_what_cannot_be_used_is_reported_and_the_rest_added(client: httpx.Client) -> None:
    good = {
        "key": "good",
        "title": "A bridge",
        "text": "The mayor opened a new bridge over the river.",
        "published": "03/04/2024",
    }
    report = client.post("/articles", json=[good, {"key": "bad", "text": "\u200b\u200b"}]).json()
    assert report["added"] == 1
    assert report["ids"][1] is None
    assert [(problem["where"], problem["lost"]) for problem in report["problems"]] == [
        ("article 1", False),
        ("bad", True),
    ]
    assert client.get(f"/articles/{report['ids'][0]}").json()["published"] is None
    client.delete(f"/articles/{report['ids'][0]}")


@pytest.mark.parametrize(
    ("name", "most"), [("title", 1_000), ("author", 1_000), ("source", 300), ("url", 2_000), ("key", 5_000)]
)
def test_a_field_that_an_answer_has_no_room_for_is_refused(client: httpx.Client, name: str, most: int) -> None:
    refused = client.post("/articles", json=[{"text": "Tuna is served.", name: "x" * (most + 1)}])
    message = str(error(refused, 422, "bad_input")["message"])
    assert message.endswith(f"{name} has {most + 1:,} characters; at most {most:,} are allowed")
    (ident,) = client.post("/articles", json={"text": "Tuna is served.", name: "x" * most}).json()["ids"]
    assert client.delete(f"/articles/{ident}").status_code == 204


def test_half_a_character_in_an_article_is_mended(client: httpx.Client) -> None:
    body = b'{"key": "half \\udc00", "title": "Half \\ud83d", "text": "A text that was cut in the middle of a \\ud83d"}'
    (ident,) = client.post("/articles", content=body, headers=JSON).json()["ids"]
    assert client.get(f"/articles/{ident}").json()["title"] == "Half �"
    assert client.delete(f"/articles/{ident}").status_code == 204


@pytest.mark.parametrize("name", ["text", "title", "key", "url", "source", "author"])
def test_half_a_character_in_any_field_is_stored_as_a_whole_one(client: httpx.Client, name: str) -> None:
    body = json.dumps({"key": "half", "title": "Half", "text": "Tuna is served.", name: "Tuna \ud800"})
    (ident,) = client.post("/articles", content=body, headers=JSON).json()["ids"]
    assert client.get(f"/articles/{ident}").json()[name] == "Tuna \ufffd"
    assert client.delete(f"/articles/{ident}").status_code == 204


def test_delete_takes_no_key_and_no_source_for_an_id(client: httpx.Client, sushi: str) -> None:
    error(client.delete("/articles/sushi-1"), 404, "not_found")
    error(client.delete("/articles/Tokyo Daily"), 404, "not_found")
    assert client.get(f"/articles/{sushi}").status_code == 200


def test_a_window_shows_what_stands_around_a_passage(client: httpx.Client) -> None:
    (hit,) = client.get("/search", params={"q": QUESTION, "limit": 1}).json()["hits"]
    where = f"/articles/{hit['article']['id']}"
    whole = client.get(where).json()
    assert "start" not in whole
    start = whole["text"].index(ANSWER)
    end = start + len(ANSWER)
    window = client.get(where, params={"around": f"{start}-{end}"}).json()
    assert (window["start"], window["end"]) == (start - 500, end + 500)
    assert window["text"] == whole["text"][window["start"] : window["end"]]
    length = len(whole["text"])
    ends = client.get(where, params={"around": f"0-{length}"}).json()
    assert (ends["start"], ends["end"], ends["text"]) == (0, length, whole["text"])
    for bad in (f"0-{length + 1}", "5-5", "9-3", "-1-5", "a-b", "1", "", "1-2-3", "٣-٩", "0-" + "9" * 5000):
        assert "around" in str(error(client.get(where, params={"around": bad}), 422, "bad_input")["message"])
    error(client.get("/articles/unknown", params={"around": "0-1"}), 404, "not_found")


def test_another_process_is_heard(client: httpx.Client, settings: Settings) -> None:
    other = Library(settings)
    (ident,) = client.post("/articles", json=SUSHI).json()["ids"]
    assert other.article(ident).title == SUSHI["title"]
    other.remove([ident])
    assert ident not in ids(client.get("/search", params={"q": "laboratory grown tuna"}))


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "q is missing"),
        ("q=", "q must not be empty"),
        ("q=%20%09", "q must not be empty"),
        ("q=%E2%80%8B", "the question is empty"),
        ("q=" + "x" * 1001, "q has 1,001 characters; at most 1,000 are allowed"),
        ("q=a&q=b", "q is given more than once"),
        ("q=a&limt=5", "there is no parameter 'limt'"),
        ("q=a&limit=0", "limit must be from 1 to 100, not 0"),
        ("q=a&limit=101", "limit must be from 1 to 100, not 101"),
        ("q=a&limit=ten", "limit must be a whole number, not 'ten'"),
        ("q=a&limit=1.5", "limit must be a whole number, not '1.5'"),
        ("q=a&limit=" + "9" * 5000, "limit must be a whole number, not '" + "9" * 60 + "…'"),
        ("q=a&per_article=11", "per_article must be from 1 to 10, not 11"),
        ("q=a&max_tokens=0", "max_tokens must be at least 1, not 0"),
        ("q=a&fold=perhaps", "fold must be true or false, not 'perhaps'"),
        ("q=a&explain=", "explain must be true or false, not ''"),
        ("q=a&freshness=on", "freshness must be 'auto' or 'off', not 'on'"),
        ("q=a&period=2024", "period must be 'auto' or 'off', not '2024'"),
        ("q=a&after=yesterday", "after: cannot read the date 'yesterday'"),
        ("q=a&before=2024-02-30", "before: cannot read the date '2024-02-30'"),
        ("q=a&as_of=", "as_of: cannot read the date ''"),
        ("q=a&after=2024-02&before=2024-01", "after (2024-02-01) is later than before (2024-01-31)"),
        ("q=a&as_of=" + "2" * 99, "as_of has 99 characters; at most 40 are allowed"),
        ("q=a&source=", "source must not be empty"),
        ("q=a&language=english", "language must be a two-letter code such as en, not 'english'"),
        ("q=a" + "&source=x" * 101, "source may hold at most 100 values"),
    ],
)
def test_a_wrong_parameter_is_named(client: httpx.Client, query: str, message: str) -> None:
    assert error(client.get(f"/search?{query}"), 422, "bad_input")["message"] == message


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("", 422, "the body is missing"),
        ("{", 422, "the body is not JSON: Expecting property name enclosed in double quotes at character 1"),
        ("[1]", 422, "the body must be an object with named fields, not a list"),
        ('{"limit": 1}', 422, "q is missing"),
        ('{"q": 7}', 422, "q must be text, not 7"),
        ('{"q": "a", "limit": {}}', 422, "limit must be a whole number, not an object"),
        (
            '{"q": "a", "after": "2024-02", "before": "2024-01"}',
            422,
            "after (2024-02-01) is later than before (2024-01-31)",
        ),
        ('{"q": "a", "source": 7}', 422, "source must be a list, not 7"),
        ('{"q": "a", "source": ["b", 7]}', 422, "source must be text, not 7"),
        ('{"q": "a", "query": "b"}', 422, "there is no parameter 'query'"),
        ('{"q": "a", "\\ud800": "b"}', 422, "the body must be text, not '\\ud800'"),
        ("[" * 60_000, 400, "the body is not JSON that can be read: it is nested too deeply"),
        ('{"q": "a", "limit": ' + "9" * 5_000 + "}", 400, "the body is not JSON that can be read"),
    ],
)
def test_a_wrong_body_is_refused(client: httpx.Client, body: str, status: int, message: str) -> None:
    answer = client.post("/search", content=body, headers=JSON)
    assert error(answer, status, "bad_input" if status == 422 else "bad_request")["message"] == message


def test_a_body_that_is_not_declared_as_json_is_refused(client: httpx.Client) -> None:
    # A page elsewhere can make a browser send text/plain unasked, but not application/json.
    answer = client.post("/articles", content=json.dumps(SUSHI), headers={"content-type": "text/plain"})
    assert error(answer, 422, "bad_input")["hint"] == "set the header Content-Type: application/json"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "text is missing"),
        ({"text": " \n"}, "text must not be empty"),
        ([{"text": "a"}, {"text": 7}], "article 2: text must be text, not 7"),
        ([7], "article 1: it must be an object with named fields, not 7"),
        ({"text": "a", "body": "b"}, "there is no field 'body'"),
        ({"text": "a", "language": "english"}, "language must be a two-letter code such as en, not 'english'"),
        ({"text": "a", "published": True}, "published must be text or a number, not true"),
        ({"text": "a", "metadata": {}}, "there is no field 'metadata'"),
        ([{"text": "a"}] * 1001, "the list may hold at most 1,000 articles in one request"),
    ],
)
def test_a_wrong_article_is_refused(client: httpx.Client, given: object, message: str) -> None:
    before = client.get("/status").json()["generation"]
    assert error(client.post("/articles", json=given), 422, "bad_input")["message"] == message
    assert client.get("/status").json()["generation"] == before


def test_an_article_that_is_too_large_is_refused(client: httpx.Client) -> None:
    fault = error(client.post("/articles", json=[{"text": "ä" * 50_001}]), 413, "too_large")
    assert fault["message"] == "the text of article 1 has 100,002 bytes; at most 100,000 are allowed"


def test_a_body_that_is_too_large_is_refused_stated_or_chunked(client: httpx.Client) -> None:
    body = b" " * (BODY_BYTES + 1)
    for content in (body, iter([body[: BODY_BYTES // 2]] * 3)):
        fault = error(client.post("/articles", content=content, headers=JSON), 413, "too_large")
        assert fault["message"] == "the body is larger than 16 MiB"
    assert error(client.post("/articles", content=body[:-1], headers=JSON), 422, "bad_input")


def test_a_client_that_asks_first_need_not_send_a_body_that_is_too_large(client: httpx.Client) -> None:
    connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port or 0, timeout=60)
    connection.putrequest("POST", "/articles")
    for name, value in {**JSON, "content-length": str(BODY_BYTES + 1), "expect": "100-continue"}.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, json.load(answer)["error"]["code"]) == (413, "too_large")
    connection.close()


def test_unknown_routes_methods_and_parameters_are_refused(client: httpx.Client) -> None:
    for path in ("/nope", "/search/", "/redoc", "/articles", "/articles/"):
        answer = client.get(path)
        error(answer, 405 if path == "/articles" else 404, "method_not_allowed" if path == "/articles" else "not_found")
    assert client.put("/search").headers["allow"]
    error(client.put("/search"), 405, "method_not_allowed")
    error(client.options("/search", headers={"origin": "https://evil.example"}), 405, "method_not_allowed")
    error(client.get("/status?verbose=1"), 422, "bad_input")
    error(client.post("/search?q=a", json={"q": "a"}), 422, "bad_input")


def test_a_local_server_answers_to_local_names_only(client: httpx.Client) -> None:
    for name in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost@evil", ""):
        error(client.get("/search?q=a", headers={"host": name}), 400, "wrong_host")
    for name in ("localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000", "[::1]"):
        assert client.get("/healthz", headers={"host": name}).status_code == 200
    assert "127.0.0.2" in hostnames_of("127.0.0.2")


def test_a_page_from_elsewhere_may_not_change_the_index(client: httpx.Client) -> None:
    foreign = {"origin": "http://evil.example"}
    assert "evil.example" in str(error(client.post("/reindex", headers=foreign), 400, "wrong_origin")["message"])
    error(client.post("/articles", json=SUSHI, headers=foreign), 400, "wrong_origin")
    error(client.post("/articles", json=SUSHI, headers={"origin": "null"}), 400, "wrong_origin")
    assert client.post("/search", json={"q": QUESTION}, headers=foreign).status_code == 200
    own = {"origin": str(client.base_url).rstrip("/")}
    ident = client.post("/articles", json=SUSHI, headers=own).json()["ids"][0]
    assert client.delete(f"/articles/{ident}", headers=own).status_code == 204


def test_what_nobody_foresaw_is_not_shown(
    settings: Settings, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Library):
        def status(self) -> None:  # type: ignore[override]
            raise ZeroDivisionError("secret")

    with serving(Broken(settings)) as client:
        answer = client.get("/status")
    assert error(answer, 500, "internal")["message"] == "something went wrong in the server"
    assert "secret" not in answer.text
    assert any(record.name == "searchsvc" and record.exc_info for record in caplog.records)


def test_more_searches_than_can_be_served_are_sent_away(
    client: httpx.Client, settings: Settings, serving: Serving
) -> None:
    assert client  # the index is there
    gate = threading.Event()

    class Gated(Library):
        def search(self, *args: object, **named: object) -> object:  # type: ignore[override]
            gate.wait()
            return super().search(*args, **named)  # type: ignore[arg-type]

    with serving(Gated(settings)) as gated, ThreadPoolExecutor(MAX_SEARCHES + 8) as pool:
        requests = [pool.submit(gated.get, "/search", params={"q": QUESTION}) for _ in range(MAX_SEARCHES + 8)]
        while sum(request.done() for request in requests) < 8:
            time.sleep(0.01)
        assert gated.get("/healthz").json() == {"alive": True}  # with every thread taken
        refused = [request.result() for request in requests if request.done()]
        gate.set()
        for answer in refused:
            assert error(answer, 429, "too_many")["message"] == "64 searches are under way already"
            assert answer.headers["retry-after"] == "1"
        answers = [request.result() for request in requests]
        assert sorted(answer.status_code for answer in answers) == [200] * MAX_SEARCHES + [429] * 8
        assert gated.get("/search", params={"q": QUESTION}).status_code == 200


# ---------------------------------------------------------------------- state


def test_status_says_what_is_there(client: httpx.Client, sushi: str) -> None:
    status = client.get("/status").json()
    assert (status["articles"], status["pending"], status["model"], status["engine"]) == (
        2,
        0,
        "all-MiniLM-L6-v2",
        "local",
    )
    assert type(status["bytes_on_disk"]) is int
    assert status["sources"] == [{"source": "Tokyo Daily", "articles": 1}]
    assert (status["oldest"], status["newest"], status["undated"]) == ("2024-03-04T23:00:00Z",) * 2 + (1,)
    assert sushi


def test_a_server_without_an_index_waits_for_one(settings: Settings, serving: Serving, tmp_path: Path) -> None:
    library = Library(replace(settings, index=tmp_path / "index"))
    with serving(library) as client:
        assert client.get("/healthz").json() == {"alive": True}
        for path in ("/search?q=a", "/readyz", "/status", "/articles/x"):
            fault = error(client.get(path), 503, "no_index")
            assert fault["hint"] == "searchsvc index PATH… makes one"
        assert client.delete("/articles/x").status_code == 503
        assert not (tmp_path / "index").exists()
        (ident,) = client.post("/articles", json=SUSHI).json()["ids"]
        assert ids(client.get("/search", params={"q": "tuna"})) == [ident]
        assert until_ready(client).json()["ready"] is True
        client.delete(f"/articles/{ident}")
        assert ids(client.get("/search", params={"q": "tuna"})) == []


def test_serve_says_where_it_listens_and_exits_with_1_where_it_cannot(settings: Settings) -> None:
    def command(port: int) -> list[str]:
        index = str(settings.index / "none")
        return [sys.executable, "-m", "searchsvc", "serve", "--index", index, "--port", str(port)]

    first = subprocess.Popen(command(0), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert first.stderr is not None
        line = first.stderr.readline()
        assert re.fullmatch(r"searchsvc listens on http://127\.0\.0\.1:\d+\n", line)
        port = int(line.rpartition(":")[2])
        answer = httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)
        assert answer.json() == {"alive": True}
        assert "server" not in answer.headers
        second = subprocess.run(command(port), capture_output=True, text=True, check=False, timeout=60)
        assert second.returncode == 1
        assert second.stderr == f"searchsvc: cannot listen on http://127.0.0.1:{port}: Address already in use\n"
        first.send_signal(signal.SIGINT)
        out, err = first.communicate(timeout=60)
        assert (first.returncode, out, err) == (0, "", "")
    finally:
        first.kill()
        first.communicate()


# ---------------------------------------------------------------------- the document


def test_the_document_names_every_operation_and_parameter(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    named = {
        (path, method): one["operationId"] for path, all_ in document["paths"].items() for method, one in all_.items()
    }
    assert named == {
        ("/search", "get"): "search",
        ("/search", "post"): "search_post",
        ("/articles/{id}", "get"): "get_article",
        ("/articles/{id}", "delete"): "delete_article",
        ("/articles", "post"): "add_articles",
        ("/articles/{id}/versions", "get"): "article_versions",
        ("/reindex", "post"): "reindex",
        ("/jobs/{id}", "get"): "get_job",
        ("/status", "get"): "status",
        ("/articles/{id}/similar", "get"): "similar_articles",
        ("/brief", "get"): "brief",
        ("/timeline", "get"): "timeline",
        ("/verify_quote", "get"): "verify_quote",
        ("/tools/openai.json", "get"): "openai_tools",
        ("/websearch", "post"): "websearch",
    }
    parameters = {one["name"]: one for one in document["paths"]["/search"]["get"]["parameters"]}
    assert set(parameters) == {
        *("q", "limit", "after", "before", "as_of", "source", "language", "freshness", "fold", "per_article"),
        *("max_tokens", "explain", "period", "format"),
    }
    assert all(one["description"] for one in parameters.values())
    assert [name for name, one in parameters.items() if one["required"]] == ["q"]
    assert (parameters["limit"]["schema"]["minimum"], parameters["limit"]["schema"]["maximum"]) == (1, 100)
    assert "last weeks before `as_of`" in parameters["freshness"]["description"]
    assert "`also_in`" in parameters["fold"]["description"]
    assert "HTTPValidationError" not in json.dumps(document)
    for all_ in document["paths"].values():
        for operation in all_.values():
            assert operation["description"]
            assert operation["responses"]["422"]["content"]["application/json"]["schema"]["$ref"].endswith(
                "/ErrorResponse"
            )


def test_the_docs_page_fetches_nothing(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    for operation in ("GET /search", "POST /articles", "DELETE /articles/{id}", "GET /status"):
        assert operation in page.text
    assert not re.search(r"<script|<link|<img|src=|@import|url\(", page.text)


def test_errors_have_the_codes_that_their_drawing_says() -> None:
    from searchsvc import errors

    drawn = re.findall(r"── (\w+) .*\(exit (\d), HTTP (\d+)\)", errors.__doc__ or "")
    assert len(drawn) == 9
    kinds = {kind.__name__: kind for kind in errors.SearchsvcError.__subclasses__()}
    assert [(name, str(kinds[name].exit_code), str(kinds[name].http_status)) for name, _, _ in drawn] == drawn
    assert len({kind.code for kind in kinds.values()}) == len(kinds)
