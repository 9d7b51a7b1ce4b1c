"""Time linear in the input: what took minutes before is read, cleaned, cut and compared in one short process.

All of it runs in one process that is killed if it takes minutes, as it did when these were not linear; what it returns
is checked by value. `tests/benchmarks/slow_inputs.py` looks for more of the kind.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from searchsvc.readers import read
from searchsvc.search import quotes
from searchsvc.search.quotes import check_quote
from searchsvc.text.article import Article, RawArticle
from searchsvc.text.cleaning import Cleaned
from searchsvc.text.passages import LONGEST_PARAGRAPH, PIECE, Splitter
from tests.conftest import minilm_tokenizer

ROOT = Path(__file__).parents[2]
KILLED_AFTER = 90  # seconds of processor time; all of this took more than five minutes of it, and takes eight seconds

SLOW = r"""
import json, resource, sys, tempfile
from collections import Counter
from pathlib import Path
from tests.conftest import minilm_tokenizer
from searchsvc.text.article import RawArticle
from searchsvc.text.article import Article
from searchsvc.text.cleaning import clean
from searchsvc.text.passages import Splitter
from searchsvc.search.quotes import check_quote
from searchsvc.readers import read
from searchsvc.text.analysis import surface_tokens

KB = 1_000
resource.setrlimit(resource.RLIMIT_CPU, (KILLED_AFTER, KILLED_AFTER))
splitter = Splitter(minilm_tokenizer(), budget=160, longest=256)
told = {}

def reads(name, text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8")
        found = list(read(path, name, 10**7))
    articles = [one for one in found if isinstance(one, RawArticle)]
    lost = Counter()
    for one in found:
        if not isinstance(one, RawArticle) and one.lost:
            lost[one.reason] += one.count
    kept = [one.reason for one in found if not isinstance(one, RawArticle) and not one.lost]
    return {"articles": len(articles), "text": articles[0].text[:9] if articles else "",
            "size": sum(len(one.text) for one in articles), "lost": sum(lost.values()), "first": next(iter(lost), ""),
            "kept": kept}

def cuts(text, language="en"):
    cleaned = clean("", text)
    found = splitter.split("A title", cleaned, language)
    sentences = [span for one in found for span in one.sentences]
    whole = "".join(cleaned.text[a:b] for a, b in sentences)
    return {"all": whole == cleaned.text.replace(" ", ""), "longest": max(len(splitter._tokenizer.encode(
        cleaned.text[one.start:one.end], add_special_tokens=False)) for one in found)}

told["spaces"] = reads("a.html", "<p>" + " " * 200 * KB + "</p>")
told["quotes that reopen"] = reads("a.csv", "title,text\n" + 'x","y\n' * 8 * KB + "a,The end\n")
told["bold"] = reads("b.html", "<html><head><title>A title</title></head><body><p>" + "<b>b</b> " * 12 * KB)
told["brackets"] = reads("a.md", "# A title\n\nFirst.\n\n" + "[" * 50 * KB + "\n\nLast, with [a link](b).")
told["quoted brackets"] = reads("b.md", "> [" * 17 * KB)
told["figures"] = cuts("1." * 100 * KB)
told["japanese"] = cuts("日本語の文章は続く" * 22 * KB, "ja")
told["open quotes"] = cuts("“" * 200 * KB)
told["titles"] = len(clean("A Title of Some Six Words", "A Title of Some Six Words " * 8 * KB + "And the rest.").text)
told["title lines"] = len(clean("A title", "A title\n" * 25 * KB + "The rest.").text)
repeated = Article(0, "a", "a", "", "the quick brown fox jumped so " * 33 * KB, None, None, None, None, None, "en")
asked = "the quick brown dog jumped so " * 33
told["quote"] = check_quote(asked, [repeated]).verdict
told["quote never"] = check_quote("fox so jumped quick the over " * 33, [repeated]).verdict
told["accents"] = len(surface_tokens("a" + "\u0316\u0301" * 100 * KB))
text = "a" * 1000 * KB
told["quote at each letter"] = check_quote("a" * 998 + "b", [Article(0, "a", "a", "", text, *[None] * 6)]).verdict
json.dump(told, sys.stdout)
"""


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """What came of all slow inputs, from one process that is killed after minutes."""
    script = SLOW.replace("KILLED_AFTER", str(KILLED_AFTER))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_spaces_are_no_article(told):
    assert told["spaces"]["first"] == "no article text found in the page"


def test_quotation_marks_that_reopen_every_line_cost_their_lines_only(told):
    found = told["quotes that reopen"]
    assert (found["articles"], found["text"], found["lost"]) == (1, "The end", 8_000)
    assert found["first"] == "a quotation mark is never closed"


def test_a_page_of_bold_letters_is_read_whole_and_said(told):
    found = told["bold"]
    assert (found["articles"], found["size"], found["lost"]) == (1, 23_999, 0)
    assert found["kept"] == ["has more elements than an article; all that the page says was taken for it"]


def test_open_brackets_of_markdown_stay_as_they_are(told):
    found = told["brackets"]
    assert (found["articles"], found["lost"]) == (1, 0)
    assert found["size"] == len("First.\n\n") + 50_000 + len("\n\nLast, with a link.")
    assert found["kept"] == ["paragraphs with too many open brackets were taken as they stand (1)"]
    assert told["quoted brackets"]["size"] == len("[> " * 17_000) - 2


@pytest.mark.parametrize("name", ["figures", "japanese", "open quotes"])
def test_paragraphs_without_spaces_are_cut_completely(told, name):
    assert told[name]["all"]
    assert told[name]["longest"] <= 160


def test_a_title_may_be_repeated_any_number_of_times(told):
    assert told["titles"] == len("And the rest.")
    assert told["title lines"] == len("The rest.")


def test_accents_in_a_row_are_no_words(told):
    assert told["accents"] == 1


def test_quotes_of_a_long_repetitive_article_are_found_or_not(told):
    assert told["quote"] == "near"
    assert told["quote never"] == "not_found"
    assert told["quote at each letter"] == "not_found"


# ------------------------------------------------------------------------------------------- what is bounded, by value


def article(text: str, ident: str = "a") -> Article:
    return Article(0, ident, ident, "", text, None, None, None, None, None, "en")


def filler(number: int) -> str:
    """Return so many sentences, none of which says what another does."""
    return " ".join(
        f"Reporter {at} told room {at * 7919 % number} of matter {at * 104729 % number}." for at in range(number)
    )


SENTENCE = "The minister of finance did not say on Monday why taxes on bread and salt are to be raised again next year"


@pytest.mark.parametrize(
    "quote",
    [
        SENTENCE.replace("did not say", "said"),
        SENTENCE.replace("Monday", "Tuesday").replace("bread", "wheat"),
        SENTENCE.replace("of finance ", "").replace("again ", ""),
        SENTENCE.replace("taxes", "txaes").replace("minister", "minster").replace("raised", "riased"),
    ],
)
def test_a_near_quote_is_found_wherever_it_stands_in_a_long_article(quote):
    before, after = filler(3_000), filler(2_000)
    found = check_quote(quote, [article("Nothing of it. " * 2_000), article(f"{before} {SENTENCE}. {after}", "long")])
    assert (found.verdict, found.wording.text) == ("near", SENTENCE)
    assert found.article is not None
    assert (found.article.id, found.wording.start) == ("long", len(before) + 1)


def test_of_long_repetitive_articles_few_and_short_windows_are_aligned():
    wanted = quotes.words_of_quote("the quick brown dog jumped so " * 33)
    texts = [quotes.normalize_quote("the quick brown fox jumped so " * 10_000), "the quick brown fox " * 500] * 20
    windows = [window for _, some in quotes._windows(wanted, texts) for window in some]
    assert max(end - start for start, end in windows) < 2.2 * len(wanted)
    assert 40 < len(windows) <= quotes.WINDOWS * len(texts)
    assert sum(end - start for start, end in windows) * len(wanted) <= quotes.MOST_CELLS


def test_only_so_much_of_all_texts_is_looked_at(monkeypatch):
    monkeypatch.setattr(quotes, "MOST_TEXT", 50)
    first, second = article("The minister spoke on Monday.", "first"), article("Trains ran late on Tuesday.", "second")
    assert check_quote("trains ran late", [first, second]).verdict == "not_found"
    assert check_quote("trains ran late", [second, first]).verdict == "exact"
    assert check_quote("the minister spoke", [article("The minister spoke. " * 50)]).verdict == "exact"


@pytest.mark.parametrize(("quote", "where"), [("aab", 4), ("ab aab", None), ("aaaa", None)])
def test_an_exact_quote_is_found_behind_many_beginnings_of_it(quote, where):
    found = check_quote(quote, [article("aaa aab aaab")])
    assert (found.wording.start if found.verdict == "exact" else None) == where


def sentences_of(text: str) -> list[tuple[int, int]]:
    splitter = Splitter(minilm_tokenizer(), budget=160, longest=256)
    found = splitter.split("A title", Cleaned(text, ((0, len(text)),)), "en")
    return [span for passage in found for span in passage.sentences]


def test_a_long_paragraph_falls_into_the_sentences_of_its_parts():
    sentences = [
        f"Mr. Smith said “no” for the {number}th time, and left." for number in range(2 * LONGEST_PARAGRAPH // 50)
    ]
    text = " ".join(sentences)
    splitter = Splitter(minilm_tokenizer(), budget=160, longest=256)
    spans = [
        span for one in splitter.split("A title", Cleaned(text, ((0, len(text)),)), "en") for span in one.sentences
    ]
    assert [text[start:end] for start, end in spans] == sentences


@pytest.mark.parametrize("unit", ["word ", "x", "長"])
def test_a_long_paragraph_without_sentences_is_cut_into_pieces(unit):
    text = unit * (2 * LONGEST_PARAGRAPH // len(unit)) + "end."
    spans = sentences_of(text)
    assert "".join(text[start:end].replace(" ", "") for start, end in spans) == text.replace(" ", "")
    assert max(end - start for start, end in spans if start < LONGEST_PARAGRAPH) <= PIECE
    assert {word for start, end in spans for word in text[start:end].split()} == {"word", "end."} or unit != "word "


@pytest.mark.parametrize("limit", [10**6, 30])
def test_a_table_goes_on_behind_a_quotation_mark_that_reopens(tmp_path, limit):
    path = tmp_path / "a.csv"
    path.write_text("title,text\n" + 'x","y\n' * 20 + "One,First\nTwo,Second\n")
    found = list(read(path, "a", limit))
    assert [one.text for one in found if isinstance(one, RawArticle)] == ["First", "Second"]
    assert len(found) == 22


def test_front_matter_as_long_as_a_book_is_left_out(tmp_path):
    path = tmp_path / "a.md"
    path.write_text("---\n" + "a: [\n" * 5_000 + "---\n# A title\n\nThe text.\n")
    problem, found = read(path, "a", 10**6)
    assert (problem.reason, problem.lost) == ("the front matter has more than 16,000 characters; left out", False)
    assert (found.title, found.text) == ("A title", "The text.")


def test_a_page_with_too_many_elements_keeps_its_title_date_and_text_but_no_menu(tmp_path):
    path = tmp_path / "a.html"
    path.write_text(
        '<html lang="en"><head><title>A title</title>'
        '<meta property="article:published_time" content="2024-06-18T10:00Z">'
        f"</head><body><nav>Home</nav><p>The first words of it.</p><p>{'<i>so</i> ' * 20_000}</p><footer>Us</footer>"
    )
    problem, found = read(path, "a", 10**6)
    assert not problem.lost
    assert (found.title, found.language, str(found.published)) == ("A title", "en", "2024-06-18 10:00:00+00:00")
    assert found.text == "The first words of it.\n\n" + " ".join(["so"] * 20_000)
