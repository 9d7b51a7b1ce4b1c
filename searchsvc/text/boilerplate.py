"""Boilerplate: blocks that recur across the articles of one source and are about none of them.

    articles of a source ── blocks ── counted ──► boilerplate, which stays in the text and is part of no passage

Nothing is known of any language or publisher: a block is boilerplate when at least six different articles of a source
hold it, and most of them have less than half of its words elsewhere in the text, and none of them in the title. A plea
to subscribe speaks of what the article does not; a background paragraph, which agencies repeat word for word, speaks of
what the article is about, and stays. Case, digits, punctuation and addresses do not count, so that a dated line is one
block on every day of a month. Articles without a source count as those of one.

What a feed says of its articles' sources is its claim alone, so its blocks are counted as those of the claimed source
in that feed's origin (see `sources`): whatever a feed repeats, it changes nothing in articles that came from elsewhere.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from searchsvc.text.cleaning import Cleaned

# Found by reading all that recurs in 4,000 articles of three publishers (tests/benchmarks/junk.py shows it): with fewer
# articles running news are taken; shorter blocks are headings, and longer ones are articles repeated in roundups.
# What changes the counts of old articles too comes with a migration that empties `blocks` and `boilerplate`,
# and fills `to_count` and `to_resplit`.
LEAST_ARTICLES = 6
MIN_SHARED = 3  # words: a date's month stands elsewhere often enough
MIN_LENGTH, MAX_LENGTH = 25, 500  # characters
# Blocks that are learnt from one origin: those three publishers have 78 at most, and whoever has more makes them up.
MOST_LEARNT = 1_000
MIN_REST = 0.5  # of a text: in those 4,000 articles, boilerplate was 28 % of one at most
FOREIGN = 1 << 62  # in the numbers of blocks that feeds brought: those of the owner's articles have 48 bits

URL = re.compile(r"(?:https?://|www\.)\S+")
# Chinese and Japanese put no spaces between words: each of their characters counts as one.
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\d_\u3040-\u30ff\u3400-\u9fff]+")
MIN_LETTERS = 4  # of a content word, where words are made of letters: in scripts before U+0900


@dataclass(frozen=True, slots=True)
class Block:
    """A block as an article holds it.

    `number` is a hash of the source and the block's words, of 48 bits; where a feed brought it of the origin too, of 62
    bits and `FOREIGN`: no words, however long they are sought, give a feed's block the number of one of the owner's.
    `context` is a hash of the article's two longest other blocks: near-duplicates mostly share it, and other articles
    do not, even where one of the two is boilerplate itself. `is_supported` says that at least half of the block's
    content words, and no fewer than three, stand elsewhere in the article too, or one of them in its title; the
    source's own name there does not count.
    """

    number: int
    context: int
    is_supported: bool


def blocks_in(source: str | None, title: str, text: str, origin: str | None = None) -> list[Block]:
    """Return the different blocks of a cleaned text that would be boilerplate if they recurred in its origin."""
    blocks = {}
    for _, block in _blocks(text, 0, len(text)):
        if len(block) >= MIN_LENGTH:
            words = _words(block)
            content = {word for word in {*words} if len(word) >= MIN_LETTERS or word >= "\u0900"}
            blocks[_number(source, words, origin)] = (len(block), content)
    in_title = {*_words(title)} - {*_words(source or "")}
    once, again = {*_words(title)}, set[str]()
    for _, content in blocks.values():
        again |= once & content
        once |= content
    longest = sorted(blocks, key=lambda number: (-blocks[number][0], number))[:3]
    contexts = {number: _context(other for other in longest if other != number) for number in longest[:2]}
    usual = _context(longest[:2])
    return [
        Block(number, contexts.get(number, usual), _is_supported(content, again) or not in_title.isdisjoint(content))
        for number, (length, content) in blocks.items()
        if length <= MAX_LENGTH
    ]


def is_boilerplate(articles: int, supported: int) -> bool:
    """Judge a block by how many different articles hold it, and in how many of them it is supported."""
    return articles >= LEAST_ARTICLES and 2 * supported < articles


def number_of(source: str | None, block: str, origin: str | None = None) -> int:
    """Return the number of a block: the same for all blocks of a source, in an origin, with the same words."""
    return _number(source, _words(block), origin)


def without_boilerplate(
    cleaned: Cleaned, source: str | None, boilerplate: Collection[int], origin: str | None = None
) -> Cleaned:
    """Return a cleaned text with its stretches split around boilerplate; as it is where nothing would be left.

    Or, of what a feed brought, less than `MIN_REST`: then what recurs is news, or somebody wants it hidden.
    """
    if not boilerplate:
        return cleaned
    stretches: list[tuple[int, int]] = []
    for start, end in cleaned.stretches:
        open_at: int | None = None
        for begin, block in _blocks(cleaned.text, start, end):
            if MIN_LENGTH <= len(block) <= MAX_LENGTH and number_of(source, block, origin) in boilerplate:
                open_at = None
            elif open_at is None:
                open_at = begin
                stretches.append((begin, begin + len(block)))
            else:
                stretches[-1] = (open_at, begin + len(block))
    before, after = (sum(end - start for start, end in spans) for spans in (cleaned.stretches, stretches))
    enough = after > 0 if origin is None else after >= MIN_REST * before
    return Cleaned(cleaned.text, tuple(stretches)) if enough else cleaned


def _blocks(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    """Yield the blocks between two offsets of a cleaned text, each with where it begins."""
    for block in text[start:end].split("\n\n"):
        yield start, block
        start += len(block) + 2


def _words(block: str) -> list[str]:
    plain = block.casefold()
    return WORD.findall(URL.sub(" ", plain) if "://" in plain or "www." in plain else plain)


def _number(source: str | None, words: list[str], origin: str | None = None) -> int:
    facts = f"{source or ''}\n{' '.join(words)}"
    if origin is None:
        return int.from_bytes(hashlib.blake2b(facts.encode(), digest_size=6).digest(), "big")
    digest = hashlib.blake2b(f"{origin}\n{facts}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2 | FOREIGN


def _context(others: Iterable[int]) -> int:
    return _number(None, [str(other) for other in sorted(others)])


def _is_supported(words: set[str], again: set[str]) -> bool:
    return len(words & again) >= max(MIN_SHARED, len(words) / 2)
