"""Print how indexing goes, what it did, and the state of an index."""

import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.text import Text

from searchsvc.ingest.report import Progress, Report
from searchsvc.ingest.scan import Kept
from searchsvc.interfaces.cli.screen import INDENT, MAX_ADDRESS, print_text
from searchsvc.interfaces.formatting import age, byte_size, counted, duration
from searchsvc.library import Status
from searchsvc.search.verification import Verification
from searchsvc.text.article import Problem
from searchsvc.text.dates import long_date
from searchsvc.text.sanitize import one_line

MAX_PROBLEMS = 20
MAX_SOURCES = 5
PROGRESS_SECONDS = 10.0  # between two lines about progress where there is no terminal


@contextmanager
def show_progress(console: Console) -> Iterator[Progress]:
    """Give a callable that shows how indexing goes: a bar on a terminal, else a line every ten seconds."""
    began = time.monotonic()
    last = began
    if not console.file.isatty() or console.is_dumb_terminal:

        def print_progress(report: Report, done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= PROGRESS_SECONDS:
                last = time.monotonic()
                print_text(console, Text(_standing(report, done, total, last - began)))

        yield print_progress
        return
    from rich import progress as bars

    columns = (
        bars.SpinnerColumn(style="green"),
        bars.BarColumn(24),
        bars.TextColumn("{task.description}", markup=False),
    )
    with bars.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def update_bar(report: Report, done: int, total: int) -> None:
            standing = _standing(report, done, total, time.monotonic() - began)
            # One file says nothing about how far it is read: the bar then only says that work goes on.
            bar.update(task, total=total if total > 1 else None, completed=done, description=standing)

        yield update_bar


def _standing(report: Report, done: int, total: int, seconds: float) -> str:
    parts = [f"{done:,} of {counted(total, report.unit)}", counted(report.passages, "passage")]
    parts += _rate(report, seconds)
    new = done - report.unchanged_files
    if report.embedded and new > 0 and done < total:
        parts.append(f"{duration(seconds / new * (total - done))} left")
    return ", ".join(parts)


def _rate(report: Report, seconds: float) -> list[str]:
    """Return how many passages are embedded a second; nothing where most of them were known."""
    return [f"{report.embedded / seconds:,.0f} passages a second"] if report.embedded >= max(seconds, 1e-3) else []


def print_report(console: Console, report: Report) -> None:
    """Print what indexing did."""
    done = {"added": report.added, "changed": report.changed, "removed": report.removed}
    parts: list[str] = []
    for word, number in done.items():
        if number:
            parts.append(f"{number:,} {word}" if parts else f"{counted(number, 'article')} {word}")
    time_taken = duration(report.seconds)
    if not parts:
        if report.lost:
            print_text(console, Text(f"Nothing new was indexed ({time_taken}).", "bold"))
        elif report.feeds and not report.files:
            print_text(console, Text(f"Nothing new in {counted(report.feeds, 'feed')} ({time_taken})."))
        elif report.files:
            print_text(console, Text(f"Nothing has changed in {counted(report.files, 'file')} ({time_taken})."))
        else:
            print_text(console, Text("No file of a known kind was found."))
        return
    embedded = f" ({report.embedded:,} embedded)" if report.embedded != report.passages else ""
    if report.passages:
        parts.append(f"{counted(report.passages, 'passage')}{embedded}")
    rate = _rate(report, report.seconds)
    parts[-1] += f" in {time_taken}"
    print_text(console, Text(f"{', '.join([*parts, *rate])}.", "bold"))


def print_run(console: Console, report: Report) -> None:
    """Print what a run of `watch` did, if it did anything."""
    if report.added or report.changed or report.removed or report.kept:
        console.print(Text(f"{datetime.now():%H:%M:%S} ", "dim"), end="")  # noqa: DTZ005  the reader's own clock
        print_report(console, report)
    print_problems(console, report.problems if report.files != report.unchanged_files else ())
    print_missing_files(console, report.kept)


def print_problems(console: Console, problems: Sequence[Problem]) -> None:
    """Print what was met: first what is missing because of it, then what is indexed all the same."""
    room, printed = MAX_PROBLEMS, list[Problem]()
    for heading, style, lost in (("Not indexed", "bold red", True), ("Indexed, but", "bold yellow", False)):
        group = [problem for problem in problems if problem.lost is lost]
        if group and room:
            print_text(console, Text(f"{heading} ({_count(group):,}):", style))
        for problem in group[:room]:
            where, reason = one_line(problem.where, MAX_ADDRESS), one_line(problem.reason)
            print_text(console, Text.assemble(where, ": ", (reason, "dim")), lead=Text("  "), indent=INDENT)
        printed += group[:room]
        room -= min(room, len(group))
    if more := _count(problems) - _count(printed):
        print_text(console, Text(f"and {more:,} more; --json names the first of each file"))


def _count(problems: Sequence[Problem]) -> int:
    return sum(problem.count for problem in problems)


def print_missing_files(console: Console, folders: Sequence[Kept]) -> None:
    """Print which files are gone, too many at once to be taken for deleted, and what to do about it."""
    for missing in folders:
        is_one = missing.gone == 1
        gone = f"{missing.gone:,} of {counted(missing.known, 'file')} {'is' if is_one else 'are'} gone"
        reason = f"{gone}; what {'it' if is_one else 'they'} held is kept. If that is right: searchsvc index --prune"
        folder = one_line(missing.folder, MAX_ADDRESS)
        quoted = one_line(shlex.quote(missing.folder), MAX_ADDRESS)
        print_text(console, Text.assemble((folder, "bold yellow"), ": ", reason, " ", quoted), indent=0)


def print_verification(console: Console, verification: Verification) -> None:
    """Print what is wrong with an index, or that nothing is."""
    for problem in verification.problems:
        print_text(console, Text(one_line(problem), "bold red"))
    if not verification.problems:
        print_text(console, Text("All is well: catalogue, FAISS and tantivy hold the same passages."))
    if verification.recall is not None:
        print_text(
            console,
            Text(f"recall@10 of the dense index, {verification.sample} vectors: {verification.recall:.4f}", "dim"),
        )


def print_status(console: Console, status: Status) -> None:
    """Print the state of an index."""
    sources = [f"{one_line(name, 60)} {count:,}" for name, count in status.sources[:MAX_SOURCES]]
    if len(status.sources) > MAX_SOURCES:
        sources.append(f"and {len(status.sources) - MAX_SOURCES:,} more")
    dates = [f"{long_date(status.oldest)} to {long_date(status.newest)}"] if status.oldest and status.newest else []
    if status.undated:
        dates.append(f"{status.undated:,} undated")
    is_wasteful = status.unused_bytes > status.bytes_on_disk / 10
    unused = f", {byte_size(status.unused_bytes)} of it unused" if is_wasteful else ""
    rows = {
        "articles": f"{status.articles:,}",
        "passages": f"{status.passages:,}",
        "sources": " · ".join(sources) or "none named",
        "published": ", ".join(dates) or "nothing yet",
        "changed": age(status.updated) if status.updated else "never",
        "pending": f"{counted(status.pending, 'change')} to be made searchable" if status.pending else "nothing",
        "model": f"{one_line(status.model)}, passages of up to {counted(status.passage_tokens, 'token')}",
        "size": byte_size(status.bytes_on_disk) + unused,
        "folder": one_line(status.index, MAX_ADDRESS),
    }
    if status.reranker:
        rows["reranker"] = one_line(status.reranker)
    if status.moving_to:
        rows["moving to"] = (
            f"{one_line(status.moving_to)}; if that was interrupted, searchsvc rebuild with them goes on"
        )
    if not status.parts:
        rows["health"] = "nothing is failing"
    for name, value in rows.items():
        print_text(console, Text(value), lead=Text(name.ljust(12), "dim"), indent=12)
    for number, part in enumerate(status.parts[:MAX_PROBLEMS]):
        since = f"since {part.since:%Y-%m-%d %H:%M} UTC, {counted(part.failures, 'failure')} in a row"
        later = f"tried again at {part.next_try:%H:%M} UTC"
        line = Text.assemble(
            (one_line(part.name, MAX_ADDRESS), "bold red"), f": {one_line(part.message)} ({since}; {later})"
        )
        print_text(console, line, lead=Text(("" if number else "failing").ljust(12), "dim"), indent=12)
    if len(status.parts) > MAX_PROBLEMS:
        print_text(console, Text(f"and {len(status.parts) - MAX_PROBLEMS:,} more; --json lists all"), indent=12)
    for damage in status.damaged:
        print_text(
            console, Text(one_line(damage, MAX_ADDRESS), "bold red"), lead=Text("damaged".ljust(12), "dim"), indent=12
        )
