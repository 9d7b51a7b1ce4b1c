"""Reader processes: other people's files are read apart from the process that writes the index.

    indexing, feeds ──► ReaderProcesses ── requests ──► python -m searchsvc.readers.worker
                                        ◄── articles ──

Any file may make a library hang, crash or take all memory. Then the process that reads it is killed, what came before
is kept, and the next file gets another process. None is started before something is to be read; one that is done waits
for the next file, and ends with its owner, however that ends.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from searchsvc.errors import Busy, Unreadable
from searchsvc.readers.feed_entries import Feed, FeedEntry
from searchsvc.readers.messages import End, Failed, Message, Request, deserialize, serialize
from searchsvc.text.article import Problem, RawArticle, storable

MAX_PROCESSES, MAX_IDLE = 4, 1  # of one owner: a hundred feeds may come due in the same moment
MAX_REQUESTS = 2_000  # of one process, whose libraries may leak memory with each page: another costs 0.1 s
READ_AHEAD = 2  # messages, each as large as an article may be
START_TIMEOUT = 60.0  # seconds in which Python starts even on a machine that is very busy
KILL_TIMEOUT = 5.0  # seconds until a process that was killed is gone, unless the operating system itself is stuck
# Bytes of address space: Python with its libraries, then what a tree of a page and the copies of it take.
MEMORY, MEMORY_PER_BYTE = 1_000_000_000, 100


def memory_for(article_bytes: int) -> int:
    """Return the bytes of memory with which an article of so many bytes can be read in any format."""
    return min(MEMORY + MEMORY_PER_BYTE * article_bytes, sys.maxsize)


class ReaderProcesses:
    """Reads in processes of its own, with limits of time and memory; safe to use from many threads."""

    def __init__(self, timeout: float, memory: int) -> None:
        """Wait `timeout` seconds for each article; let a process have `memory` bytes of address space."""
        self._timeout = timeout
        self._memory = memory
        self._slots = threading.BoundedSemaphore(MAX_PROCESSES)
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []

    def read(self, path: Path, key: str, limit: int) -> Iterator[RawArticle | Problem]:
        """Yield what `readers.read` does; a process that hangs or dies is one more `Problem`, the last.

        Raises Busy where no process can be started.
        """
        try:
            yield from self._articles(Request("file", path=str(path), key=key, limit=limit))
        except Unreadable as fault:
            yield Problem(storable(str(path)), f"{fault.message}; it is read again when it has changed")

    def article_on(self, body: bytes, charset: str, url: str) -> Iterator[RawArticle | Problem]:
        """Yield the article on a page that was fetched; raises Unreadable where there is none, and Busy."""
        yield from self._articles(Request("page", len(body), key=url, url=url, charset=charset), body)

    def feed(self, body: bytes, url: str, charset: str, limit: int, *, is_page: bool) -> Feed:
        """Return the first `limit` entries of a feed that was fetched; raises Unreadable where it is none, and Busy."""
        request = Request("feed", len(body), url=url, charset=charset, limit=limit, is_page=is_page)
        entries: list[FeedEntry] = []
        with self._worker() as worker:
            messages = worker.ask(request, body)
            while isinstance(message := next(messages), FeedEntry):
                entries.append(message)
        return Feed(tuple(entries), cut_short=isinstance(message, End) and message.cut_short)

    def _articles(self, request: Request, body: bytes = b"") -> Iterator[RawArticle | Problem]:
        with self._worker() as worker:
            for message in worker.ask(request, body):
                if isinstance(message, RawArticle | Problem):
                    yield message

    @contextmanager
    def _worker(self) -> "Iterator[_Worker]":
        """Give a process to one request: an idle one, or a new one; keep it if it can be used again."""
        with self._slots:
            worker = self._idle_worker() or _Worker(self._timeout, self._memory)
            try:
                yield worker
            finally:
                with self._lock:
                    keep = worker.is_free and len(self._idle) < MAX_IDLE
                    if keep:
                        self._idle.append(worker)
                if not keep:
                    worker.end()

    def _idle_worker(self) -> "_Worker | None":
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.is_free:
                    return worker
                worker.end()
        return None


class _Worker:
    """One reader process, as its owner sees it."""

    def __init__(self, timeout: float, memory: int) -> None:
        """Start it; raises Busy where that cannot be."""
        self._timeout = timeout
        self._requests = 0
        self._is_busy = self._has_ended = self._is_late = False
        try:
            self._process = _start(timeout, memory)
        except OSError as fault:
            raise _start_failure(fault.strerror or str(fault)) from fault
        self._end = weakref.finalize(self, _kill, self._process)
        self._lines: queue.Queue[bytes] = queue.Queue(READ_AHEAD)
        assert self._process.stdout is not None
        threading.Thread(target=_pump, args=(self._process.stdout, self._lines), name="reader", daemon=True).start()
        try:
            self._next(START_TIMEOUT)
        except Unreadable as fault:
            raise _start_failure(fault.message) from fault

    @property
    def is_free(self) -> bool:
        """Whether it can take another request."""
        return not self._is_busy and self._requests < MAX_REQUESTS and self._process.poll() is None

    def ask(self, request: Request, body: bytes) -> Iterator[Message]:
        """Yield the messages that answer a request, the last being an `End`; raises Unreadable, also where it hangs."""
        self._is_busy = True
        self._requests += 1
        self._send(serialize(request), body)
        while not isinstance(message := self._next(self._timeout), End | Failed):
            yield message
        self._is_busy = False
        if isinstance(message, Failed):
            raise Unreadable(message.reason)
        yield message

    def end(self) -> int | None:
        """Kill the process; return its exit code, None where it had ended before."""
        code = self._end()
        with suppress(queue.Empty):  # where the thread that reads its messages waits for room
            while not self._has_ended:
                self._has_ended = not self._lines.get(timeout=KILL_TIMEOUT)
        return code

    def _send(self, line: bytes, body: bytes) -> None:
        assert self._process.stdin is not None
        # A page does not fit into a pipe, as a line does: where the process does not read it, this thread would hang.
        killer = threading.Timer(self._timeout, self._kill_late) if body else None
        if killer:
            killer.start()
        with suppress(OSError):  # then its messages end too, which says why
            self._process.stdin.write(line + body)
            self._process.stdin.flush()
        if killer:
            killer.cancel()

    def _kill_late(self) -> None:
        self._is_late = True
        self._process.kill()

    def _next(self, timeout: float) -> Message:
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            self.end()
            raise self._late(timeout) from None
        if line.endswith(b"\n"):
            with suppress(ValueError):
                return deserialize(line)
        self._has_ended = not line
        code = self.end()
        raise self._late(timeout) if self._is_late else Unreadable(f"the process that read it {_ending(code)}")

    def _late(self, timeout: float) -> Unreadable:
        return Unreadable(f"reading took more than {timeout:g} seconds")


def _start(timeout: float, memory: int) -> "subprocess.Popen[bytes]":
    # The same modules as here, and none from the current folder, which may be the one with the news.
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)  # noqa: PTH109
    command = [sys.executable, "-P", "-m", "searchsvc.readers.worker", str(timeout), str(memory)]
    return subprocess.Popen(  # noqa: S603
        command,
        env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C goes to the owner
    )


def _pump(source: IO[bytes], lines: "queue.Queue[bytes]") -> None:
    """Pass messages on as there is room for them, and an empty one at their end."""
    with source:
        for line in source:
            lines.put(line)
    lines.put(b"")


def _kill(process: "subprocess.Popen[bytes]") -> int | None:
    process.kill()
    with suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        return process.wait(KILL_TIMEOUT)
    return None


def _ending(code: int | None) -> str:
    if code is None or code >= 0:
        return f"ended with {code}"
    name = signal.Signals(-code).name
    return f"was ended by {name}" + (", perhaps for want of memory" if name == "SIGKILL" else "")


def _start_failure(reason: str) -> Busy:
    return Busy(f"no process can be started to read files in: {reason}", "end other programs, or make room in memory")
