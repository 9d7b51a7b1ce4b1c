"""Operators: what in the text of a question says how to search, and not what for.

    source:reuters   after:2024-06-01   before:2024-06   lang:en      only these articles
    "exact phrase"                                                    only passages that hold it, or whose title does
    -word   -"a phrase"                                               no article that holds it

An operator stands by itself, between spaces. Typographic marks (“ ”, « ») demand nothing of a passage: they come with
sentences that were copied, and quote. Whatever is not quite one, such as `title:x`, `after:party`, `-20` or a
lone quotation mark, is part of the question: no text is ever wrong.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from searchsvc.errors import BadInput
from searchsvc.text.dates import parse_bound
from searchsvc.text.language import language_code

# Straight and curly marks are mixed by keyboards and word processors; « texte » is set with spaces inside.
QUOTED = r"""(?: ["“”„‟＂] (?=\S) (?P<{0}> [^"“”„‟＂]+ ) (?<=\S) ["“”„‟＂]
               | « (?P<{0}_in> [^«»]+ ) » | » (?P<{0}_out> [^«»]+ ) « ) (?!\w)"""
OPERATOR = re.compile(
    rf"""(?<![^\s(\[]) (?:
        (?P<name> source | after | before | lang (?:uage)? ) : (?: {QUOTED.format("named")} | (?P<value> \S+ ) )
      | (?P<minus> - )? {QUOTED.format("phrase")}
      | - (?P<word> [^\W\d_] \S* )
    )""",
    re.IGNORECASE | re.VERBOSE,
)
STRAIGHT = '"＂'
MARKS = re.compile(r'["“”„‟＂«»]')
ENDING = ".,;!?)]"  # what may follow an operator without belonging to it
WORD = re.compile(r"\w+(?:[-'’.&]\w+)*")


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text asks for: its words without the operators, and what these demand of an answer.

    Phrases stay part of `text`, without their quotation marks. `text` is empty where there are only other operators.
    Of several dates the narrowest hold; any of several sources will do, and any of several languages.
    """

    text: str
    phrases: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    after: datetime | None = None
    before: datetime | None = None
    sources: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()


def parse(text: str) -> Parsed:
    """Return what a text asks for; one without operators comes back as it is. Raises nothing."""
    values: dict[str, dict[Any, None]] = {kind: {} for kind in ("phrase", "minus", *READ)}
    pieces: list[str] = []
    position = 0
    for match in OPERATOR.finditer(text):
        kind, value = _read(match)
        if value is not None:
            values[kind][value] = None
            pieces += [text[position : match.start()], str(value) if kind == "phrase" else " "]
            position = match.end()
    if not pieces:
        return Parsed(text)
    rest = " ".join("".join([*pieces, text[position:]]).split())
    return Parsed(
        text=rest if _has_letters(rest) else "",
        phrases=tuple(values["phrase"]),
        excluded=tuple(values["minus"]),
        after=max(values["after"], default=None),
        before=min(values["before"], default=None),
        sources=tuple(values["source"]),
        languages=tuple(values["lang"]),
    )


def _read(match: re.Match[str]) -> tuple[str, object]:
    """Return what kind of operator this is, and its value; None where it is not quite one."""
    if match["name"]:
        kind = match["name"].lower().removesuffix("uage")
        text = _quoted(match, "named") or match["value"].rstrip(ENDING)
        return kind, None if MARKS.search(text) else READ[kind](text)
    if match["word"]:
        word = match["word"].rstrip(ENDING)
        return "minus", word if WORD.fullmatch(word) else None
    phrase = _quoted(match, "phrase")
    if not match["minus"] and match.group()[0] not in STRAIGHT:
        return "phrase", None
    return "minus" if match["minus"] else "phrase", phrase if _has_letters(phrase) else None


def _quoted(match: re.Match[str], group: str) -> str:
    """Return what stands between quotation marks, of whichever kind; empty where there are none."""
    return (match[group] or match[f"{group}_in"] or match[f"{group}_out"] or "").strip()


def _has_letters(text: str) -> bool:
    """Say whether there is a letter or a figure in a text."""
    return any(map(str.isalnum, text))


def _bound(text: str, *, end: bool) -> datetime | None:
    try:
        return parse_bound(text, end=end)
    except BadInput:
        return None


READ: dict[str, Callable[[str], object]] = {
    "source": lambda text: text if _has_letters(text) else None,
    "after": partial(_bound, end=False),
    "before": partial(_bound, end=True),
    "lang": language_code,
}
