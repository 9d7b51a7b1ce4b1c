"""Sanitizing: the text of articles, made harmless for terminals, chat models and Markdown.

    an article's text ── sanitize ────────► a field of an answer to a chat model
                      ── one_line ────────► one line on a terminal
                      ── escape_markdown ─► one line of Markdown          an article's URL ── link ──► a link, or none

Articles are other people's text. No character of it may be invisible, move a cursor, turn the reading direction around,
or begin a tag.
"""

import re
from urllib.parse import quote, urlsplit

MAX_QUOTE, MAX_LINE, MAX_LINK = 10_000, 300, 2_000  # characters

ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x9b[0-?]*[ -/]*[@-~]|\x1b[\]P^_X][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.?")
# Control characters, line separators and halves of characters; and whatever may be left out of what is shown, the
# Default_Ignorable_Code_Point property of Unicode (DerivedCoreProperties.txt, 17.0): zero-width and bidirectional
# characters, fillers, tags.
UNSEEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
# Joiners, direction marks and variation selectors, which are spelling in several scripts and in emoji, one or two at a
# time; in longer rows, or between Latin letters, they can only hide something.
SPELLING = re.compile("[\u200c-\u200f\ufe0e\ufe0f]{1,2}")
TAG = re.compile(r"<(?=[a-zA-Z/!?])")
# What Markdown reads as markup: anywhere in a line (emphasis, code, links, tags, tables, formulas, and what is a link
# without any mark in some dialects), or where it begins (headings, lists).
ACTIVE = re.compile(r"([\\`*_\[\]<>&!|~$]|(?<=\w):(?=//)|(?<=\bwww)\.|(?<=\w)@(?=\w)|^[#+=-])", re.IGNORECASE)
HOST = re.compile(r"(?:[\w-]+(?:\.[\w-]+)*\.?|\[[0-9a-f:.]+\])(?::\d*)?", re.IGNORECASE)  # with its port
NUMBERED = re.compile(r"^(\d+)([.)])")


def safe(text: str) -> str:
    """Return a text of the same length in which invisible and control characters are spaces or U+FFFD.

    Line feeds stay, and so do joiners, marks and selectors where they are spelling.
    """
    return UNSEEN.sub(_replacement, text)


def sanitize(text: str, limit: int = MAX_QUOTE) -> str:
    """Return a text as a field of an answer to a chat model, of at most `limit` characters.

    One that is cut ends in `…`. It is `safe`, and holds no tag: the < that would begin one becomes ‹. Each character
    stands where it stood, so that offsets into the text go on to hold.
    """
    return TAG.sub("‹", safe(text if len(text) <= limit else text[: limit - 1] + "…"))


def one_line(text: str, limit: int = MAX_LINE) -> str:
    """Return a text on one line, safe and of at most `limit` characters."""
    line = safe(" ".join(ESCAPES.sub("", text[: 4 * limit]).split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def escape_markdown(text: str, limit: int = MAX_LINE) -> str:
    """Return a text as Markdown that shows it as `one_line` does, whatever it holds, also where a line begins.

    A backslash takes its meaning from any punctuation (CommonMark 0.31, 2.4).
    """
    return NUMBERED.sub(r"\1\\\2", ACTIVE.sub(r"\\\1", one_line(text, limit)))


def link(url: str | None) -> str | None:
    """Return a web address with all but its own characters encoded; None for any other, and for none.

    Brackets are encoded too, so that it ends where it should in any Markdown. One with a user's name, which people read
    as the host (https://cnn.com@evil.example), is none.
    """
    try:
        parts = urlsplit((url or "").strip())
        fits = parts.scheme in {"http", "https"} and HOST.fullmatch(parts.netloc) and parts.port != 0
    except ValueError:
        return None
    rest = quote(
        parts.geturl().partition("://")[2].removeprefix(parts.netloc), safe=":/?#@!$&'*+,;=%-._~", errors="replace"
    )
    whole = f"{parts.scheme}://{quote(parts.netloc, safe='[]:-._~')}{rest}"
    return whole if fits and len(whole) <= MAX_LINK else None


def _replacement(match: re.Match[str]) -> str:
    characters, text = match[0], match.string
    around = text[max(0, match.start() - 1) : match.start()] + text[match.end() : match.end() + 1]
    if SPELLING.fullmatch(characters) and not around.isascii():
        return characters
    return "".join(" " if character in "\t\r\v\f" else "\ufffd" for character in characters)
