"""Cleaning: the article's own text within what a source gives.

    raw text ── characters ── blocks ── without the repeated title ──► Cleaned(text, stretches)

A block is a paragraph: lines between blank lines, or each line where the text has no blank line. A stretch is a
run of blocks that passages may be cut from. What lies between two stretches is a lone line (a subheading, or a
related headline: the two cannot be told apart surely); it stays in the text and is part of no passage.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

LINE_ENDS = re.compile(r"\r\n?|[\v\f\x85\u2028\u2029]")
# Control characters, halves of characters, byte order marks, soft hyphens, zero-width spaces, and the bidirectional
# overrides that can make a text read differently from what it says. Joiners (U+200C, U+200D) are spelling in several
# languages.
INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u200b\u2060\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
SPACES = re.compile(r"[ \u00a0\u2000-\u200a\u202f\u205f\u3000]+")
BLANK_LINE = re.compile(r"\n[ \t]*\n\s*")

CLOSING = ".!?…:;,。！？；：，、؟۔؛।॥።։"
QUOTES = "\"'“”‘’«»‹›„‚「」『』"
LIST_ITEM = re.compile(r"(?:[-–—*•·▪◦‣>#]|\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,4})[.)])\s")
NUMBER = re.compile(r"\d[\d.,:/–-]*")
SCORE = re.compile(r"\d\s*[-–:]\s*\d")
GAP = re.compile(r"[\s.!?…:;|–—\-”’\"')\]]*")
OPENING = re.compile(f"[{re.escape(QUOTES)}(\\[]*")

# In characters; a line that repeats the title may have more around it.
MAX_LONE_LINE, MAX_TITLE, DERIVED_TITLE = 100, 300, 100
MAX_REPEATED = 4 * MAX_TITLE


@dataclass(frozen=True, slots=True)
class Cleaned:
    """An article's own text, and the stretches (start, end) of it, in code points, that hold content."""

    text: str
    stretches: tuple[tuple[int, int], ...]


def clean_line(text: str) -> str:
    """Return a text on one line, without invisible characters."""
    return " ".join(INVISIBLE.sub("", LINE_ENDS.sub("\n", text)).split())


def clean_title(title: str) -> str:
    """Return the title on one line, without invisible characters, of at most 300 characters."""
    line = clean_line(title)
    return line if len(line) <= MAX_TITLE else line[: MAX_TITLE - 1].rsplit(" ", 1)[0] + "…"


def title_from(text: str) -> str:
    """Return the first words of a text, about a hundred characters, to show as the title of one that has none."""
    words = clean_line(text[: 50 * DERIVED_TITLE])
    if len(words) <= DERIVED_TITLE:
        return words
    cut = words[: DERIVED_TITLE + 1].rpartition(" ")[0]
    # Chinese and Japanese have no spaces to cut at.
    return (cut if len(cut) > DERIVED_TITLE // 2 else words[:DERIVED_TITLE]).rstrip(" ,;:–—-") + "…"


def clean(title: str, text: str) -> Cleaned:
    """Return the own text of the article titled `title`."""
    all_blocks = list(_blocks(text))
    blocks = _without_title(title, all_blocks) or all_blocks  # a text that is its title alone is still the text
    stretches: list[tuple[int, int]] = []
    open_at: int | None = None
    position = 0
    for number, block in enumerate(blocks):
        if _is_lone_line(blocks, number):
            open_at = None
        elif open_at is None:
            open_at = position
            stretches.append((position, position + len(block)))
        else:
            stretches[-1] = (open_at, position + len(block))
        position += len(block) + 2
    return Cleaned("\n\n".join(blocks), tuple(stretches))


def _blocks(text: str) -> Iterator[str]:
    text = SPACES.sub(" ", INVISIBLE.sub("", LINE_ENDS.sub("\n", text))).strip()
    for block in BLANK_LINE.split(text) if BLANK_LINE.search(text) else text.split("\n"):
        lines = [line.strip(" ") for line in block.split("\n")]
        if block := "\n".join(line for line in lines if line.strip()):
            yield block


def _without_title(title: str, blocks: list[str]) -> list[str]:
    """Drop a title that is repeated at the top: as blocks or lines of its own, or glued to the first sentence.

    It may be repeated any number of times; what was dropped is never copied or read again.
    """
    letters = _letters(title)
    number = at = 0  # the article begins in this block, there
    while letters and number < len(blocks):
        block = blocks[number]
        line_end = block.find("\n", at, at + MAX_REPEATED)
        if line_end < 0 and len(block) - at <= MAX_REPEATED:
            line_end = len(block)
        if line_end >= 0 and _letters(block[at:line_end]) == letters:
            at = line_end + 1
        elif (cut := _after_glued_title(title, letters, block, at)) is not None:
            at = cut
        else:
            break
        if at >= len(block):
            number, at = number + 1, 0
    return [blocks[number][at:], *blocks[number + 1 :]] if number < len(blocks) else []


def _letters(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


def _after_glued_title(title: str, letters: str, block: str, at: int) -> int | None:
    """Return where the article begins behind its own title, or None where the title does not stand at `at`.

    A first sentence may rightly begin with the words of the title, so a short title counts only when it is glued
    (`…ukraineAhead of…`) or set off by punctuation; what follows must begin like a sentence in any case.
    """
    if len(letters) < 12 or len(title.split()) < 3:
        return None
    spelt, end = 0, at
    for end in range(at + 1, len(block) + 1):
        plain = _letters(block[end - 1])
        if not letters.startswith(plain, spelt):
            return None
        spelt += len(plain)
        if spelt == len(letters):
            break
    else:
        return None
    gap = GAP.match(block, end)[0]  # type: ignore[index]  # which may be empty, but is always there
    opening = OPENING.match(block, end + len(gap)).end()  # type: ignore[union-attr]
    follows = block[opening : opening + 1]
    if not follows.isalnum() or follows.islower():
        return None
    is_set_off = gap.strip() or "\n" in gap
    if gap and not is_set_off and len(title.split()) < 6:
        return None
    return end + len(gap.rstrip(QUOTES))


def _is_lone_line(blocks: list[str], number: int) -> bool:
    """Say whether a block is a short line without closing punctuation, standing alone between paragraphs."""
    before = blocks[number - 1] if number else None
    after = blocks[number + 1] if number + 1 < len(blocks) else None
    neighbours = [block for block in (before, after) if block is not None]
    return _is_headline(blocks[number]) and bool(neighbours) and all(map(_is_paragraph, neighbours))


def _is_headline(block: str) -> bool:
    words = block.split()
    numbers = NUMBER.findall(block)
    return (
        len(block) <= MAX_LONE_LINE
        and len(words) <= 16
        and "\n" not in block
        and block.rstrip(QUOTES + ")]")[-1:] not in CLOSING
        and block[0] not in QUOTES
        and not LIST_ITEM.match(block)
        and not any(mark in block for mark in ("\t", "|", " / "))
        and not SCORE.search(block)
        and not (len(numbers) >= 2 and len(words) <= 8)
        and not (block[-1].isdigit() and len(words) <= 4)
    )


def _is_paragraph(block: str) -> bool:
    return len(block) >= 40 and block.rstrip(QUOTES + ")]")[-1:] in CLOSING
