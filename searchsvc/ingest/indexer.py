"""Indexing: the catalogue is brought in step with files, and with articles that are given directly.

    files ── scan ── read ── draft ── embed what is new ──► catalogue, a batch a turn
              (in a process of its own)

A file counts as read only in the transaction that holds its last article, so whatever interrupts the work, the next
run goes on where this one ended. Reading, cutting and embedding need no lock: only committing takes a turn, so that
any number of writers get along.
"""

import hashlib
import stat
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from os import stat_result
from pathlib import Path
from typing import TYPE_CHECKING

from searchsvc.catalogue import Catalogue, EmbeddingSpace, FileState, Writer
from searchsvc.errors import Busy, SearchsvcError, Unreadable
from searchsvc.ingest.prepare import PREPARE_VERSION, PreparedArticle, Preparer, digest_of
from searchsvc.ingest.scan import File, Kept, Scan, scan
from searchsvc.models import Embedder
from searchsvc.readers import Reader, most_bytes
from searchsvc.readers.fields import shortened
from searchsvc.readers.problems import MOST_OF_A_FILE, Tally
from searchsvc.text.article import Problem, RawArticle, article_id, public_address
from searchsvc.text.sources import origin_of

if TYPE_CHECKING:
    from searchsvc.ingest.feeds import News, Poll

BATCH = 1_536  # passages embedded and committed at a time: about fifteen seconds of work on two cores
SOON = 5.0  # seconds after which what has come from a feed is committed, though more comes
MOST_NAMED = 1_000  # problems of each kind that a report names; it counts the others
HASHED = 256_000_000  # bytes: of larger files only pieces are, so that no file holds up the others for long
PIECES, PIECE = 64, 65_536  # how many, and bytes of each
IN_DOUBT = 2_000_000_000  # ns: a file changed so shortly before it was read may have changed again within one tick

TakeLock = Callable[[], AbstractContextManager[None]]


@dataclass(slots=True)
class Report:
    """What indexing has done so far."""

    files: int = 0
    unchanged_files: int = 0
    feeds: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    passages: int = 0
    embedded: int = 0
    seconds: float = 0.0
    kept: list[Kept] = field(default_factory=list)
    ids: list[str | None] = field(default_factory=list)  # of articles that were given, in that order
    unit: str = "file"  # what progress is counted in
    tally: Tally = field(default_factory=lambda: Tally("other files", MOST_NAMED), repr=False, compare=False)

    @property
    def problems(self) -> list[Problem]:
        """What was met, in that order; of more than `MOST_NAMED` of a kind, the last one says how many more."""
        return self.tally.problems

    @property
    def lost(self) -> int:
        """How many articles or files could not be indexed."""
        return self.tally.total[True]

    def note(self, *problems: Problem) -> None:
        """Take problems in."""
        for problem in problems:
            self.tally.add(problem)

    def add(self, other: "Report") -> None:
        """Count in what another run did."""
        for one in (one for one in fields(self) if one.name not in {"unit", "tally"}):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))
        self.note(*other.problems)


Progress = Callable[[Report, int, int], None]  # the report so far, files done, files in all


class Indexer:
    """Writes to one catalogue, once; `turn` is held while it commits, and makes searchable what it has committed."""

    def __init__(
        self,
        catalogue: Catalogue,
        space: EmbeddingSpace,
        embedder: Callable[[], Embedder],
        article_bytes: int,
        turn: TakeLock,
        read: Reader,
        apart: Path | None = None,
    ) -> None:
        """Take a callable for the model, which is not loaded where nothing has changed, and one that reads a file.

        No file `apart` is read.
        """
        self._catalogue = catalogue
        self._space = space
        self._load = embedder
        self._article_bytes = article_bytes
        self._turn = turn
        self._read = read
        self._apart = apart
        self._report = Report()
        self._drafts: dict[str, PreparedArticle] = {}
        self._owned: list[tuple[str, str]] = []  # id and file, in the order in which they were read
        self._ended: list[Ended] = []
        self._again: set[str] = set()
        self._named: set[str] = set()  # ids of articles whose key is made of their file's name
        self._held = 0

    def files(
        self, roots: Sequence[Path], progress: Progress, *, only: Collection[Path] | None = None, prune: bool = False
    ) -> Report:
        """Bring the catalogue in step with the files under these roots, or `only` with these paths of it.

        A file that has not changed is not read. The articles of files that are gone are taken out, unless so many are
        gone at once that `prune` must confirm it.
        """
        began = time.monotonic()
        found = scan(roots, self._catalogue, only=only, prune=prune, apart=self._apart)
        self._report.files = len(found.files)
        self._report.note(*found.problems)
        for number, file in enumerate(found.files):
            progress(self._report, number, len(found.files))
            said = lambda done=number: progress(self._report, done, len(found.files))  # noqa: E731
            self._file(file, found.known.get(file.name), said)
        self._flush()
        self._flush([*found.vanished, *self._renamed(found)])
        self.reread(())
        progress(self._report, len(found.files), len(found.files))
        self._report.seconds = time.monotonic() - began
        return self._report

    def reread(self, names: Iterable[str]) -> Report:
        """Look at these files again, given by path and known already, and at those that must be because of others."""
        self._again |= {*names}
        while self._again:
            again, self._again = sorted(self._again), set()
            for name in again:
                seen = self._catalogue.files.state(name)
                if seen is not None and (path := Path(name)).exists():
                    self._file(File(path, name, seen.key or path.name), seen, lambda: None)
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

        An entry counts as seen in the transaction that holds its article, and the feed as asked in the last one.
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
                if time.monotonic() - flushed > SOON:
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
        """Return which of the files that would be kept lie under another name now, and report the others."""
        renamed: list[str] = []
        there = {seen.digest for file in found.files if found.kept and (seen := self._catalogue.files.state(file.name))}
        for kept in found.kept:
            moved = [name for name in kept.names if found.known[name].digest in there - {None}]
            renamed += moved
            if len(moved) < kept.gone:
                self._report.kept.append(replace(kept, gone=kept.gone - len(moved)))
        return renamed

    @cached_property
    def _drafter(self) -> Preparer:
        return Preparer(self._load(), self._space.passage_tokens)

    def _file(self, file: File, known: FileState | None, flushed: Callable[[], None]) -> None:
        try:
            before = file.path.stat()
        except FileNotFoundError:
            return  # gone since the scan; the next one will see to it
        except OSError:
            before = None  # the reader will say what is wrong with it
        if before is not None and known is not None and _is_as_known(before, known):
            self._unchanged(known)
            return
        seen_ns = time.time_ns()
        size = before.st_size if before else 0
        most = most_bytes(file.path, self._article_bytes)
        sampled = size > (HASHED if most is None else min(most, HASHED))
        digest = None
        if _is_regular(before):
            digest = _sample_of(file.path, size) if sampled else _digest_of(file.path)
        known = self._catalogue.files.state(file.name)  # another process may have read it meanwhile
        same = (
            known is not None
            and known.size is not None
            and (known.digest, known.prepare_version) == (digest, PREPARE_VERSION)
        )
        same = same and not sampled  # who has seen pieces does not know
        if before is not None and digest is not None and known is not None and same:
            self._ended.append(Ended(file.name, _seen(known.key, before, seen_ns, digest, known.problems)))
            self._unchanged(known)
            return
        key = (known and known.key) or file.key
        held = self._catalogue.files.article_ids(file.name)
        tally = Tally(file.name, MOST_OF_A_FILE)
        found = self._read(file.path, key, self._article_bytes)
        stayed = self._take(found, file.name, key, flushed, tally.add)
        problems = tuple(tally.problems)
        self._report.note(*problems)
        if before is None or digest is None:
            return
        if not _is_same(before, file.path):
            reason = "changed while it was read; it is read again next time"
            self._report.note(Problem(file.name, reason, lost=False))
            return
        # Where something could not be read, nothing is taken for deleted.
        gone = frozenset() if any(problem.lost for problem in problems) else frozenset(held - stayed)
        self._ended.append(Ended(file.name, _seen(key, before, seen_ns, digest, problems), gone))

    def _unchanged(self, known: FileState) -> None:
        self._report.unchanged_files += 1
        self._report.note(*known.problems)

    def _take(
        self,
        found: Iterable[RawArticle | Problem],
        file: str | None,
        file_key: str,
        flushed: Callable[[], None],
        note: Callable[[Problem], object],
    ) -> set[str]:
        """Draft what a reader found, flushing whenever there is a batch; return the ids of the articles."""
        ids: set[str] = set()
        for given in found:
            if isinstance(given, Problem):
                note(given)
                continue
            one, reasons = shortened(given)
            for reason in reasons:
                note(Problem(_place(one, file), reason, lost=False))
            ident = self._identity(one, file, file_key)
            if ident in ids:
                reason = f"the key {one.key!r} stands more than once; the last article with it is kept"
                note(Problem(file or "the articles given", reason, lost=False))
            ids.add(ident)
            if (problem := self._draft(one, ident, file)) is not None:
                note(problem)
            if self._held >= BATCH:
                self._flush()
                flushed()
        return ids

    def _identity(self, article: RawArticle, file: str | None, file_key: str) -> str:
        """Return the id of an article; where two files in different folders have one name, the later gets another."""
        key, origin = article.key, article.origin
        ident = article_id(key)
        if origin is not None:
            # What a feed brought before origins were recorded has the plain id of its key, and keeps it.
            return ident if self._catalogue.articles.origins([ident]).get(ident) == origin else article_id(key, origin)
        if file is None or not (key == file_key or key.startswith(f"{file_key}#")):
            return ident
        other = article_id(f"{file}\n{key}")
        held = self._drafts.get(ident)
        owner = held.file if held else self._catalogue.files.of_article(ident)
        # The other id stays, even when the file that had the name first is gone.
        ident = other if owner not in {None, file} or self._catalogue.files.of_article(other) == file else ident
        self._named.add(ident)
        return ident

    def _draft(self, article: RawArticle, ident: str, file: str | None) -> Problem | None:
        """Prepare an article to be recorded; return why it cannot be."""
        known = self._catalogue.articles.digests([ident]).get(ident) == digest_of(article)
        if (
            ident not in self._drafts
            and known
            and self._catalogue.articles.origins([ident]).get(ident) == article.origin
        ):
            self._report.unchanged += 1
            if file is not None:
                self._owned.append((ident, file))
            return None
        drafter = self._drafter
        try:
            draft = drafter.draft(article, ident, file, self._catalogue.boilerplate.among)
        except SearchsvcError:
            raise
        except BaseException as fault:
            if not _is_of_the_input(fault):
                raise
            said = f"{type(fault).__name__}: {fault}".removesuffix(": ")
            return Problem(_place(article, file), f"it could not be cleaned and cut ({said})")
        if draft is None:
            return Problem(_place(article, file), "no sentence that could be searched")
        replaced = self._drafts.get(ident)
        self._held += len(draft.passages) - (len(replaced.passages) if replaced else 0)
        self._drafts[ident] = draft
        if file is not None:
            self._owned.append((ident, file))
        return None

    def _flush(self, vanished: Sequence[str] = (), record: Callable[[Writer], None] | None = None) -> None:
        """Embed what is new, and commit all drafts and the files that ended with them in one transaction."""
        if not (self._drafts or self._ended or self._owned or vanished or record):
            return
        passages = [(d.entry.text, *passage) for d in self._drafts.values() for passage in d.passages]
        digests = {digest for *_, digest in passages}
        known = self._catalogue.vectors.known(digests)
        new = [self._drafter.embed(passages, known)] if digests - known else []
        with self._turn():
            if self._catalogue.spaces.get() != self._space:
                raise Busy("the index has gone over to another model meanwhile", "do it again")
            if lost := known - self._catalogue.vectors.known(known):
                new.append(self._drafter.embed(passages, digests - lost))
            self._give_way()
            with self._catalogue.writing() as writer:
                for embedded in new:
                    writer.vectors.add(embedded.vectors.items(), embedded.sentences)
                    self._report.embedded += len(embedded.vectors)
                self._write(writer, vanished)
                if record is not None:
                    record(writer)
        self._drafts, self._owned, self._ended, self._held = {}, [], [], 0

    def _give_way(self) -> None:
        """Give another id to what has a file's name for its key, where another process was first with the name.

        And to what a feed brought, where its plain id has become that of an article of the owner's.
        """
        origins = self._catalogue.articles.origins(ident for ident, draft in self._drafts.items() if draft.entry.origin)
        for ident, origin in origins.items():
            if origin != self._drafts[ident].entry.origin:
                draft = self._drafts.pop(ident)
                other = article_id(draft.entry.key, draft.entry.origin)
                self._drafts[other] = replace(draft, entry=replace(draft.entry, id=other))
        taken = [
            (ident, draft)
            for ident, draft in self._drafts.items()
            if ident in self._named and self._catalogue.files.of_article(ident) not in {None, draft.file}
        ]
        for ident, draft in taken:
            other = article_id(f"{draft.file}\n{draft.entry.key}")
            del self._drafts[ident]
            self._drafts[other] = replace(draft, entry=replace(draft.entry, id=other))
            self._owned = [(other if (one, file) == (ident, draft.file) else one, file) for one, file in self._owned]

    def _write(self, writer: Writer, vanished: Sequence[str]) -> None:
        files = {name: writer.files.begin(name) for _, name in self._owned}
        for ident, origin in self._catalogue.articles.origins(self._drafts).items():
            if origin is not None and (entry := self._drafts[ident].entry).origin is None:
                # A feed brought it before origins were recorded: the plain id is the owner's, and both are kept.
                writer.articles.rename(ident, article_id(entry.key, origin))
        there = self._catalogue.articles.digests(self._drafts)
        for ident, draft in self._drafts.items():
            if there.get(ident) == draft.digest:  # another process was quicker
                self._report.unchanged += 1
                continue
            replaced = writer.articles.put(
                draft.entry,
                digest=draft.digest,
                content_digest=draft.given,
                file=files.get(draft.file or ""),
                space=self._space.row,
                passages=[(passage, digest) for passage, _, digest in draft.passages],
                blocks=draft.blocks,
                left_out=draft.junk,
            )
            self._report.changed += replaced
            self._report.added += not replaced
            self._report.passages += len(draft.passages)
        for ident, name in self._owned:
            writer.files.hold(files[name], ident)
        for ended in self._ended:
            writer.files.end(ended.name, ended.seen)
        for name, gone in [(ended.name, ended.gone) for ended in self._ended] + [
            (name, self._catalogue.files.article_ids(name)) for name in vanished
        ]:
            removed, again = writer.files.release(name, gone)
            self._report.removed += removed
            self._again |= again - {name}
        for name in vanished:
            writer.files.remove(name)
        self._again -= {*vanished}


@dataclass(frozen=True, slots=True)
class Ended:
    """A file read to its end, as it was when that began, and the ids of the articles that it no longer holds."""

    name: str
    seen: FileState
    gone: frozenset[str] = frozenset()


def _place(article: RawArticle, file: str | None) -> str:
    """Return what a problem with an article is said of."""
    return article.key if file is None else file if file.endswith(article.key) else f"{file}, {article.key}"


def _is_of_the_input(fault: BaseException) -> bool:
    """Say whether an article can be to blame for this; a panic of a library in Rust is no `Exception`."""
    return isinstance(fault, Exception) or type(fault).__name__ == "PanicException"


def _seen(
    key: str | None, stat: stat_result, seen_ns: int, digest: bytes | None, problems: Sequence[Problem]
) -> FileState:
    times = (stat.st_mtime_ns, stat.st_ctime_ns, seen_ns)
    return FileState(key, stat.st_size, *times, digest, PREPARE_VERSION, tuple(problems))


def _is_as_known(stat: stat_result, known: FileState) -> bool:
    """Say whether a file surely has not changed, judging by its size and times."""
    if (stat.st_size, stat.st_mtime_ns, PREPARE_VERSION) != (known.size, known.modified_ns, known.prepare_version):
        return False
    if known.changed_ns is None or known.seen_ns is None:
        return True  # recorded by a version that looked no further
    latest = max(stat.st_mtime_ns, stat.st_ctime_ns)
    return stat.st_ctime_ns == known.changed_ns and known.seen_ns - latest > IN_DOUBT


def _is_same(before: stat_result, path: Path) -> bool:
    try:
        now = path.stat()
    except OSError:
        return False
    return (before.st_size, before.st_mtime_ns, before.st_ino) == (now.st_size, now.st_mtime_ns, now.st_ino)


def _is_regular(found: stat_result | None) -> bool:
    """Say whether a file can be read to its end: a pipe that took its place may never have one."""
    return found is not None and stat.S_ISREG(found.st_mode)


def _digest_of(path: Path) -> bytes | None:
    """Return what stands for a file's bytes; None where they cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).digest()
    except OSError:
        return None


def _sample_of(path: Path, size: int) -> bytes | None:
    """Return what stands for a file too large to be hashed: its size and pieces of it; None where it cannot be read.

    It tells that a file lies under another name now, and not that it has not changed.
    """
    digest = hashlib.blake2b(f"{size} bytes".encode(), digest_size=16)
    try:
        with path.open("rb") as stream:
            for number in range(PIECES):
                stream.seek(max(0, size - PIECE) * number // (PIECES - 1))
                digest.update(stream.read(PIECE))
    except OSError:
        return None
    return digest.digest()
