"""Indexing: the catalogue is brought in step with files and feeds, and with articles that are given directly.

    files ── scan ── read ── prepare ── embed what is new ──► catalogue, a batch at a time
              (in a process of its own)

A file counts as read only in the transaction that holds its last article, so whatever interrupts the work, the next
run goes on where this one ended. Reading, splitting and embedding need no lock: it is held to commit alone, so that any
number of writers get along.
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from searchsvc.catalogue import Catalogue, EmbeddingSpace, FileState, Writer
from searchsvc.errors import Busy, Unreadable
from searchsvc.ingest.file_state import digest_of as digest_of_file
from searchsvc.ingest.file_state import has_same_bytes, is_same, is_surely_unchanged, state_of
from searchsvc.ingest.identity import Identities
from searchsvc.ingest.prepare import PreparedArticle, Preparer, Unprepared, digest_of, new_passages
from searchsvc.ingest.report import Progress, Report
from searchsvc.ingest.scan import File, Scan, scan
from searchsvc.ingest.write import BATCH, TakeLock, write
from searchsvc.models import Embedder
from searchsvc.readers import Reader, most_bytes
from searchsvc.readers.fields import shortened
from searchsvc.readers.problems import MOST_OF_A_FILE, Tally
from searchsvc.text.article import Problem, RawArticle, public_address
from searchsvc.text.sources import origin_of

if TYPE_CHECKING:
    from searchsvc.ingest.feeds import News, Poll

FEED_SECONDS = 5.0  # after which what has come from a feed is committed, though more comes


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file read to its end, as it was when that began, and the ids of the articles that it no longer holds."""

    name: str
    state: FileState
    gone: frozenset[str] = frozenset()


class Indexer:
    """Writes to one catalogue, once; whoever gives `take_lock` makes searchable what was committed under it."""

    def __init__(
        self,
        catalogue: Catalogue,
        space: EmbeddingSpace,
        embedder: Callable[[], Embedder],
        article_bytes: int,
        take_lock: TakeLock,
        read: Reader,
        apart: Path | None = None,
    ) -> None:
        """Take a callable for the model, which is not loaded where nothing has changed, and one that reads a file.

        No file in the folder `apart` is read.
        """
        self._catalogue = catalogue
        self._space = space
        self._embedder = embedder
        self._article_bytes = article_bytes
        self._take_lock = take_lock
        self._read = read
        self._apart = apart
        self._report = Report()
        self._identities = Identities(catalogue)
        self._prepared: dict[str, PreparedArticle] = {}
        self._passage_count = 0  # of the prepared articles
        self._holders: list[tuple[str, str]] = []  # id and file, in the order in which they were read
        self._read_files: list[ReadFile] = []
        self._to_reread: set[str] = set()

    def files(
        self, roots: Sequence[Path], progress: Progress, *, only: Collection[Path] | None = None, prune: bool = False
    ) -> Report:
        """Bring the catalogue in step with the files under these roots, or `only` with these paths of it.

        A file that has not changed is not read. The articles of files that are gone are removed, unless so many are
        gone at once that `prune` must confirm it.
        """
        began = time.monotonic()
        found = scan(roots, self._catalogue, only=only, prune=prune, apart=self._apart)
        total = self._report.files = len(found.files)
        self._report.note(*found.problems)
        for number, file in enumerate(found.files):
            progress(self._report, number, total)
            self._file(file, found.known.get(file.name), lambda done=number: progress(self._report, done, total))  # type: ignore[misc]
        self._flush()
        self._flush([*found.vanished, *self._renamed(found)])
        self.reread(())
        progress(self._report, total, total)
        self._report.seconds = time.monotonic() - began
        return self._report

    def reread(self, names: Iterable[str]) -> Report:
        """Look at these files again, given by path and known already, and at those that must be because of others."""
        self._to_reread |= {*names}
        while self._to_reread:
            names, self._to_reread = sorted(self._to_reread), set()
            for name in names:
                known = self._catalogue.files.state(name)
                if known is not None and (path := Path(name)).exists():
                    self._file(File(path, name, known.key or path.name), known, lambda: None)
            self._flush()
        return self._report

    def articles(self, articles: Iterable[RawArticle | Problem]) -> Report:
        """Add or replace articles that were given directly."""
        began = time.monotonic()
        self._take(articles, None, "", lambda: None, self._report.note)
        self._flush()
        self._report.seconds = time.monotonic() - began
        return self._report

    def feed(self, poll: "Poll", progress: Progress) -> Report:
        """Add or replace what is new in a feed, as it comes: each page may take a second to be fetched.

        An entry counts as seen in the transaction that holds its article, and the feed as polled in the last one.
        """
        began = flushed = time.monotonic()
        self._report.feeds = 1
        seen: list[News] = []
        # Of the feed that the owner named, wherever that leads, and whatever its entries say that they are.
        origin = origin_of(poll.url)

        def record(writer: Writer) -> None:
            for news in seen:
                writer.feeds.set_entry(poll.url, news.key, news.digest)

        try:
            for news in poll:
                self._report.note(*news.problems)
                articles = [replace(news.article, origin=origin)] if news.article else []
                self._take(articles, None, "", lambda: None, self._report.note)
                seen.append(news)
                if time.monotonic() - flushed > FEED_SECONDS:
                    self._flush(record=record)
                    flushed = time.monotonic()
                    seen.clear()
                    progress(self._report, 0, 1)
        except Unreadable as fault:
            self._report.note(Problem(public_address(poll.url), fault.message))

        def record_all(writer: Writer) -> None:
            record(writer)
            writer.feeds.set_state(poll.url, poll.state)

        self._flush(record=record_all)
        self._report.seconds = time.monotonic() - began
        return self._report

    def _renamed(self, found: Scan) -> list[str]:
        """Return which of the missing files lie under another name now, and report the others as kept."""
        renamed: list[str] = []
        states = (self._catalogue.files.state(file.name) for file in found.files if found.kept)
        digests = {state.digest for state in states if state} - {None}
        for kept in found.kept:
            moved = [name for name in kept.names if found.known[name].digest in digests]
            renamed += moved
            if len(moved) < kept.gone:
                self._report.kept.append(replace(kept, gone=kept.gone - len(moved)))
        return renamed

    @cached_property
    def _preparer(self) -> Preparer:
        return Preparer(self._embedder(), self._space.passage_tokens)

    def _file(self, file: File, known: FileState | None, flushed: Callable[[], None]) -> None:
        try:
            before = file.path.stat()
        except FileNotFoundError:
            return  # gone since the scan; the next one will see to it
        except OSError:
            before = None  # the reader will say what is wrong with it
        if before is not None and known is not None and is_surely_unchanged(before, known):
            self._unchanged(known)
            return
        seen_ns = time.time_ns()
        digest, is_whole = digest_of_file(file.path, before, most_bytes(file.path, self._article_bytes))
        known = self._catalogue.files.state(file.name)  # another process may have read it meanwhile
        if before and digest and is_whole and known and has_same_bytes(digest, known):
            self._read_files.append(ReadFile(file.name, state_of(known.key, before, seen_ns, digest, known.problems)))
            self._unchanged(known)
            return
        key = (known and known.key) or file.key
        ids_before = self._catalogue.files.article_ids(file.name)
        tally = Tally(file.name, MOST_OF_A_FILE)
        records = self._read(file.path, key, self._article_bytes)
        ids = self._take(records, file.name, key, flushed, tally.add)
        problems = tuple(tally.problems)
        self._report.note(*problems)
        if before is None or digest is None:
            return
        if not is_same(before, file.path):
            reason = "changed while it was read; it is read again next time"
            self._report.note(Problem(file.name, reason, lost=False))
            return
        # Where something could not be read, nothing is taken for deleted.
        gone = frozenset() if any(problem.lost for problem in problems) else frozenset(ids_before - ids)
        self._read_files.append(ReadFile(file.name, state_of(key, before, seen_ns, digest, problems), gone))

    def _unchanged(self, known: FileState) -> None:
        self._report.unchanged_files += 1
        self._report.note(*known.problems)

    def _take(
        self,
        records: Iterable[RawArticle | Problem],
        file: str | None,
        file_key: str,
        flushed: Callable[[], None],
        note: Callable[[Problem], object],
    ) -> set[str]:
        """Prepare what a reader yields, flushing whenever there is a batch; return the ids of the articles."""
        ids: set[str] = set()
        for record in records:
            if isinstance(record, Problem):
                note(record)
                continue
            article, reasons = shortened(record)
            for reason in reasons:
                note(Problem(_place(article, file), reason, lost=False))
            ident = self._identities.of(article, file, file_key, self._prepared)
            if ident in ids:
                reason = f"the key {article.key!r} stands more than once; the last article with it is kept"
                note(Problem(file or "the articles given", reason, lost=False))
            ids.add(ident)
            if (problem := self._prepare(article, ident, file)) is not None:
                note(problem)
            if self._passage_count >= BATCH:
                self._flush()
                flushed()
        return ids

    def _prepare(self, article: RawArticle, ident: str, file: str | None) -> Problem | None:
        """Prepare an article to be recorded; return why it cannot be."""
        if ident not in self._prepared and self._is_recorded(article, ident):
            self._report.unchanged += 1
        else:
            try:
                prepared = self._preparer.prepare(article, ident, file, self._catalogue.boilerplate.among)
            except Unprepared as fault:
                return Problem(_place(article, file), f"it could not be cleaned and split ({fault})")
            if prepared is None:
                return Problem(_place(article, file), "no sentence that could be searched")
            replaced = self._prepared.get(ident)
            self._passage_count += len(prepared.passages) - (len(replaced.passages) if replaced else 0)
            self._prepared[ident] = prepared
        if file is not None:
            self._holders.append((ident, file))
        return None

    def _is_recorded(self, article: RawArticle, ident: str) -> bool:
        articles = self._catalogue.articles
        if articles.digests([ident]).get(ident) != digest_of(article):
            return False
        return articles.origins([ident]).get(ident) == article.origin

    def _flush(self, vanished: Sequence[str] = (), record: Callable[[Writer], None] | None = None) -> None:
        """Commit all that was prepared, and the files that ended with it, in one transaction."""
        if not (self._prepared or self._read_files or self._holders or vanished or record):
            return

        def record_all(writer: Writer) -> None:
            self._record(writer, vanished)
            if record is not None:
                record(writer)

        passages = [passage for prepared in self._prepared.values() for passage in prepared.passages]
        self._report.embedded += write(
            self._catalogue,
            self._take_lock,
            lambda: self._preparer,
            passages,
            record_all,
            may_commit=self._may_commit,
        )
        self._prepared, self._holders, self._read_files, self._passage_count = {}, [], [], 0

    def _may_commit(self) -> bool:
        if self._catalogue.spaces.get() != self._space:
            raise Busy("the index has gone over to another model meanwhile", "do it again")
        for ident, other in self._identities.taken(self._prepared).items():
            prepared = self._prepared.pop(ident)
            self._prepared[other] = replace(prepared, article=replace(prepared.article, id=other))
            self._holders = [
                (other, file) if (holder, file) == (ident, prepared.file) else (holder, file)
                for holder, file in self._holders
            ]
        return True

    def _record(self, writer: Writer, vanished: Sequence[str]) -> None:
        files = {name: writer.files.begin(name) for _, name in self._holders}
        self._identities.make_room(writer, self._prepared)
        recorded = self._catalogue.articles.digests(self._prepared)
        for ident, prepared in self._prepared.items():
            if recorded.get(ident) == prepared.digest:  # another process was quicker
                self._report.unchanged += 1
                continue
            replaced = writer.articles.put(
                prepared.article,
                digest=prepared.digest,
                content_digest=prepared.content_digest,
                file=files.get(prepared.file or ""),
                space=self._space.row,
                passages=new_passages(prepared.passages),
                blocks=prepared.blocks,
                left_out=prepared.left_out,
            )
            self._report.changed += replaced
            self._report.added += not replaced
            self._report.passages += len(prepared.passages)
        for ident, name in self._holders:
            writer.files.hold(files[name], ident)
        for file in self._read_files:
            writer.files.end(file.name, file.state)
        gone = [(file.name, file.gone) for file in self._read_files]
        for name, ids in [*gone, *((name, self._catalogue.files.article_ids(name)) for name in vanished)]:
            removed, again = writer.files.release(name, ids)
            self._report.removed += removed
            self._to_reread |= again - {name}
        for name in vanished:
            writer.files.remove(name)
        self._to_reread -= {*vanished}


def _place(article: RawArticle, file: str | None) -> str:
    """Return what a problem with an article is said of."""
    return article.key if file is None else file if file.endswith(article.key) else f"{file}, {article.key}"
