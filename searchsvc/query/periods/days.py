"""The days of a point in time: what a match of the grammar means on the day on which it is said."""

import re
from calendar import monthrange
from datetime import date, timedelta

from searchsvc.query.periods.grammar import COUNTS, MONTHS, SEASONS, WEEKDAYS
from searchsvc.text.dates import parse_published

Days = tuple[date, date]  # the first and the last

LEAST = timedelta(days=7)  # of "this week", "this month" and "this year", on their first days too
MEMORY = timedelta(days=31)  # a day without a year is one of the last month, or else nobody can tell which
AROUND = {"day": 0, "week": 4, "month": 16, "year": 183}  # days on each side of "two weeks ago"

_ONE_DAY = timedelta(days=1)


def days_of(point: re.Match[str], today: date, year: int | None) -> Days:
    """Return the days of a point; `year` is the one said with it, or with the other end.

    Raises ValueError or OverflowError where there are no such days, or no telling which.
    """
    return _READ[point.lastgroup or ""](point, today, year)


def _iso(point: re.Match[str], _today: date, _year: int | None) -> Days:
    return _only(date.fromisoformat(point[0]))


def _figures(point: re.Match[str], _today: date, _year: int | None) -> Days:
    moment = parse_published(point[0])
    if moment is None:
        raise ValueError("not a date")
    return _only(moment.date())


def _date(point: re.Match[str], today: date, year: int | None) -> Days:
    number, month = int(re.sub(r"\D", "", point["d1"] or point["d2"])), _month(point["m1"] or point["m2"])
    if year is not None:
        return _only(date(year, month, number))
    day = date(today.year - (month > today.month), month, number)
    if day > today:
        day = day.replace(year=day.year - 1)
    if today - day > MEMORY:
        raise ValueError("of an unknown year")
    return _only(day)


def _named_month(point: re.Match[str], today: date, year: int | None) -> Days:
    month = _month(point["m3"])
    return _months(year or today.year - (month > today.month), month)


def _season(point: re.Match[str], _today: date, _year: int | None) -> Days:
    return _months(int(point["y4"]), SEASONS[point["s1"].lower()], 3)


def _decade(point: re.Match[str], _today: date, _year: int | None) -> Days:
    first = int(point["decade"][:4])
    return date(first, 1, 1), date(first + 9, 12, 31)


def _years(point: re.Match[str], _today: date, _year: int | None) -> Days:
    """Read a year, several (2015-2017, 2015-17), or a month (2024-06)."""
    first, other = int(point["first"]), point["other"] or point["first"]
    if len(other) == 2 and 1 <= int(other) <= 12 and int(other) <= first % 100:
        return _months(first, int(other))
    last = int(other if len(other) == 4 else point["first"][:2] + other)
    return date(first, 1, 1), date(last, 12, 31)


def _eve(point: re.Match[str], today: date, _year: int | None) -> Days:
    return _only(today - _ONE_DAY * (2 if "before" in point[0].lower() else 1))


def _lately(point: re.Match[str], today: date, _year: int | None) -> Days:
    return _back(today, _number(point["n1"]), point["u1"].lower()), today


def _ago(point: re.Match[str], today: date, _year: int | None) -> Days:
    unit = point["u2"].lower()
    day, around = _back(today, _number(point["n2"]), unit), timedelta(AROUND[unit])
    return day - around, day + around


def _stretch(point: re.Match[str], today: date, _year: int | None) -> Days:
    """Read the last whole week, month or so on; else so long a time up to today."""
    unit, which = point["span"].lower(), point["w1"].lower()
    monday = today - _ONE_DAY * today.weekday()
    begins = {"week": monday, "weekend": monday, "month": today.replace(day=1), "year": date(today.year, 1, 1)}
    if unit == "decade":
        return _back(today, 10, "year"), today
    if which == "this":
        return min(begins[unit], today - LEAST), today
    if which != "last":  # "the past week"
        return _back(today, 1, unit.removesuffix("end")), today
    last = begins[unit] - _ONE_DAY
    first = {"week": last - 6 * _ONE_DAY, "weekend": last - _ONE_DAY, "month": last.replace(day=1)}
    return first.get(unit, date(last.year, 1, 1)), last


def _part(point: re.Match[str], today: date, _year: int | None) -> Days:
    """Read a month or season: the last one that is over, or the one that it is now, else this year's."""
    first, length = (SEASONS[point["s2"].lower()], 3) if point["s2"] else (_month(point["m4"]), 1)
    latest_first = [_months(today.year - back, first, length) for back in range(3)]
    if point["w2"].lower() == "this":
        return next((days for days in latest_first if days[0] <= today <= days[1]), latest_first[0])
    return next(days for days in latest_first if days[1] < today)


def _weekday(point: re.Match[str], today: date, _year: int | None) -> Days:
    # Up to today, because "on Monday" may be today or the next one, of which is written beforehand.
    return today - _ONE_DAY * ((today.weekday() - WEEKDAYS.index(point["wd"][:3].lower()) - 1) % 7 + 1), today


_READ = {
    "iso": _iso,
    "figures": _figures,
    "date": _date,
    "month": _named_month,
    "season": _season,
    "decade": _decade,
    "years": _years,
    "eve": _eve,
    "lately": _lately,
    "ago": _ago,
    "stretch": _stretch,
    "part": _part,
    "weekday": _weekday,
}

# ---------------------------------------------------------------------- counting


def _only(day: date) -> Days:
    return day, day


def _month(name: str) -> int:
    return MONTHS.index(name[:3].lower()) + 1


def _number(said: str) -> int:
    return int(said) if said.isdigit() else COUNTS[said.lower()]


def _months(year: int, first: int, length: int = 1) -> Days:
    """Return the days of so many months."""
    more, last = divmod(first + length - 2, 12)
    return date(year, first, 1), date(year + more, last + 1, monthrange(year + more, last + 1)[1])


def _back(day: date, number: int, unit: str) -> date:
    """Return the day so many days, weeks, months or years before."""
    if unit in {"day", "week"}:
        return day - timedelta(number * (7 if unit == "week" else 1))
    year, month = divmod(day.year * 12 + day.month - 1 - number * (12 if unit == "year" else 1), 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
