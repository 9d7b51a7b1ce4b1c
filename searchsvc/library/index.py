"""An index: one folder with its catalogue, the engine that follows it, and the models that it needs.

settings ──► Parts (engine and models, chosen once) ──► Index ──► catalogue · serving space · snapshot · write lock
"""

import errno
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from searchsvc import engines, models
from searchsvc.catalogue import Catalogue, EmbeddingSpace
from searchsvc.catalogue.health import Health
from searchsvc.catalogue.lock import ProcessMarker, write_lock
from searchsvc.engines import Engine, Snapshot
from searchsvc.errors import Busy, DamagedIndex, ModelMismatch, NoIndex, SearchsvcError, Unwritable
from searchsvc.ingest.near_duplicates import find_near_duplicates
from searchsvc.models import Embedder, Reranker
from searchsvc.settings import Settings

LOSS = "loss"  # name of the fact that says what the catalogue has lost

READ_ONLY_ERRORS = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
READ_ONLY = "it can be searched as it is; to change it, see who owns the folder, and whether its disk may be written to"
MAKE_ROOM = "make room, or see who owns the folder"
PUT_BACK = "put it back, or searchsvc index PATH… makes another"

Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a library is made with: an engine for a space (its folder given), an embedder and a reranker by name."""

    open_engine: Callable[[Path, EmbeddingSpace], Engine]
    load_embedder: Callable[[str], Embedder]
    load_reranker: Callable[[str], Reranker]


def parts_from(settings: Settings, announce: Announce) -> Parts:
    """Return the engine and the models that the settings name."""
    device, cache = settings.device, settings.cache_folder
    return Parts(
        open_engine=lambda folder, space: engines.open_engine(settings.engine, folder, space),
        load_embedder=lambda name: models.load_embedder(name, device=device, cache=cache, announce=announce),
        load_reranker=lambda name: models.load_reranker(name, device=device, cache=cache, announce=announce),
    )


class Serving:
    """An embedding space with its engine, and with its model once that is needed."""

    def __init__(self, space: EmbeddingSpace, engine: Engine, load: Callable[[EmbeddingSpace], Embedder]) -> None:
        self.space = space
        self.engine = engine
        self._load = load
        self._loading = threading.Lock()
        self._embedder: Embedder | None = None

    @property
    def embedder(self) -> Embedder:
        """The model, loaded at its first use; raises ModelMismatch when it is not the one that made the space."""
        with self._loading:
            if self._embedder is None:
                self._embedder = self._load(self.space)
            return self._embedder


class Index:
    """One index folder, opened when it is first needed. Safe to use from many threads."""

    def __init__(self, settings: Settings, announce: Announce, parts: Parts | None) -> None:
        self.settings = settings
        self.folder = settings.index_folder
        self.announce = announce
        self.process = ProcessMarker(self.folder)
        self.health = Health(self.folder, self.process, lambda: self.catalogue if self.exists else None)
        self.parts = parts or parts_from(settings, announce)
        self._opening = threading.Lock()
        self._choosing = threading.Lock()
        self._loading = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._serving: Serving | None = None
        self._catalogue: Catalogue | None = None
        self._reranker: Reranker | None = None
        self._is_gone = False  # the index that was open is, and no other lies in its place

    @cached_property
    def file(self) -> Path:
        """The catalogue's file."""
        return self.folder / "catalogue.sqlite3"

    @property
    def exists(self) -> bool:
        """Whether there is an index."""
        return self.file.is_file()

    @property
    def is_open(self) -> bool:
        """Whether there is an index, or was one when it was opened."""
        return self.exists or self._catalogue is not None or self._is_gone

    @property
    def catalogue(self) -> Catalogue:
        """The record; raises NoIndex when there is none."""
        with self._opening:
            if self._catalogue is not None and not self._catalogue.is_current:
                if self._catalogue.is_beside_its_log:
                    log = f"{self.file.name}-wal"
                    raise Busy(
                        f"another catalogue was put in {self.folder} beside the write-ahead log of the one before",
                        f"stop what is open on the index, and take {log} away, before a catalogue is put in place",
                    )
                self._let_go()
            if self._catalogue is None:
                if self._is_gone and not self.exists:
                    raise NoIndex(f"the index in {self.folder} is gone: it was deleted or moved away", PUT_BACK)
                self._catalogue = Catalogue(self.file)
                self._is_gone = False
            return self._catalogue

    def replace_catalogue(self, catalogue: Catalogue) -> None:
        """Go on with a catalogue that was put in place of the one before."""
        self._catalogue, self._snapshot, self._serving, self._is_gone = catalogue, None, None, False

    def close(self) -> None:
        """Let go of this thread's connection and of the models; the next use opens them again."""
        if self._catalogue is not None:
            self._catalogue.close()
        self._catalogue = self._snapshot = self._serving = self._reranker = None

    def _let_go(self) -> None:
        """Serve nothing more of a catalogue that is no longer the one in the folder, and say so."""
        self.announce(
            f"Attention: another index was put in place of the one in {self.folder}; what comes next is of that one."
            if self.exists
            else f"Attention: the index in {self.folder} is gone; nothing is found or taken in until it is back."
        )
        self._catalogue, self._is_gone = None, True
        self._snapshot = self._serving = None
        gc.collect()  # Python's connections stand in cycles, and until they are closed SQLite opens no other log

    # ------------------------------------------------------------------ engine and models

    @property
    def serving(self) -> Serving:
        """The space that serves, with engine and model; another once re-embedding is complete. Raises NoIndex."""
        space = self.catalogue.spaces.get()
        if space is None:
            raise NoIndex(f"the index in {self.folder} is empty", "searchsvc index PATH… fills it")
        with self._choosing:
            if self._serving is None or self._serving.space != space:
                self._serving = Serving(space, self.engine(space), self._model_of)
                self._snapshot = None
            return self._serving

    def engine(self, space: EmbeddingSpace, folder: Path | None = None) -> Engine:
        """Return the engine of a space, with its files in their usual folder, or in another."""
        return self.parts.open_engine(folder or self.engine_folder(space), space)

    def engine_folder(self, space: EmbeddingSpace) -> Path:
        """Return where the engine of a space keeps its files."""
        return self.folder / self.settings.engine / str(space.row)

    @property
    def reranker(self) -> Reranker | None:
        """The model that reads the best passages once more, loaded at its first use; None where none is set."""
        if not self.settings.rerank:
            return None
        with self._loading:
            if self._reranker is None:
                self._reranker = self.parts.load_reranker(self.settings.rerank)
            return self._reranker

    def _model_of(self, space: EmbeddingSpace) -> Embedder:
        embedder = self.parts.load_embedder(space.model)
        if embedder.fingerprint != space.fingerprint:
            raise ModelMismatch(
                f"the index in {self.folder} was made with another model of the name {space.model}",
                f"searchsvc rebuild --model {space.model} embeds everything anew",
            )
        return embedder

    # ------------------------------------------------------------------ searching

    def snapshot(self, serving: Serving | None = None) -> Snapshot:
        """Return the newest searchable state; what is damaged or behind is repaired first, unless someone is writing.

        Whoever is writing repairs it in the end, and no search waits for that, or for room on the disk: it gets what
        was searchable before.
        """
        serving = serving or self.serving
        snapshot: Snapshot | None = None
        try:
            snapshot = self._snapshot = serving.engine.snapshot(self.catalogue)
            if snapshot.generation >= self.catalogue.changes.last():
                return snapshot
        except DamagedIndex as damage:
            if self.note_loss(serving) is None:
                self.announce(f"Making the search index anew: {damage.message}.")
        try:
            with self.lock(patience=0):
                serving.engine.follow(self.catalogue)
        except (Busy, Unwritable):
            if (snapshot := snapshot or self._snapshot) is None:
                raise
            return snapshot
        self._snapshot = serving.engine.snapshot(self.catalogue)
        return self._snapshot

    # ------------------------------------------------------------------ writing

    @contextmanager
    def lock(self, *, create: bool = False, restore: bool = False, patience: float | None = None) -> Iterator[None]:
        """Hold the write lock; raises Busy when another process keeps it too long, Unwritable where nobody can write.

        With `create`, an index is made where there is none; with `restore`, its folder alone.
        """
        if self.settings.index_folder != self.folder:
            raise Busy(
                f"{self.settings.index} leads to another folder than {self.folder}, which is open",
                "start this process again, and it opens that one",
            )
        if create or restore:
            self.folder.mkdir(parents=True, exist_ok=True)
        else:
            self.catalogue  # noqa: B018  says so where there is no index, before anything is made
        try:
            with write_lock(self.folder, patience):
                if create and not self.exists:
                    self._catalogue = Catalogue(self.file, create=True)
                elif not (create or restore):
                    self.catalogue  # noqa: B018  which may have been replaced while we waited
                yield
        except OSError as error:
            message = f"the index in {self.folder} cannot be written: {error.strerror or error}"
            raise Unwritable(message, READ_ONLY if error.errno in READ_ONLY_ERRORS else MAKE_ROOM) from error

    @contextmanager
    def commit_lock(self) -> Iterator[None]:
        """Hold the write lock for one commit; then find near-duplicates in it, and make it searchable."""
        with self.lock():
            catalogue = self.catalogue
            self.note_loss(self.serving)
            yield
            with self.supervised("near-duplicates") as is_due:
                if is_due:
                    find_near_duplicates(catalogue)
            serving = self.serving
            if serving.engine.applied(catalogue) != catalogue.changes.last():
                serving.engine.follow(catalogue)

    @contextmanager
    def supervised(self, part: str) -> Iterator[bool]:
        """Give whether a part of the work is due; an unforeseen error of it is reported, and goes no further."""
        is_due = not self.health.is_waiting(part)
        try:
            yield is_due
        except SearchsvcError:
            raise  # such as a full disk: of all that is being done, and said by whoever does it
        except Exception as error:  # noqa: BLE001  nobody knows what a library raises on another article
            self.health.failed(part, error)
        else:
            if is_due:
                self.health.well(part)

    def note_loss(self, serving: Serving) -> str | None:
        """Record, and say, that the catalogue holds less than the search index had taken from it; return that."""
        loss = serving.engine.lost(self.catalogue)
        if loss is not None and self.catalogue.metadata.get(LOSS) is None:
            self.announce(f"Attention: {loss}.")
            with suppress(Busy, Unwritable), self.catalogue.writing() as writer:
                writer.metadata.set(LOSS, loss)
        return loss
