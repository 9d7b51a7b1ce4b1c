"""Request models: the parameters and articles that a request may hold, read from `query.OPTIONS`, and made a `Query`.

query string or JSON ── Only, SearchRequest, NewArticle ──► values that can be used
                              └── pydantic's errors ── request_errors ──► one line that names what is wrong
"""

import re
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
from searchsvc.query import MAX_CHARACTERS, MAX_HITS, MAX_NAME_CHARACTERS, MAX_NAMES, OPTIONS, Query
from searchsvc.readers.fields import (
    LONGEST_AUTHOR,
    LONGEST_KEY,
    LONGEST_SOURCE,
    LONGEST_TITLE,
    LONGEST_URL,
    without_surrogates,
)
from searchsvc.text.language import language_code

AROUND = 500  # characters shown before and after the passage that a window is requested for
MAX_ARTICLES = 1_000  # in one request
MAX_PARAMETERS = 300  # in a query string; the most that is allowed has 200 names in it, and a dozen others
REPEATABLE = {"source": "sources", "language": "languages"}  # parameters that may be repeated, and their options
SWITCHES = ("period", "freshness")  # auto or off
SCHEMA_NOTES = ("title", "description", "default", "examples")  # keywords of a schema that allow and forbid nothing

# ---------------------------------------------------------------------- types


def _without_surrogates(value: object) -> object:
    """Repair half characters: programs that cut texts by UTF-16 units send them."""
    return without_surrogates(value) if isinstance(value, str) else value


def _to_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _to_code(value: str) -> str:
    code = language_code(value)
    if code is None:
        raise ValueError(f"language must be a two-letter code such as en, not {show_value(value)}")
    return code


def _cut(value: object) -> object:
    """Cut a question to its maximum: with its query generation off, Open WebUI sends the whole message."""
    text = _without_surrogates(value)
    return text.strip()[:MAX_CHARACTERS] if isinstance(text, str) else text


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("text must not be empty")
    return value


def _text_or_number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise ValueError(f"published must be text or a number, not {show_value(value)}")
    return _without_surrogates(value)


def _restore_plus(date: str) -> str:
    """Repair a + that was not written %2B and arrives as a space: between a time and a zone nothing else can stand."""
    return re.sub(r"(:\d\d(?:\.\d+)?) (\d\d:?\d\d)$", r"\1+\2", date)


WHOLE = BeforeValidator(_without_surrogates)
Text = Annotated[str, WHOLE]
Title = Annotated[str, StringConstraints(max_length=LONGEST_TITLE), WHOLE]
Key = Annotated[str, StringConstraints(max_length=LONGEST_KEY), WHOLE]
Url = Annotated[str, StringConstraints(max_length=LONGEST_URL), WHOLE]
Source = Annotated[str, StringConstraints(max_length=LONGEST_SOURCE), WHOLE]
Author = Annotated[str, StringConstraints(max_length=LONGEST_AUTHOR), WHOLE]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NAME_CHARACTERS), WHOLE]
Question = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_CHARACTERS), WHOLE]
Message = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), BeforeValidator(_cut)]
Code = Annotated[str, AfterValidator(_to_code)]
Date = Annotated[str, StringConstraints(max_length=40), AfterValidator(_restore_plus)]
Switch = Literal["auto", "off"]
Ident = Annotated[str, Path(alias="id", description="The article's id, as in a hit.", examples=["mzxw6ytboi4dcnrq"])]


class Strict(BaseModel):
    """A model that refuses unknown fields, and names the first: an error for each of thousands costs half a second."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _keep_one_unknown(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        first = next((name for name in values if name not in cls.model_fields), None)
        return {name: value for name, value in values.items() if name in cls.model_fields or name == first}


# ---------------------------------------------------------------------- queries


def _option(name: str, *, description: str = "", default: object = None, **constraints: Any) -> Any:
    """Return the field of an option: its default, bounds and description are those of `OPTIONS`."""
    option = OPTIONS[name]
    return Field(
        option.default if default is None else default,
        ge=option.minimum,
        le=option.maximum,
        description=description or option.description + (" May be repeated." if name in REPEATABLE.values() else ""),
        **constraints,
    )


def _nullable(schema: dict[str, Any]) -> None:
    """Say in the schema of a body that null stands for what is left out."""
    for name, field in schema["properties"].items():
        if name not in schema["required"] and "anyOf" not in field:
            rule = {keyword: field.pop(keyword) for keyword in tuple(field) if keyword not in SCHEMA_NOTES}
            field["anyOf"] = [rule, {"type": "null"}]


class FilterRequest(Strict):
    """A question, and which articles may answer it."""

    model_config = ConfigDict(json_schema_extra=_nullable)

    q: Question = Field(
        description="The question, in the words of any language. `source:reuters`, `after:2024-06-01`, "
        "`before:2024-06` and `lang:en` in it narrow the answer further than the parameters do; passages must hold an "
        '"exact phrase", and articles must not hold a -word or -"a phrase". All else means itself: no text is wrong.',
        examples=["what does Russia want from North Korea"],
    )
    after: Date | None = _option("after", examples=["2024-06-01"])
    before: Date | None = _option("before", examples=["2024-06-30"])
    as_of: Date | None = _option("as_of", examples=["2024-06-18T10:00:00Z"])
    source: Annotated[list[Name], BeforeValidator(_to_list)] = _option("sources", default=[], max_length=MAX_NAMES)
    language: Annotated[list[Code], BeforeValidator(_to_list)] = _option("languages", default=[], max_length=MAX_NAMES)

    @model_validator(mode="before")
    @classmethod
    def _null_means_default(cls, values: object) -> object:
        """Chat tools that must name every parameter send null for those that they leave open."""
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value is not None or name not in cls.model_fields}

    def to_query(self) -> Query:
        """Return the query; raises BadInput where values do not go together."""
        values: dict[str, Any] = {REPEATABLE.get(name, name): value for name, value in self}
        values |= {name: values[name] == "auto" for name in SWITCHES if name in values}
        return Query(self.q, **{name: value for name, value in values.items() if name in OPTIONS})


class SearchRequest(FilterRequest):
    """A question, and what an answer must satisfy."""

    limit: int = _option("limit")
    period: Switch = _option("period", default="auto")
    freshness: Switch = _option("freshness", default="auto")
    fold: bool = _option("fold")
    per_article: int = _option("per_article")
    max_tokens: int | None = _option("max_tokens")
    explain: bool = _option("explain")
    format: Literal["json", "anthropic"] = Field(
        "json",
        description="With anthropic, the answer is the hits alone, as a list of `search_result` blocks for Anthropic's "
        "Messages API, one text block a sentence.",
    )


class TimelineRequest(FilterRequest):
    """A question whose answer is wanted day by day."""

    limit: int = _option("limit", default=20, description="Most days.")


class BriefRequest(FilterRequest):
    """A question that is to be answered in quotations."""

    limit: int = _option("limit", default=12, description="Most articles that are quoted.")
    format: Literal["markdown", "json"] = Field("markdown", description="How the briefing is written.")


class WebSearchRequest(BaseModel):
    """What Open WebUI sends an external search provider; further fields, which another version sends, are ignored."""

    model_config = ConfigDict(extra="ignore")

    query: Message = Field(
        description=f"The question; what is beyond its first {MAX_CHARACTERS:,} characters is ignored.",
        examples=["what does Russia want from North Korea"],
    )
    count: int = Field(10, ge=1, description=f"Most results; more than {MAX_HITS} are never given.", examples=[5])


# ---------------------------------------------------------------------- articles


class NewArticle(Strict):
    """An article to be added, or to replace the one with the same key."""

    text: Annotated[Text, AfterValidator(_not_blank)] = Field(min_length=1, description="The article's text.")
    title: Title | None = Field(None, description="Its headline; without one, the first words of the text.")
    key: Key | None = Field(
        None, description="Its identity: the same key replaces. Default: the URL, else one made from title and text."
    )
    url: Url | None = Field(None, description="Where it was published.", examples=["https://news.example/putin"])
    source: Source | None = Field(None, description="Who published it. Default: the site that the URL names.")
    author: Author | None = Field(None, description="Who wrote it.")
    published: Annotated[str | int | float | None, BeforeValidator(_text_or_number)] = Field(
        None,
        description="When it was published: ISO 8601, RFC 2822 or seconds since 1970. A date that cannot be believed "
        "is left out and named in the report.",
        examples=["2024-06-18T10:00:00Z"],
    )
    language: Code | None = Field(None, description="Two-letter code such as en. Default: recognised from the text.")


def _one_or_many(value: object) -> str:
    return "many" if isinstance(value, list) else "one"


NewArticles = Annotated[
    Annotated[NewArticle, Tag("one")]
    | Annotated[list[NewArticle], Field(max_length=MAX_ARTICLES, fail_fast=True), Tag("many")],
    Discriminator(_one_or_many),
]

# ---------------------------------------------------------------------- parameters


class Only:
    """Lets only these parameters into a query string, and each but once, except those that may be repeated."""

    def __init__(self, *names: str) -> None:
        self._names = names

    async def __call__(self, request: Request) -> None:
        """Raise BadInput for any other parameter."""
        if request.scope["query_string"].count(b"&") >= MAX_PARAMETERS:
            raise BadInput(f"there are more than {MAX_PARAMETERS} parameters")
        seen: set[str] = set()
        for name, _ in request.query_params.multi_items():
            if name not in self._names:
                raise BadInput(*describe_unknown("parameter", name, self._names))
            if name in seen and name not in REPEATABLE:
                raise BadInput(f"{name} is given more than once", "name it once")
            seen.add(name)


def window(around: str, length: int) -> tuple[int, int]:
    """Return the bounds of the window around a part of a text; raises BadInput when it does not lie in it."""
    start, end = offsets("around", around, length)
    return max(0, start - AROUND), min(length, end + AROUND)


def offsets(name: str, value: str, length: int) -> tuple[int, int]:
    """Return the offsets that a parameter names; raises BadInput when they are none of a text of this length."""
    match = re.fullmatch(r"(\d{1,12})-(\d{1,12})", value, re.ASCII)
    if match is None:
        raise BadInput(f"{name} must be START-END, two whole numbers", f"such as {name}=1423-1790")
    start, end = int(match[1]), int(match[2])
    if not start < end <= length:
        raise BadInput(f"{name} must lie within the text, from 0 to {length}, and begin before it ends")
    return start, end


def describe_unknown(kind: str, name: str, known: tuple[str, ...]) -> tuple[str, str]:
    """Return that there is no such parameter or field, and a hint."""
    near = get_close_matches(name[:MAX_NAME_CHARACTERS], known, 1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}" if known else "leave it out"
    return f"there is no {kind} {show_value(name)}", hint


def show_value(value: object) -> str:
    """Return a value that was sent, as an error message names it."""
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
