"""Who reaches the server, by which names, and what it tells of the machine that it runs on."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.routing import Route

from searchsvc.errors import BadInput
from searchsvc.interfaces.http.app import create_app
from searchsvc.interfaces.http.hidden_paths import HiddenPaths
from searchsvc.interfaces.http.hostnames import hostnames_of
from searchsvc.interfaces.http.server import warning
from searchsvc.library import Library
from searchsvc.settings import Settings


@contextmanager
def serving(app: Any) -> Iterator[httpx.Client]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


# ---------------------------------------------------------------------- names


def test_a_server_that_others_reach_is_called_by_its_names_alone(tmp_path: Path) -> None:
    library = Library(Settings(index=tmp_path / "index"))
    names = Settings(hostnames="News.example.org, host.docker.internal").names
    own = socket.gethostname().lower()
    accept = {"Accept": "application/json, text/event-stream"}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    with serving(create_app(library, host="0.0.0.0", hostnames=names)) as client:
        for name in ("rebound.example", "news.example.org.evil.example", "127.0.0.1.evil.example", "0x7f000001", ""):
            answers = [
                client.get("/healthz", headers={"Host": name}),
                client.post("/mcp", json=call, headers={"Host": name, **accept}),
                client.post("/articles", json={"text": "a"}, headers={"Host": name}),
            ]
            for answer in answers:
                assert (answer.status_code, answer.json()["error"]["code"]) == (400, "wrong_host"), name
        known = ("news.example.org", "NEWS.example.org:443", "host.docker.internal:8000", own, "localhost:8000")
        for name in (*known, "192.168.1.20:8000", "[2001:db8::1]:8000", "[::1]"):
            assert client.get("/healthz", headers={"Host": name}).status_code == 200, name
            listed = client.post("/mcp", json=call, headers={"Host": name, **accept})
            assert len(listed.json()["result"]["tools"]) == 6, name
        page = {"Host": "news.example.org", "Origin": "https://news.example.org"}
        assert client.post("/mcp", json=call, headers={**page, **accept}).status_code == 200
        foreign = client.post("/mcp", json=call, headers={**page, **accept, "Origin": "https://evil.example"})
        assert foreign.json()["error"]["code"] == "wrong_origin"


def test_a_server_of_this_machine_may_have_the_name_of_its_proxy(tmp_path: Path) -> None:
    library = Library(Settings(index=tmp_path / "index"))
    accept = {"Accept": "application/json, text/event-stream", "Host": "news.example.org"}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    with serving(create_app(library, hostnames={"news.example.org"})) as client:
        assert client.post("/mcp", json=call, headers=accept).status_code == 200
        assert client.get("/healthz", headers={"Host": "192.168.1.20"}).status_code == 400
        assert client.get("/healthz", headers={"Host": socket.gethostname() + ".evil.example"}).status_code == 400


@pytest.mark.parametrize("name", ["https://news.example.org", "news.example.org:80", "a b", "*", "news/x"])
def test_what_is_no_name_of_a_host_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="is no name of a host"):
        Settings(hostnames=name)


def test_a_server_that_others_reach_says_who_can_write() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.0.0.2"):
        assert warning(Settings(host=host), "http://here") is None
    said = warning(Settings(host="0.0.0.0", hostnames="news.example.org"), "http://0.0.0.0:8000")
    assert said is not None
    assert said.startswith("whoever reaches http://0.0.0.0:8000 can search, read, add and delete articles")
    assert "news.example.org" in said
    assert "evil.example" not in hostnames_of("0.0.0.0")
    assert "192.168.7.7" in hostnames_of("192.168.7.7")
    assert "10.0.0.1" not in hostnames_of("127.0.0.1")


# ---------------------------------------------------------------------- places


def test_no_path_of_the_machine_is_told_over_http(tmp_path: Path) -> None:
    home = tmp_path / "home of ann"
    index, news = home / "my index", home / "all the news"
    news.mkdir(parents=True)
    (news / "bad.jsonl").write_text('{"title": "no text"}\n{', encoding="utf-8")
    (news / "good.txt").write_text("Rain\n\nRain fell all day.", encoding="utf-8")
    library = Library(Settings(index=index, model=str(home / "models" / "mini"), rerank=str(home / "models" / "big")))
    seen: list[httpx.Response] = []
    with serving(create_app(library, sources=[str(news), "https://feeds.example/home/a/b.xml"])) as client:
        ask = client.get
        seen += [
            ask("/readyz"),
            ask("/status"),
            ask("/search?q=a"),
            ask("/?q=a"),
            ask("/articles/x"),
            ask("/brief?q=a"),
        ]
        seen.append(client.post("/articles", json={"text": "a"}))  # there is no such model
        seen.append(client.post("/reindex"))
        accept = {"Accept": "application/json, text/event-stream"}
        call = {"name": "search", "arguments": {"query": "rain"}}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        seen.append(client.post("/mcp", json=body, headers=accept))
        assert "there is no index in my index" in seen[0].json()["error"]["message"]
        assert "there is no index in my index" in seen[3].text
        assert "there is no index in my index" in seen[-1].text
    plain = Library(Settings(index=index))
    plain.index([news])
    with serving(create_app(plain, sources=[str(news)])) as client:
        status = client.get("/status")
        assert (status.json()["index"], status.json()["articles"]) == ("my index", 1)
        assert plain.status().index == str(index)
        job = client.post("/reindex")
        done = client.get(job.headers["location"])
        while done.json()["state"] == "running":
            time.sleep(0.1)
            done = client.get(job.headers["location"])
        where = [problem["where"] for problem in done.json()["report"]["problems"]]
        assert where
        assert all(one.startswith("all the news/bad.jsonl") for one in where)
        seen += [status, job, done]
        index.rename(home / "gone")
        seen += [client.get("/status"), client.get("/search?q=rain"), client.get("/articles/x")]
    for answer in seen:
        for secret in ("home of ann", str(tmp_path), str(Path.home()) + "/", str(Path.cwd())):
            assert secret not in answer.text, answer.text


def test_paths_are_shown_from_the_folder_that_is_served() -> None:
    hidden = HiddenPaths(["/srv/my news", "/srv/index", "/models/mini", "relative/news"])
    shown = {
        "there is no index in /srv/index": "there is no index in index",
        "/srv/my news/2024/a.jsonl, line 3": "my news/2024/a.jsonl, line 3",
        "/srv/index/catalogue.sqlite3 is damaged": "index/catalogue.sqlite3 is damaged",
        "/srv/indexes/a.txt": "a.txt",
        "the model /models/mini cannot be loaded": "the model mini cannot be loaded",
        "[Errno 2] '/etc/ssl/certs/a.pem', '/home/ann/b'": "[Errno 2] 'a.pem', 'b'",
        "relative/news/a.txt": "relative/news/a.txt",
        "https://news.example/home/ann/a.html": "https://news.example/home/ann/a.html",
        "GET /docs lists what can be asked": "GET /docs lists what can be asked",
        "read and/or written; 1/2": "read and/or written; 1/2",
    }
    assert {text: hidden.hide(text) for text in shown} == shown
    assert hidden.hide_in({"a": [{"b": "/srv/index/x"}], "n": 1, "z": None}) == {
        "a": [{"b": "index/x"}],
        "n": 1,
        "z": None,
    }


# ---------------------------------------------------------------------- headers


def test_every_route_answers_sealed(tmp_path: Path) -> None:
    library = Library(Settings(index=tmp_path / "index"))
    app = create_app(library)
    routes = [
        (route.path, method) for route in app.routes if isinstance(route, Route) for method in route.methods or ()
    ]
    assert {"/docs", "/openapi.json", "/mcp", "/", "/search", "/healthz"} <= {path for path, _ in routes}
    with serving(app) as client:
        client.post("/articles", json={"key": "rain", "title": "Rain", "text": "Rain fell."})
        ident = client.get("/search?q=rain").json()["hits"][0]["article"]["id"]
        answers = [client.get("/nowhere"), client.get("/docs", headers={"Host": "evil.example"})]
        answers += [client.get("/?q=rain"), client.get("/search?q=rain"), client.get("/brief?q=rain")]
        answers += [client.get("/search"), client.post("/search", content=b"[" * 100_000)]
        for path, method in sorted(routes):
            answers.append(client.request(method, path.replace("{id}", ident if method != "DELETE" else "none")))
    for answer in answers:
        told = f"{answer.request.method} {answer.url} {answer.status_code}"
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; "), told
        assert "frame-ancestors 'none'" in policy, told
        assert "unsafe" not in policy, told
        assert "script-src" not in policy, told
        assert answer.headers["x-content-type-options"] == "nosniff", told
        assert answer.headers["referrer-policy"] == "no-referrer", told
        assert answer.headers["cache-control"] == "no-store", told
        assert "<script" not in answer.text, told
