"""Confidence: how likely it is that the library answers a question at all.

A logistic curve over two numbers that every search has: the cosine of the nearest passage, and how much of what the
question says stands in the first hit. Its weights were fitted to a judged set of news questions, as asked (answered),
as asked a year earlier (not answerable yet), and beside questions from another field; each kind weighs the same. They
hold for the bundled model: cosines of others lie elsewhere.
"""

import math

COSINE_WEIGHT = 10.7
WORDS_WEIGHT = 5.6
BIAS = -9.3

LOOKED_UP = 0.8  # at least, where all that is looked up stands in the first hit
DOUBTFUL = 0.2  # below it, nothing convincing was found


def confidence(cosine: float, words: float, *, is_lookup: bool = False) -> float:
    """Return the confidence in [0, 1], from the greatest cosine and the share of the question's words in the first hit.

    Where a name or a few words are looked up, and the first hit holds them all, it was found whatever the cosine.
    Logistic regression: Cox, The Regression Analysis of Binary Sequences, 1958.
    """
    probability = 1 / (1 + math.exp(-(COSINE_WEIGHT * cosine + WORDS_WEIGHT * words + BIAS)))
    return max(probability, LOOKED_UP) if is_lookup and words == 1 else probability
