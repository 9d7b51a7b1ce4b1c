"""Evaluation: how well the ranking finds what people judged to be the answer.

    corpus ── indexed once, in the cache folder ──► library ── every question that can be answered ──► runs
    judgements ───────────────────────────────────────── compared by ir_measures ──────────────────────┴─► measures

Everything is counted at the level of articles, over questions with at least one right article.
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from searchsvc.articles import article_id
from searchsvc.embedding import BUNDLED
from searchsvc.errors import BadInput, SearchsvcError
from searchsvc.indexing import Progress
from searchsvc.judgements import LAYOUT, JudgedSet, PastQuestion, read
from searchsvc.library import PASSAGE_TOKENS, Announce, Library
from searchsvc.questions import MOST_HITS
from searchsvc.settings import Settings

MEASURES = {"nDCG@10": "nDCG@10", "R@10": "R@10", "R@100": "R@100", "MRR@10": "RR@10"}  # ours: ir_measures' name
DEEPEST = 100  # what the measures look at, of one question's articles
SHOWN = 10  # hits of the search that is timed: as many as a person gets
RESAMPLES = 5_000
CONFIDENCE = 0.95
SEED = 20_240_618


Values = dict[str, dict[str, float]]  # question id -> measure -> value


@dataclass(frozen=True, slots=True)
class Measure:
    """The mean of a measure over the questions, with its bootstrap interval."""

    name: str
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """How a measure moved between two runs: the mean over the questions of both, its interval, and who moved."""

    name: str
    mean: float
    low: float
    high: float
    better: tuple[str, ...]
    worse: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The judgement on one folder.

    `took_ms_*` are of a search for ten articles, with everything loaded. `values` has each question's own measures,
    in the order of the questions. `since_last` compares with the last run on this folder and is None at the first.
    `unknown_articles` counts right articles that the corpus lacks: no ranking can find them.
    """

    folder: Path
    index: Path
    questions: int
    articles: int
    passages: int
    unknown_articles: int
    measures: tuple[Measure, ...]
    took_ms_p50: float
    took_ms_p95: float
    values: tuple[tuple[str, dict[str, float]], ...]
    since_last: tuple[Difference, ...] | None


def evaluate(
    folder: Path,
    settings: Settings,
    *,
    depth: int = DEEPEST,
    days_late: int = 0,
    announce: Announce = lambda _: None,
    progress: Progress = lambda _report, _done, _all: None,
) -> Evaluation:
    """Judge the ranking on a folder, with an index of its own that later runs use again.

    That index lies in the cache folder, one for each corpus, model and length of passages; the index that the
    settings name is not touched. `depth` articles are looked at, 10 to 100; measures that look deeper are left out.
    `days_late` asks every question that has a date so much later, to see what freshness costs when the news is old.

    Raises BadInput where the folder cannot be understood, SearchsvcError without the extra `eval`, and what
    indexing and searching raise.
    """
    if not SHOWN <= depth <= MOST_HITS:
        raise BadInput(f"depth is {depth}; it must be from {SHOWN} to {MOST_HITS}")
    _require_extra()
    judged = read(folder)
    asked = judged.answerable
    if not asked:
        reason = "no question has a right article" if judged.questions else "there are no questions"
        raise BadInput(f"nothing in {folder} can be judged: {reason}", LAYOUT)
    place = _place(judged.corpus, settings)
    library = Library(replace(settings, index=place / "index"), announce=announce)
    unknown = _indexed(library, judged, announce, progress)
    announce(f"Asking {len(asked):,} questions.")
    runs, took = _ask(library, asked, depth, timedelta(days=days_late))
    values = _measured({one.id: judged.judged[one.id] for one in asked}, runs, depth)
    counts = library.catalogue.counts()
    last = place / f"last-run-{_short(str(judged.folder), str(days_late))}.json"
    before = _remembered(last)
    _remember(last, values)
    return Evaluation(
        folder=judged.folder,
        index=library.folder,
        questions=len(asked),
        articles=counts.articles,
        passages=counts.passages,
        unknown_articles=unknown,
        measures=tuple(Measure(name, *interval([of[name] for of in values.values()])) for name in _within(depth)),
        took_ms_p50=float(np.percentile(took, 50)),
        took_ms_p95=float(np.percentile(took, 95)),
        values=tuple(values.items()),
        since_last=compare(before, values) if before else None,
    )


def as_record(evaluation: Evaluation) -> dict[str, object]:
    """Return an evaluation as plain values that JSON can hold; `values` is by question."""
    record = asdict(evaluation)
    return record | {
        "folder": str(evaluation.folder),
        "index": str(evaluation.index),
        "values": {ident: dict(of) for ident, of in evaluation.values},
    }


def compare(
    before: Mapping[str, Mapping[str, float]], now: Mapping[str, Mapping[str, float]]
) -> tuple[Difference, ...]:
    """Return how each measure moved, paired over the questions that both runs have; empty where they share none."""
    both = [ident for ident in now if ident in before]
    names = [name for name in MEASURES if both and all(name in run[ident] for run in (before, now) for ident in both)]
    found = []
    for name in names:
        moved = {ident: now[ident][name] - before[ident][name] for ident in both}
        better = tuple(ident for ident, by in moved.items() if by > 0)
        worse = tuple(ident for ident, by in moved.items() if by < 0)
        found.append(Difference(name, *interval(list(moved.values())), better, worse))
    return tuple(found)


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
        batch=max(1, 1_000_000 // len(values)),
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return mean, float(found.low), float(found.high)


def _require_extra() -> None:
    try:
        import ir_measures  # noqa: F401
        import scipy.stats  # noqa: F401
    except ImportError as error:
        raise SearchsvcError(f"{error.name} is not installed", "pip install 'searchsvc[eval]'") from error


def _short(*parts: str) -> str:
    return hashlib.blake2b("\n".join(parts).encode(errors="surrogatepass"), digest_size=6).hexdigest()


def _place(corpus: Path, settings: Settings) -> Path:
    """Return where everything about a corpus is kept: another folder for another model or length of passages."""
    name = _short(str(corpus), settings.model or BUNDLED, str(settings.passage_tokens or PASSAGE_TOKENS))
    return settings.cache_folder / "eval" / f"{corpus.parent.name}-{name}"


def _indexed(library: Library, judged: JudgedSet, announce: Announce, progress: Progress) -> int:
    """Bring the index in step with the corpus; return how many right articles it lacks."""
    report = library.index([judged.corpus], progress)
    lost = [problem for problem in report.problems if problem.lost]
    if lost:
        announce(f"{len(lost):,} articles could not be indexed; the first: {lost[0].where}: {lost[0].reason}.")
    right = {key for one in judged.answerable for key, score in judged.judged[one.id].items() if score > 0}
    there = library.catalogue.digests(map(article_id, right))
    unknown = sorted(key for key in right if article_id(key) not in there)
    if len(unknown) == len(right):
        raise BadInput(
            f"none of the {len(right):,} right articles is in {judged.corpus}, such as {unknown[0]!r}",
            "the second column of the qrels must be the _id of an article",
        )
    if unknown:
        announce(f"{len(unknown):,} of {len(right):,} right articles are not in the corpus, such as {unknown[0]!r}.")
    return len(unknown)


def _ask(
    library: Library, asked: Sequence[PastQuestion], depth: int, late: timedelta
) -> tuple[dict[str, dict[str, float]], list[float]]:
    """Return what was found, as scores by question and article, and how long each search for ten took."""
    now = datetime.now(UTC)
    runs: dict[str, dict[str, float]] = {}
    took: list[float] = []
    library.search(asked[0].text, limit=SHOWN)  # loads the model and the index
    for one in asked:
        moment = now if one.as_of is None else one.as_of + late
        began = time.perf_counter()
        library.search(one.text, limit=SHOWN, as_of=moment)
        took.append((time.perf_counter() - began) * 1_000)
        hits = library.search(one.text, limit=depth, as_of=moment).hits
        # By place and not by score: trec_eval would put equal scores in the order of their ids.
        runs[one.id] = {hit.article.key: float(depth - place) for place, hit in enumerate(hits)}
    return runs, took


def _within(depth: int) -> list[str]:
    return [name for name in MEASURES if int(name.partition("@")[2]) <= depth]


def _measured(judged: dict[str, dict[str, int]], runs: dict[str, dict[str, float]], depth: int) -> Values:
    """Return every question's measures; a question that found nothing has 0.

    nDCG: Järvelin & Kekäläinen, Cumulated gain-based evaluation of IR techniques (2002), as trec_eval has it (the gain
    is the score itself); MRR: Voorhees, The TREC-8 Question Answering Track Report (1999).
    """
    import ir_measures

    wanted = {ir_measures.parse_measure(MEASURES[name]): name for name in _within(depth)}
    values: Values = {ident: dict.fromkeys(wanted.values(), 0.0) for ident in judged}
    for found in ir_measures.iter_calc(list(wanted), judged, runs):
        values[found.query_id][wanted[found.measure]] = float(found.value)
    return values


def _remembered(path: Path) -> Values | None:
    try:
        values: Values = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return values


def _remember(path: Path, values: Values) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(values), encoding="utf-8")
    part.replace(path)
