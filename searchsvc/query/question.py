"""A question: what a person typed, the words that tell what it is about, and what an answer must satisfy."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from searchsvc.errors import BadInput
from searchsvc.query.filter import Filter
from searchsvc.query.operators import Parsed, parse
from searchsvc.query.periods import Period, period_of
from searchsvc.text.analysis import STOPWORDS, WORD, content_terms, term_pairs
from searchsvc.text.cleaning import clean_line
from searchsvc.text.sources import is_called

LONGEST = 1_000  # characters
MOST_WORDS = 64  # telling words; a question of a thousand characters has more, and the first ones say it
LOOKUP_WORDS = 4
DIGIT = re.compile(r"\d")
MOST_HITS = 100
MOST_PASSAGES = 10  # of one article
MOST_NAMES = 100  # of sources or languages
LONGEST_NAME = 300  # characters of one


@dataclass(frozen=True, slots=True)
class Question:
    """One question: its text on one line, its telling words, the filter, and how many hits are wanted.

    `typed` is the whole line, `text` what is left of it without operators (see `operators`) and without the words of
    its period, which are in the filter. `words` are looked for; `subject` are those of `text`, which an answer should
    hold: of a period, such words as "March 2022" are looked for as well, and "last week" is not. `period` is the time
    that was named (see `periods`), where the filter's bounds are taken from it. `explain` wants the scores told apart
    further.
    """

    text: str
    words: tuple[str, ...]
    subject: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    limit: int = 10
    per_article: int = 1
    max_tokens: int | None = None
    allowed: Filter = field(default_factory=Filter)
    freshness: bool = True
    typed: str = ""
    fold: bool = True
    period: Period | None = None
    explain: bool = False

    @property
    def is_lookup(self) -> bool:
        """Whether it is a name or a few words to look up, such as "Kim Yo Jong", and asks for nothing about them."""
        words = WORD.findall(self.text)
        return len(words) <= LOOKUP_WORDS and STOPWORDS.isdisjoint(word.lower() for word in words)

    def at_any_time(self) -> "Question":
        """Return the question without its period; bounds that were asked for stay."""
        if self.period is None:
            return self
        return replace(self, period=None, allowed=replace(self.allowed, after=None, before=None))


def parse_question(
    text: str,
    *,
    limit: int = 10,
    per_article: int = 1,
    max_tokens: int | None = None,
    allowed: Filter | None = None,
    freshness: bool = True,
    fold: bool = True,
    period: bool = True,
    explain: bool = False,
) -> Question:
    """Return a question; `max_tokens` bounds what is shown, titles counted, `fold` makes copies of one story one hit.

    Operators in the text narrow what `allowed` lets through: to the narrower bounds, and to those of its sources and
    languages that are typed. Anything else in it means itself; with `period`, a time that it names is the filter's,
    unless bounds are given. Raises BadInput when the text is empty but for operators, too long, or wants an impossible
    number of hits or what `allowed` does not let through.
    """
    line = clean_line(text)
    if not line:
        raise BadInput("the question is empty", 'ask in words, such as "what does Russia want from North Korea"')
    if len(line) > LONGEST:
        raise BadInput(f"the question has {len(line):,} characters; at most {LONGEST:,} are allowed")
    for name, value, most in (("limit", limit, MOST_HITS), ("per_article", per_article, MOST_PASSAGES)):
        must_be_within(name, value, most)
    if max_tokens is not None and max_tokens < 1:
        raise BadInput(f"max_tokens is {max_tokens}; it must be at least 1")
    for what, names in (("sources", (allowed or Filter()).sources), ("languages", (allowed or Filter()).languages)):
        if len(names) > MOST_NAMES or any(len(name) > LONGEST_NAME for name in names):
            raise BadInput(f"{what} may hold at most {MOST_NAMES} names of {LONGEST_NAME} characters")
    parsed = parse(line)
    if not parsed.text:
        hint = 'add what it is about, in words or as a "phrase"'
        raise BadInput("the question says where to look, and not what for", hint)
    allowed = _narrowed(allowed or Filter(), parsed)
    if allowed.after and allowed.before and allowed.after > allowed.before:
        raise BadInput(f"after ({allowed.after:%Y-%m-%d}) is later than before ({allowed.before:%Y-%m-%d})")
    named = _named(parsed, allowed) if period else None
    about, looked_for = parsed.text, parsed.text
    if named:
        allowed = replace(allowed, after=named.after, before=named.before)
        rest = " ".join(f"{about[: named.start]} {about[named.end :]}".split())
        if WORD.search(rest):
            about = rest
            looked_for = f"{rest} {named.words}" if DIGIT.search(named.words) else rest
    return Question(
        text=about,
        words=tuple(content_terms(looked_for)[:MOST_WORDS]),
        subject=tuple(content_terms(about)[:MOST_WORDS]),
        pairs=tuple(term_pairs(about)[:MOST_WORDS]),
        limit=limit,
        per_article=per_article,
        max_tokens=max_tokens,
        allowed=allowed,
        freshness=freshness,
        typed=line,
        fold=fold,
        period=named,
        explain=explain,
    )


def must_be_within(name: str, value: int, most: int) -> None:
    """Raise BadInput unless a number is from 1 to `most`."""
    if not 1 <= value <= most:
        raise BadInput(f"{name} is {value}; it must be from 1 to {most}")


def _named(parsed: Parsed, allowed: Filter) -> Period | None:
    """Return the period that a text names, where no bounds are given; within a phrase it names none."""
    if allowed.after or allowed.before:
        return None
    period = period_of(parsed.text, allowed.as_of or datetime.now(UTC))
    return None if period is None or any(period.words in phrase for phrase in parsed.phrases) else period


def _narrowed(allowed: Filter, parsed: Parsed) -> Filter:
    """Return what both the filter and the operators let through."""
    return replace(
        allowed,
        after=max((bound for bound in (allowed.after, parsed.after) if bound), default=None),
        before=min((bound for bound in (allowed.before, parsed.before) if bound), default=None),
        sources=_both("source", allowed.sources, parsed.sources),
        languages=_both("language", allowed.languages, parsed.languages),
        phrases=(*allowed.phrases, *parsed.phrases),
        excluded=(*allowed.excluded, *parsed.excluded),
    )


def _both(what: str, given: frozenset[str], typed: Iterable[str]) -> frozenset[str]:
    """Return the names that are both given and typed, each as it says more; empty means any."""
    if not (given and typed):
        return given or frozenset(typed)
    pairs = [(one, other) for one in given for other in typed]
    narrower = [one if is_called(other, one) else other if is_called(one, other) else None for one, other in pairs]
    shared = frozenset(name for name in narrower if name is not None)
    if not shared:
        named = [" or ".join(sorted(names)) for names in (typed, given)]
        raise BadInput(f"the question asks for the {what} {named[0]}, but only {named[1]} is allowed")
    return shared
