"""What makes a file unchanged: its size and times where these are certain, else a digest of its bytes."""

import hashlib
import stat
from collections.abc import Sequence
from os import stat_result
from pathlib import Path

from searchsvc.catalogue import FileState
from searchsvc.ingest.prepare import PREPARE_VERSION
from searchsvc.text.article import Problem

MAX_HASHED = 256_000_000  # bytes: of larger files only pieces are, so that no file holds up the others for long
PIECES, PIECE = 64, 65_536  # how many, and bytes of each
IN_DOUBT = 2_000_000_000  # ns: a file changed so shortly before it was read may have changed again within one tick


def state_of(
    key: str | None, status: stat_result, seen_ns: int, digest: bytes | None, problems: Sequence[Problem]
) -> FileState:
    """Return the state of a file that was read to its end, begun at `seen_ns`."""
    times = (status.st_mtime_ns, status.st_ctime_ns, seen_ns)
    return FileState(key, status.st_size, *times, digest, PREPARE_VERSION, tuple(problems))


def is_surely_unchanged(status: stat_result, known: FileState) -> bool:
    """Return whether a file surely has not changed, judging by its size and times."""
    if (status.st_size, status.st_mtime_ns, PREPARE_VERSION) != (known.size, known.modified_ns, known.prepare_version):
        return False
    if known.changed_ns is None or known.seen_ns is None:
        return True  # recorded by a version that looked no further
    latest = max(status.st_mtime_ns, status.st_ctime_ns)
    return status.st_ctime_ns == known.changed_ns and known.seen_ns - latest > IN_DOUBT


def has_same_bytes(digest: bytes | None, known: FileState | None) -> bool:
    """Return whether a file, by the digest of all its bytes, is as it was when it was last read to its end."""
    if known is None or known.size is None:
        return False
    return (digest, PREPARE_VERSION) == (known.digest, known.prepare_version)


def is_same(before: stat_result, path: Path) -> bool:
    """Return whether the file at a path is the one whose status was taken, and has not changed since."""
    try:
        now = path.stat()
    except OSError:
        return False
    return (before.st_size, before.st_mtime_ns, before.st_ino) == (now.st_size, now.st_mtime_ns, now.st_ino)


def digest_of(path: Path, status: stat_result | None, max_bytes: int | None) -> tuple[bytes | None, bool]:
    """Return a digest of a file, and whether it is of all its bytes; no digest where they cannot be read.

    Of a file larger than `max_bytes`, or `MAX_HASHED`, it is of the size and of some pieces: it tells that the file
    lies under another name now, and not that it has not changed. A pipe that took its place has none, as it may have no
    end.
    """
    size = status.st_size if status else 0
    is_whole = size <= (MAX_HASHED if max_bytes is None else min(max_bytes, MAX_HASHED))
    if status is None or not stat.S_ISREG(status.st_mode):
        return None, is_whole
    try:
        with path.open("rb") as stream:
            if is_whole:
                return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).digest(), True
            digest = hashlib.blake2b(f"{size} bytes".encode(), digest_size=16)
            for number in range(PIECES):
                stream.seek(max(0, size - PIECE) * number // (PIECES - 1))
                digest.update(stream.read(PIECE))
            return digest.digest(), False
    except OSError:
        return None, is_whole
