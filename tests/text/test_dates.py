"""Dates: what is believed, what is refused and why."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from searchsvc.errors import BadInput
from searchsvc.text.dates import parse_bound, parse_published

JUNE_18 = datetime(2024, 6, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "moment"),
    [
        ("2024-06-18", JUNE_18),
        (" 2024-06-18 ", JUNE_18),
        ("20240618", JUNE_18),
        ("2024/06/18", JUNE_18),
        ("18.06.2024", JUNE_18),
        ("18/06/2024", JUNE_18),
        ("06/18/2024", JUNE_18),
        ("05/05/2024", datetime(2024, 5, 5, tzinfo=UTC)),
        ("2024-06-18T10:30:00", JUNE_18 + timedelta(hours=10.5)),
        ("2024-06-18 10:30", JUNE_18 + timedelta(hours=10.5)),
        ("2024-06-18T10:30:00Z", JUNE_18 + timedelta(hours=10.5)),
        ("2024-06-18T10:30:00z", JUNE_18 + timedelta(hours=10.5)),
        ("2024-06-18T10:30:00+02:00", JUNE_18 + timedelta(hours=8.5)),
        ("2024-06-18T10:30:00.250Z", JUNE_18 + timedelta(hours=10.5, milliseconds=250)),
        ("2024-06-18 10:30:00 UTC", JUNE_18 + timedelta(hours=10.5)),
        ("2024-06-18 10:30:00 CEST", JUNE_18 + timedelta(hours=8.5)),
        ("Tue, 18 Jun 2024 10:30:00 +0200", JUNE_18 + timedelta(hours=8.5)),
        ("Tue, 18 Jun 2024 10:30:00 GMT", JUNE_18 + timedelta(hours=10.5)),
        ("18 Jun 2024 10:30:00 CEST", JUNE_18 + timedelta(hours=8.5)),
        (1718706600, JUNE_18 + timedelta(hours=10.5)),
        (1718706600.5, JUNE_18 + timedelta(hours=10.5, seconds=0.5)),
        (1718706600000, JUNE_18 + timedelta(hours=10.5)),
        ("1718706600", JUNE_18 + timedelta(hours=10.5)),
        ("1718706600000", JUNE_18 + timedelta(hours=10.5)),
        (20240618, JUNE_18),
        ("June 18, 2024", JUNE_18),
        ("18 June 2024", JUNE_18),
        ("Tuesday, June 18, 2024 at 3:45 PM EDT", JUNE_18 + timedelta(hours=19.75)),
        ("18. Juni 2024", JUNE_18),
        ("18 juin 2024 à 14h30", JUNE_18 + timedelta(hours=14.5)),
        ("18 de junio de 2024", JUNE_18),
        ("18 июня 2024 г.", JUNE_18),
        ("2024年6月18日", JUNE_18),
        (date(2024, 6, 18), JUNE_18),
        (datetime(2024, 6, 18, 2, tzinfo=timezone(timedelta(hours=2))), JUNE_18),
        ("1815-06-18", datetime(1815, 6, 18, tzinfo=UTC)),
    ],
)
def test_a_date_that_names_one_moment_is_believed(said: object, moment: datetime) -> None:
    found = parse_published(said)
    assert found == moment
    assert found is not None
    assert found.tzinfo is UTC


@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_where_nothing_is_said_there_is_no_date(nothing: object) -> None:
    assert parse_published(nothing) is None


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("yesterday", "not a full date with day, month and year"),
        ("may", "not a full date with day, month and year"),
        ("May 2024", "not a full date with day, month and year"),
        ("2024", "not a full date with day, month and year"),
        ("10:30", "not a full date with day, month and year"),
        ("3 days ago", "not a full date with day, month and year"),
        ("2024-06-31", "not a full date with day, month and year"),
        ("2024-06-18T25:00:00Z", "not a full date with day, month and year"),
        ("soon", "not a full date with day, month and year"),
        ("03/04/2024", "day and month could be either way round"),
        ("18/06/24", "the year is not written in four figures"),
        ("0001-01-01T00:00:00+23:59", "outside the calendar"),
        ("1599-12-31", "before the year 1600"),
        ("2999-01-01", "in the future"),
        ("x" * 101, "too long for a date"),
        (0, "not a plausible number of seconds or milliseconds since 1970"),
        (2024, "not a plausible number of seconds or milliseconds since 1970"),
        (10**400, "not a plausible number of seconds or milliseconds since 1970"),
        (float("nan"), "not a plausible number of seconds or milliseconds since 1970"),
        (float("inf"), "not a plausible number of seconds or milliseconds since 1970"),
        (True, "not a date"),
        ({"$date": 1}, "not a date"),
    ],
)
def test_a_date_that_cannot_be_believed_is_refused_with_a_reason(said: object, reason: str) -> None:
    with pytest.raises(ValueError, match="^" + reason.replace("(", "\\(") + "$"):
        parse_published(said)


def test_two_days_from_now_is_as_late_as_a_date_may_be() -> None:
    now = datetime.now(UTC)
    assert parse_published(now + timedelta(days=1, hours=23)) == now + timedelta(days=1, hours=23)
    with pytest.raises(ValueError, match="in the future"):
        parse_published(now + timedelta(days=2, minutes=1))


@pytest.mark.parametrize(
    ("text", "begins", "ends"),
    [
        ("2024-06-18", "2024-06-18T00:00:00+00:00", "2024-06-18T23:59:59.999999+00:00"),
        ("2024-06", "2024-06-01T00:00:00+00:00", "2024-06-30T23:59:59.999999+00:00"),
        ("2024-02", "2024-02-01T00:00:00+00:00", "2024-02-29T23:59:59.999999+00:00"),
        ("2024", "2024-01-01T00:00:00+00:00", "2024-12-31T23:59:59.999999+00:00"),
        ("9999", "9999-01-01T00:00:00+00:00", "9999-12-31T23:59:59.999999+00:00"),
        ("2024-06-18T14:30", "2024-06-18T14:30:00+00:00", "2024-06-18T14:30:00+00:00"),
        ("2024-06-18 14:30:00+02:00", "2024-06-18T12:30:00+00:00", "2024-06-18T12:30:00+00:00"),
        (" 2024-06-18T14:30:00Z ", "2024-06-18T14:30:00+00:00", "2024-06-18T14:30:00+00:00"),
    ],
)
def test_a_bound_without_a_time_covers_the_whole_period(text: str, begins: str, ends: str) -> None:
    assert parse_bound(text, end=False).isoformat() == begins
    assert parse_bound(text, end=True).isoformat() == ends


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2024-13", "0000", "2024-06-31", "18.06.2024", "0001-01-01T00:00+23:00"]
)
def test_a_bound_that_cannot_be_read_names_the_value_and_the_form(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_bound(text, end=False)
    assert caught.value.message == f"cannot read the date {text!r}"
    assert caught.value.hint == "write 2024, 2024-06, 2024-06-18 or 2024-06-18T14:30:00Z"
