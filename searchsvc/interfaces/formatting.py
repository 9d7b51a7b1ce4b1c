"""Dates, durations, sizes and counts, as every interface writes them; only the standard library is imported."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    pass

UNITS = ((1e3, "KB"), (1e6, "MB"), (1e9, "GB"))


@overload
def iso(moment: datetime) -> str: ...
@overload
def iso(moment: datetime | None) -> str | None: ...
def iso(moment: datetime | None) -> str | None:
    """Return a moment as ISO 8601 in UTC, ending in Z."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def iso_seconds(moment: datetime) -> str:
    """Return a moment as `iso` does, without fractions of a second."""
    return iso(moment.replace(microsecond=0))


def rounded(confidence: float | None) -> float | None:
    """Return a confidence with as many digits as mean something."""
    return None if confidence is None else round(confidence, 3)


def ordinal(number: int) -> str:
    """Return `1st`, `22nd`, `113th`."""
    ending = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def counted(number: int, noun: str) -> str:
    """Return `1 article`, `4,000 articles`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def long_date(moment: datetime) -> str:
    """Return a date as `18 June 2024`."""
    return f"{moment.day} {moment:%B} {moment.year}"


def duration(seconds: float) -> str:
    """Return a time in the two units that matter: `0.4 s`, `9 min 12 s`, `2 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3_600:,} h {whole % 3_600 // 60} min"


def age(moment: datetime) -> str:
    """Return how long ago a moment is, or its date after a month."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for noun, size, limit in (("minute", 60, 60), ("hour", 3_600, 24), ("day", 86_400, 31)):
        if seconds < size:
            break
        if seconds < size * limit:
            return f"{counted(int(seconds // size), noun)} ago"
    return "just now" if seconds < 60 else long_date(moment)


def byte_size(size: float) -> str:
    """Return a size in bytes as `812 bytes`, `161 KB`, `1.2 GB`."""
    if size < 1_000:
        return counted(int(size), "byte")
    unit, noun = next((unit, noun) for unit, noun in UNITS if size < 999.5 * unit or noun == "GB")
    return f"{size / unit:.1f} {noun}" if size < 9.95 * unit else f"{size / unit:,.0f} {noun}"
