"""What is asked of the server: the parameters and articles that a request may hold, and what is said of any other.

query string or JSON ── Only, Asked, NewArticle ──► values that can be used
                                 └── pydantic's faults ── worded ──► one line that names what is wrong
"""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from fastapi import Path, Request
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)

from searchsvc.errors import BadInput
from searchsvc.query import MAX_CHARACTERS as LONGEST
from searchsvc.query import MAX_HITS as MOST_HITS
from searchsvc.query import MAX_NAME_CHARACTERS as LONGEST_NAME
from searchsvc.query import MAX_NAMES as MOST_NAMES
from searchsvc.query import MAX_PER_ARTICLE as MOST_PASSAGES
from searchsvc.readers.fields import (
    LONGEST_AUTHOR,
    LONGEST_KEY,
    LONGEST_SOURCE,
    LONGEST_TITLE,
    LONGEST_URL,
    without_surrogates,
)
from searchsvc.text.dates import parse_bound
from searchsvc.text.language import language_code

AROUND = 500  # characters shown before and after the passage that a window is asked for
MOST_ARTICLES = 1_000  # in one request
MOST_PARAMETERS = 300  # in a query string; the most that is allowed has 200 names in it, and a dozen others
MOST_FAULTS = 3  # named in one refusal
DESCRIBING = ("title", "description", "default", "examples")  # keywords of a schema that allow and forbid nothing

RANGES: dict[str, tuple[int, int | None]] = {
    "limit": (1, MOST_HITS),
    "per_article": (1, MOST_PASSAGES),
    "max_tokens": (1, None),
    "count": (1, None),
}


def _whole(value: object) -> object:
    """Mend half characters: programs that cut texts by UTF-16 units send them."""
    return without_surrogates(value) if isinstance(value, str) else value


def _with_one_unknown(given: object, known: Collection[str]) -> object:
    """Return an object without its unknown names but the first, which is enough to refuse it."""
    if not isinstance(given, dict):
        return given
    first = next((name for name in given if name not in known), None)
    return {name: value for name, value in given.items() if name in known or name == first}


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _code(value: str) -> str:
    code = language_code(value)
    if code is None:
        raise ValueError(f"language must be a two-letter code such as en, not {shown(value)}")
    return code


def _shortened(value: object) -> object:
    """Cut a question at what one may hold: with its query generation off, Open WebUI sends the whole message."""
    whole = _whole(value)
    return whole.strip()[:LONGEST] if isinstance(whole, str) else whole


def _said(value: str) -> str:
    if not value.strip():
        raise ValueError("text must not be empty")
    return value


def _dated(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise ValueError(f"published must be text or a number, not {shown(value)}")
    return _whole(value)


Text = Annotated[str, BeforeValidator(_whole)]
Title = Annotated[str, StringConstraints(max_length=LONGEST_TITLE), BeforeValidator(_whole)]
Key = Annotated[str, StringConstraints(max_length=LONGEST_KEY), BeforeValidator(_whole)]
Url = Annotated[str, StringConstraints(max_length=LONGEST_URL), BeforeValidator(_whole)]
Source = Annotated[str, StringConstraints(max_length=LONGEST_SOURCE), BeforeValidator(_whole)]
Author = Annotated[str, StringConstraints(max_length=LONGEST_AUTHOR), BeforeValidator(_whole)]
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_NAME), BeforeValidator(_whole)
]
Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST), BeforeValidator(_whole)
]
Message = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), BeforeValidator(_shortened)]
Code = Annotated[str, AfterValidator(_code)]
Date = Annotated[str, StringConstraints(max_length=40)]
Ident = Annotated[str, Path(alias="id", description="The article's id, as in a hit.", examples=["mzxw6ytboi4dcnrq"])]


def _nullable(schema: dict[str, Any]) -> None:
    """Say in the schema of a body that null stands for what is left out."""
    for name, one in schema["properties"].items():
        if name not in schema["required"] and "anyOf" not in one:
            rule = {keyword: one.pop(keyword) for keyword in tuple(one) if keyword not in DESCRIBING}
            one["anyOf"] = [rule, {"type": "null"}]


class Wish(BaseModel):
    """A question, and which articles may answer it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_nullable)

    q: Line = Field(
        description="The question, in the words of any language. `source:reuters`, `after:2024-06-01`, "
        "`before:2024-06` and `lang:en` in it narrow the answer further than the parameters do; passages must hold an "
        '"exact phrase", and articles must not hold a -word or -"a phrase". All else means itself: no text is wrong.',
        examples=["what does Russia want from North Korea"],
    )
    after: Date | None = Field(
        None,
        description="Only articles published then or later: ISO 8601, a date or a date-time; a date means its start, "
        "and no zone means UTC. Articles without a date are left out.",
        examples=["2024-06-01"],
    )
    before: Date | None = Field(
        None,
        description="Only articles published then or earlier; a date without a time means the end of that day. "
        "Articles without a date are left out.",
        examples=["2024-06-30"],
    )
    as_of: Date | None = Field(
        None,
        description="Answer as at this moment: nothing known to be published later is found. Default: now. A date "
        "without a time means the end of that day.",
        examples=["2024-06-18T10:00:00Z"],
    )
    source: Annotated[list[Name], BeforeValidator(_listed)] = Field(
        default=[],
        max_length=MOST_NAMES,
        description="Only articles of these sources, by name or site (reuters finds reuters.com); may be repeated.",
    )
    language: Annotated[list[Code], BeforeValidator(_listed)] = Field(
        default=[],
        max_length=MOST_NAMES,
        description="Only articles in these languages, each a two-letter code such as en; may be repeated.",
    )

    @model_validator(mode="before")
    @classmethod
    def _null_means_default(cls, given: object) -> object:
        """Chat tools that must name every parameter send null for those that they leave open."""
        known = _with_one_unknown(given, cls.model_fields)
        return {name: value for name, value in known.items() if value is not None} if isinstance(known, dict) else known


class Asked(Wish):
    """A question, and what an answer must satisfy."""

    limit: int = Field(10, ge=1, le=MOST_HITS, description="Most hits.")
    period: Literal["auto", "off"] = Field(
        "auto",
        description="Whether a question that names a time (in March 2022, last week, since the election in 2020) finds "
        "only what was published then; the answer's `period` says what was understood. `after` and `before` go first.",
    )
    freshness: Literal["auto", "off"] = Field(
        "auto",
        description="With auto, of what answers alike, what was published in the last weeks before `as_of` ranks "
        "higher; more so where the question says latest or now, and not at all where it names a period.",
    )
    fold: bool = Field(
        True,
        description="Whether copies of one story (syndicated, re-titled, cut, lightly edited) become one hit, which "
        "names the others that the question lets through in `also_in`.",
    )
    per_article: int = Field(1, ge=1, le=MOST_PASSAGES, description="Most passages of one article, each its own hit.")
    max_tokens: int | None = Field(
        None,
        ge=1,
        description="The best passages that have, with their titles, at most this many tokens together, by the "
        "embedding model's tokenizer: one that does not fit, or repeats what was said, makes room for those after it. "
        "With more room, raise `limit` and `per_article` too.",
    )
    explain: bool = Field(False, description="Say in each hit's `why` how its score came about.")
    format: Literal["json", "anthropic"] = Field(
        "json",
        description="With anthropic, the answer is the hits alone, as a list of `search_result` blocks for Anthropic's "
        "Messages API, one text block a sentence.",
    )


class StoryAsked(Wish):
    """A question whose story is to be told."""

    limit: int = Field(20, ge=1, le=MOST_HITS, description="Most days.")


class BriefAsked(Wish):
    """A question that is to be answered in quotations."""

    limit: int = Field(12, ge=1, le=MOST_HITS, description="Most articles that are quoted.")
    format: Literal["markdown", "json"] = Field("markdown", description="How the briefing is written.")


class WebQuestion(BaseModel):
    """What Open WebUI asks an external search provider; further fields, which another version may send, are ignored."""

    model_config = ConfigDict(extra="ignore")

    query: Message = Field(
        description=f"The question; what is beyond its first {LONGEST:,} characters is ignored.",
        examples=["what does Russia want from North Korea"],
    )
    count: int = Field(10, ge=1, description=f"Most results; more than {MOST_HITS} are never given.", examples=[5])


class NewArticle(BaseModel):
    """An article to be added, or to replace the one with the same key."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[Text, AfterValidator(_said)] = Field(min_length=1, description="The article's text.")
    title: Title | None = Field(None, description="Its headline; without one, the first words of the text.")
    key: Key | None = Field(
        None, description="Its identity: the same key replaces. Default: the URL, else one made from title and text."
    )
    url: Url | None = Field(None, description="Where it was published.", examples=["https://news.example/putin"])
    source: Source | None = Field(None, description="Who published it. Default: the site that the URL names.")
    author: Author | None = Field(None, description="Who wrote it.")
    published: Annotated[str | int | float | None, BeforeValidator(_dated)] = Field(
        None,
        description="When it was published: ISO 8601, RFC 2822 or seconds since 1970. A date that cannot be believed "
        "is left out and named in the report.",
        examples=["2024-06-18T10:00:00Z"],
    )
    language: Code | None = Field(None, description="Two-letter code such as en. Default: recognised from the text.")

    @model_validator(mode="before")
    @classmethod
    def _unknown_once(cls, given: object) -> object:
        return _with_one_unknown(given, cls.model_fields)


def _one_or_many(given: object) -> str:
    return "many" if isinstance(given, list) else "one"


NewArticles = Annotated[
    Annotated[NewArticle, Tag("one")]
    | Annotated[list[NewArticle], Field(max_length=MOST_ARTICLES, fail_fast=True), Tag("many")],
    Discriminator(_one_or_many),
]


class Only:
    """Lets only these parameters into a query string, and each but once, except those that may be repeated."""

    def __init__(self, *names: str, repeatable: Collection[str] = ()) -> None:
        self._names = names
        self._repeatable = repeatable

    async def __call__(self, request: Request) -> None:
        """Raise BadInput for any other parameter."""
        if request.scope["query_string"].count(b"&") >= MOST_PARAMETERS:
            raise BadInput(f"there are more than {MOST_PARAMETERS} parameters")
        seen: set[str] = set()
        for name, _ in request.query_params.multi_items():
            if name not in self._names:
                raise BadInput(*_unknown("parameter", name, self._names))
            if name in seen and name not in self._repeatable:
                raise BadInput(f"{name} is given more than once", "name it once")
            seen.add(name)


def bound(name: str, said: str | None, *, end: bool) -> datetime | None:
    """Return the moment that a parameter names; raises BadInput, which names the parameter."""
    if said is None:
        return None
    # A + that was not written %2B arrives as a space; between a time and a zone nothing else can be meant.
    said = re.sub(r"(:\d\d(?:\.\d+)?) (\d\d:?\d\d)$", r"\1+\2", said)
    try:
        return parse_bound(said, end=end)
    except BadInput as fault:
        raise BadInput(f"{name}: {fault.message}", fault.hint) from fault


def window(around: str, length: int) -> tuple[int, int]:
    """Return the bounds of the window around a stretch of a text; raises BadInput when it does not lie in it."""
    start, end = stretch("around", around, length)
    return max(0, start - AROUND), min(length, end + AROUND)


def stretch(name: str, said: str, length: int) -> tuple[int, int]:
    """Return the bounds that a parameter names; raises BadInput when they are none of a text of this length."""
    found = re.fullmatch(r"(\d{1,12})-(\d{1,12})", said, re.ASCII)
    if found is None:
        raise BadInput(f"{name} must be START-END, two whole numbers", f"such as {name}=1423-1790")
    start, end = int(found[1]), int(found[2])
    if not start < end <= length:
        raise BadInput(f"{name} must lie within the text, from 0 to {length}, and begin before it ends")
    return start, end


# ---------------------------------------------------------------------- how a refusal is worded


WANTED = {  # by the first word of pydantic's name for what is wrong
    "int": "a whole number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "model": "an object with named fields",
    "dict": "an object with named fields",
}


def worded(faults: Sequence[Mapping[str, Any]], body: object) -> tuple[str, str | None]:
    """Return what is wrong with a request, in plain words, and a hint; `faults` are pydantic's."""
    if isinstance(body, bytes):
        return "the body is not sent as JSON", "set the header Content-Type: application/json"
    said = [_fault(fault) for fault in faults[:MOST_FAULTS]]
    return "; ".join(message for message, _ in said), next((hint for _, hint in said if hint), None)


def _fault(fault: Mapping[str, Any]) -> tuple[str, str | None]:
    kind, given, context = str(fault["type"]), fault.get("input"), fault.get("ctx", {})
    place = fault["loc"][1:]
    of_article = place[:1] in {("one",), ("many",)}
    number = place[1] + 1 if place[:1] == ("many",) and len(place) > 1 else None
    name = next((str(part) for part in place[of_article:] if isinstance(part, str)), "the body")
    before = f"article {number}: " if number else ""
    hint = None
    match kind:
        case "missing":
            said = f"{name} is missing"
        case "extra_forbidden":
            known = (NewArticle if of_article else Asked).model_fields
            said, hint = _unknown("field" if of_article else "parameter", name, tuple(known))
        case "greater_than_equal" | "less_than_equal":
            low, high = RANGES[name]
            said = f"{name} must be {f'at least {low}' if high is None else f'from {low} to {high}'}, not {given}"
        case "string_too_long":
            most = context["max_length"]
            said = f"{name} has {len(str(given).strip()):,} characters; at most {most:,} are allowed"
        case "too_long":
            what = "articles in one request" if of_article else "values"
            said = f"{name if not of_article else 'the list'} may hold at most {context['max_length']:,} {what}"
            hint = "send several lists" if of_article else None
        case "string_too_short":
            said = f"{name} must not be empty"
        case "literal_error":
            said = f"{name} must be {context['expected']}, not {shown(given)}"
        case "json_invalid":
            said = f"the body is not JSON: {context['error']} at character {place[0]}"
        case "value_error":
            said = str(context["error"])
        case _:
            wanted = WANTED.get(kind.partition("_")[0], "something else")
            said = f"{'it' if number and name == 'the body' else name} must be {wanted}, not {shown(given)}"
    return before + said, hint


def _unknown(what: str, name: str, known: tuple[str, ...]) -> tuple[str, str]:
    near = get_close_matches(name[:LONGEST_NAME], known, 1)
    if near:
        return f"there is no {what} {shown(name)}", f"did you mean {near[0]}?"
    return f"there is no {what} {shown(name)}", f"known: {', '.join(known)}" if known else "leave it out"


def shown(value: object) -> str:
    """Return a value that somebody sent as it is named in a refusal."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str() | int() | float():
            text = str(value)
            return repr(text if len(text) <= 60 else text[:60] + "…") if isinstance(value, str) else text[:60]
        case list():
            return "a list"
        case dict():
            return "an object"
    return f"a {type(value).__name__}"
