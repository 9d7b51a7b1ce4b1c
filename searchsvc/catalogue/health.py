"""Health: which parts that run for long are failing, since when, why, and when each is tried again.

    a part fails ──► Health ──► the log, once ──► the catalogue, where other processes see it
    it recovers ──► the log and the catalogue again

Whatever runs for long reports here each time that it fails or succeeds: a feed, the files, a job's end, the process
beside a server. Only changes are written. Where the catalogue cannot be written, this process knows all the same.
"""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from searchsvc.catalogue import Catalogue, FailingPart
from searchsvc.catalogue.lock import ProcessMarker
from searchsvc.errors import SearchsvcError

FIRST, LONGEST = 5.0, 60.0  # seconds until a part that failed is tried again: at first, and at most
MAX_MESSAGE = 500  # characters

_log = logging.getLogger("searchsvc")


def pause_after(failures: int, first: float = FIRST, longest: float = LONGEST) -> float:
    """Return the seconds to wait after so many failures in a row: twice as long each time."""
    return float(min(first * 2 ** min(max(failures, 1) - 1, 20), longest))


class Health:
    """Which parts of one process are failing, and what other processes have recorded. Safe to use from many threads."""

    def __init__(self, folder: Path, presence: ProcessMarker, catalogue: Callable[[], Catalogue | None]) -> None:
        """Name the index; `catalogue` returns its record, or None while there is none."""
        self._folder = folder
        self._presence = presence
        self._catalogue = catalogue
        self._lock = threading.Lock()
        self._recording = threading.Lock()
        self._parts: dict[str, FailingPart] = {}
        self._unrecorded = False

    def failed(
        self,
        name: str,
        fault: Exception | str,
        *,
        first: float = FIRST,
        longest: float = LONGEST,
        pause: float | None = None,
        failures: int | None = None,
    ) -> float:
        """Report that a part failed; return the seconds after which it is to be tried again.

        The first word of `name` is the part's kind. `first` and `longest` are in seconds, see `pause_after`; whoever
        counts `failures` in a row and knows the `pause` gives them.
        """
        message = self._message(fault)
        now = datetime.now(UTC)
        with self._lock:
            before = self._parts.get(name)
            count = failures if failures is not None else before.failures + 1 if before else 1
            wait = pause_after(count, first, longest) if pause is None else pause
            since = before.since if before else now
            self._parts[name] = FailingPart(name, count, message, since, now + timedelta(seconds=wait))
        if before is None or before.message != message:
            trace = None if isinstance(fault, SearchsvcError | str) else fault
            _log.warning("%s: %s; trying again in %.3g seconds", name, message, wait, exc_info=trace)
        self._record()
        return wait

    def well(self, name: str) -> None:
        """Report that a part works; costs next to nothing where it did before."""
        if name not in self._parts and not self._unrecorded:
            return
        with self._lock:
            before = self._parts.pop(name, None)
        if before is not None:
            _log.warning("%s: well again", name)
        self._record()

    def is_waiting(self, name: str) -> bool:
        """Return whether a part of this process failed so lately that it is not to be tried yet."""
        part = self._parts.get(name)
        return part is not None and datetime.now(UTC) < part.next_try

    def own(self) -> tuple[FailingPart, ...]:
        """Return the parts of this process that are failing."""
        with self._lock:
            return tuple(self._parts.values())

    def parts(self) -> tuple[FailingPart, ...]:
        """Return the parts that are failing, in this process and in all others that run, the first to fail first."""
        catalogue = self._catalogue()
        recorded = [] if catalogue is None else catalogue.failing_parts.all()
        running = set(filter(self._is_other, {owner for owner, _ in recorded}))
        parts = [*self.own(), *(part for owner, part in recorded if owner in running)]
        return tuple(sorted(parts, key=lambda part: (part.since, part.name)))

    def _is_other(self, owner: str) -> bool:
        return not self._presence.is_self(owner) and self._presence.is_running(owner)

    def _message(self, fault: Exception | str) -> str:
        """Return the message for a fault: of an unexpected one only its type, as its text may come from anywhere."""
        if isinstance(fault, SearchsvcError):
            message = "; ".join(filter(None, (fault.message, fault.hint)))
        elif isinstance(fault, OSError) and fault.strerror:
            message = fault.strerror.lower()
        elif isinstance(fault, str):
            message = fault
        else:
            message = f"an unexpected {type(fault).__name__}, whose traceback is in the log"
        # It may quote a page: what moves a cursor or turns the reading direction goes to no log.
        plain = "".join(character if character.isprintable() else " " for character in message)
        return " ".join(plain.replace(str(self._folder), self._folder.name).split())[:MAX_MESSAGE]

    def _record(self) -> None:
        """Record which parts of this process are failing; where that fails, it is logged, and done later."""
        with self._recording:
            try:
                catalogue = self._catalogue()
                if catalogue is None:
                    self._unrecorded = True
                    return
                owner = self._presence.name()
                owners = {name for name, _ in catalogue.failing_parts.all()}
                ended = [name for name in owners if name != owner and not self._presence.is_running(name)]
                with catalogue.writing() as writer:
                    writer.failing_parts.replace(owner, self.own())
                    for name in ended:
                        writer.failing_parts.replace(name, ())
            except (SearchsvcError, OSError) as fault:
                if not self._unrecorded:
                    _log.warning("what is failing cannot be put on record: %s", fault)
                self._unrecorded = True
            else:
                self._unrecorded = False
