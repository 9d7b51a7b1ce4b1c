"""The dense index: FAISS over all vectors, in a file that is mapped, and a fresh part in memory.

    dense-GENERATION.faiss      the vectors (float16), in the order of the columns
    dense-GENERATION.npy        the columns
    dense.json                  the manifest: which of them are in force, with their checksums; replaced as a whole

The files are never changed: a newer pair is written beside them and named in dense.json. What the catalogue has
committed since is read from there and held in memory, so a new article costs what it weighs and not a new file.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from searchsvc.catalogue import Catalogue, EmbeddingSpace
from searchsvc.engines.columns import BATCH, COLUMNS, Columns, read_articles
from searchsvc.engines.local import manifest
from searchsvc.errors import DamagedIndex, Unwritable
from searchsvc.models import Vectors
from searchsvc.models.memory import require_memory

FORMAT = 2
MANIFEST = "dense.json"
FRESH_MIN = 5_000  # passages in memory that are never worth a new file
FRESH_SHARE = 0.1
FAISS, FAISS_A_CORE = 370_000_000, 50_000_000  # bytes of address space for its import (on two cores: 469 MB)


@dataclass(frozen=True, slots=True)
class Part:
    """Some vectors and their columns, by ascending row; neither ever changes. `articles` is one of the columns."""

    index: Any
    columns: Columns
    articles: NDArray[np.int64]

    def of(self, articles: Sequence[int]) -> NDArray[np.bool_]:
        """Return which of the passages belong to these articles, given by row."""
        belongs = np.zeros(len(self.articles), bool)
        # An article's passages stand together, and articles ascend.
        for first, last in np.searchsorted(self.articles, [(row, row + 1) for row in articles]).reshape(-1, 2):
            belongs[first:last] = True
        return belongs

    def search(self, vector: Vectors, k: int, matching: NDArray[np.bool_] | None) -> tuple[NDArray[np.int64], Vectors]:
        """Return the positions of the k nearest of the matching passages (None: of all), and their cosines."""
        import faiss

        k = min(k, len(self.columns) if matching is None else int(matching.sum()))
        if k == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        parameters = None
        if matching is not None:
            # The selector reads the bits while it searches: they must outlive it.
            bits = np.packbits(matching, bitorder="little")
            selector: Any = faiss.IDSelectorBitmap(bits)  # type: ignore[call-arg, arg-type]
            parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        # One query is one thread's work; OpenMP's others would only spin on the cores that the model needs next
        # (measured on two cores: 6.0 against 4.1 ms for the next query's vector).
        faiss.omp_set_num_threads(1)
        scores, positions = self.index.search(vector[None], k, params=parameters)
        filled = positions[0] >= 0
        return positions[0][filled], scores[0][filled]


@dataclass(frozen=True, slots=True)
class Mapped:
    """The part that is in force, the number of the last change that it holds, and that change's identity."""

    part: Part
    generation: int
    identity: str


def part_of(vectors: NDArray[np.float16], columns: Columns, dimension: int) -> Part:
    """Return a part that holds these vectors, (n, dimension)."""
    index = _new(dimension)
    if len(vectors):
        index.add(vectors.astype(np.float32))
    return _part(index, columns)


def _part(index: Any, columns: Columns) -> Part:
    return Part(index, columns, np.ascontiguousarray(columns["article"]))


def _faiss() -> Any:
    """Return FAISS, whose import ends the process where its linear algebra gets no memory."""
    if "faiss" not in sys.modules:
        require_memory("load FAISS", FAISS + (os.cpu_count() or 1) * FAISS_A_CORE, 0)
    import faiss

    return faiss


def _new(dimension: int) -> Any:
    """Return an empty index.

    Exact over float16 while it fits: 4 ms for 106,000 passages on one core. Millions will want a coarser index
    with a refining step here; nothing outside this module looks inside.
    """
    faiss = _faiss()
    return faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)


def write(folder: Path, catalogue: Catalogue, space: EmbeddingSpace) -> None:
    """Write the whole catalogue as a new pair of files and put it in force; then remove the old ones."""
    faiss = _faiss()
    with catalogue.reading():
        generation = catalogue.changes.last()
        added, _ = catalogue.changes.between(0, generation)
        size = catalogue.passages.count(added, space.row) * (2 * space.dimension + COLUMNS.itemsize)
        require_memory("make the dense index", 2 * size, 2 * size)  # FAISS's list grows by doubling
        index = _new(space.dimension)
        columns = [np.empty(0, COLUMNS)]
        for start in range(0, len(added), BATCH):
            vectors, more = read_articles(catalogue, added[start : start + BATCH], space)
            index.add(vectors.astype(np.float32))
            columns.append(more)
        identity = catalogue.changes.identity(generation)
    stem = f"dense-{generation:012d}"
    files = {"vectors": folder / f"{stem}.faiss", "columns": folder / f"{stem}.npy"}
    # Written aside and renamed, since a file of the same name may be mapped by others at this moment.
    parts = {kind: file.with_name(f".{file.name}.part") for kind, file in files.items()}
    facts: dict[str, object] = {
        "format": FORMAT,
        "fingerprint": space.fingerprint,
        "generation": generation,
        "stamp": identity,
        "passages": index.ntotal,
    }
    try:
        faiss.write_index(index, str(parts["vectors"]))
        with parts["columns"].open("wb") as stream:
            np.save(stream, np.concatenate(columns))
        for kind, file in files.items():
            manifest.sync(parts[kind])
            facts[kind] = {"name": file.name, "checksum": manifest.checksum(parts[kind])}
            parts[kind].replace(file)
    except (OSError, RuntimeError) as error:
        for part in parts.values():
            part.unlink(missing_ok=True)  # on a full disk, others need the room
        raise Unwritable(f"the dense index cannot be written: {error}", "make room on the disk") from error
    manifest.write(folder / MANIFEST, facts)
    for old in (*folder.glob("dense-*"), *folder.glob(".dense-*.part")):
        if not old.name.startswith(stem):
            old.unlink(missing_ok=True)


def opened(folder: Path, space: EmbeddingSpace) -> Mapped:
    """Return what is in force, mapped; raises DamagedIndex unless it is all there and right."""
    facts = manifest.read(folder / MANIFEST, FORMAT)
    if facts["fingerprint"] != space.fingerprint:
        raise DamagedIndex("the dense index was made with another model")
    try:
        sizes = {kind: (folder / facts[kind]["name"]).stat().st_size for kind in ("vectors", "columns")}
        # The vectors are mapped, and can be let go of; the columns are read.
        require_memory("open the dense index", sum(sizes.values()), 2 * sizes["columns"])
        for kind in ("vectors", "columns"):
            if manifest.checksum(folder / facts[kind]["name"]) != facts[kind]["checksum"]:
                raise DamagedIndex(f"{facts[kind]['name']} has changed since it was written")
        columns = np.load(folder / facts["columns"]["name"], allow_pickle=False)
        faiss = _faiss()
        index = faiss.read_index(str(folder / facts["vectors"]["name"]), faiss.IO_FLAG_MMAP_IFC)
    except (OSError, ValueError, RuntimeError) as error:
        raise DamagedIndex(f"the dense index cannot be read: {error}") from error
    if not index.ntotal == len(columns) == facts["passages"] or index.d != space.dimension or columns.dtype != COLUMNS:
        raise DamagedIndex("the dense index does not hold what it says")
    return Mapped(_part(index, columns), facts["generation"], facts["stamp"])


def worth_writing(fresh: int, dead: int, total: int) -> bool:
    """Say whether so much has changed since the last file that a new one should be written."""
    return fresh + dead > max(FRESH_MIN, FRESH_SHARE * total)
