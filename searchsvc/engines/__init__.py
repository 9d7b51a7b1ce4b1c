"""An engine follows the catalogue and finds candidates in it: the seam.

    catalogue ── changes ──► engine ── snapshot ──► candidates (dense), candidates (lexical)

An engine holds nothing that cannot be made again from the catalogue. What it finds are rows of passages with
scores; fusing and ranking them is not its business, so that all engines rank alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from searchsvc.catalogue import Catalogue
from searchsvc.models import Vectors
from searchsvc.query.filter import Filter


@dataclass(frozen=True, slots=True)
class Candidates:
    """Passages found, best first: their rows, their articles' rows, and scores (higher is better); all (n,)."""

    rows: NDArray[np.int64]
    articles: NDArray[np.int64]
    scores: NDArray[np.float32]


class Snapshot(Protocol):
    """One state of an engine, which never changes; any number of threads may search it."""

    @property
    def generation(self) -> int:
        """The number of the last change of the catalogue that it holds."""

    @property
    def stamp(self) -> str:
        """What tells that change from the one with the same number in another catalogue."""

    @property
    def passages(self) -> int:
        """How many passages can be found."""

    @property
    def articles(self) -> int:
        """How many articles they belong to."""

    @property
    def updated(self) -> datetime | None:
        """When its last change was made."""

    def dense(self, vector: Vectors, k: int, allowed: Filter) -> Candidates:
        """Return the k passages nearest to a unit vector (dimension,), with their cosines."""

    def lexical(
        self, words: Sequence[str], k: int, allowed: Filter, pairs: Mapping[tuple[str, str], float] | None = None
    ) -> Candidates:
        """Return the k passages that hold most of these words, with their BM25 scores.

        Two words that stand side by side count once more, as much as `pairs` says against each of them anywhere.
        """

    def published(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return when passages, given by ascending row, were published, in microseconds since 1970; which are dated."""

    def frequencies(self, words: Sequence[str]) -> list[int]:
        """Return in how many passages each word stands."""


class Engine(Protocol):
    """Follows one catalogue."""

    def follow(self, catalogue: Catalogue) -> None:
        """Take over what the catalogue has committed; only the one writer calls this."""

    def snapshot(self, catalogue: Catalogue) -> Snapshot:
        """Return the newest state; the one that was returned before where nothing has changed."""
