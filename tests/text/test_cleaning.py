"""Cleaning: what goes, what stays, and where passages may not cross."""

from pathlib import Path

import pytest

from searchsvc.text.cleaning import clean, clean_title, title_from

SEED = Path(__file__).parents[2] / "seeds" / "000_de6a2ec9b66b9b61.txt"
FIRST = "The minister arrived in Geneva on Monday for two days of talks on grain exports."
SECOND = "Officials on both sides said that a deal was close but that details remained open."


def shown(title, *blocks):
    cleaned = clean(title, "\n\n".join(blocks))
    return [cleaned.text[start:end] for start, end in cleaned.stretches]


def test_the_starter_article_loses_its_repeated_titles_and_the_foreign_headline():
    title, _, text = SEED.read_text(encoding="utf-8").partition("\n")
    cleaned = clean(title, text)
    first, second = (cleaned.text[start:end] for start, end in cleaned.stretches)
    assert first.startswith("Ahead of his visit to North Korea on Tuesday, Russian President Vladimir Putin")
    assert first.endswith("for its solidarity on important international issues.")
    assert second.startswith("He added that it was committed and like-minded")
    assert second.endswith("launching a series of ballistic missile tests.")
    assert "Russia temporarily allows gasoline exports" in cleaned.text


@pytest.mark.parametrize(
    "repeated",
    [
        "Ministers near a deal on grain exports",
        "MINISTERS NEAR A DEAL ON GRAIN EXPORTS",
        "“Ministers near a deal on grain exports”",
    ],
)
def test_a_title_said_again_at_the_top_goes(repeated):
    title = "Ministers near a deal on grain exports"
    assert shown(title, repeated, repeated, FIRST, SECOND) == [f"{FIRST}\n\n{SECOND}"]


@pytest.mark.parametrize("gap", ["", ": ", " - ", ". ", " | ", "\n"])
def test_a_title_glued_to_the_first_sentence_goes(gap):
    title = "Ministers near a deal on grain exports"
    assert shown(title, f"ministers near a deal on grain exports{gap}{FIRST}", SECOND) == [f"{FIRST}\n\n{SECOND}"]


@pytest.mark.parametrize(
    ("title", "sentence"),
    [
        ("Putin praises North Korea", "Putin praises North Korea in a letter that was published on Tuesday morning."),
        ("Storm hits Florida", "Storm hits Florida Panhandle towns for the third time in a month, officials say."),
        ("Ukraine", "Ukraine said on Monday that it had taken back two villages in the south of the country."),
        ("The war in Gaza", "The war in Gaza, now in its ninth month, has left most of the strip without clean water."),
    ],
)
def test_a_first_sentence_that_begins_like_the_title_stays_whole(title, sentence):
    assert shown(title, sentence, SECOND) == [f"{sentence}\n\n{SECOND}"]


@pytest.mark.parametrize(
    "line",
    ["Russia temporarily allows gasoline exports", "What happens next", "Read more on this story", "By Jane Doe"],
)
def test_a_lone_short_line_between_paragraphs_is_a_boundary_and_in_no_passage(line):
    assert shown("A title of an article", FIRST, line, SECOND) == [FIRST, SECOND]
    assert line in clean("A title of an article", f"{FIRST}\n\n{line}\n\n{SECOND}").text


@pytest.mark.parametrize(
    "line",
    [
        "- wheat, barley and maize",
        "1. Ukraine",
        "• 40,000 tonnes a day",
        "When will the ports open again?",
        "“We are not there yet”",
        "He listed three demands:",
        "Final score: Arsenal 3-1 Chelsea",
        "Wheat\t412\t398",
        "Team | Points",
        "Brazil 5",
        "It was over.",
    ],
)
def test_list_items_questions_quotes_scores_and_tables_stay(line):
    assert shown("A title of an article", FIRST, line, SECOND) == [f"{FIRST}\n\n{line}\n\n{SECOND}"]


def test_verse_stays():
    verse = ["The sea is calm tonight", "The tide is full, the moon lies fair", "Upon the straits"]
    assert shown("Dover Beach", FIRST, *verse, SECOND) == ["\n\n".join([FIRST, *verse, SECOND])]
    joined = "\n".join(verse)
    assert shown("Dover Beach", FIRST, joined, SECOND) == ["\n\n".join([FIRST, joined, SECOND])]


def test_a_text_without_blank_lines_has_a_paragraph_a_line():
    cleaned = clean("A title of an article", f"{FIRST}\nWhat happens next\n{SECOND}")
    assert [cleaned.text[a:b] for a, b in cleaned.stretches] == [FIRST, SECOND]


def test_an_article_of_one_short_line_stays():
    assert shown("A title of an article", "Nothing more is known yet") == ["Nothing more is known yet"]


def test_invisible_characters_and_line_ends_of_other_systems_go():
    assert clean("", "one\u200b two\r\n\r\nthree\u202e four\x00\x1b[31m").text == "one two\n\nthree four[31m"


def test_joiners_that_are_spelling_stay():
    assert clean("", "می\u200cخواهم").text == "می\u200cخواهم"


def test_an_empty_text_has_no_stretch():
    assert clean("Title", " \n\n\t\n ").stretches == ()


def test_a_text_that_says_only_its_title_stays():
    assert shown("The same title again", "The same title again") == ["The same title again"]


def test_a_title_made_from_the_text_ends_at_a_word():
    assert title_from("Short.") == "Short."
    assert title_from("word " * 60) == ("word " * 20).strip() + "…"
    assert title_from("中" * 300) == "中" * 100 + "…"


def test_a_title_is_one_line_of_at_most_300_characters():
    assert clean_title(" Two\nlines \u202e here ") == "Two lines here"
    long = clean_title("word " * 200)
    assert long == ("word " * 60)[:299].rsplit(" ", 1)[0] + "…"
