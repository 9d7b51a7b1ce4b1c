"""Questions: anything may be asked in words; what is impossible is refused in words."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from searchsvc.errors import BadInput
from searchsvc.query.filter import Filter
from searchsvc.query.periods import Period
from searchsvc.query.question import parse_question

JUNE = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\u200b\x00"])
def test_an_empty_question_is_refused(text):
    with pytest.raises(BadInput, match="the question is empty"):
        parse_question(text)


def test_a_question_of_ten_thousand_characters_is_refused():
    assert parse_question("a" * 1_000).text == "a" * 1_000
    with pytest.raises(BadInput, match="the question has 10,000 characters; at most 1,000 are allowed"):
        parse_question("a" * 10_000)


@pytest.mark.parametrize("text", ['"', "AND (", "title:x OR y", "*", "a:b^2~", "\\", "[1 TO", "- x +y", "%s {0}"])
def test_query_syntax_is_plain_text(text):
    assert parse_question(text).text == text


def test_a_question_is_one_line_without_invisible_characters():
    assert parse_question(" what\u202e does\n Russia\x1b want ").text == "what does Russia want"


@pytest.mark.parametrize(("name", "value"), [("limit", 0), ("limit", 101), ("per_article", 0), ("per_article", 11)])
def test_an_impossible_number_of_hits_is_refused(name, value):
    with pytest.raises(BadInput, match=rf"{name} is {value}; it must be from 1 to"):
        parse_question("x", **{name: value})
    with pytest.raises(BadInput, match="max_tokens is 0"):
        parse_question("x", max_tokens=0)


def test_a_time_that_ends_before_it_begins_is_refused():
    later, earlier = datetime(2024, 6, 2, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC)
    assert parse_question("x", allowed=Filter(after=earlier, before=earlier)).allowed.after == earlier
    with pytest.raises(BadInput, match=r"after \(2024-06-02\) is later than before \(2024-06-01\)"):
        parse_question("x", allowed=Filter(after=later, before=earlier))


def test_operators_become_the_filter_and_the_rest_is_asked():
    found = parse_question('what did the "White House" say source:cnn after:2024-06 lang:en -biden')
    assert (found.text, found.words) == ("what did the White House say", ("white", "hous", "say"))
    assert found.typed == 'what did the "White House" say source:cnn after:2024-06 lang:en -biden'
    assert found.allowed == Filter(
        after=JUNE,
        sources=frozenset({"cnn"}),
        languages=frozenset({"en"}),
        phrases=("White House",),
        excluded=("biden",),
    )


def test_a_phrase_alone_is_a_question():
    found = parse_question('"to be or not to be"')
    assert (found.text, found.words) == ("to be or not to be", ("to", "be", "or", "not"))
    assert found.allowed.phrases == ("to be or not to be",)


@pytest.mark.parametrize("text", ["source:cnn", "after:2024", "-trump", "lang:en source:bbc (before:2025)"])
def test_operators_alone_are_no_question(text):
    with pytest.raises(BadInput, match="the question says where to look, and not what for"):
        parse_question(text)


def test_the_narrower_of_given_and_typed_bounds_holds():
    may, july, august = (JUNE.replace(month=month) for month in (5, 7, 8))
    allowed = Filter(after=may, before=august, as_of=august)
    assert parse_question("x after:2024-06", allowed=allowed).allowed == Filter(after=JUNE, before=august, as_of=august)
    assert parse_question("x after:2024-04", allowed=allowed).allowed == allowed
    assert parse_question("x before:2024-07-01T00:00", allowed=allowed).allowed == Filter(
        after=may, before=july, as_of=august
    )
    assert parse_question("x before:2025", allowed=allowed).allowed == allowed
    with pytest.raises(BadInput, match=r"after \(2024-08-01\) is later than before \(2024-06-30\)"):
        parse_question("x before:2024-06", allowed=Filter(after=august))
    with pytest.raises(BadInput, match=r"after \(2024-06-01\) is later than before \(2023-12-31\)"):
        parse_question("x before:2023 after:2024-06")


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
    assert parse_question(f"x {typed}", allowed=Filter(sources=frozenset(given))).allowed.sources == expected


def test_what_is_typed_beyond_what_is_given_is_refused():
    with pytest.raises(BadInput, match="the question asks for the source bbc, but only cnn or reuters is allowed"):
        parse_question("x source:bbc", allowed=Filter(sources=frozenset({"reuters", "cnn"})))
    with pytest.raises(BadInput, match="the question asks for the language de, but only en is allowed"):
        parse_question("x lang:de", allowed=Filter(languages=frozenset({"en"})))
    assert parse_question("x lang:de lang:en", allowed=Filter(languages=frozenset({"en"}))).allowed.languages == {"en"}


def test_the_time_that_a_question_names_is_its_filter_and_stays_in_its_words():
    asked = Filter(as_of=JUNE)
    found = parse_question("coup in Sudan in October 2021", allowed=asked)
    after, before = datetime(2021, 10, 1, tzinfo=UTC), datetime(2021, 10, 31, 23, 59, 59, 999_999, UTC)
    assert found.allowed == Filter(after=after, before=before, as_of=JUNE)
    assert found.period == Period(after, before, "in October 2021", 14, 29)
    assert found.words == ("coup", "sudan", "octob", "2021")
    assert found.at_any_time() == replace(found, allowed=asked, period=None)


@pytest.mark.parametrize(
    ("text", "wishes"),
    [
        ("coup in Sudan in October 2021", {"period": False}),
        ("coup in Sudan in October 2021 before:2023", {}),
        ('coup in Sudan "in October 2021"', {}),
        ("coup in Sudan", {}),
    ],
)
def test_bounds_and_phrases_go_before_a_period(text, wishes):
    found = parse_question(text, allowed=Filter(as_of=JUNE), **wishes)
    assert (found.period, found.allowed.after) == (None, None)


def test_given_bounds_go_before_a_period():
    given = Filter(after=datetime(2023, 1, 1, tzinfo=UTC), as_of=JUNE)
    found = parse_question("coup in Sudan in October 2021", allowed=given)
    assert (found.period, found.allowed) == (None, given)


def test_relative_words_of_time_are_not_looked_for_and_dates_are_but_no_answer_must_hold_them():
    asked = Filter(as_of=JUNE)
    last_week = parse_question("what did Biden say last week", allowed=asked)
    assert (last_week.text, last_week.words, last_week.subject) == (
        "what did Biden say", ("biden", "say"), ("biden", "say"),
    )  # fmt: skip
    october = parse_question("coup in Sudan in October 2021", allowed=asked)
    assert (october.text, october.subject) == ("coup in Sudan", ("coup", "sudan"))
    assert october.words == ("coup", "sudan", "octob", "2021")
    only_time = parse_question("in October 2021", allowed=asked)
    assert (only_time.text, only_time.subject) == ("in October 2021", ("octob", "2021"))
