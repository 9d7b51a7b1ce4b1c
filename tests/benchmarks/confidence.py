"""Confidence: how well its number tells questions that the library can answer from questions that it cannot.

    python tests/benchmarks/confidence.py FOLDER STRANGERS [--days 365] [--keep DIR] [--json]

FOLDER is indexed as `searchsvc eval` does, with an index under DIR/eval that is kept; DIR is the usual cache folder
where it is not named. Its own questions are asked at the moments at which they were asked, and set against

- strangers: the questions of the folder STRANGERS, about other things, asked at the same moments in turn;
- early: the same questions so many days before, when nothing could yet answer them; undated ones are left out.

Prints for each the area under the ROC curve: how probable it is that a question that can be answered gets a greater
number than one that cannot (1: always; 0.5: the number says nothing), from the rank sum (Hanley & McNeil, The Meaning
and Use of the Area under a ROC Curve, 1982), with its 95 % bootstrap interval, and the quartiles of both sides. A
question with no hit has the least confidence there is. Beside `results.confidence` stands what it must beat: the
cosine of the best passage.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path

import numpy as np
from scipy.stats import bootstrap, mannwhitneyu

from searchsvc import Library, SearchsvcError, Settings
from searchsvc.evaluation import kept_in
from searchsvc.evaluation.judged_set import read
from searchsvc.search.results import Results

NUMBERS: dict[str, Callable[[Results], float]] = {
    "confidence": lambda results: -1.0 if results.confidence is None else results.confidence,
    "best cosine": lambda results: max((hit.why.cosine for hit in results.hits), default=-1.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="corpus and questions, as for searchsvc eval")
    parser.add_argument("strangers", type=Path, help="a folder whose questions FOLDER cannot answer")
    parser.add_argument("--days", type=int, default=365, help="how much earlier the same questions are asked")
    parser.add_argument("--keep", type=Path, default=Path(), help="where the index is kept")
    parser.add_argument("--json", action="store_true", help="print one JSON document and no table")
    options = parser.parse_args()
    try:
        found = measure(options.folder, options.strangers, options.days, Settings(cache=options.keep))
    except SearchsvcError as fault:
        sys.exit(f"{fault.message} ({fault.hint})" if fault.hint else fault.message)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    print(f"{'against':<12}{'number':<14}{'area under ROC':>24}   quartiles: its own questions | the others")
    for one in found:
        area = "{:.3f} [{:.3f}, {:.3f}]".format(*one["area"])
        own, other = ("  ".join(f"{at:.3f}" for at in one[side]) for side in ("own", "other"))
        print(f"{one['against']:<12}{one['number']:<14}{area:>24}   {own} | {other}")


def measure(folder: Path, strangers: Path, days: int, settings: Settings) -> list[dict[str, object]]:
    judged = read(folder)
    library = Library(Settings(index=kept_in(judged.corpus, settings) / "index", cache=settings.cache))
    library.index([judged.corpus])
    now, early = datetime.now(UTC), timedelta(days=days)
    own = [(one.text, one.as_of or now) for one in judged.answerable]
    dated = [(one.text, one.as_of) for one in judged.answerable if one.as_of is not None]
    moments = cycle(moment for _, moment in own)
    asked = {
        "own": own,
        "strangers": [(one.text, next(moments)) for one in read(strangers).questions],
        "dated": dated,
        "early": [(text, moment - early) for text, moment in dated],
    }
    answered = {name: [library.search(text, as_of=moment) for text, moment in of] for name, of in asked.items()}
    found = []
    for against, others, mine in (("strangers", "strangers", "own"), (f"{days} days", "early", "dated")):
        for name, number in NUMBERS.items():
            if name == "confidence" and not hasattr(answered["own"][0], "confidence"):
                continue
            high, low = ([number(one) if one.hits else -1.0 for one in answered[side]] for side in (mine, others))
            quartiles = {side: np.percentile(of, (25, 50, 75)).tolist() for side, of in (("own", high), ("other", low))}
            found.append({"against": against, "number": name, "area": area(high, low), **quartiles})
    return found


def area(high: Sequence[float], low: Sequence[float]) -> tuple[float, float, float]:
    """Return the area under the ROC curve with its interval."""

    def share(high: np.ndarray, low: np.ndarray) -> float:
        return float(mannwhitneyu(high, low).statistic) / (len(high) * len(low))

    rng = np.random.default_rng(20_240_618)
    bounds = bootstrap((high, low), share, n_resamples=1_000, method="percentile", vectorized=False, rng=rng)
    return share(high, low), float(bounds.confidence_interval.low), float(bounds.confidence_interval.high)


if __name__ == "__main__":
    main()
