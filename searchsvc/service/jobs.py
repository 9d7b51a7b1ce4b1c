"""Jobs and the watch of a server, run by processes of their own so that no search waits for them.

    POST /reindex ──► Jobs ── searchsvc index ──► report        serve --watch ──► WatchProcess ── searchsvc watch

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

STEADY_SECONDS = 60.0  # that a process must run to count as well again after one that ended by itself
STOP_SECONDS = 5.0  # that a process is given to end
MAX_OUTPUT = 16_000_000  # characters read of what a job prints
MAX_PROBLEMS = 200  # of a job's report that are kept
ABANDONED = "the server stopped before it was done"

log = logging.getLogger("searchsvc")


class Jobs:
    """Runs of `searchsvc index` over the served sources, one after another; each is on record.

    How a job ended is known here at once, and recorded as soon as the catalogue can be written. A job whose process is
    gone has failed, whatever the record says.
    """

    def __init__(self, library: Library, sources: Sequence[str]) -> None:
        self._library = library
        self._sources = tuple(sources)
        self._running = threading.Lock()  # held by the job that runs
        self._starting = threading.Lock()
        self._waiting: Job | None = None
        self._unrecorded: dict[str, Job] = {}  # by id: jobs of this process whose end is not on record yet
        self._ended: dict[str, Job] = {}

    def start(self) -> Job:
        """Return a job that will scan every file after this moment: a new one, or one that waits to begin.

        Raises BadInput where nothing is served, Busy or Unwritable where it cannot be recorded.
        """
        if not self._sources:
            raise BadInput("this server serves no folders", "start it with searchsvc serve --watch PATH…")
        with self._starting:
            if self._waiting is None:
                self._library.begin()
                job = Job(secrets.token_hex(8), datetime.now(UTC), owner=self._name())
                self._record(job)
                self._unrecorded[job.id] = job
                try:
                    threading.Thread(target=self._run, args=(job,), name="job", daemon=True).start()
                except RuntimeError as fault:  # there are too many threads
                    message = "the server has no room for another thread"
                    with suppress(SearchsvcError):
                        self._record(self._ended_with(job, _failure(message)))
                    raise Unwritable(message, "try again in a moment") from fault
                self._waiting = job
            return self._waiting

    def job(self, ident: str) -> Job:
        """Return the state of a job, whichever process runs it; raises NotFound."""
        own = self._ended.get(ident) or self._unrecorded.get(ident)
        if own is not None:
            return own
        job = self._library.catalogue.jobs.get(ident)
        if job is not None and self._is_abandoned(job):
            # It may have ended, and its process after it, since it was looked up.
            job = self._library.catalogue.jobs.get(ident)
            if job is not None and job.ended is None:
                job = self._ended[ident] = replace(job, ended=datetime.now(UTC), result=_failure(ABANDONED))
                with suppress(RuntimeError):  # no room for another thread: it is done when a server starts
                    threading.Thread(target=self.end_abandoned, name="jobs", daemon=True).start()
        if job is None:
            raise NotFound(f"there is no job {ident}", "POST /reindex starts one")
        return job

    def running(self) -> list[Job]:
        """Return the jobs of this process that have not ended, the oldest first."""
        return [job for ident, job in list(self._unrecorded.items()) if ident not in self._ended]

    def end_abandoned(self) -> None:
        """Record that jobs whose process is gone have failed; tries until that succeeds."""
        while self._library.exists:
            try:
                for job in filter(self._is_abandoned, self._library.catalogue.jobs.unended()):
                    self._end(job, _failure(ABANDONED))
            except Exception as fault:  # noqa: BLE001  nothing may end this before it is done
                time.sleep(self._library.health.failed("jobs", fault))
            else:
                self._library.health.well("jobs")
                return

    def _run(self, job: Job) -> None:
        try:
            with self._running:
                with self._starting:
                    self._waiting = None
                result = self._index()
        except Exception as fault:
            log.exception("job %s has failed", job.id)
            result = _failure(f"indexing could not be done: {_message(fault)}")
        self._end(job, result)

    def _index(self) -> str:
        """Run `searchsvc index`; return its report, or what went wrong, as JSON."""
        process = _start(self._library.settings, ["index", "--json", *self._sources], stdout=subprocess.PIPE)
        with process:
            assert process.stdout is not None
            output = process.stdout.read(MAX_OUTPUT + 1)
            while process.stdout.read(65_536):  # so that it can end
                pass
        if len(output) > MAX_OUTPUT:
            return _failure(f"indexing {ending(process.returncode)} and said more than {MAX_OUTPUT / 1e6:g} MB")
        try:
            report = json.loads(output)
        except ValueError:
            report = None
        if not isinstance(report, dict):
            return _failure(f"indexing {ending(process.returncode)} and said nothing; the server's log may say more")
        return json.dumps(_shorten(report), ensure_ascii=False)

    def _end(self, job: Job, result: str) -> None:
        """Note how a job ended, and record it as soon as that can be done."""
        ended = self._ended_with(job, result)
        while True:
            try:
                self._record(ended)
            except Exception as fault:  # noqa: BLE001  nothing may keep the end of a job off the record
                time.sleep(self._library.health.failed("jobs", fault))
            else:
                self._library.health.well("jobs")
                self._unrecorded.pop(job.id, None)
                self._ended.pop(job.id, None)
                return

    def _ended_with(self, job: Job, result: str) -> Job:
        ended = replace(job, ended=datetime.now(UTC), result=result)
        return self._ended.setdefault(job.id, ended)

    def _is_abandoned(self, job: Job) -> bool:
        return job.ended is None and not self._library.process.is_running(job.owner)

    def _name(self) -> str:
        try:
            return self._library.process.name()
        except OSError as fault:
            message = f"the index in {self._library.folder} cannot be written: {fault.strerror or fault}"
            raise Unwritable(message, "make room, or see who owns the folder") from fault

    def _record(self, job: Job) -> None:
        with self._library.catalogue.writing() as writer:
            writer.jobs.put(job)


class WatchProcess:
    """`searchsvc watch` beside a server, started again whenever it ends by itself."""

    def __init__(self, library: Library, sources: Sequence[str], *, steady: float = STEADY_SECONDS) -> None:
        """Name what to watch; a process that has run for `steady` seconds counts as well."""
        self._library = library
        self._sources = tuple(sources)
        self._steady = steady
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "WatchProcess":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._process is not None:
            _end(self._process)
        self._thread.join(2 * STOP_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                fault: Exception | str = f"searchsvc watch {ending(self._watch())}; the server's log may say more"
            except Exception as error:  # noqa: BLE001  such as no room for another process
                fault = error
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


def _start(settings: Settings, arguments: Sequence[str], stdout: int | None) -> "subprocess.Popen[str]":
    """Start one of our commands; it ends when its standard input does, which it does when this process is gone."""
    command = [sys.executable, "-m", "searchsvc", arguments[0], "--until-eof", *arguments[1:]]
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
    """End a process: by the end of its input, then SIGTERM, then SIGKILL. What it has committed is safe."""
    with suppress(OSError, ValueError):
        if process.stdin is not None:
            process.stdin.close()
    for signal_it in (process.terminate, process.kill):
        try:
            process.wait(STOP_SECONDS)
            return
        except subprocess.TimeoutExpired:
            signal_it()
    process.wait()


def ending(code: int) -> str:
    """Return how a process ended, by its exit code."""
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


def _failure(message: str) -> str:
    return json.dumps({"error": {"code": "failed", "message": message, "hint": None}})


def _message(fault: Exception) -> str:
    """Return the message of a fault: of an unexpected one only its type, as its text may hold anything."""
    known = fault.message if isinstance(fault, SearchsvcError) else None
    return known or (isinstance(fault, OSError) and fault.strerror) or f"an unexpected {type(fault).__name__}"


def _shorten(report: dict[str, Any]) -> dict[str, Any]:
    """Return a report with its first problems only; the last entry says how many more there are."""
    problems = report.get("problems", [])
    if len(problems) <= MAX_PROBLEMS:
        return report
    rest = problems[MAX_PROBLEMS:]
    reason = f"{len(rest):,} more problems; searchsvc index --json names all"
    last = {"where": "elsewhere", "reason": reason, "lost": any(problem["lost"] for problem in rest)}
    return {**report, "problems": [*problems[:MAX_PROBLEMS], last]}
