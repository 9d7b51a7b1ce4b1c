"""A report: what indexing did, and what could not be indexed."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields

from searchsvc.ingest.scan import Kept
from searchsvc.readers.problems import Tally
from searchsvc.text.article import Problem

MAX_NAMED = 1_000  # problems of each kind that a report names; it counts the others


@dataclass(slots=True)
class Report:
    """What indexing has done so far."""

    files: int = 0
    unchanged_files: int = 0
    feeds: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    passages: int = 0
    embedded: int = 0
    seconds: float = 0.0
    kept: list[Kept] = field(default_factory=list)
    ids: list[str | None] = field(default_factory=list)  # of articles that were given, in that order
    unit: str = "file"  # what progress is counted in
    tally: Tally = field(default_factory=lambda: Tally("other files", MAX_NAMED), repr=False, compare=False)

    @property
    def problems(self) -> list[Problem]:
        """The problems, in order; where a kind has more than `MAX_NAMED`, its last one counts the others."""
        return self.tally.problems

    @property
    def lost(self) -> int:
        """How many articles or files could not be indexed."""
        return self.tally.total[True]

    def note(self, *problems: Problem) -> None:
        """Add problems."""
        for problem in problems:
            self.tally.add(problem)

    def add(self, other: "Report") -> None:
        """Add what another run did."""
        for name in (spec.name for spec in fields(self) if spec.name not in {"unit", "tally"}):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.note(*other.problems)


Progress = Callable[[Report, int, int], None]  # the report so far, files done, files in all
