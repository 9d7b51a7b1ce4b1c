"""An engine follows the catalogue and finds candidates in it: the seam.

    catalogue ── changes ──► engine ── snapshot ──► candidates (dense), candidates (lexical)

An engine holds nothing that cannot be made again from the catalogue. It returns rows of passages with scores; fusing
and ranking them is the search's business, so that all engines rank alike. `open_engine` knows them by name; each passes
the contract tests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from searchsvc.catalogue import Catalogue, EmbeddingSpace
from searchsvc.errors import BadInput
from searchsvc.models import Vectors
from searchsvc.query.filter import Filter


@dataclass(frozen=True, slots=True)
class Candidates:
    """Passages, best first: their rows, their articles' rows, and scores (higher is better); all (n,)."""

    rows: NDArray[np.int64]
    articles: NDArray[np.int64]
    scores: NDArray[np.float32]


class Snapshot(Protocol):
    """One state of an engine, which never changes; any number of threads may search it."""

    @property
    def generation(self) -> int:
        """The number of the last change of the catalogue that it holds."""

    @property
    def identity(self) -> str:
        """What tells that change from the one with the same number in another catalogue."""

    @property
    def passages(self) -> int:
        """The number of passages that can be found."""

    @property
    def articles(self) -> int:
        """The number of articles that they belong to."""

    @property
    def updated(self) -> datetime | None:
        """When its last change was made."""

    def dense(self, vector: Vectors, k: int, filters: Filter) -> Candidates:
        """Return the k passages nearest to a unit vector (dimension,), with their cosines."""

    def lexical(
        self, words: Sequence[str], k: int, filters: Filter, pairs: Mapping[tuple[str, str], float] | None = None
    ) -> Candidates:
        """Return the k passages with the best BM25 scores for these words (see `text.analysis`).

        `pairs` maps two words to the weight of their BM25 score as a phrase, which is added.
        """

    def published(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return when passages, given by ascending row, were published, in microseconds since 1970; which are dated."""

    def frequencies(self, words: Sequence[str]) -> list[int]:
        """Return the number of passages that hold each word."""

    def rows(self) -> NDArray[np.int64]:
        """Return the rows of the passages that a dense search can find, ascending."""


class Engine(Protocol):
    """Follows one catalogue, in one embedding space."""

    def follow(self, catalogue: Catalogue) -> None:
        """Apply what the catalogue has committed, and repair what is damaged; only the one writer calls this."""

    def rebuild(self, catalogue: Catalogue) -> None:
        """Make everything anew from the catalogue; only the one writer calls this. Searches go on meanwhile."""

    def reopen(self) -> None:
        """Let the next snapshot read everything again, and check its checksums."""

    def snapshot(self, catalogue: Catalogue) -> Snapshot:
        """Return the newest state; the same object as before where nothing has changed.

        Raises DamagedIndex where it cannot be read: `follow` repairs that.
        """

    def applied(self, catalogue: Catalogue) -> int:
        """Return the number of the last change that is searchable, without opening anything; 0 where none is."""

    def lost(self, catalogue: Catalogue) -> str | None:
        """Return, in words, what the catalogue has lost of the changes that the engine has applied; None if nothing."""

    def compare(self, catalogue: Catalogue, snapshot: Snapshot) -> list[str]:
        """Return, in words, what differs between a snapshot of this engine and the catalogue."""


def open_engine(name: str, folder: Path, space: EmbeddingSpace) -> Engine:
    """Return the engine of a name, `local` or `memory`, over a space; only the local one keeps files, in `folder`.

    Raises BadInput for another name.
    """
    match name:
        case "local":
            from searchsvc.engines.local import LocalEngine

            return LocalEngine(folder, space)
        case "memory":
            from searchsvc.engines.memory import MemoryEngine

            return MemoryEngine(space)
    raise BadInput(f"there is no engine {name!r}", "local and memory are known")
