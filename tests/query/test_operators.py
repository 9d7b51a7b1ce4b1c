"""Operators: what is one is understood in every spelling, and what is not quite one means itself."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from searchsvc.query.operators import Parsed, parse

JUNE_1 = datetime(2024, 6, 1, tzinfo=UTC)
END_OF_JUNE = datetime(2024, 6, 30, 23, 59, 59, 999_999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("grain source:reuters", Parsed("grain", sources=("reuters",))),
        ("Source:Reuters grain SOURCE:bbc.co.uk", Parsed("grain", sources=("Reuters", "bbc.co.uk"))),
        ('grain source:"The Week" talks', Parsed("grain talks", sources=("The Week",))),
        ("grain source:“The Week”, talks", Parsed("grain , talks", sources=("The Week",))),
        ("source:« Le Monde » blé", Parsed("blé", sources=("Le Monde",))),
        ("grain (source:reuters)", Parsed("grain (", sources=("reuters",))),
        ("grain source:reuters?", Parsed("grain", sources=("reuters",))),
        ("after:2024-06-01 grain", Parsed("grain", after=JUNE_1)),
        ("grain after:2024-06", Parsed("grain", after=JUNE_1)),
        ("grain after:2024-06-01T12:30Z", Parsed("grain", after=JUNE_1.replace(hour=12, minute=30))),
        ("grain before:2024-06", Parsed("grain", before=END_OF_JUNE)),
        ("grain before:2024-06-30.", Parsed("grain", before=END_OF_JUNE)),
        ("after:2023 grain before:2025 After:2024-06 before:2024-06",
         Parsed("grain", after=JUNE_1, before=END_OF_JUNE)),
        ("grain lang:en language:de-AT LANG:EN", Parsed("grain", languages=("en", "de"))),
        ("-trump war", Parsed("war", excluded=("trump",))),
        ("war -Trump, -biden", Parsed("war", excluded=("Trump", "biden"))),
        ("war -covid-19 -U.S. -O’Neill -AT&T", Parsed("war", excluded=("covid-19", "U.S", "O’Neill", "AT&T"))),
        ('war -"white house" peace', Parsed("war peace", excluded=("white house",))),
        ("war -«white house»", Parsed("war", excluded=("white house",))),
        ("-é", Parsed("", excluded=("é",))),
    ],
)  # fmt: skip
def test_sources_dates_languages_and_exclusions(text: str, expected: Parsed) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"white house"', Parsed("white house", ("white house",))),
        ('who said "white house" first?', Parsed("who said white house first?", ("white house",))),
        ('"white house”', Parsed("white house", ("white house",))),
        ('"don’t"', Parsed("don’t", ("don’t",))),
        ('("white house")', Parsed("(white house)", ("white house",))),
        ('"grain", "peace talks"!', Parsed("grain, peace talks!", ("grain", "peace talks"))),
        ('"grain" and "grain"', Parsed("grain and grain", ("grain",))),
        ('"white house"\'s', Parsed("white house's", ("white house",))),
        ('"source:reuters -x"', Parsed("source:reuters -x", ("source:reuters -x",))),
        ('"5-4"', Parsed("5-4", ("5-4",))),
        ('he said "he said "hi" there', Parsed('he said "he said hi there', ("hi",))),
        ('a 5" pipe of "steel"', Parsed('a 5" pipe of steel', ("steel",))),
        ('source:cnn "peace talks" -grain', Parsed("peace talks", ("peace talks",), ("grain",), sources=("cnn",))),
    ],
)
def test_phrases_stay_part_of_the_question(text: str, expected: Parsed) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["source:cnn", "source:cnn ?", "(lang:en)", "-trump", "after:2024 before:2025"])
def test_nothing_is_left_of_operators_alone(text: str) -> None:
    assert parse(text).text == ""


PLAIN = [
    "",
    "what does Russia want from North Korea",
    "two  spaces",
    '"',
    '""',
    '"!!"',
    "“",
    '"unbalanced',
    'unbalanced"',
    'the "white house',
    'a 6" x 4" board',
    "6'2\" tall and 5'1\" too",
    '5 " of rain and 6 " of snow',
    "a»b«c",
    "AND (",
    "title:x",
    'title:"white house"',
    "title:x OR y",
    "resource:reuters",
    "source:",
    "source: reuters",
    "source:???",
    'source:"',
    'source:""',
    'source:"The Week',
    "after:",
    "after:party",
    "after:all",
    "after:2024-13-01",
    "after:2024-06-31",
    "before: 2024",
    "before:yesterday",
    "lang:english",
    "lang:",
    "C++ -",
    "U.S.-led talks",
    "it ended 5-4",
    "-20 degrees",
    "-2.5 % growth",
    "2019-2024",
    "war - and peace",
    "war – and peace",
    "--verbose",
    "-",
    "-(trump)",
    "-title:x",
    "-source:cnn",
    "-c++",
    '-"',
    '-""',
    "+x",
    "rock 'n' roll",
    "a:b^2~ [1 TO",
    "\\",
    "%s {0}",
    "俄罗斯想从朝鲜得到什么？",
]


@pytest.mark.parametrize("text", PLAIN)
def test_whatever_is_not_quite_an_operator_means_itself(text: str) -> None:
    assert parse(text) == Parsed(text)


PIECES = [
    "source:",
    "after:",
    "2024",
    "lang:",
    "en",
    '"',
    "“",
    "”",
    "«",
    "»",
    "-",
    " ",
    "x",
    "é",
    "(",
    ")",
    ":",
    "5",
    "\n",
]


@given(st.text() | st.lists(st.sampled_from(PIECES)).map("".join))
@example('"' * 1_000)
@example("«" * 1_000)
@example(' "x' * 300)
def test_no_text_is_wrong(text: str) -> None:
    parsed = parse(text)
    operators = Parsed("", parsed.phrases, parsed.excluded, parsed.after, parsed.before, parsed.sources,
                       parsed.languages)  # fmt: skip
    if operators == Parsed(""):
        assert parsed.text == text
    assert all(" ".join(phrase.split()) in parsed.text for phrase in parsed.phrases)
    assert all(any(map(str.isalnum, words)) for words in (*parsed.phrases, *parsed.excluded, *parsed.sources))


@given(st.text(st.characters(exclude_characters='"“”„‟＂«»-:')))
def test_a_text_without_marks_comes_back_as_it_is(text: str) -> None:
    assert parse(text) == Parsed(text)
