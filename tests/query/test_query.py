"""A query: what can be asked, how options may be given, and how an impossible one is refused."""

import pickle
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from searchsvc.errors import BadInput
from searchsvc.query import OPTIONS, Query, QueryOptions

JUNE = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\u200b\x00"])
def test_an_empty_question_is_refused(text):
    with pytest.raises(BadInput, match="the question is empty"):
        Query(text)


def test_a_question_of_ten_thousand_characters_is_refused():
    assert Query("a" * 1_000).text == "a" * 1_000
    with pytest.raises(BadInput, match="the question has 10,000 characters; at most 1,000 are allowed"):
        Query("a" * 10_000)


def test_a_question_is_one_line_without_invisible_characters():
    assert Query(" what\u202e does\n Russia\x1b want ").text == "what does Russia want"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("limit", 0, "limit is 0; it must be from 1 to 100"),
        ("limit", 101, "limit is 101; it must be from 1 to 100"),
        ("limit", "3", "limit is '3'; it must be a whole number"),
        ("limit", True, "limit is True; it must be a whole number"),
        ("per_article", 0, "per_article is 0; it must be from 1 to 10"),
        ("per_article", 11, "per_article is 11; it must be from 1 to 10"),
        ("max_tokens", 0, "max_tokens is 0; it must be at least 1"),
        ("after", "soon", "after: "),
        ("as_of", 2024, "as_of is 2024; it must be a date, a date-time or ISO 8601 text"),
        ("languages", "english", "language must be a two-letter code such as en, not 'english'"),
        ("sources", ["x" * 301], "sources may hold at most 100 names of 300 characters"),
        ("sources", [1], "sources must be a name or a list of names"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused(name, value, message):
    with pytest.raises(BadInput) as refusal:
        Query("x", **{name: value})
    assert refusal.value.message.startswith(message)


def test_an_unknown_option_is_refused_with_the_nearest_known_one():
    with pytest.raises(TypeError, match=r"there is no option 'source'; did you mean sources\?"):
        Query("x", source="bbc")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="there is no option 'zzz'; there are limit, per_article"):
        Query.of("x", {"zzz": 1})  # type: ignore[typeddict-unknown-key]


def test_a_time_that_ends_before_it_begins_is_refused():
    assert Query("x", after=JUNE, before=JUNE).after == JUNE
    with pytest.raises(BadInput, match=r"after \(2024-06-02\) is later than before \(2024-06-01\)"):
        Query("x", after=date(2024, 6, 2), before="2024-06-01")


@pytest.mark.parametrize(
    ("given", "after", "before"),
    [
        ("2024", datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 12, 31, 23, 59, 59, 999_999, UTC)),
        ("2024-06", JUNE, datetime(2024, 6, 30, 23, 59, 59, 999_999, UTC)),
        (date(2024, 6, 1), JUNE, datetime(2024, 6, 1, 23, 59, 59, 999_999, UTC)),
        (datetime(2024, 6, 1, 12), JUNE + timedelta(hours=12), JUNE + timedelta(hours=12)),  # noqa: DTZ001
        (datetime(2024, 6, 1, 12, tzinfo=timezone(timedelta(hours=2))), *[JUNE + timedelta(hours=10)] * 2),
    ],
)
def test_moments_may_be_text_days_or_date_times(given, after, before):
    query = Query("x", after=given, before=given, as_of=given)
    assert (query.after, query.before, query.as_of) == (after, before, before)
    assert {value.tzinfo for value in (query.after, query.before, query.as_of)} == {UTC}


def test_no_moment_means_now():
    earlier = datetime.now(UTC)
    assert earlier <= Query("x").as_of <= datetime.now(UTC)


def test_one_name_is_one_name():
    assert Query("x", sources="Evening Post", languages="EN").sources == ("Evening Post",)
    assert Query("x", sources=iter(["a", " b ", "a", ""]), languages=("en", "de-AT")).sources == ("a", "b")
    assert Query("x", languages=("en", "de-AT")).languages == ("en", "de")


def test_a_query_is_a_value():
    query = Query("x", limit=3, as_of=JUNE)
    assert pickle.loads(pickle.dumps(query)) == query == Query.of("x", {"limit": 3, "as_of": "2024-06-01T00:00"})
    assert Query.of(query, {}) is query
    assert Query.of(query, {"limit": 4}) == Query("x", limit=4, as_of=JUNE)
    with pytest.raises(AttributeError):
        query.limit = 4


def test_every_option_is_described():
    assert OPTIONS.keys() == QueryOptions.__annotations__.keys()
    assert all(option.description.endswith(".") for option in OPTIONS.values())
