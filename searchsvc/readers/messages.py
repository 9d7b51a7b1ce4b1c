"""Messages between a reader process and its owner, a line of JSON each.

Not pickle, since a hostile file may have taken over its reader. Text is UTF-8 that may hold lone surrogates, as names
of files and broken records do.
"""

import json
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from searchsvc.readers.feed_entries import FeedEntry
from searchsvc.text.article import Problem, RawArticle

_DATES = frozenset({"published", "updated"})


@dataclass(frozen=True, slots=True)
class Request:
    """What to read: `operation` names a function of `worker`; `size` is the number of bytes that follow the request.

    For a file: its path, its key, and the limit of one article in bytes. For a fetched page or feed: its encoding and
    URL, whether it is a web page, as its server says, and the limit of entries.
    """

    operation: str
    size: int = 0
    path: str = ""
    key: str = ""
    limit: int = 0
    charset: str = ""
    url: str = ""
    is_page: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """A request is done; `cut_short` says that the end of the input is missing."""

    cut_short: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """A request cannot be done: it ends as `Unreadable`."""

    reason: str


Message = RawArticle | Problem | FeedEntry | Request | End | Failed

_KINDS: dict[str, tuple[type[Message], tuple[str, ...]]] = {
    kind.__name__: (kind, tuple(field.name for field in fields(kind)))
    for kind in (RawArticle, Problem, FeedEntry, Request, End, Failed)
}


def serialize(message: Message) -> bytes:
    """Return a message as one line."""
    name = type(message).__name__
    values = [name, *(getattr(message, field) for field in _KINDS[name][1])]
    line = json.dumps(values, ensure_ascii=False, check_circular=False, default=datetime.isoformat)
    return line.encode(errors="surrogatepass") + b"\n"


def deserialize(line: bytes) -> Message:
    """Return the message that a line holds; raises `ValueError` where it holds none."""
    try:
        name, *values = json.loads(line.decode(errors="surrogatepass"))
        kind, names = _KINDS[name]
        return kind(**{field: _value(field, value) for field, value in zip(names, values, strict=True)})
    except (KeyError, TypeError) as fault:
        raise ValueError("not a message") from fault


def _value(field: str, value: Any) -> Any:
    return value if value is None or field not in _DATES else datetime.fromisoformat(value)
