"""The arguments: every command and option that can be typed, and what each is for."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

from searchsvc.errors import BadInput
from searchsvc.faces.version import version
from searchsvc.settings import Settings

EVERYWHERE = ("index", "model", "device", "cache")
METAVARS = {type(Path()): "DIR", int: "N", str: "NAME"}
EXITS = """\
exit codes: 0 done; 1 something is wrong; 2 wrong use; 3 no index; 4 some files could not be read (the rest was indexed)
Each option of an index can also be set in the environment: SEARCHSVC_INDEX, SEARCHSVC_MODEL and so on.
"""


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

    def command(name: str, about: str) -> Parser:
        added = words.add_parser(name, help=about, description=about.capitalize() + ".", allow_abbrev=False)
        _add_common(added)
        return added

    search = command("search", "answer a question from the index; it is built from ./seeds when there is none")
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

    index = command("index", "bring the index in step with files, folders and feeds")
    _add_sources(index)
    index.add_argument(
        "--prune", action="store_true", help="take out what is gone, even where most of a folder is gone at once"
    )
    _add_settings(index, ("passage_tokens", "article_bytes", "private_networks"))

    watch = command("watch", "bring the index in step with files, folders and feeds, and keep it so until stopped")
    _add_sources(watch)
    _add_settings(watch, ("passage_tokens", "article_bytes", "rescan_seconds", "feed_minutes", "private_networks"))

    serve = command("serve", "answer over HTTP")
    _add_settings(serve, ("host", "port", "workers"))
    serve.add_argument(
        "--watch", nargs="+", default=argparse.SUPPRESS, metavar="PATH", help="keep the index in step with these"
    )
    _add_settings(serve, ("rescan_seconds", "feed_minutes", "private_networks"))
    judge = command("eval", "judge the ranking on questions whose answers are known")
    judge.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="corpus.jsonl[.gz], queries.jsonl and qrels.tsv as BEIR lays them out",
    )
    command("status", "say what is indexed, since when, and how big it is")

    remove = command("rm", "take articles out")
    remove.add_argument(
        "names", nargs="+", metavar="KEY|SOURCE", help="key or id of an article, or a source: all of it"
    )
    command("verify", "check the index; exit code 1 when something is wrong with it")
    rebuild = command("rebuild", "make the search files anew; with another --model or --passage-tokens, embed anew too")
    _add_settings(rebuild, ("passage_tokens",))
    backup = command("backup", "write the index into one file, while searches go on")
    backup.add_argument("file", type=Path, metavar="FILE", help="an earlier backup of that name is replaced")
    restore = command("restore", "put the index back to what a backup holds")
    restore.add_argument("file", type=Path, metavar="FILE", help="made by searchsvc backup")
    return whole


def _add_common(parser: Parser) -> None:
    # No option has a default here: one given before the command must not be undone by its absence behind it.
    _add_settings(parser, EVERYWHERE)
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document on stdout, all else on stderr"
    )


def _add_sources(parser: Parser) -> None:
    about = "files, folders, and URLs of feeds (default: ./seeds)"
    parser.add_argument("sources", nargs="*", type=source, metavar="PATH", help=about)
    parser.add_argument("--until-eof", action="store_true", help="stop when standard input ends, for programs")


def source(typed: str) -> Path | str:
    """Return a URL as it was typed, anything else as a path: which would lose a slash of a URL's two."""
    return typed if typed.lower().startswith(("http://", "https://")) else Path(typed).expanduser()


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
