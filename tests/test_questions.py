"""Questions: anything may be asked in words; what is impossible is refused in words."""

from datetime import UTC, datetime

import pytest

from searchsvc.engines import Filter
from searchsvc.errors import BadInput
from searchsvc.questions import ask


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\u200b\x00"])
def test_an_empty_question_is_refused(text):
    with pytest.raises(BadInput, match="the question is empty"):
        ask(text)


def test_a_question_of_ten_thousand_characters_is_refused():
    assert ask("a" * 1_000).text == "a" * 1_000
    with pytest.raises(BadInput, match="the question has 10,000 characters; at most 1,000 are allowed"):
        ask("a" * 10_000)


@pytest.mark.parametrize("text", ['"', "AND (", "title:x OR y", "*", "a:b^2~", "\\", "[1 TO", "-x +y", "%s {0}"])
def test_query_syntax_is_plain_text(text):
    assert ask(text).text == text


def test_a_question_is_one_line_without_invisible_characters():
    assert ask(" what\u202e does\n Russia\x1b want ").text == "what does Russia want"


@pytest.mark.parametrize(("name", "value"), [("limit", 0), ("limit", 101), ("per_article", 0), ("per_article", 11)])
def test_an_impossible_number_of_hits_is_refused(name, value):
    with pytest.raises(BadInput, match=rf"{name} is {value}; it must be from 1 to"):
        ask("x", **{name: value})
    with pytest.raises(BadInput, match="max_tokens is 0"):
        ask("x", max_tokens=0)


def test_a_time_that_ends_before_it_begins_is_refused():
    later, earlier = datetime(2024, 6, 2, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC)
    assert ask("x", allowed=Filter(after=earlier, before=earlier)).allowed.after == earlier
    with pytest.raises(BadInput, match=r"after \(2024-06-02\) is later than before \(2024-06-01\)"):
        ask("x", allowed=Filter(after=later, before=earlier))
