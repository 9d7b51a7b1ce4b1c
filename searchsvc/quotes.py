"""A quote: whether an article says it, word for word or nearly, and where. Pure functions over two texts.

    quote, text ── folded ──► found as it is: exact
                         └──► the stretch of whole words that is most like it: near, or not found

Case, white space, the kinds of quotation marks and dashes, and what encloses a quote do not count; every letter,
figure and word does. So a sentence with another number, or without its "not", is near and never exact. Nor is a quote
that ends within a word or a number: "rose by 5" is not what "rose by 5.5 %" says.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from searchsvc.catalogue import Entry
from searchsvc.cleaning import INVISIBLE
from searchsvc.errors import BadInput

LONGEST = 1_000  # characters of a quote
NEAR = 75.0  # likeness, 0 to 100, from which on a wording is near: see tests/benchmarks/quotes.py
MARGIN = 12  # most words by which the nearest stretch is moved at either end

Verdict = Literal["exact", "near", "not_found"]

KINDS = {"'": "‘’‚‛′´`", '"': "“”„‟″«»＂", "-": "‐‑‒–—―−﹘－"}
SAME = {ord(other): one for one, others in KINDS.items() for other in others} | {ord("…"): "..."}
ENCLOSING = " \"'.,;:"
WORD = re.compile(r"(?:-(?=\d))?\w+(?:'\w+|[.,]\d+)*")
DASH = re.compile(" ?-[ -]*")
SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class QuoteCheck:
    """Whether a quote stands in `article`: `text`, which is `article.text[start:end]`, is the true wording.

    `similarity` is that of quote and wording, 0 to 100, by the letters that they share in order (normalised Indel);
    100 where exact. Where it is not found, there is no article, and no text.
    """

    verdict: Verdict
    article: Entry | None = None
    start: int = 0
    end: int = 0
    similarity: float = 0.0

    @property
    def text(self) -> str:
        """The true wording."""
        return self.article.text[self.start : self.end] if self.article else ""


def folded(text: str) -> str:
    """Return a text in small letters, with one kind of quotation marks, dashes and white space."""
    return DASH.sub("-", SPACE.sub(" ", INVISIBLE.sub("", text).translate(SAME).casefold()).lstrip(" "))


def places(text: str) -> list[int]:
    """Return where in a text each character of what is `folded` of it stands."""
    letters, found = "", list[int]()
    for place, one in enumerate(text):
        if not INVISIBLE.match(one) and not (one.isspace() and letters[-1:] in {"", " "}):
            kept = " " if one.isspace() else one.translate(SAME).casefold()
            letters += kept
            found += [place] * len(kept)
    gone = {at for dash in DASH.finditer(letters) for at in range(dash.start() + 1, dash.end())}
    return [place for at, place in enumerate(found) if at not in gone]


def wording(quote: str) -> str:
    """Return a quote as it is looked for; raises BadInput where it holds no word or is too long."""
    if len(quote) > LONGEST:
        raise BadInput(f"the quote has {len(quote):,} characters; at most {LONGEST:,} are allowed")
    kept = folded(quote).strip(ENCLOSING)
    if not WORD.search(kept):
        raise BadInput("the quote holds no word", "give the sentence as it is quoted")
    return kept


def check(quote: str, articles: Iterable[Entry]) -> QuoteCheck:
    """Say whether any of these articles holds a quote; of several that do, the one that was published first.

    What the owner gave goes before what a feed says, whatever its date.

    Raises BadInput where the quote holds no word or is too long.
    """
    wanted = wording(quote)
    texts = [(article, folded(article.text)) for article in articles]
    exact = [(article, *span) for article, text in texts if (span := _exactly(wanted, text))]
    if exact:
        return _checked("exact", *min(exact, key=lambda one: _age(one[0])), 100.0)
    best, similarity = None, NEAR
    for article, text in texts:
        if found := _nearest(wanted, text, similarity):
            start, end, similarity = found
            best = (article, start, end)
    return _checked("near", *best, similarity) if best else QuoteCheck("not_found")


def _exactly(wanted: str, text: str) -> tuple[int, int] | None:
    """Return where the wanted words stand as they are, none of them a part of a longer word or number."""
    before = (r"(?<!\w)(?<!\w')" + r"(?<!\d[.,])(?<!-)" * wanted[0].isdigit()) * wanted[0].isalnum()
    after = (r"(?!\w)(?!'\w)" + r"(?![.,]\d)" * wanted[-1].isdigit()) * wanted[-1].isalnum()
    found = re.search(before + re.escape(wanted) + after, text)
    return None if found is None else found.span()


def _nearest(wanted: str, text: str, least: float) -> tuple[int, int, float] | None:
    """Return the stretch of whole words that is most like the wanted ones, and how like; None where that is below."""
    from rapidfuzz import fuzz

    found = fuzz.partial_ratio_alignment(wanted, text, score_cutoff=least) if text else None
    if found is None:
        return None
    words = [one.span() for one in WORD.finditer(text)]
    first = bisect_right(words, found.dest_start, key=lambda span: span[1])
    last = bisect_left(words, found.dest_end, key=lambda span: span[0]) - 1
    spans = (
        (words[i][0], words[j][1])
        for i in range(max(0, first - MARGIN), min(len(words), first + MARGIN + 1))
        for j in range(max(i, last - MARGIN), min(len(words), last + MARGIN + 1))
    )
    likeness = {span: fuzz.ratio(wanted, text[slice(*span)], score_cutoff=least) for span in spans}
    best = max(likeness, key=lambda span: (likeness[span], span[0] - span[1]), default=None)
    return (*best, likeness[best]) if best and likeness[best] >= least else None


def _checked(verdict: Verdict, article: Entry, start: int, end: int, similarity: float) -> QuoteCheck:
    """Return what was found in a folded text by its offsets in the text as it is."""
    where = places(article.text)
    return QuoteCheck(verdict, article, where[start], where[end - 1] + 1, similarity)


def _age(article: Entry) -> tuple[int, datetime, int]:
    return -article.standing, article.published or datetime.max.replace(tzinfo=UTC), article.row
