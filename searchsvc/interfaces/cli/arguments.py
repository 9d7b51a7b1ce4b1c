"""The arguments: every command and option that can be typed, and what each is for."""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

from searchsvc.errors import BadInput
from searchsvc.interfaces.version import version
from searchsvc.settings import Settings, kind_of

EVERYWHERE = ("index", "model", "device", "cache")
METAVARS = {Path: "DIR", int: "N", str: "NAME"}
EXITS = """\
exit codes: 0 done; 1 something is wrong; 2 wrong use; 3 no index; 4 some files could not be read (the rest was indexed)
Each option of an index can also be set in the environment: SEARCHSVC_INDEX, SEARCHSVC_MODEL and so on.
"""
OPERATORS = """\
words, which need no quotes; source:reuters, after:2024-06-01, before:2024-06 and lang:en among them narrow it; passages
must hold an "exact phrase", and articles no -word or -"phrase": for these two, put the whole into single quotes"""


class Parser(argparse.ArgumentParser):
    """argparse, whose complaints are said as all others are."""

    def error(self, message: str) -> NoReturn:
        """Raise BadInput."""
        raise BadInput(message, f"see {self.prog} --help")


class Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Say it, and end."""
        sys.stdout.write(f"searchsvc {version()}\n")
        parser.exit()


def parser() -> Parser:
    """Return what understands a command line; `command` of what it returns is the command's name."""
    whole = Parser(
        prog="searchsvc",
        description="Semantic search over news text: ask a question, get the paragraph that answers it.",
        epilog=EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    whole.add_argument("--version", action=Version, nargs=0, help="say the version")
    _add_common(whole)
    words = whole.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")

    def command(name: str, about: str, *settings: str) -> Parser:
        added = words.add_parser(name, help=about, description=about.capitalize() + ".", allow_abbrev=False)
        _add_common(added, *settings)
        return added

    about = "answer a question from the index; it is built from ./seeds when there is none"
    search = command("search", about, "rerank")
    _add_question(search, "shown", 10)
    search.add_argument(
        "--per-article", type=int, default=1, metavar="N", help="most passages of one article, 1 to 10 (default: 1)"
    )
    search.add_argument("--max-tokens", type=int, metavar="N", help="the best that has so many tokens, titles counted")
    search.add_argument(
        "--no-period", action="store_true", help="take words of time, such as last week, for words and not for dates"
    )
    search.add_argument(
        "--freshness", choices=("auto", "off"), default="auto", help="whether newer is better (default: auto)"
    )
    search.add_argument("--no-fold", action="store_true", help="show every copy of a story as a hit of its own")
    search.add_argument("--explain", action="store_true", help="say why each hit is there")

    about = "answer a question in sentences that are all quoted, each with its citation, as Markdown"
    _add_question(command("brief", about, "rerank"), "quoted", 12)

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
    judge.add_argument(
        "--freshness", choices=("auto", "off"), default="auto", help="whether newer is better (default: auto)"
    )
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
    return whole


def _add_common(parser: Parser, *settings: str) -> None:
    # No option has a default here: one given before the command must not be undone by its absence behind it.
    _add_settings(parser, (*EVERYWHERE, *settings))
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document on stdout, all else on stderr"
    )


def _add_question(parser: Parser, what: str, limit: int) -> None:
    parser.add_argument("question", nargs="+", metavar="QUESTION", help=OPERATORS)
    about = f"most articles {what}, 1 to 100 (default: {limit})"
    parser.add_argument("--limit", type=int, default=limit, metavar="N", help=about)
    parser.add_argument("--after", metavar="DATE", help="published on or after: 2024, 2024-06, 2024-06-18 or a moment")
    parser.add_argument("--before", metavar="DATE", help="published on or before")
    parser.add_argument("--as-of", metavar="DATE", help="answer as at this moment: nothing published later is found")
    about = "only this source, by name or site (reuters: reuters.com); repeatable"
    parser.add_argument("--source", action="append", default=[], metavar="NAME", help=about)
    about = "only this one, such as en; repeatable"
    parser.add_argument("--language", action="append", default=[], metavar="CODE", help=about)


def _add_sources(parser: Parser) -> None:
    about = "files, folders, and URLs of feeds (default: ./seeds)"
    parser.add_argument("sources", nargs="*", type=source, metavar="PATH", help=about)
    parser.add_argument("--until-eof", action="store_true", help="stop when standard input ends, for programs")


def source(typed: str) -> Path | str:
    """Return a URL as it was typed, anything else as a path: which would lose a slash of a URL's two."""
    return typed if typed.lower().startswith(("http://", "https://")) else Path(typed).expanduser()


def floor(typed: str) -> tuple[str, float]:
    """Return the name of a measure and its least value."""
    name, _, value = typed.rpartition("=")
    try:
        least = float(value)
    except ValueError:
        least = math.nan
    if not name or not 0 <= least <= 1:
        raise argparse.ArgumentTypeError(f"{typed!r} is not a measure and a number from 0 to 1, as nDCG@10=0.85 is")
    return name, least


def _add_settings(parser: Parser, names: Sequence[str]) -> None:
    """Make an option of each of these settings."""
    for one in fields(Settings):
        if one.name not in names:
            continue
        kind = kind_of(one)
        shown = "" if one.default in ("", None) else f" (default: {one.default})"
        parser.add_argument(
            f"--{one.name.replace('_', '-')}",
            type=kind,
            default=argparse.SUPPRESS,
            choices=one.metadata.get("choices"),
            metavar=None if "choices" in one.metadata else METAVARS[kind],
            help=(one.metadata["help"] + shown).replace("%", "%%"),
        )
