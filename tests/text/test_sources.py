"""Sources: asked for by the names that people use, found by the names that articles bear."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.text.sources import is_called, sources_called

KNOWN = [
    "Reuters", "reuters.com", "uk.reuters.com", "notreuters.com", "The Week", "www.theweek.co.uk", "USA Today",
    "college.usatoday.com", "The Guardian", "theguardian.com", "news.bbc.co.uk", "BBC", "Agência Lusa", "Süd.de", "???",
]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("reuters", {"Reuters", "reuters.com", "uk.reuters.com"}),
        ("REUTERS", {"Reuters", "reuters.com", "uk.reuters.com"}),
        ("reuters.com", {"reuters.com", "uk.reuters.com"}),
        ("www.Reuters.com", {"reuters.com", "uk.reuters.com"}),
        ("uk.reuters.com", {"uk.reuters.com"}),
        ("The Week", {"The Week", "www.theweek.co.uk"}),
        ("theweek", {"The Week", "www.theweek.co.uk"}),
        ("the-week", {"The Week", "www.theweek.co.uk"}),
        ("week", {"The Week", "www.theweek.co.uk"}),
        ("usatoday", {"USA Today", "college.usatoday.com"}),
        ("guardian", {"The Guardian", "theguardian.com"}),
        ("bbc", {"BBC", "news.bbc.co.uk"}),
        ("bbc.co.uk", {"news.bbc.co.uk"}),
        ("agencialusa", {"Agência Lusa"}),
        ("sud", {"Süd.de"}),
        ("???", {"???"}),
        ("co", set()),
        ("news", set()),
        ("com", set()),
        ("!!", set()),
    ],
)
def test_a_name_means_sources_and_sites_of_that_name(asked: str, expected: set[str]) -> None:
    assert sources_called([asked], KNOWN) == expected


def test_any_of_several_names_will_do() -> None:
    assert sources_called(["bbc", "theguardian.com"], KNOWN) == {"BBC", "news.bbc.co.uk", "theguardian.com"}
    assert sources_called([], KNOWN) == frozenset()


@given(st.text())
def test_every_source_is_meant_by_its_own_name(name: str) -> None:
    assert is_called(name, name)
    assert is_called(name.upper().lower(), name.upper().lower())
