"""The local engine: FAISS and tantivy on this machine's disk.

Its files lie in one folder beside the catalogue and may be deleted at any time. The one writer keeps them in step;
any other process only reads them, and what they lack yet it reads from the catalogue itself.
"""

import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from searchsvc.catalogue import Catalogue, to_microseconds
from searchsvc.embedding import Vectors
from searchsvc.engines import Candidates, Filter
from searchsvc.engines.local import dense
from searchsvc.engines.local.columns import UNDATED, mask
from searchsvc.engines.local.lexical import Lexical, LexicalSnapshot
from searchsvc.errors import DamagedIndex


@dataclass(frozen=True, slots=True)
class LocalSnapshot:
    """A mapped part, a fresh part, which rows of the mapped one are dead, and a tantivy searcher."""

    generation: int
    articles: int
    passages: int
    updated: datetime | None
    latest: int
    mapped: dense.Part
    fresh: dense.Part
    dead: NDArray[np.bool_]
    words: LexicalSnapshot

    def dense(self, vector: Vectors, k: int, allowed: Filter) -> Candidates:
        """Return the k passages nearest to a unit vector (dimension,), with their cosines."""
        allowed = self._needed(allowed)
        let = mask(self.mapped.columns, allowed)
        if self.dead.any():
            let = ~self.dead if let is None else let & ~self.dead
        found = [
            (part.columns[positions], scores)
            for part, bits in ((self.mapped, let), (self.fresh, mask(self.fresh.columns, allowed)))
            for positions, scores in [part.search(vector, k, bits)]
        ]
        columns = np.concatenate([columns for columns, _ in found])
        scores = np.concatenate([scores for _, scores in found])
        best = np.argsort(-scores, kind="stable")[:k]
        return Candidates(columns["row"][best], columns["article"][best], scores[best])

    def lexical(self, words: Sequence[str], k: int, allowed: Filter) -> Candidates:
        """Return the k passages that hold most of these words, with their BM25 scores."""
        return self.words.search(words, k, self._needed(allowed))

    def frequencies(self, words: Sequence[str]) -> list[int]:
        """Return in how many passages each word stands."""
        return self.words.frequencies(words)

    def _needed(self, allowed: Filter) -> Filter:
        """Leave out `as_of` where nothing is later, which is so for most searches."""
        if allowed.as_of is not None and to_microseconds(allowed.as_of) >= self.latest:
            return replace(allowed, as_of=None)
        return allowed


class LocalEngine:
    """Follows one catalogue with files in `folder`; vectors have `dimension` and come from one model."""

    def __init__(self, folder: Path, dimension: int, fingerprint: str) -> None:
        self._folder = folder
        self._dimension = dimension
        self._fingerprint = fingerprint
        self._lock = threading.Lock()
        self._lexical: Lexical | None = None
        self._current: LocalSnapshot | None = None
        self._opened: tuple[bytes, dense.Mapped] | None = None

    def follow(self, catalogue: Catalogue) -> None:
        """Take over what the catalogue has committed; what is damaged is made anew. Only the one writer calls this."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lexical = lexical = Lexical(self._folder / "lexical")
            _check_stamp(catalogue, lexical.generation, lexical.stamp)
            lexical.searcher()
        except DamagedIndex:
            self._drop("lexical*")
            self._lexical = lexical = Lexical(self._folder / "lexical", create=True)
        lexical.apply(catalogue)
        try:
            mapped = self._mapped()
            _check_stamp(catalogue, mapped.generation, mapped.stamp)
            added, removed = catalogue.changes(mapped.generation, catalogue.generation())
            dead = int(np.isin(mapped.part.columns["article"], removed).sum())
            stale = dense.worth_writing(catalogue.passage_count(added), dead, len(mapped.part.columns))
        except DamagedIndex:
            stale = True
        if stale:
            dense.write(self._folder, catalogue, self._dimension, self._fingerprint)

    @staticmethod
    def held(folder: Path) -> int:
        """Return the number of the last change that is searchable, without opening anything; 0 when none is."""
        try:
            return Lexical.generation_in(folder / "lexical")
        except DamagedIndex:
            return 0

    def check(self, catalogue: Catalogue) -> list[str]:
        """Return what differs between the files and the catalogue; raises DamagedIndex where they cannot be read."""
        self._opened = self._lexical = self._current = None  # so that the checksums are looked at again
        snapshot = self.snapshot(catalogue)
        counts = catalogue.counts()
        found = []
        for name, number in (("dense", snapshot.passages), ("lexical", snapshot.words.passages)):
            if number != counts.passages:
                found.append(f"the {name} index holds {number:,} passages, the catalogue {counts.passages:,}")
        if snapshot.generation != counts.generation:
            found.append(f"the index is {counts.generation - snapshot.generation:,} changes behind the catalogue")
        return found

    def rebuild(self, catalogue: Catalogue) -> None:
        """Make all files anew from the catalogue."""
        self._drop("lexical*")
        self._drop("dense*")
        self.follow(catalogue)

    def snapshot(self, catalogue: Catalogue) -> LocalSnapshot:
        """Return the newest state that both indexes can show; raises DamagedIndex when a file cannot be used."""
        with self._lock:
            lexical = self._open_lexical()
            generation = lexical.generation
            current = self._current
            if current is None or current.generation != generation:
                self._current = current = self._take(catalogue, lexical, generation)
            return current

    def _take(self, catalogue: Catalogue, lexical: Lexical, generation: int) -> LocalSnapshot:
        mapped = self._mapped()
        part, upto = mapped.part, mapped.generation
        with catalogue.reading():
            newest = catalogue.generation()
            _check_stamp(catalogue, generation, lexical.stamp)
            _check_stamp(catalogue, upto, mapped.stamp)
            added, _ = catalogue.changes(upto, generation)
            _, removed = catalogue.changes(upto, newest)
            vectors, columns = dense.read_articles(catalogue, added, self._dimension)
            updated = catalogue.changed_at(generation)
        dead = np.isin(part.columns["article"], removed)
        living = np.concatenate([part.columns[~dead], columns])
        return LocalSnapshot(
            generation=generation,
            articles=len(np.unique(living["article"])),
            passages=len(living),
            updated=updated,
            latest=int(living["published"].max(initial=UNDATED)),
            mapped=part,
            fresh=dense.part_of(vectors, columns, self._dimension),
            dead=dead,
            words=lexical.searcher(),
        )

    def _mapped(self) -> dense.Mapped:
        """Return the part in force, opened again only when another has come into force."""
        try:
            facts = (self._folder / dense.LEDGER).read_bytes()
        except OSError as error:
            raise DamagedIndex(f"the dense index cannot be read: {error}") from error
        if self._opened is None or self._opened[0] != facts:
            self._opened = (facts, dense.opened(self._folder, self._dimension, self._fingerprint))
        return self._opened[1]

    def _open_lexical(self) -> Lexical:
        if self._lexical is None:
            self._lexical = Lexical(self._folder / "lexical")
        return self._lexical

    def _drop(self, pattern: str) -> None:
        self._lexical = None
        self._current = None
        self._opened = None
        for path in self._folder.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _check_stamp(catalogue: Catalogue, generation: int, stamp: str) -> None:
    """Raise DamagedIndex where the change that files hold as their last was made at another time in this catalogue."""
    if stamp != str(catalogue.changed_at(generation)):
        raise DamagedIndex("the index files are of another catalogue")
