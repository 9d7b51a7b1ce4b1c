"""Analysis: the terms of a text, by which texts match: without case, accents and English endings.

tantivy's analyzer does the work, for the index and for queries alike, so that both have the same terms. A surface token
is a word as it is spelt, without case and accents alone.
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
MAX_LETTERS = 40  # of a term; longer ones are no words

# Words that say how a query is put, not what it is about.
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
    """Return the analyzer that makes terms of a text."""
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    return (
        TextAnalyzerBuilder(Tokenizer.simple())
        .filter(Filter.remove_long(MAX_LETTERS))
        .filter(Filter.lowercase())
        .filter(Filter.ascii_fold())
        .filter(Filter.stemmer("english"))
        .build()
    )


@cache
def surface_analyzer() -> "TextAnalyzer":
    """Return the analyzer that makes surface tokens of a text, of any length."""
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    return TextAnalyzerBuilder(Tokenizer.simple()).filter(Filter.lowercase()).filter(Filter.ascii_fold()).build()


def composed(text: str) -> str:
    """Return a text with composed accents; analyzers take decomposed ones for the ends of words."""
    return "".join(unicodedata.normalize("NFC", part) for part in ACCENTS.split(text))


def surface_tokens(text: str) -> list[str]:
    """Return all surface tokens of a text, in order."""
    return list(surface_analyzer().analyze(composed(text)))


@lru_cache(maxsize=100_000)
def stems(token: str) -> tuple[str, ...]:
    """Return the terms of one word; mostly one, none when it is too long."""
    return tuple(analyzer().analyze(token))


def locate_terms(text: str, terms: Container[str]) -> list[tuple[str, int, int]]:
    """Return where terms stand in a text: each with its (start, end), in code points."""
    by_word = {word: stem for word in {*WORD.findall(text)} for stem in stems(word) if stem in terms}
    if not by_word:
        return []
    return [(by_word[word[0]], word.start(), word.end()) for word in WORD.finditer(text) if word[0] in by_word]


def content_terms(text: str) -> list[str]:
    """Return the different terms of a query without stop words; all of them where it has no others."""
    words = WORD.findall(text)
    content = [word for word in words if word.lower() not in STOPWORDS] or words
    return list(dict.fromkeys(stem for word in content for stem in stems(word)))


def term_pairs(text: str) -> list[tuple[str, str]]:
    """Return the different pairs of terms, without stop words, that stand side by side in a query, such as names."""
    pairs = [
        (first[-1], second[0])
        for word, following in pairwise(WORD.findall(text))
        if not {word.lower(), following.lower()} & STOPWORDS and (first := stems(word)) and (second := stems(following))
    ]
    return [pair for pair in dict.fromkeys(pairs) if pair[0] != pair[1]]
