"""The library: the one object that every face uses, and the only place where parts are chosen and joined."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from searchsvc.articles import Article, Problem
from searchsvc.catalogue import Catalogue, Entry
from searchsvc.embedding import BUNDLED, Embedder, load, locate
from searchsvc.engines import Filter, Snapshot
from searchsvc.engines.local import LocalEngine
from searchsvc.errors import Busy, DamagedIndex, ModelMismatch, NotFound
from searchsvc.indexing import Indexer, Progress, Report
from searchsvc.passages import Splitter
from searchsvc.questions import ask
from searchsvc.searching import Results, answer
from searchsvc.settings import Settings

PASSAGE_TOKENS = 160  # see tests/benchmarks/passage_sizes.py
PATIENCE = 60.0  # seconds that a writer waits for another

Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Status:
    """What is in the index, how big, how fresh. Sizes are bytes; `pending` counts changes not yet searchable."""

    articles: int
    passages: int
    generation: int
    pending: int
    updated: datetime | None
    model: str
    bytes_on_disk: int
    engine: str
    index: str
    passage_tokens: int
    oldest: datetime | None
    newest: datetime | None
    undated: int
    sources: tuple[tuple[str, int], ...]


class Library:
    """One index: what is put into it, and what is asked of it. Safe to use from many threads."""

    def __init__(self, settings: Settings | None = None, *, announce: Announce = lambda _: None) -> None:
        """Open the index that the settings name; nothing is read before it is needed.

        `announce` hears, in one sentence, of anything that will take long.
        """
        self.settings = settings or Settings()
        self.folder = self.settings.index.expanduser().resolve()
        self._announce = announce
        self._opening = threading.Lock()
        self._loading = threading.RLock()
        self._shown: Snapshot | None = None
        self._embedder: Embedder | None = None
        self._engine: LocalEngine | None = None
        self._catalogue: Catalogue | None = None

    # ------------------------------------------------------------------ asking

    def search(
        self,
        question: str,
        *,
        limit: int = 10,
        per_article: int = 1,
        max_tokens: int | None = None,
        after: datetime | None = None,
        before: datetime | None = None,
        as_of: datetime | None = None,
        sources: Iterable[str] = (),
        languages: Iterable[str] = (),
    ) -> Results:
        """Answer a question with the best passages of the best `limit` articles.

        `after` and `before` (inclusive) bound the date of publication; nothing known to be published later than
        `as_of` (default: now) is found; hits end where their passages would exceed `max_tokens`.

        Raises BadInput, NoIndex, ModelMismatch, ModelFailed or DamagedCatalogue.
        """
        allowed = Filter(after, before, as_of or datetime.now(UTC), frozenset(sources), frozenset(languages))
        asked = ask(question, limit=limit, per_article=per_article, max_tokens=max_tokens, allowed=allowed)
        return answer(asked, self.snapshot(), self.catalogue, self.embedder)

    def article(self, ident: str) -> Entry:
        """Return the article with this id; raises NotFound."""
        entry = self.catalogue.article(ident)
        if entry is None:
            raise NotFound(f"there is no article {ident}", "ids come with the hits of a search")
        return entry

    def status(self) -> Status:
        """Return what is indexed; needs neither the model nor the engine."""
        counts = self.catalogue.counts()
        facts = self.catalogue.facts()
        span = self.catalogue.span()
        return Status(
            articles=counts.articles,
            passages=counts.passages,
            generation=counts.generation,
            pending=counts.generation - min(LocalEngine.held(self.folder / "local"), counts.generation),
            updated=counts.updated,
            model=facts.get("model", ""),
            bytes_on_disk=sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file()),
            engine="local",
            index=str(self.folder),
            passage_tokens=int(facts.get("passage_tokens", 0)),
            oldest=span.oldest,
            newest=span.newest,
            undated=span.undated,
            sources=tuple(self.catalogue.sources()),
        )

    def snapshot(self) -> Snapshot:
        """Return the newest searchable state; what is damaged or behind is mended first, unless someone is writing.

        Whoever is writing mends it in the end, and no search waits for that: it gets what was searchable before.
        """
        try:
            self._shown = self.engine.snapshot(self.catalogue)
            if self._shown.generation == self.catalogue.generation():
                return self._shown
        except DamagedIndex as damage:
            self._announce(f"Making the search index anew: {damage.message}.")
        try:
            with self._writing(patience=0):
                self.engine.follow(self.catalogue)
        except Busy:
            if self._shown is None:
                raise
            return self._shown
        self._shown = self.engine.snapshot(self.catalogue)
        return self._shown

    # ------------------------------------------------------------------ changing

    def index(self, paths: Sequence[Path], progress: Progress = lambda _report, _done, _all: None) -> Report:
        """Bring the index in step with files and folders; raises Busy when another process is writing."""
        with self._writing(create=True):
            return self._followed(self._indexer().files(paths, progress))

    def add(self, articles: Iterable[Article | Problem]) -> Report:
        """Add or replace articles; they are searchable when this returns."""
        with self._writing(create=True):
            return self._followed(self._indexer().articles(articles))

    def remove(self, names: Iterable[str]) -> int:
        """Take articles out, named by key, id or source; return how many. Raises NotFound, changing nothing."""
        with self._writing():
            idents: list[str] = []
            for name in names:
                found = self.catalogue.ids_of(name)
                if not found:
                    raise NotFound(f"nothing is indexed under {name!r}", "searchsvc search shows keys and sources")
                idents += found
            with self.catalogue.writing() as writer:
                removed = sum(writer.remove(ident) for ident in dict.fromkeys(idents))
            self.engine.follow(self.catalogue)
        return removed

    def rebuild(self) -> None:
        """Make the search index anew from the catalogue; nothing is embedded again."""
        with self._writing():
            self.engine.rebuild(self.catalogue)

    def verify(self) -> list[str]:
        """Return what is wrong with the index; empty when all is well."""
        found = self.catalogue.check()
        try:
            found += self.engine.check(self.catalogue)
        except DamagedIndex as damage:
            found.append(damage.message)
        return found

    # ------------------------------------------------------------------ parts

    @property
    def exists(self) -> bool:
        """Whether there is an index."""
        return self._catalogue_file.is_file()

    @property
    def catalogue(self) -> Catalogue:
        """The record; raises NoIndex when there is none."""
        with self._opening:
            if self._catalogue is None:
                self._catalogue = Catalogue(self._catalogue_file)
            return self._catalogue

    @property
    def embedder(self) -> Embedder:
        """The model, loaded at its first use; raises ModelMismatch when the index was made with another."""
        with self._loading:
            if self._embedder is None:
                facts = self.catalogue.facts()
                name = self.settings.model or facts.get("model") or BUNDLED
                cache, device = self.settings.cache_folder, self.settings.device
                embedder = load(name, device=device, cache=cache, announce=self._announce)
                if facts.get("fingerprint", embedder.fingerprint) != embedder.fingerprint:
                    raise ModelMismatch(
                        f"the index in {self.folder} was made with the model {facts['model']}, not {name}",
                        "leave out --model, or make another index with --index",
                    )
                self._embedder = embedder
            return self._embedder

    @property
    def engine(self) -> LocalEngine:
        """The engine over the catalogue."""
        with self._loading:
            if self._engine is None:
                facts = self.catalogue.facts()
                dimension = int(facts["dimension"]) if "dimension" in facts else self.embedder.dimension
                fingerprint = facts.get("fingerprint") or self.embedder.fingerprint
                self._engine = LocalEngine(self.folder / "local", dimension, fingerprint)
            return self._engine

    @cached_property
    def _catalogue_file(self) -> Path:
        return self.folder / "catalogue.sqlite3"

    def _indexer(self) -> Indexer:
        facts = self.catalogue.facts()
        wanted = self.settings.passage_tokens
        budget = int(facts.get("passage_tokens", wanted or PASSAGE_TOKENS))
        if wanted not in {0, budget}:
            raise ModelMismatch(
                f"the index in {self.folder} was made with passages of {budget} tokens, not {wanted}",
                "leave out --passage-tokens, or make another index with --index",
            )
        if not facts:
            where = locate(self.settings.model or BUNDLED)
            name = str(where) if self.settings.model and isinstance(where, Path) else self.settings.model or BUNDLED
            made_with = {
                "model": BUNDLED if self.settings.model == BUNDLED else name,
                "fingerprint": self.embedder.fingerprint,
                "dimension": str(self.embedder.dimension),
                "passage_tokens": str(budget),
            }
            with self.catalogue.writing() as writer:
                writer.set_facts(made_with)
        splitter = Splitter(self.embedder.tokenizer, budget=budget, longest=self.embedder.longest)
        return Indexer(self.catalogue, self.embedder, splitter, self.settings.article_bytes)

    def _followed(self, report: Report) -> Report:
        self.engine.follow(self.catalogue)
        return report

    @contextmanager
    def _writing(self, *, create: bool = False, patience: float | None = None) -> Iterator[None]:
        """Hold the writer lock of this index; raises Busy when another process keeps it too long."""
        from filelock import FileLock, Timeout

        if create:
            self.folder.mkdir(parents=True, exist_ok=True)
        else:
            self.catalogue  # noqa: B018  says so where there is no index, before anything is made
        holder = self.folder / "writer.pid"
        lock = FileLock(self.folder / "writer.lock", timeout=PATIENCE if patience is None else patience)
        try:
            lock.acquire()
        except Timeout:
            try:
                who = f"process {holder.read_text(encoding='utf-8').strip()}"
            except OSError:
                who = "another process"
            raise Busy(f"{who} is writing to the index in {self.folder}", "try again when it has finished") from None
        try:
            holder.write_text(str(os.getpid()), encoding="utf-8")
            if create and not self.exists:
                self._catalogue = Catalogue(self._catalogue_file, create=True)
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()
