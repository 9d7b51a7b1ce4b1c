"""Markdown: prose without its marks. Front matter, where there is any, is a record like all others."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING

from searchsvc.errors import Unreadable
from searchsvc.readers.compression import whole
from searchsvc.readers.encoding import decode
from searchsvc.readers.fields import TEXT, TITLE, from_record
from searchsvc.readers.text import headline_and_rest
from searchsvc.text.article import Problem, RawArticle

if TYPE_CHECKING:
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token

_MAX_DEPTH = 100  # as far as quotes and lists inside one another are read
_MAX_FRONT = 16_000  # characters of front matter, of which YAML reads 50 a millisecond
# For each bracket, the parser scans up to where it is closed, or else to the paragraph's end. So many characters take
# less than a second; the labels of 100,000 links have fewer.
_MAX_SCANNED = 10_000_000
_BRACKET = re.compile(r"[][()]")


def read_markdown(path: Path, key: str, limit: int) -> Iterator[RawArticle | Problem]:
    """Yield the one article of a file of at most `limit` bytes; raises `OSError` and `Unreadable`."""
    front, prose = _front_and_prose(decode(whole(path, limit)).replace("\r\n", "\n").replace("\r", "\n"))
    fields: dict[str, object] = {}
    try:
        fields = _fields(front)
    except Unreadable as fault:
        yield Problem(str(path), fault.message, lost=False)
    page = _page(prose)
    if page.unread:
        reason = f"paragraphs with too many open brackets were taken as they stand ({page.unread})"
        yield Problem(str(path), reason, lost=False)
    headline, text = page.headline, page.text
    title = next((fields[name] for name in TITLE if fields.get(name)), None)
    if title is not None and headline is not None and headline != title:
        text = f"{headline}\n\n{text}"
    if title is None and headline is None and text:
        headline, text = headline_and_rest(text)
    record = {name: value for name, value in fields.items() if name not in TEXT}
    record |= {"text": text or headline} if title is not None else {"title": headline, "text": text or headline}
    yield from from_record(record, where=str(path), fallback_key=key)


def _page(markdown: str) -> "_Page":
    """Return what a text says as plain paragraphs.

    Its headline is a heading of the first level, or any heading that comes before all else.
    """
    from markdown_it import MarkdownIt

    page = _Page()
    parser = MarkdownIt("commonmark", {"maxNesting": _MAX_DEPTH}).enable("table")
    parser.core.ruler.at("inline", page.read_inline)
    try:
        for token in parser.parse(markdown):
            page.add(token)
    except RecursionError as fault:
        raise Unreadable("is nested too deeply") from fault
    return page


class _Page:
    """Plain text, built block by block; `unread` counts the blocks whose marks would take too long to parse."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.headline: str | None = None
        self.unread = 0
        self._left = _MAX_SCANNED
        self._heading = ""
        self._lists = 0
        self._marker = ""
        self._cells: list[str] | None = None
        self._tight = False

    @property
    def text(self) -> str:
        """All but the headline."""
        return "".join(self.parts).strip()

    def read_inline(self, state: "StateCore") -> None:
        """Read the marks within blocks, as markdown-it's own rule of this name does, as long as there is time."""
        from markdown_it.token import Token

        for token in state.tokens:
            if token.type == "inline":
                token.children = []
                cost = _scanned(token.content)
                if cost <= self._left:
                    self._left -= cost
                    state.md.inline.parse(token.content, state.md, state.env, token.children)
                else:
                    self.unread += 1
                    token.children.append(Token("text", "", 0, content=token.content))

    def add(self, token: "Token") -> None:
        match token.type:
            case "heading_open":
                self._heading = token.tag
            case "heading_close":
                self._heading = ""
            case "bullet_list_open" | "ordered_list_open":
                self._tight = self._tight and self._lists > 0
                self._lists += 1
            case "bullet_list_close" | "ordered_list_close":
                self._lists -= 1
                self._tight = self._lists > 0
            case "list_item_open":
                self._marker = f"{token.info}. " if token.info else "- "
            case "table_open":
                self._tight = False
            case "tr_open":
                self._cells = []
            case "tr_close":
                row, self._cells = " | ".join(self._cells or []), None
                self._put(row, rows=True)
            case "table_close":
                self._tight = self._lists > 0
            case "inline":
                self._inline(_words(token.children or []))
            case "fence" | "code_block":
                self._put(token.content.rstrip())
            case "html_block":
                self._put(" ".join(_without_tags(token.content).split()))

    def _inline(self, words: str) -> None:
        if self._cells is not None:
            self._cells.append(words)
        elif self._heading and self.headline is None and words and (self._heading == "h1" or not self.parts):
            self.headline = words
        else:
            self._put(words)

    def _put(self, words: str, *, rows: bool = False) -> None:
        if not words.strip():
            return
        if self.parts:
            self.parts.append("\n" if self._tight else "\n\n")
        self.parts.append(self._marker + words)
        self._marker = ""
        self._tight = rows or self._lists > 0


def _scanned(content: str) -> int:
    """Return how many characters the parser scans for the brackets in a block, if all of them could be links."""
    cost, opened = 0, dict[str, list[int]]({")": [], "]": []})
    for bracket in _BRACKET.finditer(content):
        match bracket[0]:
            case "[":
                opened["]"].append(bracket.start())
            case "(" if content[bracket.start() - 1 : bracket.start()] == "]":
                opened[")"].append(bracket.start())
            case closing if opened.get(closing):
                cost += bracket.start() - opened[closing].pop()
    return cost + sum(len(content) - start for starts in opened.values() for start in starts)


def _words(inline: "list[Token]") -> str:
    words: list[str] = []
    for token in inline:
        match token.type:
            case "text" | "code_inline":
                words.append(token.content)
            case "softbreak":
                words.append(" ")
            case "hardbreak":
                words.append("\n")
            case "html_inline" if token.content.lower().startswith("<br"):
                words.append("\n")
    # An image leaves the two spaces between which it stood.
    return "\n".join(" ".join(line.split()) for line in "".join(words).split("\n")).strip()


def _without_tags(html: str) -> str:
    """Return what is between tags and comments; a regular expression takes quadratic time on an open `<`."""
    if html.lstrip()[:8].lower().startswith(("<script", "<style")):
        return ""
    parts: list[str] = []
    at = 0
    while (begin := html.find("<", at)) >= 0:
        parts.append(html[at:begin])
        mark = "-->" if html.startswith("<!--", begin) else ">"
        end = html.find(mark, begin)
        at = end + len(mark) if end >= 0 else len(html)
    parts.append(html[at:])
    return unescape(" ".join(parts))


def _front_and_prose(markdown: str) -> tuple[str, str]:
    """Part the lines between a first `---` and the next `---` or `...` from the rest."""
    if not markdown.startswith("---"):
        return "", markdown
    first, _, rest = markdown.partition("\n")
    if first.rstrip() != "---":
        return "", markdown
    front: list[str] = []
    after = rest.split("\n")
    for number, line in enumerate(after):
        if line.rstrip() in {"---", "..."}:
            # Between two rules there may also be prose; front matter names its fields.
            named = any(":" in line for line in front) or not "".join(front).strip()
            return ("\n".join(front), "\n".join(after[number + 1 :])) if named else ("", markdown)
        front.append(line)
    return "", markdown


def _fields(front: str) -> dict[str, object]:
    import yaml

    if len(front) > _MAX_FRONT:
        raise Unreadable(f"the front matter has more than {_MAX_FRONT:,} characters; left out")
    try:
        # BaseLoader makes strings of everything, so that the headline 1984 stays one and no date is guessed.
        loaded = yaml.load(front, Loader=yaml.BaseLoader)  # noqa: S506
    except (yaml.YAMLError, ValueError, RecursionError) as fault:
        raise Unreadable("the front matter is not valid YAML; left out") from fault
    if not isinstance(loaded, dict):
        return {}
    return {str(name).strip().lower(): value for name, value in loaded.items() if value not in ("null", "~", "")}
