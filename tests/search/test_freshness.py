"""Freshness: how recent a passage is, and how much that may decide, by value."""

import numpy as np
import pytest

from searchsvc.search.freshness import DAY, recency, share

NOW = 20_000 * DAY


def ages(*days):
    return np.array([NOW - int(age * DAY) for age in days], np.int64)


def test_a_week_is_new_and_every_further_week_halves():
    found = recency(ages(0, 3, 7, 14, 21, 365), np.ones(6, bool), NOW)
    assert found.tolist() == pytest.approx([1.0, 1.0, 1.0, 0.5, 0.25, 2.0 ** (-358 / 7)])


def test_undated_is_not_recent_and_the_future_is_today():
    published = np.array([np.iinfo(np.int64).min, NOW + DAY], np.int64)
    assert recency(published, np.array([False, True]), NOW).tolist() == [0.0, 1.0]


def scores(*values):
    return np.array(values, np.float32)


def test_the_share_grows_with_what_recent_passages_are_worth():
    found = [share(scores(1.0, best), scores(0.0, 1.0), urgent=False) for best in (0.2, 0.3, 0.45, 0.6, 1.0)]
    assert found == pytest.approx([0.0, 0.0, 0.175, 0.35, 0.35], abs=1e-6)


def test_a_question_for_the_latest_leans_harder():
    found = [share(scores(1.0, best), scores(0.0, 1.0), urgent=True) for best in (0.2, 0.35, 0.5)]
    assert found == pytest.approx([0.0, 0.225, 0.45], abs=1e-6)


def test_half_recent_is_half_the_evidence():
    assert share(scores(1.0), scores(0.45), urgent=False) == pytest.approx(0.175)


def test_without_candidates_or_scores_nothing_is_decided():
    assert share(scores(), scores(), urgent=False) == 0.0
    assert share(scores(0.0), scores(1.0), urgent=False) == 0.0
