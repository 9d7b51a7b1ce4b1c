"""The server's limits of time and size: a real process, raw sockets, and clients that are slow, endless or many."""

import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from searchsvc.interfaces.http.bodies import BODY_LIMITS, MIB, SMALL, BodyRefused, must_be_simple
from searchsvc.interfaces.http.middleware import MAX_LARGE_BODIES, Limits
from searchsvc.library import Library
from searchsvc.readers.fields import from_record
from searchsvc.settings import Settings

LIMITS = Limits(head_seconds=2.0, idle_seconds=2, body_seconds=2.0, answer_seconds=0.5, address_connections=100)
SERVE = f"""
import sys
from pathlib import Path
from searchsvc.interfaces.http.middleware import Limits
from searchsvc.interfaces.http.server import serve
from searchsvc.library import Library
from searchsvc.settings import Settings
serve(Library(Settings(index=Path(sys.argv[1]), port=0)), {LIMITS!r})
"""
LONG = "Rain fell on the harbour all day. " * 10_000
TIMES = 30  # that it is asked for on one connection: more than the buffers between two sockets hold
PATIENCE = 60.0  # seconds after which what should happen counts as not happening
JSON = {"content-type": "application/json"}
GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@dataclass(frozen=True)
class Server:
    """A server in a process of its own, with one long article."""

    port: int
    pid: int
    article: str

    def connect(self) -> socket.socket:
        """Return a connection; what does not come within a minute counts as not coming."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_well(self) -> bool:
        """Whether another client is answered."""
        return httpx.get(f"{self.url}/healthz", timeout=10, trust_env=False).json() == {"alive": True}

    def memory(self, what: str = "VmRSS") -> int:
        """Return what the process holds, in bytes; VmHWM: has held at most."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        return int(re.findall(rf"{what}:\s+(\d+) kB", status)[0]) * 1024

    def measure_anew(self) -> None:
        """Forget what the process has held at most."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="utf-8")

    def sockets(self) -> int:
        """Return how many connections the process has open."""
        count = 0
        for file in Path(f"/proc/{self.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                count += "socket" in str(file.readlink())
        return count


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("limits") / "index"
    library = Library(Settings(index=folder))
    library.begin()
    record = {"key": "rain", "title": "Rain", "text": LONG}
    assert library.add(from_record(record, where="here", fallback_key="")).added == 1
    (hit,) = library.search("rain on the harbour").hits
    with subprocess.Popen([sys.executable, "-c", SERVE, str(folder)], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        port = int(process.stderr.readline().rpartition(":")[2])
        drain = threading.Thread(target=process.stderr.read)
        drain.start()
        try:
            found = Server(port, process.pid, hit.article.id)
            while httpx.get(f"{found.url}/readyz", trust_env=False).status_code != 200:
                time.sleep(0.05)
            httpx.get(f"{found.url}/articles/{hit.article.id}", trust_env=False)
            yield found
        finally:
            process.terminate()
            process.wait(60)
            drain.join(60)


def said(connection: socket.socket) -> bytes:
    """Return all that comes until the server closes the connection."""
    parts = []
    try:
        while part := connection.recv(1 << 20):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def refusal(answer: bytes, status: int, code: str) -> str:
    """Return why a request was refused, once its answer is seen to be whole and sealed."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0].startswith(f"http/1.1 {status}"), answer[:200]
    for wanted in ("connection: close", "x-content-type-options: nosniff", "cache-control: no-store"):
        assert wanted in lines
    error = json.loads(body)["error"]
    assert error["code"] == code
    return str(error["message"])


# ---------------------------------------------------------------------- heads


@pytest.mark.serial
def test_sixty_slow_senders_of_heads_are_dropped_and_others_answered(server: Server) -> None:
    begun = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX"
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(server.connect())) for _ in range(60)]
        for number, one in enumerate(slow):
            one.sendall(b"" if number < 20 else b"\r\n" if number < 30 else begun)
        assert server.is_well
        answers = [said(one) for one in slow]
        assert answers[:30] == [b""] * 30  # nothing was asked, nothing is said
        for answer in answers[30:]:
            assert refusal(answer, 408, "too_slow") == "no request came within 2 seconds"


@pytest.mark.parametrize(
    ("begun", "endless"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: ", b"x" * 64 * 1024),
        (
            b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n",
            b"".join(b"X-%d: %s\r\n" % (n, b"x" * 990) for n in range(64)),
        ),
        (b"GET /search?q=", b"x" * 64 * 1024),
        (
            b"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-After: ",
            b"x" * 64 * 1024,
        ),
        (
            b"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n2;name=",
            b"x" * 64 * 1024,
        ),
    ],
    ids=["header", "headers", "url", "trailer", "chunk"],
)
def test_endless_heads_are_refused_and_not_held(server: Server, begun: bytes, endless: bytes) -> None:
    """Ten connections would send 60 MB each, 600 MB together."""
    server.measure_anew()
    before, answers = server.memory(), []

    def flood() -> None:
        with closing(server.connect()) as connection:
            try:
                connection.sendall(begun)
                for _ in range(60 * MIB // len(endless)):
                    connection.sendall(endless)
            except OSError:
                pass
            answers.append(said(connection))

    floods = [threading.Thread(target=flood) for _ in range(10)]
    for one in floods:
        one.start()
    assert server.is_well
    for one in floods:
        one.join()
    assert server.memory("VmHWM") - before < 60 * MIB
    heard = [answer for answer in answers if answer]  # the others were cut off while they sent
    for answer in heard:
        assert answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 422 ")), answer[:100]


def test_the_largest_head_that_is_allowed_is_answered(server: Server) -> None:
    with closing(server.connect()) as connection:
        connection.sendall(GET[:-2] + b"Connection: close\r\nX-Long: " + b"x" * 60_000 + b"\r\n\r\n")
        assert said(connection).startswith(b"HTTP/1.1 200 ")
    with closing(server.connect()) as connection:
        connection.sendall(GET[:-2] + b"Connection: close\r\n" + b"X: y\r\n" * 98 + b"\r\n")
        assert said(connection).startswith(b"HTTP/1.1 200 ")
    with closing(server.connect()) as connection:
        connection.sendall(GET[:-2] + b"X: y\r\n" * 100 + b"\r\n")
        assert refusal(said(connection), 431, "too_large") == "there are more than 100 headers"


def test_an_upgrade_is_ignored_and_a_body_with_one_is_refused_instead_of_lost(server: Server) -> None:
    upgrade = b"Host: 127.0.0.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    with closing(server.connect()) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n" + upgrade + b"\r\n")
        answer = said(connection)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b'{"alive":true}')
    body = b'{"q": "rain"}'
    with closing(server.connect()) as connection:
        connection.sendall(b"POST /search HTTP/1.1\r\n" + upgrade + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        message = refusal(said(connection), 400, "bad_request")
    assert message == "a body cannot come with the header Upgrade; send it as HTTP/1.1 alone"


def test_a_request_has_one_host(server: Server) -> None:
    with closing(server.connect()) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n")
        answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_what_is_no_http_is_refused(server: Server) -> None:
    with closing(server.connect()) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert refusal(said(connection), 400, "bad_request") == "this is no request of HTTP/1.1"


@pytest.mark.serial
def test_idle_connections_are_closed_and_may_be_used_meanwhile(server: Server) -> None:
    with closing(server.connect()) as connection:
        for _ in range(3):
            connection.sendall(GET)
            answer = b""
            while b'{"alive":true}' not in answer:
                answer += connection.recv(4096)
            time.sleep(0.5)
        assert said(connection) == b""


def test_requests_are_answered_in_a_row_and_floods_of_them_cut(server: Server) -> None:
    with closing(server.connect()) as connection:
        connection.sendall(GET * 30 + GET[:-2] + b"Connection: close\r\n\r\n")
        assert said(connection).count(b'{"alive":true}') == 31
    server.measure_anew()
    before = server.memory()
    with closing(server.connect()) as connection:
        with suppress(OSError):
            connection.sendall(GET * 400_000)
        assert 0 < said(connection).count(b'{"alive":true}') <= 33
    assert server.memory("VmHWM") - before < 60 * MIB


def test_more_connections_than_allowed_are_refused(server: Server) -> None:
    with ExitStack() as stack:
        idle = [stack.enter_context(closing(server.connect())) for _ in range(LIMITS.address_connections)]
        for one in idle:
            one.sendall(GET)
            assert one.recv(4096)
        with closing(server.connect()) as connection:
            assert refusal(said(connection), 503, "too_many") == "too many connections are open"
        for one in idle:
            one.sendall(GET)
            assert one.recv(4096)
    deadline = time.monotonic() + PATIENCE
    while server.sockets() > LIMITS.address_connections // 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert server.is_well


# ---------------------------------------------------------------------- bodies


def post(path: str, length: int, *more: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
    return head.encode() + b"".join(more) + b"\r\n"


@pytest.mark.serial
def test_sixty_slow_bodies_are_not_held_and_no_search_waits_for_them(server: Server) -> None:
    server.measure_anew()
    before, answers = server.memory(), []
    sent = b'[{"text": "' + b"x" * (6 * MIB)

    def send() -> None:
        with closing(server.connect()) as connection:
            with suppress(OSError):
                connection.sendall(post("/articles", 16 * MIB) + sent)
            answers.append(said(connection))

    senders = [threading.Thread(target=send) for _ in range(60)]
    for one in senders:
        one.start()
    answer = httpx.get(f"{server.url}/search", params={"q": "rain"}, timeout=30, trust_env=False)
    assert answer.status_code == 200
    small = httpx.post(f"{server.url}/search", json={"q": "rain"}, timeout=30, trust_env=False)
    assert small.status_code == 200
    for one in senders:
        one.join()
    assert server.memory("VmHWM") - before < (MAX_LARGE_BODIES * 16 + 100) * MIB
    statuses = {answer.split(b" ", 2)[1] for answer in answers if answer}
    assert statuses <= {b"408", b"429"}
    assert b"429" in statuses


@pytest.mark.serial
def test_a_slow_body_gets_a_deadline(server: Server) -> None:
    with closing(server.connect()) as connection:
        connection.sendall(post("/search", 1_000) + b'{"q": ')
        assert refusal(said(connection), 408, "too_slow") == "the body did not come in time"
    with closing(server.connect()) as connection:  # a drop now and then is no faster
        connection.sendall(post("/search", 1_000) + b'{"q": ')
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.2):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert refusal(said(connection), 408, "too_slow")
        finally:
            stop.set()
            dripping.join()


def test_large_bodies_take_turns_before_they_are_sent(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(MAX_LARGE_BODIES):
            connection = stack.enter_context(closing(server.connect()))
            connection.sendall(post("/articles", MIB, b"Expect: 100-continue\r\n"))
            assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        with closing(server.connect()) as other:
            other.sendall(post("/articles", MIB, b"Expect: 100-continue\r\n"))
            assert other.recv(1000).startswith(b"HTTP/1.1 429 ")
        assert httpx.post(f"{server.url}/search", json={"q": "rain"}, trust_env=False).status_code == 200


@pytest.mark.parametrize(
    ("path", "size", "message"),
    [
        ("/search", SMALL, "the body is larger than 64 KiB"),
        ("/websearch", SMALL, "the body is larger than 64 KiB"),
        ("/reindex", SMALL, "the body is larger than 64 KiB"),
        ("/mcp", MIB, "the body is larger than 1 MiB"),
        ("/articles", 16 * MIB, "the body is larger than 16 MiB"),
    ],
)
def test_each_route_has_its_largest_body(server: Server, path: str, size: int, message: str) -> None:
    url = f"{server.url}{path}"
    for content in (b" " * (size + 1), iter([b" " * size, b" "])):
        answer = httpx.post(url, content=content, headers=JSON, timeout=30, trust_env=False)
        assert (answer.status_code, answer.json()["error"]["message"]) == (413, message)
    answer = httpx.post(url, content=b" " * size, headers=JSON, timeout=30, trust_env=False)
    assert answer.status_code != 413


def test_chunks_are_put_together(server: Server) -> None:
    asked = json.dumps({"q": "rain on the harbour"}).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % one for one in asked)
    with closing(server.connect()) as connection:
        connection.sendall(
            b"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        )
        answer = said(connection)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"key":"rain"' in answer


# ---------------------------------------------------------------------- answers


def article(server: Server, times: int) -> bytes:
    asked = f"GET /articles/{server.article} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode()
    return (asked + b"\r\n") * (times - 1) + asked + b"Connection: close\r\n\r\n"


@pytest.mark.parametrize("times", [1, TIMES])
def test_an_answer_that_nobody_takes_is_let_go(server: Server, times: int) -> None:
    asked = article(server, times)
    before = server.sockets()
    with ExitStack() as stack:
        for _ in range(10):
            connection = stack.enter_context(closing(socket.socket()))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", server.port))
            connection.sendall(asked)
        assert server.is_well
        deadline = time.monotonic() + PATIENCE
        while server.sockets() > before + 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.serial
def test_an_answer_that_is_taken_slowly_is_given_whole(server: Server) -> None:
    with closing(socket.socket()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(article(server, TIMES))
        size, began = 0, time.monotonic()
        while part := connection.recv(1 << 18):
            size += len(part)
            if time.monotonic() - began < 2.0:
                time.sleep(0.05)
    assert size > len(LONG) * TIMES


# ---------------------------------------------------------------------- JSON

SIZE = BODY_LIMITS["/articles"].size
HOSTILE: dict[str, Callable[[], bytes]] = {
    "arrays": lambda: b"[" * SIZE,
    "objects": lambda: b'{"a":' * (SIZE // 5),
    "ends": lambda: b"]" * SIZE,
    "keys": lambda: b"{" + b",".join(b'"%x":1' % number for number in range(1_200_000)) + b"}",
    "unknown": lambda: b'{"text":"a"' + b"".join(b',"%x":1' % number for number in range(20_000)) + b"}",
    "articles": lambda: b"[" + b",".join([b'{"a":1,"b":2,"c":3}'] * 5_000) + b"]",
    "numbers": lambda: b"[" + b"1," * (SIZE // 2 - 2) + b"1]",
    "escaped": lambda: b'{"x":"' + b'\\"' * (SIZE // 2 - 4) + b'"}',
    "backslashes": lambda: b'{"x":"' + b"\\\\" * (SIZE // 2 - 4) + b'"}',
    "digits": lambda: b'{"x":' + b"9" * (SIZE - 6) + b"}",
    "name": lambda: b'{"' + b"x" * (SIZE - 6) + b'":1}',
    "quotes": lambda: b'"' * SIZE,
    "spaces": lambda: b" " * SIZE,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_json_that_is_large_costs_little_and_is_refused(server: Server, kind: str) -> None:
    body = HOSTILE[kind]()
    assert len(body) <= SIZE
    server.measure_anew()
    before = server.memory()
    answer = httpx.post(f"{server.url}/articles", content=body, headers=JSON, timeout=PATIENCE, trust_env=False)
    assert answer.status_code in {400, 413, 422}, answer.text
    assert len(answer.content) < 1_000
    assert server.memory("VmHWM") - before < 12 * SIZE


def test_unknown_names_are_refused_at_the_first(server: Server) -> None:
    for path, what in (("/articles", "field"), ("/search", "parameter")):
        body: dict[str, Any] = {"text": "a", "q": "a"} if path == "/articles" else {"q": "a"}
        body.pop("q" if path == "/articles" else "", None)
        body |= {f"x{number}": number for number in range(300)}
        answer = httpx.post(f"{server.url}{path}", json=body, trust_env=False)
        assert answer.json()["error"]["message"] == f"there is no {what} 'x0'"
    wrong = [{"text": "a"}, *[{"x": 1, "y": 2}] * 900]
    answer = httpx.post(f"{server.url}/articles", json=wrong, trust_env=False)
    assert answer.json()["error"]["message"].startswith("article 2: ")
    assert answer.json()["error"]["message"].count("article") == 2


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (b"", False),
        (b'{"q": "a, b: {[\\"[[[[[", "limit": 3}', False),
        (b'"' + b"\\\\" * 50 + b'"', False),
        (b'["' + b'\\\\\\",' * 50 + b'"]', False),  # one string of backslashes, quotes and commas
        (b"[" + b"1," * 9 + b"1]", False),
        (b"[" + b"1," * 90 + b"1]", True),
        (b"[" * 5 + b"]" * 5, False),
        (b"[" * 6 + b"]" * 6, True),
        (b'[{"a":[{"b":[1]}]}]', False),
        (b"[]" * 40, True),
        (b'""' * 40, True),
    ],
)
def test_values_are_counted_outside_strings(body: bytes, refused: bool) -> None:
    if refused:
        with pytest.raises(BodyRefused):
            must_be_simple(body, values=20, depth=5)
    else:
        must_be_simple(body, values=20, depth=5)


def test_a_query_string_has_few_parameters(server: Server) -> None:
    answer = httpx.get(f"{server.url}/search?q=a" + "&source=x" * 4_000, trust_env=False)
    assert (answer.status_code, answer.json()["error"]["message"]) == (422, "there are more than 300 parameters")


def test_a_chat_may_name_few_sources(server: Server) -> None:
    def call(**given: Any) -> str:
        asked = {"name": "search_news", "arguments": {"query": "rain", **given}}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": asked}
        accept = {"Accept": "application/json, text/event-stream"}
        answer = httpx.post(f"{server.url}/mcp", json=body, headers=accept, timeout=PATIENCE, trust_env=False)
        return str(answer.json()["result"]["content"][0]["text"])

    assert "sources may hold at most 100 names" in call(source=[f"s{number}" for number in range(101)])
    assert "sources may hold at most 100 names" in call(source=["x" * 301])
    assert call(source=list(range(2_000))).count("\nsource.") == 1
