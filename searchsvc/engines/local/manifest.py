"""A ledger: one small file that says which files are in force and what they must look like.

It is replaced as a whole, holds the checksums of the files it names and its own, and is written after they are safely
on disk. What disagrees with its ledger is damaged, and is made again from the catalogue.
"""

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from searchsvc.errors import DamagedIndex, Unwritable


def write(ledger: Path, facts: Mapping[str, object]) -> None:
    """Put facts in force: all of them or none, also after a power cut; raises Unwritable."""
    part = ledger.with_name(f".{ledger.name}.part")
    try:
        part.write_text(json.dumps({"facts": facts, "checksum": sum_of(facts)}, indent=1), encoding="utf-8")
        sync(part)
        part.replace(ledger)
        sync(ledger.parent)
    except OSError as error:
        raise Unwritable(f"{ledger.name} cannot be written: {error.strerror}", "make room on the disk") from error


def read(ledger: Path, form: int) -> dict[str, Any]:
    """Return the facts in force; raises DamagedIndex unless they are as they were written, and of this format."""
    return parsed(ledger, bytes_of(ledger), form)


def bytes_of(ledger: Path) -> bytes:
    """Return what stands in the file; raises DamagedIndex."""
    try:
        return ledger.read_bytes()
    except OSError as error:
        raise DamagedIndex(f"{ledger.name} cannot be read: {error}") from error


def parsed(ledger: Path, data: bytes, form: int) -> dict[str, Any]:
    """Return the facts that stand in a ledger's bytes; raises DamagedIndex as `read` does."""
    try:
        held = json.loads(data)
        facts: dict[str, Any] = held["facts"]
        right = held["checksum"] == sum_of(facts)
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedIndex(f"{ledger.name} cannot be read: {error}") from error
    if not right:
        raise DamagedIndex(f"{ledger.name} has changed since it was written")
    if facts.get("format") != form:
        raise DamagedIndex(f"{ledger.name} was made by another version")
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
