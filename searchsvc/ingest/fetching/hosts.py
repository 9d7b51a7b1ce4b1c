"""Hosts: each gets one request at a time, after a pause, and by the rules in its robots.txt."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

from searchsvc.ingest.fetching.robots import Rules

REMEMBERED = 1_024  # hosts


@dataclass(slots=True)
class Host:
    """One host: the seconds between two requests, when the next may begin, and its rules, for each scheme and port."""

    pause: float
    free_at: float = 0.0
    rules: dict[str, Rules] = field(default_factory=dict)
    _busy: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def slot(self, sleep: Callable[[float], None]) -> Iterator[None]:
        """Wait until no other request to the host is running, and the pause is over."""
        with self._busy:
            wait = self.free_at - time.monotonic()
            if wait > 0:
                sleep(wait)
            try:
                yield
            finally:
                self.free_at = time.monotonic() + self.pause


class Hosts:
    """The hosts of the last requests."""

    def __init__(self, pause: float) -> None:
        self._lock = threading.Lock()
        self._host = lru_cache(REMEMBERED)(lambda _name: Host(pause))

    def named(self, name: str) -> Host:
        """Return the host of this name."""
        with self._lock:
            return self._host(name)
