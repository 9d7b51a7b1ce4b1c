"""Limits: what may be asked of the server, from where, how big, how many at once, and how it says no.

request ── Door: host, size ── Turns: how many at once ── Asked, NewArticle: which words ──► api
    └──────────────┴───────────────────────┴──────────────────────────┴──► refusal
"""

import ipaddress
import json
import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from fastapi import HTTPException, Request
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
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from searchsvc.errors import BadInput
from searchsvc.questions import LONGEST, MOST_HITS, MOST_PASSAGES
from searchsvc.readers.fields import language_code, without_surrogates

BODY_BYTES = 16 * 1024 * 1024
DRAINED_BYTES = 4 * BODY_BYTES  # of a body that is too large, read so that whoever sends it hears why it is refused
MOST_ARTICLES = 1_000  # in one request
MOST_SEARCHES = 64  # at once
MOST_WRITERS = 8  # waiting for each other; each holds a thread that could search
MOST_NAMES = 100  # of sources or languages
MOST_FAULTS = 3  # named in one refusal

RANGES: dict[str, tuple[int, int | None]] = {
    "limit": (1, MOST_HITS),
    "per_article": (1, MOST_PASSAGES),
    "max_tokens": (1, None),
}


class Json(Response):
    """A JSON response, made without passing through pydantic; half characters become question marks."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """Return the JSON text in UTF-8."""
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def refusal(
    status: int, code: str, message: str, hint: str | None = None, headers: Mapping[str, str] | None = None
) -> Json:
    """Return the response that says why a request was not served."""
    error = {"error": {"code": code, "message": message, "hint": hint}}
    return Json(error, status, {"Cache-Control": "no-store", **(headers or {})})


# ---------------------------------------------------------------------- what may be asked


def _whole(value: object) -> object:
    """Mend half characters: programs that cut texts by UTF-16 units send them."""
    return without_surrogates(value) if isinstance(value, str) else value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _code(value: str) -> str:
    code = language_code(value)
    if code is None:
        raise ValueError(f"language must be a two-letter code such as en, not {_shown(value)}")
    return code


def _said(value: str) -> str:
    if not value.strip():
        raise ValueError("text must not be empty")
    return value


def _dated(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise ValueError(f"published must be text or a number, not {_shown(value)}")
    return _whole(value)


Text = Annotated[str, BeforeValidator(_whole)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300), BeforeValidator(_whole)]
Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST), BeforeValidator(_whole)
]
Code = Annotated[str, AfterValidator(_code)]
Date = Annotated[str, StringConstraints(max_length=40)]


class Asked(BaseModel):
    """A question, and what an answer must satisfy."""

    model_config = ConfigDict(extra="forbid")

    q: Line = Field(
        description="The question, in the words of any language; nothing in it is query syntax.",
        examples=["what does Russia want from North Korea"],
    )
    limit: int = Field(10, ge=1, le=MOST_HITS, description="Most hits.")
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
        default=[], max_length=MOST_NAMES, description="Only articles of these sources; may be repeated."
    )
    language: Annotated[list[Code], BeforeValidator(_listed)] = Field(
        default=[],
        max_length=MOST_NAMES,
        description="Only articles in these languages, each a two-letter code such as en; may be repeated.",
    )
    freshness: Literal["auto", "off"] = Field(
        "auto", description="Whether newer articles may rank higher. Accepted and checked; this version ignores it."
    )
    fold: bool = Field(
        True,
        description="Whether copies of one story become one hit. Accepted and checked; this version folds nothing.",
    )
    per_article: int = Field(1, ge=1, le=MOST_PASSAGES, description="Most passages of one article, each its own hit.")
    max_tokens: int | None = Field(
        None, ge=1, description="Stop when the passages would together exceed this many tokens of the model."
    )
    explain: bool = Field(False, description="Say in each hit's `why` how its score came about.")

    @model_validator(mode="before")
    @classmethod
    def _null_means_default(cls, given: object) -> object:
        """Chat tools that must name every parameter send null for those that they leave open."""
        return {name: value for name, value in given.items() if value is not None} if isinstance(given, dict) else given


class NewArticle(BaseModel):
    """An article to be added, or to replace the one with the same key."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[Text, AfterValidator(_said)] = Field(min_length=1, description="The article's text.")
    title: Text | None = Field(None, description="Its headline; without one, the first words of the text.")
    key: Text | None = Field(
        None, description="Its identity: the same key replaces. Default: the URL, else one made from title and text."
    )
    url: Text | None = Field(None, description="Where it was published.", examples=["https://news.example/putin"])
    source: Text | None = Field(None, description="Who published it. Default: the site that the URL names.")
    author: Text | None = Field(None, description="Who wrote it.")
    published: Annotated[str | int | float | None, BeforeValidator(_dated)] = Field(
        None,
        description="When it was published: ISO 8601, RFC 2822 or seconds since 1970. A date that cannot be believed "
        "is left out and named in the report.",
        examples=["2024-06-18T10:00:00Z"],
    )
    language: Code | None = Field(None, description="Two-letter code such as en. Default: recognised from the text.")


def _one_or_many(given: object) -> str:
    return "many" if isinstance(given, list) else "one"


NewArticles = Annotated[
    Annotated[NewArticle, Tag("one")] | Annotated[list[NewArticle], Field(max_length=MOST_ARTICLES), Tag("many")],
    Discriminator(_one_or_many),
]


class Only:
    """Lets only these parameters into a query string, and each but once, except those that may be repeated."""

    def __init__(self, *names: str, repeatable: Collection[str] = ()) -> None:
        self._names = names
        self._repeatable = repeatable

    async def __call__(self, request: Request) -> None:
        """Raise BadInput for any other parameter."""
        seen: set[str] = set()
        for name, _ in request.query_params.multi_items():
            if name not in self._names:
                raise BadInput(*_unknown("parameter", name, self._names))
            if name in seen and name not in self._repeatable:
                raise BadInput(f"{name} is given more than once", "name it once")
            seen.add(name)


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
    more = f"; and {len(faults) - MOST_FAULTS:,} more" if len(faults) > MOST_FAULTS else ""
    return "; ".join(message for message, _ in said) + more, next((hint for _, hint in said if hint), None)


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
            said = f"{name} must be {context['expected']}, not {_shown(given)}"
        case "json_invalid":
            said = f"the body is not JSON: {context['error']} at character {place[0]}"
        case "value_error":
            said = str(context["error"])
        case _:
            wanted = WANTED.get(kind.partition("_")[0], "something else")
            said = f"{'it' if number and name == 'the body' else name} must be {wanted}, not {_shown(given)}"
    return before + said, hint


def _unknown(what: str, name: str, known: tuple[str, ...]) -> tuple[str, str]:
    near = get_close_matches(name, known, 1)
    if near:
        return f"there is no {what} {_shown(name)}", f"did you mean {near[0]}?"
    return f"there is no {what} {_shown(name)}", f"known: {', '.join(known)}" if known else "leave it out"


def _shown(value: object) -> str:
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


# ---------------------------------------------------------------------- how many, how big, from where


class Turns:
    """Lets at most so many requests be served at once, and sends the others away; lives on the event loop."""

    def __init__(self, most: int, of: str) -> None:
        self._most = most
        self._of = of
        self._taken = 0

    async def __call__(self) -> AsyncIterator[None]:
        """Hold one turn while a request is served; raises HTTPException 429 when none is free."""
        if self._taken >= self._most:
            raise HTTPException(429, f"{self._most} {self._of} are under way already", {"Retry-After": "1"})
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


def hosts_for(host: str) -> frozenset[str] | None:
    """Return the names by which a server bound to a loopback address may be called; None where any will do.

    Without this, a web page could have its own name resolve to 127.0.0.1 and read the index (DNS rebinding).
    """
    bare = host.strip("[]").lower()
    try:
        local = ipaddress.ip_address(bare).is_loopback
    except ValueError:
        local = bare == "localhost"
    named = f"[{bare}]" if ":" in bare else bare
    return frozenset({"127.0.0.1", "localhost", "[::1]", "testserver", named}) if local else None


class Door:
    """ASGI middleware that looks at each request's host and size before anything else does.

    Bodies are read here, whole, so that no length that a client states or leaves out is trusted.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it with 400 (host) or 413 (size)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-content-type-options", b"nosniff")]}
            await send(message)

        headers = Headers(scope=scope)
        host = re.sub(r":\d*$", "", headers.get("host", "").strip().lower())
        if self._hosts is not None and host not in self._hosts:
            hint = "call it by 127.0.0.1 or localhost, or serve on another address with --host"
            no = refusal(400, "wrong_host", f"this server is not called {_shown(host)}", hint)
            await no(scope, receive, sealed)
        elif "content-length" not in headers and "transfer-encoding" not in headers:
            await self._app(scope, receive, sealed)
        elif (body := await _body(headers, receive)) is None:
            hint = "send several smaller lists"
            no = refusal(413, "too_large", f"the body is larger than {BODY_BYTES // 1024**2} MiB", hint)
            await no(scope, receive, sealed)
        else:
            await self._app(scope, _again(body, receive), sealed)


async def _body(headers: Headers, receive: Receive) -> bytes | None:
    """Return a request's body, or None when it is too large."""
    stated = headers.get("content-length", "")
    if "expect" in headers and stated.isdecimal() and int(stated) > BODY_BYTES:
        return None  # the client waits to hear whether it may send
    parts: list[bytes] = []
    size, more = 0, True
    while more and size <= DRAINED_BYTES:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_BYTES:
            parts.clear()
        else:
            parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts) if size <= BODY_BYTES else None


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the whole body, then what else comes."""
    waiting = [body]

    async def give() -> Message:
        return {"type": "http.request", "body": waiting.pop(), "more_body": False} if waiting else await receive()

    return give
