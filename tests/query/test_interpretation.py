"""An interpretation: anything may be asked in words; operators and periods narrow what may answer."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from searchsvc.errors import BadInput
from searchsvc.query import Query
from searchsvc.query.filter import Filter
from searchsvc.query.interpretation import Interpretation, interpret
from searchsvc.query.periods import Period

JUNE = datetime(2024, 6, 1, tzinfo=UTC)


def read(text: str, **options: Any) -> Interpretation:
    return interpret(Query(text, **{"as_of": JUNE, **options}))


@pytest.mark.parametrize("text", ['"', "AND (", "title:x OR y", "*", "a:b^2~", "\\", "[1 TO", "- x +y", "%s {0}"])
def test_query_syntax_is_plain_text(text):
    assert read(text).topic == text


def test_operators_become_the_filter_and_the_rest_is_asked():
    found = read('what did the "White House" say source:cnn after:2024-06 lang:en -biden')
    assert (found.topic, found.terms) == ("what did the White House say", ("white", "hous", "say"))
    assert found.filters == Filter(
        after=JUNE,
        as_of=JUNE,
        sources=frozenset({"cnn"}),
        languages=frozenset({"en"}),
        phrases=("White House",),
        excluded=("biden",),
    )


def test_a_phrase_alone_is_a_question():
    found = read('"to be or not to be"')
    assert (found.topic, found.terms) == ("to be or not to be", ("to", "be", "or", "not"))
    assert found.filters.phrases == ("to be or not to be",)


@pytest.mark.parametrize("text", ["source:cnn", "after:2024", "-trump", "lang:en source:bbc (before:2025)"])
def test_operators_alone_are_no_question(text):
    with pytest.raises(BadInput, match="the question says where to look, and not what for"):
        read(text)


def test_the_narrower_of_given_and_typed_bounds_holds():
    may, july, august = (JUNE.replace(month=month) for month in (5, 7, 8))
    bounds: dict[str, Any] = {"after": may, "before": august, "as_of": august}
    filters = Filter(after=may, before=august, as_of=august)
    assert read("x after:2024-06", **bounds).filters == Filter(after=JUNE, before=august, as_of=august)
    assert read("x after:2024-04", **bounds).filters == filters
    assert read("x before:2024-07-01T00:00", **bounds).filters == Filter(after=may, before=july, as_of=august)
    assert read("x before:2025", **bounds).filters == filters
    with pytest.raises(BadInput, match=r"after \(2024-08-01\) is later than before \(2024-06-30\)"):
        read("x before:2024-06", after=august)
    with pytest.raises(BadInput, match=r"after \(2024-06-01\) is later than before \(2023-12-31\)"):
        read("x before:2023 after:2024-06")


@pytest.mark.parametrize(
    ("given", "typed", "expected"),
    [
        (set(), "source:cnn source:bbc", {"cnn", "bbc"}),
        ({"cnn", "bbc"}, "", {"cnn", "bbc"}),
        ({"CNN", "bbc"}, "source:cnn", {"CNN"}),
        ({"reuters.com", "bbc"}, "source:reuters", {"reuters.com"}),
        ({"reuters"}, "source:reuters.com source:bbc", {"reuters.com"}),
        ({"cnn.com"}, "source:edition.cnn.com", {"edition.cnn.com"}),
    ],
)
def test_typed_sources_are_those_of_the_given_ones(given, typed, expected):
    assert read(f"x {typed}", sources=given).filters.sources == expected


def test_what_is_typed_beyond_what_is_given_is_refused():
    with pytest.raises(BadInput, match="the question asks for the source bbc, but only cnn or reuters is allowed"):
        read("x source:bbc", sources=["reuters", "cnn"])
    with pytest.raises(BadInput, match="the question asks for the language de, but only en is allowed"):
        read("x lang:de", languages="en")
    assert read("x lang:de lang:en", languages="en").filters.languages == {"en"}


def test_the_time_that_a_question_names_is_its_filter_and_stays_in_its_words():
    found = read("coup in Sudan in October 2021")
    after, before = datetime(2021, 10, 1, tzinfo=UTC), datetime(2021, 10, 31, 23, 59, 59, 999_999, UTC)
    assert found.filters == Filter(after=after, before=before, as_of=JUNE)
    assert found.period == Period(after, before, "in October 2021", 14, 29)
    assert found.terms == ("coup", "sudan", "octob", "2021")
    assert found.without_period() == replace(found, filters=Filter(as_of=JUNE), period=None)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("coup in Sudan in October 2021", {"period": False}),
        ("coup in Sudan in October 2021 before:2023", {}),
        ('coup in Sudan "in October 2021"', {}),
        ("coup in Sudan", {}),
    ],
)
def test_bounds_and_phrases_go_before_a_period(text, options):
    found = read(text, **options)
    assert (found.period, found.filters.after) == (None, None)


def test_given_bounds_go_before_a_period():
    given = datetime(2023, 1, 1, tzinfo=UTC)
    found = read("coup in Sudan in October 2021", after=given)
    assert (found.period, found.filters) == (None, Filter(after=given, as_of=JUNE))


def test_relative_words_of_time_are_not_looked_for_and_dates_are_but_no_answer_must_hold_them():
    last_week = read("what did Biden say last week")
    assert (last_week.topic, last_week.terms, last_week.topic_terms) == (
        "what did Biden say", ("biden", "say"), ("biden", "say"),
    )  # fmt: skip
    october = read("coup in Sudan in October 2021")
    assert (october.topic, october.topic_terms) == ("coup in Sudan", ("coup", "sudan"))
    assert october.terms == ("coup", "sudan", "octob", "2021")
    only_time = read("in October 2021")
    assert (only_time.topic, only_time.topic_terms) == ("in October 2021", ("octob", "2021"))
