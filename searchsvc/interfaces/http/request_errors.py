"""Put what pydantic says of a request into one plain line that names the parameter or the article."""

from collections.abc import Mapping, Sequence
from typing import Any

from searchsvc.interfaces.http.requests import NewArticle, SearchRequest, describe_unknown, show_value
from searchsvc.query import OPTIONS, Option

AT_LEAST_ONE = Option("", minimum=1)  # `count`, which is no option of ours
MAX_FAULTS = 3  # named in one message
KINDS = {  # by the first word of pydantic's name for what is wrong
    "int": "a whole number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "model": "an object with named fields",
    "dict": "an object with named fields",
}


def describe_faults(faults: Sequence[Mapping[str, Any]], body: object) -> tuple[str, str | None]:
    """Return what is wrong with a request, in plain words, and a hint; `faults` are pydantic's."""
    if isinstance(body, bytes):
        return "the body is not sent as JSON", "set the header Content-Type: application/json"
    described = [_describe(fault) for fault in faults[:MAX_FAULTS]]
    return "; ".join(message for message, _ in described), next((hint for _, hint in described if hint), None)


def _describe(fault: Mapping[str, Any]) -> tuple[str, str | None]:
    kind, value, context = str(fault["type"]), fault.get("input"), fault.get("ctx", {})
    place = fault["loc"][1:]
    of_article = place[:1] in {("one",), ("many",)}
    number = place[1] + 1 if place[:1] == ("many",) and len(place) > 1 else None
    name = next((str(part) for part in place[of_article:] if isinstance(part, str)), "the body")
    hint = None
    match kind:
        case "missing":
            message = f"{name} is missing"
        case "extra_forbidden":
            known = (NewArticle if of_article else SearchRequest).model_fields
            message, hint = describe_unknown("field" if of_article else "parameter", name, tuple(known))
        case "greater_than_equal" | "less_than_equal":
            message = f"{name} must be {_bounds(name)}, not {value}"
        case "string_too_long":
            limit = context["max_length"]
            message = f"{name} has {len(str(value).strip()):,} characters; at most {limit:,} are allowed"
        case "too_long":
            noun = "articles in one request" if of_article else "values"
            message = f"{name if not of_article else 'the list'} may hold at most {context['max_length']:,} {noun}"
            hint = "send several lists" if of_article else None
        case "string_too_short":
            message = f"{name} must not be empty"
        case "literal_error":
            message = f"{name} must be {context['expected']}, not {show_value(value)}"
        case "json_invalid":
            message = f"the body is not JSON: {context['error']} at character {place[0]}"
        case "value_error":
            message = str(context["error"])
        case _:
            expected = KINDS.get(kind.partition("_")[0], "something else")
            subject = "it" if number and name == "the body" else name
            message = f"{subject} must be {expected}, not {show_value(value)}"
    return f"article {number}: {message}" if number else message, hint


def _bounds(name: str) -> str:
    option = OPTIONS.get(name, AT_LEAST_ONE)
    return f"at least {option.minimum}" if option.maximum is None else f"from {option.minimum} to {option.maximum}"
