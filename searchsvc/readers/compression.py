"""Compression: the unpacked bytes of a file, in pieces, never more than a limit.

Nothing here trusts a size that a file states about itself: a few kilobytes of gzip or Zstandard can unpack to
gigabytes, so everything is counted as it comes out.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from searchsvc.errors import Unreadable

PACKED = frozenset({".gz", ".zst"})

_PIECE = 65_536
# Zstandard turns 4 bytes into 128 KiB at most; so little at a time keeps one piece under 32 MiB.
_ZSTD_PIECE = 1_024
# Times the limit, that a line may have before the file is given up rather than read on to its end.
_MAX_LINE = 64


def is_packed(path: Path) -> bool:
    """Say whether the name of the file says that it is compressed."""
    return path.suffix.lower() in PACKED


def too_large(limit: int) -> Unreadable:
    """Return the error that something has more than `limit` bytes."""
    return Unreadable(f"is larger than {limit} bytes")


def blocks(path: Path) -> Iterator[bytes]:
    """Yield the unpacked bytes of a file piece by piece.

    Raises `OSError` where the file cannot be opened or read, and `Unreadable` where what is compressed is
    damaged or cut short, after everything before the damage.
    """
    with path.open("rb") as file:
        match path.suffix.lower():
            case ".gz":
                yield from _gunzipped(file)
            case ".zst":
                yield from _unzstd(file)
            case _:
                while piece := file.read(_PIECE):
                    yield piece


def most_packed(path: Path, limit: int) -> int:
    """Return the size that a file of `limit` unpacked bytes can have: compression makes none larger than this."""
    return limit + limit // 100 + 1_024 if is_packed(path) else limit


def whole(path: Path, limit: int) -> bytes:
    """Return all unpacked bytes of a file; raises as `blocks`, and `Unreadable` above `limit` bytes."""
    if path.stat().st_size > most_packed(path, limit):
        raise too_large(limit)
    data = bytearray()
    for piece in blocks(path):
        data += piece
        if len(data) > limit:
            raise too_large(limit)
    return bytes(data)


def lines(path: Path, limit: int) -> Iterator[bytes | None]:
    """Yield the lines of a file without their newline; None stands for a line of more than `limit` bytes.

    Raises as `blocks`, and `Unreadable` at a line so long that it can only be a bomb.
    """
    line, size, number = bytearray(), 0, 1
    for piece in blocks(path):
        start = 0
        while (end := piece.find(b"\n", start)) >= 0:
            size += end - start
            yield None if size > limit else bytes(line + piece[start:end])
            line, size, number, start = bytearray(), 0, number + 1, end + 1
        size += len(piece) - start
        if size > limit * _MAX_LINE:
            raise Unreadable(f"line {number} is larger than {limit * _MAX_LINE} bytes; nothing after it was read")
        line = bytearray() if size > limit else line + piece[start:]
    if size:
        yield None if size > limit else bytes(line)


def _gunzipped(file: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file) as unpacked:
        try:
            while piece := unpacked.read1(_PIECE):
                yield piece
        except EOFError as fault:
            raise Unreadable("the gzip data is cut short") from fault
        except (zlib.error, gzip.BadGzipFile) as fault:
            raise Unreadable("the gzip data is damaged") from fault


def _unzstd(file: BinaryIO) -> Iterator[bytes]:
    # Its stream_reader ends in silence where the data is cut short; only decompressobj knows.
    from zstandard import ZstdDecompressor, ZstdError

    decompressor = ZstdDecompressor()
    frame, is_open = decompressor.decompressobj(), False
    while packed := file.read(_ZSTD_PIECE):
        while packed:
            try:
                piece, is_open = frame.decompress(packed), True
            except ZstdError as fault:
                raise Unreadable("the Zstandard data is damaged") from fault
            if piece:
                yield piece
            packed = b""
            if frame.eof:
                packed, is_open = frame.unused_data, False
                frame = decompressor.decompressobj()
    if is_open:
        raise Unreadable("the Zstandard data is cut short")
