"""The command line: the words typed become one call of the library, and its answer text or JSON and an exit code.

    argv ── arguments ──► Call ── a command ──► stdout: the answer      stderr: all else
    0 done   1 something is wrong   2 wrong use   3 no index   4 some files could not be read   130 stopped

Nothing heavy is imported before a command runs, so that `--help` and a mistyped option answer at once.
"""

import io
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace

from searchsvc.errors import SearchsvcError
from searchsvc.interfaces.cli import index_commands, search_commands
from searchsvc.interfaces.cli.arguments import parser
from searchsvc.interfaces.cli.call import DONE, STOPPED, Call, as_text, write_error, write_json
from searchsvc.models.memory import must_start
from searchsvc.settings import Settings


def run(argv: Sequence[str]) -> int:
    """Do what a command line says; return the exit code. Raises SystemExit behind --help and --version alone."""
    as_json = "--json" in argv
    _replace_unencodable(as_json)
    try:
        arguments = parser().parse_args(argv)
        chosen = {field.name: getattr(arguments, field.name) for field in fields(Settings) if field.name in arguments}
        if "watch" in chosen:
            chosen["watch"] = shlex.join(chosen["watch"])
        if "hostnames" in chosen:
            chosen["hostnames"] = ",".join(chosen["hostnames"])
        settings = replace(Settings.from_environment(), **chosen)
        settings = replace(settings, model=as_text(settings.model), rerank=as_text(settings.rerank))
        must_start()
        exit_code = COMMANDS[arguments.command](Call(arguments, settings))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the answer has had enough of it; Python itself must not stumble over the pipe at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return write_error("stopped; what was committed is kept", STOPPED)
    except (SearchsvcError, OSError) as error:
        return _report(error, as_json)
    return exit_code


def _replace_unencodable(as_json: bool) -> None:
    """Let no character stop the program: what a stream's encoding lacks is replaced, and JSON is always UTF-8."""
    for stream, encoding in ((sys.stdout, "utf-8" if as_json else None), (sys.stderr, None)):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=encoding, errors="replace")


def _report(error: SearchsvcError | OSError, as_json: bool) -> int:
    """Say what is wrong, in one line and, where JSON is wanted, as its one document too; return the exit code."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        error = SearchsvcError(f"{where}{(error.strerror or str(error)).lower()}")
    if as_json:
        write_json({"error": {"code": error.code, "message": error.message, "hint": error.hint}})
    return write_error("; ".join(filter(None, (error.message, error.hint))), error.exit_code)


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


COMMANDS: dict[str, Callable[[Call], int]] = {
    "search": search_commands.search,
    "brief": search_commands.brief,
    "index": index_commands.index,
    "watch": index_commands.watch,
    "serve": _serve,
    "mcp": _mcp,
    "eval": search_commands.evaluate,
    "status": index_commands.status,
    "rm": index_commands.remove,
    "verify": index_commands.verify,
    "rebuild": index_commands.rebuild,
    "backup": index_commands.backup,
    "restore": index_commands.restore,
}
