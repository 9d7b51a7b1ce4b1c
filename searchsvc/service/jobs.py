"""The background: work that a server has done by processes of its own, so that no search waits for it.

    POST /reindex ──► Jobs ── searchsvc index ──► report        serve --watch ──► Following ── searchsvc watch

They run at a low priority, and write to the index as any other process would: the server sees what they commit. Both
stop with the server. What fails is reported to `library.health`.
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
from typing import Any

from searchsvc.catalogue import Job
from searchsvc.errors import BadInput, NotFound, SearchsvcError, Unwritable
from searchsvc.library import Library
from searchsvc.settings import Settings

STEADY = 60.0  # seconds that a process must run to count as well again after one that ended by itself
GRACE = 5.0  # seconds that a process is given to end
MOST_SAID = 16_000_000  # characters read of what a job says
MOST_PROBLEMS = 200  # kept of a job's report, of which a thousand are on record
GONE = "the server stopped before it was done"

log = logging.getLogger("searchsvc")


class Jobs:
    """Runs of `searchsvc index` over the served sources, one after another; what became of each is on record.

    How a job ended is known here at once, and put on record as soon as that can be done. A job whose process is gone
    has failed, whatever the record says.
    """

    def __init__(self, library: Library, sources: Sequence[str]) -> None:
        self._library = library
        self._sources = tuple(sources)
        self._lock = threading.Lock()  # held by the one that runs
        self._starting = threading.Lock()
        self._waiting: Job | None = None
        self._begun: dict[str, Job] = {}  # by id: those of this process whose end is not on record yet
        self._ended: dict[str, Job] = {}

    def start(self) -> Job:
        """Return a job that looks at every file after this moment: a new one, or one that waits to begin.

        Raises BadInput where nothing is served, Busy or Unwritable where it cannot be put on record.
        """
        if not self._sources:
            raise BadInput("this server serves no folders", "start it with searchsvc serve --watch PATH…")
        with self._starting:
            if self._waiting is None:
                self._library.begin()
                job = Job(secrets.token_hex(8), datetime.now(UTC), owner=self._name())
                self._record(job)
                self._begun[job.id] = job
                try:
                    threading.Thread(target=self._run, args=(job,), name="job", daemon=True).start()
                except RuntimeError as fault:  # there are too many threads
                    said = "the server has no room for another thread"
                    with suppress(SearchsvcError):
                        self._record(self._ended_with(job, _failure(said)))
                    raise Unwritable(said, "try again in a moment") from fault
                self._waiting = job
            return self._waiting

    def job(self, ident: str) -> Job:
        """Return how a job stands, whichever process does it; raises NotFound."""
        known = self._ended.get(ident) or self._begun.get(ident)
        if known is not None:
            return known
        job = self._library.catalogue.jobs.get(ident)
        if job is not None and self._is_left(job):
            # It may have ended, and its process after it, since it was looked up.
            job = self._library.catalogue.jobs.get(ident)
            if job is not None and job.ended is None:
                job = self._ended[ident] = replace(job, ended=datetime.now(UTC), result=_failure(GONE))
                with suppress(RuntimeError):  # no room for another thread: it is done when a server starts
                    threading.Thread(target=self.end_left, name="jobs", daemon=True).start()
        if job is None:
            raise NotFound(f"there is no job {ident}", "POST /reindex starts one")
        return job

    def running(self) -> list[Job]:
        """Return the jobs of this process that have not ended, the oldest first."""
        return [job for ident, job in list(self._begun.items()) if ident not in self._ended]

    def end_left(self) -> None:
        """Put on record that jobs whose process is gone have failed; tries until that is done."""
        while self._library.exists:
            try:
                for job in filter(self._is_left, self._library.catalogue.jobs.unended()):
                    self._end(job, _failure(GONE))
            except Exception as fault:  # noqa: BLE001  nothing may end this before it is done
                time.sleep(self._library.health.failed("jobs", fault))
            else:
                self._library.health.well("jobs")
                return

    def _run(self, job: Job) -> None:
        try:
            with self._lock:
                with self._starting:
                    self._waiting = None
                said = self._indexed()
        except Exception as fault:
            log.exception("job %s has failed", job.id)
            said = _failure(f"indexing could not be done: {_said(fault)}")
        self._end(job, said)

    def _indexed(self) -> str:
        """Bring the index in step; return the report, or what went wrong, as JSON."""
        process = _start(self._library.settings, ["index", "--json", *self._sources], stdout=subprocess.PIPE)
        with process:
            assert process.stdout is not None
            said = process.stdout.read(MOST_SAID + 1)
            while process.stdout.read(65_536):  # so that it can end
                pass
        if len(said) > MOST_SAID:
            return _failure(f"indexing {ending(process.returncode)} and said more than {MOST_SAID / 1e6:g} MB")
        try:
            report = json.loads(said)
        except ValueError:
            report = None
        if not isinstance(report, dict):
            return _failure(f"indexing {ending(process.returncode)} and said nothing; the server's log may say more")
        return json.dumps(_shortened(report), ensure_ascii=False)

    def _end(self, job: Job, said: str) -> None:
        """Say how a job ended, and put that on record as soon as it can be done."""
        ended = self._ended_with(job, said)
        while True:
            try:
                self._record(ended)
            except Exception as fault:  # noqa: BLE001  nothing may keep the end of a job off the record
                time.sleep(self._library.health.failed("jobs", fault))
            else:
                self._library.health.well("jobs")
                self._begun.pop(job.id, None)
                self._ended.pop(job.id, None)
                return

    def _ended_with(self, job: Job, said: str) -> Job:
        ended = replace(job, ended=datetime.now(UTC), result=said)
        return self._ended.setdefault(job.id, ended)

    def _is_left(self, job: Job) -> bool:
        return job.ended is None and not self._library.process.is_running(job.owner)

    def _name(self) -> str:
        try:
            return self._library.process.name()
        except OSError as fault:
            said = f"the index in {self._library.folder} cannot be written: {fault.strerror or fault}"
            raise Unwritable(said, "make room, or see who owns the folder") from fault

    def _record(self, job: Job) -> None:
        with self._library.catalogue.writing() as writer:
            writer.jobs.put(job)


class Following:
    """`searchsvc watch` beside a server, started again whenever it ends by itself."""

    def __init__(self, library: Library, sources: Sequence[str], *, steady: float = STEADY) -> None:
        """Name what to watch; one that has run for `steady` seconds counts as well."""
        self._library = library
        self._sources = tuple(sources)
        self._steady = steady
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
        while not self._stop.is_set():
            try:
                fault: Exception | str = f"searchsvc watch {ending(self._watch())}; the server's log may say more"
            except Exception as met:  # noqa: BLE001  such as no room for another process
                fault = met
            if not self._stop.is_set():
                self._stop.wait(self._library.health.failed("watch", fault))

    def _watch(self) -> int:
        """Run it to its end; return the exit code."""
        process = self._process = _start(self._library.settings, ["watch", *self._sources], stdout=None)
        if self._stop.is_set():
            _end(process)
        try:
            return process.wait(self._steady)
        except subprocess.TimeoutExpired:
            self._library.health.well("watch")
        return process.wait()


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
        errors="replace",
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


def ending(code: int) -> str:
    """Return how a process ended, by its exit code."""
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


def _failure(message: str) -> str:
    return json.dumps({"error": {"code": "failed", "message": message, "hint": None}})


def _said(fault: Exception) -> str:
    """Return what to say of a fault: of one that nobody foresaw only its kind, as its text may be anybody's."""
    known = fault.message if isinstance(fault, SearchsvcError) else None
    return known or (isinstance(fault, OSError) and fault.strerror) or f"an unexpected {type(fault).__name__}"


def _shortened(report: dict[str, Any]) -> dict[str, Any]:
    """Return a report without most of its problems where there are very many; the last one says how many more."""
    problems = report.get("problems", [])
    if len(problems) <= MOST_PROBLEMS:
        return report
    rest = problems[MOST_PROBLEMS:]
    reason = f"{len(rest):,} more problems; searchsvc index --json names all"
    last = {"where": "elsewhere", "reason": reason, "lost": any(one["lost"] for one in rest)}
    return {**report, "problems": [*problems[:MOST_PROBLEMS], last]}
