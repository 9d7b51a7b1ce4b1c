"""Commands that change or check an index: index, watch, rm, status, verify, rebuild, backup, restore."""

import os
import shlex
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from searchsvc.errors import BadInput
from searchsvc.interfaces.cli.call import DONE, FAILED, SOME_UNREADABLE, Call, as_text, write_error, write_json
from searchsvc.interfaces.formatting import byte_size, counted
from searchsvc.text.dates import long_date

if TYPE_CHECKING:
    from searchsvc.ingest.report import Report

SEEDS = Path("seeds")


def index(call: Call) -> int:
    """Bring the index in step with files, folders and feeds."""
    from searchsvc.interfaces.cli.print_index import print_report
    from searchsvc.interfaces.serialize import serialize_report

    sources = _sources(call)
    _prepare_to_index(call)
    report, exit_code = index_sources(call, sources)
    call.answer(serialize_report(report), lambda out: print_report(out, report))
    return exit_code


def _sources(call: Call) -> list[Path | str]:
    """Return the files, folders and feeds that were named; raises BadInput where none of them exists."""
    sources: list[Path | str] = call.arguments.sources or [SEEDS]
    if not any(isinstance(name, str) or os.path.lexists(name) or call.library.knows(name) for name in sources):
        names = ", ".join(map(str, sources)) if call.arguments.sources else f"./{SEEDS}"
        hint = f"name files and folders: searchsvc {call.arguments.command} PATH…"
        raise BadInput(f"there is no file or folder {names}", hint)
    return sources


def _prepare_to_index(call: Call) -> None:
    """Give way to whoever searches meanwhile, and stop when told to, at any moment: what was committed is safe."""
    if hasattr(os, "nice"):
        os.nice(10)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if call.arguments.until_eof:

        def wait_for_eof() -> None:
            while os.read(0, 4096):  # not through sys.stdin, whose lock must be free when Python ends
                pass
            signal.raise_signal(signal.SIGTERM)

        threading.Thread(target=wait_for_eof, daemon=True).start()


def index_sources(call: Call, sources: Sequence[Path | str]) -> "tuple[Report, int]":
    """Index with progress on stderr; return the report and the exit code."""
    from searchsvc.interfaces.cli.print_index import print_missing_files, print_problems, show_progress

    with show_progress(call.messages) as progress:
        report = call.library.index(sources, progress, prune=getattr(call.arguments, "prune", False))
    print_problems(call.messages, report.problems)
    print_missing_files(call.messages, report.kept)
    return report, SOME_UNREADABLE if report.lost or report.kept else DONE


def watch(call: Call) -> int:
    """Index, then keep in step until stopped."""
    from searchsvc.interfaces.cli.print_index import print_run
    from searchsvc.interfaces.serialize import serialize_report
    from searchsvc.service.sync import sync

    sources = _sources(call)
    _prepare_to_index(call)
    known: list[object] = []  # missing files of the last run, which need not be named again

    def tell(report: "Report") -> None:
        nonlocal known
        missing, report.kept = report.kept, [files for files in report.kept if files not in known]
        known = list(missing)
        if call.as_json:
            write_json(serialize_report(report), indent=None)
        else:
            print_run(call.messages, report)

    try:
        sync(call.library, sources, threading.Event(), tell)
    except KeyboardInterrupt:
        return DONE  # the way to stop it; what was committed is kept
    return DONE


def remove(call: Call) -> int:
    """Take articles out."""
    removed = call.library.remove(map(as_text, call.arguments.names))
    call.answer({"removed": removed}, lambda out: out.print(f"{counted(removed, 'article')} taken out."))
    return DONE


def status(call: Call) -> int:
    """Say what is indexed."""
    from searchsvc.interfaces.cli.print_index import print_status
    from searchsvc.interfaces.serialize import serialize_status

    state = call.library.status()
    call.answer(serialize_status(state), lambda out: print_status(out, state))
    return DONE


def verify(call: Call) -> int:
    """Check the index."""
    from searchsvc.interfaces.cli.print_index import print_verification
    from searchsvc.interfaces.serialize import serialize_verification

    verification = call.library.verify()
    call.answer(serialize_verification(verification), lambda out: print_verification(out, verification))
    if not verification.problems:
        return DONE
    wrong = f"{len(verification.problems):,} wrong with the index"
    return write_error(f"{wrong}; searchsvc rebuild makes its search files anew", FAILED)


def rebuild(call: Call) -> int:
    """Make the search files anew."""
    from searchsvc.interfaces.cli.print_index import show_progress

    with show_progress(call.messages) as progress:
        call.library.rebuild(progress)
    return _answer_with_status(call, "The search files were made anew: {passages}.")


def backup(call: Call) -> int:
    """Write the index into one file."""
    from searchsvc.interfaces.cli.screen import MAX_ADDRESS
    from searchsvc.text.sanitize import one_line

    file = call.arguments.file
    call.library.backup(file)
    size = file.stat().st_size
    name = one_line(shlex.quote(str(file)), MAX_ADDRESS)
    message = f"{name} holds the whole index ({byte_size(size)}); searchsvc restore {name} puts it back."
    call.answer({"file": str(file), "bytes": size}, lambda out: out.print(message, soft_wrap=True))
    return DONE


def restore(call: Call) -> int:
    """Put the index back to what a backup holds."""
    call.library.restore(call.arguments.file)
    return _answer_with_status(call, "{articles} restored{date}.")


def _answer_with_status(call: Call, message: str) -> int:
    """Answer with the state of the index, or with a message in which {articles}, {passages} and {date} stand."""
    from searchsvc.interfaces.serialize import serialize_status

    state = call.library.status()
    filled = message.format(
        articles=counted(state.articles, "article"),
        passages=counted(state.passages, "passage"),
        date=f", as they were on {long_date(state.updated)}" if state.updated else "",
    )
    call.answer(serialize_status(state), lambda out: out.print(filled))
    return DONE
