"""The terminal: what people are shown, as coloured text where that can be seen and as plain text elsewhere.

    hits, reports, states ── safe() ──► Text ── wrapped ──► Console

Articles, and the names of files, are other people's text: nothing of it is read as markup, and no character of it
may move the cursor, ring, recolour, or turn the reading direction around.
"""

import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import NoReturn

from rich.console import Console
from rich.text import Text

from searchsvc.ingest.report import Progress, Report
from searchsvc.ingest.scan import Kept
from searchsvc.interfaces.serialize import sentence_of
from searchsvc.library import Status
from searchsvc.query.periods import Period
from searchsvc.query.question import Question
from searchsvc.search.pipeline import Hit, Results
from searchsvc.search.recall import Verification
from searchsvc.text.article import Article, Problem
from searchsvc.text.sanitize import one_line, safe

WIDEST = 100  # columns; longer lines are hard to read
INDENT = 4
MOST_PROBLEMS = 20
MOST_SOURCES = 5
MOST_COPIES = 5
LONGEST_PASSAGE = 2_500  # characters shown: a passage has few tokens, but a token can be a megabyte
LONGEST_WHERE = 2_000  # URLs, keys and paths, which are of no use when cut
EVERY = 10.0  # seconds between two lines about progress where there is no terminal

UNITS = ((1e3, "KB"), (1e6, "MB"), (1e9, "GB"))

# ---------------------------------------------------------------------- text


class Screen(Console):
    """Where people read: rich's console without its markup, guesses and emoji."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def on_broken_pipe(self) -> NoReturn:
        """Leave it to the program to end quietly."""
        raise BrokenPipeError


def counted(number: int, noun: str) -> str:
    """Return `1 article`, `4,000 articles`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def day(moment: datetime) -> str:
    """Return a date as `18 June 2024`."""
    return f"{moment.day} {moment:%B} {moment.year}"


def lasting(seconds: float) -> str:
    """Return a time in the two units that matter: `0.4 s`, `9 min 12 s`, `2 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3_600:,} h {whole % 3_600 // 60} min"


def ago(moment: datetime) -> str:
    """Return how long ago a moment is, or its date after a month."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for noun, size, most in (("minute", 60, 60), ("hour", 3_600, 24), ("day", 86_400, 31)):
        if seconds < size:
            break
        if seconds < size * most:
            return f"{counted(int(seconds // size), noun)} ago"
    return "just now" if seconds < 60 else day(moment)


def weighing(size: float) -> str:
    """Return a size in bytes as `812 bytes`, `161 KB`, `1.2 GB`."""
    if size < 1_000:
        return counted(int(size), "byte")
    unit, noun = next((unit, noun) for unit, noun in UNITS if size < 999.5 * unit or noun == "GB")
    return f"{size / unit:.1f} {noun}" if size < 9.95 * unit else f"{size / unit:,.0f} {noun}"


def put(console: Console, text: Text, *, lead: Text | None = None, indent: int = 0) -> None:
    """Print a text wrapped and indented, `lead` standing in the first line's indent."""
    width = max(20, min(console.width, WIDEST) - indent)
    for number, wrapped in enumerate(text.wrap(console, width)):
        wrapped.rstrip()
        before = lead if lead is not None and number == 0 else Text(" " * indent)
        console.print(Text.assemble(before, wrapped) if wrapped.plain else Text(), soft_wrap=True)


def show_notice(console: Console, sentence: str) -> None:
    """Print something said beforehand."""
    put(console, Text(one_line(sentence), "dim"))


# ---------------------------------------------------------------------- an answer


def show_results(console: Console, results: Results, *, explain: bool = False) -> None:
    """Print the hits, and how many there are among how much."""
    for hit in results.hits:
        _show_hit(console, hit, results.as_of, explain)
    among = f"in {results.took_ms:.0f} ms among {counted(results.articles, 'article')} (as of {day(results.as_of)})"
    found = len({hit.article.id for hit in results.hits})
    passages = f"{counted(len(results.hits), 'passage')} in " if len(results.hits) > found else ""
    put(
        console,
        Text(f"{passages}{counted(found, 'article')} found {among}" if found else f"nothing found {among}", "dim"),
    )
    if results.is_doubtful and found:
        put(console, Text(f"nothing convincing was found (confidence {results.confidence:.2f})", "yellow"))
    if period := results.question.period:
        put(console, Text(_read_as(period), "dim"))
    if not found and (reason := _narrowed(results)):
        put(console, Text(reason, "dim"))


def _read_as(period: Period) -> str:
    """Return what a question's words of time were taken for, and how to take that back."""
    since = f"from {day(period.after)} " if period.after else ""
    return f"only what was published {since}to {day(period.before)} (“{one_line(period.words)}”); any time: --no-period"


def _show_hit(console: Console, hit: Hit, as_of: datetime, explain: bool) -> None:
    entry = hit.article
    rank = Text(f"{hit.rank:>2}".ljust(INDENT), "bold green")
    put(console, Text(one_line(entry.title) or "Untitled", "bold"), lead=rank, indent=INDENT)
    known = (entry.credit, day(entry.published) if entry.published else "undated", entry.author)
    put(console, Text(" · ".join(one_line(one, 100) for one in known if one), "dim"), indent=INDENT)
    console.print()
    put(console, _passage(hit, colour=console.color_system is not None and not console.no_color), indent=INDENT)
    console.print()
    revised = hit.article.revised
    if revised is not None:
        newer = ", later than the moment asked for" if revised > as_of else ""
        put(console, Text(f"This text replaced an earlier one on {day(revised)}{newer}.", "dim"), indent=INDENT)
    if hit.also_in:
        put(console, Text(_also_in(hit.also_in), "dim"), indent=INDENT)
    if explain:
        put(console, Text(f"Why: {sentence_of(hit.why)}", "dim italic"), indent=INDENT)
    # Not wrapped: terminals make a link of a URL only where it stands in one piece.
    console.print(Text(" " * INDENT + one_line(entry.url or entry.key, LONGEST_WHERE), "dim"), soft_wrap=True)
    console.print()


def _also_in(copies: Sequence[Article]) -> str:
    """Return where else a story stands, the earliest first; where the source is not known, by title or key."""
    named = [
        one_line(one.credit or one.title or one.key, 100) + (f" ({day(one.published)})" if one.published else "")
        for one in copies[:MOST_COPIES]
    ]
    more = f", and {len(copies) - MOST_COPIES:,} more" if len(copies) > MOST_COPIES else ""
    return f"also in: {', '.join(named)}{more}"


def _passage(hit: Hit, *, colour: bool) -> Text:
    """Return the passage with its answer and the question's words marked; an enormous one is cut around the answer."""
    start, end = hit.start, hit.end
    if end - start > LONGEST_PASSAGE:
        start = max(start, min(hit.answer[0] - LONGEST_PASSAGE // 4, end - LONGEST_PASSAGE))
        end = start + LONGEST_PASSAGE
    text = Text(safe(hit.article.text[start:end]))
    low, high = (min(max(at - start, 0), end - start) for at in hit.answer)
    if colour:
        text.stylize("bold green", low, high)
        for a, b in hit.highlights:
            if start <= a < end:
                text.stylize("underline", a - start, b - start)
    else:
        text = Text.assemble(text[:low], "»", text[low:high], "«", text[high:])
    return Text.assemble("…" if start > hit.start else "", text, "…" if end < hit.end else "")


def _narrowed(results: Results) -> str:
    """Return what may have left nothing."""
    question: Question = results.question
    allowed = question.allowed
    if not results.articles:
        return "the index is empty: searchsvc index PATH… fills it"
    bounds = [
        f"published on or after {day(allowed.after)}" if allowed.after else "",
        f"published on or before {day(allowed.before)}" if allowed.before else "",
        f"source {one_line(' or '.join(sorted(allowed.sources)))}" if allowed.sources else "",
        f"language {one_line(' or '.join(sorted(allowed.languages)))}" if allowed.languages else "",
        *(f'"{one_line(phrase)}"' for phrase in allowed.phrases),
        *(f'no "{one_line(phrase)}"' for phrase in allowed.excluded),
        f"at most {counted(question.max_tokens, 'token')}" if question.max_tokens is not None else "",
    ]
    kept = "; ".join(bound for bound in bounds if bound)
    return f"asked for: {kept}" if kept else ""


# ---------------------------------------------------------------------- indexing


@contextmanager
def progress_on(console: Console) -> Iterator[Progress]:
    """Give a callable that shows how indexing goes: a bar on a terminal, else a line every ten seconds."""
    began = time.monotonic()
    said = began
    if not console.file.isatty() or console.is_dumb_terminal:

        def tell(report: Report, done: int, total: int) -> None:
            nonlocal said
            if time.monotonic() - said >= EVERY:
                said = time.monotonic()
                put(console, Text(_standing(report, done, total, said - began)))

        yield tell
        return
    from rich import progress as bars

    columns = (
        bars.SpinnerColumn(style="green"),
        bars.BarColumn(24),
        bars.TextColumn("{task.description}", markup=False),
    )
    with bars.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def move(report: Report, done: int, total: int) -> None:
            standing = _standing(report, done, total, time.monotonic() - began)
            # One file says nothing about how far it is read: the bar then only says that work goes on.
            bar.update(task, total=total if total > 1 else None, completed=done, description=standing)

        yield move


def _standing(report: Report, done: int, total: int, seconds: float) -> str:
    parts = [f"{done:,} of {counted(total, report.unit)}", counted(report.passages, "passage")]
    parts += _rate(report, seconds)
    new = done - report.unchanged_files
    if report.embedded and new > 0 and done < total:
        parts.append(f"{lasting(seconds / new * (total - done))} left")
    return ", ".join(parts)


def _rate(report: Report, seconds: float) -> list[str]:
    """Return how many passages are embedded a second; nothing where most of them were known."""
    return [f"{report.embedded / seconds:,.0f} passages a second"] if report.embedded >= max(seconds, 1e-3) else []


def show_report(console: Console, report: Report) -> None:
    """Print what indexing did."""
    done = {"added": report.added, "changed": report.changed, "removed": report.removed}
    parts: list[str] = []
    for word, number in done.items():
        if number:
            parts.append(f"{number:,} {word}" if parts else f"{counted(number, 'article')} {word}")
    if not parts:
        if report.lost:
            put(console, Text(f"Nothing new was indexed ({lasting(report.seconds)}).", "bold"))
        elif report.feeds and not report.files:
            put(console, Text(f"Nothing new in {counted(report.feeds, 'feed')} ({lasting(report.seconds)})."))
        elif report.files:
            put(console, Text(f"Nothing has changed in {counted(report.files, 'file')} ({lasting(report.seconds)})."))
        else:
            put(console, Text("No file of a known kind was found."))
        return
    embedded = f" ({report.embedded:,} embedded)" if report.embedded != report.passages else ""
    if report.passages:
        parts.append(f"{counted(report.passages, 'passage')}{embedded}")
    rate = _rate(report, report.seconds)
    parts[-1] += f" in {lasting(report.seconds)}"
    put(console, Text(f"{', '.join([*parts, *rate])}.", "bold"))


def show_run(console: Console, report: Report) -> None:
    """Print what a run of `watch` did, if it did anything."""
    if report.added or report.changed or report.removed or report.kept:
        console.print(Text(f"{datetime.now():%H:%M:%S} ", "dim"), end="")  # noqa: DTZ005  the reader's own clock
        show_report(console, report)
    show_problems(console, report.problems if report.files != report.unchanged_files else ())
    show_kept(console, report.kept)


def show_problems(console: Console, problems: Sequence[Problem]) -> None:
    """Print what was met: first what is missing because of it, then what is indexed all the same."""
    left, shown = MOST_PROBLEMS, list[Problem]()
    for heading, style, lost in (("Not indexed", "bold red", True), ("Indexed, but", "bold yellow", False)):
        kind = [problem for problem in problems if problem.lost is lost]
        if kind and left:
            put(console, Text(f"{heading} ({_count(kind):,}):", style))
        for problem in kind[:left]:
            where, reason = one_line(problem.where, LONGEST_WHERE), one_line(problem.reason)
            put(console, Text.assemble(where, ": ", (reason, "dim")), lead=Text("  "), indent=INDENT)
        shown += kind[:left]
        left -= min(left, len(kind))
    if left_out := _count(problems) - _count(shown):
        put(console, Text(f"and {left_out:,} more; --json names the first of each file"))


def _count(problems: Sequence[Problem]) -> int:
    return sum(problem.count for problem in problems)


def show_kept(console: Console, kept: Sequence[Kept]) -> None:
    """Print which files are gone, too many at once to be taken for deleted, and what to do about it."""
    for one in kept:
        gone = f"{one.gone:,} of {counted(one.known, 'file')} {'is' if one.gone == 1 else 'are'} gone"
        held = "it" if one.gone == 1 else "they"
        reason = f"{gone}; what {held} held is kept. If that is right: searchsvc index --prune"
        where = one_line(one.folder, LONGEST_WHERE)
        quoted = one_line(shlex.quote(one.folder), LONGEST_WHERE)
        put(console, Text.assemble((where, "bold yellow"), ": ", reason, " ", quoted), indent=0)


# ---------------------------------------------------------------------- the index


def show_verified(console: Console, verified: Verification) -> None:
    """Print what is wrong with an index, or that nothing is."""
    for problem in verified.problems:
        put(console, Text(one_line(problem), "bold red"))
    if not verified.problems:
        put(console, Text("All is well: catalogue, FAISS and tantivy hold the same passages."))
    if verified.recall is not None:
        put(console, Text(f"recall@10 of the dense index, {verified.sample} vectors: {verified.recall:.4f}", "dim"))


def show_status(console: Console, status: Status) -> None:
    """Print the state of an index."""
    sources = [f"{one_line(name, 60)} {count:,}" for name, count in status.sources[:MOST_SOURCES]]
    if len(status.sources) > MOST_SOURCES:
        sources.append(f"and {len(status.sources) - MOST_SOURCES:,} more")
    dates = [f"{day(status.oldest)} to {day(status.newest)}"] if status.oldest and status.newest else []
    if status.undated:
        dates.append(f"{status.undated:,} undated")
    rows = {
        "articles": f"{status.articles:,}",
        "passages": f"{status.passages:,}",
        "sources": " · ".join(sources) or "none named",
        "published": ", ".join(dates) or "nothing yet",
        "changed": ago(status.updated) if status.updated else "never",
        "pending": f"{counted(status.pending, 'change')} to be made searchable" if status.pending else "nothing",
        "model": f"{one_line(status.model)}, passages of up to {counted(status.passage_tokens, 'token')}",
        "size": weighing(status.bytes_on_disk)
        + (
            f", {weighing(status.unused_bytes)} of it unused" if status.unused_bytes > status.bytes_on_disk / 10 else ""
        ),
        "folder": one_line(status.index, LONGEST_WHERE),
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
        put(console, Text(value), lead=Text(name.ljust(12), "dim"), indent=12)
    for number, part in enumerate(status.parts[:MOST_PROBLEMS]):
        since = f"since {part.since:%Y-%m-%d %H:%M} UTC, {counted(part.failures, 'failure')} in a row"
        later = f"tried again at {part.next_try:%H:%M} UTC"
        said = Text.assemble(
            (one_line(part.name, LONGEST_WHERE), "bold red"), f": {one_line(part.message)} ({since}; {later})"
        )
        put(console, said, lead=Text(("" if number else "failing").ljust(12), "dim"), indent=12)
    if len(status.parts) > MOST_PROBLEMS:
        put(console, Text(f"and {len(status.parts) - MOST_PROBLEMS:,} more; --json lists all"), indent=12)
    for damage in status.damaged:
        put(
            console, Text(one_line(damage, LONGEST_WHERE), "bold red"), lead=Text("damaged".ljust(12), "dim"), indent=12
        )
