"""Near-duplicates: articles with the same text, syndicated, re-titled, cut or lightly edited.

    text ── words ── shingles ──┬── MinHash ── bands ──► candidates (some band is the same)
                                └── the runs of words that the other lacks ──► near-duplicates

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
MAX_WORDS = 20_000  # compared
BEGINNING = 80  # shingles
ROWS = 3  # minima in a band
WHOLE_BANDS, BEGINNING_BANDS = 12, 16

# How clusters are found. Where this changes, all are found anew; the first number is raised where no other here
# changes. rensa's own versions make other bands, which cannot be compared with these.
BANDS_VERSION = (
    f"1 {RMinHash.ALGORITHM_VERSION} {SHINGLE} {MAX_WORDS} {BEGINNING} {ROWS} {WHOLE_BANDS} {BEGINNING_BANDS}"
)

MAX_OWN = 0.25  # of the shorter text's words, that the longer one may lack …
FREE_WORDS = 20  # … behind its first twenty: in a brief, one other word may be all the news
SENTENCE = 10  # words in one run from which on they say something, and are not only another wording
MAX_BRIDGE = 4  # words: so few shared ones, between two runs of other words, are shared by chance
MIN_LETTERS = 4  # of a content word of a title
MIN_TITLE = 1 / 3  # of a title's content words: a text that holds no more is not the article's
MAX_NEW = 15  # words that say so little more that they need not be news

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
MAX_NOTICE = 250  # characters
FIGURE = re.compile(r"\d+")


@dataclass(frozen=True)
class ComparedText:
    """An article's title and text, and what tells a cut copy from an update: source, date (UTC) and origin."""

    title: str
    text: str
    source: str | None = None
    published: datetime | None = None
    origin: str | None = None

    @cached_property
    def words(self) -> list[str]:
        """The words of the text, without case, and without notices."""
        own = " ".join(line for line in self.text.casefold().split("\n") if not _is_notice(line))
        return WORD.findall(UNSPACED.sub(r" \g<0> ", THOUSANDS.sub(r"\1", own)))[:MAX_WORDS]

    @cached_property
    def shingles(self) -> list[str]:
        """All runs of four words, in order; one shorter run where there are fewer words."""
        words = self.words
        if len(words) <= SHINGLE:
            return [" ".join(words)] if words else []
        return list(map(" ".join, zip(*(words[at:] for at in range(SHINGLE)), strict=False)))

    @cached_property
    def matches_title(self) -> bool:
        """Whether the text holds what the title is about.

        One that does not is what a site says where a page could not be read, the same for all its articles.
        """
        content = {word for word in WORD.findall(self.title.casefold()) if len(word) >= MIN_LETTERS}
        return len(content.intersection(self.words)) > MIN_TITLE * len(content) or not content

    @cached_property
    def shingle_set(self) -> frozenset[str]:
        """The different shingles."""
        return frozenset(self.shingles)


def bands(article: ComparedText) -> list[int]:
    """Return 63-bit numbers of which two near-duplicates probably share at least one; none for a text without words."""
    shingles = article.shingles
    return [*_bands("whole", shingles, WHOLE_BANDS), *_bands("beginning", shingles[:BEGINNING], BEGINNING_BANDS)]


def _bands(part: str, shingles: Sequence[str], count: int) -> Iterator[int]:
    if not shingles:
        return
    minhash = RMinHash(num_perm=ROWS * count, seed=1)
    minhash.update(shingles)
    minima = minhash.digest()
    for number in range(count):
        band = f"{part} {number} {minima[ROWS * number : ROWS * (number + 1)]}"
        yield int.from_bytes(hashlib.blake2b(band.encode(), digest_size=8).digest(), "big") >> 1


class Likeness(Enum):
    """How two articles relate to each other."""

    COPIES = auto()  # near-duplicates: the same, apart from wording here and there and what publishers add
    VERSIONS = auto()  # the same, and more in the later one, or another figure
    APART = auto()


def likeness(first: ComparedText, second: ComparedText) -> Likeness:
    """Return how two articles relate to each other.

    Where one says more, by a sentence or longer, the other is a cut copy of it, unless the longer one came later, or
    is of the same source and not surely earlier: then it is a later version, and says what the other does not. A few
    words that stand under different titles make no near-duplicates.
    """
    if not (first.words and second.words):
        return Likeness.APART
    short, long = sorted((first, second), key=lambda article: (len(article.words), article.words))
    if first.title.casefold() != second.title.casefold():
        match_titles = first.matches_title and second.matches_title
        if len(short.words) < SENTENCE or (not match_titles and _source(first) == _source(second)):
            return Likeness.APART
    only_short, only_long = _missing_runs(short, long), _missing_runs(long, short)
    own = sum(map(len, only_short.values()))
    if own > MAX_OWN * max(0, len(short.words) - FREE_WORDS) or _new_words(only_short, only_long) > MAX_NEW:
        return Likeness.APART
    if any(_is_corrected(words, only_long.get(place, [])) for place, words in only_short.items() if place):
        return Likeness.VERSIONS
    has_news = _new_words(only_long, only_short) > MAX_NEW
    return Likeness.VERSIONS if has_news and _is_update(long, short) else Likeness.COPIES


def split_clusters(articles: Sequence[ComparedText]) -> list[list[int]]:
    """Return clusters of articles, by their places: all that copies join, but no versions of each other.

    What comes from elsewhere joins no others: of each origin in one cluster, some article must be a copy of one in the
    other, so that a text made of two articles does not join their clusters, and hides neither. A copy that was cut from
    either of two versions goes with the one that it resembles more. The order of the articles does not matter.
    """
    clusters: list[list[int]] = []
    for place in sorted(range(len(articles)), key=lambda place: _age(articles[place])):
        own = [place]

        def resemblance(cluster: list[int], place: int = place) -> float:
            return max(_resemblance(articles[place], articles[member]) for member in cluster)

        for cluster in sorted(clusters, key=resemblance, reverse=True):
            relations = {(a, b): likeness(articles[a], articles[b]) for a in own for b in cluster}
            copies = [pair for pair, relation in relations.items() if relation is Likeness.COPIES]
            joined = [{articles[member].origin for member in side} for side in zip(*copies, strict=True)]
            present = [{articles[member].origin for member in side} for side in (own, cluster)]
            if joined == present and Likeness.VERSIONS not in relations.values():
                clusters.remove(cluster)
                own += cluster
        clusters.append(own)
    return clusters


def _age(article: ComparedText) -> tuple[datetime, int, str]:
    return article.published or datetime.max.replace(tzinfo=UTC), len(article.words), article.text


def _resemblance(first: ComparedText, second: ComparedText) -> float:
    """Return what share of the shingles of two texts they have in common (Jaccard)."""
    return len(first.shingle_set & second.shingle_set) / (len(first.shingle_set | second.shingle_set) or 1)


def _is_notice(line: str) -> bool:
    """Say whether a line, in small letters, is about the article and not of it."""
    if len(line) > MAX_NOTICE:
        return False
    return line.lstrip(" (*_-–—").startswith(BEGINNINGS) or any(phrase in line for phrase in PHRASES)


def _missing_runs(article: ComparedText, other: ComparedText) -> dict[str, list[str]]:
    """Return the runs of words that the other text lacks, by the words that stand before each."""
    runs: list[tuple[int, int]] = []
    covered = 0  # up to where the shared shingles so far reach
    for position, shingle in enumerate([*article.shingles, None]):
        if shingle is not None and shingle not in other.shingle_set:
            continue
        end = len(article.words) if shingle is None else position
        if end > covered:
            bridged = runs and covered - runs[-1][1] <= MAX_BRIDGE
            runs.append((runs.pop()[0] if bridged else covered, end))
        covered = position + SHINGLE
    words = article.words
    by_place: dict[str, list[str]] = {}
    for start, end in runs:
        by_place.setdefault(" ".join(words[max(0, start - SHINGLE) : start]), []).extend(words[start:end])
    return by_place


def _new_words(runs: dict[str, list[str]], others: dict[str, list[str]]) -> int:
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
    first, second = ({figure[0] for word in run if (figure := FIGURE.match(word))} for run in (words, others))
    return bool(first and second) and first != second


def _is_update(long: ComparedText, short: ComparedText) -> bool:
    """Say whether the longer of two articles adds to the shorter one, which was not cut from it."""
    same = _source(long) is not None and _source(long) == _source(short)
    if long.published is None or short.published is None:
        return same
    later, earlier = long.published, short.published
    if time(0) in {later.time(), earlier.time()}:  # at least one is known by its day alone
        return later.date() > earlier.date() or (same and later.date() == earlier.date())
    return later > earlier or (same and later == earlier)


def _source(article: ComparedText) -> str | None:
    return None if article.source is None else normalized(article.source)
