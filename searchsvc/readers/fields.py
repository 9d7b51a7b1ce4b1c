"""Fields: one article as a record, whatever names its source chose for its fields."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from searchsvc.errors import BadInput
from searchsvc.text.article import Problem, RawArticle, site_of
from searchsvc.text.dates import parse_published
from searchsvc.text.language import language_code

KEY = ("id", "_id", "key")
TITLE = ("title", "headline", "head")
TEXT = ("text", "body", "content", "article", "maintext")
URL = ("url", "link")
SOURCE = ("source", "publisher", "domain", "site")
PUBLISHED = ("published", "published_at", "date", "publish_date", "pubDate", "datePublished", "date_publish")
AUTHOR = ("author", "authors", "byline", "creator")
LANGUAGE = ("language", "lang")

# Characters of a field; every hit repeats them. Real ones are far shorter, and paths, of which keys are made where a
# source gives none, have at most 4,096.
LONGEST_TITLE, LONGEST_AUTHOR, LONGEST_SOURCE, LONGEST_URL, LONGEST_KEY = 1_000, 1_000, 300, 2_000, 5_000
LONGEST_LANGUAGE = 35  # of the longest tag that RFC 5646 has programs expect

_CUT = (("title", LONGEST_TITLE), ("author", LONGEST_AUTHOR), ("source", LONGEST_SOURCE))
_LEFT_OUT = (("url", LONGEST_URL), ("language", LONGEST_LANGUAGE))
_KEY_START = 100
_MAX_SHOWN = 80


def from_record(record: Mapping[str, object], *, where: str, fallback_key: str) -> Iterator[RawArticle | Problem]:
    """Yield the article that a record holds, or the `Problem` for which there is none.

    A field that cannot be used, such as an impossible date, is left out: the article comes without it, after a
    `Problem` with `lost=False`. Names are compared without regard to case, the first with
    a value wins, and an object called `metadata` is asked last. Raises nothing.
    """
    layers = _layers(record)
    text = _text(_first(layers, TEXT))
    if text is None:
        yield Problem(where, "no text")
        return
    if isinstance(text, Problem):
        yield Problem(where, text.reason)
        return
    values: dict[str, str | None] = {}
    for field, names in (("title", TITLE), ("url", URL), ("source", SOURCE), ("author", AUTHOR), ("id", KEY)):
        value = _first(layers, names)
        values[field] = None if value is None else _one_line(value)
        if value is not None and values[field] is None:
            yield Problem(where, f"the {field} is {_kind(value)}, not text; left out", lost=False)
    published: datetime | None = None
    date = _first(layers, PUBLISHED)
    try:
        published = parse_published(date)
    except ValueError as fault:
        yield Problem(where, f"the date {_shown(date)} was left out: {fault}", lost=False)
    yield RawArticle(
        key=values["id"] or values["url"] or fallback_key,
        title=values["title"] or "",
        text=text,
        url=values["url"],
        source=values["source"] or site_of(values["url"]),
        author=values["author"],
        published=published,
        published_from="given" if published else None,
        language=language_code(_first(layers, LANGUAGE)),
    )


def from_dict(article: object, where: str) -> Iterator[RawArticle | Problem]:
    """Yield the article that a program gave as a dict, or the `Problem` for which there is none; others as they are.

    Without a key or a URL, its key is made from title and text. Raises BadInput for a field that does not exist, or
    where there is no text.
    """
    if isinstance(article, RawArticle | Problem):
        yield article
        return
    from searchsvc.schemas import NewArticle

    if not isinstance(article, Mapping):
        raise BadInput(f"{where} is {type(article).__name__}, not a dict with a text")
    for name in article:
        if name not in NewArticle.__annotations__:
            raise BadInput(f"{where} has no field {name!r}", f"there are {', '.join(NewArticle.__annotations__)}")
    if not isinstance(article.get("text"), str) or not article["text"].strip():
        raise BadInput(f"{where}: text must not be empty")
    key = hashlib.blake2b(f"{article.get('title') or ''}\n{article['text']}".encode(errors="replace"), digest_size=16)
    yield from from_record(article, where=where, fallback_key=key.hexdigest())


def shortened(article: RawArticle) -> tuple[RawArticle, list[str]]:
    """Return an article whose fields are short enough for an answer, and what was done to those that were not.

    A title or a name is cut. Half an address leads nowhere, so one that is too long is left out. Of a key, a checksum
    stays, so that the article stays the same one.
    """
    changed: dict[str, str | None] = {}
    reasons: list[str] = []
    for name, limit in _CUT:
        value: str | None = getattr(article, name)
        if value is not None and len(value) > limit:
            changed[name] = f"{value[: limit - 1]}…"
            reasons.append(f"the {name} has {len(value):,} characters, more than {limit:,}; it was cut")
    for name, limit in _LEFT_OUT:
        value = getattr(article, name)
        if value is not None and len(value) > limit:
            changed[name] = None
            reasons.append(f"the {name} has {len(value):,} characters, more than {limit:,}; it was left out")
    if len(article.key) > LONGEST_KEY:
        changed["key"] = short_key(article.key)
        reasons.append(
            f"the key has {len(article.key):,} characters, more than {LONGEST_KEY:,}; a checksum stands for it"
        )
    if "url" in changed and article.source is None:
        changed["source"] = (site_of(article.url) or "")[:LONGEST_SOURCE] or None
    return (replace(article, **changed), reasons) if changed else (article, reasons)  # type: ignore[arg-type]


def short_key(key: str) -> str:
    """Return a key, or, where it is too long, its beginning and a checksum of all of it."""
    if len(key) <= LONGEST_KEY:
        return key
    checksum = hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=16).hexdigest()
    return f"{key[:_KEY_START]}…{checksum}"


def without_surrogates(text: str) -> str:
    """Return the text with halves of characters, which no file can store, made whole or replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _layers(record: Mapping[str, object]) -> list[dict[str, object]]:
    """Return the record, then its nested metadata, each with names in lower case."""
    layers: list[dict[str, object]] = [{}]
    for name, value in record.items():
        layers[0].setdefault(str(name).strip().lower(), value)
    nested = layers[0].get("metadata")
    if isinstance(nested, Mapping):
        layers.append({str(name).strip().lower(): value for name, value in nested.items()})
    return layers


def _first(layers: list[dict[str, object]], names: tuple[str, ...]) -> object:
    for layer in layers:
        for name in names:
            value = layer.get(name.lower())
            is_blank = value.isspace() or not value if isinstance(value, str) else value is None or value in ([], {})
            if not is_blank:
                return value
    return None


def _text(value: object) -> str | Problem | None:
    if value is None:
        return None
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return without_surrogates("\n\n".join(part.strip() for part in value if part.strip())) or None
    return Problem("", f"the text is {_kind(value)}, not text")


def _one_line(value: object) -> str | None:
    """Return a short value as one line: a string, a number, a list, or what an object calls its name."""
    if isinstance(value, Mapping):
        value = value.get("name")
    if isinstance(value, str | int) and not isinstance(value, bool):
        return " ".join(without_surrogates(_figures(value)).split()) or None
    if isinstance(value, list):
        parts = [part["name"] if isinstance(part, Mapping) and "name" in part else part for part in value]
        if all(isinstance(part, str) for part in parts):
            return " ".join(without_surrogates(", ".join(part.strip() for part in parts)).split()) or None
    return None


def _figures(value: str | int) -> str:
    try:
        return str(value)
    except ValueError:  # an integer of more than 4,300 digits
        return ""


def _kind(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case Mapping():
            return "an object"
        case list():
            return "a list with more than text in it"
    return f"a {type(value).__name__}"


def _shown(value: object) -> str:
    if not isinstance(value, str | float | int) or (isinstance(value, int) and abs(value) > 10**_MAX_SHOWN):
        return f"({_kind(value)})"
    shown = without_surrogates(str(value)).strip()
    return repr(shown if len(shown) <= _MAX_SHOWN else shown[:_MAX_SHOWN] + "…")
