"""A query: what is asked, with all its options. Built once, where a question comes in, and passed on unchanged.

    text, options ── Query ──► interpret ──► terms, filter, period, what kind of answer is asked for

`QueryOptions` and `OPTIONS` are the only list of a search's options: the library, the client, HTTP, MCP, the command
line and the connectors take their names, types, defaults, bounds and descriptions from here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time
from types import MappingProxyType
from typing import Any, Self, TypedDict, Unpack, cast

from searchsvc.errors import BadInput
from searchsvc.text.cleaning import clean_line
from searchsvc.text.dates import parse_bound
from searchsvc.text.language import language_code

MAX_CHARACTERS = 1_000  # of a question
MAX_HITS = 100
MAX_PER_ARTICLE = 10
MAX_NAMES = 100  # of sources or languages
MAX_NAME_CHARACTERS = 300

Moment = str | date | datetime
"""A point in time: an ISO 8601 text, a day, or a date-time; without a time zone, UTC."""

Names = str | Iterable[str]
"""One name, or several."""


class FilterOptions(TypedDict, total=False):
    """How many hits, and which articles may be found."""

    limit: int
    after: Moment | None
    before: Moment | None
    as_of: Moment | None
    sources: Names
    languages: Names


class QueryOptions(FilterOptions, total=False):
    """All options of a search; `OPTIONS` describes each."""

    per_article: int
    max_tokens: int | None
    freshness: bool
    fold: bool
    period: bool
    explain: bool


@dataclass(frozen=True, slots=True)
class Option:
    """What an option is for, its default, and the least and the greatest number that it takes."""

    description: str
    default: object = None
    minimum: int | None = None
    maximum: int | None = None


OPTIONS: Mapping[str, Option] = MappingProxyType(
    {
        "limit": Option("Most hits.", 10, 1, MAX_HITS),
        "per_article": Option("Most passages of one article, each its own hit.", 1, 1, MAX_PER_ARTICLE),
        "max_tokens": Option(
            "The best passages that have, with their titles, at most this many tokens together, by the embedding "
            "model's tokenizer: one that does not fit, or repeats what was said, makes room for those after it. With "
            "more room, raise `limit` and `per_article` too.",
            minimum=1,
        ),
        "after": Option(
            "Only articles published then or later: ISO 8601, a date or a date-time; a date means its start, and no "
            "zone means UTC. Articles without a date are left out."
        ),
        "before": Option(
            "Only articles published then or earlier; a date without a time means the end of that day. Articles "
            "without a date are left out."
        ),
        "as_of": Option(
            "Answer as at this moment: nothing known to be published later is found. Default: now. A date without a "
            "time means the end of that day."
        ),
        "sources": Option("Only articles of these sources, by name or site (reuters finds reuters.com).", ()),
        "languages": Option("Only articles in these languages, each a two-letter code such as en.", ()),
        "freshness": Option(
            "Of what answers alike, what was published in the last weeks before `as_of` ranks higher; more so where "
            "the question says latest or now, and not at all where it names a period.",
            default=True,
        ),
        "fold": Option(
            "Near-duplicates of an article (syndicated, re-titled, cut, lightly edited) become one hit, which names "
            "the others that the query lets through in `also_in`.",
            default=True,
        ),
        "period": Option(
            "A question that names a time (in March 2022, last week, since the election in 2020) finds only what was "
            "published then; the answer's `period` says what was understood. `after` and `before` go first.",
            default=True,
        ),
        "explain": Option("Say in each hit's `why` how its score came about.", default=False),
    }
)


@dataclass(frozen=True, slots=True, init=False)
class Query:
    """A question and its options, checked and complete: moments are aware (UTC), `as_of` is set, names are tuples."""

    text: str
    limit: int
    per_article: int
    max_tokens: int | None
    after: datetime | None
    before: datetime | None
    as_of: datetime
    sources: tuple[str, ...]
    languages: tuple[str, ...]
    freshness: bool
    fold: bool
    period: bool
    explain: bool

    def __init__(self, text: str, **options: Unpack[QueryOptions]) -> None:
        """Check a question and its options; the text is put on one line.

        Raises BadInput for a value that cannot be used, TypeError for an option that does not exist.
        """
        check_names(options, OPTIONS)
        given = {name: option.default for name, option in OPTIONS.items()} | cast(dict[str, Any], options)
        values = {
            "text": _line(text),
            "limit": in_range("limit", given["limit"]),
            "per_article": in_range("per_article", given["per_article"]),
            "max_tokens": None if given["max_tokens"] is None else in_range("max_tokens", given["max_tokens"]),
            "after": moment("after", given["after"], end=False),
            "before": moment("before", given["before"], end=True),
            "as_of": moment("as_of", given["as_of"], end=True) or datetime.now(UTC),
            "sources": _names("sources", given["sources"]),
            "languages": tuple(map(_code, _names("languages", given["languages"]))),
            **{name: bool(given[name]) for name in ("freshness", "fold", "period", "explain")},
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if self.after and self.before and self.after > self.before:
            raise BadInput(f"after ({self.after:%Y-%m-%d}) is later than before ({self.before:%Y-%m-%d})")

    @classmethod
    def of(cls, query: "str | Query", options: QueryOptions) -> Self:
        """Return the query that a question and its options make, or a query with other options instead of some."""
        if isinstance(query, str):
            return cls(query, **options)
        if not options:
            return cast(Self, query)
        check_names(options, OPTIONS)
        return cls(**{field.name: getattr(query, field.name) for field in fields(cls)} | cast(dict[str, Any], options))

    @classmethod
    def narrowed(cls, query: "str | Query", options: FilterOptions, *, limit: int) -> Self:
        """Return what `of` does, where only `FilterOptions` are taken and a question has another `limit` by default."""
        check_names(options, FilterOptions.__annotations__)
        wider = cast(QueryOptions, {"limit": limit, **options} if isinstance(query, str) else options)
        return cls.of(query, wider)


def check_names(options: Mapping[str, object], known: Iterable[str]) -> None:
    """Raise TypeError for the first option that is not known, with the nearest one that is."""
    names = list(known)
    for name in options:
        if name not in names:
            from difflib import get_close_matches

            near = get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            raise TypeError(f"there is no option {name!r}; {hint}")


def in_range(name: str, value: object, option: Option | None = None) -> int:
    """Return a number; raises BadInput where it is none, or not within its option's bounds."""
    option = option or OPTIONS[name]
    low, high = option.minimum or 0, option.maximum
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadInput(f"{name} is {value!r}; it must be a whole number")
    if value < low or (high is not None and value > high):
        bounds = f"at least {low}" if high is None else f"from {low} to {high}"
        raise BadInput(f"{name} is {value}; it must be {bounds}")
    return value


def moment(name: str, value: object, *, end: bool) -> datetime | None:
    """Return the moment that an option names, aware and in UTC; of a day, the start or the end.

    Raises BadInput, naming the option, for what is none.
    """
    match value:
        case None:
            return None
        case datetime():
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
        case date():
            return datetime.combine(value, time.max if end else time.min, UTC)
        case str():
            try:
                return parse_bound(value, end=end)
            except BadInput as error:
                raise BadInput(f"{name}: {error.message}", error.hint) from error
    raise BadInput(f"{name} is {value!r}; it must be a date, a date-time or ISO 8601 text")


def _line(text: object) -> str:
    if not isinstance(text, str):
        raise BadInput(f"the question is {type(text).__name__}, not text")
    line = clean_line(text)
    if not line:
        raise BadInput("the question is empty", 'ask in words, such as "what does Russia want from North Korea"')
    if len(line) > MAX_CHARACTERS:
        raise BadInput(f"the question has {len(line):,} characters; at most {MAX_CHARACTERS:,} are allowed")
    return line


def _names(name: str, value: object) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
    names = [one for one in values if isinstance(one, str)]
    if len(names) < len(values):
        raise BadInput(f"{name} must be a name or a list of names")
    if len(names) > MAX_NAMES or any(len(one) > MAX_NAME_CHARACTERS for one in names):
        raise BadInput(f"{name} may hold at most {MAX_NAMES} names of {MAX_NAME_CHARACTERS} characters")
    return tuple(dict.fromkeys(one.strip() for one in names if one.strip()))


def _code(language: str) -> str:
    code = language_code(language)
    if code is None:
        raise BadInput(f"language must be a two-letter code such as en, not {language[:40]!r}")
    return code


__all__ = [
    "MAX_CHARACTERS",
    "MAX_HITS",
    "MAX_NAMES",
    "MAX_NAME_CHARACTERS",
    "MAX_PER_ARTICLE",
    "OPTIONS",
    "FilterOptions",
    "Moment",
    "Names",
    "Option",
    "Query",
    "QueryOptions",
    "check_names",
    "in_range",
    "moment",
]
