"""Ingestion into one index: making it, bringing it in step with sources, and following a change of model or rules."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from searchsvc.ingest.indexer import Indexer
from searchsvc.ingest.near_duplicates import is_due
from searchsvc.ingest.prepare import Preparer
from searchsvc.ingest.reembed import Reembed
from searchsvc.ingest.report import Progress, Report
from searchsvc.ingest.resplit import Resplit
from searchsvc.library.index import Index
from searchsvc.models.embedder import BUNDLED, locate
from searchsvc.readers.process import ReaderProcesses, memory_for
from searchsvc.text.article import Problem, RawArticle

if TYPE_CHECKING:
    from searchsvc.ingest.fetching import Fetcher

PASSAGE_TOKENS = 160  # see tests/benchmarks/passage_sizes.py


def no_progress(_report: Report, _done: int, _total: int) -> None:
    """Hear of progress, and say nothing."""


class Ingestion:
    """Puts articles into one index."""

    def __init__(self, index: Index) -> None:
        self._index = index
        settings = index.settings
        self._readers = ReaderProcesses(settings.reading_seconds, memory_for(settings.article_bytes))

    def begin(self) -> None:
        """Make an empty index where there is none; records what it is made with."""
        index, settings = self._index, self._index.settings
        if index.is_open and index.catalogue.spaces.get() is not None:
            return
        model = _recorded_name(settings.model or BUNDLED)
        embedder = index.parts.load_embedder(model)  # before anything is made, in case there is no such model
        with index.lock(create=True):
            if index.catalogue.spaces.get() is not None:
                return
            tokens = settings.passage_tokens or PASSAGE_TOKENS
            with index.catalogue.writing() as writer:
                writer.spaces.begin(model, embedder.fingerprint, embedder.dimension, tokens, "serving")
            index.serving.engine.follow(index.catalogue)

    def index(
        self, sources: Sequence[Path | str], progress: Progress, *, only: Collection[Path] | None, prune: bool
    ) -> Report:
        """Bring the index in step with files, folders and feeds (URLs); see `Library.index`."""
        self.reembed(self.wanted_space())
        report = self.indexer().files(
            [source for source in sources if isinstance(source, Path)], progress, only=only, prune=prune
        )
        for url in (source for source in sources if isinstance(source, str) and only is None):
            report.add(self._poll(url, progress))
        report.add(self.resplit())
        index = self._index
        # Only where a commit was interrupted, or with an index of an older version.
        while is_due(index.catalogue) and not index.health.is_waiting("near-duplicates"):
            with index.commit_lock():
                pass
        return report

    def add(self, articles: Iterable[RawArticle | Problem]) -> Report:
        """Add or replace articles."""
        report = self.indexer().articles(articles)
        report.add(self.resplit())
        return report

    def reread(self, paths: Iterable[str]) -> Report:
        """Read these files again, given by path and known already."""
        return self.indexer().reread(paths)

    def indexer(self) -> Indexer:
        """Return what writes articles to the index, which is made where there is none."""
        self.begin()
        index, serving = self._index, self._index.serving
        return Indexer(
            index.catalogue,
            serving.space,
            lambda: serving.embedder,
            index.settings.article_bytes,
            index.commit_lock,
            self._readers.read,
            apart=index.folder,
        )

    def preparer(self) -> Callable[[], Preparer]:
        """Return what prepares articles for the space that serves, made once it is needed."""
        serving = self._index.serving
        return lambda: Preparer(serving.embedder, serving.space.passage_tokens)

    def resplit(self) -> Report:
        """Split articles again that hold other boilerplate than before.

        Without it, articles are as searchable as before: what nobody foresaw is reported, and tried again later.
        """
        index, report = self._index, Report()
        with index.supervised("resplitting") as is_due:
            if is_due:
                report = Resplit(index.catalogue, index.serving.space, self.preparer(), index.commit_lock).run()
        return report

    def wanted_space(self) -> tuple[str, int] | None:
        """Return the model and passage size that the settings name, where the index was made with others."""
        index, settings = self._index, self._index.settings
        space = index.catalogue.spaces.get() if index.exists else None
        if space is None:
            return None
        wanted = (_recorded_name(settings.model or space.model), settings.passage_tokens or space.passage_tokens)
        return None if wanted == (space.model, space.passage_tokens) else wanted

    def reembed(self, wanted: tuple[str, int] | None, progress: Progress = no_progress) -> None:
        """Embed everything anew with this model and passage size; go on where an earlier run was interrupted."""
        if wanted is None:
            return
        index, (model, tokens) = self._index, wanted
        embedder = index.parts.load_embedder(model)
        with index.lock():
            space = index.catalogue.spaces.get("making")
            if space is None or (space.model, space.fingerprint, space.passage_tokens) != (
                model, embedder.fingerprint, tokens
            ):  # fmt: skip
                with index.catalogue.writing() as writer:
                    space = writer.spaces.begin(model, embedder.fingerprint, embedder.dimension, tokens, "making")
        index.announce(f"Embedding everything anew with {model}, passages of {tokens} tokens; the old index serves.")
        engine = index.engine(space)
        make_engine = lambda: engine.rebuild(index.catalogue)  # noqa: E731
        Reembed(index.catalogue, space, Preparer(embedder, tokens), index.commit_lock, make_engine).run(progress)

    def _poll(self, url: str, progress: Progress) -> Report:
        """Take over what is new in a feed."""
        from searchsvc.ingest.feeds import Poll

        catalogue, settings = self._index.catalogue, self._index.settings
        poll = Poll(
            url,
            catalogue.feeds.state(url),
            lambda key: catalogue.feeds.entry_digest(url, key),
            self.fetcher,
            self._readers,
            settings.article_bytes,
            now=datetime.now(UTC),
            interval=timedelta(minutes=settings.feed_minutes),
        )
        return self.indexer().feed(poll, progress)

    @cached_property
    def fetcher(self) -> "Fetcher":
        """What fetches feeds and pages."""
        from searchsvc.ingest.fetching import Fetcher

        return Fetcher(private=self._index.settings.private_networks == "allow")


def _recorded_name(model: str) -> str:
    """Return the name under which an index remembers a model: the bundled one's, a folder's path, or a hub's name."""
    where = locate(model)
    return str(where) if model != BUNDLED and isinstance(where, Path) else model
