"""A quote: whether an article says it, word for word or nearly, and where. Pure functions over two texts.

    quote, texts ── folded ──► found as it is: exact
                          └──► the windows that share most of it ──► the stretch of whole words in these that is most
                                                                     like it: near, or not found

Case, white space, the kinds of quotation marks and dashes, and what encloses a quote do not count; every letter,
figure and word does. So a sentence with another number, or without its "not", is near and never exact. Nor is a quote
that ends within a word or a number: "rose by 5" is not what "rose by 5.5 %" says.

Anybody may ask for any quote, so that the work is bounded: it is linear in the texts, of which no more than `MOST_TEXT`
is looked at, and few and short windows of these are aligned, the most promising ones. No step keeps other threads
waiting for much longer than a tenth of a second.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from searchsvc.errors import BadInput
from searchsvc.text.article import Article, Excerpt
from searchsvc.text.cleaning import INVISIBLE

LONGEST = 1_000  # characters of a quote
NEAR = 75.0  # likeness, 0 to 100, from which on a wording is near: see tests/benchmarks/quotes.py
MARGIN = 12  # most words by which the nearest stretch is moved at either end
HEAD = 16  # characters of a quote that are looked for; where they stand, so may the rest
GRAM = 3  # characters in a run; what is like a quote shares most of its runs, in any script
STEPS = 4  # windows begin so many times within the length of a quote, but for short ones
SHORTEST_STEP = 16  # characters
LONGEST_WORD = 40  # characters
SHORT = 64  # characters of a quote, up to which rapidfuzz is linear, so that any text is a window itself
WINDOWS = 4  # most windows of a text that is none
# A cell is a character of the quote for one of a window. Where everything repeats, a million take 20 ms.
WHOLE_CELLS = 4_000_000  # up to which a text is a window itself: 20,000 characters for a sentence of 200
MOST_CELLS = 100_000_000  # of all windows together
MOST_TEXT = 10_000_000  # characters of all texts together: ten times what fifty long articles have
SLICE = 1 << 16  # characters of a text whose runs are looked up at a time: bounds memory

Verdict = Literal["exact", "near", "not_found"]

KINDS = {"'": "‘’‚‛′´`", '"': "“”„‟″«»＂", "-": "‐‑‒–—―−﹘－"}
SAME = {ord(other): one for one, others in KINDS.items() for other in others} | {ord("…"): "..."}
ENCLOSING = " \"'.,;:"
WORD = re.compile(r"(?:-(?=\d))?\w+(?:'\w+|[.,]\d+)*")
DASH = re.compile(" ?-[ -]*")
SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class QuoteCheck:
    """Whether a quote stands in `article`; `wording` is the true one.

    `similarity` is that of quote and wording, 0 to 100, by the letters that they share in order (normalised Indel);
    100 where exact. Where it is not found, there is neither.
    """

    verdict: Verdict
    article: Article | None = None
    wording: Excerpt | None = None
    similarity: float = 0.0


def normalize_quote(text: str) -> str:
    """Return a text in small letters, with one kind of quotation marks, dashes and white space."""
    return DASH.sub("-", SPACE.sub(" ", INVISIBLE.sub("", text).translate(SAME).casefold()).lstrip(" "))


def normalized_positions(text: str) -> list[int]:
    """Return where in a text each character of what is `folded` of it stands."""
    letters, positions = "", list[int]()
    for position, character in enumerate(text):
        if not INVISIBLE.match(character) and not (character.isspace() and letters[-1:] in {"", " "}):
            normalized = " " if character.isspace() else character.translate(SAME).casefold()
            letters += normalized
            positions += [position] * len(normalized)
    dropped = {number for dash in DASH.finditer(letters) for number in range(dash.start() + 1, dash.end())}
    return [position for number, position in enumerate(positions) if number not in dropped]


def words_of_quote(quote: str) -> str:
    """Return a quote as it is looked for; raises BadInput where it holds no word or is too long."""
    if len(quote) > LONGEST:
        raise BadInput(f"the quote has {len(quote):,} characters; at most {LONGEST:,} are allowed")
    words = normalize_quote(quote).strip(ENCLOSING)
    if not WORD.search(words):
        raise BadInput("the quote holds no word", "give the sentence as it is quoted")
    return words


def check_quote(quote: str, articles: Iterable[Article]) -> QuoteCheck:
    """Say whether any of these articles holds a quote; of several that do, the one that was published first.

    What the owner gave goes before what a feed says, whatever its date.

    Raises BadInput where the quote holds no word or is too long.
    """
    needle = words_of_quote(quote)
    texts = list(_looked_at(articles))
    exact = [(article, *span) for article, text in texts if (span := _exactly(needle, text))]
    if exact:
        return _checked("exact", *min(exact, key=lambda match: _age(match[0])), 100.0)
    best, similarity = None, NEAR
    for number, windows in _windows(needle, [text for _, text in texts]):
        article, text = texts[number]
        matches = [match for window in windows if (match := _nearest(needle, text, window, similarity))]
        if matches:
            start, end, similarity = max(matches, key=lambda match: (match[2], -match[0]))
            best = (article, start, end)
    return _checked("near", *best, similarity) if best else QuoteCheck("not_found")


def _looked_at(articles: Iterable[Article]) -> Iterator[tuple[Article, str]]:
    """Yield articles with their folded texts, as long as these are not too much together; the first in any case."""
    size = 0
    for article in articles:
        size += len(article.text)
        if size <= MOST_TEXT or size == len(article.text):
            yield article, normalize_quote(article.text)


def _exactly(needle: str, text: str) -> tuple[int, int] | None:
    """Return where the wanted words stand as they are, none of them a part of a longer word or number."""
    before = (r"(?<!\w)(?<!\w')" + r"(?<!\d[.,])(?<!-)" * needle[0].isdigit()) * needle[0].isalnum()
    after = (r"(?!\w)(?!'\w)" + r"(?![.,]\d)" * needle[-1].isdigit()) * needle[-1].isalnum()
    begins, ends, head = re.compile(before), re.compile(after), needle[:HEAD]
    # Not one regular expression: a text that nearly repeats the quote would make it read the quote at every letter.
    at = text.find(head)
    while at >= 0:
        end = at + len(needle)
        if begins.match(text, at) and ends.match(text, end) and text.startswith(needle, at):
            return at, end
        at = text.find(head, at + 1)
    return None


def _windows(needle: str, texts: Sequence[str]) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Yield the texts, by number and in order, that have windows worth aligning, with these: (start, end).

    They are those that share most of the quote's runs of letters, of which one counts for more the rarer it is.
    """
    step = max(SHORTEST_STEP, len(needle) // STEPS)
    whole = WHOLE_CELLS // len(needle) if len(needle) > SHORT else MOST_TEXT
    runs = np.unique(_runs(needle))
    shared = [_shared(runs, text) for text in texts]
    frequencies = sum(
        (np.bincount(held, minlength=len(runs) + 1) for held in shared), np.zeros(len(runs) + 1, np.int64)
    )
    weights = 1 / np.sqrt(np.maximum(frequencies, 1))
    weights[len(runs)] = 0  # of all others
    candidates: list[tuple[float, int, int, int]] = []
    for number, (text, held) in enumerate(zip(texts, shared, strict=True)):
        parts = np.add.reduceat(weights[held], np.arange(0, len(held), step)) if len(held) else np.zeros(1)
        sums = np.convolve(parts, np.ones(STEPS))[STEPS - 1 :]  # of the parts from each on, as long as the quote is
        for _ in range(WINDOWS if len(text) > whole else 1):
            at = int(np.argmax(sums))
            if sums[at] <= 0:
                break
            # Half as much again on either side, since the stretch may begin and end before or after.
            start, end = (at - STEPS // 2) * step - LONGEST_WORD, (at + STEPS + STEPS // 2) * step + LONGEST_WORD
            window = (max(0, start), min(len(text), end)) if len(text) > whole else (0, len(text))
            candidates.append((float(sums[at]), number, *window))
            sums[max(0, at - STEPS + 1) : at + STEPS] = 0
    candidates.sort(key=lambda window: (-window[0], *window[1:]))
    cells = np.cumsum([len(needle) * (end - start) for _, _, start, end in candidates])
    chosen = sorted(window[1:] for window in candidates[: max(1, int(np.searchsorted(cells, MOST_CELLS, "right")))])
    for number, windows in groupby(chosen, lambda window: window[0]):
        yield number, [(start, end) for _, start, end in windows]


def _shared(runs: NDArray[np.int64], text: str) -> NDArray[np.int16]:
    """Return which of some sorted runs, by number, begins at each character of a text; their count where none does."""
    numbers = np.full(len(text), len(runs), np.int16)
    for start in range(0, len(text), SLICE):
        part = _runs(text[start : start + SLICE + GRAM - 1])
        at = np.searchsorted(runs, part)
        same = runs[np.minimum(at, len(runs) - 1)] == part
        numbers[start : start + len(part)] = np.where(same, at, len(runs))
    return numbers


def _runs(text: str) -> NDArray[np.int64]:
    """Return the runs of characters that begin at each one of a text, as numbers; the last ones are shorter."""
    letters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)
    numbers = letters.copy()
    for at in range(1, GRAM):
        numbers <<= 21  # bits of a character
        numbers[:-at] |= letters[at:]
    return numbers


def _nearest(needle: str, text: str, window: tuple[int, int], cutoff: float) -> tuple[int, int, float] | None:
    """Return the stretch of whole words that is most like the wanted ones, and how like; None where that is below."""
    from rapidfuzz import fuzz

    alignment = fuzz.partial_ratio_alignment(needle, text[slice(*window)], score_cutoff=cutoff)
    if alignment is None:
        return None
    begins, ends = window[0] + alignment.dest_start, window[0] + alignment.dest_end
    words = [word.span() for word in WORD.finditer(text, *window) if _is_whole(text, word.span(), window)]
    first = bisect_right(words, begins, key=lambda span: span[1])
    last = bisect_left(words, ends, key=lambda span: span[0]) - 1
    spans = (
        (words[i][0], words[j][1])
        for i in range(max(0, first - MARGIN), min(len(words), first + MARGIN + 1))
        for j in range(max(i, last - MARGIN), min(len(words), last + MARGIN + 1))
    )
    similarity = {span: fuzz.ratio(needle, text[slice(*span)], score_cutoff=cutoff) for span in spans}
    best = max(similarity, key=lambda span: (similarity[span], span[0] - span[1]), default=None)
    return (*best, similarity[best]) if best and similarity[best] >= cutoff else None


def _is_whole(text: str, word: tuple[int, int], window: tuple[int, int]) -> bool:
    """Say whether a word in a window does not go on outside of it."""
    before, after = text[max(0, word[0] - 1) : word[0]], text[word[1] : word[1] + 1]
    return not ((word[0] == window[0] and before.isalnum()) or (word[1] == window[1] and after.isalnum()))


def _checked(verdict: Verdict, article: Article, start: int, end: int, similarity: float) -> QuoteCheck:
    """Return what was found in a folded text by its offsets in the text as it is."""
    positions = normalized_positions(article.text)
    return QuoteCheck(verdict, article, article.excerpt(positions[start], positions[end - 1] + 1), similarity)


def _age(article: Article) -> tuple[int, datetime, int]:
    return -article.standing, article.published or datetime.max.replace(tzinfo=UTC), article.row
