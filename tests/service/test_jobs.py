"""Jobs: each ends, whatever happens to it or to the record, and says how."""

import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from searchsvc.catalogue import Job
from searchsvc.errors import BadInput, Busy, NotFound, Unwritable
from searchsvc.interfaces.serialize import serialize_job
from searchsvc.library import Library
from searchsvc.service.jobs import MOST_PROBLEMS, MOST_SAID, Jobs

PATIENCE = 60.0  # seconds after which what should happen counts as not happening
REPORT = {"files": 1, "problems": []}


def until(holds: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


@pytest.fixture
def library(open_library: Callable[[], Library], monkeypatch: pytest.MonkeyPatch) -> Library:
    monkeypatch.setattr("searchsvc.catalogue.connection.PATIENCE", 0.2)  # seconds
    library = open_library()
    library.begin()
    return library


@pytest.fixture
def jobs(library: Library, tmp_path: Path) -> Jobs:
    return Jobs(library, [str(tmp_path)])


@pytest.fixture
def indexing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let these lines of a shell be what a job runs."""

    def becomes(lines: str) -> None:
        program = tmp_path / "program"
        program.write_text(f"#!/bin/sh\n{lines}\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))

    return becomes


@contextmanager
def held(library: Library) -> Iterator[None]:
    """Keep everybody from writing to the catalogue."""
    holder = sqlite3.connect(library.folder / "catalogue.sqlite3", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        holder.execute("ROLLBACK")
        holder.close()


@contextmanager
def full(_: Library) -> Iterator[None]:
    """Let no file be longer than a byte, as on a full disk."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def ended(jobs: Jobs, ident: str) -> dict[str, Any]:
    job = until(lambda: (now := jobs.job(ident)).ended and now)
    return dict(serialize_job(job))


def failure(jobs: Jobs) -> str:
    said = ended(jobs, jobs.start().id)
    assert (said["state"], said["report"]) == ("failed", None)
    return str(said["error"]["message"])


@pytest.mark.parametrize(("hindrance", "said_of_it"), [(held, "another process holds"), (full, "cannot be written")])
def test_a_job_whose_end_cannot_be_recorded_has_ended_all_the_same_and_is_recorded_later(
    library: Library,
    jobs: Jobs,
    indexing: Callable[[str], None],
    tmp_path: Path,
    hindrance: Callable[[Library], AbstractContextManager[None]],
    said_of_it: str,
) -> None:
    indexing(f"until [ -e {tmp_path / 'go'} ]; do sleep 0.05; done; echo '{json.dumps(REPORT)}'")
    ident = jobs.start().id
    with hindrance(library):
        assert [job.id for job in jobs.running()] == [ident]
        (tmp_path / "go").touch()
        said = ended(jobs, ident)
        assert (said["state"], said["report"], said["error"]) == ("done", REPORT, None)
        assert jobs.running() == []
        (part,) = until(library.health.own)
        assert part.name == "jobs"
        assert said_of_it in part.message
        on_record = library.catalogue.jobs.get(ident)
        assert on_record is not None
        assert on_record.ended is None
        with pytest.raises((Busy, Unwritable)):
            jobs.start()
    until(lambda: (job := library.catalogue.jobs.get(ident)) and job.ended)
    assert dict(serialize_job(library.catalogue.jobs.get(ident) or on_record)) == said
    until(lambda: library.health.own() == ())
    again = jobs.start()  # none that was refused before keeps it from beginning
    assert ended(jobs, again.id)["state"] == "done"


def test_a_job_that_cannot_be_started_has_failed(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonesuch")
    assert failure(jobs) == "indexing could not be done: No such file or directory"
    assert failure(jobs) == "indexing could not be done: No such file or directory"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("exit 7", "indexing ended with 7 and said nothing; the server's log may say more"),
        ("kill -9 $$", "indexing was ended by SIGKILL and said nothing; the server's log may say more"),
        ("echo '[1, 2]'", "indexing ended with 0 and said nothing; the server's log may say more"),
        ("printf '\\377'", "indexing ended with 0 and said nothing; the server's log may say more"),
        (f"head -c {2 * MOST_SAID} /dev/zero", "indexing ended with 0 and said more than 16 MB"),
        ("""echo '{"problems": 7}'""", "indexing could not be done: an unexpected TypeError"),
    ],
)
def test_a_job_that_says_no_report_has_failed(
    jobs: Jobs, indexing: Callable[[str], None], lines: str, message: str
) -> None:
    indexing(lines)
    assert failure(jobs) == message


def test_of_very_many_problems_the_first_are_kept_and_the_others_counted(
    jobs: Jobs, indexing: Callable[[str], None], tmp_path: Path
) -> None:
    problems = [{"where": f"line {number}", "reason": "no text", "lost": True} for number in range(5_000)]
    (tmp_path / "report").write_text(json.dumps({"files": 1, "problems": problems}))
    indexing(f"cat {tmp_path / 'report'}")
    report = ended(jobs, jobs.start().id)["report"]
    assert report["problems"][:-1] == problems[:MOST_PROBLEMS]
    assert report["problems"][-1] == {
        "where": "elsewhere",
        "reason": "4,800 more problems; searchsvc index --json names all",
        "lost": True,
    }


def test_a_job_for_which_there_is_no_thread_is_refused_and_the_next_one_runs(
    library: Library, jobs: Jobs, indexing: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    indexing(f"echo '{json.dumps(REPORT)}'")
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", fails)
        with pytest.raises(Exception, match="no room for another thread"):
            jobs.start()
    assert jobs.running() == []
    assert library.catalogue.jobs.unended() == []
    assert ended(jobs, jobs.start().id)["state"] == "done"


def left_by(library: Library, *, killed: bool) -> "tuple[str, subprocess.Popen[str]]":
    """Have another process put a job on record, and be killed or not."""
    script = f"""
import sys
from datetime import UTC, datetime
from pathlib import Path
from searchsvc.catalogue import Job
from searchsvc.library import Library
from searchsvc.settings import Settings
library = Library(Settings(index=Path({str(library.folder)!r})))
job = Job("left", datetime.now(UTC), owner=library.process.name())
with library.catalogue.writing() as writer:
    writer.jobs.put(job)
sys.stdout.write("done\\n")
sys.stdout.flush()
sys.stdin.read()
"""
    other = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "done\n"
    if killed:
        other.kill()
        other.wait()
        other.communicate()
    return "left", other


def test_a_job_of_a_process_that_was_killed_has_failed_even_while_that_cannot_be_recorded(
    library: Library, jobs: Jobs
) -> None:
    ident, _ = left_by(library, killed=True)
    with held(library):
        said = serialize_job(jobs.job(ident))
        assert (said["state"], said["error"]) == (
            "failed",
            {"code": "failed", "message": "the server stopped before it was done", "hint": None},
        )
        assert serialize_job(jobs.job(ident)) == said
        until(library.health.own)
    until(lambda: not library.catalogue.jobs.unended())
    assert serialize_job(Jobs(library, []).job(ident))["state"] == "failed"


def test_a_job_of_a_process_that_runs_is_left_to_it(library: Library, jobs: Jobs) -> None:
    ident, other = left_by(library, killed=False)
    try:
        jobs.end_left()
        assert serialize_job(jobs.job(ident))["state"] == "running"
    finally:
        other.communicate()
    assert serialize_job(jobs.job(ident))["state"] == "failed"


def test_a_job_of_an_older_version_is_not_running(library: Library, jobs: Jobs) -> None:
    with library.catalogue.writing() as writer:
        writer.jobs.put(Job("old", datetime.now(UTC)))
    jobs.end_left()
    assert [job.id for job in library.catalogue.jobs.unended()] == []
    assert serialize_job(jobs.job("old"))["state"] == "failed"


def test_what_was_never_begun_is_not_found(library: Library, jobs: Jobs) -> None:
    with pytest.raises(NotFound):
        jobs.job("nonesuch")
    with pytest.raises(BadInput, match="serves no folders"):
        Jobs(library, []).start()
