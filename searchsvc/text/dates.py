"""Dates: when an article was published, or the bound of a search. Always timezone-aware UTC.

A date that is wrong is worse than a date that is missing, because searches are filtered by it. So a record's date is
taken only where it names one day and can be read in one way.
"""

import calendar
import re
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

from searchsvc.errors import BadInput

if TYPE_CHECKING:
    from dateparser.date import DateDataParser

_EARLIEST = datetime(1600, 1, 1, tzinfo=UTC)
_CLOCKS_DIFFER = timedelta(days=2)

_LANGUAGES = [
    "en", "de", "fr", "es", "it", "pt", "nl", "ru", "uk", "pl", "tr", "sv", "da", "nb", "fi", "cs", "hu",
    "ro", "el", "ar", "fa", "he", "hi", "zh", "ja", "ko", "id", "vi",
]  # fmt: skip
# A zone that email.utils does not know is taken for UTC there, so only those that it knows come to it.
_RFC_2822 = re.compile(
    r"(?:[a-z]{3}, ?)?\d{1,2} [a-z]{3} \d{4} \d\d:\d\d(?::\d\d)? "
    r"(?:[+-]\d{4}|GMT|UTC?|Z|[ECMP][SD]T)(?: \([^()]*\))?",
    re.IGNORECASE | re.ASCII,
)
_NUMBERS = re.compile(r"(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})(?!\d)(.*)", re.ASCII | re.DOTALL)
_YEAR_MONTH = re.compile(r"(\d{4})(?:-(\d\d))?", re.ASCII)
_MAX_LENGTH = 100  # characters

_parsing = Lock()


def parse_published(value: object) -> datetime | None:
    """Return the moment of a record's date; None where it has none.

    Accepted: ISO 8601 (a date alone is the start of that day, without a zone it is UTC), RFC 2822, seconds or
    milliseconds since 1970, and a full date in words of a common language. Raises `ValueError` for a date that is
    unreadable, whose day and month could be either way round, before 1600, or later than two days from now.
    """
    if isinstance(value, str):
        value = value.strip()
    if value is None or value == "":
        return None
    try:
        moment = _read(value)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError as fault:
        raise ValueError("outside the calendar") from fault
    if moment < _EARLIEST:
        raise ValueError("before the year 1600")
    if moment > datetime.now(UTC) + _CLOCKS_DIFFER:
        raise ValueError("in the future")
    return moment


def long_date(day: date) -> str:
    """Return a day as `18 June 2024`."""
    return f"{day.day} {day:%B} {day.year}"


def parse_bound(text: str, *, end: bool) -> datetime:
    """Return the moment at which a search begins or, with `end`, ends.

    A year, month or day without a time stands for its first microsecond, or with `end` for its last; UTC
    where no zone is named. Raises `BadInput` where `text` is none of these.
    """
    stripped = text.strip()
    clock = time.max if end else time.min
    try:
        if match := _YEAR_MONTH.fullmatch(stripped):
            year, month = int(match[1]), int(match[2] or (12 if end else 1))
            day = calendar.monthrange(year, month)[1] if end else 1
            return datetime.combine(date(year, month, day), clock, UTC)
        moment = datetime.fromisoformat(stripped)
        if not re.search(r"[T :]", stripped[8:], re.IGNORECASE):
            return datetime.combine(moment.date(), clock, UTC)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as fault:
        raise BadInput(
            f"cannot read the date {text!r}", "write 2024, 2024-06, 2024-06-18 or 2024-06-18T14:30:00Z"
        ) from fault


def _read(value: object) -> datetime:
    match value:
        case datetime():
            return value
        case date():
            return datetime.combine(value, time.min, UTC)
        case bool():
            raise ValueError("not a date")
        case int() | float():
            return _from_number(value)
        case str():
            return _from_text(value)
    raise ValueError("not a date")


def _from_number(number: float) -> datetime:
    """Read seconds or milliseconds since 1970, or a day written as one number (20240618)."""
    if 16000101 <= number <= 99991231 and number == int(number):
        try:
            return datetime.strptime(str(int(number)), "%Y%m%d").replace(tzinfo=UTC)
        except ValueError as fault:
            raise ValueError("too small for a moment since 1970, and not a day either") from fault
    # Small numbers are years, counters, or the 0 of a field that was never filled; not evenings in 1970.
    if not 1e8 <= abs(number) < 1e14:
        raise ValueError("not a plausible number of seconds or milliseconds since 1970")
    seconds = number if abs(number) < 1e11 else number / 1000
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def _from_text(text: str) -> datetime:
    if len(text) > _MAX_LENGTH:
        raise ValueError("too long for a date")
    if re.fullmatch(r"-?\d{5,}(\.\d+)?", text, re.ASCII):
        return _from_number(float(text) if "." in text else int(text))
    if _RFC_2822.fullmatch(text):
        from email.utils import parsedate_to_datetime

        return parsedate_to_datetime(text)
    text = _year_first(text)
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        return _from_words(text)


def _year_first(text: str) -> str:
    """Return a date in figures with its year first; raises `ValueError` where it can be read in two ways."""
    match = _NUMBERS.match(text)
    if not match:
        return text
    first, mark, second, third, rest = match.groups()
    if len(first) == 4 and len(third) <= 2:
        return f"{first}-{second:0>2}-{third:0>2}{rest}"
    if len(third) != 4 or len(first) > 2:
        raise ValueError("the year is not written in four figures")
    day, month = (second, first) if int(second) > 12 else (first, second)
    if mark != "." and int(first) <= 12 and int(second) <= 12 and int(first) != int(second):
        raise ValueError("day and month could be either way round")
    return f"{third}-{month:0>2}-{day:0>2}{rest}"


def _from_words(text: str) -> datetime:
    if not re.search(r"\d{4}", text):
        raise ValueError("not a full date with day, month and year")
    with _parsing:  # dateparser writes to shared dictionaries
        moment: datetime | None = _word_parser().get_date_data(text).date_obj
    if moment is None:
        raise ValueError("not a full date with day, month and year")
    return moment


@cache
def _word_parser() -> "DateDataParser":
    from dateparser.date import DateDataParser

    return DateDataParser(
        languages=_LANGUAGES,
        settings={
            "TIMEZONE": "UTC",
            "TO_TIMEZONE": "UTC",
            "RETURN_AS_TIMEZONE_AWARE": True,
            "STRICT_PARSING": True,
            "REQUIRE_PARTS": ["day", "month", "year"],
            # Neither words such as "yesterday" nor numbers of seconds: those are judged above.
            "PARSERS": ["absolute-time"],
        },
    )
