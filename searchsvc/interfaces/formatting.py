"""Dates, durations, sizes and counts, as every interface writes them; only the standard library is imported."""

from datetime import UTC, datetime

from searchsvc.text.dates import long_date

UNITS = ((1e3, "KB"), (1e6, "MB"), (1e9, "GB"))


def counted(number: int, noun: str) -> str:
    """Return `1 article`, `4,000 articles`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


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
