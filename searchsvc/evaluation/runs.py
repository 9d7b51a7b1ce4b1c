"""A run: what one ranking found for the questions of a folder, and what that was worth; kept as one JSON file.

    evaluation ── save ──► FILE ── load ──► Run, to be compared with a later one

The file is the document that `searchsvc eval --json` prints. `version` counts changes after which an older program
would misread it; what a program does not know in it, it leaves alone.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from searchsvc.errors import BadInput
from searchsvc.evaluation.measures import MAIN

VERSION = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one question: the keys of the articles found, best first, and the value of each measure.

    `sentence` is the one marked in the first hit; None where nothing was found.
    """

    id: str
    text: str
    articles: tuple[str, ...]
    sentence: str | None
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class Run:
    """The outcomes of one evaluation, in the order of the questions, and how the questions were asked."""

    made: datetime
    days_late: int
    freshness: bool
    outcomes: tuple[Outcome, ...]


def save(record: Mapping[str, object], file: Path) -> None:
    """Write the record of an evaluation; an earlier file of that name is replaced."""
    file.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8", errors="replace")


def load(file: Path) -> Run:
    """Read a run that was saved. Raises BadInput where the file is something else, OSError where it cannot be read."""
    remedy = "searchsvc eval FOLDER --save FILE makes one"
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        version = record["version"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BadInput(f"{file} is no saved run", remedy) from error
    if version != VERSION:
        raise BadInput(f"{file} was saved by another version of searchsvc ({version!r}, not {VERSION})", remedy)
    try:
        run = Run(
            made=datetime.fromisoformat(record["made"]),
            days_late=int(record["days_late"]),
            freshness=bool(record["freshness"]),
            outcomes=tuple(
                Outcome(
                    id=str(outcome["id"]),
                    text=str(outcome["text"]),
                    articles=tuple(map(str, outcome["articles"])),
                    sentence=outcome["sentence"],
                    values={name: float(value) for name, value in outcome["values"].items()},
                )
                for outcome in record["outcomes"]
            ),
        )
        if not all(MAIN in outcome.values for outcome in run.outcomes):
            raise ValueError(f"a question without {MAIN}")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadInput(f"{file} is a damaged run: {type(error).__name__}, {error}", remedy) from error
    return run
