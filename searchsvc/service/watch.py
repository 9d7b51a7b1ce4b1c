"""Watching: what changes under folders, told when it has settled.

    operating system ── watches ──► heard ── looked at ──► waiting ── the same for a while ──► told

An event says only where to look: whether a path has settled is seen at the path itself. And events can be lost (the
system's queue overflows, a disk is unmounted, a shared folder changes on another machine), so everything is looked at
again now and then, each time with new watches.
"""

import logging
import math
import os
import stat
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from searchsvc.readers import READERS, suffix_of, walk

if TYPE_CHECKING:
    from watchfiles._rust_notify import RustNotify

MOST = 10_000  # paths kept in mind; where more change at once, everything is looked at again
STEP = 40  # milliseconds after which watchfiles sees whether there are events, and as many until it sees no more come
BURST = 500  # milliseconds after which it hands them over though more come
HEED = 0.1  # seconds until a stop is noticed

_log = logging.getLogger("searchsvc")


@dataclass(frozen=True, slots=True)
class _Sight:
    """What is at a path; one of these changes with whatever changes a file."""

    kind: int
    inode: int
    size: int
    modified_ns: int


_Waiting = dict[Path, tuple[_Sight | None, float]]  # what was seen at a path (None: nothing), and since when


class Watcher:
    """Watches folders, with all that is in them, and single files."""

    def __init__(self, roots: Sequence[Path], *, settle: float = 0.25, rescan: float = 60.0) -> None:
        """Name what to watch; what does not exist is waited for.

        `settle`: seconds that a path must stay the same to be told; `rescan`: seconds until everything is to be
        looked at again.
        """
        self._roots = tuple(roots)
        self._settle = settle
        self._rescan = rescan
        self._complained = False
        self.fault: str | None = None  # why changes are not told of now, but only looked for

    def changes(self, stop: threading.Event) -> Generator[frozenset[Path] | None, None, None]:
        """Yield the paths under the roots that have changed and settled; None: look at everything again.

        None comes first, when the watches are in place, then every `rescan` seconds, and whenever a root has vanished
        or come back, or more has changed than can be named. A path is absolute, with the links in its root resolved;
        it is of a file that has a reader, of a folder that is new (its files are named as well), or of what is gone.

        Ends soon after `stop` is set. Raises nothing about the roots: that one cannot be watched is logged, once, and
        it is looked at every `rescan` seconds.
        """
        waiting: _Waiting = {}
        while not stop.is_set():
            self.fault = None
            with closing(_Watches(self._roots, self._complain)) as watches:
                watches.open()
                yield None
                yield from self._settled(watches, waiting, stop)

    def _settled(
        self, watches: "_Watches", waiting: _Waiting, stop: threading.Event
    ) -> Generator[frozenset[Path], None, None]:
        """Yield what settles, until everything is to be looked at again."""
        rescan = time.monotonic() + self._rescan
        while not stop.is_set() and (now := time.monotonic()) < rescan:
            due = min((since for _, since in waiting.values()), default=math.inf) + self._settle
            heard = watches.take(min(due, rescan, now + HEED) - now)
            if watches.outdated(heard) or not _note(heard, waiting):
                stop.wait(self._settle)  # whatever is going on may be over by then
                return
            if told := self._told(waiting):
                yield told

    def _told(self, waiting: _Waiting) -> frozenset[Path]:
        """Return the paths that have settled; they wait no longer."""
        now = time.monotonic()
        settled = set()
        for path in [path for path, (_, since) in waiting.items() if now - since >= self._settle]:
            before, _ = waiting[path]
            sight = _look(path)
            waiting[path] = sight, now
            if sight == before:
                settled.add(path)
        if settled:  # a folder is told after what is in it: whoever hears of it looks at all of that
            settled -= {folder for path in waiting.keys() - settled for folder in path.parents}
        for path in settled:
            del waiting[path]
        return frozenset(settled)

    def _complain(self, fault: str) -> None:
        self.fault = fault
        if not self._complained:
            self._complained = True
            _log.warning("cannot watch for changes, so they are looked for every %g seconds: %s", self._rescan, fault)


class _Watches:
    """The operating system's watches on some roots, and the paths heard of that were not taken yet."""

    def __init__(self, roots: Iterable[Path], complain: Callable[[str], None]) -> None:
        self._roots = frozenset(Path(os.path.realpath(root)) for root in roots)
        self._folders = frozenset(filter(_is_folder, self._roots))
        # A file is replaced by another when it is saved, and what does not exist has no watch: their folders tell.
        self._parents = frozenset(root.parent for root in self._roots - self._folders if _is_folder(root.parent))
        self._complain = complain
        self._heard: set[Path] = set()
        self._news = threading.Condition()
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []

    def open(self) -> None:
        """Set the watches; from here on, whatever changes is heard."""
        from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

        for places, recursive in ((self._folders, True), (self._parents, False)):
            if not places:
                continue
            try:
                notify = RustNotify([str(place) for place in places], False, False, 1_000, recursive, False)
            except FileNotFoundError:
                self._hear(places)  # a folder vanished just now, so that these watches are outdated
            except (OSError, UnicodeError, WatchfilesRustInternalError) as fault:
                self._complain(str(fault))
            else:
                thread = threading.Thread(target=self._listen, args=(notify,), name="searchsvc watching", daemon=True)
                self._threads.append(thread)
                thread.start()

    def close(self) -> None:
        """Take the watches away, and wait for the threads."""
        self._closing.set()
        for thread in self._threads:
            thread.join()

    def take(self, seconds: float) -> set[Path]:
        """Return what was heard since the last time, at once if there is something, else after these seconds."""
        with self._news:
            self._news.wait_for(lambda: self._heard, max(0, seconds))
            taken, self._heard = self._heard, set()
        return taken

    def outdated(self, heard: set[Path]) -> bool:
        """Say whether the watches no longer fit what is there, or not all was heard."""
        changed = (path for path in heard & self._roots if _is_folder(path))
        return len(heard) > MOST or not heard.isdisjoint(self._folders | self._parents) or any(changed)

    def _listen(self, notify: "RustNotify") -> None:
        from watchfiles import Change
        from watchfiles._rust_notify import WatchfilesRustInternalError

        try:
            with notify:
                # Without a time limit: at its end, watchfiles would forget what came just then.
                while not isinstance(events := notify.watch(BURST, STEP, 0, self._closing), str):
                    changed = ((kind, Path(name)) for kind, name in events)
                    # A folder is modified when it gets another owner or date, which says nothing of what it holds.
                    self._hear({path for kind, path in changed if kind != Change.modified or not _is_folder(path)})
        except WatchfilesRustInternalError as fault:
            self._complain(str(fault))
        except Exception as fault:  # noqa: BLE001  what is not told is looked for
            self._complain(f"an unexpected {type(fault).__name__}")
            _log.exception("listening to changes has failed")

    def _hear(self, paths: Iterable[Path]) -> None:
        with self._news:
            if len(self._heard) <= MOST:
                self._heard.update(filter(self._concerns, paths))
                self._news.notify()

    def _concerns(self, path: Path) -> bool:
        """Say whether a path is watched itself, or is under a root without a hidden name in between."""
        if path in self._parents:
            return True
        while path not in self._roots:
            if path.name[:1] in {"", "."}:
                return False
            path = path.parent
        return True


def _note(heard: set[Path], waiting: _Waiting) -> bool:
    """Let what was heard of wait to be told, from now on if it has changed; if that is too much, say so: False."""
    now = time.monotonic()
    for path, sight in chain.from_iterable(map(_seen, heard)):
        if path not in waiting or waiting[path][0] != sight:
            waiting[path] = sight, now
        if len(waiting) > MOST:
            waiting.clear()
            return False
    return True


def _seen(path: Path) -> Iterator[tuple[Path, _Sight | None]]:
    """Yield a path that can matter, with what is there; of a folder, first the files that it came with."""
    sight = _look(path)
    if sight is not None and stat.S_ISDIR(sight.kind):
        yield from ((found, _look(found)) for found in walk(path) if isinstance(found, Path))
    elif sight is not None and not (stat.S_ISREG(sight.kind) and suffix_of(path) in READERS):
        return
    yield path, sight


def _look(path: Path) -> _Sight | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _Sight(stat.S_IFMT(found.st_mode), found.st_ino, found.st_size, found.st_mtime_ns)


def _is_folder(path: Path) -> bool:
    sight = _look(path)
    return sight is not None and stat.S_ISDIR(sight.kind)
