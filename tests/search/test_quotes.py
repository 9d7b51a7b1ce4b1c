"""Quotes: exact, near with the true wording, or not found."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.errors import BadInput
from searchsvc.search.quotes import NEAR, QuoteCheck, check_quote, normalize_quote, normalized_positions
from searchsvc.text.article import Article

TEXT = (
    "The minister spoke on Monday. “We won’t raise taxes by 5.5 % this year,” she said — and nobody’s vote changed.\n\n"
    "Some 1,200 people did not agree; the well-known critic Ana Díaz called it a mistake…\n\nTrains ran late."
)


def article(text: str = TEXT, ident: str = "a", published: datetime | None = None) -> Article:
    return Article(0, ident, ident, "Taxes", text, None, None, None, published, None, "en")


def asked(quote: str, text: str = TEXT) -> QuoteCheck:
    found = check_quote(quote, [article(text)])
    if found.wording:
        assert found.wording.text == found.article.text[found.wording.start : found.wording.end]
    return found


@pytest.mark.parametrize(
    ("quote", "wording"),
    [
        ("The minister spoke on Monday.", "The minister spoke on Monday"),
        ("  the MINISTER\n spoke   on monday", "The minister spoke on Monday"),
        ('"We won\'t raise taxes by 5.5 % this year"', "We won’t raise taxes by 5.5 % this year"),
        ("We won't raise taxes by 5.5 % this year,", "We won’t raise taxes by 5.5 % this year"),
        ("she said-and nobody's vote changed", "she said — and nobody’s vote changed"),
        ("she said -- and nobody's vote changed", "she said — and nobody’s vote changed"),
        ("nobody’s vote changed. Some 1,200 people", "nobody’s vote changed.\n\nSome 1,200 people"),
        ("called it a mistake...", "called it a mistake…"),
        ("the well‑known critic Ana Dí\u00adaz", "the well-known critic Ana Díaz"),
        ("did not agree", "did not agree"),
    ],
)
def test_case_space_and_typography_do_not_count(quote: str, wording: str) -> None:
    found = asked(quote)
    assert (found.verdict, found.similarity) == ("exact", 100.0)
    assert found.wording.text.rstrip(".…") == wording.rstrip(".…")


@pytest.mark.parametrize(
    ("quote", "wording"),
    [
        ("We will raise taxes by 5.5 % this year", "We won’t raise taxes by 5.5 % this year"),
        ("We won't raise taxes by 6.5 % this year", "We won’t raise taxes by 5.5 % this year"),
        ("We won't raise taxes by 5", "We won’t raise taxes by 5.5"),
        ("We won't raise taxes by 55 % this year", "We won’t raise taxes by 5.5 % this year"),
        ("Some 1,200 people did agree", "Some 1,200 people did not agree"),
        ("Some 200 people did not agree", "Some 1,200 people did not agree"),
        ("200 people did not agree", "1,200 people did not agree"),
        ("The minister did not speak on Monday", "The minister spoke on Monday"),
        ("people did not agree; the well-known critic Anna Diaz called it a big mistake",
         "people did not agree; the well-known critic Ana Díaz called it a mistake"),
        ("Trains ran la", "Trains ran late"),
        ("the minister spoke on Mon", "The minister spoke on Monday"),
    ],
)  # fmt: skip
def test_another_number_or_a_lost_not_is_near_and_never_exact(quote: str, wording: str) -> None:
    found = asked(quote)
    assert (found.verdict, found.wording.text) == ("near", wording)
    assert NEAR <= found.similarity < 100


@pytest.mark.parametrize(
    "quote",
    ["Prices of grain doubled in Odesa after the port was closed.", "Taxes", "the critic was right on taxes"],
)
def test_what_is_said_otherwise_is_not_found(quote: str) -> None:
    assert asked(quote, TEXT.replace("taxes", "them")) == QuoteCheck("not_found")


def test_a_word_is_not_found_within_a_longer_one() -> None:
    assert asked("rain", "Trains ran late.").verdict != "exact"
    assert asked("5 degrees", "It fell to -5 degrees.").verdict != "exact"
    assert asked("5 degrees", "It fell to 15 degrees.").verdict != "exact"


def test_of_several_articles_the_first_with_the_exact_words_counts() -> None:
    late, early = (article(TEXT, name, datetime(2024, 6, day, tzinfo=UTC)) for name, day in (("late", 9), ("early", 2)))
    undated = article(TEXT, "undated")
    altered = article(TEXT.replace("Monday", "Tuesday"), "altered", datetime(2024, 6, 1, tzinfo=UTC))
    found = check_quote("The minister spoke on Monday", [altered, undated, late, early])
    assert (found.verdict, found.article) == ("exact", early)


def test_of_several_articles_the_nearest_wording_counts() -> None:
    near, nearer = article("The minister talked on a Monday.", "near"), article("The minister spoke on Mondays.", "er")
    found = check_quote("The minister spoke on Monday", [near, nearer])
    assert (found.verdict, found.article, found.wording.text) == ("near", nearer, "The minister spoke on Mondays")


@pytest.mark.parametrize("quote", ["", " “…” ", "?!", "x" * 1_001])
def test_a_quote_without_words_or_too_long_is_refused(quote: str) -> None:
    with pytest.raises(BadInput, match="the quote h"):
        check_quote(quote, [article()])


def test_texts_without_words_hold_no_quote() -> None:
    assert check_quote("anything at all", [article(""), article("…"), article("—")]).verdict == "not_found"
    assert check_quote("anything at all", []) == QuoteCheck("not_found")


@given(st.text(st.characters() | st.sampled_from(" \n’“—…\u00ad\u200bßİŉ")))
def test_every_folded_character_has_its_place(text: str) -> None:
    kept, where = normalize_quote(text), normalized_positions(text)
    assert len(kept) == len(where)
    assert where == sorted(where)
    for letter, place in zip(kept, where, strict=True):
        assert letter in (normalize_quote(text[place]) or " ")


@given(st.data())
def test_every_run_of_words_of_an_article_is_exact(data: st.DataObject) -> None:
    words = TEXT.split()
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, len(words) - 1))
    quote = " ".join(words[first : last + 1])
    if any(map(str.isalnum, quote)):
        assert asked(quote).verdict == "exact"
