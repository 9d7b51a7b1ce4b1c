"""A period: the time that a question names, read as a window of publication; and whether it asks for the newest.

    question ── the sentence that asks ── points in time ── what stands around them ──► one period, or none

A filter that is wrong hides the right answer, and one that is missing costs a few ranks. So a time is taken for a
period only where it says when the news was that is asked for: not where it belongs to a name ("the 2016 election",
"1984 by Orwell"), to something only mentioned ("the company that she founded in 2003", "than a year ago"), or to
a matter on which reports come later ("last year, according to a new study"). What remains is a small grammar of
English.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from searchsvc.query.periods import grammar
from searchsvc.query.periods.days import Days, days_of

GRACE = timedelta(days=2)  # after a day or week, in which the news of it is still published, in any time zone
QUARTER = timedelta(days=92)
SHORT = timedelta(days=7)  # days and weeks; what is longer gets no grace
MOST_POINTS = 8  # a text that names more times than this is no question about one of them
REACH = 150  # characters before a point that may lead to it
OVER = timedelta(days=14)  # after its end, a period may be the mere background of what is asked

_ONE_DAY = timedelta(days=1)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Period:
    """Published from `after` to `before`, both inclusive and UTC; `text[start:end] == words`, which name it.

    `after` is None where only an end is named ("before 2019").
    """

    after: datetime | None
    before: datetime
    words: str
    start: int
    end: int


def period_of(text: str, now: datetime) -> Period | None:
    """Return the period that a question names, as it is to be understood at `now`, which no period exceeds.

    Years, seasons and months are just that, but reach up to `now` soon after their end; days, weekends and weeks last
    two days longer, for the news of them; weekdays reach up to `now`. "This week" is none, since what is asked of it
    may have been told before; "two years ago" is the year around that day, and months and weeks likewise. Seasons are
    those of the northern hemisphere. None where no period is named, two different ones are, or all of it lies ahead.
    """
    if not grammar.HINT.search(text):
        return None
    now = now.astimezone(UTC)
    asks = max((found.end() for found in grammar.SENTENCE_END.finditer(text)), default=0)
    asking = " " * asks + grammar.QUOTED.sub(lambda quoted: " " * len(quoted[0]), text[asks:])
    if grammar.THIS_WEEK.search(asking):
        return None  # freshness leans that way, where a filter would shut out what was told before
    periods = [period for period in _named(asking, now) if not _is_background(asking, period, now)]
    closest = min(periods, key=lambda period: period.before - (period.after or _LONG_AGO), default=None)
    # Of one within the other, the closer is meant: "on Tuesday this week".
    return closest if closest and all(_holds(period, closest) for period in periods) else None


def is_urgent(text: str) -> bool:
    """Return whether a question asks for the newest there is: "latest", "now", "today", "breaking news"."""
    # With a capital within a sentence it is a name: "USA Today", "Apocalypse Now".
    matches = grammar.URGENT.finditer(text)
    return any(match[0][0].islower() or not text[: match.start()].strip() for match in matches)


def _named(asking: str, now: datetime) -> Iterator[Period]:
    """Yield what each point in time, or pair of them, says with the words before it."""
    points = list(grammar.POINT.finditer(asking))
    if len(points) > MOST_POINTS:
        return
    while points:
        first = last = points.pop(0)
        near = max(0, first.start() - REACH)
        led = grammar.LED.search(asking, near, first.start())
        far = grammar.LED_FROM_AFAR.search(asking, near, first.start())
        lead = _lead(led, far)
        loose = lead == "of" or (lead == "on" and first.lastgroup in grammar.COUNTED - {"weekday"})
        start = (far or (None if loose else led) or first).start()
        if points and _are_joined(asking, first, points[0], lead):
            last = points.pop(0)
        elif not _is_time(asking, first, lead, led):
            continue
        if grammar.ONWARDS.match(asking, last.end()) or (lead == "after" and first.lastgroup in grammar.COUNTED):
            lead = "since"  # "after last week's vote" is not after the week
        try:
            begun, ended = (days_of(point, now.date(), _year_of(last)) for point in (first, last))
            window = _window(lead, (begun[0], ended[1]), now)
        except (ValueError, OverflowError):  # no such day, or outside the calendar
            continue
        if window:
            yield Period(*window, asking[start : last.end()], start, last.end())


def _window(lead: str, days: Days, now: datetime) -> tuple[datetime | None, datetime] | None:
    """Return the window of publication; None where it ends before it begins, lies ahead, or bounds nothing."""
    first, last = datetime.combine(days[0], time.min, UTC), datetime.combine(days[1], time.max, UTC)
    after: datetime | None = first
    match lead:
        case "since":
            before = now
        case "after":
            after, before = datetime.combine(days[1] + _ONE_DAY, time.min, UTC), now
        case "before" | "prior":
            after, before = None, datetime.combine(days[0] - _ONE_DAY, time.max, UTC)
        case _:
            if last > now > first > now - SHORT and last - first > SHORT:
                return None  # just begun: what is written of it was written before
            # Soon after a year or month, what is published still sums it up.
            summed_up = now - last < min((last - first) / 4, QUARTER)
            before = now if summed_up else last + GRACE if last - first < SHORT else last
    if first > last or (after or before) > now:
        return None
    return after, min(before, now)


def _lead(led: re.Match[str] | None, far: re.Match[str] | None) -> str:
    """Return the word that leads to a point; the one farther away counts more: "since the election in 2020"."""
    if far:
        return "since" if far["lead"].lower() in {"since", "after", "following"} else "by"
    return led["lead"].split()[0].rstrip(".").lower() if led and led["lead"] else ""


def _are_joined(asking: str, first: re.Match[str], last: re.Match[str], lead: str) -> bool:
    """Return whether two points are the ends of one stretch: "between 2015 and 2017", "January to March 2022"."""
    joint = grammar.JOINT.fullmatch(asking, first.end(), last.start())
    if joint is None or grammar.NAMED.match(asking, last.end()):
        return False
    return lead in {"between", "from", "in", "during"} or ("and" not in joint[0] and bool(last["m3"] and last["y3"]))


def _is_time(asking: str, point: re.Match[str], lead: str, led: re.Match[str] | None) -> bool:
    """Return whether a point says a time here, and is neither a number nor part of a name."""
    end = point.end()
    if lead in grammar.REFUSED or grammar.LAST_OF.match(asking, end):
        return False
    is_named = grammar.NAMED.match(asking, end) is not None
    is_singled = grammar.SINGLED.match(asking, end) is not None
    part = bool(led and led["part"])
    match point.lastgroup:
        case "years" | "decade":
            adjective = point.lastgroup == "years" and bool(led and led["the"])
            dated = grammar.DATED.search(asking, max(0, point.start() - REACH), point.start()) is not None
            is_time = (lead in grammar.IN_YEAR or part or dated) and not (adjective or is_named)
        case "date" if _year_of(point) is None:
            is_time = lead in grammar.ON_DAY and not is_singled
        case "month" if _year_of(point) is None:  # of which year "in March" is, past or ahead, nobody can tell
            is_time = lead == "since" and not (is_named or is_singled or _is_verb(point["m3"]))
        case "weekday":  # "this Friday" may be past or ahead
            is_time = (bool(point["w3"]) or lead in grammar.ON_DAY) and not (point["this"] or is_singled)
        case "eve" | "lately" | "ago" | "stretch" | "part":
            compared = lead == "from" and point.lastgroup != "lately"  # "up from last year"
            is_time = not compared and _is_relative(asking, point)
        case "date":
            is_time = True
        case _:
            is_time = not is_named
    return is_time


def _is_relative(asking: str, point: re.Match[str]) -> bool:
    """Return whether a point is counted from now, and not the name of a song, film or yearly thing."""
    if point[0][0].isupper() and asking[: point.start()].strip():  # "Yesterday", "Last Summer"
        return False
    possessive = asking[point.end() : point.end() + 1] in {"'", "’"}
    yearly = point.lastgroup in {"stretch", "part"} and (point["span"] or "")[:4] != "week"
    return not (possessive and yearly) and not _is_verb(point["m4"] or "")


def _is_verb(word: str) -> bool:
    return word in {"may", "march"}  # as months they have a capital


def _year_of(point: re.Match[str]) -> int | None:
    year = point["y1"] or point["y2"] or point["y3"] or point["y4"]
    return int(year) if year else None


def _is_background(asking: str, period: Period, now: datetime) -> bool:
    """Return whether a period is not when the news was that is asked for."""
    if now - period.before < OVER:
        return grammar.AHEAD.search(asking, 0, period.end) is not None
    mentioned = grammar.MENTIONED.search(asking, 0, period.start)
    return bool(mentioned or grammar.LOOKED_BACK.search(asking) or is_urgent(asking.strip()))


def _holds(outer: Period, inner: Period) -> bool:
    if inner.before > outer.before:
        return False
    return outer.after is None or (inner.after is not None and outer.after <= inner.after)
