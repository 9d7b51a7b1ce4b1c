"""Writers that come to harm: each job is done by a process of its own, which can be killed or starved at a named place.

    python tests/faults/writers.py < jobs      a job a line, as JSON:

    {"index": FOLDER, "settings": {…}, "steps": [[NAME, ARGUMENT…]…], "fault": [PLACE, NUMBER, DEED…], "clock": SECONDS,
     "trace": false}

Everything is imported once and each job forked off, so that a kill costs milliseconds. A line of JSON comes back when a
job has begun, after each of its steps, and when it has ended. A place is where something is about to be done that lasts
(see `PLACES`); the deed is done when it is reached for the NUMBER-th time:

    kill                kill -9 of itself
    limit               from here on no file can be written to (RLIMIT_FSIZE)
    fill FILE           the disk that the file lies on is filled
    write FILE TEXT     a file is changed
"""

import contextlib
import datetime
import io
import json
import os
import re
import resource
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import conftest
import faiss
import filelock
import tantivy

from searchsvc import library, models
from searchsvc.catalogue import backup as copies
from searchsvc.catalogue import connection as db
from searchsvc.engines.local import dense, lexical
from searchsvc.engines.local import manifest as ledger
from searchsvc.errors import SearchsvcError
from searchsvc.ingest import indexer as indexing
from searchsvc.ingest import reembed as moving
from searchsvc.ingest.prepare import Preparer
from searchsvc.interfaces import serialize as wire
from searchsvc.interfaces.cli import commands as cli
from searchsvc.interfaces.cli import print_index
from searchsvc.library import maintenance
from searchsvc.readers import process
from searchsvc.text.article import RawArticle

IMPORTED = (cli, copies, faiss, filelock, tantivy, print_index, wire)

PLACES: tuple[tuple[Any, str, Callable[..., str]], ...] = (
    (process.ReaderProcesses, "read", lambda *_: "read a file"),
    (conftest.BagOfWords, "passages", lambda *_: "embed"),
    (db.Connection, "execute", lambda _, sql, *__: " ".join(re.findall("[A-Z_a-z]+", sql)[: 1 + sql.startswith("P")])),
    (db.Connection, "executemany", lambda *_: "INSERT"),
    (dense, "write", lambda *_: "dense.write"),
    (faiss, "write_index", lambda *_: "faiss.write_index"),
    (ledger, "write", lambda file, _: f"ledger.write {file.name}"),
    (lexical.Lexical, "_write", lambda *_: "Lexical._write"),
    (lexical.Lexical, "_record", lambda *_: "Lexical._record"),
    (Path, "replace", lambda file, _: f"replace {plain(file)}"),
    (Path, "unlink", lambda file, **_: f"unlink {plain(file)}"),
    (Path, "mkdir", lambda file, *_, **__: f"mkdir {plain(file)}"),
    (shutil, "rmtree", lambda file, **_: f"rmtree {plain(file)}"),
    (os, "fsync", lambda _: "fsync"),
)
NO_PLACES = {"SELECT", "PRAGMA journal_mode", "PRAGMA synchronous", "PRAGMA foreign_keys", "PRAGMA trusted_schema",
             "PRAGMA user_version",
             "PRAGMA freelist_count", "PRAGMA page_count", "PRAGMA page_size"}  # fmt: skip


def plain(file: Path | str) -> str:
    return re.sub("[0-9]+", "N", Path(file).name)


class Fault:
    """What happens at the places."""

    def __init__(self, fault: list[Any] | None) -> None:
        self.place, self.number, *self.deed = fault or [None, 0]
        self.reached: list[str] = []
        self.counts: Counter[str] = Counter()
        for owner, name, label in PLACES:
            self._watch(owner, name, label)

    def _watch(self, owner: Any, name: str, label: Callable[..., str]) -> None:
        real = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            place = label(*args, **kwargs)
            if place not in NO_PLACES:
                self.counts[place] += 1
                self.reached.append(place)
                if (place, self.counts[place]) == (self.place, self.number):
                    self._do(*self.deed)
            return real(*args, **kwargs)

        setattr(owner, name, watched)

    def _do(self, deed: str, file: str = "", text: str = "") -> None:
        if deed == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif deed == "limit":
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        elif deed == "fill":
            fill(Path(file))
        else:
            Path(file).write_text(text)


def fill(file: Path) -> None:
    with contextlib.suppress(OSError), file.open("ab", buffering=0) as stream:
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while stream.write(bytes(size)):
                    pass


def shift_clock(seconds: float) -> None:
    """Set the clock of this process."""

    class Shifted(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return datetime.datetime.now(tz) + datetime.timedelta(seconds=seconds)

    real = time.time_ns
    time.time_ns = lambda: real() + int(seconds * 1e9)
    for name, module in list(sys.modules.items()):
        if name.startswith("searchsvc") and getattr(module, "datetime", None) is datetime.datetime:
            module.datetime = Shifted  # type: ignore[attr-defined]


def do(shelf: library.Library, name: str, *args: Any) -> object:
    if name == "index":
        report = shelf.index([Path(path) for path in args])
        return [report.lost, [problem.reason for problem in report.problems], len(report.kept)]
    if name == "add":
        return shelf.add(RawArticle(key, *text.split("\n\n", 1)) for key, text in args[0].items()).lost
    if name == "remove":
        return shelf.remove(args)
    if name == "tidy":
        return shelf.tidy(datetime.timedelta(0))
    if name in {"backup", "restore"}:
        return getattr(shelf, name)(Path(args[0]))
    if name == "search":
        return [hit.article.key for hit in shelf.search(args[0], limit=1).hits]
    if name == "verify":
        return shelf.verify().problems
    if name == "cli":
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            code = cli.run(["--index", str(shelf.folder), *args])
        return [code, said.getvalue()]
    return getattr(shelf, name)()


def work(job: dict[str, Any]) -> None:
    fault = Fault(job.get("fault"))
    if "clock" in job:
        shift_clock(job["clock"])
    settings = library.Settings(index=Path(job["index"]), **job.get("settings", {}))
    for step, *args in job["steps"]:
        try:
            tell(done=step, said=do(library.Library(settings), step, *args))
        except SearchsvcError as error:
            tell(failed=step, said=[type(error).__name__, error.message, error.hint])
        except BaseException as error:  # noqa: BLE001  whatever it is, the test shall hear of it
            tell(failed=step, said=["unexpected", repr(error)])
    if job.get("trace"):
        tell(reached=fault.reached)


def tell(**facts: object) -> None:
    os.write(1, json.dumps(facts).encode() + b"\n")


def main() -> None:
    embedder = conftest.BagOfWords()
    models.load_embedder = lambda *_, **__: embedder
    warm = RawArticle("warm", "Warm", "So that no job has to load what this takes.")
    Preparer(embedder, 160).prepare(warm, "", None, lambda _: frozenset())
    # Small, so that a few articles take every path.
    indexing.BATCH, moving.AT_ONCE, dense.FRESH_MIN, dense.FRESH_SHARE = 6, 3, 6, 0.0
    maintenance.UNUSED_SHARE, maintenance.UNUSED_BYTES = 0.0, 0
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            tell(began=os.getpid())
            work(json.loads(line))
            os._exit(0)
        tell(ended=os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main()
