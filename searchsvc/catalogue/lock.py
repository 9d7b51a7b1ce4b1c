"""Locks: one process at a time commits to an index, and others can tell which one, and which processes still run."""

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from searchsvc.errors import Busy

if TYPE_CHECKING:
    from filelock import BaseFileLock

PATIENCE = 60.0  # seconds that a writer waits for another
POLL = 0.01  # seconds between two tries to take the lock
PROBE = 0.03  # seconds after which a process counts as running: another that only checks holds its lock for less


@contextmanager
def write_lock(folder: Path, patience: float | None = None) -> Iterator[None]:
    """Hold the writer lock of the index in a folder; raises Busy when another keeps it for longer than `patience`."""
    from filelock import FileLock, Timeout

    holder = folder / "writer.pid"
    lock = FileLock(folder / "writer.lock", timeout=PATIENCE if patience is None else patience)
    try:
        before = _inode(folder)
        lock.acquire(poll_interval=POLL)
        # Where the folder was replaced by another meanwhile, another's lock is the one to hold.
        while before != (now := _inode(folder)):
            lock.release()
            before = now
            lock.acquire(poll_interval=POLL)
    except Timeout:
        try:
            owner = f"process {holder.read_text(encoding='utf-8').strip()}"
        except OSError:
            owner = "another process"
        raise Busy(f"{owner} is writing to the index in {folder}", "try again when it has finished") from None
    try:
        holder.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        try:
            holder.unlink(missing_ok=True)
        finally:
            lock.release()


class ProcessMarker:
    """Shows other processes whether this one still runs, however it ends: it holds a lock on a file of the index.

    Unlike a process id, the lock means the same in every container that shares the folder, and is never given to
    another process.
    """

    def __init__(self, folder: Path) -> None:
        """Name the folder of the index; nothing is written before `name` is called."""
        self._folder = folder / "processes"
        self._making = threading.Lock()
        self._lock: BaseFileLock | None = None
        self._name = ""

    def name(self) -> str:
        """Return the name of this process, for `is_running` in others; raises OSError where it cannot be recorded."""
        from filelock import FileLock

        with self._making:
            if self._lock is None:
                self._folder.mkdir(exist_ok=True)
                for file in self._folder.iterdir():
                    self.is_running(file.name)  # which deletes the file of one that has ended
            while self._lock is None:
                name = secrets.token_hex(8)
                lock = FileLock(self._folder / name, thread_local=False)
                lock.acquire(timeout=PATIENCE)
                if (self._folder / name).is_file():  # else another deleted it before it was locked
                    self._lock, self._name = lock, name
            return self._name

    def is_self(self, name: str) -> bool:
        """Return whether this is the name of this process."""
        return name != "" and name == self._name

    def is_running(self, name: str) -> bool:
        """Return whether the process of this name still runs; True in doubt."""
        from filelock import FileLock, Timeout

        file = self._folder / Path(name).name
        if self.is_self(name):
            return True
        if not name or not file.is_file():
            return False
        lock = FileLock(file, thread_local=False)
        try:
            lock.acquire(timeout=PROBE, poll_interval=POLL)
        except (Timeout, OSError):
            return True
        try:
            file.unlink(missing_ok=True)
        except OSError:
            return False  # it stays, and is as free at the next check
        finally:
            lock.release()
        return False


def _inode(folder: Path) -> tuple[int, int] | None:
    try:
        status = (folder / "writer.lock").stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
