"""Evaluation: measures worked out by hand, questions asked at their own time, and errors that name file and line."""

import builtins
import gzip
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from searchsvc.errors import BadInput, SearchsvcError
from searchsvc.evaluation import Missed, as_record, evaluate
from searchsvc.evaluation.comparison import Change, Difference, chance, compare
from searchsvc.evaluation.judged_set import DatedQuestion, read
from searchsvc.evaluation.measures import Measure, holds, interval, shown, summed_up
from searchsvc.evaluation.runs import Outcome, Run, load, save
from searchsvc.interfaces.cli import commands as cli
from searchsvc.library import Library
from searchsvc.settings import Settings

REAL = Path(__file__).parents[3] / "shared" / "eval"

ARTICLES = {
    "quake": (
        "Earthquake shakes Lisbon",
        "A strong earthquake shook Lisbon on Monday and damaged forty houses. Nobody was killed, the mayor said.",
        "2024-03-04",
    ),
    "bank": (
        "Central bank raises rates",
        "The central bank raised its interest rate to five percent on Thursday. Inflation remains too high.",
        "2024-03-07",
    ),
    "bank-later": (
        "Central bank raises interest rate again",
        "The central bank raised its interest rate to six percent. Inflation remains too high, its governor said.",
        "2024-09-12",
    ),
    "whale": (
        "Whale swims up the Thames",
        "A young minke whale swam up the river Thames past London Bridge. Rescuers guided it back to the sea.",
        "2024-03-09",
    ),
    "chess": (
        "Teenager wins chess championship",
        "A teenager from Chennai won the world chess championship after fourteen games against the old champion.",
        "2024-03-11",
    ),
    "bees": (
        "Beekeepers fear a poor harvest",
        "Beekeepers in Hungary expect half as much acacia honey as last year because of late frost.",
        "2024-03-12",
    ),
    "tunnel": (
        "Tunnel under the Alps opens",
        "The new railway tunnel under the Alps opened to freight trains. It shortens the journey by an hour.",
        "2024-03-15",
    ),
}
QUESTIONS = (
    {"_id": "q1", "text": "Where did an earthquake damage houses?"},
    {"_id": "q2", "text": "How far did the central bank raise its interest rate?", "as_of": "2024-03-08"},
    {"_id": "q3", "text": "Which whale swam up the river Thames?"},
    {"_id": "q4", "text": "Who won the world chess championship?", "as_of": "2024-03-11"},
    {"_id": "unjudged", "text": "How much honey do beekeepers expect?"},
)
QRELS = (("q1", "quake", 1), ("q2", "bank", 1), ("q3", "whale", 1), ("q4", "chess", 1))
SECOND = 1 / math.log2(3)  # what a right article in the second place adds to nDCG


def lines(records: Sequence[Mapping[str, object]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def corpus() -> str:
    return lines(
        [
            {"_id": key, "title": title, "text": text, "published": published}
            for key, (title, text, published) in ARTICLES.items()
        ]
    )


def qrels(judgements: Sequence[tuple[str, str, int]]) -> str:
    return "query-id\tcorpus-id\tscore\n" + "".join(f"{q}\t{a}\t{score}\n" for q, a, score in judgements)


def make(
    folder: Path,
    judgements: Sequence[tuple[str, str, int]] = QRELS,
    questions: Sequence[Mapping[str, object]] = QUESTIONS,
) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "corpus.jsonl").write_text(corpus(), encoding="utf-8")
    (folder / "queries.jsonl").write_text(lines(questions), encoding="utf-8")
    (folder / "qrels.tsv").write_text(qrels(judgements), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with a cache of their own, in which the model that is already compiled is found again."""
    cache = tmp_path_factory.mktemp("cache")
    usual = Settings().cache_folder / "models"
    usual.mkdir(parents=True, exist_ok=True)
    (cache / "models").symlink_to(usual, target_is_directory=True)
    return Settings(index=cache / "never-made", cache=cache)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("judged") / "news")


def sharing(folder: Path, other: Path, judgements: Sequence[tuple[str, str, int]], **changes: object) -> Path:
    """Make a folder with judgements of its own over the corpus, and so the index, of another."""
    other.mkdir()
    (other / "corpus.jsonl").symlink_to(folder / "corpus.jsonl")
    questions = [dict(one) | changes for one in QUESTIONS]
    (other / "queries.jsonl").write_text(lines(questions), encoding="utf-8")
    (other / "qrels.tsv").write_text(qrels(judgements), encoding="utf-8")
    return other


def test_every_right_article_first_gives_one_everywhere(folder: Path, settings: Settings) -> None:
    found = evaluate(folder, settings)
    assert [(one.name, one.mean, one.low, one.high) for one in found.measures] == [
        ("nDCG@10", 1.0, 1.0, 1.0),
        ("R@10", 1.0, 1.0, 1.0),
        ("R@100", 1.0, 1.0, 1.0),
        ("MRR@10", 1.0, 1.0, 1.0),
    ]
    assert (found.questions, found.articles, found.passages, found.unknown_articles) == (4, 7, 7, 0)
    assert list(found.values) == ["q1", "q2", "q3", "q4"]
    assert 0 < found.took_ms_p50 <= found.took_ms_p95
    assert found.folder == folder.resolve()
    assert found.index.is_relative_to(settings.cache_folder / "eval")
    assert not settings.index.exists()


def test_a_right_article_in_the_second_place_counts_as_the_formulas_say(
    folder: Path, settings: Settings, tmp_path: Path
) -> None:
    # Without a date both articles on the bank answer q2; which of them is first is seen here, then the other judged.
    late = sharing(folder, tmp_path / "late", [*QRELS[:1], *QRELS[2:], ("q2", "bank", 1)], as_of=None)
    first = evaluate(late, settings).values["q2"]["MRR@10"] == 1.0
    second = "bank-later" if first else "bank"
    judged = sharing(folder, tmp_path / "second", [("q1", "quake", 1), ("q2", second, 1)], as_of=None)
    found = evaluate(judged, settings)
    assert found.values["q2"] == pytest.approx({"nDCG@10": SECOND, "R@10": 1.0, "R@100": 1.0, "MRR@10": 0.5})
    assert found.values["q1"] == {"nDCG@10": 1.0, "R@10": 1.0, "R@100": 1.0, "MRR@10": 1.0}
    ndcg, recall, _, mrr = found.measures
    assert ndcg.mean == pytest.approx((1 + SECOND) / 2)
    assert (ndcg.low, ndcg.high) == pytest.approx((SECOND, 1.0))
    assert (recall.low, recall.mean, recall.high) == (1.0, 1.0, 1.0)
    assert (mrr.low, mrr.mean, mrr.high) == (0.5, 0.75, 1.0)


def test_grades_are_the_gain_and_a_missing_article_costs_recall(
    folder: Path, settings: Settings, tmp_path: Path
) -> None:
    # bank first (nothing else is on a bank by then), so the better graded article, which is unknown, is missed.
    judged = sharing(folder, tmp_path / "graded", [("q2", "bank", 1), ("q2", "nowhere", 3)], as_of="2024-03-08")
    said: list[str] = []
    found = evaluate(judged, settings, announce=said.append)
    assert found.unknown_articles == 1
    assert "1 of 2 right articles are not in the corpus, such as 'nowhere'." in said
    best = 3 + 1 * SECOND
    assert found.values["q2"] == pytest.approx({"nDCG@10": 1 / best, "R@10": 0.5, "R@100": 0.5, "MRR@10": 1.0})
    assert found.measures[0].low == found.measures[0].mean == found.measures[0].high  # one question


def test_nothing_published_after_the_question_was_asked_is_found(
    folder: Path, settings: Settings, tmp_path: Path
) -> None:
    judgements = [("q2", "bank-later", 1), ("q4", "chess", 1)]
    asked = evaluate(sharing(folder, tmp_path / "later", judgements, as_of="2024-03-11"), settings)
    assert asked.values["q2"] == {"nDCG@10": 0.0, "R@10": 0.0, "R@100": 0.0, "MRR@10": 0.0}
    # Published on the very day: its end is meant.
    assert asked.values["q4"] == {"nDCG@10": 1.0, "R@10": 1.0, "R@100": 1.0, "MRR@10": 1.0}
    late = evaluate(tmp_path / "later", settings, days_late=365)
    assert late.values["q2"]["R@10"] == 1.0


def test_a_second_run_uses_the_index_of_the_first_and_says_what_moved(folder: Path, settings: Settings) -> None:
    first = evaluate(folder, settings)
    before = Library(Settings(index=first.index, cache=settings.cache)).status()
    again = evaluate(folder, settings)
    after = Library(Settings(index=again.index, cache=settings.cache)).status()
    assert again.index == first.index
    assert (after.generation, after.updated) == (before.generation, before.updated)
    assert after.generation == 7
    assert again.values == first.values
    assert again.measures == first.measures
    assert again.against is not None
    assert again.against.made == first.run.made
    assert again.against.differences == tuple(
        Difference(name, 0.0, 0.0, 0.0, 1.0, 0, 0, 4) for name in ("nDCG@10", "R@10", "R@100", "MRR@10")
    )


def test_another_length_of_passages_gets_another_index(folder: Path, settings: Settings) -> None:
    short = Settings(index=settings.index, cache=settings.cache, passage_tokens=16)
    found = evaluate(folder, short)
    assert found.index != evaluate(folder, settings).index
    assert (found.articles, found.against) == (7, None)
    assert found.passages > 7


def test_measures_deeper_than_what_is_looked_at_are_left_out(folder: Path, settings: Settings) -> None:
    assert [one.name for one in evaluate(folder, settings, depth=10).measures] == ["nDCG@10", "R@10", "MRR@10"]
    for depth in (9, 101):
        with pytest.raises(BadInput, match=f"depth is {depth}; it must be from 10 to 100"):
            evaluate(folder, settings, depth=depth)


def test_the_record_survives_json(folder: Path, settings: Settings) -> None:
    found = evaluate(folder, settings)
    record = json.loads(json.dumps(as_record(found)))
    assert (record["version"], record["folder"]) == (1, str(folder.resolve()))
    assert (record["questions"], record["days_late"], record["freshness"]) == (4, 0, True)
    assert record["measures"][0] == {"name": "nDCG@10", "mean": 1.0, "low": 1.0, "high": 1.0}
    assert record["outcomes"][2]["id"] == "q3"
    assert record["outcomes"][2]["values"] == {"nDCG@10": 1.0, "R@10": 1.0, "R@100": 1.0, "MRR@10": 1.0}
    assert record["outcomes"][2]["articles"][0] == "whale"
    assert record["outcomes"][2]["sentence"] == "A young minke whale swam up the river Thames past London Bridge."
    assert record["took_ms_p50"] == found.took_ms_p50


# ---------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("answers", "stands"),
    [
        (["London Bridge"], True),
        (["LONDON\n bridge."], True),
        (["“London Bridge”"], True),
        (["London Bridges"], False),
        (["ondon Bridge"], False),
        (["Bridge London"], False),
        (["nowhere", "five"], True),
        (["5"], False),
        (["3.5"], True),
        (["$3.5"], True),
        (["3"], False),
        (["35"], False),
        (["1700"], True),
        (["1,700"], True),
        (["700"], False),
        (["Domino's"], True),
        (["１２"], True),
        (["?"], False),
        ([], False),
    ],
)
def test_an_answer_stands_where_its_whole_words_do(answers: list[str], stands: bool) -> None:
    assert (
        holds("Five whales swam past London-Bridge; Domino’s paid $3.5 billion for 12, not 1,700.", answers) is stands
    )


def test_what_is_shown_first_holds_the_answer_or_not() -> None:
    passages = ["No word of it.", "None here.", "It was Chennai.", "Lisbon, at last."]
    sentences = ["No word of it.", "None here.", "It was Chennai.", "Lisbon, at last."]
    assert shown(["chennai"], passages, sentences) == {"passage@1": 0.0, "passage@3": 1.0, "sentence@1": 0.0}
    assert shown(["no word"], passages, sentences) == {"passage@1": 1.0, "passage@3": 1.0, "sentence@1": 1.0}
    assert shown(["Lisbon"], passages, sentences) == {"passage@1": 0.0, "passage@3": 0.0, "sentence@1": 0.0}
    assert shown(["Lisbon"], [], []) == {"passage@1": 0.0, "passage@3": 0.0, "sentence@1": 0.0}


ANSWERED = (
    QUESTIONS[0] | {"answer": "forty houses"},
    QUESTIONS[1] | {"answer": ["six percent"]},  # said half a year later only
    QUESTIONS[2] | {"metadata": {"answers": ["Rescuers", "firemen"]}},  # in the sentence that is not marked
    QUESTIONS[3],
)


def test_answers_are_shared_out_over_the_questions_that_say_one(settings: Settings, tmp_path: Path) -> None:
    found = evaluate(make(tmp_path / "answered", questions=ANSWERED), settings)
    shares = {
        ident: [of.get(name) for name in ("passage@1", "passage@3", "sentence@1")] for ident, of in found.values.items()
    }
    assert shares == {"q1": [1.0, 1.0, 1.0], "q2": [0.0, 0.0, 0.0], "q3": [1.0, 1.0, 0.0], "q4": [None, None, None]}
    assert [(one.name, one.mean) for one in found.measures[4:]] == [
        ("passage@1", pytest.approx(2 / 3)),
        ("passage@3", pytest.approx(2 / 3)),
        ("sentence@1", pytest.approx(1 / 3)),
    ]
    assert (found.measures[4].low, found.measures[4].high) == (0.0, 1.0)


def test_a_mean_is_over_the_questions_that_have_the_measure() -> None:
    values = [{"nDCG@10": 1.0, "passage@1": 1.0}, {"nDCG@10": 1.0}, {"nDCG@10": 1.0, "passage@1": 1.0}]
    assert summed_up(values) == (Measure("nDCG@10", 1.0, 1.0, 1.0), Measure("passage@1", 1.0, 1.0, 1.0))


# ---------------------------------------------------------------------- runs side by side


def test_a_run_is_saved_and_compared_with_question_by_question(
    folder: Path, settings: Settings, tmp_path: Path
) -> None:
    first = evaluate(folder, settings)
    save(as_record(first), tmp_path / "run.json")
    before = load(tmp_path / "run.json")
    assert before == first.run
    other = sharing(folder, tmp_path / "other", [*QRELS[:2], ("q3", "chess", 1)])
    (other / "queries.jsonl").write_text((folder / "queries.jsonl").read_text(encoding="utf-8"), encoding="utf-8")
    found = evaluate(other, settings, against=before)
    value = found.values["q3"]["nDCG@10"]
    assert value < 1.0
    assert found.against is not None
    assert found.against.worse == (Change("Which whale swam up the river Thames?", 1.0, value),)
    assert found.against.better == ()
    assert found.against.same == tuple(Change(str(one["text"]), 1.0, 1.0) for one in QUESTIONS[:2])
    assert found.against.unshared == 1
    ndcg = found.against.differences[0]
    assert (ndcg.better, ndcg.worse, ndcg.same, ndcg.p) == (0, 1, 2, 1.0)
    assert ndcg.mean == pytest.approx((value - 1) / 3)


def test_a_run_of_other_questions_cannot_be_compared_with(folder: Path, settings: Settings) -> None:
    outcome = Outcome("q1", "Another question?", (), None, {"nDCG@10": 1.0})
    with pytest.raises(BadInput, match="the earlier run has none of the questions of"):
        evaluate(folder, settings, against=Run(datetime.now(UTC), 0, True, (outcome,)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not JSON", "is no saved run"),
        ("[]", "is no saved run"),
        ("{}", "is no saved run"),
        ('{"version": 2}', r"was saved by another version of searchsvc \(2, not 1\)"),
        ('{"version": 1}', "is a damaged run: KeyError, 'made'"),
        (
            '{"version": 1, "made": "2024-06-18", "days_late": 0, "freshness": true, "outcomes": '
            '[{"id": "a", "text": "b", "articles": [], "sentence": null, "values": {}}]}',
            "is a damaged run: ValueError, a question without nDCG@10",
        ),
    ],
)
def test_what_is_no_run_is_said(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "run.json").write_text(content, encoding="utf-8")
    with pytest.raises(BadInput, match=message):
        load(tmp_path / "run.json")


def test_runs_asked_in_other_ways_are_not_taken_for_the_last_run(settings: Settings, tmp_path: Path) -> None:
    folder = make(tmp_path / "ways")
    assert evaluate(folder, settings).against is None
    late = evaluate(folder, settings, days_late=365)
    off = evaluate(folder, settings, freshness=False)
    assert (late.against, off.against) == (None, None)
    assert (late.run.days_late, late.run.freshness, off.run.days_late, off.run.freshness) == (365, True, 0, False)
    again = evaluate(folder, settings, days_late=365)
    assert again.against is not None
    assert (again.against.days_late, again.against.freshness) == (365, True)
    for days in (-1, 36_526):
        with pytest.raises(BadInput, match=f"{days} days late; it must be from 0 to 36,525"):
            evaluate(folder, settings, days_late=days)


# ---------------------------------------------------------------------- from the command line


def judge(folder: Path, settings: Settings, *options: str) -> int:
    return cli.run(["eval", str(folder), "--cache", str(settings.cache), *options])


def test_a_missed_floor_is_said_and_ends_with_one(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make(tmp_path / "floors", questions=ANSWERED)
    assert judge(folder, settings, "--floor", "nDCG@10=1", "--floor", "passage@1=0.66") == 0
    capsys.readouterr()
    assert judge(folder, settings, "--floor", "nDCG@10=0.5", "--floor", "passage@1=0.67", "--json") == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["missed"] == [{"name": "passage@1", "mean": pytest.approx(2 / 3), "floor": 0.67}]
    assert err.splitlines()[-1] == "searchsvc: passage@1 is 0.6667, below the floor of 0.67"
    found = evaluate(folder, settings, floors={"sentence@1": 0.9, "MRR@10": 0.9})
    assert found.missed == (Missed("sentence@1", pytest.approx(1 / 3), 0.9),)


@pytest.mark.parametrize(
    ("floor", "said"),
    [
        ("nDCG@5=0.5", "there is no measure 'nDCG@5'; one of nDCG@10, R@10, R@100, MRR@10, passage@1, passage@3"),
        ("passage@1=0.5", 'passage@1 cannot be measured: no question says its answer; give questions an "answer"'),
        ("nDCG@10=85", "argument --floor: 'nDCG@10=85' is not a measure and a number from 0 to 1"),
        ("nDCG@10=nan", "argument --floor: 'nDCG@10=nan' is not a measure and a number from 0 to 1"),
        ("nDCG@10", "argument --floor: 'nDCG@10' is not a measure and a number from 0 to 1"),
    ],
)
def test_a_floor_that_cannot_be_held_to_is_wrong_use(
    folder: Path, settings: Settings, capsys: pytest.CaptureFixture[str], floor: str, said: str
) -> None:
    assert judge(folder, settings, "--floor", floor) == 2
    assert said in capsys.readouterr().err


def test_a_comparison_is_printed_in_plain_words(
    folder: Path,
    settings: Settings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    run = tmp_path / "run.json"
    assert judge(folder, settings, "--freshness", "off", "--save", str(run)) == 0
    record = json.loads(run.read_text(encoding="utf-8"))
    record["outcomes"][0]["values"]["nDCG@10"] = 0.5
    run.write_text(json.dumps(record), encoding="utf-8")
    capsys.readouterr()
    assert judge(folder, settings, "--late", "1", "--against", str(run)) == 0
    printed = capsys.readouterr().out
    assert "nDCG@10     1.000   1.000 to 1.000   +0.125 (+0.000 to +0.375), 1 up, 0 down\n" in printed
    assert "4 questions among 7 articles, asked 1 day late\n" in printed
    assert " ".join(printed.partition("\n\n")[2].split()) == (
        f"Against the run of {datetime.now(UTC):%-d %B %Y}, freshness off: "
        "nDCG@10 is better for 1 question, worse for 0 and the same for 3. "
        "That proves nothing: chance alone would often move as much (p = 1.00, randomisation test). "
        "Better (1): 0.500 → 1.000 Where did an earthquake damage houses?"
    )
    assert judge(folder, settings, "--against", str(tmp_path / "nowhere.json")) == 1
    assert judge(folder, settings, "--save", str(tmp_path / "no" / "run.json")) == 2
    assert f"there is no folder {tmp_path / 'no'} to save in" in capsys.readouterr().err


# ---------------------------------------------------------------------- reading a folder


def test_packed_files_and_the_folder_of_beir_are_read_alike(folder: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    (packed / "qrels").mkdir(parents=True)
    (packed / "corpus.jsonl.gz").write_bytes(gzip.compress(corpus().encode()))
    (packed / "queries.jsonl.gz").write_bytes(gzip.compress(lines(QUESTIONS).encode()))
    (packed / "qrels" / "test.tsv").write_text(qrels(QRELS).replace("\n", "\r\n"), encoding="utf-8", newline="")
    found = read(packed)
    assert found.corpus == (packed / "corpus.jsonl.gz").resolve()
    assert (found.questions, found.judged) == (read(folder).questions, read(folder).judged)
    assert found.questions[1] == DatedQuestion(
        "q2", str(QUESTIONS[1]["text"]), datetime(2024, 3, 8, 23, 59, 59, 999_999, tzinfo=UTC)
    )
    assert found.judgements == 4
    assert [one.id for one in found.answerable] == ["q1", "q2", "q3", "q4"]


def test_a_first_line_that_is_a_judgement_is_not_taken_for_the_header(tmp_path: Path) -> None:
    folder = make(tmp_path / "news")
    (folder / "qrels.tsv").write_text("q1\tquake\t2\nq3\twhale\t0\n", encoding="utf-8")
    assert read(folder).judged == {"q1": {"quake": 2}, "q3": {"whale": 0}}
    assert [one.id for one in read(folder).answerable] == ["q1"]


def test_missing_files_are_named_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere is not a folder") as nowhere:
        read(tmp_path / "nowhere")
    assert "corpus.jsonl, queries.jsonl and qrels.tsv (or qrels/test.tsv)" in str(nowhere.value.hint)
    (tmp_path / "queries.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(BadInput, match=r"has no corpus\.jsonl and no qrels\.tsv$"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("queries.jsonl", '{"_id": "q1", "text": "why"}\n{"_id": \n', "queries.jsonl, line 2: not valid JSON"),
        ("queries.jsonl", '\n["q1", "why"]\n', "queries.jsonl, line 2: not an object with _id and text"),
        ("queries.jsonl", '{"text": "why"}\n', "queries.jsonl, line 1: a question needs _id and text"),
        ("queries.jsonl", '{"_id": "q1", "text": " "}\n', "queries.jsonl, line 1: the question is empty"),
        ("queries.jsonl", '{"_id": 1, "text": "a", "as_of": "June"}\n', "line 1: cannot read the date 'June'"),
        ("queries.jsonl", '{"_id": 1, "text": "a", "as_of": 2024}\n', "line 1: as_of is not a date in quotes"),
        ("queries.jsonl", '{"_id": 1, "text": "a"}\n' * 2, "line 2: the question '1' stands twice"),
        ("queries.jsonl", '{"_id": 1, "text": "a", "answer": {"b": 1}}\n', "line 1: the answer is neither a text nor"),
        ("queries.jsonl", "", "queries.jsonl is empty"),
        ("qrels.tsv", "query-id\tcorpus-id\tscore\nq1\tquake\n", "qrels.tsv, line 2: not a question's id"),
        ("qrels.tsv", "query-id\tcorpus-id\tscore\nq1\tquake\tyes\n", "qrels.tsv, line 2: not a question's id"),
        ("qrels.tsv", "q1\t0\tquake\t1\n", "qrels.tsv, line 1: not a question's id"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, file: str, content: str, message: str) -> None:
    folder = make(tmp_path / "news")
    (folder / file).write_text(content, encoding="utf-8")
    with pytest.raises(BadInput) as fault:
        read(folder)
    assert message in fault.value.message


def test_judgements_that_fit_no_question_or_no_article_are_an_error(
    folder: Path, settings: Settings, tmp_path: Path
) -> None:
    strangers = make(tmp_path / "strangers", [("q9", "quake", 1), ("q1", "quake", 0)])
    with pytest.raises(BadInput, match="can be judged: no question has a right article"):
        evaluate(strangers, settings)
    unknown = sharing(folder, tmp_path / "unknown", [("q1", "n1", 1), ("q3", "n2", 1)])
    with pytest.raises(BadInput, match=r"none of the 2 right articles is in .*, such as 'n1'"):
        evaluate(unknown, settings)


def test_without_the_extra_its_name_is_said(folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refusing(name: str, *rest: object) -> object:
        if name == "ir_measures":
            raise ModuleNotFoundError("No module named 'ir_measures'", name=name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refusing)
    with pytest.raises(SearchsvcError) as fault:
        evaluate(folder, settings)
    assert (fault.value.message, fault.value.hint) == (
        "ir_measures is not installed",
        "pip install 'searchsvc[eval]'",
    )


@pytest.mark.parametrize("values", [[0.25], [0.6, 0.6, 0.6], [0.0, 0.0]])
def test_the_interval_of_equal_values_is_the_value(values: list[float]) -> None:
    assert interval(values) == pytest.approx((values[0],) * 3)


def test_the_interval_is_that_of_the_normal_law_where_there_are_many_values() -> None:
    values = [0.0, 1.0] * 200
    mean, low, high = interval(values)
    half = 1.96 * 0.5 / math.sqrt(400)
    assert mean == 0.5
    assert (low, high) == pytest.approx((0.5 - half, 0.5 + half), abs=0.005)
    assert interval(values) == (mean, low, high)


def asked(**values: dict[str, float]) -> Run:
    outcomes = tuple(Outcome(ident, f"What about {ident}?", (), None, of) for ident, of in values.items())
    return Run(datetime(2024, 6, 18, tzinfo=UTC), 0, True, outcomes)


def test_runs_are_compared_question_by_question() -> None:
    before = asked(
        a={"nDCG@10": 0.5, "R@10": 1.0}, b={"nDCG@10": 1.0, "R@10": 1.0, "passage@1": 1.0}, gone={"nDCG@10": 0.0}
    )
    now = asked(a={"nDCG@10": 1.0, "R@10": 1.0}, b={"nDCG@10": 0.75, "R@10": 1.0}, new={"nDCG@10": 1.0})
    found = compare(before, now)
    assert found.differences == (
        Difference("nDCG@10", 0.125, -0.25, 0.5, 1.0, 1, 1, 0),
        Difference("R@10", 0.0, 0.0, 0.0, 1.0, 0, 0, 2),
    )
    assert found.better == (Change("What about a?", 0.5, 1.0),)
    assert found.worse == (Change("What about b?", 1.0, 0.75),)
    assert (found.same, found.unshared, found.made) == ((), 2, before.made)
    assert compare(asked(x={"nDCG@10": 1.0}), now).differences == ()


def test_the_questions_that_moved_most_come_first() -> None:
    before = asked(a={"nDCG@10": 0.5}, b={"nDCG@10": 0.1}, c={"nDCG@10": 0.9}, d={"nDCG@10": 1.0}, e={"nDCG@10": 0.3})
    now = asked(a={"nDCG@10": 0.6}, b={"nDCG@10": 0.8}, c={"nDCG@10": 0.7}, d={"nDCG@10": 0.1}, e={"nDCG@10": 0.3})
    found = compare(before, now)
    assert [one.text for one in found.better] == ["What about b?", "What about a?"]
    assert [one.text for one in found.worse] == ["What about d?", "What about c?"]
    assert found.same == (Change("What about e?", 0.3, 0.3),)


@pytest.mark.parametrize(
    ("moved", "p"),
    [
        ([], 1.0),
        ([0.0, 0.0], 1.0),
        ([0.3], 1.0),
        ([1.0, 1.0], 2 / 4),
        ([0.1] * 5, 2 / 2**5),
        ([-0.1] * 5 + [0.0] * 300, 2 / 2**5),
        ([0.5, 0.5, -0.25], 4 / 8),  # of the eight sums, ±1.25 and ±0.75 are as far from 0 as 0.75 is
        ([1.0] * 9 + [-1.0], 22 / 2**10),  # as for the test of signs: 2 × (1 + 10) of 1,024
    ],
)
def test_how_far_chance_goes_is_counted_exactly_where_few_questions_moved(moved: list[float], p: float) -> None:
    assert chance(moved) == pytest.approx(p)


def test_how_far_chance_goes_is_sampled_where_many_moved() -> None:
    moved = [1.0] * 60 + [-1.0] * 40
    assert chance(moved) == pytest.approx(0.0569, abs=0.007)  # the test of signs: P(|X − 50| ≥ 10), X binomial
    assert chance(moved) == chance(moved)


@pytest.mark.skipif(not REAL.is_dir(), reason="the judged sets lie outside this repository")
@pytest.mark.parametrize(("name", "questions", "judgements"), [("news", 177, 201), ("scifact", 300, 339)])
def test_the_real_sets_are_read_as_published(name: str, questions: int, judgements: int) -> None:
    found = read(REAL / name)
    assert (len(found.answerable), found.judgements) == (questions, judgements)
    assert all(one.as_of is not None for one in found.questions) == (name == "news")
    assert all(one.answers for one in found.questions) == (name == "news")
