"""Plain text: a headline, where the first line reads like one, and what follows it."""

import re
from collections.abc import Iterator
from pathlib import Path

from searchsvc.readers.compression import whole
from searchsvc.readers.encoding import decode
from searchsvc.text.article import Problem, RawArticle

_MAX_HEADLINE = 200


def read_text(path: Path, key: str, limit: int) -> Iterator[RawArticle | Problem]:
    """Yield the one article of a text file of at most `limit` bytes; raises `OSError` and `Unreadable`."""
    title, text = headline_and_rest(decode(whole(path, limit)))
    yield RawArticle(key=key, title=title, text=text)


def headline_and_rest(text: str) -> tuple[str, str]:
    """Return a title and the text without it; where no line reads like a headline, no title and all of the text.

    Newlines come back as `\\n`.
    """
    text = re.sub(r"\r\n?", "\n", text).strip()
    first, _, after = text.partition("\n")
    first, rest = first.strip(), after.strip()
    # A line that the next one carries on in lower case, or that stops at a comma, is prose with hard breaks.
    wrapped = after[:1].islower() or first.endswith((",", ";"))
    if rest and len(first) <= _MAX_HEADLINE and not wrapped:
        return first, rest
    return "", text
