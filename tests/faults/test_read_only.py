"""An index that lies where nothing can be written is searched as it is, with a log of its own, behind or not."""

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from searchsvc.errors import Unwritable
from searchsvc.library import Library
from searchsvc.settings import Settings
from searchsvc.text.article import RawArticle

MAKE = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import conftest
from searchsvc import library, models
from searchsvc.engines.local import LocalEngine
from searchsvc.text.article import RawArticle
embedder = conftest.BagOfWords()
models.load_embedder = lambda *_, **__: embedder
shelf = library.Library(library.Settings(index=Path(sys.argv[1])))
shelf.add([RawArticle("a", "First", "The committee spoke of copper.")])
if sys.argv[3] == "one file":
    shelf.catalogue.compact()
    sys.exit()
shelf.catalogue.compact()
if sys.argv[3] == "behind":
    LocalEngine.follow = lambda *_: os._exit(0)
shelf.add([RawArticle("b", "Second", "The committee spoke of nickel.")])
os._exit(0)
"""


def freeze(folder: Path) -> None:
    for command in (["--bind", str(folder), str(folder)], ["-o", "remount,ro,bind", str(folder)]):
        if subprocess.run(["mount", *command], check=False, capture_output=True).returncode:
            pytest.skip("may not mount a folder here")


@pytest.fixture
def frozen(tmp_path: Path, words: Any) -> Iterator[Callable[[str], Path]]:  # noqa: ARG001
    """Make an index in a folder that is mounted for reading alone."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def make(how: str) -> Path:
        index = folder / "index"
        tests = str(Path(__file__).parents[1])
        subprocess.run([sys.executable, "-c", MAKE, str(index), tests, how.removesuffix(" without -shm")], check=True)
        if how.endswith("without -shm"):
            (index / "catalogue.sqlite3-shm").unlink()
        freeze(folder)
        assert not os.access(index, os.W_OK)
        return index

    yield make
    gc.collect()
    subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)


def found(shelf: Library, word: str) -> list[str]:
    return [hit.article.key for hit in shelf.search(word).hits if word in hit.passage.text]


@pytest.mark.parametrize("how", ["one file", "a log", "a log without -shm", "behind"])
def test_an_index_that_cannot_be_written_is_searched_as_it_is(frozen: Callable[[str], Path], how: str) -> None:
    index = frozen(how)
    said: list[str] = []
    shelf = Library(Settings(index=index), announce=said.append)
    assert (found(shelf, "copper"), found(shelf, "nickel")) == (["a"], ["b"] if how.startswith("a log") else [])
    assert shelf.status().pending == (how == "behind")
    assert [one for one in shelf.verify().problems if "1 changes behind" not in one] == []
    for attempt in (
        lambda: shelf.add([RawArticle("c", "Third", "Cobalt.")]),
        lambda: shelf.remove(["a"]),
        shelf.tidy,
        shelf.rebuild,
    ):
        with pytest.raises(Unwritable, match="cannot be written: Read-only file system") as refused:
            attempt()
        assert refused.value.hint is not None
        assert refused.value.hint.startswith("it can be searched as it is; to change it, ")
    assert found(shelf, "copper") == ["a"]
    assert said == []
