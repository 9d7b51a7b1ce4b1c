"""Ranking: every rule with a few rows, by value."""

import numpy as np
import pytest

from searchsvc.engines import Candidates
from searchsvc.search.ranking import add_freshness, fuse, group, separate_pairs


def candidates(*found):
    rows, articles, scores = zip(*found, strict=True) if found else ((), (), ())
    return Candidates(np.array(rows, np.int64), np.array(articles, np.int64), np.array(scores, np.float32))


@pytest.fixture(autouse=True)
def alone(request, monkeypatch):
    """Let passages speak for themselves alone, except where their agreement is what is tested."""
    if "agree" not in request.function.__name__:
        monkeypatch.setattr("searchsvc.search.ranking.AGREEMENT_WEIGHT", 0.0)


def test_scores_are_the_weighted_sum_of_scaled_scores():
    dense, lexical = candidates((7, 1, 0.9), (8, 1, 0.7), (9, 2, 0.5)), candidates((9, 2, 10.0), (7, 1, 5.0))
    ranked = list(fuse(dense, lexical).best_first())
    assert [(one.row, one.article) for one in ranked] == [(7, 1), (9, 2), (8, 1)]
    assert [one.score for one in ranked] == pytest.approx([0.4 * 1 + 0.6 * 0.5, 0.4 * 0 + 0.6 * 1, 0.4 * 0.5])
    best = ranked[0]
    assert (best.dense_rank, best.lexical_rank) == (1, 2)
    assert (best.cosine, best.bm25) == pytest.approx((0.9, 5.0))
    assert best.dense_adds + best.lexical_adds == pytest.approx(best.score)
    assert (ranked[2].lexical_rank, ranked[2].bm25, ranked[2].lexical_adds) == (0, 0.0, 0.0)


def test_equal_scores_are_ordered_by_row():
    ranked = list(fuse(candidates((5, 1, 0.5), (3, 2, 0.5)), candidates()).best_first())
    assert [(one.row, one.score) for one in ranked] == [(3, pytest.approx(0.4)), (5, pytest.approx(0.4))]


def test_one_candidate_gets_all_that_its_retriever_gives():
    (one,) = fuse(candidates(), candidates((3, 1, 2.5))).best_first()
    assert (one.score, one.dense_rank, one.lexical_rank) == (pytest.approx(0.6), 0, 1)


def test_nothing_found_is_nothing_ranked():
    assert list(fuse(candidates(), candidates()).best_first()) == []


def test_an_article_shows_its_best_passages_and_counts_once():
    found = candidates((1, 1, 0.9), (2, 1, 0.8), (3, 2, 0.7), (4, 1, 0.6), (5, 3, 0.5))
    ranked = list(fuse(found, candidates()).best_first())
    assert [one.row for one in group(ranked, 2, 1)] == [1, 3]
    assert [one.row for one in group(ranked, 2, 2)] == [1, 2, 3]
    assert [one.row for one in group(ranked, 1, 5)] == [1, 2, 4]


def test_what_is_recent_is_moved_up_and_what_each_part_adds_is_the_score():
    fused = fuse(candidates((1, 1, 0.9), (2, 2, 0.8), (3, 3, 0.5)), candidates((1, 1, 9.0), (2, 2, 8.0)))
    fresh = list(add_freshness(fused, np.array([0.0, 1.0, 0.5], np.float32), urgent=False).best_first())
    old = 0.4 * 0.75 + 0.6 * 8 / 9
    assert [(one.row, one.recency) for one in fresh] == [(2, 1.0), (1, 0.0), (3, 0.5)]
    assert [one.score for one in fresh] == pytest.approx([0.65 * old + 0.35, 0.65, 0.35 * 0.5])
    assert [one.dense_adds + one.lexical_adds + one.freshness_adds for one in fresh] == pytest.approx(
        [one.score for one in fresh]
    )
    assert fresh[0].freshness_adds == pytest.approx(0.35)


def test_where_nothing_recent_answers_nothing_moves():
    fused = fuse(candidates((1, 1, 0.9), (2, 2, 0.6), (3, 3, 0.5)), candidates((1, 1, 9.0), (2, 2, 3.0)))
    recent = np.array([0.0, 1.0, 1.0], np.float32)  # the best recent passage has 0.3 of the best score
    before, after = list(fused.best_first()), list(add_freshness(fused, recent, urgent=False).best_first())
    assert [one.row for one in after] == [one.row for one in before]
    assert [one.score for one in after] == pytest.approx([one.score for one in before], abs=1e-6)
    assert [one.freshness_adds for one in after] == pytest.approx([0.0, 0.0, 0.0], abs=1e-6)


def test_of_nothing_nothing_is_recent():
    none = np.empty(0, np.float32)
    assert list(add_freshness(fuse(candidates(), candidates()), none, urgent=True).best_first()) == []


def test_what_pairs_of_words_add_is_told_apart_and_the_sum_stays():
    (one,) = fuse(candidates(), candidates((3, 1, 10.0))).best_first()
    told = separate_pairs(one, 8.0)
    assert (told.lexical_adds, told.pairs_adds, told.score) == pytest.approx((0.48, 0.12, 0.6))
    assert separate_pairs(one, 11.0).pairs_adds == 0.0


def test_passages_of_an_article_that_agree_are_worth_more_than_one_alone():
    found = candidates((1, 1, 10.0), (2, 1, 8.0), (3, 1, 5.0), (4, 1, 4.0), (5, 2, 10.0), (6, 3, 2.0))
    ranked = {one.row: one for one in fuse(candidates(), found).best_first()}
    together = 10 + 0.7 * 8 + 0.49 * 5  # the fourth does not count
    assert [one.agreement_adds for one in ranked.values()] == pytest.approx(
        [0.08, 0.08 * 10 / together, 0.08, 0.08, 0.08, 0.08 * 2 / together]
    )
    assert list(ranked) == [1, 5, 2, 3, 4, 6]
    assert ranked[1].lexical_adds == pytest.approx(0.92 * 0.6)
