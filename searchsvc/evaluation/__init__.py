"""Evaluation: how well the ranking finds what people judged to be the answer.

    corpus ── indexed once, in the cache folder ──► library ── every question that can be answered ──► what is found
    judgements, answers ──────────────────────────── measures ◄─────────────────────────────────────────────┘
                                                        └──► run ── comparison with an earlier run

Rankings are judged at the level of articles, over questions with at least one right article; what is shown, over
those of them that say their answer.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from searchsvc.errors import BadInput, SearchsvcError
from searchsvc.evaluation.comparison import Comparison, compare
from searchsvc.evaluation.judged_set import LAYOUT, DatedQuestion, JudgedSet, read
from searchsvc.evaluation.measures import SHOWING, Measure, ranked, shown, summed_up, within
from searchsvc.evaluation.runs import VERSION, Outcome, Run, load, save
from searchsvc.ingest.report import Progress
from searchsvc.library import Announce, Library
from searchsvc.library.ingestion import PASSAGE_TOKENS
from searchsvc.models.embedder import BUNDLED
from searchsvc.query import MAX_HITS, Query
from searchsvc.settings import Settings
from searchsvc.text.article import article_id

DEEPEST = 100  # what the measures look at, of one question's articles
SHOWN = 10  # hits of the search that is timed: as many as a person gets
MOST_DAYS_LATE = 36_525


@dataclass(frozen=True, slots=True)
class Missed:
    """A measure whose mean is below its floor."""

    name: str
    mean: float
    floor: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The judgement on one folder.

    `took_ms_*` are of a search for ten articles, with everything loaded. `against` compares with the run that was
    given, or else with the last one of this folder asked in the same way; None at the first. `missed` are the measures
    below their floors. `unknown_articles` counts right articles that the corpus lacks: no ranking can find them.
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
    run: Run
    against: Comparison | None
    missed: tuple[Missed, ...]

    @property
    def values(self) -> dict[str, dict[str, float]]:
        """Each question's measures by its id, in the order of the questions."""
        return {outcome.id: outcome.values for outcome in self.run.outcomes}


@dataclass(frozen=True, slots=True)
class _Answered:
    """What one question found: keys of articles, and the texts and marked sentences of what a person gets."""

    articles: tuple[str, ...]
    passages: tuple[str, ...]
    sentences: tuple[str, ...]
    took_ms: float


def evaluate(
    folder: Path,
    settings: Settings,
    *,
    depth: int = DEEPEST,
    days_late: int = 0,
    freshness: bool = True,
    against: Run | None = None,
    floors: Mapping[str, float] | None = None,
    announce: Announce = lambda _: None,
    progress: Progress = lambda _report, _done, _all: None,
) -> Evaluation:
    """Judge the ranking on a folder, with an index of its own that later runs use again.

    That index lies in the cache folder, one for each corpus, model and length of passages; the index that the
    settings name is not touched. `depth` articles are looked at, 10 to 100; measures that look deeper are left out.
    `days_late` asks every question that has a date so much later, to see what freshness costs when the news is old.
    `floors` are the least means wanted, by the names of measures.

    Raises BadInput where the folder cannot be understood, where nothing can be compared `against`, and where a floor
    is none of what is measured; SearchsvcError without the extra `eval`; and what indexing and searching raise.
    """
    if not SHOWN <= depth <= MAX_HITS:
        raise BadInput(f"depth is {depth}; it must be from {SHOWN} to {MAX_HITS}")
    if not 0 <= days_late <= MOST_DAYS_LATE:
        raise BadInput(f"{days_late} days late; it must be from 0 to {MOST_DAYS_LATE:,}")
    _require_extra()
    judged = read(folder)
    questions = judged.answerable
    if not questions:
        reason = "no question has a right article" if judged.questions else "there are no questions"
        raise BadInput(f"nothing in {folder} can be judged: {reason}", LAYOUT)
    _require_measures(floors or {}, within(depth), questions)
    if against is not None and not {(question.id, question.text) for question in questions} & {
        (outcome.id, outcome.text) for outcome in against.outcomes
    }:
        raise BadInput(f"the earlier run has none of the questions of {folder}", "compare runs of the same questions")
    place = kept_in(judged.corpus, settings)
    library = Library(replace(settings, index=place / "index"), announce=announce)
    unknown = _indexed(library, judged, announce, progress)
    announce(f"Asking {len(questions):,} questions.")
    answered = _ask(library, questions, depth, timedelta(days=days_late), freshness=freshness)
    run = Run(datetime.now(UTC), days_late, freshness, _outcomes(judged, questions, answered, depth))
    counts = library.catalogue.counts()
    measures = summed_up([outcome.values for outcome in run.outcomes])
    last = place / f"last-run-{_short(str(judged.folder), str(days_late), str(freshness))}.json"
    evaluation = Evaluation(
        folder=judged.folder,
        index=library.folder,
        questions=len(questions),
        articles=counts.articles,
        passages=counts.passages,
        unknown_articles=unknown,
        measures=measures,
        took_ms_p50=float(np.percentile([answer.took_ms for answer in answered], 50)),
        took_ms_p95=float(np.percentile([answer.took_ms for answer in answered], 95)),
        run=run,
        against=_compared(against or _remembered(last), run),
        missed=tuple(
            Missed(measure.name, measure.mean, floor)
            for measure in measures
            if (floor := (floors or {}).get(measure.name)) is not None and measure.mean < floor
        ),
    )
    save(as_record(evaluation), last)
    return evaluation


def as_record(evaluation: Evaluation) -> dict[str, object]:
    """Return an evaluation as plain values that JSON can hold: what `runs.save` writes and `runs.load` reads."""
    record = asdict(evaluation)
    run, against = record.pop("run"), record.pop("against")
    return {
        "version": VERSION,
        **record,
        "folder": str(evaluation.folder),
        "index": str(evaluation.index),
        **run,
        "made": evaluation.run.made.isoformat(),
        "against": against and against | {"made": against["made"].isoformat()},
    }


def _require_extra() -> None:
    try:
        import ir_measures  # noqa: F401
        import scipy.stats  # noqa: F401
    except ImportError as error:
        raise SearchsvcError(f"{error.name} is not installed", "pip install 'searchsvc[eval]'") from error


def _require_measures(floors: Mapping[str, float], ranking: Sequence[str], questions: Sequence[DatedQuestion]) -> None:
    """Say before the questions are asked which floors no answer to them could reach."""
    for name in floors:
        if name in SHOWING and not any(question.answers for question in questions):
            raise BadInput(f"{name} cannot be measured: no question says its answer", 'give questions an "answer"')
        if name not in (*ranking, *SHOWING):
            raise BadInput(f"there is no measure {name!r}", f"one of {', '.join((*ranking, *SHOWING))}")


def _short(*parts: str) -> str:
    return hashlib.blake2b("\n".join(parts).encode(errors="surrogatepass"), digest_size=6).hexdigest()


def kept_in(corpus: Path, settings: Settings) -> Path:
    """Return the folder where all about a corpus is kept: another one for another model or length of passages."""
    name = _short(str(corpus), settings.model or BUNDLED, str(settings.passage_tokens or PASSAGE_TOKENS))
    return settings.cache_folder / "eval" / f"{corpus.parent.name}-{name}"


def _indexed(library: Library, judged: JudgedSet, announce: Announce, progress: Progress) -> int:
    """Bring the index in step with the corpus; return how many right articles it lacks."""
    report = library.index([judged.corpus], progress)
    if report.lost:
        first = next(problem for problem in report.problems if problem.lost)
        announce(f"{report.lost:,} articles could not be indexed; the first: {first.where}: {first.reason}.")
    right = {key for question in judged.answerable for key, score in judged.judged[question.id].items() if score > 0}
    there = library.catalogue.articles.digests(map(article_id, right))
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
    library: Library, questions: Sequence[DatedQuestion], depth: int, late: timedelta, *, freshness: bool
) -> list[_Answered]:
    """Ask each question twice: for as many hits as a person gets, which is timed, and for all that is measured."""
    now = datetime.now(UTC)
    period = not late  # a year later "this week" is another one
    answered = []
    library.search(questions[0].text, limit=SHOWN, freshness=freshness)  # loads the model and the index
    for question in questions:
        moment = now if question.as_of is None else question.as_of + late
        began = time.perf_counter()
        query = Query(question.text, limit=SHOWN, as_of=moment, freshness=freshness, period=period)
        hits = library.search(query).hits
        took_ms = (time.perf_counter() - began) * 1_000
        all_hits = library.search(query, limit=depth).hits
        answered.append(
            _Answered(
                # A copy that was folded into a hit is shown with it, and found.
                articles=tuple(entry.key for hit in all_hits for entry in (hit.article, *hit.also_in))[:depth],
                passages=tuple(hit.passage.text for hit in hits),
                sentences=tuple(hit.answer.text if hit.answer else "" for hit in hits),
                took_ms=took_ms,
            )
        )
    return answered


def _outcomes(
    judged: JudgedSet, questions: Sequence[DatedQuestion], answered: Sequence[_Answered], depth: int
) -> tuple[Outcome, ...]:
    values = ranked(
        {question.id: judged.judged[question.id] for question in questions},
        {question.id: answer.articles for question, answer in zip(questions, answered, strict=True)},
        depth,
    )
    return tuple(
        Outcome(
            id=question.id,
            text=question.text,
            articles=answer.articles,
            sentence=next(iter(answer.sentences), None),
            values=values[question.id]
            | (shown(question.answers, answer.passages, answer.sentences) if question.answers else {}),
        )
        for question, answer in zip(questions, answered, strict=True)
    )


def _remembered(last: Path) -> Run | None:
    try:
        return load(last)
    except (FileNotFoundError, BadInput):
        return None


def _compared(before: Run | None, run: Run) -> Comparison | None:
    """Compare with an earlier run, if it has any of the questions."""
    comparison = None if before is None else compare(before, run)
    return comparison if comparison is not None and comparison.differences else None
