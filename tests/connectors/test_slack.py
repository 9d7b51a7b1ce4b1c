"""The Slack bot: Slack's own requests go in, and what it sends to Slack is recorded by a server that stands for it."""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from slack_bolt import App, BoltRequest
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient
from slack_sdk.models.blocks import ActionsBlock, Block, RichTextBlock
from websockets.sync.server import ServerConnection, serve

from searchsvc import Client, Library, Settings
from searchsvc.connectors.slack import answer_in, asked, reply
from searchsvc.text.article import RawArticle, article_id
from searchsvc.text.dates import parse_published

PATIENCE = 60.0  # seconds after which what should happen counts as not happening
QUESTION = "which animals were born in Basel"
NEWS = [
    RawArticle(
        key=name,
        title=f"A young {name} & its keeper",
        text=f"It is the talk of town. One {name} was born in the zoo of Basel at night. <!channel> *come* and see.",
        url=None if name == "zebra" else f"https://zoo.example/{name}?a=1&b=2",
        source="Basel Courier",
        published=None if name == "zebra" else parse_published(f"2024-06-0{day}"),
    )
    for day, name in enumerate(("okapi", "quagga", "zebra", "gibbon"), 1)
]


class Slack(ThreadingHTTPServer):
    """Slack's side of the Web API, and of what is sent to a response_url: all of it is put into `said`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Recorder)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.said: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        self.socket_url = ""

    def next(self) -> tuple[str, dict[str, Any]]:
        return self.said.get(timeout=PATIENCE)


class _Recorder(BaseHTTPRequestHandler):
    server: Slack

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/api/auth.test":
            answer: dict[str, Any] = {
                "ok": True,
                "user_id": "UBOT",
                "bot_id": "B1",
                "team_id": "T1",
                "bot_user_id": "UBOT",
            }
        elif self.path == "/api/apps.connections.open":
            answer = {"ok": True, "url": self.server.socket_url}
        else:
            is_json = self.headers["Content-Type"].startswith("application/json")
            given = json.loads(body) if is_json else {name: values[0] for name, values in parse_qs(body).items()}
            self.server.said.put((self.path, given))
            answer = {"ok": True}
        sent = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_: object) -> None:
        """Keep the tests quiet."""


@pytest.fixture
def slack() -> Iterator[Slack]:
    server = Slack()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    library = Library(Settings(index=tmp_path_factory.mktemp("slack") / "index"))
    library.begin()
    assert library.add(NEWS).added == 4
    return library


def bot(slack: Slack, library: Library) -> App:
    app = App(client=WebClient("xoxb-test", base_url=f"{slack.url}/api/"))
    answer_in(app, library)
    return app


def command(slack: Slack, text: str) -> dict[str, Any]:
    return {
        "command": "/news",
        "text": text,
        "user_id": "U1",
        "team_id": "T1",
        "channel_id": "C1",
        "response_url": f"{slack.url}/respond",
    }


def send(app: App, body: dict[str, Any]) -> None:
    answer = app.dispatch(BoltRequest(body=body, mode="socket_mode"))
    assert (answer.status, answer.body) == (200, "")  # acknowledged, and nothing said yet


# ---------------------------------------------------------------------- what comes back


def shown(message: dict[str, Any]) -> list[Block]:
    """Return a message's blocks, each looked at as Slack would: by the rules of the SDK's own models."""
    given = message["blocks"]
    blocks = Block.parse_all(json.loads(given) if isinstance(given, str) else given)
    for block in blocks:
        block.validate_json()
        assert isinstance(block, RichTextBlock | ActionsBlock)
    return blocks


def titles(message: dict[str, Any]) -> list[str]:
    blocks = [block.to_dict() for block in shown(message) if isinstance(block, RichTextBlock)]
    return [block["elements"][0]["elements"][0]["text"] for block in blocks if len(block["elements"]) == 2]


def pressed(slack: Slack, message: dict[str, Any]) -> dict[str, Any]:
    (button,) = shown(message)[-1].to_dict()["elements"]
    assert button["text"]["text"] == "More"
    return {
        "type": "block_actions",
        "user": {"id": "U1"},
        "team": {"id": "T1"},
        "channel": {"id": "C1"},
        "response_url": f"{slack.url}/respond",
        "actions": [{**button, "action_ts": "1"}],
    }


def test_news_is_answered_with_three_hits_and_the_rest_on_demand(slack: Slack, library: Library) -> None:
    app = bot(slack, library)
    send(app, command(slack, QUESTION))
    path, message = slack.next()
    assert path == "/respond"
    assert "response_type" not in message  # shown to who asked
    first = titles(message)
    send(app, pressed(slack, message))
    path, more = slack.next()
    assert (path, more["replace_original"]) == ("/respond", False)
    assert len(first) == 3
    assert sorted(first + titles(more)) == sorted(one.title for one in NEWS)
    assert not any(isinstance(block, ActionsBlock) for block in shown(more))


def test_a_hit_names_its_article_and_marks_the_sentence(library: Library) -> None:
    message = reply(library, "was an okapi born")
    note, hit = (block.to_dict() for block in shown(message)[:2])
    assert note["elements"][0]["elements"][0]["text"].startswith("was an okapi born")
    assert hit["elements"] == [
        {
            "type": "rich_text_section",
            "elements": [
                {
                    "type": "link",
                    "url": "https://zoo.example/okapi?a=1&b=2",
                    "text": "A young okapi & its keeper",
                    "style": {"bold": True},
                },
                {"type": "text", "text": "\n1 June 2024 · Basel Courier\n"},
            ],
        },
        {
            "type": "rich_text_quote",
            "elements": [
                {"type": "text", "text": "It is the talk of town. "},
                {"type": "text", "text": "One okapi was born in the zoo of Basel at night.", "style": {"bold": True}},
                {"type": "text", "text": " ‹!channel> *come* and see."},
            ],
        },
    ]


def test_what_an_article_lacks_is_left_out(library: Library) -> None:
    zebra = hit_of("zebra", reply(library, "zebra"))
    assert zebra["elements"][0]["elements"] == [
        {"type": "text", "text": "A young zebra & its keeper", "style": {"bold": True}},
        {"type": "text", "text": "\nundated · Basel Courier\n"},
    ]


def hit_of(name: str, message: dict[str, Any]) -> dict[str, Any]:
    hits = [block.to_dict() for block in shown(message)[1:] if isinstance(block, RichTextBlock)]
    (found,) = [hit for hit in hits if name in str(hit["elements"][0])]
    return found


def test_a_link_leads_to_the_servers_page_where_the_article_has_none(
    library: Library, serving: Callable[..., Any]
) -> None:
    with serving(library) as server, Client(str(server.base_url), timeout=120) as client:
        link = hit_of("zebra", reply(client, "zebra"))["elements"][0]["elements"][0]
    assert (link["type"], link["url"]) == ("link", f"{client.url}/read/{article_id('zebra')}")


def test_a_mention_is_answered_in_its_thread(slack: Slack, library: Library) -> None:
    app = bot(slack, library)
    event = {"type": "app_mention", "user": "U1", "text": "<@UBOT> okapi &amp; keeper", "ts": "17.1", "channel": "C1"}
    send(app, {"type": "event_callback", "team_id": "T1", "event": event})
    path, message = slack.next()
    assert path == "/api/chat.postMessage"
    assert (message["channel"], message["thread_ts"]) == ("C1", "17.1")
    assert message["text"] == "News: okapi &amp; keeper"
    assert titles(message)[0] == "A young okapi & its keeper"
    send(app, {"type": "event_callback", "team_id": "T1", "event": {**event, "ts": "18.1", "thread_ts": "17.1"}})
    assert slack.next()[1]["thread_ts"] == "17.1"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("<@UBOT> what is &lt;new&gt;?", "what is <new>?"),
        ("hey <@UBOT|news>", "hey news"),
        ("<!here> <https://a.example/b|a.example> in <#C1|general>", "a.example in general"),
        ("<https://a.example>", "https://a.example"),
        ("<@UBOT>", ""),
        ("  source:reuters   grain ", "source:reuters grain"),
    ],
)
def test_what_people_type_is_read_without_slacks_mark_up(typed: str, meant: str) -> None:
    assert asked(typed) == meant


# ---------------------------------------------------------------------- said kindly


def test_what_is_wrong_is_said_kindly_and_marks_nothing_up(library: Library, tmp_path: Path) -> None:
    def text(one: Library | Client, question: str) -> str:
        message = reply(one, question)
        assert "blocks" not in message
        return str(message["text"])

    assert text(library, "").startswith("Ask in your own words, such as: /news what does Russia want")
    assert text(library, "grain after:2024 before:2023 <!channel>") == (
        "After (2024-01-01) is later than before (2023-12-31)."
    )
    assert text(library, 'born "<!channel> never said"') == 'Nothing was found for: born "&lt;!channel&gt; never said"'
    none = tmp_path / "none"
    empty = text(Library(Settings(index=none)), "okapi")
    assert empty.startswith(f"There is no index in {none}.")
    with Client("http://127.0.0.1:1") as client:
        assert text(client, "okapi").endswith("Searchsvc serve starts a server.")


def test_doubt_is_said(library: Library) -> None:
    note = shown(reply(library, "how much does a barrel of oil cost"))[0].to_dict()
    (text,) = note["elements"][0]["elements"]
    assert text["text"] == "how much does a barrel of oil cost · nothing convincing was found; this is the nearest"
    assert text["style"] == {"italic": True}


def test_tokens_come_from_the_environment_alone() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLACK_")}
    typed = [sys.executable, "-m", "searchsvc.connectors.slack"]
    done = subprocess.run(typed, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "set SLACK_BOT_TOKEN and SLACK_APP_TOKEN in the environment" in done.stderr
    environment["SLACK_BOT_TOKEN"] = "xoxb-1"
    done = subprocess.run(typed, env=environment, capture_output=True, text=True, check=False)
    assert "set SLACK_APP_TOKEN in the environment" in done.stderr


def test_slack_that_cannot_be_reached_is_said_in_one_line() -> None:
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:1", "SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}
    typed = [sys.executable, "-m", "searchsvc.connectors.slack", "--url", "http://127.0.0.1:1"]
    done = subprocess.run(typed, env={**os.environ, **nowhere}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("searchsvc: Slack cannot be reached, or refuses the tokens: ")
    assert "Traceback" not in done.stderr


# ---------------------------------------------------------------------- over the socket


@contextmanager
def socket_mode(slack: Slack, talk: Callable[[ServerConnection], None]) -> Iterator[None]:
    with serve(talk, "127.0.0.1", 0) as server:
        slack.socket_url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


def test_a_command_over_the_socket_is_acknowledged_before_the_search_begins(slack: Slack, library: Library) -> None:
    acknowledged = threading.Event()
    over = threading.Event()
    heard: list[dict[str, Any]] = []

    class Gated(Library):
        def search(self, *asked: Any, **conditions: Any) -> Any:
            assert acknowledged.wait(PATIENCE)
            return super().search(*asked, **conditions)

    def talk(connection: ServerConnection) -> None:
        connection.send(json.dumps({"type": "hello", "num_connections": 1}))
        payload = command(slack, QUESTION)
        envelope = {"envelope_id": "E1", "type": "slash_commands", "payload": payload, "accepts_response_payload": True}
        connection.send(json.dumps(envelope))
        heard.append(json.loads(connection.recv(PATIENCE)))
        acknowledged.set()
        over.wait(PATIENCE)

    with socket_mode(slack, talk):
        handler = SocketModeHandler(bot(slack, Gated(library.settings)), "xapp-test")
        handler.connect()  # type: ignore[no-untyped-call]
        path, message = slack.next()
        over.set()
        handler.close()  # type: ignore[no-untyped-call]
    assert [one["envelope_id"] for one in heard] == ["E1"]
    assert path == "/respond"
    assert len(titles(message)) == 3
