"""Watches folders and files, and names the paths that have changed once they have settled.

    operating system ── watchfiles ──► events ── stat ──► pending ── unchanged for a while ──► changes

An event only says where to look; whether a path has settled is read from the path itself. Events can be lost (the
system's queue overflows, a disk is unmounted, a shared folder changes on another machine), so a full scan with new
watches is asked for at regular intervals.
"""

import logging
import math
import os
import stat
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from searchsvc.readers import READERS, suffix_of, walk

MAX_PATHS = 10_000  # paths pending at a time; beyond them a full scan is asked for
STEP_MS = 40  # how often watchfiles looks for events, and how long it waits for more of a burst
BURST_MS = 500  # after which it hands over a burst that has not ended
STOP_SECONDS = 0.1  # how long a stop may go unnoticed
BACKOFF = 4  # factor between the pauses after watching has failed again and again

_log = logging.getLogger("searchsvc")


@dataclass(frozen=True, slots=True)
class _Stat:
    """What is at a path; at least one field changes with any change of a file."""

    kind: int
    inode: int
    size: int
    modified_ns: int


_Pending = dict[Path, tuple[_Stat | None, float]]  # what was last seen at a path (None: nothing), and since when


class Watcher:
    """Watches folders, with everything in them, and single files."""

    def __init__(self, roots: Sequence[Path], *, settle: float = 0.25, rescan: float = 60.0) -> None:
        """Name what to watch; a root that does not exist yet is waited for.

        `settle`: seconds that a path must stay the same before it is reported; `rescan`: seconds between full scans.
        """
        self._roots = tuple(roots)
        self._settle = settle
        self._rescan = rescan
        self._pause = settle
        self._warned = False
        self.fault: str | None = None  # why changes are only found by full scans at the moment

    def changes(self, stop: threading.Event) -> Generator[frozenset[Path] | None, None, None]:
        """Yield the paths under the roots that have changed and settled; None asks for a full scan.

        None comes first, when the watches are in place, then every `rescan` seconds, and whenever a root has vanished
        or come back, too much has changed to be named, or watching has failed and can begin anew. A path is absolute,
        with the links in its root resolved; it is a file that has a reader, a new folder (its files are named too), or
        something that is gone.

        Ends soon after `stop` is set. Raises nothing about the roots: where one cannot be watched, that is logged
        once, and full scans go on.
        """
        pending: _Pending = {}
        while not stop.is_set():
            with closing(_Watches(self._roots)) as watches:
                watches.open()
                if watches.fault:
                    self._report(watches.fault)
                elif self._pause <= self._rescan:
                    self.fault = None
                yield None
                yield from self._settled(watches, pending, stop)

    def _settled(
        self, watches: "_Watches", pending: _Pending, stop: threading.Event
    ) -> Generator[frozenset[Path], None, None]:
        """Yield what settles, until a full scan is due."""
        rescan = time.monotonic() + self._rescan
        failed = watches.fault is not None
        while not stop.is_set() and (now := time.monotonic()) < rescan:
            if watches.fault and not failed:
                failed = True
                rescan = min(rescan, now + self._next_pause(watches.fault))
            due = min((since for _, since in pending.values()), default=math.inf) + self._settle
            changed = watches.take(min(due, rescan, now + STOP_SECONDS) - now)
            if watches.outdated(changed) or not _note(changed, pending):
                stop.wait(self._settle)  # more of the same may come: one scan for all of it
                return
            if settled := self._take_settled(pending):
                yield settled
        if not failed:
            self._pause, self.fault = self._settle, None

    def _take_settled(self, pending: _Pending) -> frozenset[Path]:
        """Remove and return the paths that have settled."""
        now = time.monotonic()
        settled = set()
        for path in [path for path, (_, since) in pending.items() if now - since >= self._settle]:
            before, _ = pending[path]
            current = _stat(path)
            pending[path] = current, now
            if current == before:
                settled.add(path)
        if settled:  # a folder comes after what is in it: its reader scans all of that
            settled -= {folder for path in pending.keys() - settled for folder in path.parents}
        for path in settled:
            del pending[path]
        return frozenset(settled)

    def _next_pause(self, fault: str) -> float:
        """Return the seconds until watching that has failed begins anew: more each time, up to the next full scan.

        One event that cannot be decoded, of a file whose name is not UTF-8, ends watchfiles' watch, and reading such
        a file makes another: new watches often work. Where such a folder lies under a root, none ever do.
        """
        pause = min(self._pause, self._rescan)
        self._pause *= BACKOFF
        if pause == self._rescan:
            self._report(fault)
        return pause

    def _report(self, fault: str) -> None:
        self.fault = fault
        if not self._warned:
            self._warned = True
            _log.warning("cannot watch for changes, so they are looked for every %g seconds: %s", self._rescan, fault)


class _Watches:
    """The operating system's watches on some roots, and the changed paths that were not taken yet."""

    def __init__(self, roots: Iterable[Path]) -> None:
        self._roots = frozenset(Path(os.path.realpath(root)) for root in roots)
        self._folders = frozenset(filter(_is_folder, self._roots))
        # Saving often replaces a file by another, and what does not exist cannot be watched: their folders are.
        self._parents = frozenset(root.parent for root in self._roots - self._folders if _is_folder(root.parent))
        self._changed: set[Path] = set()
        self._arrival = threading.Condition()
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self.fault: str | None = None  # why some of them are not in place

    def open(self) -> None:
        """Set the watches; returns when each is in place or has failed."""
        for folders, recursive in ((self._folders, True), (self._parents, False)):
            if folders:
                ready = threading.Event()
                thread = threading.Thread(
                    target=self._listen, args=(folders, recursive, ready), name="searchsvc watching", daemon=True
                )
                self._threads.append(thread)
                thread.start()
                ready.wait()

    def close(self) -> None:
        """Remove the watches, and wait for their threads."""
        self._closing.set()
        for thread in self._threads:
            thread.join()

    def take(self, seconds: float) -> set[Path]:
        """Return and forget the paths that have changed, at once where there are any, else after these seconds."""
        with self._arrival:
            self._arrival.wait_for(lambda: self._changed, max(0, seconds))
            changed, self._changed = self._changed, set()
        return changed

    def outdated(self, changed: set[Path]) -> bool:
        """Return whether the watches no longer fit what is there, or events were dropped."""
        roots = (path for path in changed & self._roots if _is_folder(path))
        return len(changed) > MAX_PATHS or not changed.isdisjoint(self._folders | self._parents) or any(roots)

    def _listen(self, folders: frozenset[Path], recursive: bool, ready: threading.Event) -> None:
        """Collect the events of some folders; `ready` is set at the first time-out, after the watches were placed."""
        from watchfiles import Change, watch

        try:
            for events in watch(
                *folders,
                watch_filter=None,
                debounce=BURST_MS,
                step=STEP_MS,
                stop_event=self._closing,
                rust_timeout=1,
                yield_on_timeout=True,
                debug=False,
                raise_interrupt=False,
                force_polling=False,
                recursive=recursive,
                ignore_permission_denied=False,
            ):
                ready.set()
                changed = ((kind, Path(name)) for kind, name in events)
                # A folder is modified when its owner or date changes, which says nothing about its contents.
                self._add({path for kind, path in changed if kind != Change.modified or not _is_folder(path)})
        except FileNotFoundError:  # one has vanished just now
            self._add(folders)
        except (OSError, UnicodeError, RuntimeError) as fault:  # watchfiles' own failures are RuntimeErrors
            self.fault = str(fault)
        except Exception as fault:  # noqa: BLE001  full scans find what is not reported
            self.fault = f"an unexpected {type(fault).__name__}"
            _log.exception("watching for changes has failed")
        finally:
            ready.set()

    def _add(self, paths: Iterable[Path]) -> None:
        with self._arrival:
            if len(self._changed) <= MAX_PATHS:
                self._changed.update(filter(self._concerns, paths))
                self._arrival.notify()

    def _concerns(self, path: Path) -> bool:
        """Return whether a path is watched itself, or is under a root without a hidden name in between."""
        if path in self._parents:
            return True
        while path not in self._roots:
            if path.name[:1] in {"", "."}:
                return False
            path = path.parent
        return True


def _note(changed: set[Path], pending: _Pending) -> bool:
    """Add changed paths to those pending, or start their time anew; False where they are too many."""
    now = time.monotonic()
    for path, current in chain.from_iterable(map(_expand, changed)):
        if path not in pending or pending[path][0] != current:
            pending[path] = current, now
        if len(pending) > MAX_PATHS:
            pending.clear()
            return False
    return True


def _expand(path: Path) -> Iterator[tuple[Path, _Stat | None]]:
    """Yield a path that can matter, with what is there; for a folder, first the files in it."""
    current = _stat(path)
    if current is not None and stat.S_ISDIR(current.kind):
        yield from ((file, _stat(file)) for file in walk(path) if isinstance(file, Path))
    elif current is not None and not (stat.S_ISREG(current.kind) and suffix_of(path) in READERS):
        return
    yield path, current


def _stat(path: Path) -> _Stat | None:
    try:
        result = path.stat()
    except OSError:
        return None
    return _Stat(stat.S_IFMT(result.st_mode), result.st_ino, result.st_size, result.st_mtime_ns)


def _is_folder(path: Path) -> bool:
    current = _stat(path)
    return current is not None and stat.S_ISDIR(current.kind)
