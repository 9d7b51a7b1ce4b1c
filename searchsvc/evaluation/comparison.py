"""A comparison: which questions a ranking answers better or worse than another, and whether chance may have done it.

before, now ── by question ──► better, worse, same ──► differences with intervals and p-values
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from searchsvc.evaluation.measures import MAIN, MOST_NUMBERS, RANKING, SEED, SHOWING, interval
from searchsvc.evaluation.runs import Run

PERMUTATIONS = 9_999


@dataclass(frozen=True, slots=True)
class Difference:
    """How a measure moved: its mean over the questions of both runs, the interval, and how many questions moved.

    `p` is how probable it is that chance alone moves the mean as far, up or down.
    """

    name: str
    mean: float
    low: float
    high: float
    p: float
    better: int
    worse: int
    same: int


@dataclass(frozen=True, slots=True)
class Change:
    """A question and its value of nDCG@10 in both runs."""

    text: str
    before: float
    now: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs side by side, over the questions of both; those that moved most come first.

    `made`, `days_late` and `freshness` are the earlier run's; `unshared` counts the questions that only one has.
    """

    made: datetime
    days_late: int
    freshness: bool
    differences: tuple[Difference, ...]
    better: tuple[Change, ...]
    worse: tuple[Change, ...]
    same: tuple[Change, ...]
    unshared: int


def compare(before: Run, now: Run) -> Comparison:
    """Compare two runs, question by question; a question is the same where both its id and its text are."""
    earlier = {(question.id, question.text): question.values for question in before.outcomes}
    later = {(question.id, question.text): question.values for question in now.outcomes}
    both = [question for question in later if question in earlier]
    differences = []
    for name in (*RANKING, *SHOWING):
        moved = [
            later[question][name] - earlier[question][name]
            for question in both
            if name in earlier[question] and name in later[question]
        ]
        if moved:
            better, worse, same = sum(by > 0 for by in moved), sum(by < 0 for by in moved), moved.count(0.0)
            differences.append(Difference(name, *interval(moved), chance(moved), better, worse, same))
    changes = [Change(question[1], earlier[question][MAIN], later[question][MAIN]) for question in both]
    return Comparison(
        made=before.made,
        days_late=before.days_late,
        freshness=before.freshness,
        differences=tuple(differences),
        better=tuple(sorted((change for change in changes if change.now > change.before), key=_gain, reverse=True)),
        worse=tuple(sorted((change for change in changes if change.now < change.before), key=_gain)),
        same=tuple(change for change in changes if change.now == change.before),
        unshared=len(earlier) + len(later) - 2 * len(both),
    )


def _gain(change: Change) -> float:
    return change.now - change.before


def chance(differences: Sequence[float]) -> float:
    """Return how probable a mean at least as far from 0 is where each difference has either sign equally often.

    Fisher's randomisation test for pairs, two-sided, which Smucker, Allan & Carterette (A Comparison of Statistical
    Significance Tests for Information Retrieval Evaluation, 2007) recommend over the tests of Wilcoxon and of signs.
    All assignments of signs are looked at where there are fewer than ten thousand of them, else a sample, always the
    same for the same values.
    """
    moved = np.array([by for by in differences if by])  # the sign of nothing changes nothing
    if len(moved) < 2:
        return 1.0  # one question that moved would as well have moved the other way
    from scipy.stats import permutation_test

    found = permutation_test(
        (moved,),
        np.mean,
        permutation_type="samples",
        n_resamples=PERMUTATIONS,
        batch=max(1, MOST_NUMBERS // len(moved)),
        rng=np.random.default_rng(SEED),
    )
    return float(found.pvalue)
