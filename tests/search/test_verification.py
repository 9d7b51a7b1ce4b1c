"""Verification: an index that finds less than an exact search, or something else, is told from one that is well."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from searchsvc.engines.local import LocalEngine, dense
from searchsvc.engines.local import manifest as ledger
from searchsvc.library import Library
from searchsvc.search.verification import SAMPLE, Verification, measure_recall
from searchsvc.text.article import RawArticle

Shelf = Any  # see conftest


def filled(shelf: Shelf, count: int) -> Shelf:
    shelf.put_all((f"id{n}", f"text {n}", {}) for n in range(count))
    return shelf


@pytest.fixture
def engine(shelf: Shelf, tmp_path: Path) -> LocalEngine:
    return LocalEngine(tmp_path / "local", shelf.space)


def measured(shelf: Shelf, engine: LocalEngine) -> tuple[float | None, int]:
    engine.reopen()  # which opens the files anew
    return measure_recall(engine.snapshot(shelf.catalogue), shelf.catalogue, shelf.space)


def rewritten(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Put other vectors in the dense index, under checksums that are right."""
    facts = ledger.read(folder / dense.MANIFEST, dense.FORMAT)
    file = folder / facts["vectors"]["name"]
    index = faiss.read_index(str(file))
    vectors = change(index.reconstruct_n(0, index.ntotal))
    index.reset()
    index.add(vectors)
    part = file.with_name("part")
    faiss.write_index(index, str(part))
    os.replace(part, file)  # noqa: PTH105  the old one may be mapped
    facts["vectors"]["checksum"] = ledger.checksum(file)
    ledger.write(folder / dense.MANIFEST, facts)


def test_of_nothing_there_is_nothing_to_measure(shelf: Shelf, engine: LocalEngine) -> None:
    engine.rebuild(shelf.catalogue)
    assert measured(shelf, engine) == (None, 0)


@pytest.mark.parametrize(("count", "sample"), [(1, 1), (9, 9), (50, 50), (51, 26), (99, 50), (120, 40)])
def test_a_sound_index_finds_all_however_small(shelf: Shelf, engine: LocalEngine, count: int, sample: int) -> None:
    filled(shelf, count)
    engine.rebuild(shelf.catalogue)
    assert sample <= SAMPLE
    assert measured(shelf, engine) == (1.0, sample)


def test_what_is_fresh_removed_or_replaced_is_measured_as_it_is_served(shelf: Shelf, engine: LocalEngine) -> None:
    filled(shelf, 40)
    engine.rebuild(shelf.catalogue)
    shelf.remove("id0", "id7")
    shelf.put("id3", "another text")
    shelf.put_all((f"new{n}", f"fresh {n}", {}) for n in range(10))
    engine.follow(shelf.catalogue)
    assert measured(shelf, engine) == (1.0, 48)


def test_passages_that_are_equal_are_no_misses(
    shelf: Shelf, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = shelf.vector("same")
    monkeypatch.setattr(shelf, "vector", lambda _: same)
    filled(shelf, 30)
    engine.rebuild(shelf.catalogue)
    assert measured(shelf, engine) == (1.0, 30)


def test_a_snapshot_that_is_behind_is_measured_by_what_it_holds(shelf: Shelf, engine: LocalEngine) -> None:
    filled(shelf, 20)
    engine.rebuild(shelf.catalogue)
    before = engine.snapshot(shelf.catalogue)
    shelf.put_all((f"new{n}", f"fresh {n}", {}) for n in range(30))
    assert measure_recall(before, shelf.catalogue, shelf.space) == (1.0, 20)


@pytest.mark.parametrize(
    "change",
    [lambda vectors: vectors[::-1], lambda vectors: np.roll(vectors, 1, axis=0), lambda vectors: -vectors,
     np.zeros_like, lambda vectors: vectors[:, ::-1].copy()],
)  # fmt: skip
def test_vectors_that_are_not_those_of_their_passages_are_noticed(
    shelf: Shelf, engine: LocalEngine, tmp_path: Path, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    filled(shelf, 100)
    engine.rebuild(shelf.catalogue)
    assert measured(shelf, engine) == (1.0, 50)
    rewritten(tmp_path / "local", change)
    found, sample = measured(shelf, engine)
    assert sample == 50
    assert found is not None
    assert found < 0.5


def test_a_few_wrong_vectors_cost_what_they_are_worth(shelf: Shelf, engine: LocalEngine, tmp_path: Path) -> None:
    filled(shelf, 20)
    engine.rebuild(shelf.catalogue)

    def spoilt(vectors: np.ndarray) -> np.ndarray:
        vectors[5] = 0
        return vectors

    rewritten(tmp_path / "local", spoilt)
    wanted = np.array([shelf.vector(f"id{n} text {n}").astype(np.float16) for n in range(20)]).astype(np.float32)
    nearest = np.argsort(-(wanted @ wanted.T), axis=1)[:, :10]
    found, sample = measured(shelf, engine)
    assert (found, sample) == (pytest.approx(1 - np.count_nonzero(nearest == 5) / 200), 20)


def test_the_library_says_what_is_wrong_and_still_measures(open_library: Callable[[], Library]) -> None:
    shelf = open_library()
    shelf.add([RawArticle(f"a{n}", f"Report {n}", f"Committee {n} met on day {n}.") for n in range(30)])
    shelf.rebuild()
    assert shelf.verify() == Verification((), 1.0, 30)
    folder = shelf.folder / "local" / "1"
    rewritten(folder, lambda vectors: vectors[::-1])
    found = shelf.verify()
    assert found.recall is not None
    assert (found.recall < 0.9, found.sample) == (True, 30)
    shelf.rebuild()
    assert shelf.verify() == Verification((), 1.0, 30)
    facts = ledger.read(folder / dense.MANIFEST, dense.FORMAT)
    file = folder / facts["columns"]["name"]
    columns = np.load(file)
    columns["row"][4] = columns["row"][3]
    np.save(folder / "part.npy", columns)
    os.replace(folder / "part.npy", file)  # noqa: PTH105
    facts["columns"]["checksum"] = ledger.checksum(file)
    ledger.write(folder / dense.MANIFEST, facts)
    assert shelf.verify().problems[:2] == ("the dense index lacks 1 passages", "the dense index holds twice 1 passages")
    shelf.rebuild()
    assert shelf.verify() == Verification((), 1.0, 30)


WRITER = """
import sys
from itertools import count
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import conftest
from searchsvc import library, models
from searchsvc.text.article import RawArticle
embedder = conftest.BagOfWords()
models.load_embedder = lambda *_, **__: embedder
shelf = library.Library(library.Settings(index=Path(sys.argv[1])))
for number in count():
    shelf.add([RawArticle(f"w{number % 20}", f"Report {number}", f"The committee met {number} times.")])
    if number % 7 == 3:
        shelf.remove([f"w{number % 20}"])
    print(number, flush=True)
"""


def test_verifying_beside_a_writer_finds_nothing_wrong(open_library: Callable[[], Library]) -> None:
    shelf = open_library()
    shelf.add([RawArticle(f"a{n}", f"Report {n}", f"Committee {n} met on day {n}.") for n in range(30)])
    tests = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", WRITER, str(shelf.folder), tests]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        try:
            first = int(writer.stdout.readline())
            found = [shelf.verify() for _ in range(12)]
            assert int(writer.stdout.readline()) >= first
        finally:
            writer.kill()
    assert [one.problems for one in found] == [()] * 12
    assert shelf.catalogue.changes.last() > 35  # so it did write meanwhile
