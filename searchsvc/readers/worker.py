"""A reader process: it serves its owner's requests, until the owner is gone.

    requests ── stdin ──► files, pages, feeds ── readers ──► articles ── stdout ──► process.py, which starts and ends it

Its memory is limited, it writes no core dump, and holds nothing that another process needs. Only messages go to
standard output: what a library prints goes to standard error.
"""

import os
import signal
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

from searchsvc.errors import Unreadable
from searchsvc.readers import guarded, read
from searchsvc.readers.feed import fetched_feed
from searchsvc.readers.html import article_on, decode_page
from searchsvc.readers.messages import End, Failed, Message, Request, deserialize, serialize

LAST_RESORT = 2  # times the owner's timeout, after which a process whose owner cannot kill it ends itself

_Messages = Generator[Message, None, bool]  # whose return value says whether the end of the input is missing


def main() -> None:
    """Serve requests; `sys.argv` has the seconds that the owner waits for a message, and the bytes of memory."""
    timeout, memory = float(sys.argv[1]), int(sys.argv[2])
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _limit(memory)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for the owner to handle
    requests: SimpleQueue[tuple[Request, bytes]] = SimpleQueue()
    threading.Thread(target=_take_requests, args=(sys.stdin.buffer, requests), daemon=True).start()
    _send(output, End())
    while True:
        for message in _timed(_answer(*requests.get()), LAST_RESORT * timeout):
            _send(output, message)


def _answer(request: Request, body: bytes) -> Iterator[Message]:
    try:
        with guarded():
            cut_short = yield from _OPERATIONS[request.operation](request, body)
    except (OSError, Unreadable) as fault:
        yield Failed(fault.message if isinstance(fault, Unreadable) else str(fault))
    else:
        yield End(cut_short)


def _file(request: Request, _: bytes) -> _Messages:
    yield from read(Path(request.path), request.key, request.limit)
    return False


def _page(request: Request, body: bytes) -> _Messages:
    yield from article_on(decode_page(body, request.charset), request.url, request.key)
    return False


def _feed(request: Request, body: bytes) -> _Messages:
    feed = fetched_feed(body, request.url, request.charset, request.limit, is_page=request.is_page)
    yield from feed.entries
    return feed.cut_short


_OPERATIONS = {"file": _file, "page": _page, "feed": _feed}


def _take_requests(source: BinaryIO, requests: "SimpleQueue[tuple[Request, bytes]]") -> None:
    """Queue requests until the owner is gone; then end, whatever is being read."""
    with suppress(ValueError, OSError):
        while line := source.readline():
            request = deserialize(line)
            if isinstance(request, Request):
                requests.put((request, source.read(request.size)))
    os._exit(0)


def _send(output: BinaryIO, message: Message) -> None:
    try:
        output.write(serialize(message))
        output.flush()
    except BrokenPipeError:
        os._exit(0)


def _timed(messages: Iterator[Message], seconds: float) -> Iterator[Message]:
    """Yield messages; the operating system ends this process where one takes longer than so many seconds.

    The owner is quicker, unless it was killed while a library holds the interpreter, so that no thread of this process
    can see that standard input has ended.
    """
    if not hasattr(signal, "setitimer"):
        yield from messages
        return
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    while True:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        message = next(messages, None)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if message is None:
            return
        yield message


def _limit(memory: int) -> None:
    """Limit memory, write no core dump, and be the first to be killed where the machine runs out of memory."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    try:
        import resource
    except ImportError:
        return  # not on this platform
    for kind, limit in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, memory)):
        with suppress(OSError, ValueError, OverflowError):
            resource.setrlimit(kind, (limit, limit))


if __name__ == "__main__":
    main()
