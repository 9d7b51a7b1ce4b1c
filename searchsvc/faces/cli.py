"""The command line: words typed become one call of the library, and its answer becomes text, JSON and an exit code.

    argv ── parser ──► Call ── a command ──► stdout: the answer      stderr: all else
    0 done   1 something is wrong   2 wrong use   3 no index   4 some files could not be read   130 stopped

Only the standard library is imported here, so that `--help` and a mistyped option answer at once.
"""

import argparse
import io
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from searchsvc.errors import BadInput, NoIndex, SearchsvcError
from searchsvc.settings import Settings

if TYPE_CHECKING:
    from searchsvc.faces.terminal import Screen
    from searchsvc.indexing import Report
    from searchsvc.library import Library

DONE, WRONG, MISUSED, NO_INDEX, SOME_UNREAD, STOPPED = 0, 1, 2, 3, 4, 130

SEEDS = Path("seeds")
EVERYWHERE = ("index", "model", "device", "cache")
METAVARS = {type(Path()): "DIR", int: "N", str: "NAME"}
EXITS = """\
exit codes: 0 done; 1 something is wrong; 2 wrong use; 3 no index; 4 some files could not be read (the rest was indexed)
Each option of an index can also be set in the environment: SEARCHSVC_INDEX, SEARCHSVC_MODEL and so on.
"""


def run(argv: Sequence[str]) -> int:
    """Do what a command line asks; return the exit code. Raises SystemExit behind --help and --version alone."""
    as_json = "--json" in argv
    _make_speakable(as_json)
    try:
        given = _parser().parse_args(argv)
        chosen = {one.name: getattr(given, one.name) for one in fields(Settings) if hasattr(given, one.name)}
        code: int = given.command(Call(given, replace(Settings.from_environment(), **chosen)))
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
        from searchsvc.faces.terminal import show_notice

        show_notice(self.messages, sentence)

    @cached_property
    def out(self) -> "Screen":
        """Where the answer goes."""
        from searchsvc.faces.terminal import Screen

        return Screen()

    @cached_property
    def messages(self) -> "Screen":
        """Where all else goes."""
        from searchsvc.faces.terminal import Screen

        return Screen(stderr=True)

    def answer(self, value: object, show: Callable[["Screen"], None]) -> None:
        """Give the answer: as one JSON document where that was asked for, else as `show` does."""
        if hasattr(self.given, "json"):
            _write_json(value)
        else:
            show(self.out)


# ---------------------------------------------------------------------- the commands


def _search(call: Call) -> int:
    from searchsvc.dates import parse_bound
    from searchsvc.faces import terminal, wire
    from searchsvc.questions import ask

    given = call.given
    question = _text(" ".join(given.question))
    after, before, as_of = (
        None if said is None else parse_bound(_text(said), end=end)
        for said, end in ((given.after, False), (given.before, True), (given.as_of, True))
    )
    code = DONE
    if not call.library.exists:
        # What cannot be asked shall not first cost the minutes of making an index.
        ask(question, limit=given.limit, per_article=given.per_article, max_tokens=given.max_tokens)
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
    )
    value = wire.results_out(results, explain=given.explain)
    call.answer(value, lambda out: terminal.show_results(out, results, explain=given.explain))
    return code


def _build(call: Call) -> int:
    """Make the first index from ./seeds, all talk going to stderr."""
    from searchsvc.faces import terminal

    if not SEEDS.is_dir():
        raise NoIndex(
            f"there is no index in {call.library.folder}, and no folder ./{SEEDS} to make one from",
            "searchsvc index PATH… makes one from your articles",
        )
    report, code = _indexed(call, [SEEDS])
    terminal.show_report(call.messages, report)
    return code


def _index(call: Call) -> int:
    from searchsvc.faces import terminal, wire

    paths = call.given.paths or [SEEDS]
    if not any(os.path.lexists(path) for path in paths):
        named = ", ".join(map(str, paths)) if call.given.paths else f"./{SEEDS}"
        raise BadInput(f"there is no {named}", "name files and folders: searchsvc index PATH…")
    report, code = _indexed(call, paths)
    call.answer(wire.report_out(report), lambda out: terminal.show_report(out, report))
    return code


def _indexed(call: Call, paths: Sequence[Path]) -> "tuple[Report, int]":
    from searchsvc.faces import terminal

    with terminal.progress_on(call.messages) as progress:
        report = call.library.index(paths, progress)
    terminal.show_problems(call.messages, report.problems)
    return report, SOME_UNREAD if report.lost else DONE


def _serve(call: Call) -> int:
    from searchsvc.faces.api import serve

    serve(call.library, call.settings.host, call.settings.port)
    return DONE


def _status(call: Call) -> int:
    from searchsvc.faces import terminal, wire

    status = call.library.status()
    call.answer(wire.status_out(status), lambda out: terminal.show_status(out, status))
    return DONE


def _eval(call: Call) -> int:
    from searchsvc.evaluation import as_record, evaluate
    from searchsvc.faces import terminal

    with terminal.progress_on(call.messages) as progress:
        evaluation = evaluate(call.given.folder, call.settings, announce=call.announce, progress=progress)
    call.answer(as_record(evaluation), lambda out: terminal.show_evaluation(out, evaluation))
    return DONE


def _remove(call: Call) -> int:
    from searchsvc.faces import terminal

    removed = call.library.remove(map(_text, call.given.names))
    call.answer({"removed": removed}, lambda out: out.print(f"{terminal.counted(removed, 'article')} taken out."))
    return DONE


def _verify(call: Call) -> int:
    from searchsvc.faces import terminal

    found = call.library.verify()
    said = "\n".join(map(terminal.line, found)) or "all is well"
    call.answer({"well": not found, "problems": found}, lambda out: out.print(said, soft_wrap=True))
    if not found:
        return DONE
    return _say(f"{len(found):,} wrong with the index; searchsvc rebuild makes its search files anew", WRONG)


def _rebuild(call: Call) -> int:
    from searchsvc.faces import terminal, wire

    call.library.rebuild()
    status = call.library.status()
    said = f"The search files were made anew: {terminal.counted(status.passages, 'passage')}."
    call.answer(wire.status_out(status), lambda out: out.print(said))
    return DONE


# ---------------------------------------------------------------------- what can be typed


class Parser(argparse.ArgumentParser):
    """argparse, whose complaints are said as all others are."""

    def error(self, message: str) -> NoReturn:
        """Raise BadInput."""
        raise BadInput(message, f"see {self.prog} --help")


class Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Say it, and end."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            said = version("searchsvc")
        except PackageNotFoundError:
            said = "(not installed)"
        sys.stdout.write(f"searchsvc {said}\n")
        parser.exit()


def _parser() -> Parser:
    parser = Parser(
        prog="searchsvc",
        description="Semantic search over news text: ask a question, get the paragraph that answers it.",
        epilog=EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=Version, nargs=0, help="say the version")
    _add_common(parser)
    words = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")

    def command(name: str, function: Callable[[Call], int], about: str) -> Parser:
        added = words.add_parser(name, help=about, description=about.capitalize() + ".", allow_abbrev=False)
        added.set_defaults(command=function)
        _add_common(added)
        return added

    search = command("search", _search, "answer a question from the index; it is built from ./seeds when there is none")
    search.add_argument("question", nargs="+", metavar="QUESTION", help="words; they need no quotes")
    search.add_argument(
        "--limit", type=int, default=10, metavar="N", help="most articles shown, 1 to 100 (default: 10)"
    )
    search.add_argument("--after", metavar="DATE", help="published on or after: 2024, 2024-06, 2024-06-18 or a moment")
    search.add_argument("--before", metavar="DATE", help="published on or before")
    search.add_argument("--as-of", metavar="DATE", help="answer as at this moment: nothing published later is found")
    search.add_argument("--source", action="append", default=[], metavar="NAME", help="only this source; repeatable")
    search.add_argument(
        "--language", action="append", default=[], metavar="CODE", help="only this one, such as en; repeatable"
    )
    search.add_argument(
        "--per-article", type=int, default=1, metavar="N", help="most passages of one article, 1 to 10 (default: 1)"
    )
    search.add_argument(
        "--max-tokens", type=int, metavar="N", help="stop where the passages would exceed this many tokens"
    )
    search.add_argument("--explain", action="store_true", help="say why each hit is there")

    index = command("index", _index, "bring the index in step with files and folders")
    index.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files and folders (default: ./seeds)")
    _add_settings(index, ("passage_tokens", "article_bytes"))

    _add_settings(command("serve", _serve, "answer over HTTP, with a web page"), ("host", "port"))
    judge = command("eval", _eval, "judge the ranking on questions whose answers are known")
    judge.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="corpus.jsonl[.gz], queries.jsonl and qrels.tsv as BEIR lays them out",
    )
    command("status", _status, "say what is indexed, since when, and how big it is")

    remove = command("rm", _remove, "take articles out")
    remove.add_argument(
        "names", nargs="+", metavar="KEY|SOURCE", help="key or id of an article, or a source: all of it"
    )
    command("verify", _verify, "check the index; exit code 1 when something is wrong with it")
    command("rebuild", _rebuild, "make the search files anew from the catalogue; nothing is embedded again")
    return parser


def _add_common(parser: Parser) -> None:
    # No option has a default here: one given before the command must not be undone by its absence behind it.
    _add_settings(parser, EVERYWHERE)
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document on stdout, all else on stderr"
    )


def _add_settings(parser: Parser, names: Sequence[str]) -> None:
    """Make an option of each of these settings."""
    for one in fields(Settings):
        if one.name not in names:
            continue
        kind = type(one.default)
        shown = "" if one.default in ("", Path()) else f" (default: {one.default})"
        parser.add_argument(
            f"--{one.name.replace('_', '-')}",
            type=kind,
            default=argparse.SUPPRESS,
            choices=one.metadata.get("choices"),
            metavar=None if "choices" in one.metadata else METAVARS[kind],
            help=(one.metadata["help"] + shown).replace("%", "%%"),
        )


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
    sys.stdout.write(_text(json.dumps(value, ensure_ascii=False, indent=2)) + "\n")


def _failed(fault: SearchsvcError | OSError, as_json: bool) -> int:
    """Say what is wrong, in one line and, where JSON was asked for, as its one document too."""
    if isinstance(fault, OSError):
        where = f"{fault.filename}: " if fault.filename else ""
        fault = SearchsvcError(f"{where}{(fault.strerror or str(fault)).lower()}")
    if as_json:
        code = re.sub(r"(?<!^)(?=[A-Z])", "_", type(fault).__name__).lower()
        _write_json({"error": {"code": code, "message": fault.message, "hint": fault.hint}})
    exit_code = MISUSED if isinstance(fault, BadInput) else NO_INDEX if isinstance(fault, NoIndex) else WRONG
    return _say("; ".join(filter(None, (fault.message, fault.hint))), exit_code)


def _say(message: str, code: int) -> int:
    from searchsvc.faces.terminal import LONGEST_WHERE, line

    sys.stderr.write(f"searchsvc: {line(message, LONGEST_WHERE)}\n")
    return code
