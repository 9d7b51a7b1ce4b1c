"""Quoting: other people's text, made harmless for terminals, chat models and Markdown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from searchsvc.text.sanitize import UNSEEN, escape_markdown, link, one_line, safe, sanitize

ANYTHING = st.text(st.characters(exclude_categories=()) | st.sampled_from("\x1b\u200b\u200d\u202e\ufe0f\U000e0041<!#`"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Prices rose.\n\nRents fell.", "Prices rose.\n\nRents fell."),
        ("one\ttwo\rthree", "one two three"),
        ("\x1b[31mred\x1b[0m \x07", "\ufffd[31mred\ufffd[0m \ufffd"),
        ("a\u202egnp.exe", "a\ufffdgnp.exe"),
        ("ig\u200bno\u200dre \u2060", "ig\ufffdno\ufffdre \ufffd"),
        ("hidden\U000e0061\U000e0062", "hidden\ufffd\ufffd"),
        ("é" + "\u200c\u200d" * 4, "é" + "\ufffd" * 8),  # a row of joiners says something else than letters do
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("❤\ufe0f\u200d🔥 and 👩\u200d🚀", "❤\ufe0f\u200d🔥 and 👩\u200d🚀"),
        ("half \ud800", "half \ufffd"),
    ],
)
def test_what_could_do_more_than_be_read_can_be_seen(text: str, shown: str) -> None:
    assert safe(text) == shown
    assert sanitize(text) == shown


def test_no_tag_is_passed_through_and_arithmetic_is() -> None:
    assert sanitize("<script>a</script> <!-- x --> 1 < 2") == "‹script>a‹/script> ‹!-- x --> 1 < 2"


def test_what_is_cut_says_so() -> None:
    assert sanitize("abcdef", limit=6) == "abcdef"
    assert sanitize("abcdefg", limit=6) == "abcde…"
    assert sanitize("x" * 1_000_000) == "x" * 9_999 + "…"


@given(ANYTHING)
def test_quoting_keeps_every_offset_and_does_nothing_twice(text: str) -> None:
    once = sanitize(text)
    assert len(once) == len(text)
    assert sanitize(once) == once
    same = [one for one, other in zip(text, once, strict=True) if one == other]
    assert not any(one < " " and one != "\n" for one in same)
    assert all(other in " \ufffd‹" for one, other in zip(text, once, strict=True) if one != other)
    assert once.encode() is not None


@given(st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp"))))
def test_plain_text_is_left_alone(text: str) -> None:
    plain = UNSEEN.sub("", text).replace("<", "(")
    assert sanitize(plain) == plain


def test_a_line_is_one_line_without_escape_sequences() -> None:
    assert one_line("\x1b[1mBold\x1b[0m\n claim\u202e") == "Bold claim\ufffd"
    assert one_line("abcdef", 5) == "abcd…"


@pytest.mark.parametrize(
    "text",
    [
        "# no heading",
        "1. no list",
        "12) no list",
        "- no list",
        "--- no rule",
        "===",
        "> no quote in the quote",
        "*no* _emphasis_ `no code` **none**",
        "[no link](javascript:alert(1)) ![no image](https://evil.example/x.png)",
        "[1]: https://evil.example",
        "<img src=x onerror=alert(1)> <https://evil.example> &lt;b&gt; &amp;",
        "| no | table |",
        "$5 million and $6 million ~~stay~~",
        r"a backslash \* and \\ two",
        "ends in a backslash \\",
    ],
)
@pytest.mark.parametrize("before", ["", "> ", "## "])
def test_markdown_shows_an_article_s_words_as_they_are(text: str, before: str) -> None:
    assert words_of(before + escape_markdown(text)) == text


@given(ANYTHING)
def test_no_text_is_ever_markup(text: str) -> None:
    assert words_of(f"> {escape_markdown(text)}") == one_line(text)


def words_of(markdown: str) -> str:
    """Return what Markdown of one paragraph shows, where it shows nothing but text."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    inline = [token for token in parser.parse(markdown) if token.type not in FRAMES]
    assert [token.type for token in inline] in ([], ["inline"])
    children = [child for token in inline for child in token.children or ()]
    assert {child.type for child in children} <= {"text", "text_special"}
    return "".join(child.content for child in children)


FRAMES = {"blockquote_open", "blockquote_close", "paragraph_open", "paragraph_close", "heading_open", "heading_close"}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://news.example/a?b=1&c=2#d", "https://news.example/a?b=1&c=2#d"),
        (" http://news.example/a b ", "http://news.example/a%20b"),
        ("https://news.example/<script>\"'\\", "https://news.example/%3Cscript%3E%22'%5C"),
        ("https://news.example/caf%C3%A9/é", "https://news.example/caf%C3%A9/%C3%A9"),
        ("https://news.example/\u202egnp", "https://news.example/%E2%80%AEgnp"),
        ("https://news.example/a)![x](http://evil.example", "https://news.example/a%29!%5Bx%5D%28http://evil.example"),
        ("https://news.example/a](b)[c", "https://news.example/a%5D%28b%29%5Bc"),
        ("https://[2001:db8::1]:8000/a", "https://[2001:db8::1]:8000/a"),
        ("https://cnn.com@evil.example/", None),
        ("https://cnn.com:443@evil.example/", None),
        ("https://@evil.example/", None),
        ("https://evil.example\\@cnn.com/", None),
        ("https://cnn.com)(evil.example/", None),
        ("https://news.example:http/", None),
        ("https://news.example:0/", None),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("//news.example/a", None),
        ("https://", None),
        ("http://[", None),
        ("notes/one.txt", None),
        ("https://news.example/" + "a" * 2_000, None),
        ("", None),
        (None, None),
    ],
)
def test_a_link_goes_to_the_web_and_holds_nothing_else(url: str | None, shown: str | None) -> None:
    assert link(url) == shown
