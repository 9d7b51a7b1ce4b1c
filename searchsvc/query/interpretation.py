"""An interpretation: what a query asks for, read off its text in one place.

text ── operators ──► topic ── period ──► terms to look for, the filter, and what kind of answer is asked for
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from searchsvc.errors import BadInput
from searchsvc.query import Query
from searchsvc.query.filter import Filter
from searchsvc.query.operators import Parsed, parse
from searchsvc.query.periods import Period, is_urgent, period_of
from searchsvc.text.analysis import STOPWORDS, WORD, content_terms, term_pairs
from searchsvc.text.sources import is_called

MAX_TERMS = 64  # a question of a thousand characters has more, and the first ones say what it is about
MAX_LOOKUP_WORDS = 4
DIGIT = re.compile(r"\d")
NUMBER_QUESTION = re.compile(
    r"\b(?:how (?:many|much|long|old|often|far|tall|high|big|soon|fast|large|likely)|when"
    r"|what (?:percent|percentage|number|year|age|share|magnitude))\b",
    re.IGNORECASE,
)
NAME_QUESTION = re.compile(r"\b(?:who|whom|whose|which|where|what)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Interpretation:
    """What a query asks for.

    `topic` is its text without operators (see `operators`) and without the words of its period. `terms` are searched
    for; `topic_terms` are those of the topic, which an answer should hold: of a period, "March 2022" is searched for as
    well, "last week" is not. `term_pairs` stand side by side in the topic. `period` is the time that was named (see
    `periods`), where the filter's bounds are taken from it. A look-up is a name or a few words, such as "Kim Yo Jong",
    with nothing asked about them. What kind of answer is asked for is read off the question's words, as TREC's first
    systems did (Voorhees, The TREC-8 Question Answering Track Report, 1999).
    """

    topic: str
    terms: tuple[str, ...]
    topic_terms: tuple[str, ...]
    term_pairs: tuple[tuple[str, str], ...]
    filters: Filter
    period: Period | None = None
    is_urgent: bool = False
    is_lookup: bool = False
    asks_for_number: bool = False
    asks_for_name: bool = False

    def without_period(self) -> "Interpretation":
        """Return the same without the period; both bounds were its, since none is read where bounds are given."""
        if self.period is None:
            return self
        return replace(self, period=None, filters=replace(self.filters, after=None, before=None))


def interpret(query: Query) -> Interpretation:
    """Return what a query asks for.

    Operators narrow what its options let through: to the narrower bounds, and to those of its sources and languages
    that are typed. Anything else in the text means itself. Where no bounds are given and `period` is on, a time that
    the text names becomes the filter's. Raises BadInput when the text is nothing but operators, or when these ask for
    what the options do not let through.
    """
    parsed = parse(query.text)
    if not parsed.text:
        hint = 'add what it is about, in words or as a "phrase"'
        raise BadInput("the question says where to look, and not what for", hint)
    filters = _narrowed(query, parsed)
    if filters.after and filters.before and filters.after > filters.before:
        raise BadInput(f"after ({filters.after:%Y-%m-%d}) is later than before ({filters.before:%Y-%m-%d})")
    period = _named_period(query, parsed, filters)
    topic, searched = parsed.text, parsed.text
    if period:
        filters = replace(filters, after=period.after, before=period.before)
        rest = " ".join(f"{topic[: period.start]} {topic[period.end :]}".split())
        if WORD.search(rest):
            topic = rest
            searched = f"{rest} {period.words}" if DIGIT.search(period.words) else rest
    return Interpretation(
        topic=topic,
        terms=tuple(content_terms(searched)[:MAX_TERMS]),
        topic_terms=tuple(content_terms(topic)[:MAX_TERMS]),
        term_pairs=tuple(term_pairs(topic)[:MAX_TERMS]),
        filters=filters,
        period=period,
        is_urgent=is_urgent(topic),
        is_lookup=_is_lookup(topic),
        asks_for_number=NUMBER_QUESTION.search(topic) is not None,
        asks_for_name=NAME_QUESTION.search(topic) is not None,
    )


def _is_lookup(topic: str) -> bool:
    words = WORD.findall(topic)
    return len(words) <= MAX_LOOKUP_WORDS and STOPWORDS.isdisjoint(word.lower() for word in words)


def _named_period(query: Query, parsed: Parsed, filters: Filter) -> Period | None:
    """Return the period that a text names, where no bounds are given; within a phrase it names none."""
    if not query.period or filters.after or filters.before:
        return None
    period = period_of(parsed.text, query.as_of)
    return None if period is None or any(period.words in phrase for phrase in parsed.phrases) else period


def _narrowed(query: Query, parsed: Parsed) -> Filter:
    """Return what both the options and the operators let through."""
    return Filter(
        after=max((bound for bound in (query.after, parsed.after) if bound), default=None),
        before=min((bound for bound in (query.before, parsed.before) if bound), default=None),
        as_of=query.as_of,
        sources=_both("source", query.sources, parsed.sources),
        languages=_both("language", query.languages, parsed.languages),
        phrases=parsed.phrases,
        excluded=parsed.excluded,
    )


def _both(kind: str, given: Iterable[str], typed: Iterable[str]) -> frozenset[str]:
    """Return the names that are both given and typed, each as it says more; empty means any."""
    given, typed = frozenset(given), frozenset(typed)
    if not (given and typed):
        return given or typed
    pairs = [(one, other) for one in given for other in typed]
    narrower = [one if is_called(other, one) else other if is_called(one, other) else None for one, other in pairs]
    shared = frozenset(name for name in narrower if name is not None)
    if not shared:
        names = [" or ".join(sorted(names)) for names in (typed, given)]
        raise BadInput(f"the question asks for the {kind} {names[0]}, but only {names[1]} is allowed")
    return shared
