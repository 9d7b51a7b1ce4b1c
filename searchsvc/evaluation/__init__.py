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
from searchsvc.library import PASSAGE_TOKENS, Announce, Library
from searchsvc.models.embedder import BUNDLED
from searchsvc.query.question import MOST_HITS
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
        return {one.id: one.values for one in self.run.outcomes}


@dataclass(frozen=True, slots=True)
class _Found:
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
    if not SHOWN <= depth <= MOST_HITS:
        raise BadInput(f"depth is {depth}; it must be from {SHOWN} to {MOST_HITS}")
    if not 0 <= days_late <= MOST_DAYS_LATE:
        raise BadInput(f"{days_late} days late; it must be from 0 to {MOST_DAYS_LATE:,}")
    _require_extra()
    judged = read(folder)
    asked = judged.answerable
    if not asked:
        reason = "no question has a right article" if judged.questions else "there are no questions"
        raise BadInput(f"nothing in {folder} can be judged: {reason}", LAYOUT)
    _require_measures(floors or {}, within(depth), asked)
    if against is not None and not {(one.id, one.text) for one in asked} & {
        (one.id, one.text) for one in against.outcomes
    }:
        raise BadInput(f"the earlier run has none of the questions of {folder}", "compare runs of the same questions")
    place = kept_in(judged.corpus, settings)
    library = Library(replace(settings, index=place / "index"), announce=announce)
    unknown = _indexed(library, judged, announce, progress)
    announce(f"Asking {len(asked):,} questions.")
    found = _ask(library, asked, depth, timedelta(days=days_late), freshness=freshness)
    run = Run(datetime.now(UTC), days_late, freshness, _outcomes(judged, asked, found, depth))
    counts = library.catalogue.counts()
    measures = summed_up([one.values for one in run.outcomes])
    last = place / f"last-run-{_short(str(judged.folder), str(days_late), str(freshness))}.json"
    evaluation = Evaluation(
        folder=judged.folder,
        index=library.folder,
        questions=len(asked),
        articles=counts.articles,
        passages=counts.passages,
        unknown_articles=unknown,
        measures=measures,
        took_ms_p50=float(np.percentile([one.took_ms for one in found], 50)),
        took_ms_p95=float(np.percentile([one.took_ms for one in found], 95)),
        run=run,
        against=_compared(against or _remembered(last), run),
        missed=tuple(
            Missed(one.name, one.mean, floor)
            for one in measures
            if (floor := (floors or {}).get(one.name)) is not None and one.mean < floor
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


def _require_measures(floors: Mapping[str, float], ranking: Sequence[str], asked: Sequence[DatedQuestion]) -> None:
    """Say before the questions are asked which floors no answer to them could reach."""
    for name in floors:
        if name in SHOWING and not any(one.answers for one in asked):
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
    right = {key for one in judged.answerable for key, score in judged.judged[one.id].items() if score > 0}
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
    library: Library, asked: Sequence[DatedQuestion], depth: int, late: timedelta, *, freshness: bool
) -> list[_Found]:
    """Ask each question twice: for as many hits as a person gets, which is timed, and for all that is measured."""
    now = datetime.now(UTC)
    period = not late  # a year later "this week" is another one
    found = []
    library.search(asked[0].text, limit=SHOWN, freshness=freshness)  # loads the model and the index
    for one in asked:
        moment = now if one.as_of is None else one.as_of + late
        began = time.perf_counter()
        hits = library.search(one.text, limit=SHOWN, as_of=moment, freshness=freshness, period=period).hits
        took_ms = (time.perf_counter() - began) * 1_000
        all_hits = library.search(one.text, limit=depth, as_of=moment, freshness=freshness, period=period).hits
        found.append(
            _Found(
                # A copy that was folded into a hit is shown with it, and found.
                articles=tuple(entry.key for hit in all_hits for entry in (hit.article, *hit.also_in))[:depth],
                passages=tuple(hit.text for hit in hits),
                sentences=tuple(hit.answer_text for hit in hits),
                took_ms=took_ms,
            )
        )
    return found


def _outcomes(
    judged: JudgedSet, asked: Sequence[DatedQuestion], found: Sequence[_Found], depth: int
) -> tuple[Outcome, ...]:
    values = ranked(
        {one.id: judged.judged[one.id] for one in asked},
        {one.id: its.articles for one, its in zip(asked, found, strict=True)},
        depth,
    )
    return tuple(
        Outcome(
            id=one.id,
            text=one.text,
            articles=its.articles,
            sentence=next(iter(its.sentences), None),
            values=values[one.id] | (shown(one.answers, its.passages, its.sentences) if one.answers else {}),
        )
        for one, its in zip(asked, found, strict=True)
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
