"""Following: an index is brought in step with files and feeds, and kept so.

watching ── what changed ──┐
                           ├──► library.index ──► report       a failure: on record, and again after a pause
a feed's time has come ────┘

The files and each feed are a part of their own: whatever one of them meets, it is tried again, and the others go on.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from searchsvc.catalogue import FeedState
from searchsvc.errors import Busy, SearchsvcError, Unwritable
from searchsvc.ingest.report import Report
from searchsvc.library import Library
from searchsvc.service.watch import Watcher
from searchsvc.text.article import public_address

LONGEST = 60.0  # seconds between two looks at the clock, so that one set back delays nothing for longer
DAY = 86_400.0  # seconds: the longest pause after which a feed is asked again when what it says cannot be handled

Told = Callable[[Report], None]


def follow(library: Library, sources: Sequence[Path | str], stop: threading.Event, told: Told) -> None:
    """Keep an index in step with files, folders and feeds (URLs) until `stop` is set; `told` hears what each run did.

    What fails later than at the first look is reported to `library.health`, and tried again for ever. Raises
    SearchsvcError where the first look finds what no waiting mends, and BrokenPipeError where nobody listens to `told`
    any more.
    """
    one_at_a_time = threading.Lock()
    gone: list[BrokenPipeError] = []

    def tell(report: Report) -> None:
        with one_at_a_time:
            try:
                told(report)
            except BrokenPipeError as fault:
                gone.append(fault)
                stop.set()

    _begin(library, stop)
    for url in (one for one in sources if isinstance(one, str)):
        feed = _Feed(library, url, f"feed {public_address(url)}", stop, tell)
        threading.Thread(target=feed.follow, name=feed.name, daemon=True).start()
    _Files(library, [one.resolve() for one in sources if isinstance(one, Path)], stop, tell).follow()
    for fault in gone:
        raise fault


def _begin(library: Library, stop: threading.Event) -> None:
    """Make the index where there is none, when there is a turn and room on the disk."""
    while not stop.is_set():
        try:
            library.begin()
        except (Busy, Unwritable) as hindrance:
            stop.wait(library.health.failed("files", hindrance))
        else:
            return


@dataclass(slots=True)
class _Files:
    """The files and folders; after whatever fails, everything is looked at again, with new watches."""

    library: Library
    roots: Sequence[Path]
    stop: threading.Event
    tell: Told
    begun: bool = False

    def follow(self) -> None:
        while not self.stop.is_set():
            try:
                self._follow()
            except (Busy, Unwritable) as hindrance:
                self.stop.wait(self.library.health.failed("files", hindrance))
            except SearchsvcError as fault:
                if not self.begun:
                    raise
                self.stop.wait(self.library.health.failed("files", fault))
            except Exception as fault:  # noqa: BLE001  nobody knows what a library raises on another file
                self.stop.wait(self.library.health.failed("files", fault))

    def _follow(self) -> None:
        health = self.library.health
        watcher = Watcher(self.roots, rescan=self.library.settings.rescan_seconds)
        unwatched: str | None = None
        with closing(watcher.changes(self.stop)) as changes:
            for changed in changes:
                self.tell(self.library.index(self.roots, only=changed))
                self.begun = True
                health.well("files")
                if watcher.fault is None:
                    health.well("watching")
                elif watcher.fault != unwatched:
                    health.failed("watching", watcher.fault, pause=self.library.settings.rescan_seconds)
                unwatched = watcher.fault


@dataclass(frozen=True, slots=True)
class _Feed:
    """A feed that is asked whenever its time has come, until `stop` is set."""

    library: Library
    url: str
    name: str
    stop: threading.Event
    tell: Told

    def follow(self) -> None:
        # A server is not to be asked more often because of what cannot be handled here.
        interval = 60.0 * self.library.settings.feed_minutes
        while not self.stop.is_set():
            try:
                self._step()
            except (Busy, Unwritable) as hindrance:
                self.stop.wait(self.library.health.failed(self.name, hindrance))
            except Exception as fault:  # noqa: BLE001  nobody knows what a library raises on another page
                pause = self.library.health.failed(self.name, fault, first=interval, longest=max(interval, DAY))
                self.stop.wait(min(pause, LONGEST))

    def _step(self) -> None:
        """Ask the feed where it is due, else wait for a while."""
        health = self.library.health
        state, wait = self._state()
        if wait <= 0 and not health.is_waiting(self.name):
            report = self.library.index([self.url])
            reasons = (problem.reason for problem in report.problems if problem.where == public_address(self.url))
            self._report(*self._state(), next(reasons, "could not be read"))
            self.tell(report)
            return
        if wait > 0 and not (state.failures and health.is_waiting(self.name)):
            self._report(state, wait, "could not be read when it was last asked")
        self.stop.wait(min(wait, LONGEST) if wait > 0 else LONGEST)

    def _state(self) -> tuple[FeedState, float]:
        """Return what is on record of the feed, and the seconds until it is due."""
        state = self.library.catalogue.feeds.state(self.url)
        return state, (state.next_at - datetime.now(UTC)).total_seconds() if state.next_at else 0.0

    def _report(self, state: FeedState, wait: float, reason: str) -> None:
        if state.failures:
            self.library.health.failed(self.name, reason, pause=max(wait, 0.0), failures=state.failures)
        else:
            self.library.health.well(self.name)
