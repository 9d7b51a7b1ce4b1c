"""Memory: whether there is enough for what is about to be loaded.

The libraries that are loaded here end the whole process when they are refused memory, and no Python code hears of it.
So what they need is estimated beforehand, and compared with what there is: of address space (`ulimit -v`), and of the
machine's or the container's memory.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from searchsvc.errors import TooLittleMemory

MEGABYTE = 1_000_000
# Of address space, for what is mapped before anything is read: so much, and so much a core, since linear algebra keeps
# a buffer and a stack for each (measured on two cores: 139 MB).
START, START_A_CORE = 150 * MEGABYTE, 25 * MEGABYTE
ROOM = 32 * MEGABYTE  # left over for all else


@dataclass(frozen=True, slots=True)
class Free:
    """How many bytes may be taken: of address space by this process, of memory; None where that is not bounded."""

    address_space: int | None
    memory: int | None


def must_start() -> None:
    """Raise TooLittleMemory where this process cannot load even numpy, on which everything stands."""
    if "numpy" not in sys.modules:
        must_have("start", START + (os.cpu_count() or 1) * START_A_CORE, 0)


def must_have(purpose: str, address_space: int, memory: int, *, apart: bool = False) -> None:
    """Raise TooLittleMemory unless so many bytes can be had for a purpose, worded as what comes after "to".

    What is done `apart`, by a process of its own, has all the address space that this one was allowed.
    """
    free = now(apart=apart)
    for needed, there, what in (
        (address_space, free.address_space, "address space (ulimit -v)"),
        (memory, free.memory, "memory"),
    ):
        if there is not None and needed + ROOM > there:
            raise TooLittleMemory(
                f"there is too little memory to {purpose}: about {(needed + ROOM) // MEGABYTE:,} MB of {what} are "
                f"needed, and {max(0, there) // MEGABYTE:,} MB are left",
                "allow this process more memory, or end others",
            )


def now(*, apart: bool = False) -> Free:
    """Return what can be taken now, by this process or by one that it starts."""
    bounds = [bound for bound in (_of_machine(), _of_container()) if bound is not None]
    return Free(_address_space(apart), min(bounds, default=None))


def _address_space(apart: bool) -> int | None:
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY or apart:
        return None if limit == resource.RLIM_INFINITY else limit
    pages = _numbers(Path("/proc/self/statm"))
    return limit - pages[0] * resource.getpagesize() if pages else None


def _of_machine() -> int | None:
    for line in _text(Path("/proc/meminfo")).splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


def _of_container() -> int | None:
    """Return what the control group of this process may still take; files in its cache can be given up."""
    for limit, usage in (("memory.max", "memory.current"),
                         ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")):  # fmt: skip
        most, taken = (_numbers(Path("/sys/fs/cgroup") / name) for name in (limit, usage))
        if most and taken:
            stat = Path("/sys/fs/cgroup") / Path(usage).parent / "memory.stat"
            cached = [int(line.split()[1]) for line in _text(stat).splitlines() if line.startswith("inactive_file ")]
            return most[0] - taken[0] + sum(cached)
    return None


def _numbers(file: Path) -> list[int]:
    return [int(word) for word in _text(file).split() if word.isdecimal()]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
