"""The command line: words typed become one call of the library, and its answer becomes text, JSON and an exit code.

    argv ── arguments ──► Call ── a command ──► stdout: the answer      stderr: all else
    0 done   1 something is wrong   2 wrong use   3 no index   4 some files could not be read   130 stopped

Only the standard library is imported before a command runs, so that `--help` and a mistyped option answer at once.
"""

import argparse
import io
import json
import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from searchsvc.errors import BadInput, NoIndex, SearchsvcError
from searchsvc.interfaces.cli.arguments import parser
from searchsvc.models.memory import must_start
from searchsvc.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    from searchsvc.ingest.report import Report
    from searchsvc.interfaces.cli.terminal import Screen
    from searchsvc.library import Library

DONE, WRONG, MISUSED, NO_INDEX, SOME_UNREAD, STOPPED = 0, 1, 2, 3, 4, 130

SEEDS = Path("seeds")


def run(argv: Sequence[str]) -> int:
    """Do what a command line asks; return the exit code. Raises SystemExit behind --help and --version alone."""
    as_json = "--json" in argv
    _make_speakable(as_json)
    try:
        given = parser().parse_args(argv)
        chosen = {one.name: getattr(given, one.name) for one in fields(Settings) if hasattr(given, one.name)}
        if "watch" in chosen:
            chosen["watch"] = shlex.join(chosen["watch"])
        if "hostnames" in chosen:
            chosen["hostnames"] = ",".join(chosen["hostnames"])
        settings = replace(Settings.from_environment(), **chosen)
        settings = replace(settings, model=_text(settings.model), rerank=_text(settings.rerank))
        must_start()
        code = COMMANDS[given.command](Call(given, settings))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the answer has had enough of it; Python itself must not stumble over the pipe at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return _say("stopped; what was committed is kept", STOPPED)
    except (SearchsvcError, OSError) as fault:
        return _failed(fault, as_json)
    return code


@dataclass(frozen=True)
class Call:
    """One run of the program: what was typed, what is set, and the three places where something can be said."""

    given: argparse.Namespace
    settings: Settings

    @cached_property
    def library(self) -> "Library":
        """The index that is meant."""
        from searchsvc.library import Library

        return Library(self.settings, announce=self.announce)

    def announce(self, sentence: str) -> None:
        """Say beforehand what will take long."""
        from searchsvc.interfaces.cli.terminal import show_notice

        show_notice(self.messages, sentence)

    @cached_property
    def out(self) -> "Screen":
        """Where the answer goes."""
        from searchsvc.interfaces.cli.terminal import Screen

        return Screen()

    @cached_property
    def messages(self) -> "Screen":
        """Where all else goes."""
        from searchsvc.interfaces.cli.terminal import Screen

        return Screen(stderr=True)

    def answer(self, value: object, show: Callable[["Screen"], None]) -> None:
        """Give the answer: as one JSON document where that was asked for, else as `show` does."""
        if hasattr(self.given, "json"):
            _write_json(value)
        else:
            show(self.out)


# ---------------------------------------------------------------------- the commands


def _search(call: Call) -> int:
    from searchsvc.interfaces import serialize as wire
    from searchsvc.interfaces.cli import terminal
    from searchsvc.query.filter import Filter
    from searchsvc.query.question import parse_question

    given = call.given
    question = _text(" ".join(given.question))
    after, before, as_of = _bounds(call)
    code = DONE
    if not call.library.exists:
        # What cannot be asked shall not first cost the minutes of making an index.
        allowed = Filter(after, before)
        parse_question(
            question, limit=given.limit, per_article=given.per_article, max_tokens=given.max_tokens, allowed=allowed
        )
        call.library.reranker  # noqa: B018  says so where it cannot be loaded
        code = _build(call)
    results = call.library.search(
        question,
        limit=given.limit,
        per_article=given.per_article,
        max_tokens=given.max_tokens,
        after=after,
        before=before,
        as_of=as_of,
        sources=map(_text, given.source),
        languages=map(_text, given.language),
        freshness=given.freshness == "auto",
        fold=not given.no_fold,
        period=not given.no_period,
        explain=given.explain,
    )
    value = wire.serialize_results(results, explain=given.explain)
    call.answer(value, lambda out: terminal.show_results(out, results, explain=given.explain))
    return code


def _brief(call: Call) -> int:
    from searchsvc.interfaces import serialize as wire
    from searchsvc.query.filter import Filter
    from searchsvc.query.question import parse_question
    from searchsvc.search.brief import brief_markdown

    given = call.given
    question = _text(" ".join(given.question))
    after, before, as_of = _bounds(call)
    code = DONE
    if not call.library.exists:
        parse_question(question, limit=given.limit, allowed=Filter(after, before))
        code = _build(call)
    brief = call.library.brief(
        question,
        limit=given.limit,
        after=after,
        before=before,
        as_of=as_of,
        sources=map(_text, given.source),
        languages=map(_text, given.language),
    )
    call.answer(wire.serialize_brief(brief), lambda out: out.print(brief_markdown(brief), end="", soft_wrap=True))
    return code


def _bounds(call: Call) -> "Iterator[datetime | None]":
    """Yield what --after, --before and --as-of mean."""
    from searchsvc.text.dates import parse_bound

    given = call.given
    for said, end in ((given.after, False), (given.before, True), (given.as_of, True)):
        yield None if said is None else parse_bound(_text(said), end=end)


def _build(call: Call) -> int:
    """Make the first index from ./seeds, all talk going to stderr."""
    from searchsvc.interfaces.cli import terminal

    if not SEEDS.is_dir():
        raise NoIndex(
            f"there is no index in {call.library.folder}, and no folder ./{SEEDS} to make one from",
            "searchsvc index PATH… makes one from your articles",
        )
    report, code = _indexed(call, [SEEDS])
    terminal.show_report(call.messages, report)
    return code


def _index(call: Call) -> int:
    from searchsvc.interfaces import serialize as wire
    from searchsvc.interfaces.cli import terminal

    sources = _named(call)
    _begin_indexing(call)
    report, code = _indexed(call, sources)
    call.answer(wire.serialize_report(report), lambda out: terminal.show_report(out, report))
    return code


def _named(call: Call) -> list[Path | str]:
    """Return the files, folders and feeds that were named; raises BadInput where there is none of them."""
    sources = call.given.sources or [SEEDS]
    if not any(isinstance(one, str) or os.path.lexists(one) or call.library.knows(one) for one in sources):
        named = ", ".join(map(str, sources)) if call.given.sources else f"./{SEEDS}"
        raise BadInput(f"there is no {named}", f"name files and folders: searchsvc {call.given.command} PATH…")
    return sources


def _indexed(call: Call, sources: "Sequence[Path | str]") -> "tuple[Report, int]":
    from searchsvc.interfaces.cli import terminal

    with terminal.progress_on(call.messages) as progress:
        report = call.library.index(sources, progress, prune=getattr(call.given, "prune", False))
    terminal.show_problems(call.messages, report.problems)
    terminal.show_kept(call.messages, report.kept)
    return report, SOME_UNREAD if report.lost or report.kept else DONE


def _watch(call: Call) -> int:
    from searchsvc.interfaces import serialize as wire
    from searchsvc.interfaces.cli import terminal
    from searchsvc.service.sync import follow

    sources = _named(call)
    _begin_indexing(call)
    known: list[object] = []  # what was kept at the last run, which need not be said again

    def tell(report: "Report") -> None:
        nonlocal known
        kept, report.kept = report.kept, [one for one in report.kept if one not in known]
        known = list(kept)
        if hasattr(call.given, "json"):
            sys.stdout.write(_json(wire.serialize_report(report)) + "\n")
            sys.stdout.flush()
        else:
            terminal.show_run(call.messages, report)

    try:
        follow(call.library, sources, threading.Event(), tell)
    except KeyboardInterrupt:
        return DONE  # the way to stop it; what was committed is kept
    return DONE


def _serve(call: Call) -> int:
    from searchsvc.interfaces.http.server import serve

    serve(call.library)
    return DONE


def _mcp(call: Call) -> int:
    import gc

    gc.disable()  # a seventh of the time: of the thousands of objects that the import makes, none is let go
    from searchsvc.interfaces.mcp.server import create_server

    gc.enable()
    create_server(lambda: call.library).run("stdio")
    return DONE


def _begin_indexing(call: Call) -> None:
    """Let whoever searches meanwhile go first, and stop when told to, at any moment: what was committed is safe."""
    if hasattr(os, "nice"):
        os.nice(10)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if call.given.until_eof:

        def wait_for_eof() -> None:
            while os.read(0, 4096):  # not through sys.stdin, whose lock must be free when Python ends
                pass
            signal.raise_signal(signal.SIGTERM)

        threading.Thread(target=wait_for_eof, daemon=True).start()


def _status(call: Call) -> int:
    from searchsvc.interfaces import serialize as wire
    from searchsvc.interfaces.cli import terminal

    status = call.library.status()
    call.answer(wire.serialize_status(status), lambda out: terminal.show_status(out, status))
    return DONE


def _eval(call: Call) -> int:
    from searchsvc.evaluation import as_record, evaluate
    from searchsvc.evaluation.runs import load, save
    from searchsvc.interfaces.cli import evaluation as verdict
    from searchsvc.interfaces.cli import terminal

    given = call.given
    if given.save is not None and not given.save.absolute().parent.is_dir():
        raise BadInput(f"there is no folder {given.save.parent} to save in")  # said before the questions are asked
    against = None if given.against is None else load(given.against)
    with terminal.progress_on(call.messages) as progress:
        evaluation = evaluate(
            given.folder,
            call.settings,
            days_late=given.late,
            freshness=given.freshness == "auto",
            against=against,
            floors=dict(given.floor),
            announce=call.announce,
            progress=progress,
        )
    record = as_record(evaluation)
    if given.save is not None:
        save(record, given.save)
    call.answer(record, lambda out: verdict.show_evaluation(out, evaluation, by_question=against is not None))
    for one in evaluation.missed:
        _say(f"{one.name} is {one.mean:.4g}, below the floor of {one.floor:.4g}", WRONG)
    return WRONG if evaluation.missed else DONE


def _remove(call: Call) -> int:
    from searchsvc.interfaces.cli import terminal

    removed = call.library.remove(map(_text, call.given.names))
    call.answer({"removed": removed}, lambda out: out.print(f"{terminal.counted(removed, 'article')} taken out."))
    return DONE


def _verify(call: Call) -> int:
    from searchsvc.interfaces import serialize as wire
    from searchsvc.interfaces.cli import terminal

    verified = call.library.verify()
    call.answer(wire.serialize_verification(verified), lambda out: terminal.show_verified(out, verified))
    if not verified.problems:
        return DONE
    return _say(
        f"{len(verified.problems):,} wrong with the index; searchsvc rebuild makes its search files anew", WRONG
    )


def _rebuild(call: Call) -> int:
    from searchsvc.interfaces import serialize as wire
    from searchsvc.interfaces.cli import terminal

    with terminal.progress_on(call.messages) as progress:
        call.library.rebuild(progress)
    status = call.library.status()
    said = f"The search files were made anew: {terminal.counted(status.passages, 'passage')}."
    call.answer(wire.serialize_status(status), lambda out: out.print(said))
    return DONE


def _backup(call: Call) -> int:
    from searchsvc.interfaces.cli import terminal
    from searchsvc.text.sanitize import one_line

    file = call.given.file
    call.library.backup(file)
    size = file.stat().st_size
    named = one_line(shlex.quote(str(file)), terminal.LONGEST_WHERE)
    said = f"{named} holds the whole index ({terminal.weighing(size)}); searchsvc restore {named} puts it back."
    call.answer({"file": str(file), "bytes": size}, lambda out: out.print(said, soft_wrap=True))
    return DONE


def _restore(call: Call) -> int:
    from searchsvc.interfaces import serialize as wire
    from searchsvc.interfaces.cli import terminal

    call.library.restore(call.given.file)
    status = call.library.status()
    when = f", as they were on {terminal.day(status.updated)}" if status.updated else ""
    said = f"{terminal.counted(status.articles, 'article')} restored{when}."
    call.answer(wire.serialize_status(status), lambda out: out.print(said))
    return DONE


COMMANDS: dict[str, Callable[[Call], int]] = {
    "search": _search,
    "brief": _brief,
    "index": _index,
    "watch": _watch,
    "serve": _serve,
    "mcp": _mcp,
    "eval": _eval,
    "status": _status,
    "rm": _remove,
    "verify": _verify,
    "rebuild": _rebuild,
    "backup": _backup,
    "restore": _restore,
}


# ---------------------------------------------------------------------- what is said


def _make_speakable(as_json: bool) -> None:
    """Let no character stop the program: what a stream's encoding lacks is replaced, and JSON is always UTF-8."""
    for stream, encoding in ((sys.stdout, "utf-8" if as_json else None), (sys.stderr, None)):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=encoding, errors="replace")


def _text(typed: str) -> str:
    """Return an argument as text, whatever bytes it was made of."""
    return re.sub("[\ud800-\udfff]", "\ufffd", typed)


def _write_json(value: object) -> None:
    sys.stdout.write(_json(value, indent=2) + "\n")


def _json(value: object, indent: int | None = None) -> str:
    """Return a value as JSON that may be shown on a terminal: what could do more than be read is written as \\uXXXX."""
    from searchsvc.text.sanitize import UNSEEN

    written = _text(json.dumps(value, ensure_ascii=False, indent=indent))
    return UNSEEN.sub(lambda found: json.dumps(found[0])[1:-1].replace("\x7f", "\\u007f"), written)


def _failed(fault: SearchsvcError | OSError, as_json: bool) -> int:
    """Say what is wrong, in one line and, where JSON was asked for, as its one document too."""
    if isinstance(fault, OSError):
        where = f"{fault.filename}: " if fault.filename else ""
        fault = SearchsvcError(f"{where}{(fault.strerror or str(fault)).lower()}")
    if as_json:
        _write_json({"error": {"code": fault.code, "message": fault.message, "hint": fault.hint}})
    exit_code = MISUSED if isinstance(fault, BadInput) else NO_INDEX if isinstance(fault, NoIndex) else WRONG
    return _say("; ".join(filter(None, (fault.message, fault.hint))), exit_code)


def _say(message: str, code: int) -> int:
    from searchsvc.interfaces.cli.terminal import LONGEST_WHERE
    from searchsvc.text.sanitize import one_line

    sys.stderr.write(f"searchsvc: {one_line(message, LONGEST_WHERE)}\n")
    return code
