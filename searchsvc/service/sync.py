"""Keeps an index in sync with files, folders and feeds.

watch ── changed paths ──┐
                         ├──► library.index ──► report       a failure: on record, and tried again after a pause
a feed's time has come ──┘

The files and each feed run apart: whatever one of them meets, it is tried again, and the others go on.
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

MAX_WAIT = 60.0  # seconds between two looks at the clock, so that one set back delays nothing for longer
DAY = 86_400.0  # seconds: the longest pause after which a feed that cannot be handled is fetched again

OnReport = Callable[[Report], None]


def sync(library: Library, sources: Sequence[Path | str], stop: threading.Event, on_report: OnReport) -> None:
    """Keep an index in sync with files, folders and feeds (URLs) until `stop` is set; each run's report is passed on.

    What fails later than in the first scan is reported to `library.health`, and tried again for ever. Raises
    SearchsvcError where the first scan finds what no waiting repairs, and BrokenPipeError where `on_report` does.
    """
    one_at_a_time = threading.Lock()
    broken: list[BrokenPipeError] = []

    def report(done: Report) -> None:
        with one_at_a_time:
            try:
                on_report(done)
            except BrokenPipeError as fault:
                broken.append(fault)
                stop.set()

    _create_index(library, stop)
    for url in (source for source in sources if isinstance(source, str)):
        feed = _FeedSync(library, url, f"feed {public_address(url)}", stop, report)
        threading.Thread(target=feed.run, name=feed.name, daemon=True).start()
    _FileSync(library, [source.resolve() for source in sources if isinstance(source, Path)], stop, report).run()
    for fault in broken:
        raise fault


def _create_index(library: Library, stop: threading.Event) -> None:
    """Create the index where there is none, as soon as the lock is free and the disk has room."""
    while not stop.is_set():
        try:
            library.begin()
        except (Busy, Unwritable) as fault:
            stop.wait(library.health.failed("files", fault))
        else:
            return


@dataclass(slots=True)
class _FileSync:
    """The files and folders; after whatever fails, everything is scanned again, with new watches."""

    library: Library
    roots: Sequence[Path]
    stop: threading.Event
    report: OnReport
    scanned: bool = False

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                self._watch()
            except (Busy, Unwritable) as fault:
                self.stop.wait(self.library.health.failed("files", fault))
            except SearchsvcError as fault:
                if not self.scanned:
                    raise
                self.stop.wait(self.library.health.failed("files", fault))
            except Exception as fault:  # noqa: BLE001  nobody knows what a library raises on another file
                self.stop.wait(self.library.health.failed("files", fault))

    def _watch(self) -> None:
        health = self.library.health
        watcher = Watcher(self.roots, rescan=self.library.settings.rescan_seconds)
        reported: str | None = None
        with closing(watcher.changes(self.stop)) as changes:
            for changed in changes:
                self.report(self.library.index(self.roots, only=changed))
                self.scanned = True
                health.well("files")
                if watcher.fault is None:
                    health.well("watching")
                elif watcher.fault != reported:
                    health.failed("watching", watcher.fault, pause=self.library.settings.rescan_seconds)
                reported = watcher.fault


@dataclass(frozen=True, slots=True)
class _FeedSync:
    """A feed that is fetched whenever its time has come, until `stop` is set."""

    library: Library
    url: str
    name: str
    stop: threading.Event
    report: OnReport

    def run(self) -> None:
        # What cannot be handled here is no reason to ask a server more often.
        interval = 60.0 * self.library.settings.feed_minutes
        while not self.stop.is_set():
            try:
                self._step()
            except (Busy, Unwritable) as fault:
                self.stop.wait(self.library.health.failed(self.name, fault))
            except Exception as fault:  # noqa: BLE001  nobody knows what a library raises on another page
                pause = self.library.health.failed(self.name, fault, first=interval, longest=max(interval, DAY))
                self.stop.wait(min(pause, MAX_WAIT))

    def _step(self) -> None:
        """Fetch the feed where it is due, else wait for a while."""
        health = self.library.health
        state, wait = self._state()
        if wait <= 0 and not health.is_waiting(self.name):
            report = self.library.index([self.url])
            reasons = (problem.reason for problem in report.problems if problem.where == public_address(self.url))
            self._record_health(*self._state(), next(reasons, "could not be read"))
            self.report(report)
            return
        if wait > 0 and not (state.failures and health.is_waiting(self.name)):
            self._record_health(state, wait, "could not be read when it was last asked")
        self.stop.wait(min(wait, MAX_WAIT) if wait > 0 else MAX_WAIT)

    def _state(self) -> tuple[FeedState, float]:
        """Return what is on record of the feed, and the seconds until it is due."""
        state = self.library.catalogue.feeds.state(self.url)
        return state, (state.next_at - datetime.now(UTC)).total_seconds() if state.next_at else 0.0

    def _record_health(self, state: FeedState, wait: float, reason: str) -> None:
        if state.failures:
            self.library.health.failed(self.name, reason, pause=max(wait, 0.0), failures=state.failures)
        else:
            self.library.health.well(self.name)
