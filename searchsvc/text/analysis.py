"""A word: what two texts must share to match, after case, accents and English endings are taken off.

tantivy's analyzer does the work, for the index and for questions alike, so that both see the same words.
"""

import re
import unicodedata
from collections.abc import Container
from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tantivy import TextAnalyzer

WORD = re.compile(r"\w+")
# To put accents in order takes time that grows with the square of how many stand in a row; no letter has so many.
ACCENTS = re.compile(r"([^\w\s\x00-\x7f]{64})")
LONGEST = 40  # letters; longer ones are no words

# Words that say how a question is asked, not what about.
STOPWORDS = frozenset(
    (
        "a about after again all also am an and any are as at be because been before being between both but by "
        "can could d did do does doing down during each for from further had has have having he her here hers him "
        "his how i if in into is it its just ll m me more most my no nor not now of off on once only or other our "
        "out over own re s same she should so some such t than that the their them then there these they this "
        "those through to too under until up ve very was we were what when where which while who whom whose why "
        "will with would you your"
    ).split()
)


@cache
def analyzer() -> "TextAnalyzer":
    """Return the analyzer that makes words of a text."""
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    return (
        TextAnalyzerBuilder(Tokenizer.simple())
        .filter(Filter.remove_long(LONGEST))
        .filter(Filter.lowercase())
        .filter(Filter.ascii_fold())
        .filter(Filter.stemmer("english"))
        .build()
    )


@cache
def surface_analyzer() -> "TextAnalyzer":
    """Return the analyzer that makes words as they are spelt: without case and accents alone, of any length."""
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    return TextAnalyzerBuilder(Tokenizer.simple()).filter(Filter.lowercase()).filter(Filter.ascii_fold()).build()


def composed(text: str) -> str:
    """Return a text whose accents are parts of their letters, where analyzers would take them for the ends of words."""
    return "".join(unicodedata.normalize("NFC", part) for part in ACCENTS.split(text))


def surface_tokens(text: str) -> list[str]:
    """Return all words of a text in order, as they are spelt; what is between them does not count."""
    return list(surface_analyzer().analyze(composed(text)))


@lru_cache(maxsize=100_000)
def stems(token: str) -> tuple[str, ...]:
    """Return the words of one token; mostly one, none when it is too long."""
    return tuple(analyzer().analyze(token))


def locate_terms(text: str, wanted: Container[str]) -> list[tuple[str, int, int]]:
    """Return where the wanted words stand in a text: each with its (start, end), in code points."""
    meant = {token: stem for token in {*WORD.findall(text)} for stem in stems(token) if stem in wanted}
    if not meant:
        return []
    return [
        (meant[token.group()], token.start(), token.end()) for token in WORD.finditer(text) if token.group() in meant
    ]


def content_terms(text: str) -> list[str]:
    """Return the different words of a question that say what it is about; all of them where none does."""
    tokens = [token.group() for token in WORD.finditer(text)]
    kept = [token for token in tokens if token.lower() not in STOPWORDS] or tokens
    return list(dict.fromkeys(stem for token in kept for stem in stems(token)))


def term_pairs(text: str) -> list[tuple[str, str]]:
    """Return the different pairs of telling words that stand side by side in a question, such as names."""
    tokens = [token.group() for token in WORD.finditer(text)]
    pairs = [
        (first[-1], second[0])
        for one, other in pairwise(tokens)
        if not {one.lower(), other.lower()} & STOPWORDS and (first := stems(one)) and (second := stems(other))
    ]
    return [pair for pair in dict.fromkeys(pairs) if pair[0] != pair[1]]
