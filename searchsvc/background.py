"""The background: work that a server has done by processes of its own, so that no search waits for it.

    POST /reindex ──► Jobs ── searchsvc index ──► report        serve --watch ──► Following ── searchsvc watch

They run at a low priority, and write to the index as any other process would: the server sees what they commit. Both
stop with the server.
"""

import json
import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from searchsvc.catalogue import Job
from searchsvc.errors import NotFound, SearchsvcError
from searchsvc.library import Library
from searchsvc.settings import Settings

PAUSE, LONGEST_PAUSE = 2.5, 60.0  # seconds until a process that ended by itself is started again, longer each time
GRACE = 5.0  # seconds that a process is given to end

log = logging.getLogger("searchsvc")


class Jobs:
    """Runs of `searchsvc index` over the served sources, one after another; what became of each is on record."""

    def __init__(self, library: Library, sources: Sequence[str]) -> None:
        self._library = library
        self._sources = tuple(sources)
        self._lock = threading.Lock()  # held by the one that runs
        self._starting = threading.Lock()
        self._waiting: Job | None = None

    def start(self) -> Job:
        """Return a job that looks at every file after this moment: a new one, or one that waits to begin."""
        with self._starting:
            if self._waiting is None:
                self._library.begin()
                self._waiting = Job(secrets.token_hex(8), datetime.now(UTC))
                self._record(self._waiting)
                threading.Thread(target=self._run, args=(self._waiting,), name="job", daemon=True).start()
            return self._waiting

    def _run(self, job: Job) -> None:
        with self._lock:
            with self._starting:
                self._waiting = None
            process = _start(self._library.settings, ["index", "--json", *self._sources], stdout=subprocess.PIPE)
            with process:
                assert process.stdout is not None
                said = process.stdout.read()
        try:
            json.loads(said)
        except ValueError:
            said = _failure(f"indexing {_ending(process.returncode)} and said nothing; the server's log may say more")
        self._record(replace(job, ended=datetime.now(UTC), said=said))

    def _record(self, job: Job) -> None:
        with self._library.catalogue.writing() as writer:
            writer.set_job(job)


def job_of(library: Library, ident: str) -> Job:
    """Return how a job stands, whichever process does it; raises NotFound."""
    job = library.catalogue.job(ident)
    if job is None:
        raise NotFound(f"there is no job {ident}", "POST /reindex starts one")
    return job


def end_jobs(library: Library) -> None:
    """Put on record that the jobs of a server that was here before, and was killed, are not done any more."""
    if library.exists:
        with suppress(SearchsvcError), library.catalogue.writing() as writer:
            writer.end_jobs(_failure("the server stopped before it was done"))


class Following:
    """`searchsvc watch` beside a server, started again whenever it ends by itself."""

    def __init__(self, settings: Settings, sources: Sequence[str]) -> None:
        self._settings = settings
        self._sources = tuple(sources)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="following", daemon=True)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Following":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._process is not None:
            _end(self._process)
        self._thread.join(2 * GRACE)

    def _run(self) -> None:
        pause = PAUSE
        while not self._stop.is_set():
            began = time.monotonic()
            process = self._process = _start(self._settings, ["watch", *self._sources], stdout=None)
            if self._stop.is_set():
                _end(process)
            code = process.wait()
            if self._stop.is_set():
                return
            pause = PAUSE if time.monotonic() - began > LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
            log.warning("searchsvc watch %s; it is started again in %g seconds", _ending(code), pause)
            self._stop.wait(pause)


def _start(settings: Settings, typed: Sequence[str], stdout: int | None) -> "subprocess.Popen[str]":
    """Start one of our commands; it ends when its standard input does, which it does when this process is gone."""
    command = [sys.executable, "-m", "searchsvc", typed[0], "--until-eof", *typed[1:]]
    return subprocess.Popen(  # noqa: S603  no shell, and sources that the server's owner named
        command,
        env={**os.environ, **settings.environment()},
        stdin=subprocess.PIPE,
        stdout=sys.stderr if stdout is None else stdout,
        text=True,
        encoding="utf-8",
    )


def _end(process: "subprocess.Popen[str]") -> None:
    """End a process: asked, then told, then killed. What it had committed is safe in any case."""
    with suppress(OSError, ValueError):
        if process.stdin is not None:
            process.stdin.close()
    for insist in (process.terminate, process.kill):
        try:
            process.wait(GRACE)
            return
        except subprocess.TimeoutExpired:
            insist()
    process.wait()


def _ending(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


def _failure(message: str) -> str:
    return json.dumps({"error": {"code": "failed", "message": message, "hint": None}})
