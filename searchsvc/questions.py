"""A question: what a person typed, the words that tell what it is about, and what an answer must satisfy."""

from dataclasses import dataclass, field

from searchsvc.cleaning import clean_line
from searchsvc.engines import Filter
from searchsvc.errors import BadInput
from searchsvc.words import telling

LONGEST = 1_000  # characters
MOST_WORDS = 64  # telling words; a question of a thousand characters has more, and the first ones say it
MOST_HITS = 100
MOST_PASSAGES = 10  # of one article


@dataclass(frozen=True, slots=True)
class Question:
    """One question: its text on one line, its telling words, the filter, and how many hits are wanted."""

    text: str
    words: tuple[str, ...]
    limit: int = 10
    per_article: int = 1
    max_tokens: int | None = None
    allowed: Filter = field(default_factory=Filter)


def ask(
    text: str,
    *,
    limit: int = 10,
    per_article: int = 1,
    max_tokens: int | None = None,
    allowed: Filter | None = None,
) -> Question:
    """Return a question; `max_tokens` bounds all passages shown together.

    Nothing in the text is syntax: quotes, colons and brackets mean themselves. Raises BadInput when it is empty, too
    long, or wants an impossible number of hits.
    """
    line = clean_line(text)
    if not line:
        raise BadInput("the question is empty", 'ask in words, such as "what does Russia want from North Korea"')
    if len(line) > LONGEST:
        raise BadInput(f"the question has {len(line):,} characters; at most {LONGEST:,} are allowed")
    for name, value, most in (("limit", limit, MOST_HITS), ("per_article", per_article, MOST_PASSAGES)):
        if not 1 <= value <= most:
            raise BadInput(f"{name} is {value}; it must be from 1 to {most}")
    if max_tokens is not None and max_tokens < 1:
        raise BadInput(f"max_tokens is {max_tokens}; it must be at least 1")
    allowed = allowed or Filter()
    if allowed.after and allowed.before and allowed.after > allowed.before:
        raise BadInput(f"after ({allowed.after:%Y-%m-%d}) is later than before ({allowed.before:%Y-%m-%d})")
    words = tuple(telling(line)[:MOST_WORDS])
    return Question(line, words, limit, per_article, max_tokens, allowed)
