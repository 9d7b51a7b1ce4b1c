"""The local engine: FAISS and tantivy on this machine's disk.

Its files lie in one folder beside the catalogue and may be deleted at any time. The one writer applies changes to
them; other processes only read them, and read what they lack yet from the catalogue.
"""

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from searchsvc.catalogue import Catalogue, EmbeddingSpace, to_microseconds
from searchsvc.engines import Candidates, Snapshot
from searchsvc.engines.columns import COLUMNS, UNDATED, Columns, mask, published_in, read_articles
from searchsvc.engines.local import dense, manifest
from searchsvc.engines.local.lexical import Lexical, LexicalSnapshot
from searchsvc.errors import DamagedIndex
from searchsvc.models import Vectors
from searchsvc.query.filter import Filter

DEAD_SHARE = 0.2  # of the passages in the lexical index, at which it is made anew


@dataclass(frozen=True, slots=True)
class LocalSnapshot:
    """A mapped part, a fresh part, which rows of the mapped one are dead, and a tantivy searcher."""

    generation: int
    identity: str
    articles: int
    passages: int
    updated: datetime | None
    latest: int
    mapped: dense.Part
    fresh: dense.Part
    fresh_vectors: NDArray[np.float16]
    dead: NDArray[np.bool_]
    words: LexicalSnapshot

    def dense(self, vector: Vectors, k: int, filters: Filter) -> Candidates:
        """Return the k passages nearest to a unit vector (dimension,), with their cosines."""
        filters = self._simplified(filters)
        rows = self.words.rows(filters.phrases) if filters.phrases else None
        excluded = self.words.articles(filters.excluded) if filters.excluded else None
        matching = mask(self.mapped.columns, filters, rows, excluded)
        if self.dead.any():
            matching = ~self.dead if matching is None else matching & ~self.dead
        matching_fresh = mask(self.fresh.columns, filters, rows, excluded)
        positions, scores = self.mapped.search(vector, k, matching)
        fresh_positions, fresh_scores = self.fresh.search(vector, k, matching_fresh)
        columns = np.concatenate([self.mapped.columns[positions], self.fresh.columns[fresh_positions]])
        scores = np.concatenate([scores, fresh_scores])
        best = np.argsort(-scores, kind="stable")[:k]
        return Candidates(columns["row"][best], columns["article"][best], scores[best])

    def lexical(
        self, words: Sequence[str], k: int, filters: Filter, pairs: Mapping[tuple[str, str], float] | None = None
    ) -> Candidates:
        """Return the k passages with the best BM25 scores for these words, and for these pairs side by side."""
        return self.words.search(words, k, self._simplified(filters), pairs or {})

    def published(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return when passages, given by ascending row, were published, in microseconds since 1970; which are dated."""
        return published_in([self.mapped.columns, self.fresh.columns], rows)

    def frequencies(self, words: Sequence[str]) -> list[int]:
        """Return the number of passages that hold each word."""
        return self.words.frequencies(words)

    def rows(self) -> NDArray[np.int64]:
        """Return the rows of the passages that a dense search can find, ascending."""
        return np.concatenate([self.mapped.columns["row"][~self.dead], self.fresh.columns["row"]])

    def _simplified(self, filters: Filter) -> Filter:
        """Leave out `as_of` where nothing is later, which is so for most searches."""
        if filters.as_of is not None and to_microseconds(filters.as_of) >= self.latest:
            return replace(filters, as_of=None)
        return filters


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
        """Apply what the catalogue has committed; what is damaged is made anew. Only the one writer calls this."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            lexical = self._open_lexical()
            _check_identity(catalogue, lexical.generation, lexical.identity)
            lexical.apply(catalogue, self._space)
        except DamagedIndex:
            self._lexical = None
            lexical = Lexical.make(self._folder, catalogue, self._space)
        if lexical.deleted_share > DEAD_SHARE:
            lexical = Lexical.make(self._folder, catalogue, self._space)
        self._lexical = lexical
        try:
            mapped = self._mapped()
            _check_identity(catalogue, mapped.generation, mapped.identity)
            added, removed = catalogue.changes.between(mapped.generation, catalogue.changes.last())
            dead = int(mapped.part.of(removed).sum())
            fresh = catalogue.passages.count(added, self._space.row)
            outdated = dense.worth_writing(fresh, dead, len(mapped.part.columns))
        except DamagedIndex:
            outdated = True
        if outdated:
            dense.write(self._folder, catalogue, self._space)

    def applied(self, catalogue: Catalogue) -> int:  # noqa: ARG002
        """Return the number of the last change that is searchable, without opening anything; 0 where none is."""
        try:
            return Lexical.applied_in(self._folder)[0]
        except DamagedIndex:
            return 0

    def lost(self, catalogue: Catalogue) -> str | None:
        """Return, in words, what the catalogue has lost of the changes that the files hold; None if nothing."""
        try:
            applied, identity = Lexical.applied_in(self._folder)
        except DamagedIndex:
            return None
        lineage, _, made_at = identity.partition(" ")
        if lineage != catalogue.lineage() or identity == catalogue.changes.identity(applied) or not applied:
            return None
        last = catalogue.changes.last()
        count = f"up to {applied - last:,} changes" if applied > last else "changes"
        return (
            f"the catalogue ends at change {last:,}, the search index had reached {applied:,} (made {made_at}): "
            f"{count} may be lost; index the sources again, then searchsvc rebuild ends this notice"
        )

    def reopen(self) -> None:
        """Let the next snapshot open all files again, and check their checksums."""
        with self._lock:
            self._forget()

    def compare(self, catalogue: Catalogue, snapshot: Snapshot) -> list[str]:
        """Return, in words, what differs between a snapshot of this engine and the catalogue."""
        assert isinstance(snapshot, LocalSnapshot)
        behind = catalogue.changes.last() - snapshot.generation
        if behind:
            return [f"the index is {behind:,} changes behind the catalogue"]
        recorded = catalogue.passages.rows(self._space.row)
        problems = []
        for name, rows in (("dense", snapshot.rows()), ("lexical", snapshot.words.rows())):
            for problem, count in (
                ("lacks", len(np.setdiff1d(recorded, rows))),
                ("holds beyond the catalogue's", len(np.setdiff1d(rows, recorded))),
                ("holds twice", len(rows) - len(np.unique(rows))),
            ):
                if count:
                    problems.append(f"the {name} index {problem} {count:,} passages")
        return problems

    def rebuild(self, catalogue: Catalogue) -> None:
        """Make all files anew from the catalogue; those in force serve until they are ready."""
        self.reopen()
        self._folder.mkdir(parents=True, exist_ok=True)
        dense.write(self._folder, catalogue, self._space)
        self._lexical = Lexical.make(self._folder, catalogue, self._space)

    def snapshot(self, catalogue: Catalogue) -> LocalSnapshot:
        """Return the newest state that both indexes hold; raises DamagedIndex when a file cannot be used.

        While one thread opens a newer state, the others get the one before.
        """
        if not self._lock.acquire(blocking=self._current is None):
            current = self._current
            if current is not None:
                return current
            self._lock.acquire()
        try:
            return self._newest(catalogue)
        except DamagedIndex:
            return self._read_again(catalogue)
        finally:
            self._lock.release()

    def _read_again(self, catalogue: Catalogue) -> LocalSnapshot:
        """Return the newest state; try again as long as another process replaces files, which is no damage."""
        while True:
            before = self._state()
            try:
                return self._newest(catalogue)
            except DamagedIndex:
                if self._state() == before:
                    raise

    def _state(self) -> dict[Path, bytes]:
        """Return the content of all manifests, which changes when another process replaces files."""
        manifests = {}
        for file in (*self._folder.glob("*.json"), *self._folder.glob("*/meta.json")):
            with suppress(OSError):
                manifests[file] = file.read_bytes()
        return manifests

    def _newest(self, catalogue: Catalogue) -> LocalSnapshot:
        lexical = self._open_lexical()
        generation, identity = lexical.generation, lexical.identity
        _check_identity(catalogue, generation, identity)
        current = self._current
        if current is None or (current.generation, current.identity) != (generation, identity):
            self._current = current = self._take(catalogue, lexical, generation, identity)
        return current

    def _take(self, catalogue: Catalogue, lexical: Lexical, generation: int, identity: str) -> LocalSnapshot:
        mapped = self._mapped()
        part = mapped.part
        with catalogue.reading():
            _check_identity(catalogue, generation, identity)
            _check_identity(catalogue, mapped.generation, mapped.identity)
            applied, vectors, columns, dead = self._before(catalogue, mapped, generation)
            added, removed = catalogue.changes.between(applied, generation)
            removed += catalogue.articles.deleted(catalogue.changes.between(generation, catalogue.changes.last())[1])
            new_vectors, new_columns = read_articles(catalogue, added, self._space)
            updated = catalogue.changes.time_of(generation)
        dead = dead | part.of(removed)
        living = ~np.isin(columns["article"], removed)
        vectors = np.concatenate([vectors[living], new_vectors])
        fresh = dense.part_of(vectors, np.concatenate([columns[living], new_columns]), self._space.dimension)
        articles = np.concatenate([part.articles[~dead], fresh.articles])
        dates = (part.columns["published"][~dead], fresh.columns["published"])
        return LocalSnapshot(
            generation=generation,
            identity=identity,
            articles=int(np.count_nonzero(np.diff(articles))) + bool(len(articles)),
            passages=len(articles),
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
        """Return what the current snapshot knows already: its last change, fresh vectors and columns, dead passages."""
        current = self._current
        if (
            current is not None
            and current.mapped is mapped.part
            and current.generation <= generation
            and current.identity == catalogue.changes.identity(current.generation)
        ):
            applied = max(current.generation, mapped.generation)  # files that are made anew may be ahead for a while
            return applied, current.fresh_vectors, current.fresh.columns, current.dead
        none = np.empty((0, self._space.dimension), np.float16)
        return mapped.generation, none, np.empty(0, COLUMNS), np.zeros(len(mapped.part.columns), bool)

    def _mapped(self) -> dense.Mapped:
        """Return the part in force, opened again only when another has come into force."""
        facts = manifest.bytes_of(self._folder / dense.MANIFEST)
        if self._opened is None or self._opened[0] != facts:
            self._opened = (facts, dense.opened(self._folder, self._space))
        return self._opened[1]

    def _open_lexical(self) -> Lexical:
        if self._lexical is None or not self._lexical.in_force:
            self._lexical = Lexical(self._folder)
        return self._lexical

    def _forget(self) -> None:
        self._lexical = self._current = self._opened = None


def _check_identity(catalogue: Catalogue, generation: int, identity: str) -> None:
    """Raise DamagedIndex where the change that files hold as their last is not the one of this catalogue."""
    if identity != catalogue.changes.identity(generation):
        raise DamagedIndex("the index files are of another catalogue")
