"""Following: an index is brought in step with files and feeds, and kept so.

watching ── what changed ──┐
                           ├──► library.index ──► report       a hindrance: again, a little later
a feed's time has come ────┘
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from searchsvc.errors import Busy, SearchsvcError, Unwritable
from searchsvc.indexing import Report
from searchsvc.library import Library
from searchsvc.watching import Watcher

RETRY = 5.0  # seconds until what failed for want of room or of a turn is tried again
LONGEST = 60.0  # seconds between two looks at the clock, so that one set back delays nothing for longer

Told = Callable[[Report], None]


def follow(library: Library, sources: Sequence[Path | str], stop: threading.Event, told: Told) -> None:
    """Keep an index in step with files, folders and feeds (URLs) until `stop` is set; `told` hears what each run did.

    What hinders a run, such as a full disk, is announced, and the run is tried again.
    """
    _patiently(library, library.begin, stop)
    roots = [one.resolve() for one in sources if isinstance(one, Path)]
    faults: list[SearchsvcError] = []
    for url in (one for one in sources if isinstance(one, str)):
        feed = _Feed(library, url, stop, told, faults)
        threading.Thread(target=feed.follow, name=url, daemon=True).start()
    with closing(Watcher(roots, rescan=library.settings.rescan_seconds).changes(stop)) as changes:
        for changed in changes:
            _patiently(library, lambda only=changed: told(library.index(roots, only=only)), stop)  # type: ignore[misc]
    for fault in faults:
        raise fault


@dataclass(frozen=True, slots=True)
class _Feed:
    """A feed that is asked whenever its time has come; what ends that, ends all of `follow`."""

    library: Library
    url: str
    stop: threading.Event
    told: Told
    faults: list[SearchsvcError]

    def follow(self) -> None:
        try:
            while not self.stop.is_set():
                due = self.library.catalogue.feed(self.url).next_at
                wait = (due - datetime.now(UTC)).total_seconds() if due else 0.0
                if wait > 0:
                    self.stop.wait(min(wait, LONGEST))
                else:
                    _patiently(self.library, lambda: self.told(self.library.index([self.url])), self.stop)
        except SearchsvcError as fault:
            self.faults.append(fault)
            self.stop.set()


def _patiently(library: Library, run: Callable[[], None], stop: threading.Event) -> None:
    """Do something that others, or a full disk, may hinder, until it is done or `stop` is set."""
    while not stop.is_set():
        try:
            run()
            break
        except (Busy, Unwritable) as hindrance:
            library.announce(f"{hindrance.message}; trying again in {RETRY:g} seconds.")
            stop.wait(RETRY)
