"""Indexing: the catalogue is brought in step with files, and with articles that are given directly.

    files ── read ── clean ── cut ──► drafts ── embed what is new ──► catalogue, a batch a transaction

A file counts as read only in the transaction that holds its last article, so whatever interrupts the work, the next
run goes on where this one ended.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from searchsvc.articles import Article, Problem, article_id, site_of
from searchsvc.catalogue import Catalogue, Entry
from searchsvc.cleaning import clean, clean_line, clean_title, title_from
from searchsvc.embedding import Embedder
from searchsvc.languages import language_of
from searchsvc.passages import Passage, Splitter
from searchsvc.readers import read, walk

CUT = "1"  # raised whenever cleaning or cutting changes: every file is then read, and every article cut, again
BATCH = 1_536  # passages embedded and committed at a time: about fifteen seconds of work on two cores


@dataclass(frozen=True, slots=True)
class Draft:
    """An article ready to be recorded: cleaned and cut, with the text to be embedded for each passage."""

    entry: Entry
    digest: bytes
    path: str | None
    passages: tuple[tuple[Passage, str], ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """A file read to its end: its size and time when that began, and the articles that it no longer holds."""

    path: str
    size: int
    modified_ns: int
    gone: frozenset[str]


@dataclass(slots=True)
class Report:
    """What indexing has done so far; `problems` are in the order in which they were met."""

    files: int = 0
    unchanged_files: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    passages: int = 0
    embedded: int = 0
    seconds: float = 0.0
    problems: list[Problem] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """How many articles or files could not be indexed."""
        return sum(problem.lost for problem in self.problems)


Progress = Callable[[Report, int, int], None]  # the report so far, files done, files in all


class Indexer:
    """Writes to one catalogue, once; whoever uses it holds the index's writer lock."""

    def __init__(self, catalogue: Catalogue, embedder: Embedder, splitter: Splitter, article_bytes: int) -> None:
        self._catalogue = catalogue
        self._embedder = embedder
        self._splitter = splitter
        self._article_bytes = article_bytes
        self._report = Report()
        self._drafts: dict[str, Draft] = {}
        self._ended: list[Ended] = []
        self._held = 0

    def files(self, paths: Sequence[Path], progress: Progress) -> Report:
        """Bring the catalogue in step with the files at these paths; a file that has not changed is not read."""
        began = time.monotonic()
        found = list(self._walk(paths))
        self._report.files = len(found)
        for number, (file, key) in enumerate(found):
            progress(self._report, number, len(found))
            self._file(file, key, lambda done=number: progress(self._report, done, len(found)))  # type: ignore[misc]
        self._flush()
        progress(self._report, len(found), len(found))
        self._report.seconds = time.monotonic() - began
        return self._report

    def articles(self, articles: Iterable[Article | Problem]) -> Report:
        """Add or replace articles that were given directly."""
        began = time.monotonic()
        self._take(articles, None, "", lambda: None)
        self._flush()
        self._report.seconds = time.monotonic() - began
        return self._report

    def _walk(self, paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
        """Yield each file once, with its key: its path relative to the folder that was named."""
        seen: set[Path] = set()
        for path in paths:
            root = path.resolve()
            base = root if root.is_dir() else root.parent
            for found in walk(root):
                if isinstance(found, Problem):
                    self._report.problems.append(found)
                elif found not in seen:
                    seen.add(found)
                    yield found, _storable(found.relative_to(base).as_posix())

    def _file(self, file: Path, key: str, flushed: Callable[[], None]) -> None:
        path = _storable(str(file))
        try:
            stat = file.stat()
        except OSError:
            stat = None  # the reader will say what is wrong with it
        if stat is not None and self._catalogue.file(path) == (stat.st_size, stat.st_mtime_ns, CUT):
            self._report.unchanged_files += 1
            return
        before = self._catalogue.ids_from(path)
        lost = self._report.lost
        stayed = self._take(read(file, key, self._article_bytes), path, key, flushed)
        # Where something could not be read, nothing is taken for deleted, and the file is tried again next time.
        if stat is not None and self._report.lost == lost:
            self._ended.append(Ended(path, stat.st_size, stat.st_mtime_ns, frozenset(before - stayed)))

    def _take(
        self, found: Iterable[Article | Problem], path: str | None, file_key: str, flushed: Callable[[], None]
    ) -> set[str]:
        """Draft what a reader found, flushing whenever there is a batch; return the ids of the articles."""
        ids: set[str] = set()
        for one in found:
            if isinstance(one, Problem):
                self._report.problems.append(one)
                continue
            ident = self._identity(one.key, path, file_key)
            if ident in ids:
                reason = f"the key {one.key!r} stands more than once; the last article with it is kept"
                self._report.problems.append(Problem(path or "the articles given", reason, lost=False))
            ids.add(ident)
            self._draft(one, ident, path)
            if self._held >= BATCH:
                self._flush()
                flushed()
        return ids

    def _identity(self, key: str, path: str | None, file_key: str) -> str:
        """Return the id of a key; where two files in different folders have one name, the later gets another id."""
        ident = article_id(key)
        if path is None or not (key == file_key or key.startswith(f"{file_key}#")):
            return ident
        held = self._drafts.get(ident)
        owner = held.path if held else self._catalogue.file_of(ident)
        return ident if owner is None or owner == path else article_id(f"{path}\n{key}")

    def _draft(self, article: Article, ident: str, path: str | None) -> None:
        title = clean_title(article.title)
        source = article.source or site_of(article.url)
        given = (
            CUT,
            article.key,
            title,
            article.text,
            article.url,
            source,
            article.author,
            article.published,
            article.language,
        )
        digest = hashlib.blake2b(repr(given).encode(), digest_size=16).digest()
        known = self._catalogue.digests([ident]).get(ident)
        if known == digest and ident not in self._drafts and self._catalogue.file_of(ident) == path:
            self._report.unchanged += 1
            return
        cleaned = clean(title, article.text)
        title = title or title_from(cleaned.text)
        language = article.language or language_of(cleaned.text)
        heading = self._splitter.heading(title)
        passages = self._splitter.split(heading, cleaned, language)
        if not passages:
            self._report.problems.append(Problem(_place(path, article.key), "no sentence that could be searched"))
            return
        entry = Entry(
            row=0,
            id=ident,
            key=_storable(article.key),
            title=title,
            text=cleaned.text,
            url=article.url and clean_line(article.url),
            source=source and clean_line(source),
            author=article.author and clean_line(article.author),
            published=article.published,
            published_from=article.published_from,
            language=language,
        )
        texts = tuple((p, f"{heading}\n{cleaned.text[p.start : p.end]}") for p in passages)
        replaced = self._drafts.get(ident)
        self._held += len(passages) - (len(replaced.passages) if replaced else 0)
        self._drafts[ident] = Draft(entry, digest, path, texts)

    def _flush(self) -> None:
        """Embed what is new, and commit all drafts and the files that ended with them in one transaction."""
        found = {
            _digest(one, text): (draft, one, text) for draft in self._drafts.values() for one, text in draft.passages
        }
        known = self._catalogue.has_vectors(found.keys())
        new = {digest: parts for digest, parts in found.items() if digest not in known}
        vectors = self._embedder.passages([text for _, _, text in new.values()]).astype(np.float16)
        texts = [_sentences(draft, passage) for draft, passage, _ in new.values()]
        likenesses = np.rint(127 * self._embedder.sentences(list(chain.from_iterable(texts)))).astype(np.int8)
        ends = np.cumsum([len(some) for some in texts])[:-1]
        sentences = dict(zip(new, np.split(likenesses, ends), strict=True)) if new else {}
        with self._catalogue.writing() as writer:
            writer.add_vectors(zip(new, vectors, strict=True), sentences)
            files = {path: writer.begin_file(path) for path in {d.path for d in self._drafts.values()} if path}
            for draft in self._drafts.values():
                passages = [(passage, _digest(passage, text)) for passage, text in draft.passages]
                replaced = writer.put(draft.entry, draft.digest, files.get(draft.path or ""), passages)
                self._report.changed += replaced
                self._report.added += not replaced
                self._report.passages += len(passages)
            for ended in self._ended:
                writer.end_file(ended.path, ended.size, ended.modified_ns, CUT)
                # One that has moved to another file meanwhile is not gone.
                gone = [ident for ident in ended.gone if self._catalogue.file_of(ident) == ended.path]
                self._report.removed += sum(writer.remove(ident) for ident in gone)
        self._report.embedded += len(new)
        self._drafts, self._ended, self._held = {}, [], 0


def _sentences(draft: Draft, passage: Passage) -> list[str]:
    return [draft.entry.text[start:end] for start, end in passage.sentences]


def _digest(passage: Passage, text: str) -> bytes:
    """Return what stands for the text that is embedded of a passage, and for how it falls into sentences."""
    cuts = [(start - passage.start, end - passage.start) for start, end in passage.sentences]
    return hashlib.blake2b(f"{cuts}{text}".encode(), digest_size=16).digest()


def _place(path: str | None, key: str) -> str:
    return key if path is None else path if path.endswith(key) else f"{path}, {key}"


def _storable(name: str) -> str:
    """Return a path or a key as text that can be stored, whatever bytes it is made of."""
    return name.encode(errors="backslashreplace").decode()
