"""In step: how soon a new file is found, what an unchanged library costs, and what searches feel of indexing.

    python tests/benchmarks/in_step.py --corpus FOLDER/corpus.jsonl.gz --work DIR
                                       [--articles 26000] [--new 20] [--bulk 2000] [--rate 20] [--json]

Makes DIR/news (a JSON file an article, the corpus' texts varied until there are enough, each ending in a word of its
own) and DIR/index once, and uses them again at the next run. The first index is made with random vectors in the place
of the model's, since embedding 200,000 passages takes an hour and their values change no time measured here; whatever
is indexed after that is embedded by the real model. Then, each with the real programs:

    unchanged   `searchsvc index` over all files, of which none has changed
    new file    seconds from writing a file until GET /search of a running `searchsvc serve --watch` finds it
    bulk        a client asks at a steady rate while `searchsvc index` takes in more articles: errors, wrong answers
                (the article that holds the word asked for is not first), p95 against the p95 when idle
    re-add      a tenth of the articles is deleted and added again: size and search time before and after
"""

import argparse
import gzip
import http.client
import json
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import numpy as np
from serving import free_port, wait_until_ready

from searchsvc import library, models
from searchsvc.library import Library
from searchsvc.settings import Settings

PATIENCE = 30.0  # seconds after which a new file counts as not found
IDLE = 200  # questions asked before anything else happens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--articles", type=int, default=26_000)
    parser.add_argument("--new", type=int, default=20)
    parser.add_argument("--bulk", type=int, default=2_000)
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--json", action="store_true", help="print one JSON line and no text")
    options = parser.parse_args()
    news, index = options.work / "news", options.work / "index"
    texts = corpus(options.corpus)
    prepare(texts, news, index, options.articles)
    figures: dict[str, object] = {"articles": options.articles}
    figures["unchanged_s"] = say("unchanged", unchanged(news, index))
    port = free_port("127.0.0.1")
    with serving(index, port, news):
        asked = random.Random(1).choices(range(options.articles), k=IDLE)
        figures["idle"] = idle = say("idle", client(port, asked, options.rate, stop=None))
        figures["new_file_s"] = say("new file", new_files(port, news, options.new))
        figures["bulk"] = say("bulk", bulk(port, texts, options.work / "bulk", index, options))
    figures["bulk_p95_times_idle"] = round(figures["bulk"]["p95_ms"] / idle["p95_ms"], 2)  # type: ignore[index]
    figures["re_add"] = delete_and_add_again(news, index, options.articles)
    print(json.dumps(figures, indent=None if options.json else 1))


Figure = TypeVar("Figure")


def say(what: str, figure: Figure) -> Figure:
    print(f"{what}: {figure}", file=sys.stderr, flush=True)
    return figure


# ---------------------------------------------------------------------- the library


def corpus(file: Path) -> list[tuple[str, str]]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [(one["title"], one["text"][:6_000]) for one in map(json.loads, lines)]


def word(number: int) -> str:
    return f"nid{number:06d}x"


def article(texts: list[tuple[str, str]], number: int) -> str:
    title, text = texts[number % len(texts)]
    chance = random.Random(number)
    words = text.split(" ")
    for _ in range(len(words) // 50):
        words[chance.randrange(len(words))] = chance.choice(words)
    text = f"{' '.join(words)}\n\nThe reference of this report is {word(number)}."
    return json.dumps({"id": f"n{number}", "title": title, "text": text})


def write(folder: Path, texts: list[tuple[str, str]], numbers: range) -> None:
    for number in numbers:
        file = folder / f"{number % 100:02d}" / f"{number:06d}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(article(texts, number), encoding="utf-8")


class Quick:
    """The real model, but for the vectors of passages, which are random."""

    def __init__(self, real: library.Embedder) -> None:
        self._real = real
        self._chance = np.random.default_rng(1)

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    def passages(self, texts: list[str]) -> np.ndarray:
        vectors = self._chance.standard_normal((len(texts), self._real.dimension), np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def prepare(texts: list[tuple[str, str]], news: Path, index: Path, count: int) -> None:
    if (index / "catalogue.sqlite3").exists():
        return
    write(news, texts, range(count))
    real = models.load_embedder
    models.load_embedder = lambda *args, **kwargs: Quick(real(*args, **kwargs))
    try:
        began = time.monotonic()

        def tell(_report: object, done: int, _all: int) -> None:
            if done % 1_000 == 0:
                print(f"preparing: {done:,} files, {time.monotonic() - began:.0f} s", end="\r", file=sys.stderr)

        Library(Settings(index=index)).index([news], tell)
    finally:
        models.load_embedder = real


# ---------------------------------------------------------------------- what is measured


def unchanged(news: Path, index: Path) -> float:
    """Return the least seconds of three runs over files that have not changed, as whole processes."""
    run("index", news, index=index)
    return min(run("index", news, index=index)[1] for _ in range(3))


def new_files(port: int, news: Path, count: int) -> dict[str, float]:
    took = []
    for number in range(count):
        name = f"zembla{time.time_ns()}x"
        text = f"The government of Zembla spoke of {name} on Monday. Nobody had heard of it before."
        file = news / "00" / f"new-{name}.json"
        began = time.perf_counter()
        file.write_text(json.dumps({"id": name, "title": f"News from Zembla {number}", "text": text}), encoding="utf-8")
        while not finds(port, name, name) and time.perf_counter() - began < PATIENCE:
            time.sleep(0.01)
        took.append(time.perf_counter() - began)
        time.sleep(0.3)
    p50, most = float(np.median(took)), max(took)
    return {"p50": round(p50, 3), "most": round(most, 3), "files": count}


def bulk(
    port: int, texts: list[tuple[str, str]], folder: Path, index: Path, options: argparse.Namespace
) -> dict[str, float]:
    first = random.SystemRandom().randrange(options.articles, 10**6)
    folder = folder / str(first)
    write(folder, texts, range(first, first + options.bulk))
    stop = threading.Event()
    seconds: list[float] = []

    def work() -> None:
        try:
            seconds.append(run("index", folder, index=index)[1])
        finally:
            stop.set()

    thread = threading.Thread(target=work)
    thread.start()
    chance = random.Random(2)
    found = client(port, (chance.randrange(options.articles) for _ in iter(int, 1)), options.rate, stop)
    thread.join()
    return {**found, "indexing_s": round(seconds[0], 1)}


def delete_and_add_again(news: Path, index: Path, count: int) -> dict[str, object]:
    shelf = Library(Settings(index=index))

    def state() -> dict[str, float]:
        shelf.tidy(timedelta(0))
        numbers = random.Random(3).choices(range(count), k=200)
        shelf.search("warm")
        took = []
        for number in numbers:
            began = time.perf_counter()
            shelf.search(f"the report {word(number)}")
            took.append((time.perf_counter() - began) * 1_000)
        size = shelf.status()
        return {"megabytes": round(size.bytes_on_disk / 1e6, 1), "p50_ms": round(float(np.median(took)), 2)}

    before = state()
    folders = sorted(news.iterdir())[: len(list(news.iterdir())) // 10]
    aside = news.with_name("aside")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    for folder in folders:
        folder.rename(aside / folder.name)
    removed = shelf.index([news]).removed
    shelf.tidy(timedelta(0))
    for folder in folders:
        (aside / folder.name).rename(folder)
    real = models.load_embedder
    models.load_embedder = lambda *args, **kwargs: Quick(real(*args, **kwargs))
    try:
        added = Library(Settings(index=index)).index([news]).added
    finally:
        models.load_embedder = real
    return {"removed": removed, "added": added, "before": before, "after": state()}


# ---------------------------------------------------------------------- programs and clients


def run(command: str, *paths: Path, index: Path) -> tuple[str, float]:
    began = time.perf_counter()
    typed = [sys.executable, "-m", "searchsvc", command, "--index", str(index), *map(str, paths)]
    done = subprocess.run(typed, capture_output=True, text=True, check=True)
    return done.stdout, round(time.perf_counter() - began, 2)


@contextmanager
def serving(index: Path, port: int, news: Path) -> Iterator[None]:
    typed = [sys.executable, "-m", "searchsvc", "serve", "--index", str(index), "--port", str(port)]
    server = subprocess.Popen([*typed, "--watch", str(news)], stderr=subprocess.DEVNULL)
    try:
        if not wait_until_ready(server, "127.0.0.1", port):
            sys.exit("the server did not get ready")
        time.sleep(15)  # until its watcher has looked at all files once
        yield
    finally:
        server.terminate()
        server.wait(30)


def ask(port: int, question: str) -> tuple[int, list[str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/search?limit=3&q=" + quote(question))
        response = connection.getresponse()
        body = json.loads(response.read())
        return response.status, [hit["article"]["key"] for hit in body.get("hits", ())]
    finally:
        connection.close()


def finds(port: int, question: str, key: str) -> bool:
    return ask(port, question)[1][:1] == [key]


def client(
    port: int, numbers: Iterator[int] | list[int], rate: float, stop: threading.Event | None
) -> dict[str, float]:
    """Ask for articles by their own words at a steady rate, each question on a thread of its own."""
    took: list[float] = []
    errors: list[object] = []
    wrong: list[int] = []
    threads: list[threading.Thread] = []

    def one(number: int) -> None:
        began = time.perf_counter()
        try:
            status, keys = ask(port, f"the report {word(number)}")
        except (OSError, http.client.HTTPException) as fault:
            errors.append(fault)
            return
        took.append((time.perf_counter() - began) * 1_000)
        if status != 200:
            errors.append(status)
        elif keys[:1] != [f"n{number}"]:
            wrong.append(number)

    began = time.perf_counter()
    for count, number in enumerate(numbers):
        if stop is not None and stop.is_set():
            break
        time.sleep(max(0.0, began + count / rate - time.perf_counter()))
        threads.append(threading.Thread(target=one, args=(number,)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    p50, p95 = (round(float(np.percentile(took, percent)), 1) for percent in (50, 95))
    return {"questions": len(threads), "errors": len(errors), "wrong": len(wrong), "p50_ms": p50, "p95_ms": p95}


if __name__ == "__main__":
    main()
