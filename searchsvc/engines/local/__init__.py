"""The local engine: FAISS and tantivy on this machine's disk.

Its files lie in one folder beside the catalogue and may be deleted at any time. The one writer keeps them in step;
any other process only reads them, and what they lack yet it reads from the catalogue itself.
"""

import shutil
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from searchsvc.catalogue import Catalogue, EmbeddingSpace, to_microseconds
from searchsvc.engines import Candidates
from searchsvc.engines.local import dense
from searchsvc.engines.local import manifest as ledger
from searchsvc.engines.local.columns import COLUMNS, UNDATED, Columns, mask
from searchsvc.engines.local.lexical import Lexical, LexicalSnapshot
from searchsvc.errors import DamagedIndex
from searchsvc.models.embedder import Vectors
from searchsvc.query.filter import Filter

DEAD_SHARE = 0.2  # of the passages in the lexical index, at which it is made anew


@dataclass(frozen=True, slots=True)
class LocalSnapshot:
    """A mapped part, a fresh part, which rows of the mapped one are dead, and a tantivy searcher."""

    generation: int
    stamp: str
    articles: int
    passages: int
    updated: datetime | None
    latest: int
    mapped: dense.Part
    fresh: dense.Part
    fresh_vectors: NDArray[np.float16]
    dead: NDArray[np.bool_]
    words: LexicalSnapshot

    def dense(self, vector: Vectors, k: int, allowed: Filter) -> Candidates:
        """Return the k passages nearest to a unit vector (dimension,), with their cosines."""
        allowed = self._needed(allowed)
        holding = self.words.rows(allowed.phrases) if allowed.phrases else None
        excluded = self.words.articles(allowed.excluded) if allowed.excluded else None
        let = mask(self.mapped.columns, allowed, holding, excluded)
        if self.dead.any():
            let = ~self.dead if let is None else let & ~self.dead
        found = [
            (part.columns[positions], scores)
            for part, bits in (
                (self.mapped, let),
                (self.fresh, mask(self.fresh.columns, allowed, holding, excluded)),
            )
            for positions, scores in [part.search(vector, k, bits)]
        ]
        columns = np.concatenate([columns for columns, _ in found])
        scores = np.concatenate([scores for _, scores in found])
        best = np.argsort(-scores, kind="stable")[:k]
        return Candidates(columns["row"][best], columns["article"][best], scores[best])

    def lexical(
        self, words: Sequence[str], k: int, allowed: Filter, pairs: Mapping[tuple[str, str], float] | None = None
    ) -> Candidates:
        """Return the k passages that hold most of these words, and of these pairs side by side, with BM25 scores."""
        return self.words.search(words, k, self._needed(allowed), pairs or {})

    def published(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return when passages, given by ascending row, were published, in microseconds since 1970; which are dated."""
        found = np.full(len(rows), UNDATED)
        for part in (self.mapped, self.fresh):
            there = part.columns["row"]
            if len(there):
                at = np.minimum(np.searchsorted(there, rows), len(there) - 1)
                found = np.where(there[at] == rows, part.columns["published"][at], found)
        return found, found != UNDATED

    def frequencies(self, words: Sequence[str]) -> list[int]:
        """Return in how many passages each word stands."""
        return self.words.frequencies(words)

    def rows(self) -> NDArray[np.int64]:
        """Return the rows of the passages that the dense index finds, ascending."""
        return np.concatenate([self.mapped.columns["row"][~self.dead], self.fresh.columns["row"]])

    def _needed(self, allowed: Filter) -> Filter:
        """Leave out `as_of` where nothing is later, which is so for most searches."""
        if allowed.as_of is not None and to_microseconds(allowed.as_of) >= self.latest:
            return replace(allowed, as_of=None)
        return allowed


class LocalEngine:
    """Follows one catalogue, in one embedding space, with files in `folder`."""

    def __init__(self, folder: Path, space: EmbeddingSpace) -> None:
        self._folder = folder
        self._space = space
        self._lock = threading.Lock()
        self._lexical: Lexical | None = None
        self._current: LocalSnapshot | None = None
        self._opened: tuple[bytes, dense.Mapped] | None = None

    def follow(self, catalogue: Catalogue) -> None:
        """Take over what the catalogue has committed; what is damaged is made anew. Only the one writer calls this."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            lexical = self._open_lexical()
            _check_stamp(catalogue, lexical.generation, lexical.stamp)
            lexical.apply(catalogue, self._space)
        except DamagedIndex:
            self._lexical = None
            lexical = Lexical.make(self._folder, catalogue, self._space)
        if lexical.deleted_share > DEAD_SHARE:
            lexical = Lexical.make(self._folder, catalogue, self._space)
        self._lexical = lexical
        try:
            mapped = self._mapped()
            _check_stamp(catalogue, mapped.generation, mapped.stamp)
            added, removed = catalogue.changes.between(mapped.generation, catalogue.changes.last())
            dead = int(mapped.part.of(removed).sum())
            fresh = catalogue.passages.count(added, self._space.row)
            stale = dense.worth_writing(fresh, dead, len(mapped.part.columns))
        except DamagedIndex:
            stale = True
        if stale:
            dense.write(self._folder, catalogue, self._space)

    @staticmethod
    def held(folder: Path) -> int:
        """Return the number of the last change that is searchable, without opening anything; 0 when none is."""
        try:
            return Lexical.generation_in(folder)
        except DamagedIndex:
            return 0

    @staticmethod
    def lost(folder: Path, catalogue: Catalogue) -> str | None:
        """Return what a catalogue has lost, by what the files in a folder say that they followed; None if nothing."""
        try:
            generation, stamp = Lexical.last_in(folder)
        except DamagedIndex:
            return None
        lineage, _, at = stamp.partition(" ")
        if lineage != catalogue.lineage() or stamp == catalogue.changes.identity(generation) or not generation:
            return None
        now = catalogue.changes.last()
        many = f"up to {generation - now:,} changes" if generation > now else "changes"
        return (
            f"the catalogue ends at change {now:,}, the search index had reached {generation:,} (made {at}): "
            f"{many} may be lost; index the sources again, then searchsvc rebuild ends this notice"
        )

    def reopen(self) -> None:
        """Let the next snapshot open all files again, and look at their checksums."""
        with self._lock:
            self._forget()

    def check(self, catalogue: Catalogue) -> list[str]:
        """Return what differs between the files and the catalogue; raises DamagedIndex where they cannot be read."""
        self.reopen()
        return self.compare(catalogue, self.snapshot(catalogue))

    def compare(self, catalogue: Catalogue, snapshot: LocalSnapshot) -> list[str]:
        """Return what differs between a snapshot and the catalogue."""
        behind = catalogue.changes.last() - snapshot.generation
        if behind:
            return [f"the index is {behind:,} changes behind the catalogue"]
        there = catalogue.passages.rows(self._space.row)
        found = []
        for name, rows in (("dense", snapshot.rows()), ("lexical", snapshot.words.rows())):
            for what, number in (
                ("lacks", len(np.setdiff1d(there, rows))),
                ("holds beyond the catalogue's", len(np.setdiff1d(rows, there))),
                ("holds twice", len(rows) - len(np.unique(rows))),
            ):
                if number:
                    found.append(f"the {name} index {what} {number:,} passages")
        return found

    def rebuild(self, catalogue: Catalogue) -> None:
        """Make all files anew from the catalogue; what is there serves until they are ready."""
        with self._lock:
            self._forget()
        self._folder.mkdir(parents=True, exist_ok=True)
        dense.write(self._folder, catalogue, self._space)
        self._lexical = Lexical.make(self._folder, catalogue, self._space)

    def discard(self) -> None:
        """Delete all files."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def snapshot(self, catalogue: Catalogue) -> LocalSnapshot:
        """Return the newest state that both indexes can show; raises DamagedIndex when a file cannot be used.

        While one thread opens a newer state, the others are given the one before.
        """
        if not self._lock.acquire(blocking=self._current is None):
            current = self._current
            if current is not None:
                return current
            self._lock.acquire()
        try:
            return self._newest(catalogue)
        except DamagedIndex:
            return self._settled(catalogue)
        finally:
            self._lock.release()

    def _settled(self, catalogue: Catalogue) -> LocalSnapshot:
        """Return the newest state; what another process replaced while we looked is no damage, and looked at again."""
        while True:
            before = self._state()
            try:
                return self._newest(catalogue)
            except DamagedIndex:
                if self._state() == before:
                    raise

    def _state(self) -> dict[Path, bytes]:
        """Return what tells whether another process has replaced files meanwhile."""
        found = {}
        for file in (*self._folder.glob("*.json"), *self._folder.glob("*/meta.json")):
            with suppress(OSError):
                found[file] = file.read_bytes()
        return found

    def _newest(self, catalogue: Catalogue) -> LocalSnapshot:
        lexical = self._open_lexical()
        generation, stamp = lexical.generation, lexical.stamp
        _check_stamp(catalogue, generation, stamp)
        current = self._current
        if current is None or (current.generation, current.stamp) != (generation, stamp):
            self._current = current = self._take(catalogue, lexical, generation, stamp)
        return current

    def _take(self, catalogue: Catalogue, lexical: Lexical, generation: int, stamp: str) -> LocalSnapshot:
        mapped = self._mapped()
        part = mapped.part
        with catalogue.reading():
            _check_stamp(catalogue, generation, stamp)
            _check_stamp(catalogue, mapped.generation, mapped.stamp)
            done, vectors, columns, dead = self._before(catalogue, mapped, generation)
            added, removed = catalogue.changes.between(done, generation)
            removed += catalogue.articles.deleted(catalogue.changes.between(generation, catalogue.changes.last())[1])
            new_vectors, new_columns = dense.read_articles(catalogue, added, self._space)
            updated = catalogue.changes.time_of(generation)
        dead = dead | part.of(removed)
        stay = ~np.isin(columns["article"], removed)
        vectors = np.concatenate([vectors[stay], new_vectors])
        fresh = dense.part_of(vectors, np.concatenate([columns[stay], new_columns]), self._space.dimension)
        living = np.concatenate([part.articles[~dead], fresh.articles])
        dates = (part.columns["published"][~dead], fresh.columns["published"])
        return LocalSnapshot(
            generation=generation,
            stamp=stamp,
            articles=int(np.count_nonzero(np.diff(living))) + bool(len(living)),
            passages=len(living),
            updated=updated,
            latest=max(int(published.max(initial=UNDATED)) for published in dates),
            mapped=part,
            fresh=fresh,
            fresh_vectors=vectors,
            dead=dead,
            words=lexical.searcher(),
        )

    def _before(
        self, catalogue: Catalogue, mapped: dense.Mapped, generation: int
    ) -> tuple[int, NDArray[np.float16], Columns, NDArray[np.bool_]]:
        """Return what is known already: up to which change, the fresh vectors and columns, the dead in the file."""
        current = self._current
        if (
            current is not None
            and current.mapped is mapped.part
            and current.generation <= generation
            and current.stamp == catalogue.changes.identity(current.generation)
        ):
            done = max(current.generation, mapped.generation)  # files that are made anew may be ahead for a while
            return done, current.fresh_vectors, current.fresh.columns, current.dead
        none = np.empty((0, self._space.dimension), np.float16)
        return mapped.generation, none, np.empty(0, COLUMNS), np.zeros(len(mapped.part.columns), bool)

    def _mapped(self) -> dense.Mapped:
        """Return the part in force, opened again only when another has come into force."""
        facts = ledger.bytes_of(self._folder / dense.LEDGER)
        if self._opened is None or self._opened[0] != facts:
            self._opened = (facts, dense.opened(self._folder, self._space))
        return self._opened[1]

    def _open_lexical(self) -> Lexical:
        if self._lexical is None or not self._lexical.in_force:
            self._lexical = Lexical(self._folder)
        return self._lexical

    def _forget(self) -> None:
        self._lexical = self._current = self._opened = None


def _check_stamp(catalogue: Catalogue, generation: int, stamp: str) -> None:
    """Raise DamagedIndex where the change that files hold as their last is not the one of this catalogue."""
    if stamp != catalogue.changes.identity(generation):
        raise DamagedIndex("the index files are of another catalogue")
