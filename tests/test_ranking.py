"""Ranking: every rule with a few rows, by value."""

import math

import numpy as np
import pytest

from searchsvc.engines import Candidates
from searchsvc.ranking import best_sentence, fuse, group, told, word_weights


def candidates(*found):
    rows, articles, scores = zip(*found, strict=True) if found else ((), (), ())
    return Candidates(np.array(rows, np.int64), np.array(articles, np.int64), np.array(scores, np.float32))


def test_scores_are_the_weighted_sum_of_scaled_scores():
    ranked = list(fuse(candidates((7, 1, 0.9), (8, 1, 0.7), (9, 2, 0.5)), candidates((9, 2, 10.0), (7, 1, 5.0))))
    assert [(one.row, one.article) for one in ranked] == [(7, 1), (9, 2), (8, 1)]
    assert [one.score for one in ranked] == pytest.approx([0.4 * 1 + 0.6 * 0.5, 0.4 * 0 + 0.6 * 1, 0.4 * 0.5])
    best = ranked[0]
    assert (best.dense_rank, best.lexical_rank) == (1, 2)
    assert (best.cosine, best.bm25) == pytest.approx((0.9, 5.0))
    assert best.dense_adds + best.lexical_adds == pytest.approx(best.score)
    assert (ranked[2].lexical_rank, ranked[2].bm25, ranked[2].lexical_adds) == (0, 0.0, 0.0)


def test_equal_scores_are_ordered_by_row():
    ranked = list(fuse(candidates((5, 1, 0.5), (3, 2, 0.5)), candidates()))
    assert [(one.row, one.score) for one in ranked] == [(3, pytest.approx(0.4)), (5, pytest.approx(0.4))]


def test_one_candidate_gets_all_that_its_retriever_gives():
    (one,) = fuse(candidates(), candidates((3, 1, 2.5)))
    assert (one.score, one.dense_rank, one.lexical_rank) == (pytest.approx(0.6), 0, 1)


def test_nothing_found_is_nothing_ranked():
    assert list(fuse(candidates(), candidates())) == []


def test_an_article_shows_its_best_passages_and_counts_once():
    ranked = list(fuse(candidates((1, 1, 0.9), (2, 1, 0.8), (3, 2, 0.7), (4, 1, 0.6), (5, 3, 0.5)), candidates()))
    assert [one.row for one in group(ranked, 2, 1)] == [1, 3]
    assert [one.row for one in group(ranked, 2, 2)] == [1, 2, 3]
    assert [one.row for one in group(ranked, 1, 5)] == [1, 2, 4]


def test_a_rare_word_weighs_more_and_in_a_small_library_all_weigh_alike():
    large = word_weights(["said", "chernobyl"], [90_000, 3], 100_000)
    assert large["chernobyl"] == pytest.approx(math.log(1 + 101_000 / 13))
    assert large["chernobyl"] > 5 * large["said"]
    small = word_weights(["russia", "want"], [4, 1], 4)
    assert small["russia"] / small["want"] > 0.9


def test_the_best_sentence_is_like_the_question_and_holds_its_words():
    text = "It rained in Paris. Russia seeks ammunition. Nothing else happened."
    sentences = [(100, 119), (120, 144), (145, 167)]
    likeness = np.array([0.30, 0.30, 0.35], np.float32)
    weights = {"russia": 4.0, "want": 4.0}
    assert best_sentence(sentences, likeness, told(text, 100, weights), weights) == (120, 144)
    assert best_sentence(sentences, likeness, [], {}) == (145, 167)


def test_a_word_said_twice_in_a_sentence_counts_once():
    text = "Oil, oil, oil. Russian gas."
    weights = {"oil": 1.0, "gas": 1.5}
    assert best_sentence([(0, 14), (15, 27)], np.zeros(2, np.float32), told(text, 0, weights), weights) == (15, 27)


def test_words_are_told_by_offsets_of_the_article():
    text = "Russian exports: Russia exported oil."
    found = told(text, 100, {"export": 1.0, "russia": 1.0})
    assert found == [("export", 108, 115), ("russia", 117, 123), ("export", 124, 132)]
