"""The background: work that a server has done by processes of its own, so that no search waits for it.

    POST /reindex ──► Jobs ── searchsvc index ──► report        serve --watch ──► Following ── searchsvc watch

They run at a low priority, and write to the index as any other process would: the server sees what they commit. Both
stop with the server.
"""

import json
import logging
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from searchsvc.catalogue import Job
from searchsvc.errors import NotFound
from searchsvc.library import Library
from searchsvc.settings import Settings

PAUSE = 5.0  # seconds until a process that ended by itself is started again

log = logging.getLogger("searchsvc")


class Jobs:
    """Runs of `searchsvc index` over the served folders, one after another; what became of each is on record."""

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
                self._waiting = Job(secrets.token_hex(8), os.getpid(), datetime.now(UTC))
                self._record(self._waiting)
                threading.Thread(target=self._run, args=(self._waiting,), name="job", daemon=True).start()
            return self._waiting

    def _run(self, job: Job) -> None:
        with self._lock:
            with self._starting:
                self._waiting = None
            done = _start(self._library.settings, ["index", "--json", *self._sources], stdin=subprocess.DEVNULL)
            said, _ = done.communicate()
        try:
            json.loads(said)
        except ValueError:
            message = f"indexing ended with {done.returncode} and said nothing; the server's log may say more"
            said = json.dumps({"error": {"code": "failed", "message": message, "hint": None}})
        self._record(replace(job, ended=datetime.now(UTC), said=said))

    def _record(self, job: Job) -> None:
        with self._library.catalogue.writing() as writer:
            writer.set_job(job)


def job_of(library: Library, ident: str) -> Job:
    """Return how a job stands, whichever process does it; raises NotFound."""
    job = library.catalogue.job(ident)
    if job is None:
        raise NotFound(f"there is no job {ident}", "POST /reindex starts one")
    if job.ended is None and not _is_alive(job.process):
        said = {"error": {"code": "stopped", "message": "the server stopped before it was done", "hint": None}}
        return replace(job, ended=job.began, said=json.dumps(said))
    return job


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
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()  # which tells it to stop
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            typed = ["watch", "--until-eof", *self._sources]
            self._process = _start(self._settings, typed, stdin=subprocess.PIPE)
            code = self._process.wait()
            if not self._stop.is_set():
                log.warning("searchsvc watch ended with %d; it is started again in %g seconds", code, PAUSE)
                self._stop.wait(PAUSE)


def _start(settings: Settings, typed: Sequence[str], stdin: int) -> "subprocess.Popen[str]":
    environment = {**os.environ, **settings.environment()}
    command = [sys.executable, "-m", "searchsvc", *typed]
    stdout = subprocess.PIPE if "--json" in typed else sys.stderr
    return subprocess.Popen(  # noqa: S603  no shell, and paths that the server's owner named
        command, env=environment, stdin=stdin, stdout=stdout, text=True, encoding="utf-8"
    )


def _is_alive(process: int) -> bool:
    with suppress(ProcessLookupError):
        try:
            os.kill(process, 0)
        except PermissionError:
            return True
        return True
    return False
