"""Measures: what the answer to one question was worth, and what that says of all questions like it.

    articles found ── ir_measures ──► nDCG@10, R@10, R@100, MRR@10 ─────┐
    texts shown ── whole words ─────► passage@1, passage@3, sentence@1 ─┴─► values ── bootstrap ──► mean, interval

A measure is a number in [0, 1] for each question; more is better.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

MAIN = "nDCG@10"
# Ours: ir_measures' name. Over articles, of every question that has a right one.
RANKING = {MAIN: "nDCG@10", "R@10": "R@10", "R@100": "R@100", "MRR@10": "RR@10"}
# Over what is read first, of every question that says its answer.
SHOWING = ("passage@1", "passage@3", "sentence@1")

RESAMPLES = 5_000
CONFIDENCE = 0.95
SEED = 20_240_618
MOST_NUMBERS = 1_000_000  # held at once while resampling

WORD = re.compile(r"\d+(?:[.,]\d+)+\w*|\w+")  # a number is one word: 700 does not stand where 1,700 does

Values = dict[str, dict[str, float]]  # question id -> measure -> value


@dataclass(frozen=True, slots=True)
class Measure:
    """The mean of a measure over the questions, with its bootstrap interval."""

    name: str
    mean: float
    low: float
    high: float


def within(depth: int) -> list[str]:
    """Return the measures of a ranking that look at no more than its first `depth` articles."""
    return [name for name in RANKING if int(name.partition("@")[2]) <= depth]


def ranked(judged: Mapping[str, Mapping[str, int]], rankings: Mapping[str, Sequence[str]], depth: int) -> Values:
    """Return the value of every question's ranking; a question that found nothing has 0.

    `judged` gives the scores of each question's right articles, `found` the articles, best first.

    nDCG: Järvelin & Kekäläinen, Cumulated gain-based evaluation of IR techniques (2002), as trec_eval has it (the gain
    is the score itself); MRR: Voorhees, The TREC-8 Question Answering Track Report (1999).
    """
    import ir_measures

    # By place and not by score: trec_eval would put equal scores in the order of their ids.
    run = {ident: {key: float(-place) for place, key in enumerate(keys)} for ident, keys in rankings.items()}
    measures = {ir_measures.parse_measure(RANKING[name]): name for name in within(depth)}
    values: Values = {ident: dict.fromkeys(measures.values(), 0.0) for ident in judged}
    for result in ir_measures.iter_calc(list(measures), {ident: dict(scores) for ident, scores in judged.items()}, run):
        values[result.query_id][measures[result.measure]] = float(result.value)
    return values


def shown(answers: Sequence[str], passages: Sequence[str], sentences: Sequence[str]) -> dict[str, float]:
    """Return whether an answer stands in the first passage, in one of the first three, and in the first sentence.

    `passages` are the texts of the hits, best first, without their titles; `sentences` those marked in them.
    """
    read = (passages[:1], passages[:3], sentences[:1])
    return {name: float(any(holds(text, answers) for text in texts)) for name, texts in zip(SHOWING, read, strict=True)}


def holds(text: str, answers: Sequence[str]) -> bool:
    """Say whether one of the answers stands in a text, as whole words in their order.

    Case, white space, punctuation, thousands separators and the width of letters do not matter. Nothing else is
    forgiven: `11` does not stand where `eleven` does, nor `The NBA` where `NBA` does, so a share of questions whose
    answer is held is a lower bound of those that are answered.
    """
    spaced = _spaced(text)
    return any(_spaced(answer) in spaced for answer in answers)


def _spaced(text: str) -> str:
    words = WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return f" {' '.join(word.replace(',', '') for word in words)} "


def summed_up(values: Sequence[Mapping[str, float]]) -> tuple[Measure, ...]:
    """Return the mean of each measure over the questions that have it."""
    names = [name for name in (*RANKING, *SHOWING) if any(name in of for of in values)]
    return tuple(Measure(name, *interval([of[name] for of in values if name in of])) for name in names)


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean of one or more values and the bounds that hold it in 95 % of bootstrap samples.

    Percentile bootstrap (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13) over questions, as
    Sakai (Evaluating Evaluation Metrics based on the Bootstrap, 2006) does; always the same for the same values.
    """
    mean = float(np.mean(values))
    if min(values) == max(values):  # nothing to resample; one question is such a case
        return mean, mean, mean
    from scipy.stats import bootstrap

    found = bootstrap(
        (np.asarray(values),),
        np.mean,
        n_resamples=RESAMPLES,
        batch=max(1, MOST_NUMBERS // len(values)),
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return mean, float(found.low), float(found.high)
