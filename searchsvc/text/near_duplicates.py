"""A story: the same text told by several articles, each a copy: syndicated, re-titled, cut or lightly edited.

    text ── words ── shingles ──┬── MinHash ── bands ──► which articles may be copies (some band is the same)
                                └── what the other lacks ──► which are

A shingle is a run of four words (Broder, On the resemblance and containment of documents, 1997). Bands are made of the
whole text and once more of its beginning, since a text that was cut after its first paragraphs is like the whole one
there alone. Case, punctuation and typography count for nothing.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from enum import Enum, auto
from functools import cached_property

from rensa import RMinHash

from searchsvc.text.sources import normalized

SHINGLE = 4  # words
LONGEST = 20_000  # words looked at
BEGINNING = 80  # shingles
ROWS = 3  # minima in a band
WHOLE_BANDS, BEGINNING_BANDS = 12, 16

# How stories are found. Those found in another way are looked for again; the first number is raised where nothing else
# here tells: rensa's own versions make other bands, which cannot be compared with these.
BANDS_VERSION = f"1 {RMinHash.ALGORITHM_VERSION} {SHINGLE} {LONGEST} {BEGINNING} {ROWS} {WHOLE_BANDS} {BEGINNING_BANDS}"

OWN = 0.25  # of a copy's words, at most, need not stand in a longer one …
BRIEF = 20  # … but for its first twenty: in a brief, one other word may be all the news
SENTENCE = 10  # words in one run from which on they say something, and do not only word it in another way
BRIDGE = 4  # words: shared ones that are so few, between two runs of other words, are shared by chance
TELLING = 4  # letters that make a word of a title tell something
TITLED = 1 / 3  # of a title's telling words: a text that holds no more is not the article's
NOTES = 15  # words that say so little more that they need not be news

WORD = re.compile(r"\w+")
UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff]")  # Chinese and Japanese: each character counts as a word
THOUSANDS = re.compile(r"(\d)[,.](?=\d{3}\b)")
# How lines begin, and what they hold, that publishers put around an article that they take over or publish again.
BEGINNINGS = (
    "updated", "last updated", "first published", "published:", "published on", "posted", "sign up", "subscribe",
    "follow us", "follow him on", "follow her on", "read more", "advertisement", "copyright", "©", "share this",
    "click here", "log in", "contributing", "reporting by", "editing by", "photo:", "photos:", "watch:", "listen:",
)  # fmt: skip
PHRASES = (
    "rights reserved", "newsletter", "contributed to this", "editing by", "our journalism", "with permission",
    "edited by our", "published by our", "published from a", "story has been updated",
)  # fmt: skip
LONGEST_NOTICE = 250  # characters
FIGURE = re.compile(r"\d+")


@dataclass(frozen=True)
class ComparedText:
    """An article's title and text, what tells a cut copy from an update (source and date, UTC), and who brought it."""

    title: str
    text: str
    source: str | None = None
    published: datetime | None = None
    origin: str | None = None

    @cached_property
    def words(self) -> list[str]:
        """The words of the text, without case, and without notices."""
        own = " ".join(line for line in self.text.casefold().split("\n") if not _is_notice(line))
        return WORD.findall(UNSPACED.sub(r" \g<0> ", THOUSANDS.sub(r"\1", own)))[:LONGEST]

    @cached_property
    def shingles(self) -> list[str]:
        """All runs of four words, in order; the one run that there is where there are fewer."""
        words = self.words
        if len(words) <= SHINGLE:
            return [" ".join(words)] if words else []
        return list(map(" ".join, zip(*(words[at:] for at in range(SHINGLE)), strict=False)))

    @cached_property
    def is_told(self) -> bool:
        """Whether the text holds what the title is about.

        One that does not is what a site says where a page could not be read, the same for all its articles.
        """
        telling = {word for word in WORD.findall(self.title.casefold()) if len(word) >= TELLING}
        return len(telling.intersection(self.words)) > TITLED * len(telling) or not telling

    @cached_property
    def different(self) -> frozenset[str]:
        """The different shingles."""
        return frozenset(self.shingles)


def bands(telling: ComparedText) -> list[int]:
    """Return 63-bit numbers of which two texts share at least one where one is probably a copy of the other.

    Empty for a text without words.
    """
    shingles = telling.shingles
    return [*_bands("whole", shingles, WHOLE_BANDS), *_bands("beginning", shingles[:BEGINNING], BEGINNING_BANDS)]


def _bands(what: str, shingles: Sequence[str], count: int) -> Iterator[int]:
    if not shingles:
        return
    sketch = RMinHash(num_perm=ROWS * count, seed=1)
    sketch.update(shingles)
    minima = sketch.digest()
    for number in range(count):
        said = f"{what} {number} {minima[ROWS * number : ROWS * (number + 1)]}"
        yield int.from_bytes(hashlib.blake2b(said.encode(), digest_size=8).digest(), "big") >> 1


class Likeness(Enum):
    """How two articles stand to each other."""

    COPIES = auto()  # the same is told, apart from wording here and there and what publishers add
    VERSIONS = auto()  # the same is told, and more by the later one, or with another figure
    APART = auto()


def likeness(one: ComparedText, other: ComparedText) -> Likeness:
    """Return how two articles stand to each other.

    Where one says more, by a sentence or longer, the other is a cut copy of it, unless the longer one came later, or
    is of the same source and not surely earlier: then it is a later version, and tells what the other does not. A few
    words that stand under different titles are no story.
    """
    if not (one.words and other.words):
        return Likeness.APART
    short, long = sorted((one, other), key=lambda telling: (len(telling.words), telling.words))
    if one.title.casefold() != other.title.casefold():
        told = one.is_told and other.is_told
        if len(short.words) < SENTENCE or (not told and _source(one) == _source(other)):
            return Likeness.APART
    extra, more = _lacking(short, long), _lacking(long, short)
    own = sum(map(len, extra.values()))
    if own > OWN * max(0, len(short.words) - BRIEF) or _news(extra, more) > NOTES:
        return Likeness.APART
    if any(_is_corrected(words, more.get(place, [])) for place, words in extra.items() if place):
        return Likeness.VERSIONS
    return Likeness.VERSIONS if _news(more, extra) > NOTES and _is_update(long, short) else Likeness.COPIES


def split_clusters(tellings: Sequence[ComparedText]) -> list[list[int]]:
    """Return which articles tell one story, by their places: all that copies join, but no versions of each other.

    What comes from elsewhere joins no others: of each origin in one part, some article must be a copy of one in the
    other, so that a text made of two stories makes no single one of them, and hides neither. A copy that was cut from
    either of two versions goes with the one that it resembles more. The order in which the articles are given does not
    matter.
    """
    parts: list[list[int]] = []
    for place in sorted(range(len(tellings)), key=lambda place: _moment(tellings[place])):
        mine = [place]
        for part in sorted(parts, key=lambda part: -max(_resemblance(tellings[place], tellings[at]) for at in part)):
            how = {(a, b): likeness(tellings[a], tellings[b]) for a in mine for b in part}
            copies = [pair for pair, found in how.items() if found is Likeness.COPIES]
            joined = [{tellings[at].origin for at in side} for side in zip(*copies, strict=True)]
            whole = [{tellings[at].origin for at in side} for side in (mine, part)]
            if joined == whole and Likeness.VERSIONS not in how.values():
                parts.remove(part)
                mine += part
        parts.append(mine)
    return parts


def _moment(telling: ComparedText) -> tuple[datetime, int, str]:
    return telling.published or datetime.max.replace(tzinfo=UTC), len(telling.words), telling.text


def _resemblance(one: ComparedText, other: ComparedText) -> float:
    """Return what share of the shingles of two texts they have in common (Jaccard)."""
    return len(one.different & other.different) / (len(one.different | other.different) or 1)


def _is_notice(line: str) -> bool:
    """Say whether a line, in small letters, is about the article and not of it."""
    if len(line) > LONGEST_NOTICE:
        return False
    return line.lstrip(" (*_-–—").startswith(BEGINNINGS) or any(phrase in line for phrase in PHRASES)


def _lacking(telling: ComparedText, other: ComparedText) -> dict[str, list[str]]:
    """Return the runs of words that the other text lacks, by the words that stand before each."""
    runs: list[tuple[int, int]] = []
    covered = 0  # up to where the shared shingles met so far reach
    for at, shingle in enumerate([*telling.shingles, None]):
        if shingle is not None and shingle not in other.different:
            continue
        end = len(telling.words) if shingle is None else at
        if end > covered:
            bridged = runs and covered - runs[-1][1] <= BRIDGE
            runs.append((runs.pop()[0] if bridged else covered, end))
        covered = at + SHINGLE
    words = telling.words
    found: dict[str, list[str]] = {}
    for start, end in runs:
        found.setdefault(" ".join(words[max(0, start - SHINGLE) : start]), []).extend(words[start:end])
    return found


def _news(runs: dict[str, list[str]], others: dict[str, list[str]]) -> int:
    """Return how many words stand in runs that say something else than the other text does in that place."""
    return sum(
        len(words)
        for place, words in runs.items()
        if len(words) >= SENTENCE and not _is_reworded(words, others.get(place, []))
    )


def _is_reworded(words: list[str], others: list[str]) -> bool:
    return 2 * len(set(words).intersection(others)) >= len(set(words))


def _is_corrected(words: list[str], others: list[str]) -> bool:
    """Say whether two runs in the same place differ in a figure.

    That is how templates are filled in again (results, prices, weather) and how a toll is corrected.
    """
    if max(len(words), len(others)) >= SENTENCE and not _is_reworded(words, others):
        return False
    mine, theirs = ({found[0] for word in some if (found := FIGURE.match(word))} for some in (words, others))
    return bool(mine and theirs) and mine != theirs


def _is_update(long: ComparedText, short: ComparedText) -> bool:
    """Say whether the longer of two tellings adds to the shorter one, which was not cut from it."""
    same = _source(long) is not None and _source(long) == _source(short)
    if long.published is None or short.published is None:
        return same
    later, earlier = long.published, short.published
    if time(0) in {later.time(), earlier.time()}:  # at least one is known by its day alone
        return later.date() > earlier.date() or (same and later.date() == earlier.date())
    return later > earlier or (same and later == earlier)


def _source(telling: ComparedText) -> str | None:
    return None if telling.source is None else normalized(telling.source)
