"""The library: one index, as Python programs, servers and chat tools use it.

search, timeline, brief … ── `answers` · index, add, remove ── `ingestion` · rebuild, verify, restore … ── `maintenance`
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from searchsvc.catalogue import Catalogue
from searchsvc.catalogue.health import Health
from searchsvc.catalogue.lock import ProcessMarker
from searchsvc.engines import Snapshot
from searchsvc.errors import Busy, NotFound
from searchsvc.ingest.report import Progress, Report
from searchsvc.library.answers import Answers
from searchsvc.library.index import Announce, Index, Parts
from searchsvc.library.ingestion import Ingestion, no_progress
from searchsvc.library.maintenance import GRACE, Maintenance
from searchsvc.library.status import Status, status_of
from searchsvc.models import Embedder, Reranker
from searchsvc.query import MAX_HITS, FilterOptions, Query, QueryOptions, in_range
from searchsvc.readers.fields import from_dict
from searchsvc.search.brief import Brief, brief_of
from searchsvc.search.quotes import QuoteCheck
from searchsvc.search.results import Hit, Results
from searchsvc.search.timeline import Timeline, timeline_of
from searchsvc.search.verification import Verification
from searchsvc.settings import Settings
from searchsvc.text.article import Article, Problem, RawArticle, Version, article_id, storable

if TYPE_CHECKING:
    from searchsvc.schemas import NewArticle

__all__ = ["Announce", "Library", "Parts", "Status"]

CATCH_UP_SECONDS = 30.0  # after which a change that was committed should be found by whoever made it


class Library:
    """One index: what is put into it, and what is asked of it. Safe to use from many threads."""

    def __init__(
        self,
        index: str | Path | Settings | None = None,
        *,
        model: str | None = None,
        announce: Announce = lambda _: None,
        parts: Parts | None = None,
    ) -> None:
        """Name an index's folder, or give all settings; nothing is read before it is needed.

        `model` is the sentence-transformers model to make the index with. `announce` hears, in one sentence, of
        anything that will take long. `parts` are the engine and the models, instead of those that the settings name.
        """
        settings = index if isinstance(index, Settings) else Settings() if index is None else Settings(index=index)
        self.settings = settings if model is None else replace(settings, model=model)
        self._parts = parts
        self._index = Index(self.settings, announce, parts)
        self._answers = Answers(self._index)
        self._ingestion = Ingestion(self._index)
        self._maintenance = Maintenance(self._index, self._ingestion)

    def __repr__(self) -> str:
        return f"Library({str(self.folder)!r})"

    def __reduce__(self) -> tuple[Callable[..., "Library"], tuple[Settings]]:
        return partial(Library, parts=self._parts) if self._parts else Library, (self.settings,)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of files and models; whatever is asked afterwards opens them again."""
        self._index.close()

    # ------------------------------------------------------------------ asking

    def search(self, query: str | Query, **options: Unpack[QueryOptions]) -> Results:
        """Answer a question with the best passages of the best `limit` articles; `query.OPTIONS` describes the options.

        Raises BadInput, NoIndex, ModelMismatch, ModelFailed or DamagedCatalogue; TypeError for an unknown option.
        """
        return self._answers.search(Query.of(query, options))

    def timeline(self, query: str | Query, **options: Unpack[FilterOptions]) -> Timeline:
        """Return what was published on a question in its best `limit` days (20), the best hit of each, oldest first.

        Raises what `search` does. Age does not count; articles without a date are left out.
        """
        query = Query.narrowed(query, options, limit=20)
        return timeline_of(self.search(query, limit=MAX_HITS, freshness=False), query.limit)

    def brief(self, query: str | Query, **options: Unpack[FilterOptions]) -> Brief:
        """Return what at most `limit` articles (12) answer, in their own sentences, each with its citation.

        Raises what `search` does.
        """
        return brief_of(self.search(Query.narrowed(query, options, limit=12)))

    def similar(self, ident: str, limit: int = 10) -> tuple[Hit, ...]:
        """Return the `limit` articles most like this one, without its near-duplicates; see `search.similar`.

        Needs no model. Nothing known to be published later than now is found. Raises NotFound, BadInput or NoIndex.
        """
        in_range("limit", limit)
        return self._answers.similar(ident, limit)

    def verify_quote(self, quote: str, ident: str | None = None) -> QuoteCheck:
        """Say whether an article, or without `ident` any, says this word for word or nearly, and where.

        Needs no model. Anywhere means: in the newest text of the articles that share most of the quote's words. Raises
        BadInput, NotFound or NoIndex.
        """
        return self._answers.verify_quote(quote, ident)

    def article(self, ident: str) -> Article:
        """Return the article with this id; raises NotFound."""
        return self._answers.article(ident)

    def versions(self, ident: str) -> tuple[Version, ...]:
        """Return the texts that an article has had, newest first; raises NotFound."""
        self.article(ident)
        return tuple(self.catalogue.articles.versions(ident))

    def status(self) -> Status:
        """Return what is indexed; needs neither the model nor the engine."""
        return status_of(self._index)

    def snapshot(self) -> Snapshot:
        """Return the newest searchable state; see `Index.snapshot`."""
        return self._index.snapshot()

    # ------------------------------------------------------------------ changing

    def begin(self) -> None:
        """Make an empty index where there is none; records what it is made with."""
        self._ingestion.begin()

    def index(
        self,
        sources: str | Path | Sequence[Path | str],
        progress: Progress = no_progress,
        *,
        only: Collection[Path] | None = None,
        prune: bool = False,
    ) -> Report:
        """Bring the index in step with files and folders, or `only` with these paths below them, and with feeds (URLs).

        Articles whose files are gone are taken out; where most of a folder is gone at once, only with `prune`. Where
        the settings name another model or passage size than the index was made with, all of it is embedded anew first.
        Raises Busy when another process keeps writing.
        """
        report = self._ingestion.index(_located(sources), progress, only=only, prune=prune)
        if report.changed or report.removed:
            self.tidy()
        self._maintenance.sweep()
        return report

    def add(self, articles: "NewArticle | RawArticle | Iterable[NewArticle | RawArticle | Problem]") -> Report:
        """Add or replace articles; they are searchable when this returns.

        An article is a dict with at least a `text`; the others are `title, key, url, source, author, published,
        language`. The report's `ids` are in the order given, None for one that could not be added.
        """
        given = [articles] if isinstance(articles, dict | RawArticle) else list(articles)
        read = [one for number, article in enumerate(given, 1) for one in from_dict(article, f"article {number}")]
        self.begin()
        catalogue = self.catalogue
        report = self._ingestion.add(read)
        self._catch_up(catalogue)
        lost = {problem.where for problem in report.problems if problem.lost}
        report.ids = [None if one.key in lost else article_id(one.key) for one in read if isinstance(one, RawArticle)]
        return report

    def remove(self, names: str | Iterable[str]) -> int:
        """Take articles out, named by key, id or source; return how many. Raises NotFound, changing nothing."""
        with self._index.commit_lock():
            catalogue = self.catalogue
            idents: list[str] = []
            for name in [names] if isinstance(names, str) else names:
                matches = catalogue.articles.ids_named(name)
                if not matches:
                    raise NotFound(f"nothing is indexed under {name!r}", "searchsvc search shows keys and sources")
                idents += matches
            with catalogue.writing() as writer:
                removed = sum(writer.articles.remove(ident) for ident in dict.fromkeys(idents))
        self._ingestion.resplit()
        self._catch_up(catalogue)
        return removed

    def delete(self, ident: str) -> None:
        """Take one article out, named by its id; raises NotFound."""
        self.remove(self.article(ident).id)

    def _catch_up(self, catalogue: Catalogue) -> None:
        """Wait until this process finds what it has just committed to this catalogue."""
        target = catalogue.changes.last()
        # A backup restored at this moment may take the change away again.
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while self.snapshot().generation < min(target, catalogue.changes.last()):
            if time.monotonic() > deadline:
                raise Busy(f"what was taken in is not searchable yet in {self.folder}", "searchsvc verify says why")
            time.sleep(0.005)
        self._maintenance.tidy_if_due()
        self._maintenance.sweep()

    # ------------------------------------------------------------------ maintenance

    def rebuild(self, progress: Progress = no_progress) -> None:
        """Make the search index anew from the catalogue.

        Nothing is embedded again, unless the settings name another model or passage size than the index was made with.
        """
        self._maintenance.rebuild(progress)

    def verify(self) -> Verification:
        """Check every row's checksum, compare the search index with the catalogue, and measure its recall.

        All is said of one state, whoever writes meanwhile. What is damaged is repaired where that can be, and said.
        """
        return self._maintenance.verify()

    def tidy(self, grace: timedelta = GRACE) -> None:
        """Let go of what has not been in force for a while; past a threshold, give unused space back to the disk."""
        self._maintenance.tidy(grace)

    def backup(self, file: str | Path) -> None:
        """Write all that is needed to restore the index into one file, consistent, while searches and writers go on.

        Raises BadInput where the file is there and is something else than a backup.
        """
        self.catalogue.back_up(Path(file))

    def restore(self, file: str | Path) -> None:
        """Put the index back to what a backup holds; what was there is lost, once all of the backup is proven.

        Raises BadInput for a file that is no backup, DamagedCatalogue for one that is damaged or made to do harm,
        ModelMismatch for one of a newer version; what was there serves on, then and meanwhile.
        """
        self._maintenance.restore(Path(file))

    # ------------------------------------------------------------------ parts

    @property
    def folder(self) -> Path:
        """The index's folder."""
        return self._index.folder

    @property
    def exists(self) -> bool:
        """Whether there is an index."""
        return self._index.exists

    @property
    def catalogue(self) -> Catalogue:
        """The record; raises NoIndex when there is none."""
        return self._index.catalogue

    @property
    def embedder(self) -> Embedder:
        """The model of the space that serves, loaded at its first use."""
        return self._index.serving.embedder

    @property
    def reranker(self) -> Reranker | None:
        """The model that reads the best passages once more; None where none is set."""
        return self._index.reranker

    @property
    def health(self) -> Health:
        """Which parts of the work on this index are failing."""
        return self._index.health

    @property
    def process(self) -> ProcessMarker:
        """What tells other processes whether this one still runs."""
        return self._index.process

    def knows(self, path: Path) -> bool:
        """Say whether articles came from this file, or from files below this folder."""
        return self.exists and self.catalogue.files.count_under(storable(str(path.resolve()))) > 0


def _located(sources: str | Path | Sequence[Path | str]) -> list[Path | str]:
    """Return URLs as they are, and anything else as paths."""
    given = [sources] if isinstance(sources, str | Path) else sources
    is_url = [isinstance(source, str) and source.lower().startswith(("http://", "https://")) for source in given]
    return [source if url else Path(source).expanduser() for source, url in zip(given, is_url, strict=True)]
