"""Fetching: what is asked of real servers on this machine, what is refused, and how long anything may take."""

import gzip
import ssl
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from searchsvc.ingest.fetching import Fetched, Fetcher, Unfetched, is_public, is_same_server, parsed

Site = Any  # see conftest
Answer = Any
Running = Callable[..., AbstractContextManager[Site]]

PRIVATE = "is on a private network; SEARCHSVC_PRIVATE_NETWORKS=allow lets it be fetched"


def page(body: bytes = b"hello", **headers: str) -> Answer:
    return 200, {name.replace("_", "-"): value for name, value in headers.items()}, body


def moved(target: str, status: int = 302) -> Answer:
    return status, {"Location": target}, b""


def reason(fetcher: Fetcher, url: str, *, robots: bool = False) -> str:
    with pytest.raises(Unfetched) as caught:
        fetcher.get(url, robots=robots)
    return caught.value.message


@pytest.fixture
def fetcher() -> Fetcher:
    return Fetcher(private=True, pause=0)


# What is asked, and what comes of it


def test_what_a_server_answers_comes_with_what_it_says_of_it(site: Site, fetcher: Fetcher) -> None:
    site.pages["/a?b=c"] = [page(b"caf\xe9", Content_Type='Text/HTML; Charset="ISO-8859-1"', ETag='"7"')]
    assert fetcher.get(f"{site.url}/a?b=c#part", robots=False) == Fetched(
        f"{site.url}/a?b=c#part", b"caf\xe9", "text/html", "iso-8859-1", '"7"', None
    )
    (headers,) = site.headers
    assert headers.pop("User-Agent").startswith("searchsvc")
    assert headers == {
        "Host": f"127.0.0.1:{site.port}", "Accept": "*/*", "Accept-Encoding": "gzip", "Connection": "close",
    }  # fmt: skip


def test_what_has_not_changed_is_none(site: Site, fetcher: Fetcher) -> None:
    site.pages["/"] = [(304, {}, b"")]
    day = "Tue, 18 Jun 2024 09:30:00 GMT"
    assert fetcher.get(site.url, etag='W/"7"', modified=day, robots=False) is None
    assert site.headers[0]["If-None-Match"] == 'W/"7"'
    assert site.headers[0]["If-Modified-Since"] == day
    assert reason(fetcher, site.url) == "answered 304"


def test_a_packed_body_is_unpacked(site: Site, fetcher: Fetcher) -> None:
    site.pages["/"] = [page(gzip.compress(b"hello " * 1_000), Content_Encoding="gzip")]
    fetched = fetcher.get(site.url, robots=False)
    assert fetched is not None
    assert fetched.body == b"hello " * 1_000


def test_the_environments_proxies_are_not_asked(site: Site, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    site.pages["/"] = [page()]
    fetched = fetcher.get(site.url, robots=False)
    assert fetched is not None
    assert fetched.body == b"hello"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///etc/passwd", "refused: only http and https are fetched, not file"),
        ("ftp://example.org/a", "refused: only http and https are fetched, not ftp"),
        ("gopher://127.0.0.1:25/x", "refused: only http and https are fetched, not gopher"),
        ("/a/b", "refused: only http and https are fetched, not a path"),
        ("http://", "is no URL: it names no host"),
        ("http://user:word@example.org/", "refused: the URL holds a name or a password"),
        ("http://0177.0.0.1/", "is no URL: Invalid IPv4 address: '0177.0.0.1'"),
        ("http://xn--/", "is no URL: Malformed A-label, no Punycode eligible content found"),
        ("http://[::1", "is no URL: Invalid port: ':1'"),
        ("http://a.example:99999999/", "is no URL: there is no port 99999999"),
    ],
)
def test_what_is_no_url_of_the_web_is_refused(fetcher: Fetcher, url: str, said: str) -> None:
    assert reason(fetcher, url) == said


# Private networks


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.1 (127.0.0.1)"),
        ("2130706433", "2130706433 (127.0.0.1)"),
        ("0x7f000001", "0x7f000001 (127.0.0.1)"),
        ("0x7f.1", "0x7f.1 (127.0.0.1)"),
        ("017700000001", "017700000001 (127.0.0.1)"),
        ("0.0.0.0", "0.0.0.0"),
        ("10.0.0.1", "10.0.0.1"),
        ("169.254.169.254", "169.254.169.254"),
        ("[::1]", "::1"),
        ("[64:ff9b::7f00:1]", "64:ff9b::7f00:1"),
        ("[fe80::1]", "fe80::1"),
    ],
)
def test_nothing_on_a_private_network_is_connected_to(site: Site, host: str, shown: str) -> None:
    site.pages["/"] = [page()]
    assert reason(Fetcher(pause=0), f"http://{host}:{site.port}/") == f"refused: {shown} {PRIVATE}"
    assert site.asked == []


@pytest.mark.parametrize("host", ["localhost", "[::ffff:127.0.0.1]"])
def test_this_machine_is_private_under_every_name(site: Site, host: str) -> None:
    site.pages["/"] = [page()]
    said = reason(Fetcher(pause=0), f"http://{host}:{site.port}/")
    assert said.startswith("refused: ")
    assert said.endswith(PRIVATE)
    assert site.asked == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("8.8.8.8", True),
        ("2606:4700:4700::1111", True),
        ("64:ff9b::808:808", True),  # the public internet, by way of a translator
        ("2002:808:808::1", True),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("198.18.0.1", False),
        ("203.0.113.5", False),
        ("224.0.0.1", False),
        ("239.1.1.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::8.8.8.8", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b:1::808:808", False),
        ("2001::1", False),
        ("2001:db8::1", False),
        ("2002:a00:1::1", False),
        ("fc00::1", False),
        ("fe80::1%lo", False),
        ("fec0::1", False),
        ("ff02::1", False),
    ],
)
def test_an_address_is_public_or_it_is_not(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_a_redirect_does_not_lead_into_a_private_network(site: Site) -> None:
    fetcher = Fetcher(pause=0, public=lambda address: address == "127.0.0.1")
    site.pages["/"] = [moved("http://10.0.0.1/admin")]
    site.pages["/on"] = [moved("//169.254.169.254/latest/meta-data")]
    site.pages["/file"] = [moved("file:///etc/passwd")]
    assert reason(fetcher, site.url) == f"refused: 10.0.0.1 {PRIVATE}"
    assert reason(fetcher, f"{site.url}/on") == f"refused: 169.254.169.254 {PRIVATE}"
    assert reason(fetcher, f"{site.url}/file") == "refused: only http and https are fetched, not file"


def test_a_name_is_looked_up_once_a_request_and_connected_to_where_it_was_vetted(site: Site) -> None:
    answers = [["127.0.0.1"], ["10.0.0.1"]]
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(f"{host}:{port}")
        return answers.pop(0)

    fetcher = Fetcher(pause=0, resolve=resolve, public=lambda address: address == "127.0.0.1")
    site.pages["/"] = [page()]
    url = f"http://news.example:{site.port}/"
    fetched = fetcher.get(url, robots=False)
    assert fetched is not None
    assert fetched.body == b"hello"
    assert site.headers[0]["Host"] == f"news.example:{site.port}"
    assert asked == [f"news.example:{site.port}"]
    assert reason(fetcher, url) == f"refused: news.example (10.0.0.1) {PRIVATE}"
    assert site.asked == ["/"]


def test_a_name_with_one_private_address_is_refused(site: Site) -> None:
    fetcher = Fetcher(pause=0, resolve=lambda *_: ["93.184.215.14", "192.168.0.9"])
    assert reason(fetcher, site.url.replace("127.0.0.1", "news.example")) == (
        f"refused: news.example (192.168.0.9) {PRIVATE}"
    )


def test_the_second_address_is_tried_where_the_first_is_dead(site: Site) -> None:
    fetcher = Fetcher(private=True, pause=0, resolve=lambda *_: ["127.0.0.2", "127.0.0.1"])
    site.pages["/"] = [page()]
    fetched = fetcher.get(f"http://news.example:{site.port}/", robots=False)
    assert fetched is not None
    assert fetched.body == b"hello"


@pytest.mark.skipif(which("openssl") is None, reason="needs openssl to make a certificate")
def test_a_certificate_must_be_for_the_name_that_was_asked_for(tmp_path: Path, running: Running) -> None:
    made, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=news.example"
    names = ["-addext", "subjectAltName=DNS:news.example", "-keyout", str(key), "-out", str(made)]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(made, key)
    trusting = ssl.create_default_context(cafile=str(made))
    with running(serving) as site:
        site.pages["/"] = [page()]
        fetcher = Fetcher(private=True, pause=0, resolve=lambda *_: ["127.0.0.1"], tls=trusting)
        fetched = fetcher.get(f"https://news.example:{site.port}/", robots=False)
        assert fetched is not None
        assert fetched.body == b"hello"
        assert reason(fetcher, f"https://other.example:{site.port}/") == (
            "its certificate is not valid: Hostname mismatch, certificate is not valid for 'other.example'."
        )
        plain = Fetcher(private=True, pause=0, resolve=lambda *_: ["127.0.0.1"])
        assert reason(plain, f"https://news.example:{site.port}/") == (
            "its certificate is not valid: self-signed certificate"
        )


# Redirects and retries


def test_redirects_are_followed_five_times(site: Site, fetcher: Fetcher) -> None:
    for number in range(5):
        site.pages[f"/{number}"] = [moved(f"/{number + 1}", status=(301, 302, 303, 307, 308)[number])]
    site.pages["/5"] = [page()]
    fetched = fetcher.get(f"{site.url}/0", robots=False)
    assert fetched is not None
    assert (fetched.url, fetched.body) == (f"{site.url}/5", b"hello")
    site.pages["/5"] = [moved("/0")]
    site.asked.clear()
    assert reason(fetcher, f"{site.url}/0") == "redirected more than 5 times"
    assert site.asked == ["/0", "/1", "/2", "/3", "/4", "/5"]


def test_what_a_server_gave_is_told_to_no_other(site: Site, fetcher: Fetcher, running: Running) -> None:
    held = {"etag": '"7"', "modified": "Tue, 18 Jun 2024 09:30:00 GMT"}
    names = {"If-None-Match", "If-Modified-Since"}

    def told(asked: Site) -> list[bool]:
        said = [names <= headers.keys() or bool(names & headers.keys()) for headers in asked.headers]
        asked.headers.clear()
        return said

    with running() as other:
        site.pages["/away"] = [moved(f"{other.url}/feed")]
        site.pages["/near"] = [moved("/feed")]
        other.pages["/back"] = [moved(f"{site.url}/feed")]
        site.pages["/feed"] = other.pages["/feed"] = [page(ETag='"7"')]
        fetched = fetcher.get(f"{site.url}/away", **held, robots=False)
        assert fetched is not None  # another's "unchanged" says nothing of what this server gave
        assert (fetched.url, told(site), told(other)) == (f"{other.url}/feed", [True], [False])
        assert fetcher.get(f"{site.url}/near", **held, robots=False) is None
        assert told(site) == [True, True]
        given = {**held, "given_by": fetched.url}
        assert fetcher.get(f"{site.url}/away", **given, robots=False) is None
        assert (told(site), told(other)) == ([False], [True])
        assert fetcher.get(f"{other.url}/back", **given, robots=False) is not None
        assert (told(site), told(other)) == ([False], [True])
        other.pages["/feed"] = [(304, {}, b"")]
        assert reason(fetcher, f"{site.url}/away") == "answered 304"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.example/x", "https://a.example/y", True),
        ("http://a.example/x", "https://a.example/x", True),
        ("https://a.example/x", "http://a.example/x", False),
        ("https://a.example/x", "https://www.a.example/x", False),
        ("https://a.example/x", "https://a.example:8443/x", False),
        ("https://a.example/x", "https://A.example:443/x", True),
        ("https://a.example/x", "https://a.example.evil.example/x", False),
    ],
)
def test_a_server_is_its_host_and_port(one: str, other: str, same: bool) -> None:
    assert is_same_server(parsed(one), parsed(other)) is same


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_asked_again_twice(site: Site, status: int) -> None:
    waits: list[float] = []
    fetcher = Fetcher(private=True, pause=100, sleep=waits.append)
    site.pages["/"] = [(status, {}, b""), (status, {}, b""), page()]
    fetched = fetcher.get(site.url, robots=False)
    assert fetched is not None
    assert fetched.body == b"hello"
    assert [wait for wait in waits if wait == 30] == [30, 30]  # the longest of the growing waits
    site.pages["/"] = [(status, {}, b"")]
    site.asked.clear()
    assert reason(fetcher, site.url) == f"answered {status}"
    assert site.asked == ["/"] * 3


def test_a_server_that_says_when_to_come_back_is_heard(site: Site) -> None:
    waits: list[float] = []
    fetcher = Fetcher(private=True, pause=0, sleep=waits.append)
    site.pages["/"] = [(503, {"Retry-After": "7"}, b""), page()]
    assert fetcher.get(site.url, robots=False) is not None
    assert waits == [7.0]
    site.pages["/"] = [(503, {"Retry-After": "3600"}, b"")]
    site.asked.clear()
    with pytest.raises(Unfetched, match="answered 503") as caught:
        fetcher.get(site.url, robots=False)
    assert (caught.value.passing, caught.value.retry_after, site.asked) == (True, 3600.0, ["/"])
    site.pages["/"] = [(429, {"Retry-After": formatdate(time.time() + 7_200, usegmt=True)}, b"")]
    with pytest.raises(Unfetched) as caught:
        fetcher.get(site.url, robots=False)
    assert caught.value.retry_after == pytest.approx(7_200, abs=600)
    site.pages["/"] = [(429, {"Retry-After": "soon"}, b"")]
    with pytest.raises(Unfetched) as caught:
        fetcher.get(site.url, robots=False)
    assert caught.value.retry_after is None


@pytest.mark.parametrize(("status", "passing"), [(403, False), (404, False), (410, False), (500, True), (408, True)])
def test_any_other_failure_is_final(site: Site, fetcher: Fetcher, status: int, passing: bool) -> None:
    site.pages["/"] = [(status, {}, b"an error page")]
    with pytest.raises(Unfetched, match=f"^answered {status}$") as caught:
        fetcher.get(site.url, robots=False)
    assert (caught.value.passing, site.asked) == (passing, ["/"])


def test_a_server_that_hangs_up_is_asked_again(site: Site, fetcher: Fetcher) -> None:
    site.pages["/"] = [lambda _: None, page()]
    fetched = fetcher.get(site.url, robots=False)
    assert fetched is not None
    assert fetched.body == b"hello"
    site.pages["/"] = [lambda _: None]
    assert reason(fetcher, site.url) == "the connection failed: server disconnected without sending a response."
    assert len(site.asked) == 5


def test_a_dead_server_and_an_unknown_name_are_named(fetcher: Fetcher, running: Running) -> None:
    with running() as site:
        url = site.url
    assert reason(fetcher, url) == "the connection failed: connection refused"
    assert reason(fetcher, "http://no-such-host.invalid/") == "the name no-such-host.invalid is not known"


def test_an_answer_that_is_no_http_is_named(site: Site, fetcher: Fetcher) -> None:
    site.pages["/"] = [lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n") and None]
    assert reason(fetcher, site.url).startswith("the connection failed: illegal status line")


# Size and time


def test_a_body_is_not_read_beyond_the_limit(site: Site) -> None:
    fetcher = Fetcher(private=True, pause=0, body_bytes=2_000_000)
    endless = threading.Event()

    def forever(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while not endless.is_set():
                handler.wfile.write(b"x" * 65_536)
        except OSError:
            endless.set()

    site.pages["/"] = [forever]
    assert reason(fetcher, site.url) == "is larger than 2 MB"
    assert endless.wait(10)


@pytest.mark.parametrize("times", [1, 2])
def test_a_packed_bomb_is_stopped_before_it_goes_off(site: Site, times: int) -> None:
    bomb = b"\0" * 300_000_000
    for _ in range(times):
        bomb = gzip.compress(bomb, 6)
    site.pages["/"] = [page(bomb, Content_Encoding="gzip" if times == 1 else "gzip, gzip")]
    tracemalloc.start()
    said = reason(Fetcher(private=True, pause=0, body_bytes=1_000_000), site.url)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert said == ("is larger than 1 MB" if times == 1 else "is packed as gzip, gzip, which was not asked for")
    assert most < 10_000_000


@pytest.mark.parametrize(
    ("body", "coding", "said"),
    [
        (gzip.compress(b"hello" * 100, mtime=0)[:-9], "gzip", "the gzip data is cut short"),
        (b"plain", "gzip", "the gzip data is damaged"),
        (b"x", "br", "is packed as br, which was not asked for"),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_named(
    site: Site, fetcher: Fetcher, body: bytes, coding: str, said: str
) -> None:
    site.pages["/"] = [page(body, Content_Encoding=coding)]
    assert reason(fetcher, site.url) == said


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.0 200 OK\r\nX: ", b"HTTP/1.0 200 OK\r\n\r\n"])
def test_a_server_that_drips_is_given_up(site: Site, begun: bytes) -> None:
    gone = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(begun)
        try:
            while not gone.wait(0.02):
                handler.wfile.write(b"x" if begun else b"")
        except OSError:
            gone.set()

    site.pages["/"] = [drip]
    try:
        assert reason(Fetcher(private=True, pause=0, patience=0.3), site.url) == "took longer than 0.3 s"
    finally:
        gone.set()
    assert site.asked == ["/"]


# Manners


def rules(text: str) -> Answer:
    return page(text.encode(), Content_Type="text/plain")


def test_pages_are_asked_for_as_robots_txt_allows_and_feeds_without(site: Site, fetcher: Fetcher) -> None:
    site.pages["/robots.txt"] = [rules("User-agent: *\nDisallow: /private\nAllow: /private/open\n")]
    for path in ("/private/a", "/private/open", "/a"):
        site.pages[path] = [page()]
    site.pages["/away"] = [moved("/private/a")]
    for path in ("/private/a", "/away"):
        assert reason(fetcher, f"{site.url}{path}", robots=True) == "robots.txt does not allow it"
    for path in ("/private/open", "/a"):
        assert fetcher.get(f"{site.url}{path}") is not None
    assert site.asked == ["/robots.txt", "/away", "/private/open", "/a"]
    assert fetcher.get(f"{site.url}/private/a", robots=False) is not None


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("User-agent: searchsvc\nDisallow: /\n", False),
        ("User-agent: other\nDisallow: /\n", True),
        ("User-agent: search\nDisallow: /\n", True),
        ("User-agent: news\nDisallow: /\n", True),
        ("User-agent: *\nDisallow: /\n\nUser-agent: Searchsvc/1.0\nAllow: /\n", True),
        ("User-agent: other\nUser-agent: searchsvc # us\nDisallow: /\n", False),
        ("user agent searchsvc\ndisallow /\n", False),
        ("", True),
        ("<html>Not found</html>", True),
    ],
)
def test_robots_txt_may_name_us(site: Site, fetcher: Fetcher, text: str, allowed: bool) -> None:
    site.pages["/robots.txt"] = [rules(text)]
    site.pages["/a"] = [page()]
    if allowed:
        assert fetcher.get(f"{site.url}/a") is not None
    else:
        assert reason(fetcher, f"{site.url}/a", robots=True) == "robots.txt does not allow it"


def test_a_site_without_robots_txt_allows_all_and_one_that_fails_to_say_is_waited_for(
    site: Site, fetcher: Fetcher, running: Running
) -> None:
    site.pages["/a"] = [page()]
    assert fetcher.get(f"{site.url}/a") is not None
    with running() as ailing:
        ailing.pages["/robots.txt"] = [(500, {}, b"")]
        for _ in range(2):
            with pytest.raises(Unfetched) as caught:
                fetcher.get(f"{ailing.url}/a")
            assert caught.value.message == "its robots.txt cannot be had (answered 500)"
            assert caught.value.passing
        assert ailing.asked == ["/robots.txt"]


def test_a_robots_txt_for_thousands_of_programs_costs_little(site: Site, fetcher: Fetcher) -> None:
    names = "".join(f"User-agent: a{number}\n" for number in range(15_000))
    paths = "".join(f"Disallow: /{number}\n" for number in range(15_000))
    site.pages["/robots.txt"] = [rules("User-agent: *\nDisallow: /b\n\n" + names + paths)]
    site.pages["/1"] = [page()]
    tracemalloc.start()
    assert fetcher.get(f"{site.url}/1") is not None
    assert reason(fetcher, f"{site.url}/b", robots=True) == "robots.txt does not allow it"
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 50_000_000


def test_there_is_a_pause_between_two_requests_to_a_host_and_a_longer_one_where_it_asks(site: Site) -> None:
    waits: list[float] = []
    fetcher = Fetcher(private=True, pause=10_000, sleep=waits.append)
    site.pages["/"] = [page()]
    site.pages["/robots.txt"] = [rules("User-agent: *\nCrawl-delay: 20000\n")]
    fetcher.get(site.url, robots=False)
    assert waits == []
    fetcher.get(site.url, robots=False)
    assert [round(wait, -3) for wait in waits] == [10_000]
    fetcher.get(f"http://localhost:{site.port}/", robots=False)
    assert [round(wait, -3) for wait in waits] == [10_000]
    slower = Fetcher(private=True, pause=0, sleep=waits.append)
    waits.clear()
    for _ in range(2):
        slower.get(site.url)
    assert [round(wait) for wait in waits] == [30]  # no more than that, whatever it asks


def test_a_host_is_asked_one_thing_at_a_time(site: Site, fetcher: Fetcher) -> None:
    now, most, counting = 0, 0, threading.Lock()

    def count(handler: BaseHTTPRequestHandler) -> None:
        nonlocal now, most
        with counting:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with counting:
            now -= 1
        handler.send_response(200)
        handler.end_headers()

    site.pages["/"] = [count]
    with ThreadPoolExecutor(4) as pool:
        fetched = list(pool.map(lambda _: fetcher.get(site.url, robots=False), range(8)))
    assert [one and one.body for one in fetched] == [b""] * 8
    assert most == 1
