"""Memory: whether there is enough for what is about to be loaded.

The libraries that are loaded here end the whole process when an allocation fails, without a Python exception. So what
they need is estimated beforehand, and compared with what is free: of address space (`ulimit -v`), and of the machine's
or the container's memory.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from searchsvc.errors import TooLittleMemory

MEGABYTE = 1_000_000
# Of address space, for numpy's import: so much, and so much a core, since linear algebra keeps a buffer and a stack for
# each (measured on two cores: 139 MB).
START, START_A_CORE = 150 * MEGABYTE, 25 * MEGABYTE
RESERVE = 32 * MEGABYTE  # left over for all else


@dataclass(frozen=True, slots=True)
class FreeMemory:
    """Free bytes: of this process's address space, and of memory; None where that is not limited."""

    address_space: int | None
    memory: int | None


def must_start() -> None:
    """Raise TooLittleMemory where this process cannot load even numpy."""
    if "numpy" not in sys.modules:
        require_memory("start", START + (os.cpu_count() or 1) * START_A_CORE, 0)


def require_memory(purpose: str, address_space: int, memory: int, *, child: bool = False) -> None:
    """Raise TooLittleMemory unless so many bytes are free for a purpose, worded as what comes after "to".

    A `child` process starts with all the address space that this one is allowed.
    """
    free = free_memory(child=child)
    for needed, available, kind in (
        (address_space, free.address_space, "address space (ulimit -v)"),
        (memory, free.memory, "memory"),
    ):
        if available is not None and needed + RESERVE > available:
            raise TooLittleMemory(
                f"there is too little memory to {purpose}: about {(needed + RESERVE) // MEGABYTE:,} MB of {kind} are "
                f"needed, and {max(0, available) // MEGABYTE:,} MB are left",
                "allow this process more memory, or end others",
            )


def free_memory(*, child: bool = False) -> FreeMemory:
    """Return what is free now, for this process or for one that it starts."""
    limits = [limit for limit in (_of_machine(), _of_container()) if limit is not None]
    return FreeMemory(_address_space(child), min(limits, default=None))


def _address_space(child: bool) -> int | None:
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY or child:
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
    """Return what this process's control group may still allocate; files in its cache can be given up."""
    for limit, usage in (("memory.max", "memory.current"),
                         ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")):  # fmt: skip
        maximum, used = (_numbers(Path("/sys/fs/cgroup") / name) for name in (limit, usage))
        if maximum and used:
            stat = Path("/sys/fs/cgroup") / Path(usage).parent / "memory.stat"
            cached = [int(line.split()[1]) for line in _text(stat).splitlines() if line.startswith("inactive_file ")]
            return maximum[0] - used[0] + sum(cached)
    return None


def _numbers(file: Path) -> list[int]:
    return [int(word) for word in _text(file).split() if word.isdecimal()]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
