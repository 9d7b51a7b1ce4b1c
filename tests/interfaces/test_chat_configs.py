"""docs/chat-tools.md: each block is read as the program that it is for would read it, and started."""

import asyncio
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from mcp import Client, StdioServerParameters

from searchsvc import Library, Settings
from searchsvc.connectors.slack import COMMAND, TOKENS

Serving = Callable[[Library], AbstractContextManager[httpx.Client]]

ROOT = Path(__file__).parents[2]
SEEDS = sorted((ROOT / "seeds").glob("*.txt"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs/chat-tools.md").read_text(encoding="utf-8")
TITLE = "Putin praises North Korea’s support for Russia’s war against Ukraine"
TOOLS = {"search", "fetch", "search_news", "similar", "timeline", "verify_quote"}
LOCAL = "http://127.0.0.1:8000"


def blocks(language: str, text: str = PAGE) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def sh(program: str) -> list[list[str]]:
    """Return the commands of the page that run a program, as a shell reads them."""
    typed = [shlex.split(line, comments=True) for block in blocks("sh") for line in block.splitlines()]
    return [words for words in typed if words[:1] == [program]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an index, such as the page's commands and programs are run in."""
    folder = tmp_path_factory.mktemp("chats")
    Library(Settings(index=folder / "index")).index(SEEDS)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path, serving: Serving) -> Iterator[httpx.Client]:
    with serving(Library(Settings(index=folder / "index"))) as client:
        yield client


def started(words: list[str], folder: Path) -> StdioServerParameters:
    """Return what a chat tool would start, with the index of this test in place of the one that the page names."""
    assert words[0] == "searchsvc"
    index = str(folder / "index")
    there = [index if word == "/path/to/index" else word for word in words[1:]]
    assert there != words[1:]
    return StdioServerParameters(command=sys.executable, args=["-m", "searchsvc", *there], cwd=ROOT)


async def conversation(server: StdioServerParameters | str) -> tuple[str, set[str], list[str]]:
    """Return what a server calls itself, its tools, and the titles that it finds."""
    async with Client(server) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        found: Any = await client.call_tool("search", {"query": "what does Russia want from North Korea"})
        titles = [one["title"] for one in json.loads(found.content[0].text)["results"]]
        return client.server_info.name, tools, titles


def talks(server: StdioServerParameters | str) -> None:
    name, tools, titles = asyncio.run(conversation(server))
    assert name == "searchsvc"
    assert tools >= TOOLS
    assert titles == [TITLE]


@pytest.mark.parametrize("language", ["json", "sh"])
def test_what_readme_says_of_chat_tools_is_the_pages(language: str) -> None:
    section = README.split("\n## In chat tools\n")[1].split("\n## ")[0]
    assert blocks(language, section)
    assert set(blocks(language, section)) <= set(blocks(language))


@pytest.mark.parametrize("block", blocks("json"))
def test_a_json_block_starts_a_server(block: str, folder: Path) -> None:
    ((kind, servers),) = json.loads(block).items()
    ((name, one),) = servers.items()
    assert (kind, name, one.pop("type", None)) in {("mcpServers", "news", None), ("servers", "news", "stdio")}
    assert set(one) == {"command", "args"}
    talks(started([one["command"], *one["args"]], folder))


def test_claude_code_is_told_to_start_a_server(folder: Path) -> None:
    (words,) = [words for words in sh("claude") if "--" in words]
    assert words[:5] == ["claude", "mcp", "add", "news", "--"]
    talks(started(words[5:], folder))


def test_claude_code_is_told_the_address_of_a_server(server: httpx.Client) -> None:
    (words,) = [words for words in sh("claude") if "--" not in words]
    assert words[:6] == ["claude", "mcp", "add", "--transport", "http", "news"]
    talks(address(*words[6:], server))


def test_every_address_is_one_that_the_server_answers_at(server: httpx.Client) -> None:
    paths = {re.sub(r"^https?://[^/]+", "", one) for one in re.findall(r"https?://[^\s`\"]+/(?:mcp|websearch)", PAGE)}
    assert paths == {"/mcp", "/websearch"}
    talks(address(f"{LOCAL}/mcp", server))


def address(written: str, server: httpx.Client) -> str:
    """Return an address of the page with this server in place of the one that it names."""
    return written.replace(LOCAL, str(server.base_url).rstrip("/"))


def test_open_webui_searches_as_its_variables_say(server: httpx.Client) -> None:
    (block,) = [block for block in blocks("sh") if "WEB_SEARCH" in block]
    set_to = dict(line.split("=", 1) for line in block.splitlines())
    assert (set_to["ENABLE_WEB_SEARCH"], set_to["WEB_SEARCH_ENGINE"]) == ("true", "external")
    # As Open WebUI asks: backend/open_webui/retrieval/web/external.py.
    answer = httpx.post(
        address(set_to["EXTERNAL_WEB_SEARCH_URL"], server),
        headers={"Authorization": f"Bearer {set_to['EXTERNAL_WEB_SEARCH_API_KEY']}", "User-Agent": "Open WebUI"},
        json={"query": "what does Russia want from North Korea", "count": 3},
        timeout=120,
    )
    assert answer.status_code == 200
    (found,) = answer.json()
    assert found["title"] == TITLE
    assert "Russia is likely seeking ammunition" in found["snippet"]
    assert httpx.get(found["link"]).status_code == 200


@pytest.mark.parametrize("block", blocks("python"))
def test_a_python_block_runs_and_finds(block: str, folder: Path, server: httpx.Client) -> None:
    typed = [sys.executable, "-c", address(block, server)]
    environment = {"PYTHONPATH": str(ROOT), "HOME": str(Path.home()), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(typed, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    assert TITLE in line
    assert "Russia is likely seeking ammunition" in line


def test_slacks_manifest_asks_for_what_the_bot_uses() -> None:
    manifest = yaml.safe_load(*blocks("yaml"))
    assert [one["command"] for one in manifest["features"]["slash_commands"]] == [COMMAND]
    assert manifest["oauth_config"]["scopes"]["bot"] == ["commands", "chat:write", "app_mentions:read"]
    assert manifest["settings"] == {
        "event_subscriptions": {"bot_events": ["app_mention"]},
        "interactivity": {"is_enabled": True},
        "socket_mode_enabled": True,
    }


def test_the_bot_is_started_as_it_says(folder: Path) -> None:
    (exported,) = sh("export")
    assert tuple(word.split("=")[0] for word in exported[1:]) == TOKENS
    (words,) = sh("python")
    environment = {"PYTHONPATH": str(ROOT), "HOME": str(folder)}
    typed = [sys.executable, *words[1:]]
    done = subprocess.run(typed, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    # Its words are understood, and all that it lacks is the tokens.
    assert (done.returncode, f"set {' and '.join(TOKENS)} in the environment" in done.stderr) == (2, True)
