"""Confidence: a curve, by value, and what it says of questions that the seeds do and do not answer."""

import pytest

from searchsvc.search.confidence import DOUBTFUL, confidence


def test_it_rises_with_both_numbers_and_stays_between_0_and_1():
    assert confidence(0.70, 0.75) == pytest.approx(0.9161, abs=1e-3)
    assert confidence(0.37, 0.25) == pytest.approx(0.0191, abs=1e-3)
    assert 0.0 < confidence(-1.0, 0.0) < confidence(0.4, 0.0) < confidence(0.4, 0.5) < confidence(1.0, 1.0) < 1.0


def test_what_is_below_the_threshold_is_doubtful():
    assert confidence(0.5, 0.3) < DOUBTFUL + 0.1
    assert confidence(0.6, 0.6) > DOUBTFUL


def test_what_is_looked_up_and_stands_there_is_found():
    assert confidence(0.1, 1.0, is_lookup=True) == 0.8
    assert confidence(0.1, 0.9, is_lookup=True) == confidence(0.1, 0.9)
    assert confidence(0.9, 1.0, is_lookup=True) == confidence(0.9, 1.0) > 0.9
