"""The library: the one object that every face uses, and the only place where parts are chosen and joined."""

import errno
import gc
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from searchsvc.catalogue import Catalogue, EmbeddingSpace, FailingPart, Key
from searchsvc.catalogue.health import Health
from searchsvc.catalogue.lock import ProcessMarker, write_lock
from searchsvc.engines import Snapshot
from searchsvc.engines.local import LocalEngine, LocalSnapshot
from searchsvc.errors import (
    BadInput,
    Busy,
    DamagedCatalogue,
    DamagedIndex,
    ModelMismatch,
    NoIndex,
    NotFound,
    SearchsvcError,
    Unwritable,
)
from searchsvc.ingest.indexer import Indexer
from searchsvc.ingest.near_duplicates import find_near_duplicates, is_due
from searchsvc.ingest.prepare import Preparer
from searchsvc.ingest.reembed import Reembed
from searchsvc.ingest.repair import TABLES, Damage, Repair, find_damage
from searchsvc.ingest.report import Progress, Report
from searchsvc.ingest.resplit import Resplit
from searchsvc.models import reranker as reranking
from searchsvc.models.embedder import BUNDLED, Embedder, load, locate
from searchsvc.models.reranker import Reranker
from searchsvc.query.filter import Filter
from searchsvc.query.question import MOST_HITS, MOST_WORDS, Question, must_be_within, parse_question
from searchsvc.readers.process import ReaderProcesses, memory_for
from searchsvc.search.brief import Brief, brief_of
from searchsvc.search.pipeline import Hit, Results, run_query
from searchsvc.search.quotes import QuoteCheck, check_quote, words_of_quote
from searchsvc.search.recall import Verification, measure_recall
from searchsvc.search.similar import similar
from searchsvc.search.timeline import Timeline, timeline_of
from searchsvc.settings import Settings
from searchsvc.text.analysis import content_terms
from searchsvc.text.article import Article, Problem, RawArticle, Version, storable
from searchsvc.text.sources import sources_called

if TYPE_CHECKING:
    from searchsvc.ingest.fetching import Fetcher

PASSAGE_TOKENS = 160  # see tests/benchmarks/passage_sizes.py
GRACE = timedelta(hours=1)  # for which what is no longer in force is kept, for searches that began before
LEAST_RECALL = 0.99  # of the dense index against exact search
DEAD_SHARE, DEAD_BYTES = 0.25, 64_000_000  # of the catalogue, both passed: unused space is given back to the disk

CATCH_UP_SECONDS = 30.0  # after which a change that was committed should be found by whoever made it
SWEEP_SECONDS = 60.0  # between two looks at rows' checksums
SWEPT_ROWS = 2_000  # looked at each time: some hundredths of a second
SWEPT, LOSS = "swept", "loss"  # names of facts: where the sweep goes on; what the catalogue has lost
MOST_DAMAGED = 20  # articles named by status

QUOTING = 50  # passages, whose articles are looked at for a quote

CLOSED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
READ_ONLY = "it can be searched as it is; to change it, see who owns the folder, and whether its disk may be written to"
MAKE_ROOM = "make room, or see who owns the folder"
PUT_BACK = "put it back, or searchsvc index PATH… makes another"

Announce = Callable[[str], None]
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Status:
    """What is in the index, how big, how fresh. Sizes are bytes; `pending` counts changes not yet searchable.

    `parts` are those that are failing, in any process that is at work on the index; see `health`.
    """

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
    unused_bytes: int
    moving_to: str | None
    reranker: str | None
    parts: tuple[FailingPart, ...]
    damaged: tuple[str, ...] = ()  # what is known to be damaged or lost, and could not be mended


class Served:
    """An embedding space with its engine, and with its model once that is needed."""

    def __init__(self, space: EmbeddingSpace, engine: LocalEngine, load: Callable[[EmbeddingSpace], Embedder]) -> None:
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


class Library:
    """One index: what is put into it, and what is asked of it. Safe to use from many threads."""

    def __init__(self, settings: Settings | None = None, *, announce: Announce = lambda _: None) -> None:
        """Open the index that the settings name; nothing is read before it is needed.

        `announce` hears, in one sentence, of anything that will take long.
        """
        self.settings = settings or Settings()
        self.folder = self.settings.index.expanduser().resolve()
        self.announce = announce
        self.presence = ProcessMarker(self.folder)
        self.health = Health(self.folder, self.presence, lambda: self.catalogue if self.exists else None)
        self._opening = threading.Lock()
        self._serving = threading.Lock()
        self._shown: Snapshot | None = None
        self._served: Served | None = None
        self._catalogue: Catalogue | None = None
        self._readers = ReaderProcesses(self.settings.reading_seconds, memory_for(self.settings.article_bytes))
        self._is_gone = False  # the index that was open is, and no other lies in its place
        self._reranking = threading.Lock()
        self._reranker: Reranker | None = None
        self._tidied = time.monotonic()
        self._swept = -SWEEP_SECONDS

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
        freshness: bool = True,
        fold: bool = True,
        period: bool = True,
        explain: bool = False,
    ) -> Results:
        """Answer a question with the best passages of the best `limit` articles.

        `after` and `before` (inclusive) bound the date of publication; nothing known to be published later than `as_of`
        (default: now) is found; hits have, titles counted, at most `max_tokens` (see `fitting`). A source may be named
        as people do (see `sources`); operators in the question (see `operators`) narrow all this further. Copies of one
        story are one hit, and one of the `limit`, unless `fold` is off. Where no bounds are given and the question
        names a period (see `periods`), only what was published in it is found, or at any time where nothing was; the
        `period` of the results' question tells which. With `period` off, the words of time are words like others. With
        `freshness`, what is new comes first among what answers alike (see `freshness`). `explain` tells in the hits'
        `why` what each part of the ranking added.

        Raises BadInput, NoIndex, ModelMismatch, ModelFailed or DamagedCatalogue.
        """
        allowed = Filter(after, before, as_of or datetime.now(UTC), frozenset(sources), frozenset(languages))
        asked = parse_question(
            question,
            limit=limit,
            per_article=per_article,
            max_tokens=max_tokens,
            allowed=allowed,
            freshness=freshness,
            fold=fold,
            period=period,
            explain=explain,
        )
        return self._steadily(lambda: self._answer(asked))

    def similar(self, ident: str, limit: int = 10) -> tuple[Hit, ...]:
        """Return the `limit` articles most like this one, without its copies; see `similarity`.

        Needs no model. Nothing known to be published later than now is found. Raises NotFound, BadInput or NoIndex.
        """
        must_be_within("limit", limit, MOST_HITS)

        def look() -> tuple[Hit, ...]:
            entry, served = self.article(ident), self.served
            allowed = Filter(as_of=datetime.now(UTC))
            return similar(entry, limit, self._snapshot(served), self.catalogue, served.space, allowed)

        return self._steadily(look)

    def timeline(
        self,
        question: str,
        *,
        limit: int = 20,
        after: datetime | None = None,
        before: datetime | None = None,
        as_of: datetime | None = None,
        sources: Iterable[str] = (),
        languages: Iterable[str] = (),
    ) -> Timeline:
        """Return the story that a question asks for in its best `limit` days, the best hit of each, oldest first.

        Takes and raises what `search` does. Age does not count; articles without a date are left out.
        """
        must_be_within("limit", limit, MOST_HITS)
        results = self.search(
            question,
            limit=MOST_HITS,
            after=after,
            before=before,
            as_of=as_of,
            sources=sources,
            languages=languages,
            freshness=False,
        )
        return timeline_of(results, limit)

    def brief(
        self,
        question: str,
        *,
        limit: int = 12,
        after: datetime | None = None,
        before: datetime | None = None,
        as_of: datetime | None = None,
        sources: Iterable[str] = (),
        languages: Iterable[str] = (),
    ) -> Brief:
        """Return what at most `limit` articles answer, in their own sentences, each with its citation; see `briefs`.

        Takes and raises what `search` does.
        """
        return brief_of(
            self.search(
                question,
                limit=limit,
                after=after,
                before=before,
                as_of=as_of,
                sources=sources,
                languages=languages,
            )
        )

    def verify_quote(self, quote: str, ident: str | None = None) -> QuoteCheck:
        """Say whether an article, or without `ident` any, says this word for word or nearly, and where; see `quotes`.

        Needs no model. Anywhere means: in the newest text of the articles that share most of the quote's words. Raises
        BadInput, NotFound or NoIndex.
        """
        words = content_terms(words_of_quote(quote))[:MOST_WORDS]
        if ident is not None:
            return check_quote(quote, [self.article(ident)])
        found = self.snapshot().lexical(words, QUOTING, Filter())
        return check_quote(quote, self.catalogue.articles.by_row(dict.fromkeys(found.articles.tolist())).values())

    def _steadily(self, look: Callable[[], Found]) -> Found:
        """Return what is found; look again where another catalogue was put in its place at this moment."""
        for _ in range(2):
            with suppress(DamagedIndex):
                return look()
        raise Busy(f"the index in {self.folder} is being replaced", "try again in a moment")

    def _answer(self, asked: Question) -> Results:
        served = self.served
        named, snapshot = self._named(asked), self._snapshot(served)
        calibrated = served.space.model == BUNDLED
        parts = (snapshot, self.catalogue, served.embedder, self.reranker)
        results = run_query(named, *parts, calibrated=calibrated)
        if results.hits or named.period is None:
            return results
        wider = run_query(named.at_any_time(), *parts, calibrated=calibrated)
        return replace(wider, took_ms=results.took_ms + wider.took_ms)

    def _named(self, asked: Question) -> Question:
        """Return the question with the sources that are known by the names asked for; an unknown one finds nothing."""
        names = asked.allowed.sources
        known = sources_called(names, (source for source, _ in self.catalogue.articles.sources())) if names else None
        return replace(asked, allowed=replace(asked.allowed, sources=known)) if known else asked

    def versions(self, ident: str) -> list[Version]:
        """Return the texts that an article has had, newest first; raises NotFound."""
        self.article(ident)
        return self.catalogue.articles.versions(ident)

    def article(self, ident: str) -> Article:
        """Return the article with this id; raises NotFound."""
        entry = self.catalogue.articles.get(ident)
        if entry is None:
            raise NotFound(f"there is no article {ident}", "ids come with the hits of a search")
        return entry

    def status(self) -> Status:
        """Return what is indexed; needs neither the model nor the engine."""
        counts = self.catalogue.counts()
        space = self.catalogue.spaces.get()
        span = self.catalogue.articles.date_span()
        making = self.catalogue.spaces.get("making")
        held = LocalEngine.held(self._folder_of(space)) if space else counts.generation
        return Status(
            articles=counts.articles,
            passages=counts.passages,
            generation=counts.generation,
            pending=counts.generation - min(held, counts.generation),
            updated=counts.updated,
            model=space.model if space else "",
            bytes_on_disk=_bytes_in(self.folder),
            engine="local",
            index=str(self.folder),
            passage_tokens=space.passage_tokens if space else 0,
            oldest=span.oldest,
            newest=span.newest,
            undated=span.undated,
            sources=tuple(self.catalogue.articles.sources()),
            unused_bytes=self.catalogue.unused_bytes()[0],
            moving_to=f"{making.model}, passages of up to {making.passage_tokens} tokens" if making else None,
            reranker=self.settings.rerank or None,
            parts=self.health.parts(),
            damaged=tuple(
                filter(None, (self.catalogue.metadata.get(LOSS), *self.catalogue.checksums.damaged()[:MOST_DAMAGED]))
            ),
        )

    def snapshot(self) -> Snapshot:
        """Return the newest searchable state; what is damaged or behind is mended first, unless someone is writing.

        Whoever is writing mends it in the end, and no search waits for that, or for room on the disk: it gets what was
        searchable before.
        """
        return self._snapshot(self.served)

    def _snapshot(self, served: Served) -> Snapshot:
        shown: Snapshot | None = None
        try:
            shown = self._shown = served.engine.snapshot(self.catalogue)
            if shown.generation >= self.catalogue.changes.last():
                return shown
        except DamagedIndex as damage:
            if self._note_loss(served) is None:
                self.announce(f"Making the search index anew: {damage.message}.")
        try:
            with self._writing(patience=0):
                served.engine.follow(self.catalogue)
        except (Busy, Unwritable):
            if (shown := shown or self._shown) is None:
                raise
            return shown
        self._shown = served.engine.snapshot(self.catalogue)
        return self._shown

    # ------------------------------------------------------------------ changing

    def begin(self) -> None:
        """Make an empty index where there is none; records what it is made with."""
        if (self.exists or self._catalogue or self._is_gone) and self.catalogue.spaces.get() is not None:
            return
        model = _name_of(self.settings.model or BUNDLED)
        embedder = self._load(model)  # before anything is made, in case there is no such model
        with self._writing(create=True):
            if self.catalogue.spaces.get() is not None:
                return
            facts = (model, embedder.fingerprint, embedder.dimension, self.settings.passage_tokens or PASSAGE_TOKENS)
            with self.catalogue.writing() as writer:
                writer.spaces.begin(*facts, "serving")
            self.served.engine.follow(self.catalogue)

    def index(
        self,
        sources: Sequence[Path | str],
        progress: Progress = lambda _report, _done, _all: None,
        *,
        only: Collection[Path] | None = None,
        prune: bool = False,
    ) -> Report:
        """Bring the index in step with files and folders, or `only` with these paths below them, and with feeds (URLs).

        Articles whose files are gone are taken out; where most of a folder is gone at once, only with `prune`. Where
        the settings name another model or passage size than the index was made with, all of it is embedded anew first.
        Raises Busy when another process keeps writing.
        """
        self._move(self._wanted())
        paths, urls = _split(sources)
        report = self._indexer().files(paths, progress, only=only, prune=prune)
        for url in urls if only is None else ():
            report.add(self._ask(url, progress))
        report.add(self._recut())
        # Only where a turn was interrupted, or with an index of an older version.
        while is_due(self.catalogue) and not self.health.is_waiting("folding"):
            with self._turn():
                pass
        if report.changed or report.removed:
            self.tidy()
        self._sweep()
        return report

    def add(self, articles: Iterable[RawArticle | Problem]) -> Report:
        """Add or replace articles; they are searchable when this returns."""
        indexer, catalogue = self._indexer(), self.catalogue
        report = indexer.articles(articles)
        report.add(self._recut())
        self._catch_up(catalogue)
        return report

    def remove(self, names: Iterable[str]) -> int:
        """Take articles out, named by key, id or source; return how many. Raises NotFound, changing nothing."""
        with self._turn():
            catalogue = self.catalogue
            idents: list[str] = []
            for name in names:
                found = catalogue.articles.ids_named(name)
                if not found:
                    raise NotFound(f"nothing is indexed under {name!r}", "searchsvc search shows keys and sources")
                idents += found
            with catalogue.writing() as writer:
                removed = sum(writer.articles.remove(ident) for ident in dict.fromkeys(idents))
        self._recut()
        self._catch_up(catalogue)
        return removed

    # ------------------------------------------------------------------ upkeep

    def rebuild(self, progress: Progress = lambda _report, _done, _all: None) -> None:
        """Make the search index anew from the catalogue.

        Nothing is embedded again, unless the settings name another model or passage size than the index was made with.
        """
        wanted = self._wanted()
        if (
            self.settings.model
            and wanted is None
            and self._load(self.settings.model).fingerprint != self.served.space.fingerprint
        ):
            wanted = (self.served.space.model, self.served.space.passage_tokens)
        if wanted is not None:
            self._move(wanted, progress)
            return
        with self._writing():
            self.served.engine.rebuild(self.catalogue)
            if self.catalogue.metadata.get(LOSS) is not None:
                with self.catalogue.writing() as writer:
                    writer.metadata.set(LOSS, None)

    def verify(self) -> Verification:
        """Check every row's checksum, compare the search index with the catalogue, and measure its recall.

        All is said of one state, whoever writes meanwhile. What is damaged is mended where that can be, and said.
        """
        served, catalogue = self.served, self.catalogue
        found, damage = [], Damage()
        share, sample = None, 0
        with suppress(DamagedIndex):
            served.engine.reopen()
            served.engine.snapshot(catalogue)  # which takes long, and so not while others wait for a turn
        with self._standing(served) as snapshot:
            try:
                found += catalogue.check()
                damage = find_damage(catalogue)
                found += filter(None, (catalogue.metadata.get(LOSS),))
                if isinstance(snapshot, DamagedIndex):
                    raise snapshot
                if snapshot is None:
                    self.announce("Others keep writing: the search files were not compared with the catalogue.")
                else:
                    found += served.engine.compare(catalogue, snapshot)
                    share, sample = measure_recall(snapshot, catalogue, served.space)
                if share is not None and share < LEAST_RECALL:
                    found.append(f"the dense index finds only {share:.1%} of the nearest passages")
            except (DamagedIndex, DamagedCatalogue) as fault:
                found.append(fault.message)
        found += self._mended(damage, all_looked_at=True)
        return Verification(tuple(found), share, sample)

    @contextmanager
    def _standing(self, served: Served) -> Iterator[LocalSnapshot | DamagedIndex | None]:
        """Give the snapshot of the state of the catalogue in which all reads stand, or what is wrong with it.

        None where others have kept writing, so that the two were never of one state.
        """
        with ExitStack() as reads:
            found: LocalSnapshot | DamagedIndex | None = self._level(served, reads)
            if isinstance(found, DamagedIndex):
                try:
                    with self._writing():  # between two turns of writers, the two are of one state
                        self._note_loss(served)
                        found = self._level(served, reads)
                except Busy:
                    found = None
                except Unwritable:
                    pass  # nobody writes here
            reads.enter_context(self.catalogue.reading())
            yield found

    def _level(self, served: Served, reads: ExitStack) -> LocalSnapshot | DamagedIndex:
        """Return the snapshot of the state in which `reads` stand from now on, or why there is none."""
        with ExitStack() as these:
            these.enter_context(self.catalogue.reading())
            generation = self.catalogue.changes.last()
            try:
                snapshot = served.engine.snapshot(self.catalogue)
            except DamagedIndex as fault:
                return fault
            if behind := generation - snapshot.generation:
                return DamagedIndex(f"the index is {behind:,} changes behind the catalogue")
            reads.push(these.pop_all())
            return snapshot

    def _mended(self, damage: Damage, *, all_looked_at: bool) -> list[str]:
        """Mend what is damaged, where this index can be written, and return what was and what was not."""
        served, catalogue = self.served, self.catalogue
        drafter = lambda: Preparer(served.embedder, served.space.passage_tokens)  # noqa: E731
        mend = Repair(catalogue, served.space, drafter, self._turn, lambda names: self._indexer().reread(names))
        if not damage and not damage.without and not (all_looked_at and catalogue.checksums.damaged()):
            return []
        try:
            done = mend.run(damage)
            if damage.without:
                mend.fill()
            with self._turn(), catalogue.writing() as writer:
                writer.checksums.set_damaged(done.lost, all_checked=all_looked_at)
            if done.vectors:
                with self._writing():
                    served.engine.rebuild(catalogue)
        except (Busy, Unwritable) as hindrance:
            rows = {row for row in damage.rows["articles"] if isinstance(row, int)}
            said = [f"{mend.named(row)} is damaged" for row in sorted(rows)]
            others = sum(map(len, damage.rows.values())) - len(rows)
            if others:
                said.append(f"{others:,} passages and vectors are damaged")
            return [f"{one}; it is not mended: {hindrance.message}" for one in said]
        self._recut()
        return done.messages

    def _sweep(self) -> None:
        """Check the next rows, at most so often, going on where this index was left; mend what is damaged."""
        if time.monotonic() - self._swept < SWEEP_SECONDS:
            return
        self._swept = time.monotonic()
        table, _, key = (self.catalogue.metadata.get(SWEPT) or "").partition(" ")
        place = next((one for one in TABLES if one == table), TABLES[0])
        after: Key | None = None if not key else bytes.fromhex(key) if place == "vectors" else int(key)
        some = self.catalogue.checksums.check(place, after, SWEPT_ROWS)
        last = some.last.hex() if isinstance(some.last, bytes) else some.last
        then = f"{place} {last}" if last is not None else TABLES[(TABLES.index(place) + 1) % len(TABLES)]
        damage = Damage()
        damage.rows[place] += some.damaged
        try:
            with self._writing(patience=0), self.catalogue.writing() as writer:
                writer.checksums.fill(place, some.without)
                writer.metadata.set(SWEPT, then)
        except (Busy, Unwritable):
            return
        for said in self._mended(damage, all_looked_at=False):
            self.announce(f"Attention: {said}.")

    def _note_loss(self, served: Served) -> str | None:
        """Record, and say, that the catalogue holds less than the search index had taken from it; return that."""
        loss = LocalEngine.lost(self._folder_of(served.space), self.catalogue)
        if loss is not None and self.catalogue.metadata.get(LOSS) is None:
            self.announce(f"Attention: {loss}.")
            with suppress(Busy, Unwritable), self.catalogue.writing() as writer:
                writer.metadata.set(LOSS, loss)
        return loss

    def tidy(self, grace: timedelta = GRACE) -> None:
        """Let go of what has not been in force for a while; past a threshold, give unused space back to the disk."""
        self._tidied = time.monotonic()
        with self._writing():
            with self.catalogue.writing() as writer:
                writer.tidy(datetime.now(UTC) - grace)
            unused, size = self.catalogue.unused_bytes()
            if unused > max(DEAD_BYTES, DEAD_SHARE * size):
                self.catalogue.compact()
            spaces = {str(space.row) for state in ("serving", "making") if (space := self.catalogue.spaces.get(state))}
            for folder in (self.folder / "local").glob("*"):
                if folder.name not in spaces:
                    shutil.rmtree(folder, ignore_errors=True) if folder.is_dir() else folder.unlink(missing_ok=True)

    def backup(self, file: Path) -> None:
        """Write all that is needed to restore the index into one file, consistent, while searches and writers go on.

        Raises BadInput where the file is there and is something else than a backup.
        """
        self.catalogue.back_up(file)

    def restore(self, file: Path) -> None:
        """Put the index back to what a backup holds; what was there is lost, once all of the backup is proven.

        Raises BadInput for a file that is no backup, DamagedCatalogue for one that is damaged or made to do harm,
        ModelMismatch for one of a newer version; what was there serves on, then and meanwhile.
        """
        if not Catalogue.is_in(file):
            raise BadInput(f"{file} is no backup of searchsvc", "searchsvc backup FILE makes one")
        made = self.folder / "local" / ".restored"

        def follow(beside: Catalogue) -> None:
            space = beside.spaces.get()
            if space is not None:
                LocalEngine(made, space).rebuild(beside)

        with self._writing(create=True, sound=False):
            shutil.rmtree(made, ignore_errors=True)
            try:
                self._catalogue = Catalogue.restored(file, self._catalogue_file, follow)
                self._shown, self._served, self._is_gone = None, None, False
                space = self._catalogue.spaces.get()
                if space is not None:
                    folder = self._folder_of(space)
                    shutil.rmtree(folder, ignore_errors=True)  # of the index that was, and of no use
                    made.rename(folder)
            except (ArithmeticError, LookupError, TypeError, ValueError) as fault:
                said = f"the backup {file} is damaged or no backup: a value has no meaning ({type(fault).__name__})"
                raise DamagedCatalogue(said, "take an older one") from fault
            finally:
                shutil.rmtree(made, ignore_errors=True)

    def _move(self, wanted: tuple[str, int] | None, progress: Progress = lambda _report, _done, _all: None) -> None:
        """Embed everything anew with this model and passage size; go on where an earlier move was interrupted."""
        if wanted is None:
            return
        model, tokens = wanted
        embedder = self._load(model)
        with self._writing():
            space = self.catalogue.spaces.get("making")
            if space is None or (space.model, space.fingerprint, space.passage_tokens) != (
                model, embedder.fingerprint, tokens
            ):  # fmt: skip
                with self.catalogue.writing() as writer:
                    facts = (model, embedder.fingerprint, embedder.dimension, tokens)
                    space = writer.spaces.begin(*facts, "making")
        self.announce(f"Embedding everything anew with {model}, passages of {tokens} tokens; the old index serves.")
        engine = LocalEngine(self._folder_of(space), space)
        make_engine = lambda: engine.rebuild(self.catalogue)  # noqa: E731
        Reembed(self.catalogue, space, Preparer(embedder, tokens), self._turn, make_engine).run(progress)

    def _wanted(self) -> tuple[str, int] | None:
        """Return the model and passage size that the settings name, where the index was made with others."""
        space = self.catalogue.spaces.get() if self.exists else None
        if space is None:
            return None
        wanted = (_name_of(self.settings.model or space.model), self.settings.passage_tokens or space.passage_tokens)
        return None if wanted == (space.model, space.passage_tokens) else wanted

    # ------------------------------------------------------------------ parts

    @property
    def exists(self) -> bool:
        """Whether there is an index."""
        return self._catalogue_file.is_file()

    def knows(self, path: Path) -> bool:
        """Say whether articles came from this file, or from files below this folder."""
        return self.exists and self.catalogue.files.count_under(storable(str(path.resolve()))) > 0

    @property
    def catalogue(self) -> Catalogue:
        """The record; raises NoIndex when there is none."""
        with self._opening:
            if self._catalogue is not None and not self._catalogue.is_current:
                if self._catalogue.is_beside_its_log:
                    log = f"{self._catalogue_file.name}-wal"
                    raise Busy(
                        f"another catalogue was put in {self.folder} beside the write-ahead log of the one before",
                        f"stop what is open on the index, and take {log} away, before a catalogue is put in place",
                    )
                self._let_go()
            if self._catalogue is None:
                if self._is_gone and not self.exists:
                    raise NoIndex(f"the index in {self.folder} is gone: it was deleted or moved away", PUT_BACK)
                self._catalogue = Catalogue(self._catalogue_file)
                self._is_gone = False
            return self._catalogue

    def _let_go(self) -> None:
        """Serve nothing more of a catalogue that is no longer the one in the index's folder, and say so."""
        self.announce(
            f"Attention: another index was put in place of the one in {self.folder}; what comes next is of that one."
            if self.exists
            else f"Attention: the index in {self.folder} is gone; nothing is found or taken in until it is back."
        )
        self._catalogue, self._is_gone = None, True
        self._shown = self._served = None
        gc.collect()  # Python's connections stand in cycles, and until they are closed SQLite opens no other log

    @property
    def served(self) -> Served:
        """The space that serves, with its engine and model; another once a move is complete. Raises NoIndex."""
        space = self.catalogue.spaces.get()
        if space is None:
            raise NoIndex(f"the index in {self.folder} is empty", "searchsvc index PATH… fills it")
        with self._serving:
            if self._served is None or self._served.space != space:
                self._served = Served(space, LocalEngine(self._folder_of(space), space), self._model_of)
                self._shown = None
            return self._served

    @property
    def embedder(self) -> Embedder:
        """The model of the space that serves."""
        return self.served.embedder

    @property
    def reranker(self) -> Reranker | None:
        """The model that the best passages are read with once more, loaded at its first use; None where none is set."""
        if not self.settings.rerank:
            return None
        with self._reranking:
            if self._reranker is None:
                device, cache = self.settings.device, self.settings.cache_folder
                self._reranker = reranking.load(
                    self.settings.rerank, device=device, cache=cache, announce=self.announce
                )
            return self._reranker

    @cached_property
    def _catalogue_file(self) -> Path:
        return self.folder / "catalogue.sqlite3"

    def _folder_of(self, space: EmbeddingSpace) -> Path:
        return self.folder / "local" / str(space.row)

    def _load(self, model: str) -> Embedder:
        cache, device = self.settings.cache_folder, self.settings.device
        return load(model, device=device, cache=cache, announce=self.announce)

    def _model_of(self, space: EmbeddingSpace) -> Embedder:
        embedder = self._load(space.model)
        if embedder.fingerprint != space.fingerprint:
            raise ModelMismatch(
                f"the index in {self.folder} was made with another model of the name {space.model}",
                f"searchsvc rebuild --model {space.model} embeds everything anew",
            )
        return embedder

    def _indexer(self) -> Indexer:
        self.begin()
        served = self.served
        return Indexer(
            self.catalogue,
            served.space,
            lambda: served.embedder,
            self.settings.article_bytes,
            self._turn,
            self._readers.read,
            apart=self.folder,
        )

    def _recut(self) -> Report:
        """Cut again what other blocks are junk in than before.

        Without it, articles are as searchable as before: what nobody foresaw is reported, and tried again later.
        """
        served = self.served
        drafter = lambda: Preparer(served.embedder, served.space.passage_tokens)  # noqa: E731
        report = Report()
        with self._supervised("recutting") as due:
            if due:
                report = Resplit(self.catalogue, served.space, drafter, self._turn).run()
        return report

    @contextmanager
    def _supervised(self, part: str) -> Iterator[bool]:
        """Give whether a part is due; whatever it meets that is no error of ours is reported, and goes no further."""
        due = not self.health.is_waiting(part)
        try:
            yield due
        except SearchsvcError:
            raise  # such as a full disk: of all that is being done, and said by whoever does it
        except Exception as fault:  # noqa: BLE001  nobody knows what a library raises on another article
            self.health.failed(part, fault)
        else:
            if due:
                self.health.well(part)

    def _ask(self, url: str, progress: Progress) -> Report:
        """Take over what is new in a feed."""
        from searchsvc.ingest.feeds import Poll

        poll = Poll(
            url,
            self.catalogue.feeds.state(url),
            lambda key: self.catalogue.feeds.entry_digest(url, key),
            self._fetcher,
            self._readers,
            self.settings.article_bytes,
            now=datetime.now(UTC),
            interval=timedelta(minutes=self.settings.feed_minutes),
        )
        return self._indexer().feed(poll, progress)

    @cached_property
    def _fetcher(self) -> "Fetcher":
        from searchsvc.ingest.fetching import Fetcher

        return Fetcher(private=self.settings.private_networks == "allow")

    def _catch_up(self, catalogue: Catalogue) -> None:
        """Wait until this process finds what it has just committed to this catalogue."""
        target = catalogue.changes.last()
        # A backup restored at this moment may take the change away again.
        patience = time.monotonic() + CATCH_UP_SECONDS
        while self.snapshot().generation < min(target, catalogue.changes.last()):
            if time.monotonic() > patience:
                raise Busy(f"what was taken in is not searchable yet in {self.folder}", "searchsvc verify says why")
            time.sleep(0.005)
        if time.monotonic() - self._tidied > GRACE.total_seconds():
            self.tidy()
        self._sweep()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Hold the writer lock for one commit, fold what it brought, and make it searchable."""
        with self._writing():
            catalogue = self.catalogue
            self._note_loss(self.served)
            yield
            with self._supervised("folding") as due:
                if due:
                    find_near_duplicates(catalogue)
            served = self.served
            if LocalEngine.held(self._folder_of(served.space)) != catalogue.changes.last():
                served.engine.follow(catalogue)

    @contextmanager
    def _writing(self, *, create: bool = False, sound: bool = True, patience: float | None = None) -> Iterator[None]:
        """Hold the writer lock of this index; raises Busy when another process keeps it too long."""
        if self.settings.index.expanduser().resolve() != self.folder:
            raise Busy(
                f"{self.settings.index} leads to another folder than {self.folder}, which is open",
                "start this process again, and it opens that one",
            )
        if create:
            self.folder.mkdir(parents=True, exist_ok=True)
        else:
            self.catalogue  # noqa: B018  says so where there is no index, before anything is made
        try:
            with write_lock(self.folder, patience):
                if create and sound and not self.exists:
                    self._catalogue = Catalogue(self._catalogue_file, create=True)
                elif not create:
                    self.catalogue  # noqa: B018  which may have been replaced while we waited
                yield
        except OSError as error:
            said = f"the index in {self.folder} cannot be written: {error.strerror or error}"
            raise Unwritable(said, READ_ONLY if error.errno in CLOSED else MAKE_ROOM) from error


def _bytes_in(folder: Path) -> int:
    """Return the size of all files in a folder, some of which may go while they are looked at."""
    total = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += file.lstat().st_size if file.is_file() else 0
    return total


def _name_of(model: str) -> str:
    """Return the name under which an index remembers a model: the bundled one's, a folder's path, or a hub's name."""
    where = locate(model)
    return str(where) if model != BUNDLED and isinstance(where, Path) else model


def _split(sources: Iterable[Path | str]) -> tuple[list[Path], list[str]]:
    """Return the paths among the sources, and the URLs."""
    urls = [one for one in sources if isinstance(one, str)]
    return [one for one in sources if isinstance(one, Path)], urls
