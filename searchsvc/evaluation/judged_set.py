"""Judgements: questions to which people have said what the right articles are.

    FOLDER/corpus.jsonl    the articles; only looked for
    FOLDER/queries.jsonl   {"_id", "text", "as_of"?, "answer"?} a line
    FOLDER/qrels.tsv       query-id, corpus-id, score, behind a header

The layout is that of BEIR (Thakur et al., BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation, 2021), where the
qrels lie in qrels/test.tsv; each of the two JSON files may be packed. A question's `as_of` is the day at whose end it
was asked; its `answer` or `answers`, perhaps within its `metadata`, is a text or a list of texts of which any will do.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from searchsvc.errors import BadInput, Unreadable
from searchsvc.query import Query
from searchsvc.query.interpretation import interpret
from searchsvc.readers.json_stream import one_value
from searchsvc.readers.records import text_lines
from searchsvc.text.dates import parse_bound

LAYOUT = (
    "a folder to judge by holds corpus.jsonl, queries.jsonl and qrels.tsv (or qrels/test.tsv) as BEIR lays them out; "
    "the JSON Lines may end in .gz or .zst"
)
_CORPUS = ("corpus.jsonl", "corpus.jsonl.gz", "corpus.jsonl.zst")
_QUERIES = ("queries.jsonl", "queries.jsonl.gz", "queries.jsonl.zst")
_QRELS = ("qrels.tsv", "qrels/test.tsv")
_LINE_BYTES = 10_000_000


@dataclass(frozen=True, slots=True)
class DatedQuestion:
    """A question of a judged set, the moment it was asked at (None: now), and its answers, where it says them."""

    id: str
    text: str
    as_of: datetime | None
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JudgedSet:
    """What a folder holds: where its articles are, the questions, and each question's articles with their scores.

    `judgements` counts the lines of the qrels, also those of questions that are not there; `questions` are all.
    """

    folder: Path
    corpus: Path
    questions: tuple[DatedQuestion, ...]
    judged: dict[str, dict[str, int]]

    @property
    def judgements(self) -> int:
        """How many pairs of question and article were judged."""
        return sum(map(len, self.judged.values()))

    @property
    def answerable(self) -> tuple[DatedQuestion, ...]:
        """The questions with at least one right article: those that say something about a ranking."""
        return tuple(one for one in self.questions if max(self.judged.get(one.id, {}).values(), default=0) > 0)


def read(folder: Path) -> JudgedSet:
    """Read questions and judgements; the corpus is only looked for. Raises BadInput, with file and line."""
    top = folder.expanduser().resolve()
    if not top.is_dir():
        raise BadInput(f"{folder} is not a folder", LAYOUT)
    files = [_first(top, names) for names in (_CORPUS, _QUERIES, _QRELS)]
    corpus, queries, qrels = files
    if corpus is None or queries is None or qrels is None:
        missing = [names[0] for names, file in zip((_CORPUS, _QUERIES, _QRELS), files, strict=True) if file is None]
        raise BadInput(f"{folder} has no {' and no '.join(missing)}", LAYOUT)
    questions: dict[str, DatedQuestion] = {}
    for number, line in _lines(queries):
        question = _question(line, f"{queries}, line {number}")
        if question.id in questions:
            raise BadInput(f"{queries}, line {number}: the question {question.id!r} stands twice")
        questions[question.id] = question
    # Through links, so that other questions over the same corpus can share its index.
    return JudgedSet(top, corpus.resolve(), tuple(questions.values()), _judgements(qrels))


def _first(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, numbered from 1."""
    try:
        for number, line in enumerate(text_lines(path, _LINE_BYTES), 1):
            if isinstance(line, Unreadable):
                raise BadInput(f"{path}, line {number}: {line.message}")
            if line.strip():
                yield number, line
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error
    except Unreadable as error:
        raise BadInput(f"{path} {error.message}") from error


def _question(line: str, where: str) -> DatedQuestion:
    try:
        record = one_value(line)
    except Unreadable as error:
        raise BadInput(f"{where}: {error.message}") from error
    if not isinstance(record, Mapping):
        raise BadInput(f"{where}: not an object with _id and text")
    ident, text, as_of = record.get("_id", record.get("id")), record.get("text"), record.get("as_of")
    if isinstance(ident, bool) or not isinstance(ident, str | int) or not isinstance(text, str):
        raise BadInput(f"{where}: a question needs _id and text")
    if as_of is not None and not isinstance(as_of, str):
        raise BadInput(f"{where}: as_of is not a date in quotes")
    try:
        interpret(Query(text))  # said here, with its place, and not after the corpus has been indexed
        return DatedQuestion(str(ident), text, parse_bound(as_of, end=True) if as_of else None, _answers(record))
    except BadInput as error:
        raise BadInput(f"{where}: {error.message}", error.hint) from error


def _answers(record: Mapping[str, object]) -> tuple[str, ...]:
    metadata = record.get("metadata")
    places = (record, metadata if isinstance(metadata, Mapping) else {})
    values = (place.get(name) for place in places for name in ("answer", "answers"))
    value = next((answer for answer in values if answer is not None), [])
    answers = value if isinstance(value, list) else [value]
    if not all(isinstance(answer, str | int | float) for answer in answers):
        raise BadInput("the answer is neither a text nor a list of texts")
    return tuple(text for answer in answers if (text := str(answer).strip()))


def _judgements(path: Path) -> dict[str, dict[str, int]]:
    judgements: dict[str, dict[str, int]] = {}
    for number, line in _lines(path):
        fields = [field.strip() for field in line.split("\t")]
        if number == 1 and not fields[-1].lstrip("-").isdecimal():
            continue  # the header; a first line that ends in a number is a judgement
        try:
            question, article, score = fields
            judgements.setdefault(question, {})[article] = int(score)
        except ValueError:
            raise BadInput(
                f"{path}, line {number}: not a question's id, an article's id and a whole number with tabs between",
                "the first line is query-id, corpus-id, score; the others are such as 20240618_3, rt00047ca06590, 1",
            ) from None
    return judgements
