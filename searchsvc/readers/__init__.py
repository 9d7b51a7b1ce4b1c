"""Readers: from files to articles.

The seam: a reader is a `Callable[[Path, str, int], Iterator[RawArticle | Problem]]`. It takes a path, the key of the
file, and the limit in bytes of one article, and yields what the file holds. It may raise `OSError` and `Unreadable` at
any point; `read` makes a `Problem` of these and keeps what came before. A new format is a file with such a function,
and a row in `READERS`.

Any file may make a library fail, hang or take all memory: the index has its files read in a process that can be killed,
see `process.py`.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from searchsvc.errors import Unreadable
from searchsvc.readers.compression import PACKED, most_packed
from searchsvc.readers.feed import LARGEST, read_feed
from searchsvc.readers.fields import from_record, without_surrogates
from searchsvc.readers.html import read_html
from searchsvc.readers.markdown import read_markdown
from searchsvc.readers.problems import limited
from searchsvc.readers.records import read_json, read_json_lines
from searchsvc.readers.tables import read_table
from searchsvc.readers.text import read_text
from searchsvc.text.article import Problem, RawArticle, storable

__all__ = ["READERS", "Reader", "from_record", "guarded", "most_bytes", "read", "suffix_of", "walk"]

Reader = Callable[[Path, str, int], Iterator[RawArticle | Problem]]

READERS: dict[str, Reader] = {
    ".txt": read_text,
    ".text": read_text,
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".html": read_html,
    ".htm": read_html,
    ".xhtml": read_html,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json,
    ".csv": read_table,
    ".tsv": read_table,
    ".rss": read_feed,
    ".atom": read_feed,
    ".xml": read_feed,
}

_STREAMING = frozenset({read_json_lines, read_json, read_table})  # all others hold a file as a whole

_REASONS = {
    FileNotFoundError: "no such file or folder",
    NotADirectoryError: "no such file or folder",
    IsADirectoryError: "is a folder",
    PermissionError: "permission denied",
}


def read(path: Path, key: str, limit: int) -> Iterator[RawArticle | Problem]:
    """Yield the articles of a file; `limit` is that of one article in bytes, unpacked.

    Raises nothing about the file: whatever is wrong with it comes as a `Problem`, after the articles that could be read
    before it. Of many problems, the first are listed and the others counted (see `problems.py`).
    """
    return limited(_read(path, key, limit), storable(str(path)))


def _read(path: Path, key: str, limit: int) -> Iterator[RawArticle | Problem]:
    reader = READERS.get(suffix_of(path))
    try:
        mode = _mode(path)
        if stat.S_ISDIR(mode):
            raise Unreadable("is a folder")
        if not stat.S_ISREG(mode):
            raise Unreadable("is not a regular file")
        if reader is None:
            raise _unknown()
        with guarded():
            for result in reader(path, key, limit):
                yield _printable(result) if isinstance(result, Problem) else result
    except (OSError, Unreadable) as fault:
        yield _problem(path, fault)


@contextmanager
def guarded() -> Iterator[None]:
    """Turn whatever a library raises into `Unreadable`, so that only this input fails."""
    try:
        yield
    except (OSError, Unreadable):
        raise
    except Exception as fault:  # libraries raise anything, down to AssertionError and MemoryError
        cause = f"{type(fault).__name__}: {fault}".removesuffix(": ")
        raise Unreadable(f"the reader failed ({cause})") from fault


def most_bytes(path: Path, limit: int) -> int | None:
    """Return the size in bytes, as packed, up to which a file of this kind can be read; None: any.

    `limit`: bytes of one article.
    """
    reader = READERS.get(suffix_of(path))
    if reader in _STREAMING:
        return None
    return most_packed(path, max(limit, LARGEST) if reader is read_feed else limit)


def suffix_of(path: Path) -> str:
    """Return the suffix that says what a file is, in lower case: `.jsonl` of `News.JSONL.gz`."""
    plain = Path(path.stem) if path.suffix.lower() in PACKED else path
    return plain.suffix.lower()


def walk(path: Path, *, inside: Path | None = None) -> Iterator[Path | Problem]:
    """Yield the files to read at a path: itself, or in order all that a folder holds which have a reader.

    Hidden files and folders, devices, links that lead out of the folder, and a README, which is about the folder
    and no news, are left out; so is a link to what is found under its own name anyway. A path that cannot be read comes
    as a `Problem`. With `inside`, the path is a part of that folder, and what is yielded is what walking the whole
    folder would yield of it; nothing when it does not exist.
    """
    try:
        if inside is not None and path != inside:
            yield from _part(path, inside)
            return
        mode = _mode(path)
        if stat.S_ISDIR(mode):
            yield from _folder(path, Path(os.path.realpath(path, strict=True)))
        elif not stat.S_ISREG(mode):
            raise Unreadable("is not a regular file")
        elif suffix_of(path) not in READERS:
            raise _unknown()
        else:
            yield path
    except (OSError, Unreadable) as fault:
        yield _problem(path, fault)


def _part(path: Path, top: Path) -> Iterator[Path | Problem]:
    parts = [*reversed(path.relative_to(top).parents)][1:]
    root = Path(os.path.realpath(top, strict=True))
    if any(_left_out(part.name) for part in (*parts, path)):
        return
    if any(link.is_symlink() and not _leads_on(link, root) for link in (*(top / part for part in parts), path)):
        return
    if path.is_dir():
        yield from _folder(path, root)
    elif path.is_file() and suffix_of(path) in READERS:
        yield path


def _folder(top: Path, root: Path) -> Iterator[Path | Problem]:
    seen = {root, Path(os.path.realpath(top, strict=True))}
    entries = _entries(top)
    while entries:
        entry = entries.pop()
        path = Path(entry.path)
        try:
            if entry.is_symlink() and not _leads_on(path, root):
                continue
            mode = entry.stat().st_mode
            if stat.S_ISREG(mode) and suffix_of(path) in READERS:
                yield path
            elif stat.S_ISDIR(mode) and (real := Path(os.path.realpath(path, strict=True))) not in seen:
                seen.add(real)
                entries += _entries(path)
        except OSError as fault:
            if os.path.lexists(path):  # else it was deleted meanwhile
                yield _problem(path, fault)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return the visible entries of a folder, last name first, so that the first can be popped."""
    with os.scandir(folder) as entries:
        visible = [entry for entry in entries if not _left_out(entry.name)]
    return sorted(visible, key=lambda entry: entry.name, reverse=True)


def _left_out(name: str) -> bool:
    return name.startswith(".") or name.partition(".")[0].casefold() == "readme"


def _leads_on(link: Path, root: Path) -> bool:
    """Say whether a link leads to something inside the folder that is not found under its own name."""
    target = Path(os.path.realpath(link))
    if target == link or not target.is_relative_to(root):
        return False
    if not target.exists():
        if suffix_of(link) in READERS and not target.is_symlink():
            raise FileNotFoundError
        return False
    inside = target.relative_to(root)
    hidden = any(part.startswith(".") for part in inside.parts)
    return hidden or (target.is_file() and suffix_of(target) not in READERS)


def _mode(path: Path) -> int:
    if "\0" in str(path):
        raise Unreadable("no such file or folder")
    return path.stat().st_mode


def _unknown() -> Unreadable:
    packed = " and ".join(sorted(PACKED))
    return Unreadable(f"unknown kind of file; known are {', '.join(READERS)}, each also with {packed}")


def _problem(path: Path, fault: OSError | Unreadable) -> Problem:
    if isinstance(fault, Unreadable):
        return Problem(storable(str(path)), without_surrogates(fault.message))
    reason = next((words for kind, words in _REASONS.items() if isinstance(fault, kind)), None)
    return Problem(storable(str(path)), reason or (fault.strerror or str(fault) or "cannot be read").lower())


def _printable(problem: Problem) -> Problem:
    """Return a problem that can be printed even where the name of the file is not text."""
    return Problem(without_surrogates(problem.where), without_surrogates(problem.reason), problem.lost)
