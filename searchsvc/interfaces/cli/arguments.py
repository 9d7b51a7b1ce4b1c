"""The arguments: every command and option that can be typed, and what each is for."""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import NoReturn

from searchsvc.errors import BadInput
from searchsvc.query import OPTIONS, FilterOptions, Option, QueryOptions
from searchsvc.settings import Settings, kind_of

EVERYWHERE = ("index", "engine", "model", "device", "cache")
METAVARS = {int: "N", str: "NAME"}
EXITS = """\
exit codes: 0 done; 1 something is wrong; 2 wrong use; 3 no index; 4 some files could not be read (the rest was indexed)
Each option of an index can also be set in the environment: SEARCHSVC_INDEX, SEARCHSVC_MODEL and so on.
"""
OPERATORS = """\
words, which need no quotes; source:reuters, after:2024-06-01, before:2024-06 and lang:en among them narrow it; passages
must hold an "exact phrase", and articles no -word or -"phrase": for these two, put the whole into single quotes"""


class Parser(argparse.ArgumentParser):
    """argparse, whose errors are reported as all others are."""

    def error(self, message: str) -> NoReturn:
        """Raise BadInput."""
        raise BadInput(message, f"see {self.prog} --help")


class Version(argparse.Action):
    """Looks the version up only when it is wanted."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Say it, and end."""
        from searchsvc import __version__

        sys.stdout.write(f"searchsvc {__version__}\n")
        parser.exit()


def parser() -> Parser:
    """Return the parser of a command line; `command` of its result is the command's name."""
    top = Parser(
        prog="searchsvc",
        description="Semantic search over news text: ask a question, get the paragraph that answers it.",
        epilog=EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action=Version, nargs=0, help="say the version")
    _add_common(top)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")

    def command(name: str, about: str, *settings: str) -> Parser:
        added = commands.add_parser(name, help=about, description=about.capitalize() + ".", allow_abbrev=False)
        _add_common(added, *settings)
        return added

    about = "answer a question from the index; it is built from ./seeds when there is none"
    _add_query(command("search", about, "rerank"), QueryOptions, 10)

    about = "answer a question in sentences that are all quoted, each with its citation, as Markdown"
    _add_query(command("brief", about, "rerank"), FilterOptions, 12)

    reading = ("passage_tokens", "article_bytes", "reading_seconds", "private_networks")
    index = command("index", "bring the index in step with files, folders and feeds", *reading)
    _add_sources(index)
    index.add_argument(
        "--prune", action="store_true", help="take out what is gone, even where most of a folder is gone at once"
    )

    about = "bring the index in step with files, folders and feeds, and keep it so until stopped"
    watch = command("watch", about, *reading, "rescan_seconds", "feed_minutes")
    _add_sources(watch)

    following = ("rescan_seconds", "feed_minutes", "private_networks")
    serve = command("serve", "answer over HTTP", "host", "port", "workers", "rerank", *following)
    serve.add_argument(
        "--watch", nargs="+", default=argparse.SUPPRESS, metavar="PATH", help="keep the index in step with these"
    )
    about = (
        "a name by which it is called besides this machine's own, such as news.example.org behind a proxy; repeatable"
    )
    serve.add_argument(
        "--hostname",
        "--hostnames",
        action="append",
        dest="hostnames",
        default=argparse.SUPPRESS,
        metavar="NAME",
        help=about,
    )
    command("mcp", "answer chat tools over MCP, on standard input and output", "rerank")
    judge = command("eval", "judge the ranking on questions whose answers are known", "rerank")
    judge.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="corpus.jsonl[.gz], queries.jsonl and qrels.tsv as BEIR lays them out",
    )
    judge.add_argument("--save", type=Path, metavar="FILE", help="write the run: figures, questions, what was found")
    judge.add_argument("--against", type=Path, metavar="FILE", help="compare with a run that was saved, by question")
    judge.add_argument(
        "--floor",
        action="append",
        type=floor,
        default=[],
        metavar="NAME=VALUE",
        help="exit code 1 when a measure is below this, such as nDCG@10=0.85; repeatable",
    )
    judge.add_argument(
        "--late", type=int, default=0, metavar="DAYS", help="ask each dated question so much later (default: 0)"
    )
    _add_option(judge, "freshness", OPTIONS["freshness"])
    command("status", "say what is indexed, since when, and how big it is")

    remove = command("rm", "take articles out")
    remove.add_argument(
        "names", nargs="+", metavar="KEY|SOURCE", help="key or id of an article, or a source: all of it"
    )
    command("verify", "check the index; exit code 1 when something is wrong with it")
    about = "make the search files anew; with another --model or --passage-tokens, embed anew too"
    command("rebuild", about, "passage_tokens")
    backup = command("backup", "write the index into one file, while searches go on")
    backup.add_argument("file", type=Path, metavar="FILE", help="an earlier backup of that name is replaced")
    restore = command("restore", "put the index back to what a backup holds")
    restore.add_argument("file", type=Path, metavar="FILE", help="made by searchsvc backup")
    return top


def _add_common(parser: Parser, *settings: str) -> None:
    # No option has a default here: one given before the command must not be undone by its absence behind it.
    _add_settings(parser, (*EVERYWHERE, *settings))
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document on stdout, all else on stderr"
    )


def _add_query(parser: Parser, options: type[FilterOptions], limit: int) -> None:
    parser.add_argument("question", nargs="+", metavar="QUESTION", help=OPERATORS)
    for name in options.__annotations__:
        option = OPTIONS[name]
        _add_option(parser, name, replace(option, default=limit) if name == "limit" else option)


def _add_option(parser: Parser, name: str, option: Option) -> None:
    """Make an argument of an option of a query, whose name, default, bounds and description it takes."""
    flag, about = f"--{name.replace('_', '-')}", option.description.replace("%", "%%")
    if name == "freshness":
        parser.add_argument(flag, type=switch, default=True, metavar="auto|off", help=f"{about} Default: auto.")
    elif option.default is True:
        parser.add_argument(f"--no-{name}", dest=name, action="store_false", help=f"Turn off: {about}")
    elif option.default is False:
        parser.add_argument(flag, action="store_true", help=about)
    elif option.default == ():
        singular = flag.removesuffix("s")
        metavar = singular.strip("-").upper()
        parser.add_argument(
            singular, dest=name, action="append", default=[], metavar=metavar, help=f"{about} Repeatable."
        )
    elif option.minimum is not None:
        bounds = f" From {option.minimum} to {option.maximum}, default {option.default}." if option.maximum else ""
        parser.add_argument(flag, type=int, default=option.default, metavar="N", help=about + bounds)
    else:
        parser.add_argument(flag, metavar="DATE", help=about)


def switch(value: str) -> bool:
    """Return whether auto, and not off, was chosen."""
    if value not in {"auto", "off"}:
        raise argparse.ArgumentTypeError(f"invalid choice: {value!r} (choose from auto, off)")
    return value == "auto"


def _add_sources(parser: Parser) -> None:
    about = "files, folders, and URLs of feeds (default: ./seeds)"
    parser.add_argument("sources", nargs="*", type=source, metavar="PATH", help=about)
    parser.add_argument("--until-eof", action="store_true", help="stop when standard input ends, for programs")


def source(argument: str) -> Path | str:
    """Return a URL as it is, anything else as a path, which would lose a slash of a URL's two."""
    is_url = argument.lower().startswith(("http://", "https://"))
    return argument if is_url else Path(argument).expanduser()


def floor(argument: str) -> tuple[str, float]:
    """Return the name of a measure and its minimum."""
    name, _, value = argument.rpartition("=")
    try:
        minimum = float(value)
    except ValueError:
        minimum = math.nan
    if not name or not 0 <= minimum <= 1:
        raise argparse.ArgumentTypeError(f"{argument!r} is not a measure and a number from 0 to 1, as nDCG@10=0.85 is")
    return name, minimum


def _add_settings(parser: Parser, names: Sequence[str]) -> None:
    """Make an option of each of these settings."""
    for setting in fields(Settings):
        if setting.name not in names:
            continue
        kind = kind_of(setting)
        default = "" if setting.default in ("", None) else f" (default: {setting.default})"
        parser.add_argument(
            f"--{setting.name.replace('_', '-')}",
            type=kind,
            default=argparse.SUPPRESS,
            choices=setting.metadata.get("choices"),
            metavar=None if "choices" in setting.metadata else METAVARS.get(kind, "DIR"),
            help=(setting.metadata["help"] + default).replace("%", "%%"),
        )
