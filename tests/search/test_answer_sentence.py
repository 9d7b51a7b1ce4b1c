"""Marking: every rule with a few sentences, by value."""

import math

import numpy as np
import pytest

from searchsvc.query import Query
from searchsvc.query.interpretation import interpret
from searchsvc.search.answer_sentence import answer_sentence, locate_matches, term_weights, weight_share


def test_a_rare_word_weighs_more_and_in_a_small_library_all_weigh_alike():
    large = term_weights(["said", "chernobyl"], [90_000, 3], 100_000)
    assert large["chernobyl"] == pytest.approx(math.log(1 + 101_000 / 13))
    assert large["chernobyl"] > 5 * large["said"]
    small = term_weights(["russia", "want"], [4, 1], 4)
    assert small["russia"] / small["want"] > 0.9


def answer(question, text, sentences, likeness):
    return answer_sentence(interpret(Query(question)), text, sentences, likeness, [], {})


def marked(text, sentences, likeness, found, weights, question="oil and gas"):
    return answer_sentence(
        interpret(Query(question)), " " * sentences[0][0] + text, sentences, likeness, found, weights
    )


def test_the_best_sentence_is_like_the_question_and_holds_its_words():
    text = "It rained in Paris. Russia seeks ammunition. Nothing else happened."
    sentences = [(100, 119), (120, 144), (145, 167)]
    likeness = np.array([0.30, 0.30, 0.35], np.float32)
    weights = {"russia": 4.0, "want": 4.0}
    assert marked(text, sentences, likeness, locate_matches(text, 100, weights), weights) == (120, 144)
    assert marked(text, sentences, likeness, [], {}) == (145, 167)


def test_a_word_said_twice_in_a_sentence_counts_once():
    text = "Oil, oil, oil. Russian gas."
    weights = {"oil": 1.0, "gas": 1.5}
    assert marked(text, [(0, 14), (15, 27)], np.zeros(2, np.float32), locate_matches(text, 0, weights), weights) == (
        15,
        27,
    )


def test_words_are_told_by_offsets_of_the_article():
    text = "Russian exports: Russia exported oil."
    found = locate_matches(text, 100, {"export": 1.0, "russia": 1.0})
    assert found == [("export", 108, 115), ("russia", 117, 123), ("export", 124, 132)]


@pytest.mark.parametrize(
    ("question", "place"),
    [
        ("How many people were hurt in Paris?", 1),
        ("how long did the fire last", 1),
        ("When was it put out?", 1),
        ("Who put the fire in Paris out?", 2),
        ("which country sent help to Paris", 2),
        ("fire in Paris", 0),  # asks for nothing of a kind
        ("Was the fire in Paris put out?", 0),
    ],
)
def test_a_sentence_that_holds_what_is_asked_for_goes_first(question, place):
    text = "There was a fire in Paris. It hurt twelve of them. It was Marie Dubois who put it out."
    sentences = [(0, 26), (27, 50), (51, 86)]
    likeness = np.array([0.5, 0.45, 0.45], np.float32)
    assert answer(question, text, sentences, likeness) == sentences[place]


def test_what_the_question_says_itself_is_no_answer_and_neither_is_a_first_word():
    text = "They met in Geneva and Berne. Nobody came. So Geneva it was, said Lavrov."
    sentences = [(0, 29), (30, 42), (43, 73)]
    likeness = np.array([0.4, 0.45, 0.4], np.float32)
    assert answer("Who met in Geneva and Berne?", text, sentences, likeness) == sentences[2]
    assert answer("Who met, Lavrov, in Geneva and Berne?", text, sentences, likeness) == sentences[1]


def test_the_share_of_words_counts_each_once_by_its_weight():
    weights = {"russia": 3.0, "want": 1.0}
    assert weight_share(["russia", "russia"], weights) == 0.75
    assert (weight_share([], weights), weight_share([], {})) == (0.0, 0.0)
