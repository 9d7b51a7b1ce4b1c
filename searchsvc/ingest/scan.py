"""A scan: which files lie under some folders, and which lay there once and are gone.

    roots ── walk ──► Scan(files, vanished, kept)

What is gone is only believed where everything around it could be looked at: a folder that is empty or has lost most of
its files is taken for unmounted or mistyped, and what it held is kept until a person says otherwise.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from searchsvc.catalogue import Catalogue, FileState
from searchsvc.readers import walk
from searchsvc.text.article import Problem, storable

MAX_GONE = 0.5  # of a folder's files, at once


@dataclass(frozen=True, slots=True)
class File:
    """A file that was found; `name` is its path as it is stored, and its articles' keys are made of `key`."""

    path: Path
    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Kept:
    """Files that are gone from a folder, too many of those known to be taken for deleted."""

    folder: str
    gone: int
    known: int
    names: tuple[str, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found, what is known of it from before by name, and what is not there any more."""

    files: list[File] = field(default_factory=list)
    known: dict[str, FileState] = field(default_factory=dict)
    vanished: list[str] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def scan(
    roots: Sequence[Path],
    catalogue: Catalogue,
    *,
    only: Collection[Path] | None = None,
    prune: bool = False,
    apart: Path | None = None,
) -> Scan:
    """Look at everything under the roots, or `only` at these paths of it, but for what lies in the folder `apart`.

    With `prune`, whatever is gone is taken for deleted.
    """
    result = Scan()
    excluded = [storable(str(apart))] if apart else []
    seen: set[str] = set()
    unread: list[str] = []
    tops = dict.fromkeys(Path(os.path.realpath(root)) for root in roots)
    for root in tops:
        base = root if os.path.isdir(root) else root.parent  # noqa: PTH112  Path.is_dir may raise
        for part in _parts(root, only):
            known = catalogue.files.states_under(storable(str(part)))
            result.known.update(known)
            for item in walk(part, inside=root if only is not None else None):
                name = item.where if isinstance(item, Problem) else storable(str(item))
                if _is_below(name, excluded):
                    continue
                if isinstance(item, Path):
                    if name not in seen:
                        seen.add(name)
                        key = known[name].key if name in known else None
                        result.files.append(File(item, name, key or storable(item.relative_to(base).as_posix())))
                elif not (known and not os.path.lexists(root)):
                    result.problems.append(item)
                    unread.append(item.where)
    gone = [name for name in result.known if name not in seen and not _is_below(name, unread) and not _exists(name)]
    absent = [root for root in tops if not os.path.lexists(root)]
    for root in tops:
        if root not in absent and tops.keys() & set(root.parents):
            continue  # judged with the folder around it
        others = [storable(str(other)) for other in absent if other != root]
        missing = [name for name in gone if _is_below(name, [storable(str(root))]) and not _is_below(name, others)]
        if missing:
            _judge(root, missing, catalogue.files.count_under(storable(str(root))), result, prune)
    return result


def _parts(root: Path, only: Collection[Path] | None) -> list[Path]:
    """Return the root; or those of the paths that lie at or below it, less those that lie below another of them."""
    if only is None:
        return [root]
    inside = {path for path in only if path == root or root in path.parents}
    return sorted(path for path in inside if not inside.intersection(path.parents))


def _is_below(name: str, paths: Iterable[str]) -> bool:
    return any(name == path or name.startswith(path.rstrip("/") + "/") for path in paths)


def _exists(name: str) -> bool:
    """Return whether this is a file in its own right: one that was named once and that no walk yields, or a README."""
    return os.path.isfile(name) and os.path.realpath(name) == name  # noqa: PTH113  Path.is_file may raise


def _judge(root: Path, missing: list[str], known: int, result: Scan, prune: bool) -> None:
    """Take what is missing for vanished, or keep it."""
    if prune:
        result.vanished.extend(missing)
    elif len(missing) > MAX_GONE * known or _is_bare(root) or not os.path.lexists(root):
        result.kept.append(Kept(str(root), len(missing), known, tuple(missing)))
    else:
        kept: set[str] = set()
        for folder in _emptied(root, missing):
            lost = [name for name in missing if _is_below(name, [storable(str(folder))])]
            if len(lost) > 1:
                kept.update(lost)
                result.kept.append(Kept(str(folder), len(lost), len(lost), tuple(lost)))
        result.vanished.extend(name for name in missing if name not in kept)


def _emptied(root: Path, missing: Sequence[str]) -> Iterator[Path]:
    """Yield the folders below the root that missing files lay in, and that are there and hold nothing at all."""
    folders = {parent for name in missing for parent in Path(name).parents if root in parent.parents}
    return (folder for folder in sorted(folders) if _is_bare(folder))


def _is_bare(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return False
