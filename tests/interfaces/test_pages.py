"""The pages that people read: the search and an article, harmless whatever articles and questions say."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from html.parser import HTMLParser

import httpx
import pytest

from searchsvc.interfaces.http.routes.pages import Piece, paragraphs
from searchsvc.library import Library
from searchsvc.settings import Settings

GRAIN = {
    "key": "grain",
    "title": "Grain talks resume in <Geneva>",
    "text": "Ministers met in Geneva on Monday to speak of grain.\n\nThey spoke until midnight. Nothing was signed.",
    "url": "https://news.example/grain?a=1&b=2",
    "source": "The News & Co",
    "author": "A. Writer",
    "published": "2024-06-18",
    "language": "en",
}
HOSTILE = {
    "key": "hostile",
    "title": "<script>alert('title')</script>",
    "text": "The volcano erupted. </p><script src=//evil.example></script><img src=x onerror=alert(1)> {{ 7*7 }}",
    "url": "javascript:alert(1)",
    "source": "\" onmouseover='alert(1)",
}
Serving = Callable[[Library], AbstractContextManager[httpx.Client]]


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def client(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serving(Library(Settings(index=tmp_path_factory.mktemp("pages") / "index"))) as client:
        assert client.post("/articles", json=[GRAIN, HOSTILE]).json()["added"] == 2
        yield client


def ident(client: httpx.Client, question: str) -> str:
    return str(client.get("/search", params={"q": question, "limit": 1}).json()["hits"][0]["article"]["id"])


def harmless(page: httpx.Response) -> None:
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    for tag, attributes in Tags(page.text).found:
        assert tag not in {"script", "img", "iframe", "link", "object", "embed", "base", "b"}
        assert not [name for name in attributes if name.startswith("on") or name in {"src", "style"}]
        assert (attributes.get("href") or "/").startswith(("/", "https://"))


def test_the_style_is_the_one_that_the_policy_allows(client: httpx.Client) -> None:
    import base64
    import hashlib

    page = client.get("/")
    (style,) = re.findall(r"<style>(.*)</style>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page.headers["content-security-policy"]
    assert "prefers-color-scheme:dark" in style


def test_the_search_page_is_a_form_that_needs_no_script(client: httpx.Client) -> None:
    page = client.get("/")
    harmless(page)
    tags = Tags(page.text).found
    assert ("form", {"action": "/", "method": "get", "role": "search"}) in tags
    assert {attributes["name"] for tag, attributes in tags if tag == "input"} == {"q", "after", "before", "source"}
    assert "<li>" not in page.text


def test_a_question_is_answered_with_the_sentence_marked(client: httpx.Client) -> None:
    page = client.get("/", params={"q": "they spoke until midnight", "after": "", "before": "", "source": ""})
    harmless(page)
    article = ident(client, "grain talks")
    assert "<mark>They spoke until midnight.</mark> Nothing was signed.</p>" in page.text
    assert f'<a href="/read/{article}?mark=54-80#mark">Grain talks resume in &lt;Geneva&gt;</a>' in page.text
    assert "The News &amp; Co · A. Writer · 18 June 2024" in page.text
    assert '<a href="https://news.example/grain?a=1&amp;b=2" rel="noopener noreferrer nofollow">' in page.text


def test_a_question_can_be_narrowed(client: httpx.Client) -> None:
    def titles(**parameters: str) -> list[str]:
        page = client.get("/", params={"q": "grain or volcano", **parameters})
        assert page.status_code == 200
        return re.findall(r'<h2 dir="auto"><a [^>]*>(.*?)</a>', page.text)

    assert len(titles()) == 2
    assert titles(after="2024-06-01", before="2024-06-18") == ["Grain talks resume in &lt;Geneva&gt;"]
    assert titles(after="2024-06-19") == []
    assert titles(source="The News & Co") == ["Grain talks resume in &lt;Geneva&gt;"]


def test_what_is_typed_comes_back_as_it_was_typed(client: httpx.Client) -> None:
    typed = '"><script>alert(1)</script>&amp;'
    page = client.get("/", params={"q": typed, "source": typed})
    harmless(page)
    assert {attributes["value"] for tag, attributes in Tags(page.text).found if tag == "input"} == {typed, ""}


def test_what_cannot_be_asked_is_said_on_the_page(client: httpx.Client) -> None:
    page = client.get("/", params={"q": "grain", "after": "soon"})
    harmless(page)
    assert page.status_code == 422
    assert "after: cannot read the date &#39;soon&#39;" in page.text
    assert client.get("/", params={"q": "x" * 1001}).status_code == 422


def test_an_article_has_a_page_with_what_was_found_marked(client: httpx.Client) -> None:
    page = client.get(f"/read/{ident(client, 'grain talks')}", params={"mark": "54-80"})
    harmless(page)
    assert page.status_code == 200
    assert '<h1 dir="auto">Grain talks resume in &lt;Geneva&gt;</h1>' in page.text
    assert '<p dir="auto" lang="en">Ministers met in Geneva on Monday to speak of grain.</p>' in page.text
    assert (
        '<p dir="auto" lang="en"><mark id="mark">They spoke until midnight.</mark> Nothing was signed.</p>' in page.text
    )
    assert "<mark" not in client.get(f"/read/{ident(client, 'grain talks')}").text


def test_what_an_article_says_is_text(client: httpx.Client) -> None:
    page = client.get(f"/read/{ident(client, 'volcano erupted')}")
    harmless(page)
    harmless(client.get("/", params={"q": "volcano erupted"}))
    assert "{{ 7*7 }}" in page.text
    assert "javascript:" not in page.text
    assert "&lt;script&gt;alert(&#39;title&#39;)&lt;/script&gt;" in page.text


def test_a_page_that_is_not_there_is_refused(client: httpx.Client) -> None:
    assert client.get("/read/nothing").json()["error"]["code"] == "not_found"
    wrong = client.get(f"/read/{ident(client, 'grain talks')}", params={"mark": "9-5"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "bad_input")


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        ((0, 0), [[("One two.", False, False)], [("Three four.", False, False)]]),
        ((4, 7), [[("One ", False, False), ("two", True, True), (".", False, False)], [("Three four.", False, False)]]),
        ((4, 15), [[("One ", False, False), ("two.", True, True)], [("Three", True, False), (" four.", False, False)]]),
        ((0, 21), [[("One two.", True, True)], [("Three four.", True, False)]]),
    ],
)
def test_a_mark_may_cross_paragraphs(mark: tuple[int, int], expected: list[list[tuple[str, bool, bool]]]) -> None:
    text = "One two.\n\nThree four."
    assert paragraphs(text, (0, 21), mark) == [[Piece(*one) for one in paragraph] for paragraph in expected]
