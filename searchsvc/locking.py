"""The writer lock: one process at a time commits to an index, and whoever waits can be told which."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from searchsvc.errors import Busy

PATIENCE = 60.0  # seconds that a writer waits for another
POLL = 0.01  # seconds between two looks at the lock


@contextmanager
def writing_to(folder: Path, patience: float | None = None) -> Iterator[None]:
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
            who = f"process {holder.read_text(encoding='utf-8').strip()}"
        except OSError:
            who = "another process"
        raise Busy(f"{who} is writing to the index in {folder}", "try again when it has finished") from None
    try:
        holder.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        try:
            holder.unlink(missing_ok=True)
        finally:
            lock.release()


def _inode(folder: Path) -> tuple[int, int] | None:
    try:
        found = (folder / "writer.lock").stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
