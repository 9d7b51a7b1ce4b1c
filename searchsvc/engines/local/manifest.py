"""A manifest: one small file that names the files in force, with their checksums.

It is replaced as a whole, holds its own checksum too, and is written after the files that it names are safely on disk.
A file that disagrees with its manifest is damaged, and is made again from the catalogue.
"""

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from searchsvc.errors import DamagedIndex, Unwritable


def write(path: Path, facts: Mapping[str, object]) -> None:
    """Put facts in force: all of them or none, also after a power cut; raises Unwritable."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(json.dumps({"facts": facts, "checksum": sum_of(facts)}, indent=1), encoding="utf-8")
        sync(part)
        part.replace(path)
        sync(path.parent)
    except OSError as error:
        raise Unwritable(f"{path.name} cannot be written: {error.strerror}", "make room on the disk") from error


def read(path: Path, form: int) -> dict[str, Any]:
    """Return the facts in force; raises DamagedIndex unless they are as they were written, and of this format."""
    return parsed(path, bytes_of(path), form)


def bytes_of(path: Path) -> bytes:
    """Return the content of the file; raises DamagedIndex."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DamagedIndex(f"{path.name} cannot be read: {error}") from error


def parsed(path: Path, data: bytes, form: int) -> dict[str, Any]:
    """Return the facts in a manifest's bytes; raises DamagedIndex as `read` does."""
    try:
        content = json.loads(data)
        facts: dict[str, Any] = content["facts"]
        intact = content["checksum"] == sum_of(facts)
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedIndex(f"{path.name} cannot be read: {error}") from error
    if not intact:
        raise DamagedIndex(f"{path.name} has changed since it was written")
    if facts.get("format") != form:
        raise DamagedIndex(f"{path.name} was made by another version")
    return facts


def checksum(file: Path) -> int:
    """Return the CRC-32 of a file."""
    total = 0
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            total = zlib.crc32(block, total)
    return total


def sync(path: Path) -> None:
    """Wait until a file or folder is safely on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sum_of(facts: Mapping[str, object]) -> int:
    """Return the CRC-32 of facts, however they are written."""
    return zlib.crc32(json.dumps(facts, sort_keys=True).encode())
