"""One article that attacks whoever is shown it, through every face: terminal, pages, Markdown, chats, Slack."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from markdown_it import MarkdownIt
from mcp import Client as Chat

from searchsvc.connectors.langchain import SearchsvcRetriever
from searchsvc.connectors.llamaindex import SearchsvcRetriever as LlamaRetriever
from searchsvc.connectors.slack import reply
from searchsvc.interfaces.client import Client
from searchsvc.library import Library
from searchsvc.readers.fields import from_record
from searchsvc.settings import Settings

Serving = Callable[[Library], AbstractContextManager[httpx.Client]]

BREAKS = (
    "a)![x](http://evil.example/pixel) <script>alert(1)</script> [b](javascript:alert(1)) <!channel> <@U1> *bold* `x`"
)
HIDDEN = "\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b31m\u202egnissim\u202c\u200bzero\U000e0061\x08\r\x7f"
QUESTION = "comet over Lima"
RECORD = {
    "key": f"{HIDDEN} {BREAKS} key",
    "title": f"Comet {HIDDEN} {BREAKS} title",
    "text": f"A comet was seen over Lima. {HIDDEN} {BREAKS} text. Astronomers said that it was bright.",
    "source": f"{HIDDEN} {BREAKS} source",
    "author": f"{HIDDEN} {BREAKS} author",
    "published": "2024-06-18",
}
URLS = [
    "https://cnn.com@evil.example/login",
    "https://news.example/a)![x](http://evil.example/pixel)",
    "javascript:alert(1)",
]
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\U000e0000-\U000e0fff]")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "index"
    library = Library(Settings(index=folder))
    library.begin()
    records = [
        RECORD | {"url": url, "key": f"{RECORD['key']} {number}", "text": f"Report {number}. {RECORD['text']}"}
        for number, url in enumerate(URLS)
    ]
    records[0]["title"] = records[0]["source"] = ""  # its key stands in for both
    report = library.add(one for record in records for one in from_record(record, where="here", fallback_key=""))
    assert report.added == len(URLS)
    return folder


@pytest.fixture(scope="module")
def client(index: Path, serving: Serving) -> Iterator[httpx.Client]:
    with serving(Library(Settings(index=index))) as client:
        yield client


def harmless(shown: str) -> None:
    assert "comet was seen" in shown.lower() or "ulletin" in shown
    assert not UNSEEN.search(shown), ascii(UNSEEN.findall(shown))
    assert "cnn.com@" not in shown.replace("\\", "")


def texts(value: Any) -> Iterator[str]:
    """Yield all texts in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            assert not UNSEEN.search(name)
            yield from texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from texts(one)


def harmless_in(value: Any) -> None:
    """See that nothing in what a chat is given is hidden, a tag, or a link that is not what it seems."""
    all_ = list(texts(value))
    assert any("comet" in one.lower() for one in all_)
    for one in all_:
        assert not UNSEEN.search(one), ascii(one)
        assert not re.search(r"<[a-zA-Z/!]", one), one
        if re.match(r"https?:", one):
            assert "@" not in one
            assert not re.search(r"[()\[\]<>\s]", one), one
    assert "javascript:alert(1)" not in all_


def harmless_markdown(markdown: str) -> None:
    assert not UNSEEN.search(markdown), ascii(UNSEEN.findall(markdown))
    targets = []
    for token in MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(markdown):
        assert token.type not in {"html_block", "table_open"}
        for child in token.children or ():
            assert child.type not in {"image", "html_inline", "em_open", "s_open"}, markdown
            if child.type == "link_open":
                targets.append(child.attrs["href"])
    assert set(targets) <= {"https://news.example/a%29!%5Bx%5D%28http://evil.example/pixel%29"}


# ---------------------------------------------------------------------- people


@pytest.mark.parametrize("typed", [["search", "--explain"], ["search", "--json"], ["search", "--no-fold"], ["status"]])
def test_a_terminal_shows_text_alone(index: Path, typed: list[str]) -> None:
    question = [QUESTION] if typed[0] == "search" else []
    command = [sys.executable, "-m", "searchsvc", *typed, "--index", str(index), *question]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not UNSEEN.search(done.stdout), ascii(UNSEEN.findall(done.stdout))
    if "--json" in typed:
        said = {hit["article"]["author"] for hit in json.loads(done.stdout)["hits"]}
        assert said == {hit.article.author for hit in Library(Settings(index=index)).search(QUESTION).hits}
        assert "\U000e0061" in said.pop()  # the value is what it was


def test_a_briefing_on_a_terminal_is_text_and_one_link(index: Path) -> None:
    command = [sys.executable, "-m", "searchsvc", "brief", "--index", str(index), QUESTION]
    harmless_markdown(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_what_is_wrong_with_a_hostile_file_is_told_as_text(tmp_path: Path) -> None:
    news = tmp_path / "news"
    news.mkdir()
    (news / f"a\x1b[2J\u202e{'b' * 9}.jsonl").write_text(
        '{"title": "\\u001b[2J", "id": "\\u202e"}\n{', encoding="utf-8"
    )
    command = [sys.executable, "-m", "searchsvc", "index", "--index", str(tmp_path / "index"), str(news)]
    for more in ([], ["--json"]):
        environment = {**os.environ, "COLUMNS": "100"}
        done = subprocess.run([*command, *more], capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 4
        assert not UNSEEN.search(done.stdout + done.stderr), ascii(done.stdout + done.stderr)
        assert "bbbbbbbbb.jsonl" in re.sub(r"\n +", "", done.stdout + done.stderr)


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src", "action"}]
        assert not [name for name, _ in attrs if name.startswith("on")]


def test_a_page_shows_text_and_one_link(client: httpx.Client) -> None:
    found = client.get("/search", params={"q": QUESTION, "fold": "false"}).json()["hits"]
    pages = [client.get(f"/read/{hit['article']['id']}").text for hit in found]
    for page in [client.get("/", params={"q": QUESTION}).text, *pages]:
        harmless(page)
        tags = Tags(page)
        assert not {"script", "img", "b", "em"} & set(tags.found)
        assert {one for one in tags.links if one.startswith("http")} <= {
            "https://news.example/a%29!%5Bx%5D%28http://evil.example/pixel%29"
        }
        assert all(one.startswith(("/", "https://news.example/")) for one in tags.links)


def test_slack_is_given_text_and_safe_links(index: Path, client: httpx.Client) -> None:
    with Client(str(client.base_url)) as through_a_server:
        messages = [reply(library, QUESTION) for library in (Library(Settings(index=index)), through_a_server)]
    for message in messages:
        for one in texts(message):
            assert not UNSEEN.search(one), ascii(one)
        links = [one["url"] for block in message["blocks"] for one in elements(block) if one["type"] == "link"]
        assert all(re.fullmatch(r"https?://[^()\[\]@\s]+", one) for one in links)
        assert not [block for block in message["blocks"] if "mrkdwn" in json.dumps(block)]
        assert "<" not in message["text"]


def elements(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for one in block.get("elements", ()):
        yield one
        yield from elements(one)


# ---------------------------------------------------------------------- chats


def test_a_chat_is_given_text_and_safe_links(client: httpx.Client) -> None:
    async def converse() -> None:
        async with Chat(f"{str(client.base_url).rstrip('/')}/mcp") as chat:
            found = await chat.call_tool("search", {"query": QUESTION})
            ids = [one["id"] for one in json.loads(found.content[0].text)["results"]]
            answers = [found]
            for ident in ids:
                answers.append(await chat.call_tool("fetch", {"id": ident}))
            quote = "A comet was seen over Lima."
            answers.append(await chat.call_tool("search_news", {"query": QUESTION, "fold": False}))
            answers.append(await chat.call_tool("timeline", {"query": QUESTION}))
            answers.append(await chat.call_tool("verify_quote", {"quote": quote}))
            for answer in answers:
                harmless_in(json.loads(answer.content[0].text))
                harmless_in(answer.structured_content)
            wrong = await chat.call_tool("fetch", {"id": f"x{HIDDEN}<script>"})
            assert not UNSEEN.search(wrong.content[0].text)
            assert "<script" not in wrong.content[0].text
            prompt = await chat.get_prompt("brief", {"question": QUESTION})
            harmless_markdown(
                prompt.messages[0].content.text.partition("<quotations>")[2].partition("</quotations>")[0]
            )
            resource = await chat.read_resource(f"article://{ids[0]}")
            assert not UNSEEN.search(resource.contents[0].text)

    asyncio.run(converse())


def test_other_chats_are_given_text_and_safe_links(index: Path, client: httpx.Client) -> None:
    harmless_in(client.get("/search", params={"q": QUESTION, "format": "anthropic"}).json())
    harmless_in(client.post("/websearch", json={"query": QUESTION}).json())
    harmless_markdown(client.get("/brief", params={"q": QUESTION}).text)
    library = Library(Settings(index=index))
    for document in SearchsvcRetriever(library=library).invoke(QUESTION):
        harmless_in([document.page_content, document.metadata])
    for node in LlamaRetriever(library).retrieve(QUESTION):
        harmless_in([node.get_content(), node.metadata])
